"""What adapters of estimators share: rows of X, a table of any kind, are labelled again by what was
fitted.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from collapse.checks import (
    brief,
    counted,
    held,
    is_number,
    length,
    require,
)
from collapse.models.protocols import Array
from collapse.models.regression.design import check_pair, numbers, observed_batch, rows_of_design

Loss = Callable[[Any, Array], float]


class OnDesign:
    """Rows (R, N, 2) are a row of X and its label; the parameter theta is what a fit predicts.

    An adapter adds its `name`, and how it is `shown`; `read_labels` (labels, their number and a
    name for them to what is kept of them); the `loss`; `labels_at` (theta, rows of X and rng to
    labels drawn from what was fitted), `fitted` (rows of X, labels and weights to theta, NaN where
    there is no estimate), and `predicted` (theta to what is predicted on the test set).
    """

    refusals: tuple[type[Exception], ...] = ()
    """What a fit raises where synthetic labels have no estimate."""
    pool: range | None = None
    """Rows of X that synthetic batches label, where those are others than the real ones."""

    def read(self: Any, X: Any, y: Any, test: Any, pool: Any = None, missing: bool = False) -> None:
        """Take the real data, the unlabelled rows, and the test set, which is the real data where
        none is given.
        """
        self.X, self.design_rows = X, len(X)
        self.y = self.read_labels(y, len(X), "y")
        self.test_X, self.test_y = X, self.y
        if test is not None:
            table, label = check_pair(test)
            self.test_X = covariates(table, "the test X", like=X, missing=missing)
            self.test_y = self.read_labels(label, len(self.test_X), "the test y")
        if pool is not None:
            self.X = stacked(X, covariates(pool, "pool", like=X, missing=missing))
            self.pool = range(len(X), len(self.X))

    def settle(self: Any) -> None:
        """Fit the real data, and try the loss on that."""
        rows = np.arange(self.design_rows)
        try:
            self.truth = self.fitted(rows, self.observed, np.ones(len(rows)))
        except (ValueError, TypeError, AttributeError, IndexError, np.linalg.LinAlgError) as error:
            told = f"cannot be fitted to the real data: {' '.join(str(error).split())}"
            more = advice(self.X) or advice(self.test_X)
            raise ValueError(f"{self.name} {told}{more}") from error
        require(
            bool(np.isfinite(self.truth).all()),
            f"{self.name} has no estimate on the real data: labels are separated, or the fit"
            " did not converge.",
        )
        predicted = self.predicted(self.truth)
        try:
            value = self.loss(self.test_y, predicted)
        except Exception as error:  # whatever a function of the caller's raises
            raise ValueError(
                "loss fails on the test set and its predictions"
                f" ({type(error).__name__}: {brief(str(error))})."
            ) from error
        require(
            bool(is_number(value)),
            f"loss must give one number, the mean loss on the test set; it gave {brief(value)}.",
        )

    def draw_real(self: Any, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return observed_batch(self.observed, replications, rows)

    def draw(self: Any, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        labelled = range(self.design_rows) if self.pool is None else self.pool
        index = labelled.start + rows_of_design(len(labelled), len(theta), rows, rng)
        drawn = np.stack([index, index], axis=2).astype(np.float64)
        for r, chosen in enumerate(index):
            drawn[r, :, 1] = self.labels_at(theta[r], chosen, rng)
        return drawn

    def fit(self: Any, rows: Array, weight: Array, start: Array | None) -> Array:
        out = np.full((len(rows), len(self.truth)), np.nan)
        for r, (row, share) in enumerate(zip(rows, weight, strict=True)):
            read = (share > 0) & ~np.isnan(row[:, 1])  # without a label a row is not read
            if not read.any():
                continue
            index, relative = row[read, 0].astype(np.int64), share[read] / share[read].mean()
            with suppress(*self.refusals):
                label = row[read, 1] if row.shape[1] == 2 else row[read, 1:]
                out[r] = self.fitted(index, label, relative)
        return out

    def risk(self: Any, theta: Array) -> Array:
        return np.array([self.loss(self.test_y, self.predicted(one)) for one in theta], np.float64)

    def __repr__(self: Any) -> str:
        n, p = self.design_rows, self.X.shape[1]
        pool = "" if self.pool is None else f", pool of {len(self.pool)} rows"
        return f"from_estimator({self.shown}, X {n} x {p}, observed y{pool})"


def squared_error(y: Any, mean: Array) -> float:
    return float(((y - mean) ** 2).mean())


def is_frame(X: Any) -> bool:
    """Whether it is a DataFrame of pandas, or like one."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def advice(X: Any) -> str:
    """What to do about texts and missing values that an estimator may not take; "" without."""
    if not is_frame(X):
        return ""
    texts = [name for name, kind in X.dtypes.items() if getattr(kind, "kind", "O") not in "biuf"]
    needs = ["sklearn.preprocessing.OneHotEncoder(handle_unknown='ignore')"] * bool(texts)
    needs += ["sklearn.impute.SimpleImputer"] * bool(X.isna().any(axis=None))
    if not needs:
        return ""
    listed = f" (column {brief(texts[0])} holds texts)" if texts else ""
    return (
        f"; give a pipeline whose first step is {' or '.join(needs)} for such columns, such as"
        " sklearn.pipeline.make_pipeline(sklearn.compose.make_column_transformer(...), estimator)"
        f"{listed}."
    )


def covariates(X: Any, name: str, like: Any = None, missing: bool = False) -> Any:
    """Return a table (n, p): a DataFrame as it is, anything else as numbers; columns as in `like`.

    Raises
    ------
    ValueError
        Where it is no such table, or an entry is not finite or, unless a DataFrame's may be,
        missing.
    """
    frame = is_frame(X)
    require(
        not (like is not None and is_frame(like) != frame),
        f"{name} must be a DataFrame where X is one, and an array where X is one.",
    )
    table = X.reset_index(drop=True) if frame else numbers(X, name, "a table of shape (n, p)")
    if like is not None and frame and list(X.columns) != list(like.columns):
        raise ValueError(f"{name} must have the columns of X; it has {brief(list(X.columns))}.")
    require(
        not (table.ndim != 2 or 0 in table.shape),
        f"{name} must be a table of shape (n, p); it has shape {table.shape}.",
    )
    odd: Any = X.isin([np.inf, -np.inf]) if frame else ~np.isfinite(table)
    if frame and not missing:
        odd |= X.isna()
    if np.any(odd):
        where = f"column {X.columns[np.any(odd, axis=0)][0]!r} is not. Drop" if frame else "drop"
        raise ValueError(f"{name} must be finite; {where} or impute missing values first.")
    if like is not None and table.shape[1] != like.shape[1]:
        raise ValueError(
            f"test must be (X, y), X with {like.shape[1]} columns, not {table.shape[1]}."
        )
    return table


def labels_of(y: Any, rows: int, name: str) -> Any:
    """Return labels (n,) of any kind, none missing; raise a ValueError where they are not."""
    require(
        not isinstance(y, np.ma.MaskedArray),
        f"{name} is a masked array; fill or drop its hidden values.",
    )
    held(0 if isinstance(y, np.ndarray) else length(y), name, f"give {counted(rows, 'label')}")
    try:
        label = np.asarray(y)
    except ValueError:
        label = np.empty(0)
    if label.shape != (rows,):
        pair = "test must be (X, y) of one length: " if name != "y" else ""
        raise ValueError(
            f"{pair}{name} must have shape ({rows},) to match X; it has shape {label.shape}."
        )
    require(
        label.dtype.kind not in "cV",
        f"{name} must hold numbers, texts or truth values, not {label.dtype}.",
    )
    require(
        not any(map(_missing, label.tolist())),
        f"{name} must be finite; drop rows with missing labels first.",
    )
    return label


def _missing(value: object) -> bool:
    nan = isinstance(value, float) and bool(np.isnan(value))
    return nan or value is None or type(value).__name__ in ("NAType", "NaTType")


def rows_at(X: Any, index: Any) -> Any:
    """The rows of a table at these places."""
    return X.iloc[index] if is_frame(X) else X[index]


def stacked(X: Any, more: Any) -> Any:
    """One table of two."""
    if not is_frame(X):
        return np.concatenate([X, more])
    import pandas as pd

    return pd.concat([X, more], ignore_index=True)
