"""The explorer of bands: its data, its numbers in a page, and what it says where no chain has an
estimate.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

import collapse
from collapse.explorers import bands, widgets
from tests.test_holding import assert_right, browser, opened, static  # noqa: F401
from tests.test_widgets import numbers

pytestmark = pytest.mark.book


def made(G: int = 20) -> dict[str, Any]:
    """Bands of chains that all lose their estimate in the end under discard, and never else."""
    keys = [(table, rule) for table in bands.TABLES for rule in bands.RULES]
    rising = np.linspace(0, 1, G) * np.array([[0.1], [0.5], [2.0]])
    gone = np.where(np.arange(G) >= G - 3, np.inf, rising)
    quantiles = {key: gone if key[1] == "discard" else rising for key in keys}
    lost = {key: (np.arange(G) / G if key[1] == "discard" else np.zeros(G)) for key in keys}
    return bands.bands(quantiles, lost, dict.fromkeys(keys, rising[1]), 1000)


def test_what_is_derived_is_the_law() -> None:
    told = bands.derived()
    assert told["chains"] == 0
    n, p = collapse.datasets.heart().split()[0].shape
    risk = collapse.derive(collapse.workflows.discard(50)).ratio
    one = told["bands"]["heart"]["discard"]
    for name, level in (("low", 0.05), ("middle", 0.5), ("high", 0.95), ("law", 0.5)):
        expected = chi2.ppf(level, p + 1) * (risk[1:] - 1) / (2 * n)
        np.testing.assert_allclose(one[name][1:], expected, rtol=1e-3)
    assert set(one["alive"]) == {1.0}


def test_bands_are_small_and_hold_no_infinity() -> None:
    told = made(50)
    text = json.dumps(told, allow_nan=False)
    assert len(text) < 40_000
    assert told["bands"]["heart"]["discard"]["high"][-1] is None
    keys = [(table, "augment") for table in bands.TABLES]
    with pytest.raises(ValueError, match="discard on titanic is missing"):
        bands.bands(*({key: np.zeros((3, 5)) for key in keys} for _ in range(3)), 10)


def test_numbers_in_the_page_are_those_of_the_data(opened: Any) -> None:  # noqa: F811
    page = opened(widgets.explorer("bands"), widgets.explorer("bands", data=made(), generation=19))
    first, second = (page.locator(".collapse-explorer").nth(number) for number in range(2))
    assert_right(first, "bands")
    shown = numbers(second)
    assert shown["alive"] == pytest.approx(0.1)
    assert {shown[name] for name in ("low", "middle", "high")} == {np.inf}
    assert shown["law"] == pytest.approx(0.5 * 18 / 19, rel=1e-3)
    second.get_by_label("Workflow", exact=True).select_option("augment")
    shown = numbers(second)
    assert shown["alive"] == 1
    assert shown["high"] == pytest.approx(2 * 18 / 19, rel=1e-3)
    # a generation beyond those that were simulated is the last of them
    second.locator("[name=generation]").press("End")
    assert numbers(second)["high"] == 2
