"""What regressions share: checks of the design, and rows that are labels of its rows."""

from __future__ import annotations

import numpy as np
import pytest

from collapse.models.regression.design import check_design, check_vector, rows_of_design, totals
from tests.statistics import assert_agree


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [1.0, 2.0],
            r"X must be the whole design, a table of shape \(n, p\) .* it has shape \(2,\)",
        ),
        (np.ones((3, 0)), r"it has shape \(3, 0\)"),
        (np.ones((2, 2, 2)), r"it has shape \(2, 2, 2\)"),
        (
            [[1.0, np.nan], [1.0, 2.0]],
            "X must be finite; row 1, column 2 is nan. Drop or impute missing values first",
        ),
        ([[1.0, 2.0], [-np.inf, 3.0]], "X must be finite; row 2, column 1 is -inf"),
        (
            [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]],
            "X must have full column rank; its 2 columns have rank 1 with 3 rows. Drop",
        ),
        ([[1.0, 0.0], [2.0, 0.0]], "its 2 columns have rank 1"),
        ([[1.0, 2.0]], r"its 2 columns have rank 1 with 1 row\."),
    ],
)
def test_a_bad_design_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        check_design(X)


def test_rank_does_not_depend_on_units():
    check_design(np.random.default_rng(0).standard_normal((10, 2)) * [1e-12, 1e12])


def test_a_design_is_copied_and_frozen():
    X = np.eye(2)
    table = check_design(X)
    X[0, 0] = 5
    assert table[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 2


def test_a_vector_has_its_length():
    with pytest.raises(
        ValueError, match=r"beta must have shape \(3,\) to match X; it has shape \(2,\)"
    ):
        check_vector([1, 2], 3, "beta")
    with pytest.raises(ValueError, match="beta must be finite; entry 1 is inf"):
        check_vector([np.inf, 2], 2, "beta")


def test_a_batch_labels_whole_copies_and_then_distinct_rows():
    index = rows_of_design(5, 1000, 13, np.random.default_rng(0))
    assert index.shape == (1000, 13)
    assert (index[:, :10] == np.tile(np.arange(5), 2)).all()
    assert (np.diff(np.sort(index[:, 10:], axis=1), axis=1) > 0).all()
    assert rows_of_design(5, 2, 5, np.random.default_rng(0)).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_every_row_of_the_design_is_labelled_as_often():
    R = 100_000
    counts = np.bincount(rows_of_design(5, R, 3, np.random.default_rng(1)).ravel(), minlength=5) / R
    assert_agree(counts, np.full(5, np.sqrt(0.6 * 0.4 / R)), np.full(5, 0.6), detects=0.05)


def test_totals_add_weights_and_labels_of_one_design_row():
    rows = np.array([[[0, 5.0], [2, 1.0], [0, 7.0]], [[1, 1.0], [1, 2.0], [1, 3.0]]])
    weight = np.array([[1.0, 0.5, 2.0], [1.0, 0.0, 1.0]])
    total, labels = totals(3, rows, weight)
    assert total.tolist() == [[3, 0, 0.5], [0, 2, 0]]
    assert labels.tolist() == [[19, 0, 0.5], [0, 4, 0]]
