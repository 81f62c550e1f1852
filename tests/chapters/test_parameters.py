"""Parameters of the chapters: the range beside each is the one that is checked first, in a sentence, and holds its default."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from collapse import figures

BOOK = Path(__file__).parents[2] / "book"
LINE = re.compile(r"(\w+) = (\S+)  # from (\S+) to (\S+)")
CHECK = re.compile(r'^figures\.parameter\("(\w+)", (\w+), (\S+), (\S+)\)$', re.MULTILINE)
CHAPTERS = ["gaussian", "origin", "estimators", "separation", "features", "universality", "misspecified", "zoo", "reproduce", "ecosystems", "exact", "golden", "breaking", "selection", "glm", "regression", "ranking", "latent", "uci", "forecast", "addmodel"]


def number(text: str) -> int | float:
    return 2**32 if text == "2**32" else ast.literal_eval(text)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_parameter_is_checked_against_the_range_beside_it(chapter: str) -> None:
    text = (BOOK / f"{chapter}.md").read_text()
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    tagged = next(i for i, cell in enumerate(cells) if "tags: [parameters]" in cell)
    lines = [line for line in cells[tagged].splitlines() if line and not line.startswith(":")]
    stated = {}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, f"{chapter}: {line!r} states no range"
        name, default, least, most = match.groups()
        stated[name] = (number(least), number(most))
        assert isinstance(number(default), type(number(least))), f"{name}: default and range are of one kind"
        figures.parameter(name, number(default), *stated[name])
    # in the very next cell, before anything is computed
    checked = {name: (value, number(least), number(most)) for name, value, least, most in CHECK.findall(cells[tagged + 1])}
    assert checked == {name: (name, *bounds) for name, bounds in stated.items()}


@pytest.mark.parametrize("value", [19, 10_001, 20.0, "20", True, None, 2**70])
def test_a_whole_parameter_outside_its_range_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"^parameter n must be a whole number from 20 to 10,000; it is .*\.$"):
        figures.parameter("n", value, 20, 10_000)


@pytest.mark.parametrize("value", [0.09, 21, float("nan"), "1", True, None, 1j])
def test_a_number_outside_its_range_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"^parameter kappa must be a number from 0\.1 to 20\.0; it is .*\.$"):
        figures.parameter("kappa", value, 0.1, 20.0)
    figures.parameter("kappa", 20, 0.1, 20.0)


@pytest.mark.parametrize(
    ("chapter", "values", "words"),
    [
        ("golden", {"kappa": 0.33, "n": 50}, "kappa and n must have a whole product"),
        ("ecosystems", {"n": 50}, "n must be a multiple of models, 6"),
        ("golden", {"kappa": 0.5}, None),
        ("ecosystems", {"n": 50, "models": 5}, None),
        ("exact", {"n": 20, "subsample_generations": 60}, None),
    ],
)
def test_parameters_that_must_fit_together(chapter: str, values: dict[str, object], words: str | None) -> None:
    text = (BOOK / f"{chapter}.md").read_text()
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    tagged = next(i for i, cell in enumerate(cells) if "tags: [parameters]" in cell)
    source = ["\n".join(line for line in cell.splitlines() if not line.startswith(":")) for cell in cells[tagged : tagged + 2]]
    space: dict[str, object] = {}
    exec(source[0], space)  # noqa: S102 - the book's own cell
    space.update(values)
    if words is None:
        exec(source[1], space)  # noqa: S102
    else:
        with pytest.raises(ValueError, match=f"^parameters? {words}.*\\.$"):
            exec(source[1], space)  # noqa: S102
