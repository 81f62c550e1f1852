"""Maximum likelihood on one design, batched over replications: a safeguarded Newton iteration and
its certificates.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from collapse.models.protocols import Array

CELLS: Final = 1 << 15
"""Replications times rows worked on at once: a quarter of a megabyte an array, so that a block
stays in a core's cache.
"""

DECREMENT: Final = 1e-20
"""Newton decrement, squared and predicted for the next iterate, at which a fit is done: twice what
the mean log-likelihood then lacks.
"""

SEPARATED: Final = 1e-10
"""Share of misclassified absolute margin below which labels count as separated.

Rounding leaves about 1e-15 of a true zero. An estimate that exists although the share is as small
has fitted probabilities within about 1e-10 of 0 or 1, where a mean statistic in double precision no
longer determines it.
"""

SUSPICION: Final = (8, 12)
"""Iterations after which a fit that goes on is probably separated and worth a singular value
decomposition to show it.
"""

PATIENCE: Final = 24
"""Iterations after which a linear programme decides whether an estimate exists, and a search of its
own finds it.

Ordinary fits take three to ten.
"""

ITERATIONS: Final = 1000
BISECTIONS: Final = 60
SHORT: Final = 0.1
SLACK: Final = 2.0
"""A step is short where the Hessian is off by at most this share over it, e; then exp(3 e) squared
is at most the slack.
"""

FIXED: Final = 1e-10
"""Change of any margin at which an iteration to a fixed point is done."""

RIDGE: Final = 1e-14
"""Added to the Hessian's diagonal, in coordinates in which the design's own Gram matrix is the
identity.
"""

FLAT: Final = 1e-12
"""Eigenvalue of the Hessian, in the same coordinates, below which a fit counts as separated though
an estimate may exist.

A mean statistic in double precision does not determine the estimate then, and labels drawn from it
separate but for a chance of n times as much.
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
    """A concave log-likelihood of one design, in coordinates in which the design's columns are
    orthonormal.

    A replication's data are its target, an array whose first axis is the replication, and perhaps
    weights of the rows. What each kind adds to this class: how the target comes from a statistic,
    and what rows tell of the gradient and of minus the Hessian at given coefficients. Hessians are
    kept as upper triangles by rows, (p (p + 1) / 2, R).

    The safeguards need a likelihood that is self-concordant in the generalised sense: along any
    line the third derivative of each row's part is at most the second times the speed of its margin
    [1]_. That holds for logistic, Poisson, gamma and negative binomial regression with a
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
    clear: float = 0.0
    """Largest margin at which no row's curvature is below FLAT."""

    def __init__(self, X: Array) -> None:
        n, columns = X.shape
        basis, triangle = np.linalg.qr(X)
        self.design = basis * np.sqrt(n)
        self.mean_design = self.design / n
        self.from_original = triangle / np.sqrt(n)
        self.to_original: Array = np.linalg.inv(self.from_original)
        first, second = np.triu_indices(columns)
        self.ridge = RIDGE * (first == second)[:, None]
        self.entry = np.empty((columns, columns), dtype=np.intp)
        self.entry[first, second] = self.entry[second, first] = np.arange(first.size)
        self.reach = float(np.sqrt((self.design**2).sum(axis=1).max()))
        self.steep = (self.clear / self.reach) ** 2
        self.size = columns
        self.cells = n

    @cached_property
    def products(self) -> Array:
        """Products of pairs of columns, over n, upper triangle by rows: (p (p + 1) / 2, n)."""
        first, second = np.triu_indices(self.design.shape[1])
        products: Array = (self.design[:, first] * self.design[:, second]).T / self.design.shape[0]
        return products

    def maximise(self, statistic: Array, weight: Array | None, start: Array | None) -> Array:
        """Return the maximiser for each replication, in the original coordinates.

        `statistic` (R, ...) holds weighted means over the data, `weight` (R, n) the rows' weights
        with mean 1, or None where all are 1.
        """
        target = self._target(statistic, weight)
        usable: NDArray[np.bool_] = np.asarray(np.isfinite(target).all(axis=1))
        if weight is not None:
            usable[usable] = self._span(weight[usable])
        row = np.flatnonzero(usable)
        answer = np.full((target.shape[0], self.size), np.nan)
        if not row.size:
            return answer
        target, weight = target[row], take(weight, row)
        theta = self._begin(target, weight) if start is None else self._inward(start[row])
        if start is not None and not np.isfinite(theta).all():
            cold = np.asarray(~np.isfinite(theta).all(axis=1))
            theta[cold] = self._begin(target[cold], take(weight, cold))
        hessian = self._room(row.size)
        gradient, step = np.empty(theta.shape), np.zeros(theta.shape)
        decrement, moved = np.zeros(row.size), np.zeros(row.size)
        fresh: NDArray[np.bool_] = np.ones(row.size, dtype=bool)
        for iteration in range(PATIENCE + 1):
            for block in blocks(row.size, self.cells):
                signed, gradient[block] = self._evaluate(
                    theta[block], target[block], take(weight, block)
                )
                long = moved[block] > SURE if iteration else fresh[:0]
                if np.count_nonzero(long):
                    # The slope at the end of the step is negative: the gradient has turned against
                    # it. Halve the step until it turns no more, or is short enough to raise the
                    # likelihood for sure. A small overshoot is let pass: it mostly saves an
                    # iteration.
                    back = np.flatnonzero(long) + block.start
                    while back.size:
                        back = back[
                            (np.vecdot(step[back], gradient[back]) < -0.5 * decrement[back])
                            & (moved[back] > SURE)
                        ]
                        step[back] *= 0.5
                        decrement[back] *= 0.5
                        moved[back] *= 0.5
                        theta[back] -= step[back]
                        fresh[back] = True
                        signed[back - block.start], gradient[back] = self._evaluate(
                            theta[back], target[back], take(weight, back)
                        )
                new = fresh[block]
                if np.count_nonzero(new) == new.size:
                    hessian[:, block] = self._hessian(signed, take(weight, block))
                elif np.count_nonzero(new):
                    inside = np.flatnonzero(new)
                    hessian[:, inside + block.start] = self._hessian(
                        signed[inside], take(weight, inside + block.start)
                    )
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
            left = np.count_nonzero(stay)
            if left < row.size:
                done = np.flatnonzero(~stay) if left else np.arange(row.size)
                answer[row[done]] = self._determined(theta[done], hessian, done)
                if not left:
                    break
            moved += length
            # One more step with the Hessian at hand costs less than a new one where it is sure to
            # be the last.
            fresh = predicted * moved * moved > DECREMENT
            if iteration == 0 and start is not None and np.count_nonzero(decrement > 1.0):
                # At zero no labels 0 and 1 have a decrement above 1: a start with a larger one is
                # worse than none.
                lost = decrement > 1.0
                theta[lost], step[lost] = self._begin(target[lost], take(weight, lost)), 0.0
            if iteration > 2:
                stay[stay] = ~self._separates(theta[stay], target[stay], take(weight, stay))
                if iteration in SUSPICION and np.count_nonzero(stay):
                    stay[stay] = ~self._separates(
                        self._runaway(step[stay]), target[stay], take(weight, stay)
                    )
                if iteration == PATIENCE:
                    stay[stay] = ~self._proved_separated(target[stay], take(weight, stay))
                    for hard in np.flatnonzero(stay):
                        one = slice(hard, hard + 1)
                        found, curvature = self._search(target[one], take(weight, one))
                        answer[row[hard]] = self._determined(
                            found, curvature, np.zeros(1, dtype=np.intp)
                        )[0]
                    break
                left = np.count_nonzero(stay)
                if not left:
                    break
            if left < row.size:
                row, theta, target, weight, hessian = (
                    row[stay],
                    theta[stay],
                    target[stay],
                    take(weight, stay),
                    hessian[:, stay],
                )
                gradient, step, decrement, moved, fresh = (
                    gradient[stay],
                    step[stay],
                    decrement[stay],
                    moved[stay],
                    fresh[stay],
                )
        return self._outward(answer)

    def _search(self, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return the maximiser (1, p) of one replication, NaN if not reached, and minus the
        Hessian.

        Newton's iteration from zero, each step as long as its slope allows. For labels that are
        nearly separated: there the whole step is far too long at one iterate and far too short at
        the next.
        """
        theta = self._begin(target, weight)
        for _ in range(ITERATIONS):
            signed, gradient = self._evaluate(theta, target, weight)
            hessian = self._hessian(signed, weight)
            step = self._solve_alone(hessian, gradient)
            decrement = float(np.vecdot(step, gradient)[0])
            if decrement <= DECREMENT or (decrement <= self.negligible and self._flat(hessian)[0]):
                return theta, hessian
            share, low, high = 1.0, 0.0, np.inf
            for _ in range(BISECTIONS):
                slope = float(
                    np.vecdot(step, self._evaluate(theta + share * step, target, weight)[1])[0]
                )
                if abs(slope) <= 0.1 * decrement:
                    break
                low, high = (share, high) if slope > 0 else (low, share)
                share = 2.0 * low if np.isinf(high) else 0.5 * (low + high)
            theta = theta + share * step
        if self._flat(hessian)[0]:
            return theta, hessian
        return np.full(theta.shape, np.nan), hessian

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
        look = np.vecdot(theta, theta) > self.steep
        if np.count_nonzero(look):
            theta[np.flatnonzero(look)[self._flat(hessian[:, done[look]])]] = np.nan
        return theta

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        """Return the derivative of rows' log-likelihood in the margin, and minus the second, up to
        one factor that rows share.

        Rows (R, m) have given weights and weighted sums of labels; with classes margins and sums
        are (R, K - 1, m), and the second derivative is (R, K - 1, K - 1, m).
        """
        raise NotImplementedError

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        """Return a replication's data as the gradient wants them, (R, ...)."""
        raise NotImplementedError

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return what the Hessian wants of every row (R, n, ...), and the gradient (R, p) of the
        mean log-likelihood.
        """
        raise NotImplementedError

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        """Return minus the Hessian of the mean log-likelihood, from what `_evaluate` gave."""
        raise NotImplementedError

    def _begin(self, target: Array, weight: Array | None) -> Array:
        """Return where to begin without a start, (R, p)."""
        return np.zeros((target.shape[0], self.size))

    def _inward(self, theta: Array) -> Array:
        inward: Array = theta @ self.from_original.T
        return inward

    def _outward(self, theta: Array) -> Array:
        outward: Array = theta @ self.to_original.T
        return outward

    def _room(self, replications: int) -> Array:
        return np.empty((self.products.shape[0], replications))

    def _solve(self, hessian: Array, gradient: Array) -> Array:
        return _solve(hessian, gradient, self.entry)

    def _solve_alone(self, hessian: Array, gradient: Array) -> Array:
        """Solve the system of one replication, however nearly singular."""
        return self._solve(hessian, gradient)

    def _flat(self, hessian: Array) -> NDArray[np.bool_]:
        return _singular(hessian, FLAT, self.entry)

    def _span(self, weight: Array) -> NDArray[np.bool_]:
        """Tell where rows with these weights span the columns."""
        return ~_singular(self._gram(weight, self.products), DEPENDENT, self.entry)

    def _length(self, theta: Array, step: Array) -> Array:
        """Return a bound on the change of any margin over a step from theta, in units in which the
        likelihood is self-concordant.
        """
        length: Array = self.reach * np.sqrt(np.vecdot(step, step))
        return length

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where the likelihood rises for ever in the direction theta, so that there is no
        estimate.
        """
        return np.zeros(theta.shape[0], dtype=bool)

    def _proved_separated(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where it can be proved that there is no estimate; elsewhere a Hessian that ends flat
        shows it.
        """
        return np.zeros(target.shape[0], dtype=bool)

    def _runaway(self, step: Array) -> Array:
        """Return the part of Newton steps that leaves the margins alone that they hardly move.

        Under quasi-complete separation steps soon do nothing but send some margins away, by about 1
        each; that part then shows which, at rounding's precision.
        """
        runaway = np.empty(step.shape)
        for block in blocks(step.shape[0], self.design.size):
            moves = np.abs(step[block] @ self.design.T)
            resting = moves < 0.05 * moves.max(axis=1, keepdims=True)
            _, size, direction = np.linalg.svd(
                self.design * resting[:, :, None], full_matrices=False
            )
            along = np.einsum("rkp,rp->rk", direction, step[block]) * (
                size <= 1e-10 * np.sqrt(self.design.shape[0])
            )
            runaway[block] = np.einsum("rk,rkp->rp", along, direction)
        return runaway


class Binary(Likelihood):
    """Labels 0 and 1, through a symmetric link: an estimate exists unless a hyperplane separates
    them, completely or quasi-completely.

    Separation shows in the weighted mean of q (y - 1/2), which certificates take as their target. A
    linear programme has the last word on it, so that a search goes on to where rounding alone is
    left of the decrement.
    """

    negligible = 1e-12

    def __init__(self, X: Array) -> None:
        super().__init__(X)
        self.half_mean = 0.5 * self.mean_design
        self.half_total = self.half_mean.sum(axis=0)

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where theta separates the labels: no margin is on the wrong side.

        Half the mean absolute margin less target'theta is the mean of the absolute margin times the
        share of labels it misclassifies. As a share of the mean absolute margin it bounds from
        above how far from 0 and 1 probabilities with the same statistic can all be kept (linear
        duality), for any theta.
        """
        separates = np.empty(theta.shape[0], dtype=bool)
        for block in blocks(theta.shape[0], self.design.shape[0]):
            size = np.abs(theta[block] @ self.design.T)
            each = take(weight, block)
            if each is not None:
                size *= each
            absolute = size.mean(axis=1)
            separates[block] = (
                0.5 * absolute - np.vecdot(theta[block], target[block]) < SEPARATED * absolute
            )
        return separates

    def _proved_separated(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where a linear programme finds a theta that separates the labels, all of them or all
        but those it gives margin zero.

        An estimate exists exactly where probabilities strictly between 0 and 1 have the statistic
        of the labels. Write them (1 + u) / 2, stretch the statistic away from that of u = 0 and ask
        how far it can go with u in [-1, 1]: beyond 1, or not. The multipliers are the theta that
        attains the bound of `_separates`, which has the last word.
        """
        from scipy.optimize import linprog

        proved = np.zeros(target.shape[0], dtype=bool)
        for replication in range(target.shape[0]):
            one = slice(replication, replication + 1)
            rows = (
                self.half_mean
                if weight is None
                else (self.half_mean * weight[replication, :, None])[weight[replication] > 0]
            )
            result = linprog(
                np.append(np.zeros(rows.shape[0]), -1.0),
                A_eq=np.column_stack([rows.T, -target[replication]]),
                b_eq=np.zeros(target.shape[1]),
                bounds=[(-1.0, 1.0)] * rows.shape[0] + [(0.0, None)],
                options={
                    "primal_feasibility_tolerance": 1e-10,
                    "dual_feasibility_tolerance": 1e-10,
                },
            )
            if result.status == 0:
                # by the target as it is here: a subclass's own may be another
                found = result.eqlin.marginals[None]
                shown = Binary._separates(self, found, target[one], take(weight, one))
                proved[replication] = shown[0]
        return proved


class Logistic(Binary):
    """Labels 0 and 1 with p = (1 + tanh(q'theta / 2)) / 2.

    The target is the weighted mean of q (y - 1/2), p numbers; the gradient of the mean
    log-likelihood is target - mean of q (p - 1/2), and minus the Hessians of all replications are
    one matrix product, of p (1 - p) with the products of pairs of columns.
    """

    clear = float(-np.log(4.0 * FLAT))

    def __init__(self, X: Array) -> None:
        super().__init__(X)
        self.half_design = 0.5 * self.design
        self.quarter_products = 0.25 * self.products

    def derivatives(self, margin: Array, weight: Array | float, ones: Array) -> tuple[Array, Array]:
        share = 0.5 + 0.5 * np.tanh(0.5 * margin)
        return ones - weight * share, weight * share * (1.0 - share)

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        """Return the weighted mean of q (y - 1/2), (R, p), from that of x y."""
        target: Array = statistic @ self.to_original - (
            self.half_total if weight is None else weight @ self.half_mean
        )
        return target

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return 2 p - 1 for every row (R, n), p the probability of label 1, and the gradient (R,
        p) of the mean log-likelihood.
        """
        signed: Array = theta @ self.half_design.T
        np.tanh(signed, out=signed)
        return signed, target - (signed if weight is None else signed * weight) @ self.half_mean

    def _hessian(self, signed: Array, weight: Array | None) -> Array:
        """Return minus the Hessian of the mean log-likelihood, from 2 p - 1."""
        curvature = signed * signed
        np.subtract(1.0, curvature, out=curvature)
        if weight is not None:
            curvature *= weight
        return self._gram(curvature, self.quarter_products)


class Ridge(Logistic):
    """Labels 0 and 1, with a quadratic penalty on some coefficients; the last number of a statistic
    is its strength over the rows read.

    The penalty is quadratic: it adds to the Hessian and nothing to how fast that changes, so that
    the safeguards hold as they are.
    """

    def __init__(self, X: Array, penalised: NDArray[np.bool_]) -> None:
        super().__init__(X)
        self.penalty = (self.to_original.T * penalised) @ self.to_original
        self.packed = self.penalty[np.triu_indices(X.shape[1])][:, None]

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        return np.column_stack([super()._target(statistic[:, :-1], weight), statistic[:, -1]])

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        signed, gradient = super()._evaluate(theta, target[:, :-1], weight)
        return np.column_stack([signed, target[:, -1]]), gradient - target[:, -1:] * (
            theta @ self.penalty
        )

    def _hessian(self, signed: Array, weight: Array | None) -> Array:
        return super()._hessian(signed[:, :-1], weight) + self.packed * signed[:, -1]

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        return np.zeros(theta.shape[0], dtype=bool)

    def _proved_separated(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        return np.zeros(target.shape[0], dtype=bool)

    def _span(self, weight: Array) -> NDArray[np.bool_]:
        return np.ones(weight.shape[0], dtype=bool)


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

    def __init__(self, X: Array) -> None:
        super().__init__(X)
        first, second = np.triu_indices(X.shape[1])
        self.twice = np.where(first == second, 1.0, 2.0)
        self.pairs = first, second

    def maximise(self, statistic: Array, weight: Array | None, start: Array | None) -> Array:
        n, p = self.design.shape
        mean, rows = statistic[:, :-1], statistic[:, -1:]
        weight = np.ones((len(mean), n)) if weight is None else weight
        answer = np.full((len(mean), p), np.nan)
        left = np.flatnonzero(np.isfinite(statistic).all(axis=1))
        left = left[self._span(weight[left])]
        if start is None or not np.isfinite(start[left]).all():
            start = np.zeros((len(mean), p))
        theta = start[left]
        for _ in range(ITERATIONS):
            moved = np.empty(theta.shape)
            for block in blocks(len(left), self.cells):
                at = left[block]
                leverage = self._leverage(theta[block], weight[at])
                total = rows[at] + p
                # the design's own leverages sum to p: so many rows are added
                labels = (rows[at] * mean[at] + 0.5 * leverage @ self.original) / total
                moved[block] = super().maximise(
                    labels, (rows[at] * weight[at] + n * leverage) / total, theta[block]
                )
            change = np.abs((moved - theta) @ self.original.T).max(axis=1)
            theta = moved
            done = change <= FIXED
            answer[left[done]] = theta[done]
            left, theta = left[~done], theta[~done]
            if not left.size:
                break
        return answer

    @cached_property
    def original(self) -> Array:
        original: Array = self.design @ self.from_original
        return original

    def _leverage(self, theta: Array, weight: Array) -> Array:
        """Return the diagonal (R, n) of the weighted hat matrix, summed over the copies of each
        row.
        """
        signed = np.tanh(self._inward(theta) @ self.half_design.T)
        curvature = weight * (0.25 - 0.25 * signed * signed)
        gram = self._gram(curvature, self.products)
        inverse = np.linalg.inv(gram[self.entry].transpose(2, 0, 1))
        leverage: Array = curvature * ((inverse[:, *self.pairs] * self.twice) @ self.products)
        return leverage


class Probit(Binary):
    """Labels 0 and 1 with p = Phi(q'theta); the target is the weighted number of labels 1 on each
    row, (R, n).
    """

    clear = 7.0

    def derivatives(self, margin: Array, weight: Array | float, ones: Array) -> tuple[Array, Array]:
        from scipy.special import erfcx

        # the density over the distribution function, without overflow in either tail
        up, down = (
            np.sqrt(2 / np.pi) / erfcx(side * np.sqrt(0.5) * margin) for side in (-1.0, 1.0)
        )
        zeros = weight - ones
        return ones * up - zeros * down, ones * up * (up + margin) + zeros * down * np.maximum(
            down - margin, 0.0
        )

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        return statistic

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        score, curvature = self.derivatives(
            theta @ self.design.T, 1.0 if weight is None else weight, target
        )
        return curvature, score @ self.mean_design

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        return self._gram(state, self.products)

    def _length(self, theta: Array, step: Array) -> Array:
        # The third derivative is at most 0.35 + |margin| times the second.
        length = super()._length(theta, step)
        return np.asarray(length * np.maximum(1.0, 0.35 + super()._length(theta, theta) + length))

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        return super()._separates(theta, self._centred(target, weight), weight)

    def _proved_separated(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        return super()._proved_separated(self._centred(target, weight), weight)

    def _centred(self, target: Array, weight: Array | None) -> Array:
        return np.asarray((target - 0.5 * (1.0 if weight is None else weight)) @ self.mean_design)


class LogLink(Likelihood):
    """Labels with mean mu = exp(q'theta) and variance in proportion to a mu + b mu^2: Poisson (1,
    0), negative binomial, gamma (0, 1).

    With b = 0 the link is canonical, and the target is the weighted mean of q y, p numbers;
    otherwise it is the weighted sum of labels on each row, (R, n). Where a > 0, labels may be zero,
    and no estimate exists where some direction lowers the means of rows that have nothing but zeros
    and moves no other.
    """

    def __init__(self, X: Array, a: float, b: float) -> None:
        self.a, self.b = a, b
        # Only without b is a row's curvature bounded below in the margin alone, whatever its
        # labels.
        self.clear = 0.0 if b else float(-np.log(FLAT))
        super().__init__(X)

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        mean = exponential(margin)
        spread = self.a + self.b * mean
        return (total - weight * mean) / spread, mean / spread * (
            (weight * self.a + self.b * total) / spread
        )

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        return statistic if self.b else np.asarray(statistic @ self.to_original)

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        margin = theta @ self.design.T
        if self.b:
            score, curvature = self.derivatives(margin, 1.0 if weight is None else weight, target)
            return curvature, score @ self.mean_design
        mean = exponential(margin)
        if weight is not None:
            mean *= weight
        return mean, target - mean @ self.mean_design

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        gram = self._gram(state, self.products)
        # Means of very unlike size leave some directions to rounding; the touch of the identity has
        # the size of the largest.
        gram += self.ridge * np.maximum(state.mean(axis=1), 1.0)
        return gram

    def _begin(self, target: Array, weight: Array | None) -> Array:
        """Regress logarithms, of labels drawn towards their mean; of their mean alone where rows'
        labels are not known.
        """
        if self.b:
            share = np.ones(target.shape) if weight is None else weight
            mean = np.maximum(target.mean(axis=1, keepdims=True), np.finfo(float).tiny)
            return np.asarray(np.log((target + 0.5 * mean) / (share + 0.5)) @ self.mean_design)
        level = self.mean_design.sum(axis=0)
        size = level @ level
        mean = target @ level / size if size > 0 else np.ones(target.shape[0])
        return np.asarray(np.log(np.maximum(mean, 1e-3))[:, None] * level)

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        if not self.a:
            return super()._separates(theta, target, weight)
        change = theta @ self.design.T
        if weight is not None:
            change *= weight
        least = SEPARATED * np.abs(change).mean(axis=1)
        total = target @ self.mean_design if self.b else target
        return np.asarray(
            (least > 0) & (change.max(axis=1) <= least) & (np.vecdot(theta, total) >= -least)
        )


class Multinomial(Likelihood):
    """Labels 0, ..., K - 1 with log odds q'theta_k against label 0: coefficients (K - 1) p, label
    by label.

    The target is the weighted mean of q 1{y = k}. Hessians would be too large to keep: what is kept
    are the rows' probabilities times weights, (n K, R), and systems are solved by conjugate
    gradients, preconditioned by the inverse Hessian at one point near all fits.
    """

    inexact = 1e-4
    clear = 0.0

    def __init__(self, X: Array, classes: int) -> None:
        self.others = classes - 1
        super().__init__(X)
        self.size *= self.others
        self.cells *= classes
        # At zero the Hessian of whitened columns is (I - 1 1' / K) / K for each, with this inverse.
        self.anchor = np.kron(classes * (np.eye(self.others) + 1.0), np.eye(self.design.shape[1]))

    def near(self, theta: Array) -> None:
        """Precondition by the Hessian at theta (d,), in the original coordinates, where it is not
        singular.
        """
        state, _ = self._evaluate(self._inward(theta[None]), np.zeros((1, self.size)), None)
        self.anchor = np.linalg.inv(self._dense(state[0]) + RIDGE * np.eye(self.size))

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        share = shares(margin)[:, 1:]
        curvature = (
            np.eye(self.others)[:, :, None] * share[:, None] - share[:, None] * share[:, :, None]
        )
        return total - weight * share, weight * curvature

    def _each(self, theta: Array) -> Array:
        return theta.reshape(theta.shape[0], self.others, self.design.shape[1])

    def _target(self, statistic: Array, weight: Array | None) -> Array:
        return np.asarray(self._each(statistic) @ self.to_original).reshape(statistic.shape)

    def _inward(self, theta: Array) -> Array:
        return np.asarray(self._each(theta) @ self.from_original.T).reshape(theta.shape)

    def _outward(self, theta: Array) -> Array:
        return np.asarray(self._each(theta) @ self.to_original.T).reshape(theta.shape)

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        state = shares(self._each(theta) @ self.design.T)
        if weight is not None:
            state *= weight[:, None]
        return state, target - (state[:, 1:] @ self.mean_design).reshape(theta.shape)

    def _hessian(self, state: Array, weight: Array | None) -> Array:
        return state.reshape(state.shape[0], self.cells).T

    def _room(self, replications: int) -> Array:
        return np.empty((replications, self.cells)).T

    def _solve(self, hessian: Array, gradient: Array) -> Array:
        step = np.empty(gradient.shape)
        for block in blocks(gradient.shape[0], self.cells):
            state = np.ascontiguousarray(hessian[:, block].T).reshape(
                -1, self.others + 1, self.design.shape[0]
            )
            step[block] = self._conjugate(state, gradient[block])
        return step

    def _solve_alone(self, hessian: Array, gradient: Array) -> Array:
        dense = self._dense(hessian.reshape(-1, self.design.shape[0]))
        return np.linalg.solve(dense + RIDGE * np.eye(self.size), gradient[0])[None]

    def _conjugate(self, state: Array, gradient: Array) -> Array:
        share, weight = state[:, 1:], state.sum(axis=1)
        weight[weight == 0] = 1.0
        step, rest = np.zeros(gradient.shape), gradient.copy()
        nearer = rest @ self.anchor
        direction = nearer.copy()
        size = np.vecdot(rest, nearer)
        enough = self.inexact**2 * size
        for _ in range(4 * self.size + 20):
            change = self._each(direction) @ self.design.T
            change *= share
            change -= share * (change.sum(axis=1) / weight)[:, None]
            image = (change @ self.mean_design).reshape(direction.shape) + RIDGE * direction
            going = size > enough
            length = np.where(going, size, 0.0) / np.where(going, np.vecdot(direction, image), 1.0)
            step += length[:, None] * direction
            rest -= length[:, None] * image
            nearer = rest @ self.anchor
            following = np.vecdot(rest, nearer)
            if not np.count_nonzero(going & (following > enough)):
                break
            direction = (
                nearer
                + np.where(going, following / np.where(going, size, 1.0), 0.0)[:, None] * direction
            )
            size = np.where(going, following, 0.0)
        return step

    def _dense(self, state: Array) -> Array:
        """Return the Hessian (d, d) of one replication, from its rows' probabilities times weights
        (K, n).
        """
        weight = state.sum(axis=0)
        weight[weight == 0] = 1.0
        p = self.design.shape[1]
        dense = np.empty((self.others, p, self.others, p))
        for k in range(self.others):
            for j in range(k + 1):
                rows = (state[k + 1] if k == j else 0.0) - state[k + 1] * state[j + 1] / weight
                dense[k, :, j] = dense[j, :, k] = (self.design * rows[:, None]).T @ self.mean_design
        return dense.reshape(self.size, self.size)

    def _flat(self, hessian: Array) -> NDArray[np.bool_]:
        flat = np.empty(hessian.shape[1], dtype=bool)
        for r in range(hessian.shape[1]):
            state = np.ascontiguousarray(hessian[:, r]).reshape(-1, self.design.shape[0])
            # diag(p) - p p' is at least p_0 diag(p) (Cauchy and Schwarz): a bound by a matrix K - 1
            # times smaller mostly settles it.
            weight = np.maximum(state.sum(axis=0), np.finfo(float).tiny)
            least = (
                self.design * (state[0] * state[1:].min(axis=0) / weight)[:, None]
            ).T @ self.mean_design
            flat[r] = (
                np.linalg.eigvalsh(least)[0] < 4 * FLAT
                and np.linalg.eigvalsh(self._dense(state))[0] < FLAT
            )
        return flat

    def _span(self, weight: Array) -> NDArray[np.bool_]:
        return np.array(
            [
                np.linalg.eigvalsh((self.design * row[:, None]).T @ self.mean_design)[0] > DEPENDENT
                for row in weight
            ],
            dtype=bool,
        )

    def _length(self, theta: Array, step: Array) -> Array:
        # Margins here are differences between labels.
        return np.asarray(np.sqrt(2.0) * super()._length(theta, step))

    def _runaway(self, step: Array) -> Array:
        return step

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        separates = np.empty(theta.shape[0], dtype=bool)
        for block in blocks(theta.shape[0], self.cells):
            margin = self._each(theta[block]) @ self.design.T
            best = np.maximum(margin.max(axis=1), 0.0)
            width = best - np.minimum(margin.min(axis=1), 0.0)
            each = take(weight, block)
            if each is not None:
                best, width = best * each, width * each
            separates[block] = best.mean(axis=1) - np.vecdot(
                theta[block], target[block]
            ) < SEPARATED * width.mean(axis=1)
        return separates


def exponential(margin: Array) -> Array:
    """Return exp(margin), cut where sums and products of it would overflow; no estimate lies that
    far out.
    """
    return np.exp(np.clip(margin, -300.0, 300.0))


def shares(margin: Array) -> Array:
    """Return the probabilities (R, K, m) of all labels, from log odds (R, K - 1, m) against label
    0.
    """
    share = np.zeros((margin.shape[0], margin.shape[1] + 1, margin.shape[2]))
    share[:, 1:] = margin
    share -= share.max(axis=1, keepdims=True)
    np.exp(share, out=share)
    share /= share.sum(axis=1, keepdims=True)
    return share


def _solve(packed: Array, right: Array, entry: NDArray[np.intp]) -> Array:
    """Solve positive definite systems, their upper triangles by rows (p (p + 1) / 2, R), for right
    sides (R, p).
    """
    replications, columns = right.shape
    if replications == 1:
        # a third of the time of numpy.linalg.solve, which looks at its arguments for longer than it
        # solves
        _, alone, indefinite = _dposv()(packed[:, 0].take(entry), right[0])
        if not indefinite:
            return np.asarray(alone[None], dtype=float)
    if replications < MANY:
        return np.asarray(
            np.linalg.solve(packed.take(entry, axis=0).transpose(2, 0, 1), right[:, :, None])[
                :, :, 0
            ],
            dtype=float,
        )
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


@cache
def _dposv() -> Any:
    from scipy.linalg.lapack import dposv

    return dposv


def _singular(packed: Array, least: float, entry: NDArray[np.intp]) -> NDArray[np.bool_]:
    # The trace of the inverse is within a factor p of the smallest eigenvalue's inverse, and much
    # cheaper than eigenvalues.
    singular: NDArray[np.bool_] = (
        np.trace(np.linalg.inv(packed[entry].transpose(2, 0, 1)), axis1=1, axis2=2) > 1.0 / least
    )
    return singular


def take(weight: Array | None, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Array | None:
    return None if weight is None else weight[rows]


def blocks(replications: int, rows: int) -> Iterator[slice]:
    size = max(1, CELLS // rows)
    return (slice(start, min(start + size, replications)) for start in range(0, replications, size))
