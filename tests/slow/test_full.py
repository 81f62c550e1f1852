"""With the replications of the published site each chapter runs, and what it claims holds."""

from pathlib import Path

from collapse.publishing.rerun import rerun

BOOK = Path(__file__).resolve().parents[2] / "book"


def test_every_chapter_runs_with_more_replications(tmp_path: Path) -> None:
    outcomes = rerun(settings=BOOK / "full.toml", book=BOOK, folder=tmp_path / "run", workers=2)
    failed = {outcome.chapter: outcome.error for outcome in outcomes if outcome.error}
    assert not failed, "\n\n".join(f"{name} failed in {error}" for name, error in failed.items())
    assert len(outcomes) > 20
