"""The numbers behind the book's figures are those that are committed; `make baselines` accepts new
ones.
"""

from pathlib import Path

from collapse.publishing.baselines import moved

ROOT = Path(__file__).resolve().parents[2]


def test_no_number_behind_a_figure_has_moved() -> None:
    found = moved(ROOT / "_build" / "figures", ROOT / "book" / "baselines")
    assert not found, "\n".join(map(str, found))
