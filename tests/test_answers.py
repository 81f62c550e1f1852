"""Every answer: as a table, saved, loaded again, refused where its file was changed."""

from __future__ import annotations

import json
import random
import sys
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy as sp

import collapse
from collapse import Plan, models, universality, workflows
from collapse.answers import Answer, plain
from tests.test_risk import changed

TABLE = pd.DataFrame({"x": np.arange(60) % 7, "y": np.arange(60) % 5 + np.arange(60) % 3})
KNOWN = [e for e in models.examples() if e.name in ("Normal", "Poisson")]
STRANGER = models.Example("Mine", KNOWN[0].make, 10, "mine", False, "why", "zoo", 0.5, 2.0)
FORMS: dict[str, dict[str, Any]] = {
    "augment": {"size": 1},
    "discard": {"size": [1, F(1, 2), 0.25]},
    "window": {"k": sp.Symbol("k", positive=True)},
    "star": {"models": 3, "share": F(1, 3), "published": False},
    "fixed_real_share": {"share": sp.sqrt(5) / 4},
    "fresh_real": {"share": None, "kappa": 2},
    "forgetting": {"memory": sp.Float("0.25")},
}


def answers() -> dict[str, Answer]:
    plan = workflows.augment(4)
    quick: dict[str, Any] = {"against": ["augment"], "budget": 0.01}
    forms: dict[str, Any] = {
        f"closed form of {name}": collapse.closed_form(name, **given)
        for name, given in FORMS.items()
    }
    return forms | {
        "closed form of a schedule": collapse.closed_form(
            "augment", size=sp.IndexedBase("s", positive=True)
        ),
        "closed form of a leaf": collapse.closed_form(workflows.star(4, 3), role="leaf"),
        "risk": collapse.derive(plan),
        "exact risk": collapse.derive(plan, exact=True),
        "simulated risk": collapse.simulate(plan, replications=20, rng=0, quantiles=[0.5]),
        "measured risk": collapse.simulate(
            plan,
            model=models.NormalMeanVariance(0, 1),
            n=5,
            replications=20,
            rng=0,
            quantiles=[0.5],
            measures=("variance", "entropy"),
        ),
        "comparison": collapse.compare(plan, workflows.reservoir(4), workflows.window(4, 2)),
        "diagnosis": collapse.diagnose(workflows.discard(20)),
        "diagnosis at n": collapse.diagnose(plan, model=models.Bernoulli(0.2), n=5),
        "diagnosis by evidence": collapse.diagnose(
            Plan([0, 1], [1, 1], [[1, 0], [0.25, 0.75]], name="typed")
        ),
        "policies": collapse.plan_for(ratio=1.5, generations=4),
        "policies at n": collapse.plan_for(ratio=2, model=models.Exponential(1), n=20),
        "optimum": collapse.optimal_weights(plan, synthetic=F(1, 4)),
        "matrix": universality.matrix(
            [KNOWN[0], KNOWN[1].larger(2), STRANGER],
            [workflows.discard(2), workflows.reservoir(2)],
            replications=50,
        ),
        "forecast": collapse.forecast(TABLE, "y", "discard", 3, **quick),
    }


ANSWERS = answers()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_saved_answer_is_itself_again(name: str, tmp_path: Path) -> None:
    answer = ANSWERS[name]
    path = answer.save(tmp_path / "answer.json")
    document = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert document["schema"] == 3
    again = type(answer).load(str(path))
    assert type(again) is type(answer)
    assert again.to_json() == answer.to_json()
    assert repr(again) == repr(answer)
    assert str(again) == str(answer)
    assert plain(again.columns()) == plain(answer.columns())
    assert again.to_frame().dtypes.tolist() == answer.to_frame().dtypes.tolist()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_file_without_a_number_is_of_the_first_schema(name: str, tmp_path: Path) -> None:
    answer, path = ANSWERS[name], tmp_path / "answer.json"
    document = json.loads(answer.save(path).read_text())
    del document["schema"]
    path.write_text(json.dumps(document))
    assert type(answer).load(path).to_json() == answer.to_json()


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_says_what_it_is_and_is_a_table(name: str) -> None:
    answer = ANSWERS[name]
    assert repr(answer).startswith(f"<{type(answer).__name__} ")
    assert "\n" not in repr(answer)
    frame = answer.to_frame()
    assert list(frame.columns) == list(answer.columns())
    assert len(frame) > 0


def test_formulas_are_formulas_again(tmp_path: Path) -> None:
    for name, given in FORMS.items():
        form = collapse.closed_form(name, **given)
        assert form is not None
        again = collapse.ClosedForm.load(form.save(tmp_path / "form.json"))
        assert again.ratio == form.ratio
        assert again.parameters == form.parameters
    certificate = ANSWERS["diagnosis"].certificate  # type: ignore[attr-defined]
    again = collapse.Diagnosis.load(ANSWERS["diagnosis"].save(tmp_path / "d.json")).certificate
    assert again is not None
    assert again.ratio == certificate.ratio


def test_a_loaded_plan_answers_as_the_saved_one(tmp_path: Path) -> None:
    best = collapse.Optimum.load(ANSWERS["optimum"].save(tmp_path / "best.json"))
    assert collapse.derive(best.plan).risk[-1] == best.risk
    table = collapse.Comparison.load(ANSWERS["comparison"].save(tmp_path / "table.json"))
    assert [type(w).__name__ for w in table.workflows] == ["Plan", "Reservoir", "Plan"]
    assert [w.name for w in table.front()] == [w.name for w in ANSWERS["comparison"].front()]  # type: ignore[attr-defined]


def test_a_loaded_matrix_makes_the_models_that_are_registered(tmp_path: Path) -> None:
    matrix = universality.Matrix.load(ANSWERS["matrix"].save(tmp_path / "matrix.json"))
    first, second, stranger = matrix.examples
    assert repr(first.make()) == repr(KNOWN[0].make())
    for example in (second, stranger):  # of another n, of another name
        with pytest.raises(ValueError, match=f"does not hold how {example.name} is made; register"):
            example.make()
    assert matrix.stands_out(matrix.cells["Mine", "discard"]) in (True, False)


def test_nothing_in_a_file_is_evaluated(tmp_path: Path) -> None:
    path = ANSWERS["closed form of window"].save(tmp_path / "form.json")
    document = json.loads(path.read_text())
    for parameter in ({"sympify": ["1"]}, {"Lambda": ["exit()"]}, {"no": []}, "exit()", {}):
        path.write_text(json.dumps(document | {"parameters": {"k": parameter}}))
        with pytest.raises(ValueError, match=r"parameters|changed|not that of"):
            collapse.ClosedForm.load(path)


@pytest.mark.parametrize("name", [name for name in ANSWERS if "risk" not in name])
def test_a_changed_file_is_read_or_refused_in_words(name: str, tmp_path: Path) -> None:
    rng, answer, path = random.Random(1), ANSWERS[name], tmp_path / "changed.json"
    document, refused, said = json.loads(answer.save(path).read_text()), 0, 0
    for _ in range(60):
        path.write_text(json.dumps(changed(document, rng)))
        try:
            assert repr(type(answer).load(path))
        except ValueError as error:
            refused += 1
            said = max(said, len(str(error)))
    assert said < 500
    assert refused > (0 if name == "forecast" else 5)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_file_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    kind, path = type(ANSWERS[name]), tmp_path / "file"
    reader = rf"{kind.__name__}\.load reads what {kind.__name__}\.save wrote"
    for text, message in (
        ("no", "is not JSON"),
        ("[1]", f"holds no saved {kind.__name__}"),
        ('{"collapse": "plan"}', f"holds no saved {kind.__name__}"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"{message}.*{reader}"):
            kind.load(path)
    path.write_text(json.dumps({"collapse": kind.__name__.lower(), "schema": 4}))
    with pytest.raises(ValueError, match=r"another version .* \(schema 4\); this one reads 1 to 3"):
        kind.load(path)
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "none")


def test_numbers_that_json_does_not_know_are_text() -> None:
    told = {"a": np.array([[1, np.inf], [-np.inf, np.nan]]), "f": len, "b": np.True_, "t": "x"}
    assert plain(told) == {"a": [[1, "inf"], ["-inf", "nan"]], "b": True, "t": "x"}
    assert plain(np.nan, nan=None) is None
    assert plain((F(1, 3), np.int64(2), None)) == ["1/3", 2, None]


def test_a_table_needs_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for answer in ANSWERS.values():
        with pytest.raises(ImportError, match=rf"{type(answer).__name__}\.to_frame needs pandas"):
            answer.to_frame()


def test_what_can_be_drawn_is_drawn() -> None:
    import matplotlib.pyplot as plt

    for name in ("risk", "comparison", "optimum", "matrix", "closed form of augment"):
        assert ANSWERS[name].plot().has_data(), name  # type: ignore[attr-defined]
        ax = plt.figure().subplots()
        assert ANSWERS[name].plot(ax) is ax  # type: ignore[attr-defined]
    assert ANSWERS["forecast"].plot().axes  # type: ignore[attr-defined]
    plt.close("all")
