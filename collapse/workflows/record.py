"""One record for each named workflow, written at its function: whatever speaks of named workflows
(plots, commands, closed forms, explorers, the zoo) reads it here.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from collapse import checks
from collapse.checks import check_number, named_call, require, to_text
from collapse.plan import Plan
from collapse.protocol import Recipe
from collapse.reservoir import Reservoir
from collapse.workflows.tables import READERS

F = TypeVar("F", bound=Callable[..., Plan | Reservoir])


@dataclass(frozen=True)
class Control:
    """One handle by which readers set a parameter.

    Parameters
    ----------
    name : str
        Name in Python, in a page's address and in JavaScript's state.
    label : str
        What readers see.
    default : str, bool, int or float
        Value shown first. Its type is the control's: a choice, a switch, or a slider of whole
        numbers or of any.
    low, high, step : float
        Ends and step of a slider.
    values : tuple of float
        Where a slider stops, if not at equal steps: between its ends, in rising order.
    choices : tuple of str
        Of a choice.
    unit : {"", "percent", "rows"}
        How the slider's number is written.
    zero : str
        What a slider says at 0 in place of the number: 0 stands for the function's own default.
    workflows : tuple of str
        The control is there only while the explorer's choice `workflow` is one of these; () for
        always.
    seed : bool
        A whole number for which there is no slider but a button, that takes the next one.
    """

    name: str
    label: str
    default: Any
    low: float = 0
    high: float = 1
    step: float = 0.01
    values: tuple[float, ...] = ()
    choices: tuple[str, ...] = ()
    unit: str = ""
    zero: str = ""
    workflows: tuple[str, ...] = ()
    seed: bool = False


RATIOS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0)
SIZE = Control("size", "Rows of a batch, in n", 1.0, 0.1, 10, values=RATIOS)
SHARE = Control("share", "Weight of real data", 0.1, unit="percent")
WINDOW = Control("k", "Batches in the window", 3, 1, 50, 1)
MODELS = Control("models", "Models", 3, 2, 5, 1)
PUBLISHED = Control("published", "One batch published for all", True)


@dataclass(frozen=True, eq=False)
class Record:
    """A named workflow.

    Parameters
    ----------
    function : callable
        From the number of generations and the parameters to a plan or a reservoir.
    family : str
        The family of workflows whose hue it takes, one of `collapse.publishing.plot.HUES`.
    meaning : str
        What it does with the parameters chosen, as the text of a JavaScript template.
    tables : str
        Its tables in JavaScript, an expression in G and the parameters (see collapse.js).
    controls : tuple of Control
        The parameters on which its ratio depends, as explorers set them.
    closed_form : callable, optional
        From sympy, the symbol g and the parameters to the parts of a `collapse.ClosedForm`.
    roles : tuple of str
        Whose ratio the closed form can give, where the models of a generation differ.
    thinned : callable, optional
        From sympy, the symbols g and kept, and the parameters to the ratio's limit, or its leading
        term in g where it grows, if each fit after the first reads only the share `kept` of its
        rows.
    """

    function: Callable[..., Plan | Reservoir]
    family: str
    meaning: str
    tables: str
    controls: tuple[Control, ...] = ()
    closed_form: Callable[..., dict[str, Any]] | None = None
    roles: tuple[str, ...] = ()
    thinned: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def sentence(self) -> str:
        """What it does, the first sentence of the function's documentation."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    @property
    def options(self) -> dict[str, Any]:
        """Parameters without `generations`: name and default, `inspect.Parameter.empty` if none."""
        _, *options = inspect.signature(self.function).parameters.values()
        return {option.name: option.default for option in options}

    @property
    def defaults(self) -> dict[str, Any]:
        """Values that the controls show first."""
        return {control.name: control.default for control in self.controls}

    def __call__(self, *args: Any, **parameters: Any) -> Plan | Reservoir:
        return self.function(*args, **parameters)

    def at(self, state: Mapping[str, Any], generations: int) -> Plan | Reservoir:
        """Make the workflow with the values that its controls have in a state."""
        given = {c.name: state[c.name] for c in self.controls if c.name in state}
        for control in self.controls:
            if control.zero and given.get(control.name) == 0:
                del given[control.name]
        return self(generations, **given)

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters with their defaults.

        Raises
        ------
        ValueError
            Where one is unknown or missing.
        """
        options, name, keys = self.options, self.name, [*given]
        require(
            [key in options for key in keys],
            lambda i: (
                f"{name} has no parameter {keys[i]!r}; it has {', '.join(options) or 'none'}."
            ),
        )
        bound = options | dict(given)
        missing = [key for key, value in bound.items() if value is inspect.Parameter.empty]
        require(
            not missing,
            lambda _: f"{name} needs {' and '.join(missing)}, such as {name}({missing[0]}=...).",
        )
        return bound


NAMED: dict[str, Record] = {}
"""Every named workflow."""


def workflow(**record: Any) -> Callable[[F], F]:
    """Make a function a named workflow: it is called with parameters that were read, what it
    returns carries its name and recipe, and its record stands in `NAMED`.

    Parameters
    ----------
    **record
        Its `Record`, but for the function.
    """

    def named(function: F) -> F:
        signature = inspect.signature(function)

        @wraps(function)
        def make(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = {
                key: READERS.get(key, cast(Any, check_number))(value, key)
                for key, value in bound.arguments.items()
                if value is not None or signature.parameters[key].default is not None
            }
            made = function(**given)
            given = {key: given.get(key) for key in kind.options}
            told = ", ".join(
                f"{key}={'schedule' if isinstance(value, tuple) else to_text(value)}"
                for key, value in given.items()
                if value != signature.parameters[key].default
            )
            made.__dict__.update(
                name=f"{kind.name}({told})" if told else kind.name, recipe=Recipe(kind.name, given)
            )
            return made

        kind = NAMED[function.__name__] = Record(make, **record)
        return cast(F, make)

    return named


def named(text: str, generations: int) -> Plan | Reservoir:
    """Make a workflow from its name and parameters, written as a plan's name is: "window(k=3)".

    Parameters
    ----------
    text : str
        One of `NAMED`, with parameters in parentheses: numbers, fractions such as 1/3, lists.
    generations : int
        Number of generations.

    Returns
    -------
    Plan or Reservoir

    Raises
    ------
    ValueError
        Where the text is no such name, or a parameter is unknown, missing or out of range.

    References
    ----------
    The workflow's own.

    Examples
    --------
    >>> named("fixed_real_share(share=1/4)", 3)
    <Plan fixed_real_share(share=1/4): 3 fits, 3 batches>
    """
    such = "window(k=3) or fixed_real_share(share=1/4)"
    name, given = named_call(checks.text(text, "text"), "workflow", such)
    require(name in NAMED, f"there is no workflow called {name!r}; there are {', '.join(NAMED)}.")
    return NAMED[name](generations, **NAMED[name].bind(given))
