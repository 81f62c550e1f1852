"""optimal_weights(): the weights that make a plan's risk smallest on the batches it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from collapse.answers import Answer
from collapse.checks import choice, flag, require
from collapse.derivation import derive
from collapse.exact import Array, Scalar
from collapse.plan import Plan, checked_plan
from collapse.workflows.tables import read_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Origin = Literal["known", "round", "unknown"]

LARGEST = 30_000
"""Weights that `optimal_weights` chooses at most: a minute's work."""
STEPS = 5000
"""Walks after which `optimal_weights` gives up."""
UNUSED = 1e-13
"""A fit that the last one depends on with less than this is not used by it."""


@dataclass(frozen=True, eq=False)
class Optimum(Answer):
    """Weights that minimise risk, and how far they can be from the minimum.

    Attributes
    ----------
    plan : Plan
        The batches of the plan that was given, with the best weights.
    solved : str
        "joint": all rows of weights together, for the last fit's risk. "greedy": one row after the
        other, each for its own fit's risk, given those before.
    risk : float
        Risk of the last fit, in units of that of a fit to n real rows: `derive(plan).risk[-1]`.
    bound : float
        Proved lower bound, up to rounding: no weights on these batches under these constraints
        bring the last fit's risk below it. For greedy weights, given the earlier rows.
    residual : float
        Largest residual of the Karush-Kuhn-Tucker conditions over the programmes solved, relative
        to the risk: how much, to first order, moving weight to one other place could still gain.
    """

    plan: Plan
    solved: str
    risk: float
    bound: float
    residual: float

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each weight that a fit gives to a batch, both
        counted from 1.
        """
        fit, batch = np.nonzero(self.plan.weight)
        return {
            "fit": fit + 1,
            "batch": batch + 1,
            "source": self.plan.source[batch],
            "size": self.plan.size[batch],
            "weight": self.plan.weight[fit, batch],
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the ratio of the best weights against the generation, as `Risk.plot` does."""
        return derive(self.plan).plot(ax, **options)

    def __repr__(self) -> str:
        return (
            f"<Optimum ({self.solved}) of {self.plan.name}: risk {self.risk:.6g}, at least"
            f" {self.bound:.6g}>"
        )


def optimal_weights(
    plan: Plan, *, synthetic: Scalar = 0, origin: Origin = "known", greedy: bool = False
) -> Optimum:
    """Find the weights that minimise the risk of a plan's last fit.

    Parameters
    ----------
    plan : Plan
        Says what each fit may read: the batches to which it gives weight, by what share it reads
        them. Its weights themselves do not matter. At most k batches stored: `workflows.window(G,
        k)` for the last k, `workflows.real_and_window(G, k - 1)` for the real one and the last k -
        1; `workflows.augment(G)` stores everything, `workflows.fresh_real(G)` has new real rows in
        each round and forgets the old ones.
    synthetic : float or Fraction, optional
        Smallest share in [0, 1] of each fit's weight that lies on synthetic batches, wherever a fit
        reads any. Default 0.
    origin : {"known", "round", "unknown"}, optional
        What the trainer can tell apart. "known": every batch has a weight of its own. "round": rows
        that came before the same generation, real or synthetic, have equal weights. "unknown": all
        rows that a fit reads have equal weights, nothing is left to choose.
    greedy : bool, optional
        False: choose all rows of weights together, for the last fit. True: choose each row for its
        own fit, given those before it; such weights serve every generation and do not look ahead.

    Returns
    -------
    Optimum
        The plan with its best weights, their risk, a lower bound, and the residual of the
        optimality conditions.

    Raises
    ------
    ValueError
        Where an argument is out of range, the share cannot be reached, or the plan is too large.

    Notes
    -----
    Greedy: given the earlier rows, risk is a convex quadratic form in the weights of one fit.
    Joint: risk is not convex in the weights of all fits, but it is in the flow f[g, b] =
    (dependence of the last fit on fit g) * weight[g, b]: the last fit's risk is the sum of c_b^2 /
    size_b with c_b = sum_g f[g, b], flows are the solutions of linear equations, and the
    constraints above are linear in them. Both are problems of the point of a polytope nearest to
    the origin: Wolfe's method (Mathematical Programming 11, 1976), with `scipy.optimize.nnls` for
    each hull, and shortest walks from the last fit back to the real data for its next corner. The
    bound is the distance of the hyperplane through the cheapest corner.

    References
    ----------
    He, Xu and Cheng (2025), arXiv 2502.18049, for constant weights of fresh real rows; the
    row-by-row and joint optima are worked out in the chapter on the golden ratio.

    Examples
    --------
    With fresh real rows in each round the best risks are 1/1, 2/3, 5/8, 13/21, 34/55: Fibonacci
    numbers.

    >>> import collapse
    >>> best = collapse.optimal_weights(collapse.workflows.fresh_real(5))
    >>> best
    <Optimum (joint) of best weights on fresh_real: risk 0.618182, at least 0.618182>
    >>> (collapse.derive(best.plan).risk * [1, 3, 8, 21, 55]).round(9).tolist()
    [1.0, 2.0, 5.0, 13.0, 34.0]
    """
    checked_plan(plan, "plan")
    meaning = "smallest share of the weight on synthetic batches"
    synthetic = read_share(synthetic, f"synthetic ({meaning})")
    choice(origin, "origin", get_args(Origin))
    greedy = flag(greedy, "greedy")
    G, B = plan.generations, plan.batches
    require(
        G * B <= 100 * LARGEST and np.count_nonzero(plan.weight) <= LARGEST,
        f"{plan.name} has {G:,} fits and {B:,} batches; optimal_weights chooses up to {LARGEST:,}"
        f" weights, in a table of up to {100 * LARGEST:,} entries. Take fewer generations, or a"
        " workflow that reads fewer batches.",
    )
    rows = _rows(plan, float(synthetic), origin)
    weight, bound, residual = (_greedy if greedy else _joint)(plan, rows)
    told = (
        [f"synthetic={synthetic}"] * (synthetic != 0)
        + [f"origin={origin}"] * (origin != "known")
        + ["greedy"] * greedy
    )
    name = f"best weights on {plan.name}" + (f" ({', '.join(told)})" if told else "")
    best = plan.replace(weight=weight, kept=plan.exact_kept(plan.rational), name=name)
    risk = float(derive(best).risk[-1])
    return Optimum(best, "greedy" if greedy else "joint", risk, min(bound, risk), residual)


class _Row(NamedTuple):
    """What one fit may choose: mixtures of corners, each of which mixes two groups of batches, (1 -
    t) of one and t of the other.
    """

    batch: NDArray[np.int64]
    group: Array  # (m, groups), columns sum to one
    one: NDArray[np.int64]
    other: NDArray[np.int64]
    t: Array
    source: NDArray[np.int64]
    draw: Array  # (m,), variance that reading part of the batch adds, for a weight of one

    def corners(self, at: Any = slice(None)) -> Array:
        """Weights of every corner, shape (m, corners), or of those at some places."""
        one, other, t = self.group[:, self.one[at]], self.group[:, self.other[at]], self.t[at]
        return np.asarray(one * (1 - t) + other * t)

    def cheapest(self, cost: Array) -> tuple[float, Array]:
        """Cheapest corner where a weight of one on batch i costs cost[i]: its cost, its weights
        (m,).
        """
        each = cost @ self.group
        total = (1 - self.t) * each[self.one] + self.t * each[self.other]
        best = int(np.argmin(total))
        return float(total[best]), self.corners(best)


def _rows(plan: Plan, synthetic: float, origin: Origin) -> list[_Row]:
    weight, kept, size = plan.weight, plan.kept, plan.size
    first, _ = plan.reading
    came = np.where(
        plan.source > 0, plan.generation[plan.source - 1] + 1, plan.generation[np.maximum(first, 0)]
    )
    draw = (1 / kept if plan.replace else 1 / kept - 1) / size
    out = []
    for g in range(plan.generations):
        batch = np.flatnonzero(weight[g])
        label = {
            "known": np.arange(len(batch)),
            "round": came[batch],
            "unknown": np.zeros(len(batch)),
        }[origin]
        group = (label[:, None] == np.unique(label)) * (kept[g] * size)[batch, None]
        group = group / group.sum(axis=0)
        share = (plan.source[batch] > 0) @ group
        # fits that read real rows alone have nothing to choose there
        least = min(synthetic, 1.0) if share.max() > 0 else 0.0
        enough = share >= least - 1e-12
        require(
            bool(enough.any()),
            f"fit {g + 1} cannot put {least:g} of its weight on synthetic rows: at most"
            f" {share.max():g} where their origin is {origin}; lower synthetic, or make the"
            " synthetic batches larger.",
        )
        alone = np.flatnonzero(enough)
        pairs = np.meshgrid(np.flatnonzero(~enough), alone, indexing="ij")
        i, j = (part.ravel() for part in pairs)
        one, other = np.append(alone, i), np.append(alone, j)
        t = np.append(np.ones(len(alone)), (least - share[i]) / (share[j] - share[i]))
        out.append(
            _Row(batch, group, one, other, np.minimum(t, 1.0), plan.source[batch], draw[g, batch])
        )
    return out


def _nearest(corners: Array) -> tuple[Array, float]:
    """Point of the hull of the columns nearest to the origin: weights of the columns, and its
    squared distance.

    min |P x|^2 + (1'x - 1)^2 over x >= 0 has its minimum at a multiple of the weights: scaling them
    by t costs t^2 d + (t - 1)^2.
    """
    from scipy.optimize import nnls

    P = np.vstack([corners, np.ones(corners.shape[1])])
    x, _ = nnls(P, np.append(np.zeros(len(corners)), 1.0), maxiter=30 * P.shape[1])
    x = x / x.sum()
    point = corners @ x
    return x, float(point @ point)


def _greedy(plan: Plan, rows: list[_Row]) -> tuple[Array, float, float]:
    """Row by row. An error is a vector of independent noises, of batches and then of fits' draws,
    in units of variance one.
    """
    G, B = plan.generations, plan.batches
    error, weight, worst, bound = np.zeros((G, B + G)), np.zeros((G, B)), 0.0, 0.0
    for g, row in enumerate(rows):
        mean = np.where(row.source[:, None] > 0, error[row.source - 1], 0.0)
        mean[np.arange(len(mean)), row.batch] += 1 / np.sqrt(plan.size[row.batch])
        corners = row.corners()
        points = np.vstack([mean.T @ corners, np.sqrt(row.draw)[:, None] * corners])
        x, risk = _nearest(points)
        w = corners @ x
        weight[g, row.batch] = w = w / w.sum()
        error[g] = w @ mean
        error[g, B + g] = np.sqrt(w**2 @ row.draw)
        touch = float(((points @ x) @ points).min())
        worst, bound = max(worst, 1 - touch / risk), max(touch, 0.0) ** 2 / risk
    return weight, bound, max(worst, 0.0)


def _joint(plan: Plan, rows: list[_Row]) -> tuple[Array, float, float]:
    """All rows: flows are mixtures of walks from the last fit back to real data; add the cheapest
    walk until none is cheaper.
    """
    G, B = plan.generations, plan.batches
    size, start = plan.size, np.cumsum([0, *(len(row.batch) for row in rows)])
    batch, draw = (np.concatenate([getattr(r, part) for r in rows]) for part in ("batch", "draw"))
    drawn = np.flatnonzero(draw)

    def walk(price: Array) -> tuple[Array, list[Array]]:
        """Cheapest flow (entries,) where each entry has a price, and what every fit would
        choose.
        """
        value, choice = np.zeros(G + 1), []
        for g, row in enumerate(rows):
            value[g + 1], w = row.cheapest(price[start[g] : start[g + 1]] + value[row.source])
            choice.append(w)
        flow, visits = np.zeros(start[-1]), np.zeros(G + 1)
        visits[G] = 1.0
        for g in range(G, 0, -1):
            if visits[g]:
                part = slice(start[g - 1], start[g])
                flow[part] = visits[g] * choice[g - 1]
                np.add.at(visits, rows[g - 1].source, flow[part])
        return flow, choice

    def point(flow: Array) -> Array:
        return np.concatenate(
            [np.bincount(batch, flow, B) / np.sqrt(size), flow[drawn] * np.sqrt(draw[drawn])]
        )

    def price(at: Array) -> Array:
        out = (at[:B] / np.sqrt(size))[batch]
        out[drawn] += at[B:] * np.sqrt(draw[drawn])
        return np.asarray(out)

    flows, last = [walk(1 / size[batch])[0]], np.inf
    points = [point(flows[0])]
    for _ in range(STEPS):
        x, risk = _nearest(np.array(points).T)
        flows, points = ([part[i] for i in np.flatnonzero(x)] for part in (flows, points))
        flow = np.array(x[x > 0] @ np.array(flows))
        at = point(flow)
        new, choice = walk(price(at))
        touch = float(point(new) @ at)
        if risk - touch <= 1e-12 * risk or risk >= last:
            break
        last = risk
        flows.append(new)
        points.append(point(new))
    else:
        raise ValueError(
            f"optimal_weights did not converge in {STEPS} steps on {plan.name}; take fewer"
            " generations, or greedy=True."
        )
    weight = np.zeros((G, B))
    for g, row in enumerate(rows):  # where the flow does not pass, what a fit would choose
        part = flow[start[g] : start[g + 1]]
        w = part if part.sum() > UNUSED else choice[g]
        weight[g, row.batch] = w / w.sum()
    return weight, max(touch, 0.0) ** 2 / risk, max(1 - touch / risk, 0.0)
