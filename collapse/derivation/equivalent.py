"""Least squares and ridge on covariates drawn anew, for any weights: what the risk tends to as rows
and columns grow together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, held, require, whole
from collapse.exact import Array
from collapse.models.regression.random_design import RandomDesignRegression
from collapse.plan import Plan
from collapse.risk import Risk

if TYPE_CHECKING:
    from collapse.reservoir import Reservoir

LARGEST = 2 * 10**7
"""Numbers held at once: a hundred generations of augment are a matter of seconds."""

SHORTEST = 1e-8
"""Ridge in place of none where the shortest coefficients are taken: what it changes is as small."""

CLOSE = 1e-14
"""Relative change at which Newton's method ends."""


def deterministic_equivalent(plan: Plan | Reservoir, model: RandomDesignRegression, n: int) -> Risk:
    """Risk of a regression on fresh covariates in the limit of many rows and columns.

    As n and p grow with p / n and beta'beta fixed, the risk of each fit converges in probability to
    what is returned for these n and p. Any weights of whole batches, of any sizes; a ridge of any
    strength; more columns than rows where there is a ridge, or the shortest coefficients are taken.

    Parameters
    ----------
    plan : Plan
        The workflow; every batch is read whole.
    model : RandomDesignRegression
        Columns, coefficients, errors and ridge.
    n : int
        Rows of real data.

    Returns
    -------
    Risk
        With the covariance of the fits.

    Raises
    ------
    ValueError
        Where the plan reads part of a batch or its rows persist, the model is another, n does not
        fit the batches, or a fit without a ridge reads no more rows than there are columns.

    Notes
    -----
    A row x of batch b enters the errors u = (u_1, ..., u_G) of the fits by D_b = diag(w_b) - w_b
    e_s', w_b its weights in the fits, s the source: M u = sum x w_b e - ridge beta 1 with M = ridge
    + sum x x' (x) D_b. With K = p H,

        1 / H = ridge + sum_b m_b D_b (1 + K D_b)^-1,
        Q = H (ridge^2 beta'beta 11' + p sum_b m_b J_b (sigma^2 w_b w_b' + D_b Q D_b') J_b') H',

    J_b = (1 + D_b K)^-1; Q (G, G) is the limit of the products u_g'u_h. H is lower triangular: its
    diagonal solves an equation for each fit, and the entries below it, like those of Q, follow from
    those before in turn.

    Examples
    --------
    >>> from collapse import models, workflows
    >>> from collapse.derivation.equivalent import deterministic_equivalent
    >>> model = models.RandomDesignRegression(columns=100, beta=0.1, sigma=1)
    >>> deterministic_equivalent(workflows.window(20, k=2), model, 200).ratio[[1, -1]].round(3)
    array([1.167, 6.287])
    """
    require(
        isinstance(plan, Plan) and plan.reads_whole_batches,
        lambda _: (
            f"plan must be a Plan whose fits read whole batches; it is {brief(plan)}. Use simulate"
            " for others."
        ),
    )
    require(
        isinstance(model, RandomDesignRegression),
        lambda _: f"model must be a models.RandomDesignRegression; it is {brief(model)}.",
    )
    assert isinstance(plan, Plan)
    rows = plan.rows(whole(n, "n", "rows of real data")).astype(np.float64)
    p, G, B = model.columns, plan.generations, plan.batches
    ridge = model.ridge or SHORTEST * model.shortest
    name = f"matrices (G, G) for each batch of {plan.name}"
    held(4 * B * G * G, name, "take fewer generations", LARGEST)
    weight = plan.weight / rows
    total = (weight > 0) @ rows
    require(
        (total > p) | ((ridge > 0) & (total != p)) | (model.ridge > 0),
        lambda g: (
            f"fit {g + 1} reads {int(total[g]):,} rows, no more than the {p:,} columns: without a"
            " ridge "
            + ("it has no limit." if model.shortest else "it does not exist.")
            + " Take a larger n, or a model with a ridge"
            + (" or shortest=True." if total[g] < p else ".")
        ),
    )
    H, unlike = _resolvent(weight, plan.source, rows, p, ridge)
    one, D = np.eye(G), _entering(weight, plan.source)
    back = np.linalg.inv(one + p * D @ H)
    fresh = float(model.sigma) ** 2 * weight.T[:, :, None] * weight.T[:, None, :]
    bias = ridge**2 * float(model.truth @ model.truth)
    Q, place = np.zeros((G, G)), np.add.outer(np.arange(G), np.arange(G))
    for k in range(2 * G - 1):
        passed = back @ (fresh + D @ Q @ D.mT) @ back.mT
        through = H @ (bias + p * np.tensordot(rows, passed, 1)) @ H.T
        Q += np.where(place == k, (through - Q) / unlike, 0)
    risk = np.diag(Q).copy()
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n, tables={"covariance": Q})


def _entering(weight: Array, source: NDArray[np.int64]) -> Array:
    """D (B, G, G): how a row of each batch enters the equations of the fits."""
    D = weight.T[:, :, None] * np.eye(len(weight))
    later = np.flatnonzero(source)
    D[later, :, source[later] - 1] -= weight.T[later]
    return np.asarray(D)


def _resolvent(
    weight: Array, source: NDArray[np.int64], rows: Array, p: int, ridge: float
) -> tuple[Array, Array]:
    """H (G, G), diagonal after diagonal; and by what a change of each entry is to be divided where
    those before it are right.
    """
    level = np.zeros((len(weight), 1))
    for _ in range(1000):  # Newton's method on a concave function, from below
        held_back = 1 / (1 + p * level * weight)
        value = ridge * level[:, 0] + (weight * level * held_back) @ rows - 1
        step = value / (ridge + (weight * held_back**2) @ rows)
        level -= step[:, None]
        if np.all(np.abs(step) <= CLOSE * level[:, 0]):
            break
    response = level * weight / (1 + p * level * weight)
    unlike = 1 - p * (response * rows) @ response.T
    one, D = np.eye(len(weight)), _entering(weight, source)
    H, place = (
        np.diag(level[:, 0]),
        np.subtract.outer(np.arange(len(weight)), np.arange(len(weight))),
    )
    for k in range(1, len(weight)):
        back = np.linalg.inv(one + p * H @ D)
        inverse = ridge * one + np.tensordot(rows, D @ back, 1)
        H = H + np.where(place == k, (np.linalg.inv(inverse) - H) / unlike, 0)
    return H, unlike
