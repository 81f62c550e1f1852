"""closed_form(): a named workflow's ratios for many rows as a formula, its limit, its growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from math import floor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from collapse import workflows
from collapse.answers import Answer
from collapse.checks import brief, flag, held, length, require, saved, to_fraction, whole
from collapse.plan import Plan
from collapse.protocol import Recipe, is_workflow
from collapse.reservoir import Reservoir
from collapse.workflows.record import Record
from collapse.workflows.symbols import generation, renewal, sympy, trigamma

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Parts = dict[str, Any]

MOST, MOST_EXACT = 10**7, 10**4
"""Generations that `ClosedForm.values` evaluates at most, in floats and in fractions."""


@dataclass(frozen=True, eq=False)
class ClosedForm(Answer):
    """The risk ratio of a named workflow, for many rows, as a formula in the generation g.

    Parameters
    ----------
    workflow : str
        The function in `collapse.workflows`.
    parameters : dict
        What it was given, as sympy expressions; a schedule of sizes as a tuple of them.
    ratio : sympy.Expr
        Risk ratio of generation g, for every whole g >= 1.
    limit : sympy.Expr or None
        Its limit as g grows, oo where the workflow collapses; None where that depends on how a
        schedule goes on.
    reference : str
        Label of the theorem in the book.
    growth : sympy.Expr or None
        Leading term of an unbounded ratio.
    offset : sympy.Expr or None
        Limit of ratio - growth, where both exist and it is known.
    bound : sympy.Expr or None
        A number that no generation's ratio exceeds for many rows, where one is proved.
    """

    workflow: str
    parameters: Mapping[str, Any] = field(repr=False)
    ratio: Any
    limit: Any
    reference: str
    growth: Any = None
    offset: Any = None
    bound: Any = None

    def values(self, generations: int, *, exact: bool = False) -> NDArray[Any]:
        """Evaluate the ratio at g = 1, ..., generations.

        Parameters
        ----------
        generations : int
            Number of generations G.
        exact : bool, optional
            Answer in `fractions.Fraction`.

        Returns
        -------
        ndarray, shape (G,)
            Floats, or Fractions.

        Raises
        ------
        ValueError
            Where generations is no whole number between 1 and 10,000,000 (10,000 where exact), a
            parameter is a symbol, a schedule is too short, or exact=True meets an irrational
            parameter.

        Examples
        --------
        >>> import collapse
        >>> collapse.closed_form("subsample").values(4, exact=True).tolist()
        [Fraction(1, 1), Fraction(7, 4), Fraction(25, 12), Fraction(109, 48)]
        """
        G = whole(
            generations,
            "generations",
            "number of generations",
            most=MOST_EXACT if flag(exact, "exact") else MOST,
        )
        sizes: Any = self.parameters.get("size")
        schedule = sizes if isinstance(sizes, tuple) else None
        require(
            schedule is None or len(schedule) >= G - 1,
            lambda _: (
                f"the schedule has {len(sizes)} sizes, and {G} generations need {G - 1}; ask for"
                " fewer generations."
            ),
        )
        numbers = _Evaluator(exact, schedule or ())
        out = numbers(_plainer(self.ratio), {generation(): numbers.array(range(1, G + 1))})
        return np.broadcast_to(out, (G,)).copy()

    def plot(self, ax: Axes | None = None, generations: int = 50, **options: Any) -> Axes:
        """Draw the ratio of g = 1, ..., generations; `collapse.publishing.plot.plot_derived` names
        the options.
        """
        from collapse.publishing import plot

        values = self.values(generations)
        options = {"family": plot.family_of(self.workflow), **options}
        with plot.on_axes(ax, 3.2) as drawn:
            plot.plot_derived(drawn, np.arange(1, len(values) + 1), values, **options)
            drawn.set(xlabel="generation", ylabel="risk ratio")
        return drawn

    def to_json(self) -> dict[str, Any]:
        """Return the formula as text, by field; the parameters so that they can be read again."""
        written = {key: None if part is None else str(part) for key, part in vars(self).items()}
        return written | {"parameters": {k: _write(v) for k, v in self.parameters.items()}}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ClosedForm:
        """Rebuild a formula from `to_json`: it is derived anew, from the workflow's name.

        Raises
        ------
        ValueError
            Where the document is not what `to_json` wrote.
        """
        with saved("this ClosedForm"):
            name = document["workflow"]
            given = {key: _parsed(value) for key, value in document["parameters"].items()}
            for role in ("hub", "leaf") if name == "star" else (None,):
                form = closed_form(name, role=role, **given)
                if form and document | form.to_json() == document:
                    return form
        raise ValueError(f"this ClosedForm is not that of {brief(name)}; ask closed_form for it.")

    def __repr__(self) -> str:
        return f"<ClosedForm {self}>"

    def __str__(self) -> str:
        told = ", ".join(
            f"{key}={'schedule' if isinstance(value, tuple) else value}"
            for key, value in self.parameters.items()
        )
        grows = "" if self.growth is None else f", growing like {self.growth}"
        ratio = f"{self.workflow}({told}): ratio {self.ratio}, limit {self.limit}"
        return f"{ratio}{grows} ({self.reference})"


def closed_form(
    workflow: Plan | Reservoir | str, *, role: str | None = None, **parameters: Any
) -> ClosedForm | None:
    """Look up the closed form of a named workflow's risk ratio, for many rows.

    Parameters
    ----------
    workflow : Plan, Reservoir or str
        What a function in `collapse.workflows` returned, or that function's name.
    role : {"hub", "leaf"}, optional
        Whose ratio, for `star`; the hub's by default.
    **parameters
        With a name: the function's parameters without `generations`. Numbers, or sympy symbols:
        then the formula is that of the inside of the parameter's range, whose ends (a share of 0 or
        1) may have formulas of their own. Floats are read as the decimals they print as.

    Returns
    -------
    ClosedForm or None
        None where no closed form is known: for a plan typed by hand, and for workflows without one.

    Raises
    ------
    ValueError
        Where there is no such workflow or role, parameters are missing, unknown, or given beside a
        plan, or the workflow itself would refuse them (a share outside [0, 1], say).
    ImportError
        Where sympy is missing: install collapse-companion[symbolic].

    Notes
    -----
    A formula belongs to a name: whether a plan deserves its name is for `collapse.diagnose` to
    check.

    Examples
    --------
    >>> import collapse
    >>> form = collapse.closed_form(collapse.workflows.window(10, k=3))
    >>> form.limit, form.growth
    (oo, g/4)
    >>> collapse.closed_form("real_and_window", k=3).limit
    8/5
    """
    name, given = _read(workflow, parameters)
    record = workflows.NAMED.get(name)
    roles = record.roles if record else ()
    require(
        role is None or (isinstance(cast(object, role), str) and role in roles),
        lambda _: (
            "role must be 'hub' or 'leaf', and belongs to star alone; it is"
            f" {brief(role)} for {name or workflow}."
        ),
    )
    if record is None or record.closed_form is None:
        return None
    read = _checked(record, given) if isinstance(workflow, str) else given
    values = {key: _expression(value) for key, value in read.items()}
    sp, whose = sympy(), {"role": role or roles[0]} if roles else {}
    # of a schedule, whose sizes are s[2], s[3], ..., the indexed symbol
    s = sp.IndexedBase("s", positive=True)
    told = {key: s if isinstance(value, tuple) else value for key, value in values.items()}
    form = record.closed_form(sp, generation(), **told, **whose)
    parts = {key: sp.sympify(part) for key, part in form.items() if key != "reference"}
    return ClosedForm(name, values, reference=form["reference"], **parts)


def _write(value: Any) -> Any:
    """Return a parameter as JSON holds it: an expression that is no fraction as the name of its
    class in sympy, and its parts.
    """
    sp = sympy()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return [_write(part) for part in value]
    if value.is_Rational:
        return str(value)
    if isinstance(value, (sp.Symbol, sp.IndexedBase, sp.Float)):
        assumed = {} if value.is_Float else value.assumptions0
        return {type(value).__name__: str(value), "assumptions": assumed}
    return {type(value).__name__: [_write(part) for part in value.args]}


def _parsed(value: Any) -> Any:
    """Read what `_write` wrote: no text is evaluated, and nothing but an expression is made."""
    if isinstance(value, list):
        return tuple(_parsed(part) for part in value)
    if isinstance(value, dict):
        sp, (name, inside) = sympy(), next(iter(value.items()), ("", []))
        kind: Any = getattr(sp, name, None)
        if isinstance(inside, str) and kind in (sp.Symbol, sp.IndexedBase, sp.Float):
            return kind(inside, **value["assumptions"])
        parts = [_parsed(part) for part in inside]
        known = isinstance(kind, type) and issubclass(kind, sp.Expr)
        fit = (type(p) is not bool and isinstance(p, (sp.Expr, Fraction, int)) for p in parts)
        require(
            known and all(fit),
            lambda _: f"parameters must be expressions of sympy; {brief(value)} is none.",
        )
        return kind(*parts)
    if not isinstance(value, str):
        return value
    number = to_fraction(value, "parameters")
    return int(number) if number.denominator == 1 else number


def _read(workflow: Any, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of the workflow and its parameters, defaults included."""
    if is_workflow(workflow):
        require(
            not parameters,
            f"{workflow.name} has its parameters already; leave out {', '.join(parameters)}, or"
            " give the workflow's name.",
        )
        return workflow.recipe or ("", {})
    require(
        isinstance(workflow, str) and workflow in workflows.NAMED,
        lambda _: (
            "workflow must be a Plan, a Reservoir or the name of one in collapse.workflows, "
            f"such as 'augment' or 'discard'; it is {brief(workflow)}."
        ),
    )
    return workflow, workflows.NAMED[workflow].bind(parameters)


def _checked(record: Record, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they are computed with, after the workflow itself has refused what is out of
    range.
    """
    # where a parameter is a symbol: a value in its place while the others are checked
    some = {c.name: c.high if c.zero else c.default for c in record.controls}

    def number(key: str, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [number(key, v) for v in value]
        if not isinstance(value, sympy().Basic):
            return value
        if not value.is_number:
            return some.get(key, Fraction(1, 2))
        require(
            bool(value.is_real),
            lambda _: f"{key} must be a real number or a symbol; it is {value}.",
        )
        return _python(value) if value.is_Rational else float(value)

    numbers = {key: number(key, value) for key, value in given.items()}
    sizes = numbers.get("size")
    schedule = length(sizes) if hasattr(sizes, "__len__") and not isinstance(sizes, str) else 0
    held(schedule, "size", "give fewer", most=workflows.LARGEST_GENERATIONS - 1)
    read = cast(Recipe, record(1 + schedule, **numbers).recipe).parameters
    return read | {key: value for key, value in given.items() if isinstance(value, sympy().Basic)}


def _python(value: Any) -> int | Fraction:
    """A rational number of sympy."""
    return int(value) if value.is_Integer else Fraction(int(value.p), int(value.q))


def _expression(value: Any) -> Any:
    """A number or a schedule that a workflow has read, in sympy; floats as decimals."""
    if value is None or isinstance(value, (bool, sympy().Basic)):
        return value
    if isinstance(value, tuple):
        return tuple(map(_expression, value))
    return sympy().Rational(str(value) if isinstance(value, float) else value)


def _plainer(expression: Any) -> Any:
    """The same in sums and products over whole numbers, which are run up term by term."""
    sp, g = sympy(), generation()
    j = sp.Symbol("j", integer=True)

    def of_polygamma(m: Any, x: Any) -> Any:
        # from its first value and its differences, which are rational where x - g is
        steps = sp.Sum(x.subs(g, j) ** -2, (j, 1, g - 1)) if x.has(g) else 0
        return trigamma(x.subs(g, 1)) - steps

    return (
        expression.replace(sp.polygamma, of_polygamma)
        .replace(sp.harmonic, lambda n, m=1: sp.Sum(j**-m, (j, 1, n)))
        .replace(sp.binomial, lambda n, k: sp.Product(1 - sp.expand(k - n) / j, (j, 1, k)))
    )


class _Evaluator:
    """Values of an expression at whole arguments, in floats or Fractions; sums and products are run
    up once, so that a curve costs little more than its last point.
    """

    def __init__(self, exact: bool, schedule: Sequence[Any]) -> None:
        self.exact, self.known = exact, dict[tuple[int, Any], list[Any]]()
        # batches count from 1, and the first synthetic one is the second
        self.sizes = self.array([1, 1, *map(self.number, schedule)])

    def array(self, values: Any) -> NDArray[Any]:
        return (
            np.array([Fraction(v) for v in values], object)
            if self.exact
            else np.array(values, float)
        )

    def number(self, value: Any) -> Any:
        require(
            value.is_number,
            lambda _: (
                f"the formula holds {value}, which has no value; give numbers in place of symbols."
            ),
        )
        require(
            not self.exact or value.is_Rational,
            lambda _: (
                f"the formula holds {value}, and exact=True needs rationals: give int or"
                " fractions.Fraction parameters."
            ),
        )
        return Fraction(int(value.p), int(value.q)) if self.exact else float(value)

    def __call__(self, e: Any, at: dict[Any, Any]) -> Any:
        sp = sympy()
        if e in at:
            return at[e]
        if isinstance(e, (sp.Sum, sp.Product)):
            return self.run_up(e, at)
        if e.is_number and not e.has(sp.Sum, sp.Product):
            return self.number(e)
        if isinstance(e, sp.Indexed):
            return self.sizes[self.index(e.indices[0], at)]
        if isinstance(e, sp.Piecewise):
            (first, condition), (rest, _) = e.args
            here = at[condition.lhs] == int(condition.rhs)
            return np.where(here, self(first, at), self(rest, at))
        if isinstance(e, renewal()):
            return self.renewal(self.index(e.args[0], at), int(e.args[1]), self.number(e.args[2]))
        parts = [self(part, at) for part in e.args]
        if isinstance(e, sp.floor):
            # a float such as 3 * (1/3) may stand just below its whole number
            return self.array(
                np.vectorize(floor, otypes=[object])(parts[0] + (0 if self.exact else 1e-9))
            )
        operations = {sp.Add: np.add, sp.Mul: np.multiply, sp.Pow: np.power}
        operations |= {sp.Max: np.maximum, sp.Min: np.minimum}
        return reduce(operations[e.func], parts) if e.func in operations else self.number(e)

    def index(self, e: Any, at: dict[Any, Any]) -> NDArray[np.int64]:
        return np.asarray(self(e, at)).astype(np.int64)

    def run_up(self, e: Any, at: dict[Any, Any]) -> Any:
        """A sum or a product, empty where the upper end is below the lower one."""
        add = isinstance(e, sympy().Sum)
        term, (k, low, high) = e.args
        ends, low = self.index(high, at), int(self(low, at))
        last = int(np.max(ends, initial=low - 1))
        require(
            last - low < MOST,
            f"the formula adds up {last - low + 1:,} terms, and {MOST:,} are evaluated at most;"
            " take a smaller window, or derive(plan).",
        )
        terms, nothing = self.array(range(low, last + 1)), self.array([0 if add else 1])
        if (term.free_symbols - {k}) & at.keys():
            shown = (np.where(i <= ends, self(term, at | {k: i}), nothing[0]) for i in terms)
            return reduce(np.add, shown, nothing[0])
        value = np.broadcast_to(self(term, at | {k: terms}), terms.shape)
        grown = (np.cumsum if add else np.cumprod)(value)
        return np.concatenate([nothing, grown])[np.maximum(ends - low + 1, 0)]

    def renewal(self, j: NDArray[np.int64], k: int, N: Any) -> NDArray[Any]:
        u = self.known.setdefault((k, N), list(self.array([1])))
        for i in range(len(u), int(np.max(j, initial=0)) + 1):
            u.append(sum(u[max(i - k, 0) :]) / N)
        return np.where(j < 0, self.array([0])[0], self.array(u)[np.maximum(j, 0)])
