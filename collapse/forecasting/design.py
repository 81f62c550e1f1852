"""The design of a table: which columns are used, their levels, and their numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse.checks import (
    counted,
    plural,
    require,
)
from collapse.forecasting.common import (
    Array,
    Rows,
    columns_named,
    listed,
    module,
    pandas,
    quoted,
    were,
)
from collapse.forecasting.texts import Told

if TYPE_CHECKING:
    import pandas as pd


LEVELS = 20
"""Most levels of a text column; rarer ones are put together."""
RARE = 20
"""Rows below which a level is called rare."""
EXTREME = 300
"""Powers of two beyond which a column is scaled, since no float holds a square of its numbers."""
ABSENT = "(missing)"
ENTRIES = 2**28
"""Most numbers in a design: 2 GB."""
DEPENDENT = 1e-10
"""Squared share of a standardised column that no other explains, below which it is redundant."""


def design(
    frame: pd.DataFrame, train: Rows, test: Rows, place: Callable[[int], str], told: Told
) -> tuple[Array, Array, list[str], list[str], list[tuple[str, str, int]]]:
    """Designs of the real part and the test set, columns used and made, and rare levels.

    scikit-learn's own pipeline makes them, fitted to the real part. Columns that earlier ones
    explain are left out, where there are fewer columns than rows.
    """
    frame, numbers, texts = used(frame, train, place, told)
    scaled(frame, numbers, train, told)
    frame[texts] = frame[texts].astype(object).where(frame[texts].notna(), ABSENT)
    rare = _levels(frame, texts, train, test, told) + _all_but_constant(frame, numbers, train)
    width = 1 + len(numbers) + sum(min(frame[name].nunique(), LEVELS) for name in texts)
    require(
        not (len(frame) * width > ENTRIES),
        f"the design would have {len(frame):,} rows and {width:,} columns, more numbers than "
        f"the {ENTRIES:,} that are supported; exclude columns, or take fewer rows.",
    )
    preprocessing = module("sklearn.preprocessing")
    number = module("sklearn.pipeline").make_pipeline(
        module("sklearn.impute").SimpleImputer(strategy="median"),
        preprocessing.StandardScaler(copy=False),
    )
    text = preprocessing.OneHotEncoder(
        drop="first",
        max_categories=LEVELS,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    )
    columns = module("sklearn.compose").ColumnTransformer(
        [("number", number, numbers), ("text", text, texts)], verbose_feature_names_out=False
    )
    with warnings.catch_warnings():  # of levels that only the test set has: a note says it
        warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
        X = columns.fit_transform(frame.iloc[train])
        X_test = columns.transform(frame.iloc[test])
    levels = columns.named_transformers_["text"].get_feature_names_out(texts) if texts else []
    labels = ["(intercept)", *numbers, *map(str, levels)]
    far = ~np.isfinite(X_test).all(axis=0)
    require(
        not far.any(),
        f"column {labels[1 + int(np.argmax(far))]!r} has numbers in the test set that are too "
        "far from those of the real rows; correct them, or exclude the column.",
    )
    X, X_test = (np.ascontiguousarray(np.insert(part, 0, 1.0, axis=1)) for part in (X, X_test))
    keep = _independent(X) if X.shape[1] < X.shape[0] else list(range(X.shape[1]))
    redundant = [name for j, name in enumerate(labels) if j not in set(keep)]
    count = len(redundant)
    told.note(
        count,
        f"{count} redundant {plural(count, 'column')} of the design, {quoted(redundant)}, "
        f"{plural(count, 'follows', 'follow')} from the others and {were(count)} left out; "
        "predictions by maximum likelihood do not change.",
    )
    if count:
        X, X_test = (np.ascontiguousarray(part[:, keep]) for part in (X, X_test))
    return X, X_test, numbers + texts, [labels[j] for j in keep], rare


def used(
    frame: pd.DataFrame, train: Rows, place: Callable[[int], str], told: Told
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The columns that can be used, of numbers first, and the names of both kinds."""
    real, text = frame.iloc[train], frame.dtypes == object
    for name in frame.columns[~text]:
        infinite = np.isinf(frame[name].to_numpy(np.float64))
        row = place(int(frame.index[np.argmax(infinite)]))
        require(
            not infinite.any(),
            f"column {name!r} is infinite in {row}; leave the cell empty, or correct it.",
        )
    distinct, present = real.nunique(), real.notna().sum()
    constant = (distinct == 1) & (~text | (present == len(real)))
    # most are different, and they are many or all
    many = distinct > np.minimum(LEVELS, np.maximum(4, present - 1))
    names = text & (2 * distinct > present) & many & (distinct > 0) & ~constant
    reasons = {
        "no values": distinct == 0,
        "one value only": constant,
        "a different text in most rows, like a name or a remark": names,
    }
    for why, lost in reasons.items():
        gone = list(frame.columns[lost])
        verb = plural(len(gone), "has", "have")
        told.note(gone, f"{columns_named(gone)} {verb} {why} and {were(len(gone))} left out.")
    kept = ~names & ~constant & (distinct > 0)
    numbers, texts = list(frame.columns[kept & ~text]), list(frame.columns[kept & text])
    require(
        bool(numbers or texts),
        f"no column can be used to predict the target, or to be drawn: {' '.join(told.notes)}",
    )
    holes = real[numbers + texts].isna().sum()
    total = int(holes.sum())
    told.note(
        total,
        f"{total:,} missing {plural(total, 'value')} in {quoted(holes.index[holes > 0])} "
        f"{were(total)} filled in: a number by its column's median, a text as a level of its own.",
    )
    return frame[numbers + texts].copy(), numbers, texts


def scaled(frame: pd.DataFrame, numbers: list[str], train: Rows, told: Told) -> None:
    """Bring enormous or tiny columns to the order of 1, in place; powers of two change no digit."""
    done = []
    for name in numbers:
        values = frame[name].to_numpy(np.float64)
        power = int(np.frexp(np.nanmax(np.abs(values[train])))[1])
        if abs(power) > EXTREME:
            with np.errstate(over="ignore"):
                frame[name] = np.ldexp(values, -power)
            done.append(f"{name!r} (order 1e{int(np.floor((power - 1) * np.log10(2))):+d})")
    told.note(
        done,
        "Numbers of extreme size were scaled to the order of 1 before they were standardised,"
        f" which changes no prediction: {listed(done)}.",
    )


def _levels(
    frame: pd.DataFrame, texts: list[str], train: Rows, test: Rows, told: Told
) -> list[tuple[str, str, int]]:
    """Levels with few rows in the real part; what is said of many and of unseen ones."""
    rare = []
    for name in texts:
        count = frame[name].iloc[train].value_counts()
        new = int((~frame[name].iloc[test].isin(count.index)).sum())
        grouped, levels = len(count) > LEVELS, len(count)
        together = int(count.iloc[LEVELS - 1 :].sum())
        told.note(
            grouped,
            f"Column {name!r} has {levels:,} levels; all but the {LEVELS - 1} most frequent were"
            f" put together ({counted(together, 'row')} of the real ones).",
        )
        if grouped:
            others = pandas().Series({"(others)": together})
            count = pandas().concat([count.iloc[: LEVELS - 1], others])
        rare += [(name, str(level), int(rows)) for level, rows in count.items() if rows < RARE]
        among = "among the levels put together" if grouped else "as the first level"
        told.note(
            new,
            f"{new:,} test {plural(new, 'row')} with a level of {name!r} that no real row has"
            f" {were(new)} counted {among}.",
        )
    return rare


def _all_but_constant(
    frame: pd.DataFrame, numbers: list[str], train: Rows
) -> list[tuple[str, str, int]]:
    """Columns of numbers with one value in all but few rows of the real part."""
    counts = [frame[name].iloc[train].value_counts().sort_index() for name in numbers]
    others = [int(count.sum() - count.max()) for count in counts]
    return [
        (name, f"other than {in_words(float(count.idxmax()))}", rows)
        for name, count, rows in zip(numbers, counts, others, strict=True)
        if rows < min(RARE, count.max())
    ]


def _independent(X: Array) -> list[int]:
    """Columns that no earlier ones explain: Cholesky's elimination of the Gram matrix."""
    gram = X.T @ X
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    gram /= np.outer(scale, scale)
    keep = []
    for j in range(len(gram)):
        if gram[j, j] > DEPENDENT:
            keep.append(j)
            gram[j + 1 :, j + 1 :] -= np.outer(gram[j + 1 :, j], gram[j, j + 1 :]) / gram[j, j]
    return keep


def in_words(level: Any) -> str:
    """A class or a level in words: whole numbers without a point."""
    whole = isinstance(level, float) and level == np.floor(level) and abs(level) < 1e15
    return str(int(level)) if whole else str(level)
