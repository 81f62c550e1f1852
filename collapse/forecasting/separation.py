"""Whether labels are separated, so that no maximum-likelihood estimate exists, and by which
columns."""

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
    code = (y if classes else y > 0).astype(np.intp)
    groups = [X[code == k] for k in range(classes or 2)]
    scale = np.append(1.0, X[:, 1:].std(axis=0))
    if classes:
        labels = _Labels(X, code, classes, np.empty((0, X.shape[1])), scale)
    elif len(groups[0]):  # two classes, none and some, and scores of some must not move
        labels = _Labels(groups[0], code[code == 0], 2, groups[1], scale)
    else:
        return None
    direction: Array | None = _by_one_column(groups, bool(classes))
    alone = bool(np.any(direction))
    direction = direction if alone else _by_programme(labels)
    if direction is None:
        return None
    size = np.abs(direction - direction.mean(axis=0)).max(axis=0) * scale
    needed = np.flatnonzero(size[1:] > NONE * size.max()) + 1
    if not classes:
        return Separation(direction[1:] - direction[:1], needed, alone, ())
    return Separation(direction, needed, alone, _told(direction))


@dataclass(frozen=True, eq=False)
class _Labels:
    """Labels as inequalities of scores, linear in the columns: no class's is above a row's own."""

    X: Array
    code: NDArray[np.intp]
    classes: int
    fixed: Array
    """Rows whose scores are all equal."""
    scale: Array

    def gaps(self, direction: Array) -> Array:
        """Return by how much each row's own score is above the others', (n, K)."""
        score = self.X @ direction.T
        return np.asarray(np.take_along_axis(score, self.code[:, None], axis=1) - score)

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        """Return the chosen gaps, (k, (K - 1) p), as linear forms of the coefficients: those of
        the first class are zero."""
        row, other = np.divmod(chosen, self.classes)
        out = np.zeros((len(chosen), self.classes, self.X.shape[1]))
        each = np.arange(len(chosen))
        out[each, self.code[row]] += self.X[row]
        out[each, other] -= self.X[row]
        return out[:, 1:].reshape(len(chosen), -1)

    def equations(self) -> Array:
        """Return linear forms: the mean of all gaps, which is to be 1, and what is to be 0."""
        own = self.code[:, None] == np.arange(1, self.classes)
        mean = ((own - 1 / self.classes).T @ self.X).ravel() / len(self.X)
        zero = np.kron(np.eye(self.classes - 1), np.linalg.qr(self.fixed, mode="r"))
        return np.concatenate([mean[None], zero])

    def hold(self, direction: Array) -> bool:
        gaps, moved = self.gaps(direction), self.fixed @ np.diff(direction, axis=0).T
        size, wrong = (np.abs(moved).sum() + np.abs(part).sum() for part in (gaps, gaps[gaps < 0]))
        return bool(size > 0 and wrong <= WRONG * size)


def _by_one_column(groups: list[Array], classes: bool) -> Array:
    """Return the sum of all directions that tell one class from the rest by one column; of counts,
    none from some by a column that some do not vary in."""
    there = [k for k, rows in enumerate(groups) if len(rows)]
    low, high = (np.array([end(groups[k], axis=0) for k in there]) for end in (np.min, np.max))
    varies = low.min(axis=0) < high.max(axis=0)
    out = np.zeros((len(groups), len(varies)))
    for at, k in enumerate(there if classes else there[:1]):
        rest_low = np.delete(low, at, axis=0).min(axis=0, initial=np.inf)
        rest_high = np.delete(high, at, axis=0).max(axis=0, initial=-np.inf)
        usable = varies & (classes | (rest_low == rest_high))
        for sign, mine, rest in ((1, low[at], rest_high), (-1, high[at], rest_low)):
            apart = usable & (sign * mine >= sign * rest)
            out[k, apart] += sign
            out[k, 0] -= sign * rest[apart].sum()
    return out


def _told(direction: Array) -> tuple[int, ...]:
    """Return the classes whose scores are not those of the most."""
    if len(direction) == 2:
        return (0, 1)
    apart = np.abs(direction[:, None] - direction).max(axis=2) > NONE * np.abs(direction).max()
    return tuple(np.flatnonzero(apart[np.argmin(apart.sum(axis=1))]).tolist())


def _by_programme(labels: _Labels) -> Array | None:
    """Return the separating direction with the least sum of absolute coefficients, thinned out;
    None where none was found."""
    p = labels.X.shape[1]
    if (labels.classes - 1) * p > COEFFICIENTS:
        return None
    direction = _solve(labels, np.ones(p, dtype=bool))
    if direction is None:
        return None
    size = np.abs(direction).max(axis=0) * labels.scale
    allowed = size > NONE * size.max()
    allowed[0] = True
    for j in np.argsort(size):  # leave out what is not needed, the smallest first
        if j and allowed[j] and allowed.sum() > 2:
            fewer = _solve(labels, allowed & (np.arange(p) != j))
            if fewer is not None:
                allowed[j], direction = False, fewer
    return direction


def _solve(labels: _Labels, allowed: NDArray[np.bool_]) -> Array | None:
    """Return the separating direction of these columns with the least coefficients, or None.

    A linear programme with few of the inequalities; those that its answer violates most are added.
    If few cannot be met, all cannot.
    """
    from scipy.optimize import linprog

    q, p = labels.classes - 1, labels.X.shape[1]
    use = np.flatnonzero(np.tile(allowed, q))
    cost = np.tile(np.append(0.0, labels.scale[1:]), q)[use]
    equal = labels.equations()[:, use]
    size, batch = labels.code.size * labels.classes, 4 * q * p + 200
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
        direction = np.zeros((labels.classes, p))
        direction[1:].flat[use] = np.subtract(*np.split(answer.x, 2))
        if labels.hold(direction):
            return direction
        gaps = labels.gaps(direction).ravel()
        worst = np.argsort(gaps)[:batch]
        more = np.union1d(chosen, worst[gaps[worst] < 0])
        if len(more) == len(chosen):
            return None
        chosen = more
    return None
