"""closed_form(): a named workflow's ratios for many rows as a formula, its limit, its growth."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from math import floor
from numbers import Rational
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import workflows
from collapse.checks import brief, flag, held, length, whole
from collapse.plan import Plan
from collapse.protocol import Workflow
from collapse.reservoir import Reservoir

Parts = dict[str, Any]

MOST, MOST_EXACT = 10**7, 10**4
"""Generations that `ClosedForm.values` evaluates at most, in floats and in fractions."""


@dataclass(frozen=True, eq=False)
class ClosedForm:
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
        sizes = self.parameters.get("size")
        if isinstance(sizes, tuple) and len(sizes) < G - 1:
            raise ValueError(
                f"the schedule has {len(sizes)} sizes, and {G} generations need {G - 1}; ask for"
                " fewer generations."
            )
        numbers = _Evaluator(exact, sizes if isinstance(sizes, tuple) else ())
        sp, g = _sympy(), generation()
        expression = self.ratio.replace(sp.polygamma, _as_sum)
        out = numbers(expression, {g: numbers.whole(range(1, G + 1))})
        return np.broadcast_to(out, (G,)).copy()

    def __str__(self) -> str:
        told = ", ".join(
            f"{key}={'schedule' if isinstance(value, tuple) else value}"
            for key, value in self.parameters.items()
        )
        grows = "" if self.growth is None else f", growing like {self.growth}"
        return (
            f"{self.workflow}({told}): ratio {self.ratio}, limit {self.limit}{grows}"
            f" ({self.reference})"
        )


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
    said: object = role
    if said is not None and not (
        name == "star" and isinstance(said, str) and said in ("hub", "leaf")
    ):
        given_for = f"it is {brief(role)} for {name or workflow}"
        raise ValueError(f"role must be 'hub' or 'leaf', and belongs to star alone; {given_for}.")
    if name not in _FORMS:
        return None
    values = {key: _expression(value, key) for key, value in given.items()}
    if isinstance(workflow, str):
        _check(name, values)
    parts = _FORMS[name](
        generation(), **values, **({"role": role or "hub"} if name == "star" else {})
    )
    sp = _sympy()
    return ClosedForm(
        name,
        values,
        **{key: sp.sympify(part) if key != "reference" else part for key, part in parts.items()},
    )


def generation() -> Any:
    """Return the symbol g, a positive whole number."""
    return _sympy().Symbol("g", integer=True, positive=True)


@cache
def _sympy() -> Any:
    try:
        import sympy
    except ImportError as error:
        raise ImportError(
            "closed forms need sympy: pip install 'collapse-companion[symbolic]'."
        ) from error
    return sympy


def _read(workflow: object, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of the workflow and its parameters, defaults included."""
    if isinstance(workflow, Workflow) and not isinstance(workflow, type):
        if parameters:
            raise ValueError(
                f"{workflow.name} has its parameters already; leave out {', '.join(parameters)}, or"
                " give the workflow's name."
            )
        return workflow.recipe or ("", {})
    name = workflow if isinstance(workflow, str) else ""
    function = getattr(workflows, name, None)
    signature = inspect.signature(function if callable(function) else _read)
    if next(iter(signature.parameters), "") != "generations":
        raise ValueError(
            "workflow must be a Plan, a Reservoir or the name of one in collapse.workflows, "
            f"such as 'augment' or 'discard'; it is {brief(workflow)}."
        )
    try:
        bound = signature.bind(1, **parameters)
    except TypeError as error:
        raise ValueError(f"{name} cannot be called with these parameters: {error}.") from error
    bound.apply_defaults()
    return name, {key: value for key, value in bound.arguments.items() if key != "generations"}


_STANDS_FOR = {"k": 1, "models": 2, "size": 1, "kappa": 1}
"""Where a parameter is a symbol: a value in its place while the others are checked; one half for
all others.
"""


def _check(name: str, values: Mapping[str, Any]) -> None:
    """Let the workflow itself refuse what is out of range."""

    def number(key: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return [number(key, v) for v in value]
        if not isinstance(value, _sympy().Basic):
            return value
        if not value.is_number:
            return _STANDS_FOR.get(key, Fraction(1, 2))
        if value.is_Integer:
            return int(value)
        if not value.is_real:
            raise ValueError(f"{key} must be a real number or a symbol; it is {value}.")
        return Fraction(int(value.p), int(value.q)) if value.is_Rational else float(value)

    given = {key: number(key, value) for key, value in values.items()}
    schedule = given.get("size")
    workflows.NAMED[name](len(schedule) + 1 if isinstance(schedule, list) else 1, **given)


def _expression(value: Any, name: str) -> Any:
    sp = _sympy()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if value is None or isinstance(value, (bool, sp.Basic)):
        return value
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)):
        held(length(value), name, "give fewer", most=workflows.LARGEST_GENERATIONS)
        return tuple(_expression(v, name) for v in value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Rational):
        return sp.Rational(int(value.numerator), int(value.denominator))
    if isinstance(value, (float, np.floating)) and np.isfinite(value):
        return sp.Rational(str(float(value)))
    one = brief(value)
    raise ValueError(f"{name}: parameters must be numbers or sympy symbols; one is {one}.")


@cache
def renewal() -> Any:
    """Return the sympy function u(j, k, N) of windows.

    u(0) = 1, u(j) = (u(j - 1) + ... + u(j - k)) / N, and 0 for negative j: the probability that a
    walk with steps uniform on 1, ..., k, each made with probability k/N, hits j.
    """
    sp = _sympy()

    class u(sp.Function):  # type: ignore[misc, name-defined]
        nargs = 3

        def _eval_rewrite_as_Sum(self, j: Any, k: Any, N: Any, **_: Any) -> Any:
            i = sp.Symbol("i", integer=True, nonnegative=True)

            def a(j: Any) -> Any:
                return sp.Sum(
                    sp.binomial(j - k * i, i) * (-1 / N) ** i * (1 + 1 / N) ** (j - (k + 1) * i),
                    (i, 0, sp.floor(j / (k + 1))),
                )

            return a(j) - a(j - 1)

        def _latex(self, printer: Any, **_: Any) -> str:
            return f"u_{{{printer._print(self.args[0])}}}"

    return u


def _as_sum(m: Any, x: Any) -> Any:
    """polygamma(1, g + c) from its first value and its differences, which are rational where c
    is.
    """
    sp, g = _sympy(), generation()
    if m != 1 or not x.has(g):
        return _trigamma(x) if m == 1 else sp.polygamma(m, x)
    j = sp.Symbol("j", integer=True)
    return _trigamma(x.subs(g, 1)) - sp.Sum(x.subs(g, j) ** -2, (j, 1, g - 1))


def _trigamma(x: Any) -> Any:
    """polygamma(1, x); of a large whole number sympy would add up that many terms."""
    return _sympy().polygamma(1, x, evaluate=not (x.is_Integer and x > 1000))


class _Evaluator:
    """Values of an expression at whole arguments, in floats or Fractions; sums are run up once, so
    that a curve costs little more than its last point.
    """

    def __init__(self, exact: bool, schedule: Sequence[Any]) -> None:
        self.exact = exact
        # batches count from 1, and the first synthetic one is the second
        self.known: dict[tuple[int, Any], list[Any]] = {}
        self.sizes = np.array(
            [1, 1, *(self.number(s) for s in schedule)], object if exact else np.float64
        )

    def number(self, value: Any) -> Any:
        if value.is_Rational:
            return Fraction(int(value.p), int(value.q)) if self.exact else float(value)
        if not value.is_number:
            raise ValueError(
                f"the formula holds {value}, which has no value; give numbers in place of symbols."
            )
        if self.exact:
            raise ValueError(
                f"the formula holds {value}, and exact=True needs rationals: give int or"
                " fractions.Fraction parameters."
            )
        return float(value)

    def whole(self, values: Any) -> NDArray[Any]:
        return (
            np.array([Fraction(int(v)) for v in values], object)
            if self.exact
            else np.array(values, np.float64)
        )

    def __call__(self, e: Any, at: dict[Any, Any]) -> Any:
        sp = _sympy()
        if e in at:
            return at[e]
        if e.is_number and not e.has(sp.Sum):
            return self.number(e)
        if isinstance(e, sp.Sum):
            return self.sum(e, at)
        if isinstance(e, sp.harmonic):
            j = sp.Symbol("j", integer=True)
            return self.sum(
                sp.Sum(j ** -(e.args[1] if len(e.args) > 1 else 1), (j, 1, e.args[0])), at
            )
        if isinstance(e, sp.Indexed):
            return self.sizes[self.index(e.indices[0], at)]
        if isinstance(e, sp.Piecewise):
            (first, condition), (rest, _) = e.args
            return np.where(
                at[condition.lhs] == int(condition.rhs), self(first, at), self(rest, at)
            )
        if isinstance(e, sp.binomial):
            top, bottom = e.args
            steps = self.whole(range(1, int(np.max(self.index(bottom, at), initial=0)) + 1))
            factors = 1 - self.number(sp.expand(bottom - top)) / steps
            return np.concatenate([self.whole([1]), np.cumprod(factors)])[self.index(bottom, at)]
        if isinstance(e, renewal()):
            return self.renewal(self.index(e.args[0], at), int(e.args[1]), self.number(e.args[2]))
        parts = [self(part, at) for part in e.args]
        if isinstance(e, sp.floor):
            # a float such as 3 * (1/3) may stand just below its whole number
            return self.whole(np.vectorize(floor)(parts[0] + (0 if self.exact else 1e-9)))
        operation = {
            sp.Add: np.add,
            sp.Mul: np.multiply,
            sp.Pow: np.power,
            sp.Max: np.maximum,
            sp.Min: np.minimum,
        }.get(e.func)
        if operation is None:
            raise ValueError(
                f"the formula holds {e}, which has no value; give numbers in place of symbols."
            )
        out = parts[0]
        for part in parts[1:]:
            out = operation(out, part)
        return out

    def index(self, e: Any, at: dict[Any, Any]) -> NDArray[np.int64]:
        return np.asarray(self(e, at)).astype(np.int64)

    def sum(self, e: Any, at: dict[Any, Any]) -> Any:
        """Empty where the upper end is below the lower one."""
        term, (k, low, high) = e.args
        ends, low = self.index(high, at), int(self(low, at))
        last = int(np.max(ends, initial=low - 1))
        if last - low >= MOST:
            raise ValueError(
                f"the formula adds up {last - low + 1:,} terms, and {MOST:,} are evaluated at most;"
                " take a smaller window, or derive(plan)."
            )
        terms = self.whole(range(low, last + 1))
        if (term.free_symbols - {k}) & at.keys():
            total: Any = self.whole([0])[0]
            for i in terms:
                total = total + np.where(i <= ends, self(term, at | {k: i}), self.whole([0])[0])
            return total
        value = np.broadcast_to(self(term, at | {k: terms}), terms.shape)
        return np.concatenate([self.whole([0]), np.cumsum(value)])[np.maximum(ends - low + 1, 0)]

    def renewal(self, j: NDArray[np.int64], k: int, N: Any) -> NDArray[Any]:
        u = self.known.setdefault((k, N), list(self.whole([1])))
        for i in range(len(u), int(np.max(j, initial=0)) + 1):
            u.append(sum(u[max(i - k, 0) :]) / N)
        return np.where(
            j < 0,
            self.whole([0])[0],
            np.array(u, object if self.exact else np.float64)[np.maximum(j, 0)],
        )


def _walk(g: Any, step: Any, reference: str) -> Parts:
    """A random walk: every generation after the first adds the same."""
    return {
        "ratio": 1 + (g - 1) * step,
        "limit": _sympy().oo,
        "growth": g * step,
        "offset": 1 - step,
        "reference": reference,
    }


def _sizes(size: Any) -> Any:
    """Of a schedule, whose sizes are s[2], s[3], ..., the indexed symbol; None for one size."""
    sp = _sympy()
    if isinstance(size, sp.IndexedBase):
        return size
    return sp.IndexedBase("s", positive=True) if isinstance(size, tuple) else None


def _discard(g: Any, size: Any) -> Parts:
    sp, s = _sympy(), _sizes(size)
    if s is None:
        return _walk(g, 1 / size, "thm-origin-discard" if size == 1 else "thm-sizes-discard")
    b = sp.Symbol("b", integer=True, positive=True)
    return {
        "ratio": 1 + sp.Sum(1 / s[b], (b, 2, g)),
        "limit": None,
        "reference": "thm-sizes-discard",
    }


def _augment(g: Any, size: Any) -> Parts:
    sp, s = _sympy(), _sizes(size)
    if s is not None:
        b, i = sp.symbols("b i", integer=True, positive=True)
        pool = 1 + sp.Sum(s[i], (i, 2, b))
        return {
            "ratio": 1 + sp.Sum(s[b] / pool**2, (b, 2, g)),
            "limit": None,
            "bound": 2,
            "reference": "thm-sizes-augment",
        }
    if size == 1:
        limit, ratio = sp.pi**2 / 6, sp.harmonic(g, 2)
    else:
        limit = 1 + _trigamma(1 + 1 / size) / size
        ratio = 1 + (_trigamma(1 + 1 / size) - sp.polygamma(1, g + 1 / size)) / size
    return {
        "ratio": ratio,
        "limit": limit,
        "bound": limit,
        "reference": "thm-origin-augment" if size == 1 else "thm-sizes-constant",
    }


def _subsample(g: Any, replace: bool) -> Parts:
    sp = _sympy()
    h, limit = sp.harmonic(g, 2), sp.pi**2 / 6
    if replace:
        return {"ratio": h, "limit": limit, "bound": limit, "reference": "thm-zoo-bootstrap"}
    return {
        "ratio": 3 * h - 2,
        "limit": 3 * limit - 2,
        "bound": 3 * limit - 2,
        "reference": "thm-origin-subsample",
    }


def _bootstrap(g: Any, share: Any) -> Parts:
    return _walk(g, 1, "thm-zoo-bootstrap")


def _contributions(g: Any, k: Any, N: Any) -> Any:
    """Sum of squares of the contributions where each fit reads N batches, the last k of them
    synthetic, and all while they are fewer.
    """
    sp, u = _sympy(), renewal()
    b, m, j = sp.symbols("b m j", integer=True, positive=True)
    early = u(g - b + 1, k, N) + sp.Sum((N - m) * u(g - m, k, N), (m, b, N - 1)) / (b * N)
    late = sp.Sum(u(j, k, N) ** 2, (j, 1, sp.Max(g - N + 1, 0)))
    return 1 + sp.Sum(early**2, (b, 2, sp.Min(N - 1, g))) + late


def _window(g: Any, k: Any) -> Parts:
    sp = _sympy()
    b = sp.Symbol("b", integer=True, positive=True)
    if k == 1:
        return _walk(g, 1, "thm-zoo-window")
    ratio, slope = _contributions(g, k, k), 4 / (k + 1) ** 2
    if k == 2:
        # the roots of the recursion are 1 and -1/2, and the sum over j is geometric
        half = sp.Rational(-1, 2)
        ratio = (
            1
            + slope * (g - 1)
            - sp.Rational(4, 27) * (1 - half ** (g - 1))
            + (1 - half ** (2 * g - 2)) / 27
        )
    early = sp.Sum((1 / b + (b - 1) / (k * (k + 1))) ** 2, (b, 1, k - 1))
    offset = (early.doit() if k.is_number and k <= 1000 else early) - 5 * (k - 1) / (k + 1) ** 2
    return {
        "ratio": ratio,
        "limit": sp.oo,
        "growth": slope * g,
        "offset": offset,
        "reference": "thm-zoo-window",
    }


def _fixed_real_share(g: Any, share: Any) -> Parts:
    reference = "thm-zoo-share"
    if share == 0:
        return _walk(g, 1, reference)
    rest = (1 - share) ** 2
    limit = 1 / (share * (2 - share))
    return {
        "ratio": (1 - rest**g) / (1 - rest) if share != 1 else 1,
        "limit": limit,
        "bound": limit,
        "reference": reference,
    }


def _real_and_window(g: Any, k: Any) -> Parts:
    sp, half = _sympy(), _sympy().Rational(1, 4)
    limit = 2 * (k + 1) / (k + 2)
    ratio = limit - (limit - 1) * half ** (g - 1) if k == 1 else _contributions(g, k, k + 1)
    return {
        "ratio": ratio,
        "limit": limit,
        "reference": "thm-zoo-anchor",
        **({"bound": sp.Rational(4, 3)} if k == 1 else {}),
    }


def _real_and_average(g: Any, share: Any) -> Parts:
    sp, reference = _sympy(), "thm-zoo-average"
    if share == 1:
        return {"ratio": 1, "limit": 1, "bound": 1, "reference": reference}
    limit = 1 + sp.pi**2 / 6
    if share == 0:
        return {
            "ratio": 1 + sp.harmonic(g - 1, 2),
            "limit": limit,
            "bound": limit,
            "reference": reference,
        }
    k = sp.Symbol("k", integer=True, positive=True)
    walk = sp.Sum(1 / (k * sp.binomial(k - share, k)) ** 2, (k, 1, g - 1))
    ratio = 1 + (1 - share) ** 2 * sp.binomial(g - 1 - share, g - 1) ** 2 * walk
    return {
        "ratio": ratio,
        "limit": 1,
        "bound": 1 + (1 - share) ** 2 * sp.pi**2 / 6,
        "reference": reference,
    }


def _fresh_real(g: Any, share: Any, kappa: Any) -> Parts:
    sp, reference = _sympy(), "thm-golden-law"
    if share is None:
        half = 1 + 1 / (2 * kappa)
        share = sp.sqrtdenest(sp.simplify(1 - half + sp.sqrt(half**2 - 1)))
    if share == 0:
        return _walk(g, 1 / kappa, reference)
    rest = (1 - share) ** 2
    limit = sp.radsimp(sp.simplify((share**2 + rest / kappa) / (share * (2 - share))))
    return {
        "ratio": limit + (1 - limit) * rest ** (g - 1) if share != 1 else 1,
        "limit": limit,
        "bound": sp.Max(1, limit),
        "reference": reference,
    }


def _mixture(g: Any) -> Parts:
    sp = _sympy()
    limit = 1 + sp.pi**2 / 6
    return {
        "ratio": 1 + sp.harmonic(g - 1, 2),
        "limit": limit,
        "bound": limit,
        "reference": "thm-zoo-mixture",
    }


def _forgetting(g: Any, memory: Any) -> Parts:
    sp, reference = _sympy(), "thm-zoo-forgetting"
    if memory == 0:
        return _walk(g, 1, reference)
    k = sp.Symbol("k", integer=True, positive=True)
    ratio = sp.Sum(((1 - memory) / (1 - memory**k)) ** 2, (k, 1, g))
    return {"ratio": ratio, "limit": sp.oo, "growth": (1 - memory) ** 2 * g, "reference": reference}


def _ring(g: Any, models: Any, share: Any) -> Parts:
    sp, a, b, M, reference = (
        _sympy(),
        share,
        1 - share,
        models,
        "thm-ecosystems-nothing" if share == 0 else "thm-ecosystems-ring",
    )
    if a == 0:
        return _walk(g, 1, reference)
    if a == 1:
        return {"ratio": 1, "limit": 1, "bound": 1, "reference": reference}
    laps = sp.floor((g - 1) / M)
    rest = g - 1 - M * laps

    def lap(times: Any) -> Any:
        return a * (1 - b ** (M * times)) / (1 - b**M)

    real = lap(laps + 1) ** 2 * (1 - b ** (2 * rest)) + lap(laps) ** 2 * (
        b ** (2 * rest + 2) - b ** (2 * M)
    )
    own = (b**rest * lap(laps) + b ** (g - 1)) ** 2
    synthetic = b**2 * (1 - b ** (2 * g - 2)) / (1 - b**2)
    limit = (a**2 * (1 + b**M) / (1 - b**M) + b**2) / (1 - b**2)
    return {"ratio": real / (1 - b**2) + own + synthetic, "limit": limit, "reference": reference}


def _all_to_all(g: Any, models: Any, share: Any, published: bool) -> Parts:
    sp, a, b, M, reference = (
        _sympy(),
        share,
        1 - share,
        models,
        "thm-ecosystems-nothing" if share == 0 else "thm-ecosystems-publish",
    )
    noise = 1 / M if published else 1 / M**2
    first = (sp.S.One, sp.Eq(g, 1))
    start = a**2 + 2 * a * b / M + 2 * b**2 / M
    if a == 0:
        ratio = sp.Piecewise(first, (start + noise * (g - 2), True))
        return {
            "ratio": ratio,
            "limit": sp.oo,
            "growth": g * noise,
            "offset": start - 2 * noise,
            "reference": reference,
        }
    limit = start + noise * b**4 / (1 - b**2)
    if a != 1:
        start = start + noise * b**4 * (1 - b ** (2 * g - 4)) / (1 - b**2)
    return {
        "ratio": sp.Piecewise(first, (start, True)),
        "limit": limit,
        "bound": sp.Max(1, limit),
        "reference": reference,
    }


def _star(g: Any, models: Any, share: Any, published: bool, role: str) -> Parts:
    sp, a, b, m, reference = _sympy(), share, 1 - share, models - 1, "thm-zoo-star"
    if a == 1:
        return {"ratio": 1, "limit": 1, "bound": 1, "reference": reference}
    down, up = (1 if published else 1 / m), 1 / m

    def hub(g: Any) -> tuple[Any, Any]:
        """Variance of the hub and its share of the leaves' real data."""
        odd = (1 - (-1) ** g) / 2
        own = (1 - b ** (2 * sp.floor(g / 2))) / (1 + b) + odd * b ** (g - 1)
        heard, told = sp.floor(g / 2), sp.floor((g - 1) / 2)
        if a == 0:
            noise = up * heard + down * told
        else:
            noise = (up * b**2 * (1 - b ** (4 * heard)) + down * b**4 * (1 - b ** (4 * told))) / (
                1 - b**4
            )
        return own**2 + (1 - own) ** 2 / m + noise, 1 - own

    def leaf(variance: Any, other: Any) -> Any:
        return a**2 + b**2 * variance + 2 * a * b * other / m + b**2

    ratio = (
        hub(g)[0]
        if role == "hub"
        else sp.Piecewise((sp.S.One, sp.Eq(g, 1)), (leaf(*hub(g - 1)), True))
    )
    if a == 0:
        return {
            "ratio": ratio,
            "limit": sp.oo,
            "growth": g * (up + down) / 2,
            "reference": reference,
        }
    limit = (1 + b**2 / m) / (1 + b) ** 2 + (up * b**2 + down * b**4) / (1 - b**4)
    return {
        "ratio": ratio,
        "limit": limit if role == "hub" else leaf(limit, b / (1 + b)),
        "reference": reference,
    }


def _reservoir(g: Any, turnover: Any) -> Parts:
    sp, reference = _sympy(), "thm-zoo-reservoir"
    if turnover is not None:
        return _walk(g, turnover * (2 - turnover), reference)
    ratio = 2 * sp.harmonic(g) - sp.harmonic(g, 2)
    return {
        "ratio": ratio,
        "limit": sp.oo,
        "growth": 2 * sp.log(g),
        "offset": 2 * sp.EulerGamma - sp.pi**2 / 6,
        "reference": reference,
    }


_FORMS: dict[str, Callable[..., Parts]] = {
    "discard": _discard,
    "augment": _augment,
    "subsample": _subsample,
    "bootstrap": _bootstrap,
    "window": _window,
    "fixed_real_share": _fixed_real_share,
    "real_and_window": _real_and_window,
    "real_and_average": _real_and_average,
    "fresh_real": _fresh_real,
    "mixture": _mixture,
    "forgetting": _forgetting,
    "ring": _ring,
    "all_to_all": _all_to_all,
    "star": _star,
    "reservoir": _reservoir,
}
