"""What the chapter on the origin of risk says beside its theorems."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

from collapse import Plan, derive, workflows

H = np.cumsum([F(1, k * k) for k in range(1, 41)])


def test_a_ratio_is_to_the_first_fit() -> None:
    """A bootstrapped first fit has twice the risk of one that reads its rows whole."""
    shown = derive(workflows.subsample(12, replace=True), exact=True)
    h = np.cumsum([F(1, k * k) for k in range(1, 13)])
    assert shown.risk.tolist() == (2 * h).tolist()
    assert shown.ratio.tolist() == h.tolist()


def test_what_subsampling_adds() -> None:
    """The hatched part of the picture: what of subsample's ratio no batch's noise accounts for."""
    shown = derive(workflows.subsample(12), exact=True)
    h = np.cumsum([F(1, k * k) for k in range(1, 13)])
    added = shown.ratio - (shown.contributions**2).sum(axis=1)
    assert added.tolist() == (2 * h - 2).tolist()
    far = derive(workflows.subsample(4000)).ratio[-1] - derive(workflows.augment(4000)).ratio[-1]
    assert far == pytest.approx(np.pi**2 / 3 - 2, abs=1e-3)
    assert round(np.pi**2 / 3 - 2, 2) == 1.29


def test_real_data_alone() -> None:
    """Read whole the ratio is 1; read through the share 1/g it is g, though all is real."""
    weight = [[1]] * 6
    assert derive(Plan([0], [1], weight), exact=True).ratio.tolist() == [1] * 6
    shrinking = derive(Plan([0], [1], weight, [[F(1, g)] for g in range(1, 7)]), exact=True)
    assert shrinking.ratio.tolist() == [1, 2, 3, 4, 5, 6]
    assert shrinking.contributions.tolist() == weight


def test_the_pool_and_its_window() -> None:
    """Beside each fit of subsample, one more that reads the pool whole and labels nothing."""
    G = 12
    weight = [[F(int(b <= g), g) for b in range(1, G + 1)] for g in range(1, G + 1) for _ in (0, 1)]
    kept = [[share] * G for g in range(1, G + 1) for share in (F(1, g), F(1))]
    # batch g + 1 is drawn from fit 2 g - 1 of this plan, the one that reads n rows
    plan = Plan([0, *range(1, 2 * G - 1, 2)], [1] * G, weight, kept)
    ratio = derive(plan, exact=True).ratio
    fit, pool = ratio[::2], ratio[1::2]
    g = np.array([F(k) for k in range(1, G + 1)])
    assert fit.tolist() == (3 * H[:G] - 2).tolist()
    assert pool.tolist() == (3 * H[:G] - 3 + 1 / g).tolist()
    assert (fit - pool).tolist() == (1 - 1 / g).tolist()
    assert np.all(np.diff(pool) <= 2 / g[1:] ** 2)
    assert np.all(fit < 2 * H[:G] + 1)


def test_what_augment_still_has_to_pay() -> None:
    for g in (1, 10, 40):
        rest = np.pi**2 / 6 - float(H[g - 1])
        assert 1 / (g + 1) < rest < 1 / g


def test_batches_count_one_over_their_number_under_subsample() -> None:
    steps = [[F(1, b + 1) if b <= g else 0 for b in range(6)] for g in range(6)]
    assert derive(workflows.subsample(6), exact=True).contributions.tolist() == steps


def test_the_factor_between_augment_and_subsample() -> None:
    """3 - 2 / h rises to its limit and stays below it."""
    factor = derive(workflows.subsample(4000)).ratio / derive(workflows.augment(4000)).ratio
    most = (np.pi**2 / 2 - 2) / (np.pi**2 / 6)
    assert np.all(factor < most)
    assert factor[-1] == pytest.approx(most, abs=1e-3)
    assert round(most, 2) == 1.78


def test_the_exercises() -> None:
    third = F(1, 3)
    wide = derive(Plan([0, 1], [1, 2], [[1, 0], [third, 2 * third]]), exact=True).ratio
    assert wide[1] == F(11, 9) < F(5, 4)
    assert int(np.argmax(derive(workflows.subsample(20)).ratio > 2.5)) + 1 == 7
    assert [round(float(h), 4) for h in H[5:7]] == [1.4914, 1.5118]
    G = 40
    weight = [[1] + [0] * (G - 1)]
    weight += [[F(int(0 < b < g), g - 1) for b in range(G)] for g in range(2, G + 1)]
    without = derive(Plan(range(G), [1] * G, weight), exact=True).ratio
    assert without[1:].tolist() == (1 + H[: G - 1]).tolist()
    assert round(1 + np.pi**2 / 6, 3) == 2.645
