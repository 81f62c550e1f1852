"""The law of a regression's loss, generations after its fit to real data, for many rows: on a test
set, and where the model is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, check_size
from collapse.plan import Plan

Array = NDArray[np.float64]

BLOCK = 1 << 14
DRAWS = 2000
STEPS = 200
SHORT = 1e-6
"""Change of every margin at which a Newton step is the last."""
FLAT = 1e-12
"""Eigenvalue of the Hessian, where columns are orthonormal, below which labels count as
separated."""
PATIENCE = 10
"""Steps in a row that may see such a Hessian: one that goes too far comes back."""
RIDGE = 1e-14
"""Added to the Hessian's diagonal, in the same coordinates."""


def misspecified(plan: Plan, dispersion: float) -> Plan:
    """Return the plan as it is where real rows are noisier, or less noisy, than the model's own:
    its real batches with size / dispersion.

    Synthetic rows obey the model that drew them, real rows need not. With a canonical link and a
    reused design both have the curvature I of the model; what differs is the variance of their
    scores, I and J. In the trace that makes the risk, J counts as dispersion times I, and a real
    batch as that many times fewer rows, wherever it is read.

    Parameters
    ----------
    plan : Plan
        The workflow.
    dispersion : float
        tr(I^-1 J) / d, such as a regression's `dispersion`.

    Returns
    -------
    Plan
        For `derive` and `simulate` without a model: its ratio is that of expected excess risk
        against the closest fit.

    Raises
    ------
    ValueError
        Where the dispersion is not positive, or the workflow is a reservoir.

    References
    ----------
    The sandwich of White (1982), in the sequential Gaussian process of Dey and Donoho (2024), arXiv
    2410.22812.

    Examples
    --------
    >>> import collapse
    >>> from collapse.forecasting.law import misspecified
    >>> collapse.derive(misspecified(collapse.workflows.augment(3), 2.0)).ratio.round(4).tolist()
    [1.0, 1.125, 1.1806]
    """
    check_size(dispersion, "dispersion")
    if not isinstance(plan, Plan):
        raise ValueError(
            "plan must be a collapse.Plan, whose real rows stand in batches of their own; it is"
            f" {brief(plan)}. In a reservoir's memory real and synthetic rows are mixed: use"
            " another workflow."
        )
    size = np.where(plan.source == 0, plan.size / float(dispersion), plan.size)
    weight, kept = (plan.recursion, None) if plan.recursion else (plan.weight, plan.kept)
    return Plan(
        plan.source,
        size,
        weight,
        kept,
        replace=plan.replace,
        name=plan.name,
        generation=plan.generation,
    )


class Family:
    """A family's loss in the margins (m, q) of m rows: its derivatives, up to the third summed
    against a covariance S (m, q, q) of margins.
    """

    scale = 1.0
    outputs = 1

    def mean(self, margin: Array) -> Array:
        raise NotImplementedError

    def curvature(self, margin: Array) -> Array:
        raise NotImplementedError

    def third(self, margin: Array, S: Array) -> Array:
        raise NotImplementedError

    def loss(self, margin: Array, label: Array) -> Array:
        raise NotImplementedError

    def coded(self, label: Array) -> Array:
        return label[:, None]


@dataclass(frozen=True)
class Classes(Family):
    outputs: int

    def _share(self, margin: Array) -> Array:
        top = np.maximum(margin.max(axis=1, keepdims=True), 0.0)
        odds = np.exp(margin - top)
        return np.asarray(odds / (odds.sum(axis=1, keepdims=True) + np.exp(-top)))

    def mean(self, margin: Array) -> Array:
        return self._share(margin)

    def curvature(self, margin: Array) -> Array:
        share = self._share(margin)
        return np.asarray(share[:, :, None] * (np.eye(self.outputs) - share[:, None, :]))

    def third(self, margin: Array, S: Array) -> Array:
        share = self._share(margin)
        towards = np.einsum("mab,mb->ma", S, share)
        square = np.einsum("ma,ma->m", towards, share)
        # distances of the classes from their mean, in the metric S; class 0 is the origin
        distance = np.einsum("maa->ma", S) - 2 * towards + square[:, None]
        average = (share * distance).sum(axis=1) + (1 - share.sum(axis=1)) * square
        return np.asarray(share * (distance - average[:, None]))

    def loss(self, margin: Array, label: Array) -> Array:
        top = np.maximum(margin.max(axis=1), 0.0)
        total = top + np.log(np.exp(margin - top[:, None]).sum(axis=1) + np.exp(-top))
        return np.asarray(total - (self.coded(label) * margin).sum(axis=1))

    def coded(self, label: Array) -> Array:
        return np.asarray((label[:, None] == np.arange(1, self.outputs + 1)).astype(np.float64))


class Counts(Family):
    def mean(self, margin: Array) -> Array:
        return np.asarray(np.exp(margin))

    def curvature(self, margin: Array) -> Array:
        return np.asarray(np.exp(margin)[:, :, None])

    def third(self, margin: Array, S: Array) -> Array:
        return np.asarray(np.exp(margin) * S[:, :, 0])

    def loss(self, margin: Array, label: Array) -> Array:
        entropy = label * np.log(np.where(label > 0, label, 1.0)) - label
        return np.asarray(np.exp(margin[:, 0]) - label * margin[:, 0] + entropy)


@dataclass(frozen=True)
class Normal(Family):
    variance: float

    @property
    def scale(self) -> float:  # type: ignore[override]
        return 2 * self.variance  # the loss is the squared error

    def mean(self, margin: Array) -> Array:
        return margin / self.variance

    def curvature(self, margin: Array) -> Array:
        return np.full((*margin.shape, 1), 1 / self.variance)

    def third(self, margin: Array, S: Array) -> Array:
        return np.zeros_like(margin)

    def loss(self, margin: Array, label: Array) -> Array:
        return np.asarray((margin[:, 0] - label) ** 2 / (2 * self.variance))

    def coded(self, label: Array) -> Array:
        return label[:, None] / self.variance


@dataclass(frozen=True, eq=False)
class Law:
    """Law of the loss of fit g on the test set, given the real data, to first order in 1/n.

    With D the error of the fit that later batches added, N(0, (C - 1) / n I^-1), the loss rises by
    grad'(D + (C - 1) / n b) + D'H D / 2, where b is the bias of maximum likelihood. In coordinates
    z in which I is the identity and H diagonal with entries `spread`, the gradient is `slope`.

    `each` holds the loss of the first fit on every test row; `unsure` the largest standard error
    of a real row's margin: the law is for many rows, and holds well where it is small (for least
    squares always).
    """

    n: int
    each: Array
    spread: Array
    slope: Array
    drift: float
    unsure: float

    @property
    def loss(self) -> float:
        return float(self.each.mean())

    @property
    def stderr(self) -> float:
        m = len(self.each)
        return float(self.each.std(ddof=1) / np.sqrt(m)) if m > 1 else float("nan")

    @property
    def kappa(self) -> float:
        return float(0.5 * self.spread.sum() + self.drift)

    def mean(self, C: Array) -> Array:
        return np.asarray(self.loss + (C - 1) * self.kappa / self.n)

    def band(self, C: Array, levels: tuple[float, float], seed: int) -> Array:
        """Quantiles (2, G) of the loss of one run."""
        z = np.random.default_rng([seed, 1]).standard_normal((DRAWS, len(self.spread)))
        linear = z @ self.slope
        z *= z
        bent = 0.5 * z @ self.spread + self.drift
        size = np.sqrt(np.maximum(C - 1, 0) / self.n)
        return np.asarray(
            self.loss + np.quantile(size[:, None] * (linear + size[:, None] * bent), levels, axis=1)
        )


def law_of(family: Family, theta: Array, X: Array, X_test: Array, y_test: Array) -> Law:
    d, q = theta.size, family.outputs
    coefficients = theta.reshape(q, -1)
    information = sum(
        _gram(X[block], family.curvature(X[block] @ coefficients.T)) for block in _blocks(len(X))
    ) / len(X)
    inverse = np.linalg.inv(information)
    by_output = inverse.reshape(q, d // q, q, d // q)
    skew, unsure = np.zeros((q, d // q)), 0.0
    for block in _blocks(len(X)):
        rows = X[block]
        S = np.empty((len(rows), q, q))
        for a in range(q):
            for b in range(q):
                S[:, a, b] = np.einsum("mi,mi->m", rows @ by_output[a, :, b], rows)
        unsure = max(unsure, float(np.einsum("maa->ma", S).max()) / len(X))
        skew += family.third(rows @ coefficients.T, S).T @ rows
    bias = -0.5 * inverse @ (skew.ravel() / len(X))
    hessian, gradient, losses = np.zeros((d, d)), np.zeros((q, d // q)), []
    for block in _blocks(len(X_test)):
        rows, label = X_test[block], y_test[block]
        margin = rows @ coefficients.T
        hessian += _gram(rows, family.curvature(margin))
        gradient += (family.mean(margin) - family.coded(label)).T @ rows
        losses.append(family.loss(margin, label))
    m, scale = len(X_test), family.scale
    slope = scale * gradient.ravel() / m
    root = np.linalg.cholesky((inverse + inverse.T) / 2)
    spread, turn = np.linalg.eigh(root.T @ (scale * hessian / m) @ root)
    return Law(
        len(X),
        scale * np.concatenate(losses),
        spread,
        turn.T @ (root.T @ slope),
        float(slope @ bias),
        float(np.sqrt(unsure)),
    )


def _gram(X: Array, weight: Array) -> Array:
    """Sum over rows of weight (m, q, q) times x x', (q p, q p)."""
    q, p = weight.shape[1], X.shape[1]
    out = np.empty((q, p, q, p))
    for a in range(q):
        for b in range(a + 1):
            out[a, :, b] = (X * weight[:, a, b, None]).T @ X
            out[b, :, a] = out[a, :, b].T
    return out.reshape(q * p, q * p)


def _blocks(rows: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK)]


def _definite(matrix: Array) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def newton(family: Family, X: Array, y: Array, start: Array) -> Array | None:
    """Return the maximum-likelihood estimate (q p,); None where there is none, or 200 steps do not
    reach it.

    What is returned is proved to be an estimate, but for rounding. Where there is none, a Newton
    step changes some row's margins, or their differences between classes, by 1 or more, wherever
    it begins: in a direction in which the likelihood rises for ever, its slope is a mean of
    numbers of one sign, and the Hessian times the step is the mean of at most these numbers times
    the step's largest change. The step accepted as the last changes none by more than 1e-6, and no
    direction leaves its Hessian flat. In coordinates in which the columns are orthonormal scales
    do not matter.
    """
    q, p = family.outputs, X.shape[1]
    if len(X) > 8 * BLOCK:  # where it begins changes the time taken, not the answer
        fewer = newton(family, X[::8], y[::8], start)
        start = start if fewer is None else fewer
    gram = sum(X[block].T @ X[block] for block in _blocks(len(X))) / len(X)
    try:
        whitening = np.linalg.inv(np.linalg.cholesky(gram)).T
    except np.linalg.LinAlgError:
        return None

    def evaluate(at: Array, hessian: bool) -> tuple[float, Array, Array]:
        value, gradient, curved = 0.0, np.zeros((q, p)), np.zeros((q * p, q * p))
        coefficients = at.reshape(q, p) @ whitening.T
        for block in _blocks(len(X)):
            rows, label = X[block], y[block]
            margin = rows @ coefficients.T
            value += float(family.loss(margin, label).sum())
            if hessian:
                gradient += (family.mean(margin) - family.coded(label)).T @ rows
                curved += _gram(rows, family.curvature(margin))
        if hessian:
            blocks = curved.reshape(q, p, q, p).transpose(0, 2, 1, 3)
            curved = (whitening.T @ blocks @ whitening).transpose(0, 2, 1, 3).reshape(q * p, q * p)
        return value / len(X), (gradient @ whitening).ravel() / len(X), curved / len(X)

    def reach(step: Array) -> float:
        """Return the largest change of a row's margin, or of the difference of two."""
        most, coefficients = 0.0, step.reshape(q, p) @ whitening.T
        for block in _blocks(len(X)):
            change = X[block] @ coefficients.T
            width = np.maximum(change.max(axis=1), 0) - np.minimum(change.min(axis=1), 0)
            most = max(most, float(width.max()))
        return most

    theta = np.asarray(np.linalg.solve(whitening, start.reshape(q, p).T).T.ravel(), np.float64)
    flat = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(STEPS):
            value, gradient, hessian = evaluate(theta, True)
            if not np.isfinite(hessian).all():
                return None
            flat = 0 if _definite(hessian - FLAT * np.eye(q * p)) else flat + 1
            if flat > PATIENCE:
                return None
            try:
                step = np.asarray(
                    np.linalg.solve(hessian + RIDGE * np.eye(q * p), gradient), np.float64
                )
            except np.linalg.LinAlgError:
                return None
            if not flat and reach(step) < SHORT:
                return np.asarray(((theta - step).reshape(q, p) @ whitening.T).ravel())
            share = 1.0
            while share > 1e-6 and not evaluate(theta - share * step, False)[0] <= value:
                share /= 2
            theta = theta - share * step
    return None
