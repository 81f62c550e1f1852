"""Forecasts of whole rows: the table that a generator is handed, and its first fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import models
from collapse.checks import check_number, counted, require, several
from collapse.forecasting.answer import Model
from collapse.forecasting.cells import clean
from collapse.forecasting.common import quoted
from collapse.forecasting.design import ABSENT, scaled, used
from collapse.forecasting.fitting import Fit
from collapse.forecasting.generators import PRICE
from collapse.forecasting.lost import GENERATOR, LOST, TASK
from collapse.forecasting.suspects import identifiers
from collapse.forecasting.table import Table, joined, split, with_all_levels
from collapse.forecasting.texts import Told
from collapse.models.adapters.tables import BY_NAME

if TYPE_CHECKING:
    import pandas as pd


def rows_of(
    frame: pd.DataFrame,
    target: str | None,
    test_share: float,
    seed: int,
    *,
    na: Any,
    exclude: Any,
    test: pd.DataFrame | None,
) -> Table:
    """Tell what a table's columns hold, split it, and make of it what a generator can draw.

    Cells are read, and columns left out, as for a regression. A column of numbers with missing
    values gets its median there and a column of texts beside it, that says where; a missing text is
    a level of its own. Levels are never put together.

    Returns
    -------
    Table
        `X` and `X_test` hold floats and texts; `y` nothing.
    """
    require(
        0 < check_number(test_share, "test_share") < 1,
        f"test_share must lie strictly between 0 and 1; it is {test_share}.",
    )
    codes = several(na, "na", "a number or text that stands for a missing value", numbers=True)
    told = Told(names=False)
    whole, n, place, decimal = joined(frame, test, target, exclude, codes, told)
    cells = clean(whole, target, told, codes, decimal, place, n)
    counts = identifiers(cells.frame.iloc[:n], cells.whole, {*cells.dates})
    told.notes += [f"Column {name!r} {what} and was left out." for name, what in counts.items()]
    table = cells.frame.drop(columns=list(counts))
    require(n >= 4, f"there are {counted(n, 'row')}; a forecast needs at least 4, and many more.")
    if test is None:
        train, tested = split(np.zeros(n), False, test_share, seed)
        train, tested = with_all_levels(table, train, tested)
    else:
        train, tested = np.arange(n), np.arange(n, len(table))
        require(len(tested) >= 2, "the test set must have two rows at least.")
    table, numbers, texts = used(table, train, place, told)
    require(
        target is None or target in table,
        f"the target {target!r} cannot be used, as the notes say: {' '.join(told.notes)}",
    )
    scaled(table, numbers, train, told)
    table[texts] = table[texts].astype(object).where(table[texts].notna(), ABSENT)
    marked = []
    for name in numbers:
        missing = table[name].isna()
        if missing.iloc[train].any():
            table[f"{name} is missing"] = np.where(missing, "yes", "no").astype(object)
            marked.append(name)
        table[name] = table[name].fillna(table[name].iloc[train].median())
    told.note(
        marked,
        f"A generator draws where numbers are missing, too: a column beside {quoted(marked)} says"
        " so, and numbers drawn there are to be taken for none.",
    )
    return Table(
        X=table.iloc[train].reset_index(drop=True),
        y=np.zeros(len(train)),
        X_test=table.iloc[tested].reset_index(drop=True),
        y_test=np.zeros(len(tested)),
        task=TASK,
        guessed=False,
        classes=(),
        features=tuple(numbers + texts),
        columns=tuple(table.columns),
        rows=n,
        unlabelled=0,
        notes=tuple(told.notes),
        cautions=tuple(told.cautions),
    )


def fit_rows(table: Table, generator: Any, target: str | None) -> Fit:
    """Fit a generator to all real rows; its loss is that of `models.from_generator`."""
    made: Any = models.from_generator(generator, table.X, test=table.X_test, target=target)
    name = " ".join(made.name.split())
    model = Model(
        name=name if len(name) < 200 else type(generator).__name__,
        estimator=GENERATOR,
        fallback=None,
        coefficients=None,
        loss="log loss of whole rows (nats)" if made.scores else "energy distance",
    )
    each = made.losses()
    real = {}
    told = {*made.measures} - (set() if made.scores else {"energy"})  # which is its loss
    for measure in (measure for measure in LOST if measure in told):
        pair = (made.test, made.X) if measure == "copies" else (made.X, made.test)
        real[measure] = BY_NAME[measure](made.rows, *pair, made.target)
    return Fit(
        table,
        model,
        each,
        np.full(len(each), np.nan),
        made,
        "generator",
        called=True,
        floor=float(made.least),
        price=getattr(generator, "price", PRICE),
        real=real,
    )
