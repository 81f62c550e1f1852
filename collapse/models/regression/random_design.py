"""Linear regression whose covariates are drawn anew in every batch: least squares, or ridge."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import LARGE, check_size, flag, is_number, numbers, require, whole
from collapse.exact import Scalar
from collapse.models.protocols import Array, DrawsFromTruth
from collapse.models.registry import register
from collapse.models.wishart import wishart_root

LARGEST_COLUMNS = 2000
"""Covariates whose Gram matrices are still solved."""


@register(
    "Least squares, fresh covariates",
    at=(3, 1, 1),
    n=100,
    group="regression",
    why="maximum likelihood of a smooth family, the covariates part of a row",
    page="regression",
    allowance=0.1,
)
@dataclass(frozen=True)
class RandomDesignRegression(DrawsFromTruth):
    """Linear regression without intercept on standard normal covariates that every batch draws
    anew, real and synthetic ones, with normal errors.

    A fit minimises the weighted mean of (y - x'theta)^2, with weights that sum to one, plus ridge
    times theta'theta. Its risk is the mean of (x'(theta - beta))^2 over a new row x, that is the
    squared distance of theta from beta. Covariates with another covariance matrix give least
    squares the same risks.

    Parameters
    ----------
    columns : int
        Covariates p.
    beta : float or sequence of float, shape (p,)
        True coefficients; one number is taken for each of them.
    sigma : float
        Standard deviation of the errors.
    ridge : float, optional
        Penalty, at least 0. With 0 a fit to fewer than p rows does not exist, unless
    shortest : bool, optional
        where many coefficients fit equally well, the shortest are taken (of least norm: the limit
        of a ridge that goes to 0).

    Attributes
    ----------
    exact_form : str or None
        "random design" without a penalty: exact at every n under plans that weigh all rows alike
        and add to what an earlier fit read (augment, discard); for all others
        `derivation.equivalent.deterministic_equivalent` holds in the limit of many rows and
        columns.

    Raises
    ------
    ValueError
        Where columns is no positive whole number, beta is no vector of that length, sigma is not
        positive or the ridge is negative.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.RandomDesignRegression(columns=5, beta=1, sigma=1)
    >>> collapse.derive(collapse.workflows.augment(10), model=model, n=20).ratio[-1].round(5)
    np.float64(1.4323)
    """

    columns: int
    beta: Any
    sigma: Scalar
    ridge: float = 0.0
    shortest: bool = False

    def __post_init__(self) -> None:
        p = whole(self.columns, "columns", "covariates", most=LARGEST_COLUMNS)
        beta: ArrayLike = [self.beta] * p if is_number(self.beta) else self.beta
        such = f"one number, or one for each of the {p} columns"
        table = np.array(numbers(beta, "beta", such), np.float64)
        require(
            table.shape == (p,) and bool((np.abs(table) <= LARGE).all()),
            f"beta must be {such}, of at most {LARGE:g} in size; it has shape {table.shape}.",
        )
        given = {
            "columns": p,
            "beta": float(table[0]) if is_number(self.beta) else tuple(table.tolist()),
            "sigma": check_size(self.sigma, "sigma"),
            "ridge": float(check_size(self.ridge, "ridge", 0.0)),
            "shortest": flag(self.shortest, "shortest"),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def exact_form(self) -> str | None:
        return None if self.ridge else "random design"

    @cached_property
    def truth(self) -> Array:
        return np.broadcast_to(np.asarray(self.beta, np.float64), self.columns).copy()

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw covariates and labels: theta (R, p) to (R, rows, p + 1), the label last."""
        X = rng.standard_normal((len(theta), rows, self.columns))
        errors = float(self.sigma) * rng.standard_normal((len(theta), rows))
        return np.concatenate([X, (np.vecdot(X, theta[:, None]) + errors)[:, :, None]], axis=2)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        share = weight / weight.sum(axis=1, keepdims=True)
        X, y = rows[:, :, :-1], rows[:, :, -1]
        weighted = share[:, :, None] * X
        moment = np.einsum("rnp,rn->rp", weighted, y - X @ self.truth)
        return self._minimum(weighted.mT @ X, moment)

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """The means (R, p p + p) of x x' and of x (y - x'beta)."""
        root = wishart_root(len(theta), rows, self.columns, rng)
        gram = root @ root.mT / rows
        errors = (float(self.sigma) / rows) * rng.standard_normal((len(theta), root.shape[2]))
        moment = np.vecdot(gram, (theta - self.truth)[:, None]) + np.vecdot(root, errors[:, None])
        return np.concatenate([gram.reshape(len(theta), self.columns**2), moment], axis=1)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        p = self.columns
        gram = statistic[:, : p * p].reshape(len(statistic), p, p)
        return self._minimum(gram, statistic[:, p * p :])

    def deviation(self, theta: Array) -> Array:
        return np.asarray(theta - self.truth)

    def risk(self, theta: Array) -> Array:
        error = self.deviation(theta)
        return np.asarray(np.vecdot(error, error))

    def _minimum(self, gram: Array, moment: Array) -> Array:
        """Coefficients (R, p) from means of x x' (R, p, p) and x (y - x'beta) (R, p); where the
        rows do not span and nothing is penalised the shortest, or NaN.
        """
        gram = gram + self.ridge * np.eye(self.columns)
        moment = moment - self.ridge * self.truth
        try:  # far cheaper than eigenvalues
            levels = np.diagonal(np.linalg.cholesky(gram), axis1=1, axis2=2) ** 2
        except np.linalg.LinAlgError:
            levels = np.linalg.eigvalsh(gram)
        poor = levels.min(axis=1) <= 1e-10 * levels.max(axis=1)
        if self.shortest:  # from 0 in place of the truth
            few, at = gram[poor], moment[poor]
            at = np.linalg.pinv(few, 1e-10, hermitian=True) @ (at + few @ self.truth)[:, :, None]
            moment[poor] = at[:, :, 0] - self.truth
        else:
            moment[poor] = np.nan
        gram[poor] = np.eye(self.columns)
        return np.asarray(self.truth + np.linalg.solve(gram, moment[:, :, None])[:, :, 0])
