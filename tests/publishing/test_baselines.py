"""What moved in the numbers behind figures: nothing where nothing did, and each kind of change
named.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from collapse.publishing.baselines import Moved, accept, error_column, main, moved

TABLE = """workflow,generation,derived,simulated,standard error
augment,1,1.0,1.0,0.0
augment,2,1.25,1.249,0.01
augment,3,1.3611111111111112,1.37,0.012
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    now, then = tmp_path / "now", tmp_path / "then"
    for folder in (now, then):
        folder.mkdir()
        (folder / "some-figure.csv").write_text(TABLE)
    return now, then


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "some-figure.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_equal_numbers_have_not_moved(folders: tuple[Path, Path]) -> None:
    assert moved(*folders) == []
    assert main([str(folder) for folder in folders]) == 0


def test_the_last_digit_may_differ(folders: tuple[Path, Path]) -> None:
    change(folders[0], "1.3611111111111112", "1.361111111111111")
    assert moved(*folders) == []


def test_a_simulated_number_moves_by_so_many_standard_errors(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    change(folders[0], "1.249,0.01", "1.269,0.01")
    (only,) = moved(*folders)
    assert (only.column, only.rows, only.row, only.before, only.after) == (
        "simulated", 1, 2, "1.249", "1.269"
    )  # fmt: skip
    assert only.relative == pytest.approx(0.02 / 1.249)
    assert only.errors == pytest.approx(0.02 / (0.01 * 2**0.5))
    assert main([str(folder) for folder in folders]) == 1
    said = capsys.readouterr().out
    assert "some-figure, 'simulated': 1 moved, most in row 2: 1.249 is now 1.269" in said
    assert "1.4 standard errors" in said


def test_a_derived_number_has_no_standard_error(folders: tuple[Path, Path]) -> None:
    change(folders[0], "1.25", "1.2500001")
    (only,) = moved(*folders)
    assert only.column == "derived"
    assert only.errors != only.errors


def test_text_and_shape_are_compared(folders: tuple[Path, Path]) -> None:
    now, then = folders
    change(now, "augment,3", "discard,3")
    assert [entry.column for entry in moved(now, then)] == ["workflow"]
    (now / "some-figure.csv").write_text(TABLE + "augment,4,1.4,1.4,0.01\n")
    assert "3 rows are now 4" in str(moved(now, then)[0])
    (now / "some-figure.csv").write_text(TABLE.replace("derived", "limit"))
    assert "columns gone: derived; new: limit" in str(moved(now, then)[0])


def test_numbers_that_become_none_have_moved(folders: tuple[Path, Path]) -> None:
    for value in ("nan", "inf", ""):
        (folders[0] / "some-figure.csv").write_text(TABLE.replace("1.37", value))
        assert [entry.after for entry in moved(*folders)] == [value]


def test_figures_come_and_go(folders: tuple[Path, Path]) -> None:
    now, then = folders
    (now / "another.csv").write_text("x\n1\n")
    (now / "some-figure.csv").unlink()
    assert [(entry.figure, entry.before) for entry in moved(now, then)] == [
        ("another", "there is no baseline"),
        ("some-figure", "there is a baseline"),
    ]
    assert main([str(now), str(then), "--accept"]) == 0
    assert moved(now, then) == []


def test_a_column_has_the_tolerance_that_is_stated(folders: tuple[Path, Path]) -> None:
    now, then = folders
    change(now, "1.249", "1.2491")
    (then / "tolerances.toml").write_text("[some-figure]\nsimulated = 1e-3\n")
    assert moved(now, then) == []
    (then / "tolerances.toml").write_text("[some-figure]\nsimulated = 1e-6\n")
    assert len(moved(now, then)) == 1
    (then / "tolerances.toml").write_text("[some-figure]\nsimulated = inf\n")
    assert moved(now, then) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[no-figure]\nx = 1\n", "no-figure"),
        ("[some-figure]\nx = 1\n", "has workflow, generation"),
        ('[some-figure]\nderived = "much"\n', "a tolerance is a number"),
    ],
)
def test_tolerances_name_what_is_there(folders: tuple[Path, Path], text: str, said: str) -> None:
    (folders[1] / "tolerances.toml").write_text(text)
    with pytest.raises(ValueError, match=said):
        moved(*folders)


def test_no_figures_are_no_agreement(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no CSV files"):
        moved(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match="no CSV files"):
        accept(tmp_path, tmp_path / "new")
    assert main([str(tmp_path / "none"), str(tmp_path)]) == 2


@pytest.mark.parametrize(
    ("column", "columns", "expected"),
    [
        ("simulated", ["derived", "simulated", "standard error"], "standard error"),
        ("derived", ["derived", "simulated", "standard error"], None),
        ("generation", ["generation", "ratio", "stderr"], None),
        (
            "simulated n times risk",
            ["standard error", "simulated n times risk", "standard error of n times risk"],
            "standard error of n times risk",
        ),
        (
            "augment, Poisson",
            ["augment, Poisson", "augment, standard error"],
            "augment, standard error",
        ),
        ("standard error", ["ratio", "standard error"], None),
    ],
)
def test_estimates_find_their_standard_errors(
    column: str, columns: list[str], expected: str | None
) -> None:
    assert error_column(column, columns) == expected


def test_what_moved_is_told_in_a_line() -> None:
    assert str(Moved("a", "b", 2, 1, "x", "y")) == "a, 'b': 2 moved, most in row 1: x is now y"
