"""A revision from the first run to LaTeX: parameters of two chapters are changed, the run is
checked and compared, a wrong number in the package is found, and the figures are written.
"""

import csv
import json
import re
from pathlib import Path

import pytest

from tests.publishing.revision import CHAPTERS, Author, author

pytestmark = pytest.mark.book


@pytest.fixture(scope="module")
def revised(tmp_path_factory: pytest.TempPathFactory) -> Author:
    """An author who has submitted, and then was asked for more rows and replications."""
    person = author(tmp_path_factory.mktemp("revision"))
    person.reruns("submitted")
    person.reruns("revised", "-p", "n=400", "-p", "replications=1200")
    return person


def column(run: Path, label: str, name: str) -> list[str]:
    with (run / "figures" / f"{label}.csv").open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def test_the_revised_run_is_whole_and_says_what_moved(revised: Author) -> None:
    for chapter in CHAPTERS:
        record = json.loads((revised.checkout / "revised" / f"{chapter}.json").read_text())
        assert record["parameters"].items() > {"n": 400, "replications": 1200}.items()
    told = "all files in revised are as they were written.\n"
    assert revised.types("verify", "revised") == (0, told)
    status, told = revised.types("diff", "submitted", "revised")
    assert status == 1
    assert re.search(r"^  golden-curves, 'ratio': \d+ moved, most in row \d+: ", told, re.MULTILINE)
    # what the prose says of it as well
    assert "  golden-prose, 'n': 1 moved, most in row 1: 300 is now 400 (+0.33 relative)" in told
    assert "  ecosystems-prose, 'replications': 1 moved" in told
    # what was derived without n and replications stands where it stood
    assert "golden-window" not in told


def test_one_wrong_number_in_the_package_is_caught_with_its_row(revised: Author) -> None:
    draw, wrong = "rng.poisson(mean)", "rng.poisson(1.0001 * mean)"
    revised.changes("collapse/models/families/morris.py", draw, wrong)
    revised.reruns("again", "-p", "n=400", "-p", "replications=1200")
    revised.changes("collapse/models/families/morris.py", wrong, draw)
    before, after = (
        column(revised.checkout / run, "golden-curves", "ratio") for run in ("revised", "again")
    )
    off = [abs(float(a) - float(b)) for a, b in zip(before, after, strict=True)]
    row = off.index(max(off))
    status, told = revised.types("diff", "revised", "again")
    assert status == 1
    assert re.search(
        rf"^  golden-curves, 'ratio': \d+ moved, most in row {row + 1}: {before[row]} is now"
        rf" {after[row]} \(\S+ relative, \S+ standard errors\)$",
        told,
        re.MULTILINE,
    )
    # with the right number all is as it was
    revised.reruns("right", "-p", "n=400", "-p", "replications=1200")
    everything = "".join(f"{chapter}: as it was\n" for chapter in sorted(CHAPTERS))
    assert revised.types("diff", "revised", "right") == (0, everything)
    # and what somebody writes into a table is seen for what it is
    path = revised.checkout / "right" / "figures" / "golden-curves.csv"
    path.write_text(path.read_text().replace(before[row], after[row]))
    told = "figures/golden-curves.csv has been changed\n"
    assert revised.types("verify", "right") == (1, told)


def test_figures_and_numbers_of_the_revision_are_written_for_latex(revised: Author) -> None:
    status, told = revised.types("figures", "--out", "paper", "--run", "revised")
    assert status == 0, told
    out = revised.checkout / "paper"
    origin = json.loads((out / "provenance.json").read_text())
    assert told.startswith(f"{len(origin['figures'])} figures and {len(origin['numbers'])} numbers")
    assert {record["chapter"] for record in origin["figures"].values()} == set(CHAPTERS)
    texts = [(out / name).read_text() for name in ("figures.tex", "numbers.tex")]
    for label, record in origin["figures"].items():
        assert record["parameters"]["n"] == 400
        assert rf"\label{{fig:{label}}}" in texts[0]
        assert {f"{label}.pdf", f"{label}-narrow.pdf"} <= {path.name for path in out.iterdir()}
    for macro in origin["numbers"]:
        assert rf"\newcommand{{\{macro}}}" in texts[1]
    assert r"\newcommand{\collapseGoldenN}{\ensuremath{400}}" in texts[1]


def test_the_report_sets_the_revision_beside_what_was_submitted(revised: Author) -> None:
    against = ("--baselines", "submitted/figures", "--built", "submitted/figures")
    assert revised.types("report", "revised", *against) == (0, "written to revised/report.html\n")
    page = (revised.checkout / "revised" / "report.html").read_text()
    assert page.count("<figcaption>This run</figcaption>") > 4
    assert page.count("<figcaption>Before: submitted/figures</figcaption>") > 4
    assert page.count(">Numbers in the prose</h3>") == len(CHAPTERS)
