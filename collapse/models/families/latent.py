"""Latent structure: the weight of a normal mixture by EM, and probabilistic principal
components.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import LARGE, check_size, floats, require, whole
from collapse.exact import Scalar
from collapse.models.families.base import Share, SquaredError, Standardised, decreasing_roots
from collapse.models.protocols import Array, DrawsFromTruth, by_parts
from collapse.models.registry import register

STEPS: Final = 200
SHORTEST: Final = 1e-8
"""Newton step after which a fit is done: the next would be of the order of its square."""
ENDS: Final = (float(np.nextafter(0, -1)), float(np.nextafter(1, 2)))
"""Ends between which a weight is sought: by the least there is, so that it may be 0 or 1."""
NEGLIGIBLE: Final = 1e-12
"""Noise variance, relative to the largest eigenvalue, below which rounding alone remains."""

_latent = partial(register, group="latent structure", page="latent")


def _steps(value: Any, name: str) -> int | None:
    meaning = "EM steps of a fit that starts from an earlier one"
    return None if value is None else whole(value, name, meaning, most=10_000)


@_latent(
    "Mixture weight by one EM step",
    at=(0.5, 2, 1),
    n=200,
    covered=False,
    why="a fit that stops early keeps part of its start: the law of a plan with smoothed weights",
)
@_latent(
    "Mixture weight by EM",
    at=(0.5, 3),
    n=200,
    why="maximum likelihood at an interior point: EM run until it converges",
    allowance=0.07,
)
@dataclass(frozen=True)
class NormalMixture(Standardised, SquaredError):
    """Weight of the second of two known normal components, standard normal and the same shifted by
    `separation`.

    The maximum-likelihood weight is the fixed point of EM, whose step replaces the weight by the
    mean posterior probability of the second component. The log-likelihood is concave in the weight,
    so the fixed point is found by Newton steps inside a bracket; it may be 0 or 1. Risk is the
    squared error of the weight.

    Parameters
    ----------
    weight : float
        Of the second component, in the real world, strictly between 0 and 1.
    separation : float
        Distance of the components' means, in standard deviations.
    steps : int, optional
        Number of EM steps after which a fit that starts from an earlier one stops. Such a fit is
        another estimator, outside the theorem. Default: every fit converges. A fit without a start
        always does.

    Attributes
    ----------
    limit_risk : float
        Inverse of the Fisher information, to which n times the risk of a converged first fit tends.

    References
    ----------
    Dempster, Laird and Rubin (1977), section 3; Louis (1982).

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.NormalMixture(0.4, separation=2)
    >>> model.fit(np.array([[-0.5, 0.2, 1.9, 3.0]]), np.ones((1, 4)), None).round(4)
    array([[0.5206]])
    >>> round(model.missing_information, 4)
    0.455
    """

    weight: Share
    # closer components are one, farther ones are never confused
    separation: Annotated[Scalar, partial(check_size, low=1e-3, high=1e3)]
    steps: Annotated[int | None, _steps] = None
    estimated = ("weight",)

    @property
    def missing_information(self) -> float:
        """Share of the information of a labelled row that is lost with its label: the rate at which
        EM converges.
        """
        weight = self.truth[0]
        return float(1 - weight * (1 - weight) / self.limit_risk)

    def information(self, theta: Array) -> Array:
        """Fisher information of a row at weights (R, 1): (R, 1, 1)."""
        # the trapezoidal rule is exact to rounding for an integrand with normal tails
        x, step = np.linspace(-10, float(self.separation) + 10, 1001, retstep=True)
        first, second = (
            np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi)
            for mean in (0, float(self.separation))
        )
        density = first + theta * (second - first)
        return np.asarray((step * (second - first) ** 2 / density).sum(axis=1))[:, None, None]

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at weights (R, 1): the first-order effect of each on the converged fit, (R,
        N, 1).
        """
        return np.asarray(
            _score(self._contrast(rows), theta[:, 0])[..., None] / self.information(theta)
        )

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        shape = (len(theta), rows)
        return rng.standard_normal(shape) + float(self.separation) * (rng.random(shape) < theta)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        begin = np.full(len(rows), 0.5) if start is None else start[:, 0]

        def weights(part: slice) -> Array:
            theta = begin[part]
            data = (
                self._contrast(rows[part]),
                weight[part] / weight[part].sum(axis=1, keepdims=True),
            )
            if start is None or self.steps is None:
                theta = np.where((theta > 0) & (theta < 1), theta, 0.5)
                return decreasing_roots(_score_step, theta, ENDS, data, (0, SHORTEST), STEPS)
            for _ in range(self.steps):
                theta = theta + theta * (1 - theta) * _score_step(theta, *data)[0]
            return theta

        return by_parts(weights, *weight.shape)[:, None]

    def _contrast(self, rows: Array) -> Array:
        """Difference of the components' densities at each row over their sum; 1 or -1 where the row
        is at plus or minus infinity.
        """
        return np.asarray(np.tanh(float(self.separation) / 2 * (rows - float(self.separation) / 2)))


@np.errstate(divide="ignore")
def _score(contrast: Array, weight: Array) -> Array:
    """Derivative (R, N) of each row's log-likelihood in the weight (R,)."""
    return np.asarray(contrast / (0.5 + (weight[:, None] - 0.5) * contrast))


def _score_step(weight: Array, contrast: Array, share: Array) -> tuple[Array, Array]:
    """Mean score (R,) at weights (R,), and where Newton's step leads in [0, 1]."""
    score = _score(contrast, weight)
    mean = np.einsum("rn,rn->r", share, score)
    return mean, np.clip(weight + mean / np.einsum("rn,rn,rn->r", share, score, score), 0, 1)


@_latent(
    "Principal components, no signal",
    at=([[0], [0], [0], [0]], 1),
    n=200,
    effort=4,
    covered=False,
    why=(
        "without a signal the true covariance is the apex of a cone: the fit has no linear"
        " expansion"
    ),
)
@_latent(
    "Principal components",
    at=([[2], [1], [0], [-1]], 1),
    n=400,
    effort=4,
    why="maximum likelihood in the covariance, which is identified; the signal is not zero",
    allowance=0.14,
)
class PrincipalComponents(DrawsFromTruth):
    """Probabilistic principal components: normal rows with mean 0 and covariance W W' + noise I, by
    maximum likelihood.

    W itself is known up to a rotation only; the parameter is the covariance, which is identified:
    its upper triangle, row by row. The fit keeps the leading eigenvalues and eigenvectors of the
    rows' second moments, and replaces the other eigenvalues by their mean. The second moments of a
    batch are drawn directly, a Wishart matrix by Bartlett's decomposition. No estimate exists where
    the noise is fitted as 0. Risk is the Kullback-Leibler divergence of the fitted normal law from
    the true one, in nats.

    Parameters
    ----------
    loadings : array_like, shape (p, q)
        The true W, of full column rank. Where its rank is smaller and q < p - 1 the parameter is at
        the apex of a cone, and the theorem does not apply.
    noise : float
        True variance of the noise.

    Attributes
    ----------
    truth : ndarray, shape (p (p + 1) / 2,)
        Upper triangle of the true covariance.
    limit_risk : float
        Half the number of free parameters, p q - q (q - 1) / 2 + 1, to which n times the risk of
        the first fit tends where the loadings have full rank.

    References
    ----------
    Tipping and Bishop (1999), Journal of the Royal Statistical Society B 61, sections 3.2 and A.

    Examples
    --------
    >>> model = PrincipalComponents([[1], [1], [0], [1]], noise=0.5)
    >>> model.limit_risk
    2.5
    >>> statistic = model.draw_real_statistic(3, 100, np.random.default_rng(0))
    >>> model.fit_statistic(statistic, None).shape
    (3, 10)
    """

    def __init__(self, loadings: ArrayLike, noise: float) -> None:
        self.loadings = floats(loadings, "loadings", "a matrix of shape (p, q)")
        tall = self.loadings.ndim == 2 and 0 < self.loadings.shape[1] < self.loadings.shape[0]
        require(
            tall and np.isfinite(self.loadings).all(),
            "loadings must be a finite matrix (p, q) with more rows than columns, and at least"
            f" one column; it has shape {self.loadings.shape}.",
        )
        require(
            not (np.abs(self.loadings).max() > LARGE),
            f"loadings must be at most {LARGE:g} in size; take another unit.",
        )
        check_size(noise, "noise")
        self.loadings.flags.writeable = False
        self.noise = noise
        self.dimension, self.components = self.loadings.shape
        self._upper = np.triu_indices(self.dimension)
        largest = float(np.linalg.norm(self.loadings, 2)) ** 2 + float(noise)
        require(
            not (float(noise) <= NEGLIGIBLE * largest),
            f"noise must be more than {NEGLIGIBLE:g} of the largest variance, {largest:.3g}, "
            f"where rounding alone remains; it is {noise!r}.",
        )
        covariance = self.loadings @ self.loadings.T + float(noise) * np.eye(self.dimension)
        self.truth = covariance[self._upper]
        self.truth.flags.writeable = False
        self._inverse = np.linalg.inv(np.linalg.cholesky(covariance))

    def __repr__(self) -> str:
        return (
            f"PrincipalComponents(loadings {self.dimension} x {self.components},"
            f" noise={self.noise!r})"
        )

    @property
    def limit_risk(self) -> float:
        p, q = self.dimension, self.components
        return float(p * q - q * (q - 1) / 2 + 1) / 2

    @property
    def influence_covariance(self) -> Array:
        """V (d, d), of rank 2 limit_risk: the covariance of a row's second moments, projected on
        the model's tangent space.
        """
        S, (i, j) = self.covariance(self.truth[None])[0], self._upper
        tangent = self._tangent(S)
        # Cov(x_a x_b, x_c x_d) = S_ac S_bd + S_ad S_bc
        moments = S[np.ix_(i, i)] * S[np.ix_(j, j)] + S[np.ix_(i, j)] * S[np.ix_(j, i)]
        return np.asarray(tangent @ moments @ tangent.T)

    @property
    def risk_hessian(self) -> Array:
        """Hessian (d, d) of the risk at the truth: trace(inverse dA inverse dB) / 2 along symmetric
        directions dA and dB.
        """
        inverse = np.linalg.inv(self.covariance(self.truth[None])[0])
        directions = self.covariance(np.eye(len(self.truth)))
        return np.asarray(
            np.einsum("ij,ajk,kl,bli->ab", inverse, directions, inverse, directions) / 2
        )

    def covariance(self, theta: Array) -> Array:
        """Upper triangles (R, d) to symmetric matrices (R, p, p)."""
        full = np.empty((len(theta), self.dimension, self.dimension))
        i, j = self._upper
        full[:, i, j] = full[:, j, i] = theta
        return full

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N, p) at covariances (R, d): the first-order effect of each on the fit, (R, N,
        d).
        """
        moments = self._triangle(rows[..., :, None] * rows[..., None, :]) - theta[:, None]
        for r, covariance in enumerate(self.covariance(theta)):
            moments[r] = moments[r] @ self._tangent(covariance).T
        return moments

    def _tangent(self, covariance: Array) -> Array:
        """Derivative (d, d) of the fit in the second moments, at a covariance of the model."""
        E = self.covariance(np.eye(len(self.truth)))
        vectors = np.linalg.eigh(covariance)[1][:, : self.dimension - self.components]
        noise = vectors @ vectors.T
        within = noise @ E @ noise
        share = np.trace(within, axis1=1, axis2=2) / (self.dimension - self.components)
        return self._triangle(E - within + share[:, None, None] * noise).T

    def _triangle(self, matrices: Array) -> Array:
        """Upper triangles (..., d) of matrices (..., p, p)."""
        return np.asarray(matrices[..., self._upper[0], self._upper[1]])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        root = np.linalg.cholesky(self.covariance(theta))
        return np.asarray(rng.standard_normal((len(theta), rows, self.dimension)) @ root.mT)

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        R, p = len(theta), self.dimension
        each = np.arange(p)
        # fewer rows than columns: a trapezium of as many columns as there are rows
        triangle = np.tril(rng.standard_normal((R, p, p)), -1) * (each < rows)
        triangle[:, each, each] = np.sqrt(
            2 * rng.standard_gamma(np.maximum(rows - each, 0) / 2, (R, p))
        )
        factor = np.linalg.cholesky(self.covariance(theta)) @ triangle
        return self._triangle(factor @ factor.mT) / rows

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        total = self._triangle((weight[..., None] * rows).mT @ rows)
        return self.fit_statistic(total / weight.sum(axis=1)[:, None], start)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        few = self.dimension - self.components
        values, vectors = np.linalg.eigh(self.covariance(statistic))
        noise = values[:, :few].mean(axis=1, keepdims=True)
        values_above, leading = values[:, few:] - noise, vectors[:, :, few:]
        full = values_above[:, None] * leading @ leading.mT
        full += noise[:, :, None] * np.eye(self.dimension)
        full[noise[:, 0] <= NEGLIGIBLE * values[:, -1]] = np.nan
        return self._triangle(full)

    def risk(self, theta: Array) -> Array:
        # eigenvalues of the fitted covariance relative to the true one
        values = np.linalg.eigvalsh(self._inverse @ self.covariance(theta) @ self._inverse.T)
        return np.asarray((1 / values - 1 + np.log(values)).sum(axis=1) / 2)
