"""The registry: every model once, with the parameters at which pages and tests run it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any, TypeVar

from collapse.checks import brief, check_number, named_call, require, whole
from collapse.checks import text as checks_text

Made = TypeVar("Made", bound=Callable[..., Any])


@dataclass(frozen=True)
class Example:
    """A model at one set of parameters.

    Attributes
    ----------
    name : str
        What to call it in a table.
    make : callable
        Makes the model; called when it is needed, so that registering costs nothing. A regression's
        takes `rows`, n by default.
    n : int
        Rows of real data; for a regression the rows of its design.
    group : str
        Part of the family it belongs to, such as "exponential families".
    covered : bool
        Whether the limit theorem covers it.
    why : str
        In a clause: what makes it covered, or which assumption fails.
    page : str
        Chapter that explains it, as its file is called in the book.
    allowance : float
        Relative deviation of the ratio at generation 20 that is due to n being finite, under any
        workflow that the theorem covers; for where no more is known than the limit.
    effort : float
        Cost of a replication, as a multiple of what it costs to draw and to average its rows; the
        matrix gives it as many fewer replications.
    conditional : bool
        Whether its risk has no finite mean at any n, since with some probability no estimate exists
        (separated labels, counts that are all zero, no event). Its mean risks are then conditional:
        over replications that all have an estimate.
    """

    name: str
    make: Callable[..., Any]
    n: int
    group: str
    covered: bool
    why: str
    page: str
    allowance: float
    effort: float = 1.0
    conditional: bool = False

    @property
    def label(self) -> str:
        """Name for a table, with a dagger where mean risks are conditional."""
        return f"{self.name}\u00a0†" if self.conditional else self.name

    @property
    def made_by(self) -> tuple[str, str]:
        """Module and name of the function or class that makes the model."""
        made = self.make.func if isinstance(self.make, partial) else self.make
        return made.__module__, made.__qualname__

    def larger(self, times: int) -> "Example":
        """The same example with so many times the rows: there what the allowance is for is
        smaller.
        """
        n, takes = times * self.n, signature(self.make).parameters
        return replace(self, n=n, make=partial(self.make, rows=n) if "rows" in takes else self.make)


GROUPS = (
    "exponential families",
    "two parameters",
    "location and scale",
    "any real law",
    "regression",
    "ranking",
    "survival",
    "dependent data",
    "latent structure",
    "whole rows",
    "outside the family",
)
"""The groups in the order of the matrix; others follow in the alphabet's."""

_EXAMPLES: dict[str, Example] = {}


def register(
    name: str,
    at: tuple[Any, ...] | None = None,
    *,
    n: int,
    group: str,
    why: str,
    covered: bool = True,
    page: str = "universality",
    allowance: float = 0.0,
    effort: float = 1.0,
    conditional: bool = False,
) -> Callable[[Made], Made]:
    """Register the model that the decorated function makes, or the decorated class at parameters.

    Parameters
    ----------
    at : tuple, optional
        Arguments with which to call what is decorated; for a class, the parameters of the example.
    name, n, group, why, covered, page, allowance, effort, conditional
        As in `Example`.

    Returns
    -------
    callable
        A decorator that leaves what it decorates as it is.

    Raises
    ------
    ValueError
        Where the name is taken by another model, `at` is no tuple, n is no positive whole number,
        the allowance is negative, or the effort is not positive.

    Examples
    --------
    >>> from collapse import models
    >>> group = "exponential families"
    >>> [example.name for example in models.examples() if example.group == group][:2]
    ['Normal', 'Bernoulli']
    """
    require(
        not (at is not None and not isinstance(at, tuple)),
        f"at must be a tuple of arguments, or None; it is {brief(at)}.",
    )
    whole(n, "n", "rows of real data")
    check_number(allowance, "allowance", -1e-300)
    check_number(effort, "effort", 0)

    def keep(made: Made) -> Made:
        make = made if at is None else partial(made, *at)
        example = Example(name, make, n, group, covered, why, page, allowance, effort, conditional)
        require(
            _EXAMPLES.setdefault(name, example).made_by == example.made_by,
            f"a model called {name!r} is registered already; give another name.",
        )
        _EXAMPLES[name] = example
        return made

    return keep


def examples() -> tuple[Example, ...]:
    """Every registered model: group by group, in a group what the theorem covers first, by module
    and there as registered.

    The order does not depend on which module was imported first.
    """

    def place(example: Example) -> tuple[int, str, bool, str]:
        rank = (*GROUPS, example.group).index(example.group)
        return rank, example.group, not example.covered, example.made_by[0]

    return tuple(sorted(_EXAMPLES.values(), key=place))


def named(text: str) -> Any:
    """Make a model from its name and parameters, or the registered example of that name.

    Parameters
    ----------
    text : str
        Such as ``"Bernoulli(p=0.2)"``, or ``"exponential"`` for `examples`' Exponential.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        Where there is no such model, or its parameters are wrong.

    Examples
    --------
    >>> from collapse import models
    >>> models.named("poisson(rate=3)"), models.named("least squares").truth.shape
    (Poisson(rate=3), (3,))
    """
    from collapse import models

    words = checks_text(text, "model")
    words = words if "(" in words else words.replace(" ", "_")
    name, given = named_call(words, "model", "exponential or Bernoulli(p=0.2)")
    key = name.replace("_", "").lower()
    found = [e for e in examples() if e.name.replace(" ", "").lower() == key]
    if found and not given:
        return found[0].make()
    makers = {other.lower(): getattr(models, other) for other in models.__all__}
    if key not in makers or not given:
        said = name if given else text
        known = ", ".join(e.name for e in examples() if e.group == GROUPS[0])
        raise ValueError(
            f"there is no model called {said!r}; there are {known} and others,"
            " or give parameters, as in Bernoulli(p=0.2)."
        )
    try:
        return makers[key](**given)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made with these parameters: {error}.") from error
