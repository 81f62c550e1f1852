"""Whether labels are separated, so that no maximum-likelihood estimate exists, and by which
columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WRONG = 1e-9
"""Share of a direction's margins that may be on the wrong side, for rounding."""
NONE = 1e-7
"""Coefficients below this share of the largest count as zero."""
COEFFICIENTS = 600
"""Most coefficients for which a linear programme is solved."""
ROUNDS = 100
"""Most linear programmes, each with more rows than the last."""


@dataclass(frozen=True, eq=False)
class Separation:
    """A direction in which the likelihood rises for ever.

    Attributes
    ----------
    direction : ndarray, shape (K, p)
        What grows: scores of the K classes, of which none of a row is above its own class's. For
        counts, shape (1, p): the logarithm of the mean, which rises for rows with a zero alone,
        against its sign.
    columns : ndarray of int
        Columns of the design that it needs, the first (of ones) left out.
    alone : bool
        Whether each of these columns does it by itself.
    told : tuple of int
        Classes that are told apart from the others; empty for counts.
    """

    direction: Array
    columns: NDArray[np.intp]
    alone: bool
    told: tuple[int, ...]


def separation(X: Array, y: Array, classes: int) -> Separation | None:
    """Return a separation of the labels, or None where there is none, or none was found.

    Classes are separated where scores, linear in the columns, are highest for every row's own
    class, ties allowed, and not equal for all [1]_. Counts have no estimate where some direction
    is zero on all rows that count something, and on no other positive, and not zero.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Design of full column rank, a column of ones first.
    y : ndarray, shape (n,)
        Classes 0, ..., K - 1, or counts.
    classes : int
        K; 0 for counts.

    Returns
    -------
    Separation or None
        By single columns where there are such, all of them; otherwise by a set from which none can
        be left out. With more than 600 coefficients single columns alone are looked at.

    References
    ----------
    .. [1] A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in
       logistic regression models", Biometrika 71 (1984).

    Examples
    --------
    >>> X = np.column_stack([np.ones(6), [1, 2, 3, 4, 5, 6], [0, 1, 0, 1, 0, 1]])
    >>> found = separation(X, np.array([0.0, 0, 0, 1, 1, 1]), 2)
    >>> found.columns, found.alone, found.told
    (array([1]), True, (0, 1))
    """
    labels = _Counts(X, y) if not classes else _Classes(X, y, classes)
    direction, alone = labels.by_one_column(), True
    if not direction.any():
        alone = False
        programme = _by_programme(labels)
        if programme is None:
            return None
        direction = programme
    size = (
        np.abs(direction - direction.mean(axis=0)).max(axis=0) if classes else np.abs(direction[0])
    )
    size *= labels.scale
    needed = np.flatnonzero(size[1:] > NONE * size.max()) + 1
    return Separation(direction, needed, alone, labels.told(direction))


class _Labels:
    """Labels as inequalities: `gaps` of a separating direction are not negative."""

    def __init__(self, X: Array, y: Array, outputs: int) -> None:
        self.X, self.y = X, y
        self.outputs = outputs
        self.scale = np.append(1.0, X[:, 1:].std(axis=0))

    def gaps(self, direction: Array) -> Array:
        raise NotImplementedError

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        """Return the inequalities (k, q p) of the chosen gaps, as linear forms of the
        coefficients."""
        raise NotImplementedError

    def widen(self, coefficients: Array) -> Array:
        """Return the direction of q p coefficients."""
        raise NotImplementedError

    def holds(self, direction: Array) -> bool:
        gaps = self.gaps(direction)
        size = np.abs(gaps).sum()
        return bool(size > 0 and -gaps[gaps < 0].sum() <= WRONG * size)


class _Classes(_Labels):
    def __init__(self, X: Array, y: Array, classes: int) -> None:
        super().__init__(X, y, classes - 1)
        self.code = y.astype(np.intp)
        self.classes = classes

    def gaps(self, direction: Array) -> Array:
        """Return by how much each row's own score is above the others', (n, K)."""
        score = self.X @ direction.T
        return np.asarray(np.take_along_axis(score, self.code[:, None], axis=1) - score)

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        row, other = np.divmod(chosen, self.classes)
        out = np.zeros((len(chosen), self.classes, self.X.shape[1]))
        each = np.arange(len(chosen))
        out[each, self.code[row]] += self.X[row]
        out[each, other] -= self.X[row]
        return out[:, 1:].reshape(len(chosen), -1)

    def total(self) -> Array:
        """Return the mean of all inequalities."""
        own = self.code[:, None] == np.arange(1, self.classes)
        return np.asarray(((own - 1 / self.classes).T @ self.X).ravel() / len(self.X))

    def equal(self) -> Array:
        return np.empty((0, self.outputs * self.X.shape[1]))

    def widen(self, coefficients: Array) -> Array:
        return np.concatenate(
            [np.zeros((1, self.X.shape[1])), coefficients.reshape(self.outputs, -1)]
        )

    def by_one_column(self) -> Array:
        """Return the sum of all directions that tell one class from the rest by one column."""
        inside = [self.X[self.code == k] for k in range(self.classes)]
        there = [k for k in range(self.classes) if len(inside[k])]
        low, high = (np.array([end(inside[k], axis=0) for k in there]) for end in (np.min, np.max))
        out = np.zeros((self.classes, self.X.shape[1]))
        for at, k in enumerate(there):
            rest_low, rest_high = (
                end(np.delete(table, at, axis=0), axis=0)
                for end, table in ((np.min, low), (np.max, high))
            )
            for sign, mine, rest in ((1, low[at], rest_high), (-1, high[at], rest_low)):
                varies = (low.min(axis=0) < high.max(axis=0)) & (sign * mine >= sign * rest)
                out[k, varies] += sign
                out[k, 0] -= sign * 0.5 * (mine + rest)[varies].sum()
        return out

    def told(self, direction: Array) -> tuple[int, ...]:
        same = (
            np.abs(direction[:, None] - direction[None]).max(axis=2)
            <= NONE * np.abs(direction).max()
        )
        if self.classes == 2:
            return (0, 1)
        others = same[np.argmax(same.sum(axis=1))]
        return tuple(int(k) for k in np.flatnonzero(~others))


class _Counts(_Labels):
    def __init__(self, X: Array, y: Array) -> None:
        super().__init__(X, y, 1)
        self.none = X[y == 0]
        self.some = X[y > 0]

    def gaps(self, direction: Array) -> Array:
        """Return the fall of each zero's log mean, and the changes of the other rows', which have
        to be zero."""
        return np.concatenate([self.none @ -direction[0], -np.abs(self.some @ direction[0])])

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        return np.asarray(-self.none[chosen[chosen < len(self.none)]])

    def total(self) -> Array:
        return np.asarray(-self.none.sum(axis=0) / len(self.X))

    def equal(self) -> Array:
        return np.asarray(np.linalg.qr(self.some, mode="r"))

    def widen(self, coefficients: Array) -> Array:
        return coefficients[None]

    def by_one_column(self) -> Array:
        out = np.zeros((1, self.X.shape[1]))
        if not len(self.none) or not len(self.some):
            return out
        level = self.some.min(axis=0)
        fixed = level == self.some.max(axis=0)
        low, high = self.none.min(axis=0), self.none.max(axis=0)
        for sign, there in (
            (-1, fixed & (low >= level) & (high > level)),
            (1, fixed & (high <= level) & (low < level)),
        ):
            out[0, there] += sign
            out[0, 0] -= sign * level[there].sum()
        return out

    def told(self, direction: Array) -> tuple[int, ...]:
        return ()


def _by_programme(labels: _Classes | _Counts) -> Array | None:
    """Return the separating direction with the least sum of absolute coefficients, thinned out;
    None where none was found."""
    p = labels.X.shape[1]
    if labels.outputs * p > COEFFICIENTS:
        return None
    allowed = np.ones(p, dtype=bool)
    direction = _solve(labels, allowed)
    if direction is None:
        return None
    size = np.abs(direction).max(axis=0) * labels.scale
    allowed = size > NONE * size.max()
    allowed[0] = True
    for j in np.argsort(size):  # leave out what is not needed, the smallest first
        if j and allowed[j] and allowed.sum() > 2:
            allowed[j] = False
            fewer = _solve(labels, allowed)
            if fewer is None:
                allowed[j] = True
            else:
                direction = fewer
    return direction


def _solve(labels: _Classes | _Counts, allowed: NDArray[np.bool_]) -> Array | None:
    """Return the separating direction of these columns with the least coefficients, or None.

    A linear programme with few of the inequalities; those that its answer violates most are added.
    If few cannot be met, all cannot.
    """
    from scipy.optimize import linprog

    q, p = labels.outputs, labels.X.shape[1]
    use = np.flatnonzero(np.tile(allowed, q))
    cost = np.tile(np.append(0.0, labels.scale[1:]), q)[use]
    equal = np.concatenate([labels.total()[None], labels.equal()])[:, use]
    size = len(labels.gaps(labels.widen(np.zeros(q * p))).ravel())
    batch = 4 * q * p + 200
    chosen = np.unique(np.linspace(0, size - 1, min(size, batch)).astype(np.intp))
    for _ in range(ROUNDS):
        rows = labels.rows(chosen)[:, use]
        answer = linprog(
            np.concatenate([cost, cost]),
            A_ub=np.column_stack([-rows, rows]),
            b_ub=np.zeros(len(rows)),
            A_eq=np.column_stack([equal, -equal]),
            b_eq=np.append(1.0, np.zeros(len(equal) - 1)),
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if answer.status != 0:
            return None
        coefficients = np.zeros(q * p)
        coefficients[use] = answer.x[: len(use)] - answer.x[len(use) :]
        direction = labels.widen(coefficients)
        if labels.holds(direction):
            return direction
        gaps = labels.gaps(direction).ravel()
        worst = np.argsort(gaps)[:batch]
        more = np.union1d(chosen, worst[gaps[worst] < 0])
        if len(more) == len(chosen):
            return None
        chosen = more
    return None
