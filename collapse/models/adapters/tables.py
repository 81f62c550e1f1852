"""Tables and labels as estimators of other libraries take them: DataFrames, labels of any kind."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, held, length
from collapse.models.regression.design import numbers


def is_frame(X: Any) -> bool:
    """Whether it is a DataFrame of pandas, or like one."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def covariates(X: Any, name: str, like: Any = None) -> Any:
    """Return a table (n, p): a DataFrame as it is, anything else as numbers; columns as in `like`.

    Raises
    ------
    ValueError
        Where it is no such table, or an entry is missing or not finite.
    """
    frame = is_frame(X)
    if like is not None and is_frame(like) != frame:
        raise ValueError(f"{name} must be a DataFrame where X is one, and an array where X is one.")
    table = X.reset_index(drop=True) if frame else numbers(X, name, "a table of shape (n, p)")
    if like is not None and frame and list(X.columns) != list(like.columns):
        raise ValueError(f"{name} must have the columns of X; it has {brief(list(X.columns))}.")
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name} must be a table of shape (n, p); it has shape {table.shape}.")
    odd: Any = X.isna() | X.isin([np.inf, -np.inf]) if frame else ~np.isfinite(table)
    if np.any(odd):
        where = f"column {X.columns[np.any(odd, axis=0)][0]!r} is not. Drop" if frame else "drop"
        raise ValueError(f"{name} must be finite; {where} or impute missing values first.")
    if like is not None and table.shape[1] != like.shape[1]:
        raise ValueError(
            f"test must be (X, y), X with {like.shape[1]} columns, not {table.shape[1]}."
        )
    return table


def labels_of(y: Any, rows: int, name: str) -> NDArray[Any]:
    """Return labels (n,) of any kind, none missing; raise a ValueError where they are not."""
    if isinstance(y, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array; fill or drop its hidden values.")
    held(0 if isinstance(y, np.ndarray) else length(y), name, f"give {rows:,} labels")
    try:
        label = np.asarray(y)
    except ValueError:
        label = np.empty(0)
    if label.shape != (rows,):
        pair = "test must be (X, y) of one length: " if name != "y" else ""
        raise ValueError(
            f"{pair}{name} must have shape ({rows},) to match X; it has shape {label.shape}."
        )
    if label.dtype.kind in "cV":
        raise ValueError(f"{name} must hold numbers, texts or truth values, not {label.dtype}.")
    if any(map(_missing, label.tolist())):
        raise ValueError(f"{name} must be finite; drop rows with missing labels first.")
    return label


def _missing(value: object) -> bool:
    if isinstance(value, float):
        return bool(np.isnan(value))
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def rows_at(X: Any, index: Any) -> Any:
    """The rows of a table at these places."""
    return X.iloc[index] if is_frame(X) else X[index]


def stacked(X: Any, more: Any) -> Any:
    """One table of two."""
    if not is_frame(X):
        return np.concatenate([X, more])
    import pandas as pd

    return pd.concat([X, more], ignore_index=True)
