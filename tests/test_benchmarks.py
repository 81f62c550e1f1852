"""Every benchmark's yardstick gives the package's answers, at tiny size; nothing is timed."""

import pytest

from benchmarks import rows
from benchmarks.__main__ import main


@pytest.mark.parametrize("row", rows.ROWS, ids=lambda row: row.name)
def test_yardstick_agrees(row):
    assert row.check(True)


def test_names_are_distinct():
    assert len({row.name for row in rows.ROWS}) == len(rows.ROWS)


def test_a_wrong_program_fails_the_check(monkeypatch):
    right = rows.yardsticks.family

    def stale(draw, mean, n, G, rng):
        """Draw every generation from the truth."""
        return right(lambda m, k, r: draw(mean, k, r), mean, n, G, rng)

    monkeypatch.setattr(rows.yardsticks, "family", stale)
    with pytest.raises(rows.CheckError, match="standard errors"):
        rows.check_family("normal", False)


def test_list_names_every_row(capsys):
    assert main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [row.name for row in rows.ROWS]
