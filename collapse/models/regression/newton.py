"""Maximum likelihood on one design, batched over replications: a safeguarded Newton iteration and
its certificates.
"""

from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from collapse.models.protocols import Array, by_parts, parts
from collapse.models.regression.family import FLAT, SEPARATED, Family, margins

Rows = NDArray[np.intp] | NDArray[np.bool_] | slice

DECREMENT: Final = 1e-20
"""Newton decrement, squared and predicted for the next iterate, at which a fit is done: twice what
the mean log-likelihood then lacks.
"""

SUSPICION: Final = 24
"""Iterations after which a fit that goes on is probably separated: a Hessian that is flat where the
decrement is negligible shows it.

Ordinary fits take three to ten.
"""

PATIENCE: Final = 40
"""Iterations after which a search of its own finds the estimate."""

ITERATIONS: Final = 1000
BISECTIONS: Final = 60
SHORT: Final = 0.1
SLACK: Final = 2.0
"""A step is short where the Hessian is off by at most this share over it, e; then exp(3 e) squared
is at most the slack.
"""

RIDGE: Final = 1e-14
"""Added to the Hessian's diagonal, in coordinates in which the design's own Gram matrix is the
identity.
"""

DEPENDENT: Final = 1e-10
"""Eigenvalue of weighted rows' Gram matrix, in the same coordinates, below which they do not span
the columns.
"""

MANY: Final = 256
"""Replications from which their systems are solved by one elimination over all of them."""

SURE: Final = 1.0
"""A Newton step that moves no margin by more than this raises the likelihood: (exp(s) - 1 - s) /
s^2 < 1 up to s = 1.79.
"""


class Likelihood:
    """The log-likelihood of a family on one design, in coordinates in which the design's columns
    are orthonormal.

    A replication's data are its target, an array whose first axis is the replication, and perhaps
    weights of the rows. With a canonical link the target is the weighted mean of q y, q a row of
    orthonormal columns, otherwise the weighted sum of labels on each row, (R, n). Hessians are kept
    as upper triangles by rows, (p (p + 1) / 2, R).

    The safeguards need a likelihood that is concave, and self-concordant in the generalised sense:
    along any line the third derivative of each row's part is at most the second times the speed of
    its margin [1]_. That holds for logistic, Poisson, gamma and negative binomial regression with a
    logarithmic link, with classes in place of two labels for differences of margins, and for the
    probit with a factor (`_length`).

    References
    ----------
    .. [1] Francis Bach, "Self-concordant analysis for logistic regression", Electronic Journal of
       Statistics 4 (2010).
    """

    inexact: ClassVar[float] = 0.0
    """Relative error that solving the linear system leaves in a step."""
    negligible: ClassVar[float] = 1e-6
    """Squared decrement at which a fit whose Hessian is flat has no estimate: what contradicts it
    would pull harder.
    """

    def __init__(self, X: Array, family: Family) -> None:
        self.X, self.family = X, family
        n, columns = X.shape
        basis, triangle = np.linalg.qr(X)
        self.design = basis * np.sqrt(n)
        self.mean_design = self.design / n
        self.from_original = triangle / np.sqrt(n)
        self.to_original: Array = np.linalg.inv(self.from_original)
        self.pairs = np.triu_indices(columns)
        self.ridge = RIDGE * (self.pairs[0] == self.pairs[1])[:, None]
        self.entry = np.empty((columns, columns), dtype=np.intp)
        self.entry[self.pairs] = self.entry.T[self.pairs] = np.arange(len(self.pairs[0]))
        self.reach = float(np.sqrt((self.design**2).sum(axis=1).max()))
        self.size = columns
        self.cells = n

    @cached_property
    def products(self) -> Array:
        """Products of pairs of columns, over n, upper triangle by rows: (p (p + 1) / 2, n)."""
        first, second = self.pairs
        return np.asarray((self.design[:, first] * self.design[:, second]).T / len(self.design))

    def maximise(self, statistic: Array, weight: Array | None, start: Array | None) -> Array:
        """Return the maximiser for each replication, in the original coordinates.

        `statistic` (R, ...) holds weighted means over the data, `weight` (R, n) the rows' weights
        with mean 1, or None where all are 1.
        """
        target = self._target(statistic, weight)
        answer = np.full((len(target), self.size), np.nan)
        row = np.flatnonzero(self._usable(target, weight))
        target, weight = target[row], take(weight, row)
        theta = answer[row] if start is None else turn(start[row], self.from_original.T)
        cold = np.asarray(~np.isfinite(theta).all(axis=1))
        theta[cold] = self._begin(target[cold], take(weight, cold))
        hessian = self._room(row.size)
        gradient, step = np.empty(theta.shape), np.zeros(theta.shape)
        decrement, moved = np.zeros(row.size), np.zeros(row.size)
        fresh: NDArray[np.bool_] = np.ones(row.size, dtype=bool)
        for iteration in range(PATIENCE + 1):
            if not row.size:
                break
            for block in parts(row.size, self.cells):
                each = take(weight, block)
                state, gradient[block] = self._evaluate(theta[block], target[block], each)
                # The slope at the end of the step is negative: the gradient has turned against it.
                # Halve the step until it turns no more, or is short enough to raise the likelihood
                # for sure. A small overshoot is let pass: it mostly saves an iteration.
                back = np.flatnonzero(moved[block] > SURE) + block.start
                while back.size:
                    turned = np.vecdot(step[back], gradient[back]) < -0.5 * decrement[back]
                    back = back[turned & (moved[back] > SURE)]
                    for part in (step, decrement, moved):
                        part[back] *= 0.5
                    theta[back] -= step[back]
                    fresh[back] = True
                    state[back - block.start], gradient[back] = self._evaluate(
                        theta[back], target[back], take(weight, back)
                    )
                new = fresh[block]
                some: Rows = slice(None) if np.count_nonzero(new) == new.size else new
                hessian[:, block][:, some] = self._hessian(state[some], take(each, some))
            moved[fresh] = self.inexact
            step = self._solve(hessian, gradient)
            decrement = np.vecdot(step, gradient)
            # A Hessian seen from a point that differs by at most s in every margin is within a
            # factor exp(s) of the one there. Averaged over this step, that bounds the next
            # decrement by e exp(3 e) times this one: the evaluation that would only confirm
            # convergence is saved.
            length = self._length(theta, step)
            inexact = moved + 0.5 * length
            predicted = SLACK * decrement * inexact * inexact
            # On separated labels, wherever theta is, a Newton step moves some margin by at least 1:
            # a short step proves that an estimate exists.
            stay = (predicted > DECREMENT) | (inexact > SHORT)
            theta += step
            done = np.flatnonzero(~stay)
            answer[row[done]] = self._determined(theta[done], hessian, done)
            moved += length
            # One more step with the Hessian at hand costs less than a new one where it is sure to
            # be the last.
            fresh = predicted * moved * moved > DECREMENT
            if iteration == 0 and start is not None:
                # At zero no labels 0 and 1 have a decrement above 1: a start with a larger one is
                # worse than none.
                lost = np.flatnonzero(decrement > 1.0)
                theta[lost], step[lost] = self._begin(target[lost], take(weight, lost)), 0.0
            if iteration > 2:
                stay[stay] = ~self._separates(theta[stay], target[stay], take(weight, stay))
            if iteration > SUSPICION:
                quiet = np.flatnonzero(stay & (decrement <= self.negligible))
                stay[quiet] = ~self._flat(hessian[:, quiet])
            if iteration == PATIENCE:
                for hard in np.flatnonzero(stay):
                    data = target[hard : hard + 1], take(weight, slice(hard, hard + 1))
                    answer[row[hard]] = self.search(self._begin(*data), *data)[0]
            if np.count_nonzero(stay) < row.size:
                row, theta, target, gradient, step, decrement, moved, fresh = (
                    each[stay]
                    for each in (row, theta, target, gradient, step, decrement, moved, fresh)
                )
                weight, hessian = take(weight, stay), hessian[:, stay]
        return turn(answer, self.to_original.T)

    def search(self, theta: Array, target: Array, weight: Array | None) -> Array:
        """Return the maximiser (1, d) of one replication, from theta; NaN where there is none, or
        it is not reached.

        Newton's iteration, each step as long as its slope allows. For labels that are nearly
        separated: there the whole step is far too long at one iterate and far too short at the
        next.
        """
        for _ in range(ITERATIONS):
            state, gradient = self._evaluate(theta, target, weight)
            hessian = self._hessian(state, weight)
            step = self._solve_alone(hessian, gradient)
            decrement = np.vecdot(step, gradient)[0]
            half = 0.5 * self._length(theta, step)[0]
            if SLACK * decrement * half * half <= DECREMENT and half <= SHORT:  # as in `maximise`
                return self._determined(theta + step, hessian, np.zeros(1, dtype=np.intp))
            if decrement <= self.negligible and self._flat(hessian)[0]:
                break
            share, low, high = 1.0, 0.0, np.inf
            for _ in range(BISECTIONS):
                ahead = self._evaluate(theta + share * step, target, weight)[1]
                slope = np.vecdot(step, ahead)[0]
                if abs(slope) <= 0.1 * decrement:
                    break
                low, high = (share, high) if slope > 0 else (low, share)
                share = 2.0 * low if np.isinf(high) else 0.5 * (low + high)
            theta = theta + share * step
        return np.full(theta.shape, np.nan)

    def _gram(self, weight: Array, products: Array) -> Array:
        """Return the weighted sums of pairs' products, with a touch of the identity that keeps them
        invertible.
        """
        gram: Array = products @ weight.T
        gram += self.ridge
        return gram

    def _determined(self, theta: Array, hessian: Array, done: NDArray[np.intp]) -> Array:
        """Return theta, NaN where its Hessian (column `done`) is flat in some direction.

        The labels are then separated, or so nearly that rounding decides. The smallest eigenvalue
        is at least the smallest curvature of a row, so that only fits with a large margin need a
        look.
        """
        look = np.flatnonzero(np.vecdot(theta, theta) > (self.family.clear / self.reach) ** 2)
        if look.size:
            theta[look[self._flat(hessian[:, done[look]])]] = np.nan
        return theta

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        """Return a replication's data as the gradient wants them, (R, ...)."""
        return turn(statistic, self.to_original) if self.family.canonical else statistic

    def _mean(self, target: Array, weight: Array | None) -> Array:
        """Return the weighted mean of q y, (R, d)."""
        return target if self.family.canonical else np.asarray(target @ self.mean_design)

    def _usable(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where labels are known, and rows with these weights span the columns."""
        usable: NDArray[np.bool_] = np.asarray(np.isfinite(target).all(axis=1))
        if weight is not None:
            usable[usable] = self._span(weight[usable])
        return usable

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return what the Hessian wants of every row (R, n, ...), and the gradient (R, d) of the
        mean log-likelihood.
        """
        score, curvature = self.family.derivatives(
            theta @ self.design.T, 1.0 if weight is None else weight, target
        )
        return curvature, score @ self.mean_design

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        """Return minus the Hessian of the mean log-likelihood, from what `_evaluate` gave."""
        return self._gram(state, self.products)

    def _begin(self, target: Array, weight: Array | None) -> Array:
        """Return where to begin without a start, (R, d)."""
        return np.zeros((len(target), self.size))

    def _room(self, replications: int) -> Array:
        return np.empty((len(self.pairs[0]), replications))

    def _solve(self, hessian: Array, gradient: Array) -> Array:
        return _solve(hessian, gradient, self.entry)

    def _solve_alone(self, hessian: Array, gradient: Array) -> Array:
        """Solve the system of one replication, however nearly singular."""
        return self._solve(hessian, gradient)

    def _flat(self, hessian: Array) -> NDArray[np.bool_]:
        return _singular(hessian, FLAT, self.entry)

    def _span(self, weight: Array) -> NDArray[np.bool_]:
        return ~_singular(self._gram(weight, self.products), DEPENDENT, self.entry)

    def _length(self, theta: Array, step: Array) -> Array:
        """Return a bound on the change of any margin over a step from theta, in units in which the
        likelihood is self-concordant.
        """
        return np.asarray(self.reach * np.sqrt(np.vecdot(step, step)))

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where the likelihood rises for ever in the direction theta, so that there is no
        estimate.

        There the labels attain the most that label x margin can be on every row. For labels 0 and
        1, and for classes, what the mean lacks of that is the mean of the absolute margin times the
        share of labels it misclassifies. As a share of the mean absolute margin it bounds from
        above how far from 0 and 1 probabilities with the same statistic can all be kept (linear
        duality), for any theta.
        """

        def separates(block: slice) -> NDArray[np.bool_]:
            margin, each = margins(theta[block], self.design), take(weight, block)
            if each is not None:
                margin *= each[:, None]
            width = np.maximum(margin.max(axis=1), 0.0) - np.minimum(margin.min(axis=1), 0.0)
            attained = np.vecdot(theta[block], self._mean(target[block], each))
            lacks = self.family.most(margin).mean(axis=1) - attained
            return np.asarray(lacks < SEPARATED * width.mean(axis=1))

        return by_parts(separates, len(theta), self.cells)


def _solve(packed: Array, right: Array, entry: NDArray[np.intp]) -> Array:
    """Solve positive definite systems, their upper triangles by rows (p (p + 1) / 2, R), for right
    sides (R, p).
    """
    replications, columns = right.shape
    if replications < MANY:
        full = packed.take(entry, axis=0).transpose(2, 0, 1)
        return np.asarray(np.linalg.solve(full, right[:, :, None])[:, :, 0])
    # Elimination without pivots, each step over all replications at once: for many small systems
    # faster than one call of LAPACK for each.
    ends = np.arange(columns, 0, -1).cumsum()
    rows = [packed[end - columns + k : end].copy() for k, end in enumerate(ends)]
    solution = right.T.copy()
    for k, row in enumerate(rows):
        share = row[1:] / row[0]
        for i in range(columns - k - 1):
            rows[k + 1 + i] -= share[i] * row[1 + i :]
        solution[k + 1 :] -= share * solution[k]
        row[1:] = share
    for k in reversed(range(columns)):
        solution[k] = solution[k] / rows[k][0] - (rows[k][1:] * solution[k + 1 :]).sum(axis=0)
    return np.ascontiguousarray(solution.T)


def _singular(packed: Array, least: float, entry: NDArray[np.intp]) -> NDArray[np.bool_]:
    # The trace of the inverse is within a factor p of the smallest eigenvalue's inverse, and much
    # cheaper than eigenvalues.
    inverse = np.linalg.inv(packed[entry].transpose(2, 0, 1))
    return np.asarray(np.trace(inverse, axis1=1, axis2=2) > 1.0 / least)


def turn(theta: Array, matrix: Array) -> Array:
    """Return coefficients (R, q p) in other coordinates, their p columns times a matrix."""
    return np.asarray((theta.reshape(-1, len(matrix)) @ matrix).reshape(theta.shape))


def take(weight: Array | None, rows: Rows) -> Array | None:
    return None if weight is None else weight[rows]
