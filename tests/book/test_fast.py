"""Every chapter runs with other parameters than its own, and what it claims holds there too."""

import tomllib
from ast import literal_eval
from pathlib import Path

import pytest

from collapse.publishing.chapters import chapters, inspected, read
from collapse.publishing.rerun import rerun
from tests.corners import corner

BOOK = Path(__file__).resolve().parents[2] / "book"
FAST = BOOK / "fast.toml"


def test_each_parameter_of_each_chapter_is_another_one():
    stated = tomllib.loads(FAST.read_text())
    for name, path in chapters(BOOK).items():
        defaults = {key: entry["default"] for key, entry in inspected(read(path)).items()}
        given = {"seed": stated["seed"], **stated.get(name, {})}
        same = [
            key
            for key, text in defaults.items()
            if key in given and literal_eval(text) == given[key]
        ]
        assert not same, f"{name}: {same}"
        # what is left as it is shortens nothing
        replications = {key for key in defaults if key.endswith("replications")}
        assert replications <= given.keys(), name


@pytest.mark.parametrize("which", ["other", "lowest"])
def test_every_chapter_runs_with_other_parameters(which, tmp_path):
    settings = FAST if which == "other" else corner(BOOK, tmp_path / "lowest.toml")
    draft = which == "lowest"  # the other run draws every figure in all its variants
    folder = tmp_path / "run"
    outcomes = rerun(settings=settings, book=BOOK, folder=folder, draft=draft, workers=2)
    failed = {outcome.chapter: outcome.error for outcome in outcomes if outcome.error}
    assert not failed, "\n\n".join(f"{name} failed in {error}" for name, error in failed.items())
    assert len(outcomes) > 20
