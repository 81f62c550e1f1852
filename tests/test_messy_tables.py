"""Forty messy tables: each is read as what it means, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collapse.forecasting.table import load, prepare
from tests.messy import SEEDS, messy


@pytest.mark.parametrize("seed", SEEDS)
def test_a_messy_table_is_read_as_the_clean_one_or_refused(seed: int, tmp_path: Path) -> None:
    made = messy(seed, tmp_path)
    if made.refused:
        with pytest.raises(ValueError, match=made.refused):
            prepare(load(made.data, "y"), "y", seed=seed, **made.arguments)
        return
    found, truth = (
        prepare(load(made.data, "y"), "y", seed=seed, **made.arguments),
        prepare(made.truth, "y", seed=seed),
    )
    assert (found.task, found.classes, found.columns, found.features) == (
        truth.task,
        truth.classes,
        truth.columns,
        truth.features,
    )
    assert (found.rows, found.unlabelled, found.rare) == (truth.rows, truth.unlabelled, truth.rare)
    for mine, true in (
        (found.X, truth.X),
        (found.X_test, truth.X_test),
        (found.y, truth.y),
        (found.y_test, truth.y_test),
    ):
        np.testing.assert_allclose(mine, true, rtol=1e-9, atol=1e-9)
    told = " ".join([*found.notes, *found.cautions])
    assert [text for text in made.said if text not in told] == []


def test_the_messy_tables_are_of_many_kinds(tmp_path: Path) -> None:
    made = [messy(seed, tmp_path) for seed in SEEDS]
    dirt = {what for one in made for what in one.dirt}
    assert dirt >= {
        *(
            "thousands apart",
            "percent",
            "currency",
            "decimal comma",
            "dates",
            "near-duplicate levels",
            "sentinel",
            "rare level",
        ),
        *(
            "scale",
            "leak",
            "constant",
            "identifier",
            "index",
            "xlsx",
            "parquet",
            "frame",
            "';'",
            "'|'",
            "'\\t'",
            "','",
        ),
        *("utf-8-sig", "cp1252", "utf-16", "gz", "zip"),
    }
    assert {one.refused for one in made} >= {
        "seems to have no header",
        "has 2 columns called 'height'; rename all but one",
    }
    assert sum(one.refused is None for one in made) >= 30
