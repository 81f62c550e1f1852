"""plan_for(): the workflows that keep a promise, and what each costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from collapse import workflows
from collapse.answers import Answer
from collapse.checks import Progress, brief, check_number, choice, require, whole
from collapse.checks import progress as teller
from collapse.comparison import COSTS, Comparison, compare
from collapse.derivation import derive
from collapse.derivation.finite import at_most
from collapse.diagnosis import diagnose
from collapse.exact import Array, Numbers
from collapse.plan import Plan
from collapse.recursion import Recursion
from collapse.reservoir import Reservoir

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BILLED = 50
"""Generation at which costs are counted where a promise is for ever."""
LONGEST = 1000
"""Generations for which a promise is made, at most."""
STEPS = tuple(Fraction(i, 1000) for i in range(1, 1000))
"""Shares that are tried."""


class Ladder(NamedTuple):
    """Workflows in one number, from the cheapest up, each with less risk than the one before.

    Values are those for so many generations, or None for ever, at n rows, or None for many;
    `falling` costs fall on the way up.
    """

    name: str
    meaning: str
    make: Callable[[int, Any], Plan | Reservoir]
    values: Callable[[int | None, int | None], Sequence[Any]]
    falling: tuple[str, ...] = ()


def _named(name: str, parameter: str) -> Callable[[int, Any], Plan | Reservoir]:
    return lambda generations, value: workflows.NAMED[name](generations, **{parameter: value})


def _subsampled(generations: int, size: Fraction) -> Plan:
    """Read `size` n rows of all so far, or all of them where there are no more."""
    if size == 1:  # which has a closed form
        return workflows.subsample(generations)
    g = np.arange(1, generations + 1)
    read = np.minimum(size.numerator, size.denominator * g)
    read[0] = size.denominator
    rows = Recursion(
        Numbers.ratio(g - 1, g), Numbers.ratio(1, g), kept=Numbers.ratio(read, size.denominator * g)
    )
    plan = Plan(g - 1, np.ones_like(g), rows)
    return plan.replace(name=f"subsample of {float(size):g} n rows")


def _sizes(_: int | None, n: int | None) -> Sequence[Fraction]:
    """Rows of a batch by tenths of n, as far as they are whole rows at n, then by its multiples."""
    tenths = (Fraction(i, 10) for i in range(1, 200))
    return [size for size in tenths if n is None or size * n % 1 == 0] + [
        Fraction(i) for i in range(20, 1001)
    ]


def _reads(long: int | None, n: int | None) -> Sequence[Fraction]:
    """Rows read of all so far by tenths of n, at n at least one of each batch."""
    if long is None:
        require(
            n is None,
            "for ever a fit would come to read less than one row of a batch, as there are more"
            " and more of them; promise it for so many generations.",
        )
        return [Fraction(1)]  # a bound is proved for n rows alone
    least = 1 if n is None else -(-10 * long // n)
    return [Fraction(i, 10) for i in range(least, 10 * long + 1)]


LADDERS = (
    Ladder(
        "discard",
        "rows of each synthetic batch, as a multiple of n",
        _named("discard", "size"),
        _sizes,
    ),
    Ladder(
        "window",
        "batches kept",
        _named("window", "k"),
        lambda long, _: range(1, (long or BILLED) + 1),
    ),
    Ladder(
        "fixed_real_share",
        "weight of the real rows beside the latest synthetic batch",
        _named("fixed_real_share", "share"),
        lambda *_: STEPS,
    ),
    Ladder(
        "real_and_average",
        "weight of the real rows beside all synthetic ones",
        _named("real_and_average", "share"),
        lambda *_: STEPS,
    ),
    Ladder(
        "fresh_real",
        "weight of n new real rows beside the latest synthetic batch",
        _named("fresh_real", "share"),
        lambda *_: STEPS,
    ),
    Ladder(
        "subsample",
        "rows that a fit reads of all so far, as a multiple of n",
        _subsampled,
        _reads,
    ),
    Ladder(
        "augment",
        "rows of each synthetic batch, as a multiple of n",
        _named("augment", "size"),
        _sizes,
    ),
    Ladder(
        "reservoir",
        "share of a memory of n rows that is replaced, from all downwards",
        _named("reservoir", "turnover"),
        lambda *_: [Fraction(i, 100) for i in range(100, 0, -1)],
        ("generated",),
    ),
)


@dataclass(frozen=True, eq=False)
class Policies(Answer):
    """Policies that keep a promise, of each kind the cheapest; print it for a table.

    Attributes
    ----------
    ratio : float
        The promise: no risk ratio above it.
    generations : int or None
        In so many generations; None: in all, for ever, which is proved.
    model, n : str and int, or None
        The model and its rows, for which it is exact; None for the limit of many rows.
    cost : str
        By which of the costs the policies are sorted; the others decide between equals.
    comparison : Comparison
        The policies, and what they cost at its generation. Its ratios are those of the limit.
    largest : ndarray, shape (N,)
        Largest ratio of each policy in those generations; for ever, a bound that is proved.
    cheaper : tuple of str, length N
        The next cheaper policy of the same kind, which does not keep the promise, or of which that
        is not proved; "" where there is none.
    cheaper_largest : ndarray, shape (N,)
        Its largest ratio, for ever the supremum; inf where that is not known, NaN where there is
        none.
    broken : dict
        Kinds without a policy that keeps it, of those tried, and why.
    """

    ratio: float
    generations: int | None
    model: str | None
    n: int | None
    cost: str
    comparison: Comparison
    largest: Array
    cheaper: tuple[str, ...]
    cheaper_largest: Array
    broken: Mapping[str, str]

    @property
    def policies(self) -> tuple[Plan | Reservoir, ...]:
        """The policies, cheapest first."""
        return self.comparison.workflows

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each policy, cheapest first."""
        told = self.comparison.columns()
        return {
            "workflow": told["workflow"],
            "largest ratio": self.largest,
            **{cost: told[cost] for cost in COSTS},
            "next cheaper": list(self.cheaper),
            "its largest ratio": self.cheaper_largest,
        }

    @classmethod
    def _agree(cls, values: dict[str, Any]) -> None:
        """Raise a ValueError where a column has not one entry for each policy."""
        names = ("largest", "cheaper", "cheaper_largest")
        require(
            [len(values[name]) == len(values["comparison"].workflows) for name in names],
            lambda i: f"{names[i]} must hold an entry for each of the policies.",
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the ratios in the limit against a cost, as `Comparison.plot` does."""
        return self.comparison.plot(ax, self.cost, **options)

    @property
    def promise(self) -> str:
        """What was asked for, in words."""
        long = "for ever" if self.generations is None else f"for {self.generations} generations"
        where = "for many rows" if self.model is None else f"for {self.model} at n = {self.n:,}"
        return f"no ratio above {self.ratio:.6g} {long}, {where}"

    def __str__(self) -> str:
        at = self.comparison.generation
        worth = f"1,000 rows are worth at least {1000 / self.ratio:,.0f}"
        lines = [
            f"Policies that promise {self.promise}: {worth}.",
            f"Of each kind the cheapest; costs at generation {at}, in units of n:",
        ]
        rows = [["", "largest ratio", *COSTS, "next cheaper"]]
        for name, largest, *costs, cheaper, broken in zip(*self.columns().values(), strict=True):
            much = "not known" if np.isinf(broken) else f"{broken:.4g}"
            rows.append(
                [
                    name,
                    at_most(largest, 4),
                    *(f"{cost:.4g}" for cost in costs),
                    f"{cheaper}: {much}" if cheaper else "none",
                ]
            )
        width = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *middle, last in rows:
            cells = map(str.rjust, middle, width[1:-1])
            lines.append("  ".join([first.ljust(width[0]), *cells, last]))
        return "\n".join([*lines, *(f"No {kind}: {why}" for kind, why in self.broken.items())])

    def __repr__(self) -> str:
        return f"<Policies ({len(self.policies)}) that promise {self.promise}>"


def plan_for(
    *,
    ratio: float | None = None,
    worth: float | None = None,
    loss: float | None = None,
    generations: int | None = None,
    model: Any = None,
    n: int | None = None,
    kappa: float | None = None,
    cost: str = "read",
    progress: bool | Progress | None = None,
) -> Policies:
    """Find the policies that keep a promise: of each kind the cheapest.

    The least weight of real rows, the smallest memory, the fewest rows read, the most that a memory
    may replace. Give the promise in one of three ways.

    Parameters
    ----------
    ratio : float, optional
        No risk ratio above this, a number greater than 1.
    worth : float, optional
        1,000 real rows are worth at least so many, a number below 1,000: the ratio 1,000 / worth.
    loss : float, optional
        The loss rises by at most this, to first order: the ratio 1 + loss n / kappa.
    generations : int, optional
        Keep it in generations 1 to this one. Default: in all, for ever; then a bound must be
        proved.
    model : model, optional
        One whose risk `derive` knows exactly at n. Default: the limit of many rows.
    n : int, optional
        Rows of real data; needed with a model and with a loss.
    kappa : float, optional
        Excess loss of a fit to n real rows, times n: half the number of parameters for a model's
        own log-loss. Needed with a loss.
    cost : {"read", "stored", "peak", "generated", "real"}
        By which cost the policies are sorted.
    progress : callable or bool, optional
        Called as progress(done, total) in kinds of policies. True: tell on stderr.

    Returns
    -------
    Policies
        Prints as a table; `.policies` are plans.

    Raises
    ------
    ValueError
        Where not one promise is given, or an argument is out of range.

    Notes
    -----
    Each kind is a ladder of workflows in one number, from the cheapest up: shares in steps of
    0.001 (`reservoir`: 0.01), subsamples in steps of n / 10 rows (for ever n
    rows alone, for which a bound is proved), batches in steps of n / 10 rows up to 20 n, then of
    n; with a model only those of whole rows at n. Along each the
    largest ratio falls, so that bisection finds the first that keeps the promise; that it does is
    derived, by `derive` in so many generations and by `diagnose` for ever, and
    that the one before does not; for ever, some bounds that are proved are not the least, and then
    it might. A memory that replaces less generates less: by cost="generated" the reservoir that
    replaces least is the cheapest. Rows of fresh_real cost n real rows in each generation.

    Examples
    --------
    >>> import collapse
    >>> answer = collapse.plan_for(ratio=1.5, generations=20)
    >>> answer.policies[0].name, answer.policies[-1].name
    ('reservoir(turnover=1/100)', 'discard(size=38)')
    """
    given = [one for one in (ratio, worth, loss) if one is not None]
    require(
        len(given) == 1, "give one promise: a ratio such as 1.5, or worth (of 1,000 rows), or loss."
    )
    require(
        (loss is None) == (kappa is None) and (loss is None or n is not None),
        "a loss needs n and kappa, such as loss=0.001, n=1000, kappa=5; nothing else takes kappa.",
    )
    require(
        n is None or model is not None or loss is not None,
        "n needs a model, such as collapse.models.Exponential(1), or a loss.",
    )
    rows = None if n is None else whole(n, "n", "rows of real data")
    if worth is not None:
        require(
            0 < float(check_number(worth, "worth")) < 1000,
            "worth (of 1,000 real rows) must be a number between 0 and 1,000; it is"
            f" {brief(worth)}.",
        )
        bound = 1000 / float(worth)
    elif loss is not None and rows is not None:
        rise, of = float(check_number(loss, "loss")), float(check_number(kappa, "kappa"))
        require(
            rise > 0 and of > 0,
            f"loss and kappa must be numbers greater than 0; they are {brief(loss)} and"
            f" {brief(kappa)}.",
        )
        bound = 1 + rise * rows / of
    else:
        bound = float(check_number(ratio, "ratio"))
        require(bound > 1, f"ratio must be a number greater than 1; it is {brief(ratio)}.")
    choice(cost, "cost", tuple(COSTS))
    long = generations
    if long is not None:
        long = whole(long, "generations", "in which to keep it", least=2, most=LONGEST)
    G, at_n = long or BILLED, rows if model is not None else None

    def largest(workflow: Plan | Reservoir, *, least: bool = False) -> float:
        """Largest ratio, or for ever a bound; the `least` one or inf, where none less is right."""
        if long is not None:
            return float(np.max(derive(workflow, model=model, n=at_n).ratio))
        found = diagnose(workflow, model=model, n=at_n)
        parts = [found.supremum] if least else [found.bound, found.supremum]
        return min((part for part in parts if part is not None and found.certified), default=inf)

    tell = teller(progress)
    largest(workflows.discard(G))  # what nothing is known of at n is refused here, in words
    found: list[tuple[Plan | Reservoir, float, str, float]] = []
    broken: dict[str, str] = {}
    for done, ladder in enumerate(LADDERS):
        tell(done, len(LADDERS))
        try:
            values = ladder.values(long, at_n)
            step = _first(lambda i: largest(ladder.make(G, values[i])), len(values), bound)  # noqa: B023
        except ValueError as error:  # the model has no exact law there, or no whole rows
            broken[ladder.name] = str(error)
            continue
        if step is None:
            best = ladder.make(G, values[-1])
            if long is None:
                told = f"has no bound as small. {diagnose(best, model=model, n=at_n).judged}"
            else:
                told = f"reaches {largest(best):.4g}."
            broken[ladder.name] = f"the best, {best.name}, {told}"
            continue
        step = len(values) - 1 if cost in ladder.falling else step
        kept = ladder.make(G, values[step])
        below = ladder.make(G, values[step - 1]) if step and cost not in ladder.falling else None
        found.append(
            (
                kept,
                largest(kept),
                below.name if below else "",
                largest(below, least=True) if below else np.nan,
            )
        )
    tell(len(LADDERS), len(LADDERS))
    require(
        bool(found),
        "no policy that is tried keeps this promise: ask for a larger ratio, or for fewer"
        " generations.",
    )
    table = compare([row[0] for row in found], generation=G)
    by = [cost, *(other for other in ("read", "stored", "real") if other != cost)]
    order = np.lexsort([[row[1] for row in found], *(getattr(table, one) for one in by[::-1])])
    found = [found[i] for i in order]
    plans, reached_by, names, theirs = zip(*found, strict=True)
    return Policies(
        ratio=bound,
        generations=long,
        model=None if model is None else derive(plans[0], model=model, n=at_n).model,
        n=rows,
        cost=cost,
        comparison=compare(list(plans), generation=G),
        largest=np.array(reached_by),
        cheaper=names,
        cheaper_largest=np.array(theirs),
        broken=broken,
    )


def _first(largest: Callable[[int], float], count: int, bound: float) -> int | None:
    """First step whose largest ratio is within the bound; None where the last one's is not."""
    within = bound * (1 + 1e-12)
    if largest(count - 1) > within:
        return None
    low, high = -1, count - 1
    while high - low > 1:
        middle = (low + high) // 2
        if largest(middle) <= within:
            high = middle
        else:
            low = middle
    return high
