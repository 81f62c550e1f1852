"""Every chapter runs to its end with the largest n, the most generations, ... that it admits."""

from pathlib import Path

import pytest

from collapse.publishing.chapters import chapters
from collapse.publishing.rerun import rerun
from tests.corners import corner

BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.mark.parametrize("name", chapters(BOOK))
def test_a_chapter_runs_at_its_upper_corner(name: str, tmp_path: Path) -> None:
    settings = corner(BOOK, tmp_path / "highest.toml", upper=True, names=[name])
    (outcome,) = rerun([name], settings=settings, book=BOOK, folder=tmp_path / "run")
    assert not outcome.error, outcome.error
