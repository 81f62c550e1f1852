"""Which worlds are consistent with logged losses, and what would be seen in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.auditing.laws import Law
from collapse.exact import Array

DOUBT = 0.01
"""Chance that the true world is left out of those that count as consistent."""
FAR = 20.0
"""Log-likelihood ratio beyond which a world is not simulated."""
TIE = 1e-9
"""Log-likelihood ratios nearer than that are the same: of two workflows alike so far."""


@dataclass(frozen=True, eq=False)
class World:
    """One world that the losses do not contradict.

    Attributes
    ----------
    index : int
        Among the law's unknowns.
    draws : ndarray, shape (S, R, H)
        Losses drawn in it.
    pivot : ndarray, shape (S,)
        The most likely scale of each draw, in units of the true one.
    """

    index: int
    draws: Array
    pivot: Array


def consistent(
    law: Law,
    losses: Array,
    replications: int,
    rng: np.random.SeedSequence | int,
    most: int | None = None,
) -> list[World]:
    """Return the worlds that losses (R, G) do not contradict, the most likely one first: those
    whose likelihood ratio lies where all but `DOUBT` of their own draws have theirs.

    With `most`, at most so many, those of the extreme degrees of freedom among them. A number in
    place of a seed sequence names streams that a page can repeat, one for each world.
    """
    R, G = losses.shape
    seen = law.fit(losses[None])[0][0, :, G - 1]
    order = np.argsort(-seen)
    if most is not None:
        near = order[seen[order] > seen.max() - 3]
        nu, linear = law.unknowns.nu[near], law.unknowns.linear[near]
        ends = [near[pick(part)] for part in (nu, linear) for pick in (np.argmin, np.argmax)]
        order = np.array(list(dict.fromkeys([*order[:2], *ends])))[:most]
    out: list[World] = []
    streams: list[Any] = (
        [np.random.RandomState(rng + int(world)) for world in order]
        if isinstance(rng, int)
        else [np.random.default_rng(seed) for seed in rng.spawn(len(order))]
    )
    for stream, world in zip(streams, order, strict=True):
        behind = seen.max() - seen[world]
        if behind > FAR:
            break
        draws = law.draw(int(world), (replications, R), stream)
        likelihood, scale = law.fit(draws[..., :G])
        rivals = likelihood[..., -1].max(1) - likelihood[:, world, -1]
        if not out or share(rivals >= behind) > DOUBT:
            out.append(World(int(world), draws, scale[:, world, -1]))
    return out


def share(more: NDArray[np.bool_]) -> float:
    """A p-value: the share of draws that are as extreme, the observed one counted among them."""
    return float((1 + np.count_nonzero(more)) / (1 + len(more)))


def least_p(replications: int, kappa: bool) -> float:
    """Return the least p-value that so many draws in each world can give; with a known `kappa` two
    tests share it.
    """
    return (1 + kappa) * (DOUBT + 1 / (1 + replications))


def surplus(law: Law, others: Sequence[Law], losses: Array) -> Array:
    """Return by how much the most likely of the other laws is more likely than this one, by number
    of generations, shape (S, G); 0 while there are fewer than three losses.
    """
    best = [one.fit(losses)[0].max(1) for one in others]
    return np.asarray(np.max(best, axis=0) - law.fit(losses)[0].max(1))


def p_values(
    law: Law, others: Sequence[Law], losses: Array, worlds: Sequence[World], horizon: int
) -> tuple[float, Array]:
    """Return the p-value of a law against others, and p-values after each generation that hold
    whenever one stops, up to the first `horizon` of them, shape (G,).

    The second compares the largest surplus so far with the largest that a world shows up to the
    horizon: its error rate is that of the whole course.
    """
    G = losses.shape[1]
    seen = surplus(law, others, losses[None])[0]
    last, ever = np.zeros(len(worlds)), np.zeros((len(worlds), G))
    for k, world in enumerate(worlds):
        drawn = surplus(law, others, world.draws[..., :horizon])
        last[k] = share(drawn[:, G - 1] >= seen[-1] - TIE)
        most = drawn.max(1)
        ever[k] = [share(most >= now) for now in np.maximum.accumulate(seen)]
    return min(1.0, last.max() + DOUBT), np.minimum(1.0, ever.max(0) + DOUBT)


def scales(
    law: Law, losses: Array, worlds: Sequence[World], level: float, error: float
) -> tuple[float, float, float]:
    """Return the scale kappa / n, and the ends of its interval: the union over consistent worlds of
    what each allows.

    `error` is the logging error: a world in which it is known in units of the scale holds for
    scales near the one that this tells.
    """
    G, unknowns = losses.shape[1], law.unknowns
    seen = law.fit(losses[None])[1][0, :, G - 1]
    tail = (1 - level - DOUBT) / 2
    low, high = np.inf, 0.0
    cells = np.unique(unknowns.noise)
    for world in worlds:
        below, above = seen[world.index] / np.quantile(world.pivot, [1 - tail, tail])
        if error > 0:
            at = error / np.sqrt(unknowns.noise[world.index])
            place = int(np.searchsorted(cells, unknowns.noise[world.index]))
            edge = np.sqrt(2)
            # the largest noise stands for scales down to none at all
            below = 0.0 if place == len(cells) - 1 and below < at * edge else max(below, at / edge)
            above = above if place == 0 else min(above, at * edge)
        if below <= above:
            low, high = min(low, below), max(high, above)
    best = float(seen[worlds[0].index])
    return best, float(min(low, best)), float(max(high, best))


def scale_p(law: Law, losses: Array, worlds: Sequence[World], scale: float) -> float:
    """Return the p-value of a scale that is known beforehand."""
    seen = law.fit(losses[None])[1][0, :, losses.shape[1] - 1]
    found = []
    for world in worlds:
        ratio = seen[world.index] / scale
        found.append(2 * min(share(world.pivot >= ratio), share(world.pivot <= ratio)))
    return min(1.0, max(found) + DOUBT)


def foreseen(
    law: Law, losses: Array, worlds: Sequence[World], at: int, levels: tuple[float, float]
) -> tuple[float, float, float]:
    """Return the mean loss over runs at the course's place `at`, and its band: the union over
    consistent worlds.
    """
    G = losses.shape[1]
    out = []
    for world in worlds:
        floor_by, scale_by, pull = law.prediction(world.index, law.mean[at], law.C[at, :G])

        def guess(
            sets: Array,
            k: int = world.index,
            by: tuple[float, float] = (floor_by, scale_by),
            pull: Array = pull,
        ) -> tuple[Array, Array]:
            scale = law.fit(sets)[1][:, k, -1]
            floor = law.floors(k, sets, scale)
            return by[0] * floor + by[1] * scale + sets.mean(1) @ pull, scale

        told, scale = guess(losses[None])
        drawn, scales = guess(world.draws[..., :G])
        off = (world.draws[..., at].mean(1) - drawn) / scales
        out.append((told[0], *(told[0] + scale[0] * np.quantile(off, levels))))
    found = np.array(out)
    return float(found[0, 0]), float(found[:, 1].min()), float(found[:, 2].max())
