"""What the chapter on the origin of risk says beside its theorems."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

from collapse import derive, workflows


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
