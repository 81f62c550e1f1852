"""Sums of squares of normal rows, drawn without the rows."""

import numpy as np

from collapse.models.protocols import Array


def wishart_root(replications: int, rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Draw T (R, d, min(rows, d)), lower triangular, such that T T' is Z'Z of standard normal rows
    Z (rows, d), and T z their product Z'e with such errors e, z standard normal (Bartlett 1933).

    Examples
    --------
    >>> root = wishart_root(2000, 5, 3, np.random.default_rng(0))
    >>> np.diag((root @ root.mT).mean(axis=0)).round(1)
    array([4.9, 5. , 5.1])
    """
    at = np.arange(min(rows, columns))
    root = np.tril(rng.standard_normal((replications, columns, len(at))))
    root[:, at, at] = np.sqrt(rng.chisquare(rows - at, (replications, len(at))))
    return root
