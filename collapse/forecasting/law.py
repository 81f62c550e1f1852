"""The law of a regression's loss, generations after its fit to real data, for many rows: on a test
set, and where the model is wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collapse.checks import check_size
from collapse.models.protocols import Array
from collapse.models.regression.family import FLAT, Classes, Counts, Normal, gram, margins
from collapse.models.regression.family import Smooth as Family
from collapse.models.regression.newton import RIDGE, Likelihood
from collapse.plan import Plan, checked_plan

__all__ = ["Classes", "Counts", "Family", "Law", "Normal", "law_of", "misspecified", "newton"]

BLOCK = 1 << 14
DRAWS = 2000


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
    mixed = " In a reservoir's memory real and synthetic rows are mixed: use another workflow."
    checked_plan(plan, "plan", mixed)
    size = np.where(plan.source == 0, plan.size / float(dispersion), plan.size)
    return plan.replace(size=size)


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
    def kappa(self) -> float:
        return float(0.5 * self.spread.sum() + self.drift)

    def mean(self, C: Array) -> Array:
        return np.asarray(self.loss + (C - 1) * self.kappa / self.n)

    def band(self, C: Array, levels: tuple[float, float], seed: int) -> Array:
        """Quantiles (2, G) of the loss of one run."""
        z = np.random.default_rng([seed, 1]).standard_normal((DRAWS, len(self.spread)))
        linear, bent = z @ self.slope, 0.5 * z**2 @ self.spread + self.drift
        size = np.sqrt(np.maximum(C - 1, 0) / self.n)[:, None]
        rise = np.quantile(size * (linear + size * bent), levels, axis=1)
        return np.asarray(self.loss + rise)


def law_of(family: Family, theta: Array, X: Array, X_test: Array, y_test: Array) -> Law:
    """Return the law of the loss on a test set, from the fit theta (q p,) to rows X."""
    q, p = family.outputs, X.shape[1]
    information = np.zeros((theta.size, theta.size))
    for rows, margin, none in _blocks(family, theta, X, np.zeros(len(X))):
        information += gram(rows, family.derivatives(margin, 1.0, none)[1]) / len(X)
    inverse = np.linalg.inv(information)
    by_output = inverse.reshape(q, p, q, p)
    skew, unsure = np.zeros((q, p)), 0.0
    for rows, margin, _ in _blocks(family, theta, X, np.zeros(len(X))):
        spread = np.empty((q, q, len(rows)))
        for a, b in np.ndindex(q, q):
            spread[a, b] = np.vecdot(rows @ by_output[a, :, b], rows)
        unsure = max(unsure, float(np.einsum("aam->am", spread).max()) / len(X))
        skew += family.third(margin, spread) @ rows / len(X)
    bias = -0.5 * inverse @ skew.ravel()
    hessian, gradient, losses = np.zeros_like(information), np.zeros((q, p)), []
    for rows, margin, coded in _blocks(family, theta, X_test, y_test):
        score, curvature = family.derivatives(margin, 1.0, coded)
        hessian += gram(rows, curvature)
        gradient -= score @ rows
        losses.append(family.deviance(margin, coded))
    scale = family.scale / len(X_test)
    slope = scale * gradient.ravel()
    root = np.linalg.cholesky((inverse + inverse.T) / 2)
    spread, turn = np.linalg.eigh(root.T @ (scale * hessian) @ root)
    return Law(
        len(X),
        family.scale * np.concatenate(losses),
        spread,
        turn.T @ (root.T @ slope),
        float(slope @ bias),
        float(np.sqrt(unsure)),
    )


def _blocks(
    family: Family, theta: Array, X: Array, y: Array
) -> Iterator[tuple[Array, Array, Array]]:
    """Take the rows of a table in blocks: covariates (m, p), margins (q, m) and labels as they
    enter sums, (q, m).
    """
    for start in range(0, len(X), BLOCK):
        rows = X[start : start + BLOCK]
        label = family.coded(y[start : start + BLOCK])
        yield rows, margins(theta[None], rows)[0], label


class _Table(Likelihood):
    """The log-likelihood of one table of many rows, which are read in blocks: nothing of their
    number is kept.
    """

    def __init__(self, family: Family, X: Array, y: Array) -> None:
        self.family: Family = family
        self.X, self.y = X, y
        parts = np.array_split(X, -(-len(X) // BLOCK))
        square = sum(part.T @ part for part in parts) / len(X)
        whitening = np.linalg.inv(np.linalg.cholesky(square)).T
        longest = max(((part @ whitening) ** 2).sum(axis=1).max() for part in parts)
        self.reach = float(np.sqrt(2 * longest))  # differences between classes count, too
        self.whitening = np.kron(np.eye(family.outputs), whitening)

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return theta, of which `_hessian` makes its own pass, and the gradient."""
        gradient = np.zeros((self.family.outputs, self.X.shape[1]))
        for rows, margin, coded in _blocks(self.family, self.whitening @ theta[0], self.X, self.y):
            gradient += self.family.derivatives(margin, 1.0, coded)[0] @ rows / len(self.X)
        return theta, gradient.reshape(1, -1) @ self.whitening

    def _hessian(self, theta: Array, weight: Array | None) -> Array:
        hessian = np.zeros(self.whitening.shape)
        for rows, margin, coded in _blocks(self.family, self.whitening @ theta[0], self.X, self.y):
            hessian += gram(rows, self.family.derivatives(margin, 1.0, coded)[1]) / len(self.X)
        return (self.whitening.T @ hessian @ self.whitening).reshape(-1, 1)

    def _solve_alone(self, hessian: Array, gradient: Array) -> Array:
        touch = RIDGE * np.eye(len(self.whitening))
        return np.linalg.solve(hessian.reshape(touch.shape) + touch, gradient[0])[None]

    def _flat(self, hessian: Array) -> NDArray[np.bool_]:
        dense = hessian.reshape(self.whitening.shape)
        return np.asarray(np.linalg.eigvalsh(dense)[:1] < FLAT)


def newton(family: Family, X: Array, y: Array, start: Array) -> Array | None:
    """Return the maximum-likelihood estimate (q p,); None where there is none, or it is not
    reached.

    The search of the models' own likelihoods (`Likelihood.search`), with their test of existence: a
    direction in which the likelihood rises for ever leaves the Hessian flat. In coordinates in
    which the columns are orthonormal scales do not matter.
    """
    if len(X) > 8 * BLOCK:  # where it begins changes the time taken, not the answer
        fewer = newton(family, X[::8], y[::8], start)
        start = start if fewer is None else fewer
    try:
        table = _Table(family, X, y)
        found = table.search(np.linalg.solve(table.whitening, start)[None], start[None], None)[0]
    except np.linalg.LinAlgError:
        return None
    return None if np.isnan(found).any() else table.whitening @ found
