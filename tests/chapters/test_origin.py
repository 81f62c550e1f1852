"""What the chapter on the origin of risk says beside its theorems, in fractions and in the limit."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

from collapse import derive, workflows


def test_what_subsampling_adds_grows_towards_pi_squared_over_three_minus_two() -> None:
    """The hatched part of the picture: all of subsample's ratio that no batch's noise accounts for."""
    shown = derive(workflows.subsample(12), exact=True)
    h = np.cumsum([F(1, k * k) for k in range(1, 13)])
    added = shown.ratio - (shown.contributions**2).sum(axis=1)
    assert added.tolist() == (2 * h - 2).tolist()
    far = derive(workflows.subsample(4000)).ratio[-1] - derive(workflows.augment(4000)).ratio[-1]
    assert far == pytest.approx(np.pi**2 / 3 - 2, abs=1e-3)
    assert round(np.pi**2 / 3 - 2, 2) == 1.29
