"""Keys of finished work: what changes them, and what does not."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from collapse import models, workflows
from collapse.blocks import keys
from collapse.simulation import Experiment
from tests.blocks.models import Holding

PLAN = workflows.augment(3)
WHY = "finished work is kept by what determines it"


def experiment(plan: Any = PLAN, model: Any = None, n: Any = 10, **more: Any) -> Experiment:
    model = models.Normal(0, 1) if model is None else model
    asked: dict[str, Any] = {"replications": 5000, "rng": 0} | more
    return Experiment.asked(plan, model, n, **asked)


def keys_of(asked: Experiment) -> list[str]:
    return [asked.key, *(str(block.key) for block in asked.tasks(0, True))]


def test_equal_experiments_have_equal_keys_and_blocks_have_their_own() -> None:
    first = keys_of(experiment())
    assert first == keys_of(experiment())
    assert len(set(first)) == len(first) > 2


@pytest.mark.parametrize(
    "other",
    [
        {"plan": workflows.augment(4)},
        {"plan": workflows.discard(3)},
        {"plan": workflows.augment(3, size=2)},
        {"n": 11},
        {"model": models.Normal(0, 2)},
        {"model": models.Poisson(3)},
        {"rng": 1},
        {"rng": np.random.SeedSequence(0, spawn_key=(1,))},
        {"replications": 5004},
        {"quantiles": (0.5,)},
        {"covariance": True},
        {"fits": True},
    ],
    ids=str,
)
def test_what_determines_the_numbers_changes_every_key(other: dict[str, Any]) -> None:
    assert not set(keys_of(experiment())) & set(keys_of(experiment(**other)))


def test_levels_change_the_answer_and_not_the_blocks() -> None:
    one, two = keys_of(experiment(quantiles=[0.5])), keys_of(experiment(quantiles=[0.1]))
    assert one[0] != two[0]
    assert one[1:] == two[1:]


def test_the_seed_that_an_answer_tells_is_of_its_key() -> None:
    one, two = experiment(rng=7), experiment(rng=np.random.default_rng(7))
    assert (one.seed, two.seed) == (7, None)
    assert one.key != two.key
    assert keys_of(one)[1:] == keys_of(two)[1:]


@pytest.mark.parametrize("name", ["Python", "numpy", "scipy", "collapse"])
def test_versions_and_the_packages_own_code_change_every_key(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, here = keys_of(experiment()), keys.environment()
    monkeypatch.setattr(keys, "environment", lambda: here | {name: "other"})
    assert not set(before) & set(keys_of(experiment()))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a module of the caller's own, of two files."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(base: str, more: str = "") -> bytes:
        (tmp_path / "own_base.py").write_text(
            "from collapse import models\n"
            f"class Base(models.Normal):\n    def risk(self, theta): return {base}\n"
        )
        (tmp_path / "own_helper.py").write_text(f"def helper(): return 1\n{more}")
        (tmp_path / "own_model.py").write_text(
            "from own_helper import helper\nfrom own_base import Base\nclass Mine(Base): pass\n"
        )
        made = importlib.import_module("own_model").Mine(0, 1)
        return keys.material(made, WHY)

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def test_an_edit_of_the_models_module_or_of_one_that_it_uses_changes_the_key(own: Any) -> None:
    first = own("theta[:, 0] ** 2")
    assert first == own("theta[:, 0] ** 2")
    assert first != own("theta[:, 0] ** 4")
    assert first != own("theta[:, 0] ** 2", "# edited\n")


@pytest.mark.parametrize(
    "name",
    ["Logistic", "Multinomial logistic", "Median", "Multivariate normal mean", "Beta", "Huber"],
)
def test_what_a_model_has_cached_does_not_change_its_key(name: str) -> None:
    (example,) = [e for e in models.examples() if e.name.lower() == name.lower()]
    fresh, used = example.make(), example.make()
    before = dict(vars(used))
    for kind in type(used).__mro__:
        for attribute, member in vars(kind).items():
            if isinstance(member, keys.cached_property):
                getattr(used, attribute)
    rng = np.random.default_rng(0)
    used.risk(used.fit(used.draw_real(4, example.n, rng), np.ones((4, example.n)), None))
    assert keys.material(fresh, WHY) == keys.material(used, WHY)
    assert set(before) <= set(vars(used))


def test_caches_sets_and_shared_parts_do_not_change_a_key() -> None:
    one, two = Holding(0, 1), Holding(0, 1)
    assert two.table.sum() == 10
    assert "table" in vars(two)
    assert keys.material(one, WHY) == keys.material(two, WHY)
    word = [1.5, "one"]
    shared, apart = Holding(0, 1, [word, word]), Holding(0, 1, [word, list(word)])
    assert keys.material(shared, WHY) == keys.material(apart, WHY)
    assert keys.material(shared, WHY) != keys.material(Holding(0, 1, [word]), WHY)
    assert keys.material(Holding(0, 1, {1}), WHY) != keys.material(Holding(0, 1, {2}), WHY)


def test_what_holds_itself_and_builtin_functions_have_keys() -> None:
    circle: list[Any] = [max, int]
    circle.append(circle)
    told = [keys.material(Holding(0, 1, held), WHY) for held in (circle, circle, [max, int])]
    assert told[0] == told[1] != told[2]


def test_keys_do_not_depend_on_the_process() -> None:
    code = (
        "from tests.blocks.test_keys import *;"
        "print(keys_of(experiment(model=Holding(0, 1)))); print(hash('augment'))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]
    assert told[0][0] == told[1][0] == str(keys_of(experiment(model=Holding(0, 1))))
    assert told[0][1] != told[1][1]


def test_what_cannot_be_written_down_is_refused() -> None:
    local = Holding(0, 1, lambda: 1)
    for read in (keys.material, keys.pickled):
        with pytest.raises(ValueError, match=rf"^{WHY}, and Holding.* cannot be written down .*"):
            read(local, WHY)


def test_code_without_a_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ModuleType("typed_in")
    typed.Mine = type("Mine", (models.Normal,), {"__module__": "typed_in"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "typed_in", typed)
    with pytest.raises(ValueError, match=r"the code of .* is not found; define it in a module"):
        keys.material(typed.Mine(0, 1), WHY)
