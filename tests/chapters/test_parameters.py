"""Parameters of the chapters: the range beside each is checked first and holds its default."""

from __future__ import annotations

import ast
import re
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest

from collapse.publishing import figures
from collapse.publishing.page import Page

Space = dict[str, object]

BOOK = Path(__file__).parents[2] / "book"
LINE = re.compile(r"(\w+) = (\S+)  # from (\S+) to ([^\s,]+)(?:, .*)?")
PAGES = {path.stem: path.read_text() for path in sorted(BOOK.glob("*.md"))}
CHAPTERS = [name for name in PAGES if "tags: [parameters" in PAGES[name]]


def first_cells(chapter: str) -> tuple[str, str]:
    """Code of the parameters cell and of the one after it."""
    cell = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = cell.findall(PAGES[chapter])
    tagged = next(i for i, cell in enumerate(found) if "tags: [parameters" in cell)
    first, second = (re.sub(r"^:.*\n", "", cell, flags=re.MULTILINE) for cell in found[tagged:][:2])
    return first, second


def number(text: str) -> int | float:
    return 2**32 if text == "2**32" else float(text) if "." in text else int(text)


def page_of(chapter: str) -> tuple[str, Space]:
    """The call that makes the chapter's page, and what it sees: the parameters as they stand."""
    parameters, checks = first_cells(chapter)
    made = re.search(r"^page = Page\(", checks, re.MULTILINE)
    assert made, f"{chapter} has no page of its own, in the very next cell"
    page = ast.unparse(ast.parse(checks[made.start() :]).body[0].value)  # type: ignore[attr-defined]
    space: Space = {"Page": Page, "In": ["", parameters]}
    exec(parameters, space)  # noqa: S102 - the book's own cells
    return page, space


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_parameter_is_checked_against_the_range_beside_it(chapter: str) -> None:
    parameters, (page, space) = first_cells(chapter)[0], page_of(chapter)
    stated = {}
    for line in filter(None, parameters.splitlines()):
        match = LINE.fullmatch(line)
        assert match, f"{chapter}: {line!r} states no range"
        name, default, least, most = match.groups()
        stated[name] = number(default)
        low, high = number(least), number(most)
        assert type(number(default)) is type(low) is type(high), f"{name}: not of its range's kind"
        for outside in (low - 1, high + 1):
            with pytest.raises(ValueError, match=f"^parameter {name} must be a .* it is"):
                eval(page, space | {name: outside})
        for end in (low, high):
            eval(page, space | {name: end})
    assert eval(page, space).parameters == stated


@pytest.mark.parametrize("settings", ["fast", "full"])
def test_settings_name_parameters_and_lie_in_their_ranges(settings: str) -> None:
    given = tomllib.loads((BOOK / f"{settings}.toml").read_text())
    for chapter, values in given.items():
        if isinstance(values, dict):
            page, space = page_of(chapter)
            assert values.keys() <= eval(page, space).parameters.keys(), chapter
            eval(page, space | values)


@pytest.mark.parametrize("value", [19, 10_001, 20.0, "20", True, None, 2**70])
def test_a_whole_parameter_outside_its_range_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"^parameter n must be a whole number from 20 to 10,000;"):
        figures.parameter("n", value, 20, 10_000)


@pytest.mark.parametrize("value", [0.09, 21, float("nan"), "1", True, None, 1j])
def test_a_number_outside_its_range_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"^parameter kappa must be a number from 0\.1 to 20\.0; "):
        figures.parameter("kappa", value, 0.1, 20.0)
    figures.parameter("kappa", 20, 0.1, 20.0)


@pytest.mark.parametrize(
    ("chapter", "values", "fitted"),
    [
        ("golden", {"kappa": 0.333, "n": 50}, {"kappa": Fraction(17, 50)}),
        ("golden", {"kappa": 0.5}, {"kappa": Fraction(1, 2)}),
        ("ecosystems", {"n": 50}, {"n": 54}),
        ("exact", {"n": 20, "subsample_generations": 60}, {"subsample_generations": 20}),
    ],
)
def test_parameters_are_made_to_fit(chapter: str, values: Space, fitted: Space) -> None:
    parameters, checks = first_cells(chapter)
    space: Space = {"In": ["", parameters]}
    exec(parameters, space)  # noqa: S102
    defaults = {name: space[name] for name in fitted}
    exec(checks, space)  # noqa: S102
    assert defaults == {name: space[name] for name in fitted}
    space.update(values)
    exec(checks, space)  # noqa: S102
    assert fitted == {name: space[name] for name in fitted}
