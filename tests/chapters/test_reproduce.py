"""What the page of commands says of its own error rate."""

from __future__ import annotations

import re
from pathlib import Path

from scipy.stats import norm

PAGE = (Path(__file__).parents[2] / "book" / "reproduce.md").read_text()


def test_a_deviation_of_six_standard_errors_is_rarer_than_one_in_a_million() -> None:
    """By Bonferroni over the generations that a command compares."""
    generations = [int(found) for found in re.findall(r'deviation\("\w+\((\d+)\)', PAGE)]
    assert len(generations) >= 4
    assert 2 * norm.sf(6) * max(generations) < 1e-6
