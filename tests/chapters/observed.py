"""The real tables with the published split, and logistic regressions on their observed labels."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from collapse import datasets
from collapse.datasets import with_intercept
from collapse.models import LogisticRegression

Array = NDArray[np.float64]


@cache
def split(name: str) -> tuple[Array, Array, Array, Array]:
    """Columns and labels, real and to test on; heart is scaled as in the published run."""
    table = getattr(datasets, name)()
    table = table.scaled() if name == "heart" else table
    X, y, X_test, y_test = table.split()
    return with_intercept(X), y, with_intercept(X_test), y_test


def observed(name: str, copies: int = 1, *, test: bool = True) -> LogisticRegression:
    """The model on the real rows, each of them `copies` times."""
    X, y, X_test, y_test = split(name)
    return LogisticRegression(
        np.tile(X, (copies, 1)), y=np.tile(y, copies), test=(X_test, y_test) if test else None
    )
