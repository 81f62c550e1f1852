"""What CONTRIBUTING.md shows is true: its toys work as they stand, its commands and files exist."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import collapse
from collapse import models, workflows
from collapse.explorers.record import EXPLORERS
from collapse.models import registry

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
PLAN = (ROOT / "ARCHITECTURE.md").read_text()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports the Python of a section as a file of one's own."""
    monkeypatch.syspath_prepend(tmp_path)

    def imported(title: str) -> ModuleType:
        section = GUIDE[GUIDE.index(f"\n## {title}\n") :]
        name = f"guide_{title.split()[-1]}"
        (tmp_path / f"{name}.py").write_text(section.split("```python\n")[1].split("```")[0])
        return importlib.import_module(name)

    return imported


def test_the_model_keeps_its_promises_and_is_listed(
    run: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_EXAMPLES", dict(registry._EXAMPLES))
    model = run("A model").Rayleigh(2.0)
    assert models.check(model)
    (example,) = (example for example in models.examples() if example.name == "Rayleigh")
    table = collapse.matrix([example], replications=2000, rng=1)
    assert not any(table.stands_out(cell) for cell in table.row(example))


def test_the_workflow_is_known_by_its_name(run: Callable[[str], ModuleType]) -> None:
    try:
        run("A workflow")
        plan = workflows.named("lagging(latest=1/2)", 4)
        batches, fits = np.eye(4), np.eye(4)  # in the noises of batches, each one's own
        for g in range(1, 4):
            batches[g] += fits[g - 1]  # drawn from the latest fit
            fits[g] = (batches[g - 1] + batches[g]) / 2
        assert collapse.derive(plan).ratio == pytest.approx((fits**2).sum(axis=1))
        assert "lagging" in EXPLORERS["workflow"].controls[0].choices
    finally:
        workflows.NAMED.pop("lagging", None)


def test_the_explorer_has_its_sentence(run: Callable[[str], ModuleType]) -> None:
    try:
        run("An explorer")
        assert EXPLORERS["half"].sentence({"size": 0.5}) == "half of 0.5 is 0.25"
    finally:
        EXPLORERS.pop("half", None)


@pytest.mark.parametrize("text", [GUIDE, PLAN], ids=["CONTRIBUTING", "ARCHITECTURE"])
def test_files_and_commands_that_are_named_exist(text: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`", text):
        assert re.search(rf"^{target}(-%)?:", makefile, re.MULTILINE), target
    named = re.findall(r"`((?:collapse|book|tests|benchmarks)/[\w./]*)`", text)
    assert len(named) >= 5
    for path in named:
        assert "NAME" in path or (ROOT / path).exists(), path
    for name in re.findall(r"`(\w+\.(?:py|js|j2|md))`", text):
        places = [ROOT.glob(name), *((ROOT / room).rglob(name) for room in ("collapse", "book"))]
        assert any(path for place in places for path in place), name
