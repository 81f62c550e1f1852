"""What is measured of whole rows, against values that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri
from sklearn.mixture import GaussianMixture

from collapse import models
from collapse.models.adapters.tables import BY_NAME, Table, names

LEVELS = (np.arange(400) + 0.5) / 400
REAL = 3 + 2 * ndtri(LEVELS)
TOWNS = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 10, "town": ["a"] * 38 + ["b", "c"]})


def measured(name, drawn, real=REAL, target=-1):
    table = Table(real)
    drawn, real = (table.read(rows, None, "rows") for rows in (drawn, real))
    return BY_NAME[name](table, drawn, real, target)


@pytest.mark.parametrize(
    ("name", "same", "halved"),
    [
        ("variance", 1, 0.25),
        ("determinant", 1, 0.25),
        ("tail", 1, 0.5),
        ("wasserstein", 0, np.sqrt(2 / np.pi) / 2),
        # E|x - y| of normal rows is sd root (2 / pi): 2 root 1.25 - 1 / root 2 - root 2, times that
        ("energy", 0, np.sqrt(2 / np.pi) * (2 * np.sqrt(1.25) - np.sqrt(0.5) - np.sqrt(2))),
        ("copies", 0, None),
    ],
)
def test_normal_rows_and_such_that_lie_half_as_far_apart(name, same, halved):
    assert measured(name, REAL) == pytest.approx(same, abs=0.01)
    if halved is not None:
        assert measured(name, 3 + (REAL - 3) / 2) == pytest.approx(halved, rel=0.03, abs=0.005)


def test_mmd_of_two_normal_laws():
    """Means of exp(-(x - y)^2 / 2 w^2) over normal x - y of variance v are w / root (w^2 + v)."""
    width = np.median(np.abs(np.subtract.outer(REAL, REAL))[~np.eye(400, dtype=bool)]) / 2
    of = lambda v: width / np.sqrt(width**2 + v)
    known = of(2) + of(0.5) - 2 * of(1.25)
    assert measured("mmd", 3 + (REAL - 3) / 2) == pytest.approx(known, rel=0.03)
    assert abs(measured("mmd", REAL)) < 0.005


def test_categories():
    few = TOWNS.assign(town="a")
    p = np.array([0.95, 0.025, 0.025])
    assert measured("support", TOWNS, TOWNS) == 3
    assert measured("support", few, TOWNS) == 1
    assert measured("entropy", TOWNS, TOWNS) == pytest.approx(-(p * np.log(p)).sum())
    assert measured("entropy", few, TOWNS) == 0
    assert measured("rare", TOWNS, TOWNS) == pytest.approx(0.05)
    assert measured("rare", few, TOWNS) == 0
    # a row that is not among the real ones: one other category is one apart
    alone = TOWNS.iloc[:1].assign(town="d")
    assert measured("copies", alone, TOWNS) == pytest.approx(1)


def test_a_predictor_trained_on_synthetic_rows():
    x = np.linspace(-1, 1, 50)
    real = np.column_stack([x, 2 * x])
    assert measured("tstr", real, real, target=1) == pytest.approx(0, abs=1e-20)
    # the slope of the other sign is off by twice the target
    wrong = np.column_stack([x, -2 * x])
    assert measured("tstr", wrong, real, target=1) == pytest.approx(4)
    sides = pd.DataFrame({"x": x, "side": np.where(x > 0, "right", "left")})
    assert measured("tstr", sides, sides, target=1) == 0
    turned = sides.assign(side=sides["side"].to_numpy()[::-1])
    assert measured("tstr", turned, sides, target=1) == 1


def test_what_is_measured_depends_on_the_columns():
    assert "entropy" not in names(Table(REAL), -1)
    assert {"entropy", "variance", "tstr"} <= set(names(Table(TOWNS), 0))
    assert "variance" not in names(Table(TOWNS[["town"]]), -1)


def test_the_order_in_which_a_generator_draws_changes_nothing():
    """A mixture draws one component after the other."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (600, 1)), rng.normal(9, 1, (600, 1))])
    model = models.from_generator(GaussianMixture(2, random_state=0), X)
    far = model.measure("energy", model.truth[None], np.random.default_rng(1))
    assert abs(far[0]) < 0.05


def test_a_constant_column_has_no_tail_and_no_determinant():
    """It is left out of both, whatever is drawn of it."""
    both = np.stack([REAL, np.full(400, 7.0)], axis=1)
    half = both * [0.5, 1.0] + [1.5, 0.0]
    for name, value in (("determinant", 0.25), ("tail", 0.5), ("variance", 0.25)):
        assert measured(name, half, both) == pytest.approx(value)
    assert not {"variance", "determinant", "tail"} & set(names(Table(both[:, 1:]), -1))
