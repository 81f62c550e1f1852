"""Grids of simulations: what they hold, how cells are called, and what becomes of bad ones."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import collapse
from collapse import Sweep, models, sweep, workflows
from collapse.cli import main
from collapse.simulation import sums
from collapse.sweeping import grid as grids
from tests.blocks.models import Raising

SMALL: dict[str, Any] = {
    "workflow": ["discard", "augment"],
    "model": [models.Normal(0, 1), "Poisson(rate=3)"],
    "n": [10, 20],
    "generations": 3,
    "replications": 200,
}
NAMES = [
    f"{workflow}, model = {model}, n = {n}"
    for workflow in ("discard", "augment")
    for model in ("Normal(mean=0, sd=1)", "Poisson(rate=3)")
    for n in (10, 20)
]


def test_every_combination_is_simulated_and_the_last_name_changes_first() -> None:
    study = sweep(SMALL)
    assert [cell.name for cell in study.cells] == NAMES
    assert repr(study) == "<Sweep of 8 cells>"
    assert study.failures == {}
    for cell, risk in zip(grids.cells(SMALL), study.risks, strict=True):
        model = models.named(cell["model"]) if isinstance(cell["model"], str) else cell["model"]
        plan = workflows.named(cell["workflow"], 3)
        alone = collapse.simulate(plan, model=model, n=cell["n"], replications=200, rng=0)
        assert risk.to_json() == alone.to_json()


def test_a_row_for_each_cell_and_generation() -> None:
    study = sweep(SMALL)
    frame = study.to_frame()
    assert list(frame.columns) == [
        *("workflow", "model", "n", "generation", "risk", "ratio", "stderr", "failed"),
        *("replications", "seed"),
    ]
    assert len(frame) == 8 * 3
    first = study.risks[1]
    rows = frame[(frame.workflow == "discard") & (frame.n == 20) & frame.model.str.match("Normal")]
    assert rows.ratio.tolist() == first.ratio.tolist()
    assert rows.stderr.tolist() == first.stderr.tolist()
    assert rows.generation.tolist() == [1, 2, 3]


def test_it_is_saved_loaded_and_drawn(tmp_path: Path) -> None:
    study = sweep({"workflow": ["augment", "nonsense"], "generations": 3, "replications": 50})
    again = Sweep.load(study.save(tmp_path / "study.json"))
    assert again.to_json() == study.to_json()
    assert again.failures == study.failures != {}
    ax = Figure().subplots()
    assert study.plot(ax) is ax
    assert len(ax.lines) > 0
    with pytest.raises(ValueError, match="every cell of this sweep failed"):
        sweep({"workflow": "nonsense"}).plot()


def test_measures_are_those_of_simulate() -> None:
    shared = {"model": models.NormalMeanVariance(0, 1), "n": 9, "replications": 60, "rng": 0}
    study = collapse.sweep(
        {
            "workflow": ["discard", "augment"],
            "generations": 3,
            **shared,
            "measures": ["variance", "entropy"],
        }
    )
    for cell, plan in zip(study.cells, (workflows.discard(3), workflows.augment(3)), strict=True):
        alone = collapse.simulate(plan, **shared, measures=("variance", "entropy")).measures
        for name, measure in cell.risk.measures.items():
            assert measure.mean.tolist() == alone[name].mean.tolist()


def test_lists_of_mappings_plans_seeds_and_quantiles() -> None:
    plan = workflows.window(4, k=2)
    study = sweep(
        [
            {"workflow": [plan, "augment"], "rng": range(2), "replications": 60},
            {"workflow": workflows.reservoir(3), "quantiles": [0.1, 0.9], "replications": 60},
            {"workflow": "augment", "quantiles": [[0.5], [0.1]], "replications": 60},
        ]
    )
    assert [risk.plan.generations for risk in study.risks] == [4, 4, 50, 50, 3, 50, 50]
    assert [risk.seed for risk in study.risks] == [0, 1, 0, 1, 0, 0, 0]
    assert [risk.levels.tolist() for risk in study.risks[4:]] == [[0.1, 0.9], [0.5], [0.1]]
    assert study.cells[1].name == f"{plan.name}, rng = 1"


def test_data_sets_go_by_name() -> None:
    study = sweep({"workflow": "augment", "model": "diabetes", "generations": 2, "replications": 8})
    (risk,) = study.risks
    X, _, _, _ = collapse.datasets.diabetes().split()
    assert risk.n == len(X)
    assert risk.failed.tolist() == [0, 0]


@pytest.mark.parametrize("where", ["here", "workers", "threads"])
def test_a_bad_cell_is_named_and_the_others_complete(where: str, capsys: Any) -> None:
    grid = {
        "workflow": ["augment", "discard"],
        "model": [Raising(0, 1, "ValueError"), models.Normal(0, 1), "Nonsense(x=1)"],
        "n": 10,
        "generations": 3,
        "replications": 5000,
    }
    with ThreadPoolExecutor(2) as threads:
        arguments: dict[str, Any] = {
            "here": {},
            "workers": {"workers": 2},
            "threads": {"executor": threads},
        }[where]
        study = sweep(grid, progress=True, **arguments)
    assert len(study.failures) == 4
    raised, unknown = list(study.failures.items())[:2]
    assert raised[0] == "augment, model = Raising(mean=0, sd=1, kind='ValueError')"
    assert raised[1].startswith("risk of the model Raising")
    assert unknown[0] == "augment, model = Nonsense(x=1)"
    assert "there is no model called" in unknown[1]
    good = [risk.to_json() for risk in study.risks]
    alone = sweep(grid | {"model": models.Normal(0, 1)})
    assert good == [risk.to_json() for risk in alone.risks]
    told = capsys.readouterr().err
    assert all(cell.name in told for cell in study.cells)
    assert told.count("failed: ") == 4


class Broken(models.Normal):
    """Has no truth today."""

    @property
    def truth(self) -> Any:
        raise ZeroDivisionError("of its own")


def test_a_model_that_cannot_even_be_looked_at_is_named() -> None:
    grid = {"workflow": "augment", "model": [Broken(0, 1), models.Normal(0, 1)], "n": 5}
    study = sweep(grid | {"generations": 2, "replications": 50})
    assert list(study.failures.values()) == ["ZeroDivisionError: of its own"]
    assert len(study.risks) == 1


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (range(10**12), "grid must be a mapping such as .*; it is 0"),
        (3, "grid must be a mapping such as .*; it is 3"),
        ("augment", "grid must be a mapping such as"),
        ([3], "grid must be a mapping such as .*; it is 3"),
        ([], "grid holds no cells: one of its lists is empty"),
        ({}, "grid must be a mapping"),
        ({"workflow": []}, "grid holds no cells"),
        ({"n": 3}, "a grid needs a workflow"),
        ({"workflow": "augment", "workers": 2}, "a grid has no 'workers'; it may have workflow"),
        (
            {"workflow": "augment", "rng": range(10**9)},
            "a grid can have 100,000 cells at most, and this one has 1,000,000,000;",
        ),
    ],
    ids=str,
)
def test_what_is_no_grid_is_refused(grid: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sweep(grid)


def test_what_a_cell_cannot_have_is_told_by_the_cell() -> None:
    plan = workflows.augment(4)
    study = sweep(
        [
            {"workflow": plan, "generations": [4, 5], "replications": 50},
            {"workflow": 3},
            {"workflow": "augment", "model": models.Normal(0, 1)},
            {"workflow": "augment", "replications": [0, "many"]},
        ]
    )
    assert len(study.risks) == 1
    told = list(study.failures.values())
    assert told[0] == (
        "augment has 4 fits, and generations is 5; leave generations out beside a plan."
    )
    assert "workflow must be text" in told[1]
    assert told[2].startswith("n ")
    assert all(text.startswith("replications") for text in told[3:])


def test_the_same_call_goes_on_from_its_folder(tmp_path: Path) -> None:
    grid = {"workflow": ["augment", "discard"], "generations": 4, "replications": 9000}
    expected = sweep(grid).to_json()

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > 12_000:
            raise Stop

    with pytest.raises(Stop):
        sweep(grid, folder=tmp_path, progress=stop)
    kept = sorted(file.name for file in tmp_path.glob("[ab]*-*"))
    assert any(name.startswith("answer") for name in kept)
    assert any(name.startswith("block") for name in kept)
    steps: list[int] = []
    assert sweep(grid, folder=tmp_path, progress=lambda d, _: steps.append(d)).to_json() == expected
    assert steps[0] == 9000
    assert steps[-1] == 18_000
    assert len(list(tmp_path.glob("answer-*"))) == 2
    assert not list(tmp_path.glob("block-*"))


def test_quantiles_through_a_file_are_those_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {
        "plan": workflows.augment(6),
        "model": models.Median("normal"),
        "n": 11,
        "replications": 5000,
        "rng": 3,
        "quantiles": (0.01, 0.5, 0.99),
    }
    here = collapse.simulate(**asked)
    monkeypatch.setattr(sums, "HERE", 10)
    assert collapse.simulate(**asked).to_json() == here.to_json()


def test_quantiles_that_find_no_room_fail_their_cell_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Full:
        def write(self, data: Any) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sums, "HERE", 10)
    monkeypatch.setattr(sums.tempfile, "TemporaryFile", Full)
    study = sweep(
        [
            {"workflow": "augment", "replications": 50, "quantiles": [0.5]},
            {"workflow": "augment", "replications": 50},
        ]
    )
    (why,) = study.failures.values()
    assert "cannot be written to a temporary file in" in why
    assert "No space left on device" in why
    assert len(study.risks) == 1


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(
        "[[grid]]\nworkflow = ['augment', 'window(k=2)']\nmodel = 'Bernoulli(p=0.2)'\nn = 10\n"
        "generations = 3\nreplications = 300\n"
        "[[grid]]\nworkflow = 'discard'\ngenerations = 3\nreplications = 300\nn = 5\n"
    )
    return path


def test_the_command_prints_the_table_and_what_failed(
    grid: Path, tmp_path: Path, capsys: Any
) -> None:
    command = ["sweep", str(grid), "--folder", str(tmp_path / "kept")]
    assert main([*command, "--json"]) == 1  # a cell failed
    told = json.loads(capsys.readouterr().out)
    (failed,) = told["failures"]
    assert failed.startswith("discard")
    assert "n" in told["failures"][failed]
    assert told["workflow"] == ["augment"] * 3 + ["window(k=2)"] * 3
    expected = collapse.simulate(
        workflows.augment(3), model=models.Bernoulli(0.2), n=10, replications=300, rng=0
    )
    assert told["ratio"][:3] == expected.ratio.tolist()

    for name in ("table.csv", "study.json"):
        assert main([*command, "-o", str(tmp_path / name)]) == 1
        heard = capsys.readouterr()
        assert f"written to {tmp_path / name}" in heard.err
        assert heard.out.startswith("cell ratio stderr failed, at the last generation\n")
    assert (tmp_path / "table.csv").read_text().startswith("workflow,model,n,generation,risk")
    assert len(Sweep.load(tmp_path / "study.json").cells) == 3


def test_the_command_keeps_its_work_where_the_environment_says(
    grid: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAPSE_CACHE", str(tmp_path / "cache"))
    assert main(["cache"]) == 2
    assert "is not there; nothing has been kept in it." in capsys.readouterr().err
    main(["sweep", str(grid)])
    capsys.readouterr()
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[-1].startswith("2 entries, ")
    assert main(["cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["name"].split("-")[0] for entry in told["entries"]] == ["answer", "answer"]
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.startswith("2 entries (0.0 MB) removed from ")
    assert not list((tmp_path / "cache").glob("answer-*"))


@pytest.mark.filterwarnings("default")
def test_the_command_says_in_a_line_what_it_ignores(
    grid: Path, tmp_path: Path, capsys: Any
) -> None:
    command = ["sweep", str(grid), "--folder", str(tmp_path)]
    main(command)
    before = capsys.readouterr()
    damaged, _ = sorted(tmp_path.glob("answer-*"))
    damaged.write_text("{")
    main(command)
    told = capsys.readouterr()
    assert told.out == before.out
    (line,) = set(told.err.splitlines()) - set(before.err.splitlines())
    assert line.startswith(f"collapse: {damaged} is no finished work of this key (")
    assert line.endswith("); it is ignored.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read or written: No such file"),
        ("workflow = [", "is not TOML"),
        ("", "grid must be a mapping"),
        ("grid = 3", "grid must be a mapping"),
        ("models = 3\nworkflow = 'augment'", "a grid has no 'models'"),
    ],
)
def test_files_that_are_no_grid_get_one_sentence(
    text: str | None, words: str, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "grid.toml"
    if text is not None:
        path.write_text(text)
    assert main(["sweep", str(path), "--folder", str(tmp_path / "kept")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_models_by_name() -> None:
    assert repr(models.named("poisson(rate=3)")) == repr(models.Poisson(3))
    assert (
        type(models.named("least squares")).__name__ == type(models.named("least_squares")).__name__
    )
    for text, words in (
        ("nonsense", "there is no model called 'nonsense'"),
        ("Poisson(lam=3)", "Poisson cannot be made with these parameters"),
        ("Poisson(rate=-3)", "rate must be"),
        (3, "model must be text"),
    ):
        with pytest.raises(ValueError, match=words):
            models.named(text)  # type: ignore[arg-type]


def test_arrays_of_values_are_lists() -> None:
    study = sweep({"workflow": "augment", "rng": np.arange(2), "replications": 20})
    assert [risk.seed for risk in study.risks] == [0, 1]


def test_the_matrix_runs_and_is_kept_in_the_same_way(tmp_path: Path) -> None:
    rows = [example for example in models.examples() if example.name == "Normal"]
    asked: dict[str, Any] = {"examples": rows, "replications": 100, "generations": 3}
    plain = collapse.matrix(**asked).to_json()
    with ThreadPoolExecutor(2) as threads:
        assert collapse.matrix(**asked, executor=threads).to_json() == plain
    for _ in range(2):
        assert collapse.matrix(**asked, folder=tmp_path).to_json() == plain
    assert len(list(tmp_path.glob("answer-*"))) == 4
