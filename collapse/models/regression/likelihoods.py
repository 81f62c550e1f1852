"""What each family adds to its log-likelihood: faster forms, safeguards, penalties."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from collapse.models.protocols import Array, by_parts, parts
from collapse.models.regression.family import (
    FLAT,
    Classes,
    Counts,
    Family,
    Logit,
    NormalLink,
    Overdispersed,
    Positive,
    exponential,
    gram,
    margins,
)
from collapse.models.regression.newton import (
    DEPENDENT,
    ITERATIONS,
    RIDGE,
    Likelihood,
    turn,
)

FIXED: Final = 1e-10
"""Change of any margin at which an iteration to a fixed point is done."""


class Logistic(Likelihood):
    """Labels 0 and 1 with p = (1 + tanh(q'theta / 2)) / 2.

    The target is the weighted mean of q (y - 1/2), p numbers; the gradient of the mean
    log-likelihood is target - mean of q (p - 1/2), and minus the Hessians of all replications are
    one matrix product, of p (1 - p) with the products of pairs of columns.

    An estimate exists unless a hyperplane separates the labels, completely or quasi-completely.
    """

    negligible = 1e-12

    def __init__(self, X: Array, family: Family) -> None:
        super().__init__(X, family)
        self.half_design = 0.5 * self.design
        self.half_mean = 0.5 * self.mean_design
        self.quarter_products = 0.25 * self.products

    def _middle(self, weight: Array | None) -> Array:
        """Return the weighted mean of q / 2."""
        return np.asarray(self.half_mean.sum(axis=0) if weight is None else weight @ self.half_mean)

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        return super()._target(statistic, weight) - self._middle(weight)

    def _mean(self, target: Array, weight: Array | None) -> Array:
        return target + self._middle(weight)

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return 2 p - 1 for every row (R, n), and the gradient (R, p)."""
        signed: Array = theta @ self.half_design.T
        np.tanh(signed, out=signed)
        return signed, target - (signed if weight is None else signed * weight) @ self.half_mean

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        curvature = state * state
        np.subtract(1.0, curvature, out=curvature)
        if weight is not None:
            curvature *= weight
        return self._gram(curvature, self.quarter_products)


class Ridge(Logistic):
    """Labels 0 and 1, with a quadratic penalty on all columns but a constant one; the last number
    of a statistic is the rows read.

    The penalty adds to the Hessian and nothing to how fast that changes, so that the safeguards
    hold as they are. An estimate exists unless all labels are equal and a column is constant.
    """

    def __init__(self, X: Array, family: Family, strength: float) -> None:
        super().__init__(X, family)
        self.free = np.ptp(X, axis=0) == 0
        self.penalty = strength * (self.to_original.T * ~self.free) @ self.to_original
        self.packed = self.penalty[self.pairs][:, None]

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        return np.column_stack([super()._target(statistic[:, :-1], weight), 1 / statistic[:, -1:]])

    def _usable(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        level = np.broadcast_to(self.from_original @ self.free, (len(target), self.size))
        apart = Logistic._separates(self, level, target[:, :-1], weight)
        return np.asarray(np.isfinite(target).all(axis=1) & ~(self.free.any() & apart))

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        signed, gradient = super()._evaluate(theta, target[:, :-1], weight)
        each = target[:, -1:]
        return np.column_stack([signed, each]), gradient - each * (theta @ self.penalty)

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        return np.asarray(super()._hessian(state[:, :-1], weight) + self.packed * state[:, -1])

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        return np.zeros(len(theta), dtype=bool)


class Firth(Logistic):
    """Labels 0 and 1, the likelihood times the square root of the information's determinant; the
    last number of a statistic is the rows read.

    The penalised score is that of ordinary labels to each of which h / 2 of a label 1 and h / 2 of
    a label 0 have been added, h its leverage [1]_. Those are fitted by maximum likelihood, the
    leverages computed anew, and so on: the error shrinks by a constant factor, a twentieth to a
    half on ordinary labels, three quarters on separated ones.

    References
    ----------
    .. [1] G. Heinze and M. Schemper, "A solution to the problem of separation in logistic
       regression", Statistics in Medicine 21 (2002).
    """

    def maximise(self, statistic: Array, weight: Array | None, start: Array | None) -> Array:
        n, p = self.X.shape
        mean, rows = statistic[:, :-1], statistic[:, -1:]
        weight = np.ones((len(mean), n)) if weight is None else weight
        answer = np.full((len(mean), p), np.nan)
        left = np.flatnonzero(self._usable(statistic, weight))
        known = start is not None and np.isfinite(start[left]).all()
        theta = start[left] if known and start is not None else np.zeros((left.size, p))
        for _ in range(ITERATIONS):
            moved = np.empty(theta.shape)
            for block in parts(left.size, self.cells):
                at = left[block]
                leverage = self._leverage(theta[block], weight[at])
                total = rows[at] + p
                # the design's own leverages sum to p: so many rows are added
                labels = (rows[at] * mean[at] + 0.5 * leverage @ self.X) / total
                added = (rows[at] * weight[at] + n * leverage) / total
                moved[block] = super().maximise(labels, added, theta[block])
            stay = np.abs((moved - theta) @ self.X.T).max(axis=1, initial=0) > FIXED
            answer[left[~stay]] = moved[~stay]
            left, theta = left[stay], moved[stay]
        return answer

    def _leverage(self, theta: Array, weight: Array) -> Array:
        """Return the diagonal (R, n) of the weighted hat matrix, summed over the copies of each
        row.
        """
        curvature = weight * self.family.derivatives(theta @ self.X.T, 1.0, np.zeros(1))[1]
        information = self._gram(curvature, self.products)[self.entry].transpose(2, 0, 1)
        half = self.design @ np.linalg.inv(np.linalg.cholesky(information)).mT
        return np.asarray(curvature * np.vecdot(half, half) / len(self.X))


class Probit(Likelihood):
    """Labels 0 and 1 with p = Phi(q'theta)."""

    negligible = Logistic.negligible

    def _length(self, theta: Array, step: Array) -> Array:
        # The third derivative is at most 0.35 + |margin| times the second.
        length = super()._length(theta, step)
        return np.asarray(length * np.maximum(1.0, 0.35 + super()._length(theta, theta) + length))


class LogLink(Likelihood):
    """Labels with mean exp(q'theta)."""

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        if not self.family.canonical:
            return super()._evaluate(theta, target, weight)
        mean = exponential(theta @ self.design.T)
        if weight is not None:
            mean *= weight
        return mean, target - mean @ self.mean_design

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        # Means of very unlike size leave some directions to rounding; the touch of the identity has
        # the size of the largest.
        touch = self.ridge * np.maximum(state.mean(axis=1), 1.0)
        return np.asarray(super()._hessian(state, weight) + touch)

    def _begin(self, target: Array, weight: Array | None) -> Array:
        """Begin with the same mean on all rows, as nearly as the columns can."""
        level = self.mean_design.sum(axis=0)
        mean = self._mean(target, weight) @ level / max(level @ level, np.finfo(float).tiny)
        return np.asarray(np.log(np.maximum(mean, 1e-3))[:, None] * level)


class Multinomial(Likelihood):
    """Labels 0, ..., K - 1 with log odds q'theta_k against label 0: coefficients (K - 1) p, label
    by label.

    The target is the weighted mean of q 1{y = k}. Hessians would be too large to keep: what is kept
    are the rows' probabilities times weights, (n K, R), and systems are solved by conjugate
    gradients, preconditioned by the inverse Hessian at one point near all fits.
    """

    inexact = 1e-4

    def __init__(self, X: Array, family: Family) -> None:
        super().__init__(X, family)
        self.classes = family.outputs + 1
        self.cells *= self.classes
        self.size *= family.outputs
        self.reach *= np.sqrt(2.0)  # margins here are differences between labels
        # At zero the Hessian of whitened columns is (I - 1 1' / K) / K for each, with this inverse.
        self.anchor = np.kron(self.classes * (np.eye(family.outputs) + 1.0), np.eye(X.shape[1]))

    def near(self, theta: Array) -> None:
        """Precondition by the Hessian at theta (d,), in the original coordinates, where it is not
        singular.
        """
        state, _ = self._evaluate(turn(theta, self.from_original.T)[None], np.zeros(1), None)
        self.anchor = np.linalg.inv(self._regular(state[0]))

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        state = self.family.mean(margins(theta, self.design))
        if weight is not None:
            state *= weight[:, None]
        return state, target - (state[:, 1:] @ self.mean_design).reshape(theta.shape)

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        return state.reshape(len(state), self.cells).T

    def _room(self, replications: int) -> Array:
        return np.empty((replications, self.cells)).T

    def _states(self, hessian: Array) -> Array:
        return np.ascontiguousarray(hessian.T).reshape(-1, self.classes, len(self.design))

    def _solve(self, hessian: Array, gradient: Array) -> Array:
        return by_parts(
            lambda block: self._conjugate(hessian[:, block], gradient[block]),
            len(gradient),
            self.cells,
        )

    def _solve_alone(self, hessian: Array, gradient: Array) -> Array:
        return np.linalg.solve(self._regular(self._states(hessian)[0]), gradient[0])[None]

    def _besides(self, direction: Array, hessian: Array) -> Array:
        """Return what the Hessian has beside the rows' part, times a direction."""
        return RIDGE * direction

    def _conjugate(self, hessian: Array, gradient: Array) -> Array:
        state = self._states(hessian)
        share, weight = state[:, 1:], state.sum(axis=1)
        weight[weight == 0] = 1.0
        step, rest = np.zeros(gradient.shape), gradient.copy()
        direction = nearer = rest @ self.anchor
        size = np.vecdot(rest, nearer)
        enough = self.inexact**2 * size
        for _ in range(4 * self.size + 20):
            change = margins(direction, self.design)
            change *= share
            change -= share * (change.sum(axis=1) / weight)[:, None]
            image = (change @ self.mean_design).reshape(direction.shape)
            image += self._besides(direction, hessian)
            going = size > enough
            bend = np.where(going, np.vecdot(direction, image), 1.0)
            length = (np.where(going, size, 0.0) / bend)[:, None]
            step += length * direction
            rest -= length * image
            nearer = rest @ self.anchor
            before, size = np.where(going, size, 1.0), np.where(going, np.vecdot(rest, nearer), 0.0)
            if not np.count_nonzero(size > enough):
                break
            direction = nearer + (size / before)[:, None] * direction
        return step

    def _curvature(self, state: Array) -> Array:
        """Return minus second derivatives (q, q, n), from probabilities times weights (K, n)."""
        share, weight = state[1:], state.sum(axis=0)
        weight[weight == 0] = 1.0
        return np.asarray(np.eye(len(share))[:, :, None] * share - share[:, None] * share / weight)

    def _regular(self, state: Array) -> Array:
        """Return the Hessian (d, d) of one replication, with a touch of the identity."""
        hessian = gram(self.design, self._curvature(state)) / len(self.design)
        return hessian + RIDGE * np.eye(self.size)

    def _least(self, curvature: Array) -> float:
        return float(np.linalg.eigvalsh(gram(self.design, curvature) / len(self.design))[0])

    def _flat(self, hessian: Array) -> NDArray[np.bool_]:
        flat = np.empty(hessian.shape[1], dtype=bool)
        for r, state in enumerate(self._states(hessian)):
            # diag(p) - p p' is at least p_0 diag(p) (Cauchy and Schwarz): a bound by a matrix K - 1
            # times smaller mostly settles it.
            weight = np.maximum(state.sum(axis=0), np.finfo(float).tiny)
            bound = self._least((state[0] * state[1:].min(axis=0) / weight)[None, None])
            flat[r] = bound < 4 * FLAT and self._least(self._curvature(state)) < FLAT
        return flat

    def _span(self, weight: Array) -> NDArray[np.bool_]:
        return np.array([self._least(row[None, None]) > DEPENDENT for row in weight], dtype=bool)


class RidgeMultinomial(Multinomial):
    """Labels 0, ..., K - 1, with a quadratic penalty on the coefficients of all K labels about
    their mean, but not on a constant column's; the last number of a statistic is the rows read.

    An estimate exists unless a label is missing and a column is constant.
    """

    def __init__(self, X: Array, family: Family, strength: float) -> None:
        super().__init__(X, family)
        self.free = np.ptp(X, axis=0) == 0
        each = strength * (self.to_original.T * ~self.free) @ self.to_original
        self.penalty = np.kron(np.eye(family.outputs) - 1 / self.classes, each)
        self.anchor = np.linalg.inv(np.linalg.inv(self.anchor) + self.penalty / len(X))

    def near(self, theta: Array) -> None:
        state, _ = super()._evaluate(turn(theta, self.from_original.T)[None], np.zeros(1), None)
        self.anchor = np.linalg.inv(self._regular(state[0]) + self.penalty / len(self.X))

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        return np.column_stack([super()._target(statistic[:, :-1], weight), 1 / statistic[:, -1:]])

    def _usable(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        level = self.from_original @ self.free / max(self.free.sum(), 1)
        share = target[:, :-1].reshape(len(target), -1, len(level)) @ level
        least = np.minimum(share.min(axis=1), 1 - share.sum(axis=1))
        known = np.isfinite(target).all(axis=1)
        return np.asarray(known & ~(self.free.any() & (least < 1e-12)))

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        state, gradient = super()._evaluate(theta, target[:, :-1], weight)
        each = target[:, -1:]
        flat = np.column_stack([state.reshape(len(state), self.cells), each])
        return flat, gradient - each * (theta @ self.penalty)

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        return state.T

    def _room(self, replications: int) -> Array:
        return np.empty((replications, self.cells + 1)).T

    def _states(self, hessian: Array) -> Array:
        return super()._states(hessian[: self.cells])

    def _besides(self, direction: Array, hessian: Array) -> Array:
        return np.asarray(hessian[self.cells :].T * (direction @ self.penalty))

    def _solve_alone(self, hessian: Array, gradient: Array) -> Array:
        whole = self._regular(self._states(hessian)[0]) + hessian[-1, 0] * self.penalty
        return np.linalg.solve(whole, gradient[0])[None]

    def _flat(self, hessian: Array) -> NDArray[np.bool_]:
        return np.zeros(hessian.shape[1], dtype=bool)

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        return np.zeros(len(theta), dtype=bool)


LIKELIHOODS: Final[dict[type[Family], type[Likelihood]]] = {
    Logit: Logistic,
    NormalLink: Probit,
    Counts: LogLink,
    Overdispersed: LogLink,
    Positive: LogLink,
    Classes: Multinomial,
}
"""How each family is fitted."""
