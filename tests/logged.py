"""Losses as somebody would log them: of fits to real rows and to their own synthetic ones, each
measured on one set of test rows that stays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collapse import models, simulate, workflows

N = 100
"""Rows of real data."""


@dataclass(frozen=True)
class Kind:
    """A workflow, a model with d parameters, and the rows of its test set."""

    workflow: str
    coefficients: int
    test_rows: int


KINDS = tuple(
    Kind(workflow, d, rows)
    for workflow, d, rows in (
        ("discard", 1, 400),
        ("discard", 8, 400),
        ("discard", 30, 1000),
        ("augment", 1, 400),
        ("augment", 8, 1000),
        ("window(k=3)", 8, 400),
        ("fixed_real_share(share=1/4)", 8, 400),
        ("subsample", 8, 1000),
    )
)


def losses(kind: Kind, chains: int, generations: int, seed: int) -> NDArray[np.float64]:
    """Log losses, shape (chains, G), minus the log-likelihood per test row up to a constant: least
    squares with unit noise, so that kappa is d / 2; each chain has rows and test rows of its own.
    """
    rng = np.random.default_rng(seed)
    d, plan = kind.coefficients, workflows.named(kind.workflow, generations)
    out = np.empty((chains, generations))
    for k in range(chains):
        x = rng.standard_normal((N, d))
        x = np.linalg.qr(x)[0] * np.sqrt(N)  # so that coefficients count alike
        model = models.LinearRegression(x, np.ones(d), 1.0)
        fits = simulate(plan, model=model, n=N, replications=2, rng=rng, fits=True).fits[0]
        test = rng.standard_normal((kind.test_rows, d))
        y = test @ np.ones(d) + rng.standard_normal(kind.test_rows)
        out[k] = 0.5 * ((y[:, None] - test @ fits.T) ** 2).mean(0)
    return out
