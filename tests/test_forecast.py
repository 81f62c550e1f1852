"""A user's own table: what is read, refused, guessed, fitted, derived, simulated and written."""

from __future__ import annotations

import copy
import html
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import bdtr
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor

import collapse
from collapse import derive, disk, models, workflows
from collapse import forecast as forecast_function
from collapse.blocks import keys
from collapse.cli import main
from collapse.forecasting import law, report, simulating, study
from collapse.forecasting.table import prepare, read
from collapse.simulation.block import Trial
from tests.statistics import FALSE_ALARM, assert_agree

pytestmark = pytest.mark.statistical

Array = NDArray[np.float64]
TASK_NAMES = ("binary", "multiclass", "counts", "continuous")
FAST: dict[str, Any] = {"generations": 3, "against": [], "budget": 0.5}


def table(rows: int = 120, seed: int = 0, task: str = "continuous") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"age": rng.normal(40, 10, rows).round(1), "height": rng.normal(170, 8, rows).round(1)}
    )
    margin = 0.05 * (frame["age"] - 40) + 0.05 * (frame["height"] - 170)
    frame["y"] = {
        "continuous": lambda: margin + rng.standard_normal(rows),
        "binary": lambda: np.where(rng.random(rows) < 1 / (1 + np.exp(-margin)), "yes", "no"),
        "multiclass": lambda: np.array(["low", "mid", "top"])[
            np.clip(np.round(margin + rng.standard_normal(rows) + 1), 0, 2).astype(int)
        ],
        "counts": lambda: rng.poisson(np.exp(1.5 + 0.5 * margin)),
    }[task]()
    return frame


# --- files that cannot be used --------------------------------------------------------------------

GOOD = "a,b,y\n" + "".join(f"{k % 7},{(3 * k) % 11},{(k * k) % 13 + 0.5}\n" for k in range(40))
BAD = {
    "no header": (
        GOOD.split("\n", 1)[1],
        "seems to have no header, since its first line holds the number 0",
    ),
    "wrong target": (
        GOOD.replace("y", "z", 1),
        "has no column 'y' to be the target; it has a, b, z.",
    ),
    "constant target": (
        "a,y\n" + "".join(f"{k},5\n" for k in range(20)),
        "the target 'y' has the one value 5; there is nothing to predict.",
    ),
    "one class": (
        "a,y\n" + "".join(f"{k},yes\n" for k in range(20)),
        "the target 'y' has the one value yes; there is nothing to predict.",
    ),
    "constant column": (
        "a,y\n" + "".join(f"1,{k}.5\n" for k in range(20)),
        "no column can be used .* Column 'a' has one value only and was left out.",
    ),
    "text for a number": (
        GOOD.replace("\n3,", "\nthree,", 1),
        "column 'a' holds numbers and text: row 4 holds 'three'. Leave the cell empty",
    ),
    "text for a target": (
        GOOD.replace(",1.5", ",one", 1),
        (
            "the target 'y' holds numbers and text: row 2 holds 'one'. Leave the cell empty where a"
            " value is missing"
        ),
    ),
    "no values": (
        "a,y\n" + "".join(f",{k}.5\n" for k in range(20)),
        "no column can be used .* Column 'a' has no values and was left out.",
    ),
    "no targets": (
        "a,y\n" + "".join(f"{k},\n" for k in range(20)),
        "the target 'y' has no values at all.",
    ),
    "names": (
        "a,y\n" + "".join(f"{k},name{k}\n" for k in range(80)),
        "has 80 different values, more than the 50 classes .* identifier",
    ),
    "empty": ("", "is empty; it needs a line of column names and rows of values."),
    "header alone": ("a,b,y\n", "has a header and no rows."),
    "target alone": ("y\n1\n2\n", "has no column beside the target 'y'"),
    "three rows": (
        "a,y\n1,2.5\n2,3.5\n3,5.5\n",
        "there are 3 rows with a target; a forecast needs at least 4",
    ),
    "ragged": ("a,y\n1,2\n1,2,3\n", "is no table in CSV"),
    "infinite": (GOOD.replace("\n3,", "\ninf,", 1), "column 'a' is infinite in row 4"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_clear_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = BAD[name]
    path = tmp_path / "data.csv"
    path.write_text(text)
    assert main(["forecast", str(path), "--target", "y", "--folder", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    last = said.err.strip().splitlines()[-1]
    assert re.search(message, last), last
    assert last.startswith("collapse: ")
    assert last.endswith(".")


def test_files_that_are_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.csv"
    assert main(["forecast", str(missing), "--target", "y"]) == 2
    assert f"collapse: there is no file {missing}." in capsys.readouterr().err
    binary = tmp_path / "data.csv"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match="is no table in CSV"):
        read(binary, "y")
    parquet = tmp_path / "data.parquet"
    parquet.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="is no parquet file"):
        read(parquet, "y")


def test_parquet_is_read_as_csv_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 9, 60).round(2),
            "town": rng.choice(["Bonn", "Ulm"], 60),
            "y": rng.integers(0, 2, 60),
        }
    )
    table.to_csv(tmp_path / "data.csv", index=False)
    table.to_parquet(tmp_path / "data.parquet")
    of_csv, of_parquet = (
        collapse.forecast(tmp_path / f"data.{kind}", "y", **FAST) for kind in ("csv", "parquet")
    )
    assert of_csv.document["workflows"] == of_parquet.document["workflows"]
    # without pyarrow the remedy is named
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ImportError, match=r"needs pyarrow: pip install 'collapse-companion\[parquet\]'"
    ):
        read(tmp_path / "data.parquet", "y")


def test_semicolons_tabs_decimal_commas_and_a_byte_order_mark(tmp_path: Path) -> None:
    for separator in ";\t,":
        path = tmp_path / "data.csv"
        path.write_text("\ufeff" + GOOD.replace(",", separator), encoding="utf-8")
        assert list(read(path, "y").columns) == ["a", "b", "y"]
    path.write_text("a;y\n0,5;1\n1,25;2\n")
    assert read(path, "y")["a"].tolist() == [0.5, 1.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workflow": "windo"}, "there is no workflow called 'windo'"),
        ({"workflow": "ring(models=2)"}, "several models"),
        ({"real_share": "1/4", "workflow": "discard"}, "give either real_share"),
        ({"generations": 0}, "generations"),
        ({"rng": -1}, r"rng must be .* a seed .*\(a whole number, at least 0\); it is -1\."),
        ({"rng": 10**5000}, r"rng must be .* a seed below 2\^128 .*; it is about 10\^5000\."),
        ({"rng": 1.5}, "rng must be"),
        ({"test_share": 1.0}, "test_share must lie strictly between 0 and 1"),
        ({"worse": 0}, "worse"),
        (
            {"task": "clusters"},
            "task must be one of binary, multiclass, counts, continuous; it is 'clusters'.",
        ),
        ({"task": "binary"}, "the target 'y' has 120 values, and the task binary needs 2"),
        ({"task": "counts"}, r"must hold counts 0, 1, 2, ... for the task counts; row 1 holds"),
        (
            {"workflow": 5},
            "a workflow must be a name such as 'augment' .* or a Plan or Reservoir; it is 5.",
        ),
        (
            {"workflow": workflows.window(5, 2)},
            r"window\(k=2\) has 5 generations, and 3 are asked for",
        ),
        (
            {"workflow": workflows.fresh_real(3), "labels": "soft"},
            "fresh_real reads several real batches, and the table is one",
        ),
        ({"workflow": workflows.ring(3, models=2)}, "several models"),
        ({"workflow": workflows.augment(3), "real_share": 0.5}, "give either real_share"),
        ({"against": 5}, "against must be a workflow or a list of them"),
        ({"against": None}, "against must be a workflow or a list of them"),
        ({"against": [None]}, "a workflow must be a name"),
        ({"against": "augmnt"}, "there is no workflow called 'augmnt'"),
        ({"generations": 10**7}, "generations .* can be 5,000 at most"),
        ({"generations": True}, "generations .* must be a whole number"),
        ({"folder": 3}, "folder must be the path of a folder; it is 3."),
        ({"progress": "yes"}, "progress must be True, False, None or a function .*; it is 'yes'."),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collapse.forecast(table(), "y", **(FAST | arguments))


@pytest.mark.parametrize("data", [{"a": [1, 2], "y": [1, 2]}, np.eye(4), None, 3, table()["y"]])
def test_data_that_are_no_table(data: Any) -> None:
    with pytest.raises(ValueError, match=r"data must be the path of a file or .*; it is .*"):
        collapse.forecast(data, "y")


@pytest.mark.parametrize("target", [3, None, ["y"]])
def test_a_target_that_is_no_name(target: Any) -> None:
    with pytest.raises(ValueError, match="target must be the name of a column, as text; it is"):
        collapse.forecast(table(), target)


def test_text_for_a_continuous_target_names_the_row() -> None:
    with pytest.raises(
        ValueError,
        match=r"must hold numbers for the task continuous; row 1 holds 'no'|row 1 holds 'yes'",
    ):
        collapse.forecast(table(task="binary"), "y", task="continuous", **FAST)


# --- what the table becomes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 30, "binary"),
        ([True, False] * 30, "binary"),
        ([1.0, 2.0] * 30, "binary"),
        (["a", "b", "c"] * 20, "multiclass"),
        ([0, 1, 2] * 20, "multiclass"),
        ([*range(12)] * 5, "counts"),
        ([0, 3, 0, 17] * 15, "counts"),
        ([25, 346, 180] * 20, "continuous"),
        ([0.5, 1.5, 2.25] * 20, "continuous"),
        ([-1, 0, 1] * 20, "continuous"),
    ],
)
def test_the_task_is_guessed(values: list[Any], task: str) -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(1).standard_normal(len(values)), "y": values})
    made = prepare(frame, "y")
    assert (made.task, made.guessed) == (task, True)
    told = prepare(frame, "y", task)
    assert (told.task, told.guessed) == (task, False)


def test_categories_and_missing_values() -> None:
    rng = np.random.default_rng(3)
    frame = table(200)
    frame["town"] = rng.choice(["Oslo", "Rome", "Kyiv"], 200)
    frame["member"] = rng.random(200) < 0.5
    frame["note"] = [f"remark {k}" for k in range(200)]
    frame["nothing"] = np.nan
    frame["same"] = 7
    frame["twice"] = 2 * frame["age"]
    frame.loc[:9, "age"] = np.nan
    frame.loc[10:19, "town"] = None
    frame.loc[20:29, "y"] = np.nan
    made = prepare(frame, "y", seed=5)
    notes = " ".join(made.notes)
    assert made.unlabelled == 10
    for said in (
        "10 rows without a value of 'y' were left out.",
        "Column 'nothing' has no values",
        "Column 'same' has one value only",
        "Column 'note' has a different text in most rows",
        "missing values in 'age', 'town' were filled in",
    ):
        assert said in notes
    assert set(made.columns) == {
        "(intercept)",
        "age",
        "height",
        "twice",
        "town_Kyiv",
        "town_Oslo",
        "town_Rome",
        "member_True",
    }
    assert made.X.shape[0] + made.X_test.shape[0] == 190
    np.testing.assert_allclose(made.X[:, 1:4].mean(axis=0), 0, atol=1e-12)
    # where nothing is missing one column follows from another, and is left out
    full = prepare(frame.loc[30:].drop(columns=["note", "nothing"]), "y")
    assert "1 redundant column of the design, 'twice', follows from the others" in " ".join(
        full.notes
    )
    assert np.linalg.matrix_rank(full.X) == full.X.shape[1]
    answer = collapse.forecast(frame, "y", **FAST)
    assert answer.document["data"]["notes"] == list(prepare(frame, "y").notes)


def test_classes_keep_their_shares_and_rare_ones_are_fitted() -> None:
    frame = pd.DataFrame({"x": np.arange(103.0), "y": ["a"] * 60 + ["b"] * 42 + ["c"]})
    made = prepare(frame, "y", test_share=0.3, seed=2)
    assert [int((made.y == k).sum()) for k in range(3)] == [42, 29, 1] or [
        int((made.y == k).sum()) for k in range(3)
    ] == [42, 30, 1]
    assert made.classes == ("a", "b", "c")


def test_other_types_of_columns() -> None:
    frame = table(60)
    frame[3] = pd.array([None, *range(59)], dtype="Int64")
    frame["day"] = pd.date_range("2026-01-01", periods=60)
    frame["size"] = pd.Categorical(["small", "large", None] * 20)
    frame["whole"] = frame["age"].round().astype("int8")
    made = prepare(frame, "y")
    assert set(made.features) == {"age", "height", "3", "size", "whole", "day"}
    assert "Dates were made numbers, in days, in 'day'." in made.notes
    text = prepare(frame.astype({"age": str}), "y")
    np.testing.assert_array_equal(text.X, made.X)
    assert "Numbers written as text were read as numbers in 'age'." in text.notes
    with pytest.raises(ValueError, match="has 2 columns called 'age'; rename all but one"):
        prepare(pd.concat([frame, frame[["age"]]], axis=1), "y")


def test_messages_count_rows_as_the_file_does() -> None:
    frame = table(30).astype({"age": object})
    frame.loc[11, "age"] = "?"
    with pytest.raises(ValueError, match="column 'age' holds numbers and text: row 12 holds"):
        prepare(frame, "y", test_share=0.01)
    with pytest.raises(ValueError, match="row 7 holds"):
        prepare(frame.iloc[5:], "y", test_share=0.01)


# --- the law of the test loss ---------------------------------------------------------------------


def design(rows: int, seed: int) -> Array:
    return np.column_stack([np.ones(rows), np.random.default_rng(seed).standard_normal((rows, 2))])


FAMILIES: dict[str, tuple[law.Family, Array]] = {
    "two classes": (law.Classes(1), np.array([0.4, 0.9, -0.5])),
    "four classes": (law.Classes(3), np.array([0.4, 0.9, -0.5, -0.3, 0.2, 0.7, 0.1, -0.6, 0.2])),
    "counts": (law.Counts(), np.array([0.8, 0.3, -0.2])),
    "normal": (law.Normal(1.7), np.array([0.8, 0.3, -0.2])),
}


def labels(family: law.Family, margin: Array, rng: np.random.Generator) -> Array:
    if isinstance(family, law.Classes):
        odds = np.exp(np.column_stack([np.zeros(len(margin)), margin]))
        share = odds / odds.sum(axis=1, keepdims=True)
        return (np.cumsum(share, axis=1) < rng.random((len(margin), 1))).sum(axis=1).astype(float)
    mean = margin[:, 0]
    return (
        rng.poisson(np.exp(mean)).astype(float)
        if isinstance(family, law.Counts)
        else mean + 1.3 * rng.standard_normal(len(mean))
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_kappa_by_finite_differences(name: str) -> None:
    """Half the trace of the loss's Hessian in the metric of the information, and the gradient along
    the bias, from the loss alone.
    """
    family, theta = FAMILIES[name]
    q, rng = family.outputs, np.random.default_rng(7)
    X, X_test = design(80, 1), design(50, 2)
    y, y_test = (labels(family, rows @ theta.reshape(q, -1).T, rng) for rows in (X, X_test))
    fitted = law.newton(family, X, y, np.zeros(theta.size))
    assert fitted is not None

    def loss(at: Array, rows: Array, label: Array) -> float:
        return float(family.deviance(at.reshape(q, -1) @ rows.T, family.coded(label)).mean())

    def slope(at: Array, along: Array, rows: Array, label: Array, h: float = 1e-4) -> float:
        return (loss(at + h * along, rows, label) - loss(at - h * along, rows, label)) / (2 * h)

    def bent(at: Array, a: Array, b: Array, rows: Array, label: Array, h: float = 1e-3) -> float:
        return (slope(at + h * a, b, rows, label, h) - slope(at - h * a, b, rows, label, h)) / (
            2 * h
        )

    unit = np.eye(theta.size)
    assert max(abs(slope(fitted, e, X, y)) for e in unit) < 1e-7
    information = np.array([[bent(fitted, a, b, X, y) for a in unit] for b in unit])
    hessian = np.array([[bent(fitted, a, b, X_test, y_test) for a in unit] for b in unit])
    inverse = np.linalg.inv(information)
    root = np.linalg.cholesky(inverse)
    h = 1e-2
    skew = np.array(
        [
            sum(
                slope(fitted + h * c, e, X, y, h)
                + slope(fitted - h * c, e, X, y, h)
                - 2 * slope(fitted, e, X, y, h)
                for c in root.T
            )
            / h**2
            for e in unit
        ]
    )
    bias = -0.5 * inverse @ skew
    expected = 0.5 * np.trace(hessian @ inverse) + sum(
        slope(fitted, e, X_test, y_test) * b for e, b in zip(unit, bias, strict=True)
    )
    found = law.law_of(family, fitted, X, X_test, y_test)
    assert found.kappa == pytest.approx(family.scale * expected, rel=2e-3)
    assert found.loss == pytest.approx(family.scale * loss(fitted, X_test, y_test), rel=1e-12)
    on_real = law.law_of(family, fitted, X, X, y)
    assert on_real.kappa == pytest.approx(family.scale * theta.size / 2, rel=1e-6)


def test_rows_in_blocks_are_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    family, theta = FAMILIES["four classes"]
    X, rng = design(300, 3), np.random.default_rng(1)
    y = labels(family, X @ theta.reshape(3, -1).T, rng)
    whole = law.law_of(family, theta, X, X[:90], y[:90])
    fitted = law.newton(family, X, y, np.zeros(theta.size))
    assert fitted is not None
    monkeypatch.setattr(law, "BLOCK", 37)
    parts = law.law_of(family, theta, X, X[:90], y[:90])
    assert parts.kappa == pytest.approx(whole.kappa, rel=1e-12)
    assert parts.each == pytest.approx(whole.each, rel=1e-12)
    # from a fit to every eighth row, and where these have none
    for size in (37, 2):
        monkeypatch.setattr(law, "BLOCK", size)
        again = law.newton(family, X, y, np.zeros(theta.size))
        assert again is not None
        np.testing.assert_allclose(again, fitted, rtol=1e-9)


def test_newton_reaches_the_model_s_fit_and_tells_separation() -> None:
    X = design(200, 4)
    y = (np.random.default_rng(4).random(200) < 0.5).astype(float)
    found = law.newton(law.Classes(1), X, y, np.zeros(3))
    assert found is not None
    np.testing.assert_allclose(found, models.LogisticRegression(X, y=y).truth, rtol=1e-8)
    assert law.newton(law.Classes(1), X, (X[:, 1] > 0).astype(float), np.zeros(3)) is None


def test_least_squares_obeys_the_law_exactly() -> None:
    X, X_test, rng = design(40, 5), design(30, 6), np.random.default_rng(5)
    y, y_test = (
        X @ [1, 2, 3] + rng.standard_normal(40),
        X_test @ [1, 2, 3] + rng.standard_normal(30),
    )
    model = models.LinearRegression(X, y=y, test=(X_test, y_test))
    plan = workflows.discard(6)
    risk = collapse.simulate(plan, model=model, replications=40_000, rng=1, quantiles=(0.05, 0.95))
    found = law.law_of(law.Normal(model.sigma**2), model.truth, X, X_test, y_test)
    C = derive(plan).risk
    assert_agree(risk.risk[1:], risk.risk_stderr[1:], found.mean(C)[1:], detects=0.06)
    # quantiles of 40,000 simulated and 2,000 drawn runs: a per cent of probability is 5 standard
    # errors of the first, 2 of the second
    np.testing.assert_allclose(found.band(C, (0.05, 0.95), 0), risk.quantiles, rtol=0.05)


# --- against brute force --------------------------------------------------------------------------


def diabetes(task: str) -> pd.DataFrame:
    frame = load_diabetes(as_frame=True).frame
    return (
        frame.assign(target=np.where(frame["target"] > 100, "high", "low"))
        if task == "binary"
        else frame
    )


def alcohol() -> pd.DataFrame:
    return load_wine(as_frame=True).frame.drop(columns="target")


SETS = {
    "diabetes, two classes": (lambda: diabetes("binary"), "target", "augment"),
    "diabetes, continuous": (lambda: diabetes("continuous"), "target", "discard"),
    "wine, alcohol": (alcohol, "alcohol", "fixed_real_share(share=1/4)"),
}


def chain(made: Any, workflow: str, G: int, rng: np.random.Generator) -> float:
    """Test loss of fit G of one run by scikit-learn, on stacked rows with weights."""
    X, y, X_test, y_test = made.X[:, 1:], made.y, made.X_test[:, 1:], made.y_test
    binary = bool(made.classes)
    batches, fit, sigma = [y], None, 0.0
    for g in range(G):
        if g:
            assert fit is not None
            drawn = (
                (rng.random(len(y)) < fit.predict_proba(X)[:, 1]).astype(float)
                if binary
                else fit.predict(X) + sigma * rng.standard_normal(len(y))
            )
            batches.append(drawn)
        use = {"augment": batches, "discard": batches[-1:]}.get(
            workflow, [batches[0], batches[-1]] if g else batches
        )
        weight = np.repeat(
            [0.25, 0.75] if len(use) == 2 and workflow.startswith("fixed") else np.ones(len(use)),
            len(y),
        )
        estimator = (
            LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
            if binary
            else LinearRegression()
        )
        fit = estimator.fit(np.tile(X, (len(use), 1)), np.concatenate(use), sample_weight=weight)
        if not g and not binary:
            sigma = float(np.sqrt(((y - fit.predict(X)) ** 2).sum() / (len(y) - X.shape[1] - 1)))
    if binary:
        share = fit.predict_proba(X_test)[:, 1]
        return float(-np.log(np.where(y_test == 1, share, 1 - share)).mean())
    return float(((fit.predict(X_test) - y_test) ** 2).mean())


@pytest.mark.parametrize("name", SETS)
def test_brute_force_lies_in_the_band(name: str) -> None:
    make, target, workflow = SETS[name]
    frame, G, runs = make(), 4, 60
    answer = collapse.forecast(frame, target, workflow, G, against=[], budget=20, rng=3).document
    row = answer["workflows"][0]
    rng = np.random.default_rng(8)
    made = prepare(frame, target, seed=3)
    losses = np.array([chain(made, workflow, G, rng) for _ in range(runs)])
    assert chain(made, workflow, 1, rng) == pytest.approx(answer["first"]["loss"], rel=1e-5)
    # the mean, in its own standard errors and the forecast's (normal approximation): false alarm
    # 1e-6
    error = np.hypot(losses.std(ddof=1) / np.sqrt(runs), row["stderr"][-1])
    assert abs(losses.mean() - row["simulated"][-1]) < 4.9 * error
    # the band of nine tenths: so few or fewer inside would come once in a million if it were one
    inside = int(
        ((losses >= row["simulated_low"][-1]) & (losses <= row["simulated_high"][-1])).sum()
    )
    assert bdtr(inside, runs, 0.87) > FALSE_ALARM
    # a forecast of the other extreme would be found out
    other = collapse.forecast(
        frame,
        target,
        "discard" if workflow != "discard" else "augment",
        G,
        against=[],
        budget=20,
        rng=3,
    )
    wrong = other.document["workflows"][0]
    assert abs(losses.mean() - wrong["simulated"][-1]) > 4.9 * np.hypot(error, wrong["stderr"][-1])


# --- answers --------------------------------------------------------------------------------------

KEYS = {
    "collapse": None,
    "format": None,
    "seed": None,
    "versions": None,
    "data": {
        "source",
        "target",
        "rows",
        "unlabelled",
        "real_rows",
        "test_rows",
        "features",
        "columns",
        "classes",
        "rare",
        "notes",
    },
    "task": {"name", "guessed"},
    "model": {"name", "estimator", "fallback", "separating", "coefficients", "loss"},
    "settings": {
        "workflow",
        "generations",
        "real_share",
        "against",
        "test_share",
        "test_file",
        "worse",
        "budget",
        "band",
        "labels",
        "threshold",
        "pool",
        "outsider",
    },
    "simulation": {"replications", "rows", "subsample", "why", "error"},
    "first": {"loss", "stderr", "kappa", "constant", "gain", "gain_stderr", "real"},
    "ratio": {"derived", "low", "high", "simulated", "stderr", "simulated_low", "simulated_high"},
    "workflows": None,
    "answers": None,
    "warnings": None,
}
ROW = {
    *(
        "name",
        "family",
        "asked",
        "ratio",
        "reference",
        "worth",
        "rows_read",
        "rows_stored",
        "derived",
        "derived_low",
        "derived_high",
        "simulated",
    ),
    *(
        "stderr",
        "simulated_low",
        "simulated_median",
        "simulated_high",
        "failed",
        "lost",
        "worse",
        "worse_why",
    ),
}
WORSE = {
    "derived",
    "derived_earliest",
    "derived_latest",
    "simulated",
    "simulated_earliest",
    "simulated_latest",
}


def check_schema(document: dict[str, Any]) -> None:
    assert set(document) == set(KEYS)
    for key, inside in KEYS.items():
        assert inside is None or set(document[key]) == inside, key
    G = document["settings"]["generations"]
    for row in document["workflows"]:
        assert set(row) == ROW
        assert set(row["worse"]) == set(row["worse_why"]) == WORSE
        for key in WORSE:  # a generation, or a reason why there is none
            assert (row["worse"][key] is None) == isinstance(row["worse_why"][key], str), key
        assert all(
            row[key] is None or len(row[key]) == G
            for key in ROW
            if "derived" in key or "simulated" in key or key in ("ratio", "stderr")
        )
    assert json.loads(json.dumps(document, allow_nan=False)) == document


TASKS = [
    ("continuous", "linear regression"),
    ("binary", "logistic regression"),
    ("multiclass", "multinomial logistic regression"),
    ("counts", "Poisson regression"),
]


@pytest.mark.parametrize(("task", "model"), TASKS)
def test_each_task(task: str, model: str) -> None:
    answer = collapse.forecast(
        table(400, task=task), "y", "discard", 4, against=["augment"], budget=6, rng=1
    )
    document = answer.document
    check_schema(document)
    assert document["task"] == {"name": task, "guessed": True}
    assert (document["model"]["name"], document["model"]["fallback"]) == (model, None)
    assert document["ratio"]["derived"] == [1, 2, 3, 4]
    assert [row["name"] for row in document["workflows"]] == ["discard", "augment"]
    discard, augment = document["workflows"]
    assert augment["worth"][-1] == pytest.approx(1000 / (1 + 1 / 4 + 1 / 9 + 1 / 16))
    assert (discard["rows_stored"], augment["rows_stored"]) == (
        0,
        3 * document["data"]["real_rows"],
    )
    first, kappa, n = (
        document["first"]["loss"],
        document["first"]["kappa"],
        document["data"]["real_rows"],
    )
    assert discard["derived"] == pytest.approx([first + k * kappa / n for k in range(4)])
    # to find a rise of the wrong size; the formula itself is held against finite differences above
    for row in (discard, augment):
        assert_agree(
            row["simulated"][-1] - first,
            row["stderr"][-1],
            row["derived"][-1] - first,
            detects=2.5,
            allowance=0.2,
        )
        assert row["simulated_low"][-1] < row["simulated"][-1] < row["simulated_high"][-1]
    ratio = document["ratio"]
    assert_agree(
        ratio["simulated"][1:], ratio["stderr"][1:], ratio["derived"][1:], detects=1, allowance=0.15
    )


def test_the_report_needs_nothing_else(tmp_path: Path) -> None:
    answer = collapse.forecast(table(100, task="binary").assign(note="<b>"), "y", **FAST)
    page = answer.save_html(tmp_path / "report.html").read_text()
    assert (
        page.count("data:image/png;base64,") == 12
    )  # three figures, wide and narrow, light and dark
    assert not re.search(r'(src|href|srcset)="(?!data:)', page)
    assert "<b>" not in page
    text = page.replace("\u00a0", " ").replace("&#39;", "&#x27;").replace("&#34;", "&quot;")
    for sentence in [*answer.sentences, *answer.warnings, *answer.document["data"]["notes"]]:
        assert html.escape(sentence) in text


def test_ten_rows() -> None:
    for task in ("continuous", "binary"):
        answer = collapse.forecast(table(10, seed=4, task=task), "y", **FAST)
        check_schema(answer.document)
        assert any("10 rows are very few" in sentence for sentence in answer.warnings)
        assert any("has a standard error" in sentence for sentence in answer.warnings)


# --- the first loss, and whether there is an estimate: from all rows ------------------------------


def mixed(kind: str, rows: int, seed: int) -> pd.DataFrame:
    """Numbers, texts, truth values, holes; a target of some kind that depends on them."""
    rng = np.random.default_rng([seed, rows])
    town = rng.choice(["Bonn", "Graz", "Oslo", "Pisa"], rows, p=[0.4, 0.3, 0.2, 0.1])
    frame = pd.DataFrame(
        {"size": rng.lognormal(1, 0.5, rows).round(2), "age": rng.integers(18, 80, rows)}
    )
    frame["member"] = rng.random(rows) < 0.4
    frame["town"] = town
    score = 0.3 * (frame["size"] - 3) + 0.5 * frame["member"] + 0.4 * (town == "Graz")
    frame.loc[rng.random(rows) < 0.1, "size"] = np.nan
    frame.loc[rng.random(rows) < 0.05, "town"] = None
    if kind == "continuous":
        frame["y"] = 1000 * score + 500 * rng.standard_normal(rows)
    elif kind == "counts":
        frame["y"] = rng.poisson(np.exp(0.5 + 0.5 * score))
    else:
        classes = {"binary": 2, "multiclass": 4}[kind]
        cut = np.linspace(0, 1, classes) if classes == 2 else np.arange(classes - 1) - 1
        frame["y"] = np.array(list("abcd"))[
            (score.to_numpy()[:, None] + rng.logistic(size=(rows, 1)) > cut[: classes - 1]).sum(
                axis=1
            )
        ]
    return frame


def first_losses(made: Any) -> float:
    """Test loss of the unpenalised fit of scikit-learn or statsmodels to the same rows."""
    X, y, X_test, y_test = made.X, made.y, made.X_test, made.y_test
    if made.task == "continuous":
        return float(
            ((LinearRegression().fit(X[:, 1:], y).predict(X_test[:, 1:]) - y_test) ** 2).mean()
        )
    if made.task == "counts":
        fit = PoissonRegressor(alpha=0, solver="newton-cholesky", tol=1e-12).fit(X[:, 1:], y)
        mean = fit.predict(X_test[:, 1:])
        return float(
            (y_test * np.log(np.where(y_test > 0, y_test, 1) / mean) - y_test + mean).mean()
        )
    logit = sm.MNLogit(y, X).fit(method="newton", disp=False, maxiter=50, tol=1e-14)
    share = logit.predict(X_test)[np.arange(len(y_test)), y_test.astype(int)]
    return float(-np.log(share).mean())


@pytest.mark.parametrize("seed", range(10))
def test_the_first_loss_is_that_of_other_libraries_on_all_rows(seed: int) -> None:
    kind = ("binary", "multiclass", "counts", "continuous")[seed % 4]
    frame = mixed(kind, 300 + 250 * seed, seed)
    # so small a budget has room for a part of the rows alone
    answer = collapse.forecast(frame, "y", "discard", 3, against=[], budget=1e-3, rng=seed).document
    assert answer["model"]["estimator"] == "maximum likelihood"
    assert answer["task"]["name"] == kind
    assert answer["first"]["loss"] == pytest.approx(
        first_losses(prepare(frame, "y", seed=seed)), rel=1e-6
    )
    assert answer["workflows"][0]["derived"][0] == answer["first"]["loss"]


def paid(seed: int) -> pd.DataFrame:
    """One class of three pays its amount in full: two columns together tell it from the others, on
    the border of all."""
    r = np.random.default_rng(seed)
    n = 6000
    y = np.array(["current"] * n, object)
    y[:400], y[400:460] = "paid", "late"
    amount = r.exponential(10, n)
    part = np.where(y == "paid", amount, amount * r.random(n))
    noise = (0.01 * r.random(n)).round(4)
    return pd.DataFrame({"amount": amount.round(2), "paid": part.round(2), "z": noise, "y": y})


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_that_runs_away_is_none_and_the_columns_are_named(seed: int) -> None:
    answer = collapse.forecast(paid(seed), "y", "augment", 5, budget=0.3, against=["discard"])
    document = answer.document
    check_schema(document)
    assert document["model"]["separating"] == ["amount", "paid"]
    said = (
        "no maximum-likelihood estimate exists: columns 'amount' and 'paid' together separate class"
        " 'paid' from the others"
    )
    assert said in document["model"]["fallback"]
    assert any(said in sentence for sentence in answer.warnings)
    made = prepare(paid(seed), "y")
    share = (
        LogisticRegression(C=1.0, solver="newton-cg", tol=1e-10)
        .fit(made.X[:, 1:], made.y)
        .predict_proba(made.X_test[:, 1:])
    )
    assert document["first"]["loss"] == pytest.approx(
        -np.log(share[np.arange(len(share)), made.y_test.astype(int)]).mean(), rel=1e-6
    )
    # the budget has no room for ridge on all rows, and a part would be another fit
    assert document["simulation"]["replications"] == 0
    assert "nominal seconds, and the budget is 0.3" in document["simulation"]["why"]
    assert any("is not known" in sentence for sentence in answer.sentences)
    assert document["workflows"][0]["simulated"] is None
    assert document["workflows"][0]["worse_why"]["derived"].startswith("not computed")


def test_ridge_is_simulated_on_all_rows_for_as_many_workflows_as_the_budget_allows() -> None:
    frame = paid(1)
    answer = collapse.forecast(
        frame, "y", "augment", 3, budget=0.4, against=["discard", "window(k=2)"]
    )
    document = answer.document
    check_schema(document)
    assert document["simulation"]["rows"] == document["data"]["real_rows"]
    assert [row["simulated"] is None for row in document["workflows"]] == [False, True, True]
    assert document["workflows"][0]["simulated"][0] == pytest.approx(
        document["first"]["loss"], rel=1e-6
    )
    assert any(
        "Not simulated" in sentence and "discard, window(k=2)" in sentence
        for sentence in answer.warnings
    )
    assert any(
        "None of the workflows compared whose loss is known does better" in sentence
        for sentence in answer.sentences
    )
    for sentence in answer.sentences:
        assert "discard" not in sentence


def test_a_level_that_a_part_of_the_rows_lacks() -> None:
    r = np.random.default_rng(0)
    n = 6000
    frame = pd.DataFrame({"x": r.normal(size=n), "flag": "no", "y": r.choice(list("abc"), n)})
    rows = [10, 2000, 4000]
    frame.loc[rows, "flag"], frame.loc[rows, "y"] = "yes", list("abc")
    answer = collapse.forecast(frame, "y", budget=1)
    document = answer.document
    check_schema(document)
    assert document["model"]["estimator"] == "maximum likelihood"
    assert document["workflows"][0]["derived"] is not None
    assert document["workflows"][0]["failed"] is None
    assert any(
        "has no maximum-likelihood estimate of its own" in sentence for sentence in answer.warnings
    )
    assert any("'yes' of 'flag' (3 rows)" in sentence for sentence in answer.warnings)
    assert any("does not beat the constant" in sentence for sentence in answer.warnings)


def test_the_first_loss_of_a_separated_table_is_that_of_all_rows() -> None:
    r = np.random.default_rng(0)
    X, y = r.normal(size=(4000, 100)), r.choice(list("abc"), 4000)
    X[:, 0] = (r.random(4000) < 0.02) * (y != "a")
    frame = pd.DataFrame(X).rename(columns="x{}".format).assign(y=y)
    document = collapse.forecast(frame, "y", "augment", 10, budget=5, against=["discard"]).document
    assert document["first"]["loss"] == pytest.approx(1.127, abs=5e-4)
    assert document["model"]["separating"] == ["x0"]
    assert document["first"]["gain"] < 0


def test_labels_that_are_all_but_separated_have_no_estimate_to_go_on() -> None:
    """Two labels on the wrong side, by a hair: the estimate exists, and is a million."""
    x = np.concatenate([np.linspace(-1, -0.01, 100), np.linspace(0.01, 1, 100)])
    frame = pd.DataFrame({"x": x, "y": np.where(x > 0, "yes", "no")})
    frame.loc[99, "x"], frame.loc[100, "x"] = 1e-7, -1e-7
    answer = collapse.forecast(pd.concat([frame] * 3), "y", **FAST)
    document = answer.document
    check_schema(document)
    assert document["model"]["estimator"] == "ridge"
    assert (
        "the labels hardly determine the maximum-likelihood estimate"
        in document["model"]["fallback"]
    )
    assert document["workflows"][0]["derived"] is None
    assert 0 < document["first"]["loss"] < 1


def test_rows_that_count_nothing_are_named() -> None:
    frame = table(300, task="counts")
    frame["shut"] = np.random.default_rng(1).random(300) < 0.1
    frame.loc[frame["shut"], "y"] = 0
    answer = collapse.forecast(frame, "y", task="counts", **FAST)
    assert (
        "column 'shut_True' marks rows whose counts are all zero"
        in answer.document["model"]["fallback"]
    )


def test_what_a_part_of_the_rows_loses_is_not_said_of_all() -> None:
    """On the part that the budget allows runs lose their estimate; on all rows they may not."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.standard_normal((5000, 4))).rename(columns="x{}".format)
    frame["y"] = np.where(rng.random(5000) < 0.03, "yes", "no")
    answer = collapse.forecast(frame, "y", "discard", 12, against=["augment"], budget=0.05, rng=1)
    document = answer.document
    check_schema(document)
    discard, augment = document["workflows"]
    assert document["simulation"]["rows"] == 500
    assert discard["simulated"] is None
    assert "some runs lost their estimate" in discard["worse_why"]["simulated"]
    assert augment["simulated"] is not None
    assert discard["failed"] is augment["failed"] is None
    assert not any("have no estimate any more" in sentence for sentence in answer.warnings)
    assert any(
        "derived curve and band under discard cannot be trusted" in sentence
        for sentence in answer.warnings
    )


def test_a_fit_that_does_not_end_leaves_the_derived_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def singular(*_: Any, **__: Any) -> Any:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(Trial, "run", singular)
    document = collapse.forecast(table(task="binary"), "y", **FAST).document
    check_schema(document)
    assert document["simulation"]["why"] == "the fit of some run did not end"
    assert document["workflows"][0]["derived"] is not None


def test_a_workflow_that_the_rows_do_not_allow_is_derived_alone() -> None:
    answer = collapse.forecast(
        table(100), "y", "discard", 3, against=["augment(size=1/3)"], budget=0.5
    )
    discard, augment = answer.document["workflows"]
    assert discard["simulated"] is not None
    assert augment["simulated"] is None
    assert augment["derived"] is not None
    assert any(
        "augment(size=1/3): batch 2 would have 23.3333 rows" in sentence
        for sentence in answer.warnings
    )


# --- bands, and models that tell nothing ----------------------------------------------------------


def rare_levels(seed: int, rows: int = 1500) -> pd.DataFrame:
    """Sixty rows a coefficient on average, and a dozen towns with five rows each."""
    rng = np.random.default_rng(seed)
    town = np.array(["large"] * rows, object)
    town[:84] = [f"small {k % 12}" for k in range(84)]
    x = rng.standard_normal((rows, 3))
    frame = pd.DataFrame(x).rename(columns="x{}".format).assign(town=town)
    frame["y"] = rng.poisson(np.exp(1 + 0.3 * x[:, 0]))
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def test_a_band_that_few_rows_of_a_level_carry_is_not_trusted() -> None:
    frame, G, runs = rare_levels(2), 6, 40
    answer = collapse.forecast(
        frame, "y", "discard", G, against=["augment"], budget=0.3, rng=4, task="counts"
    )
    document = answer.document
    assert document["simulation"]["rows"] < document["data"]["real_rows"]
    assert {entry["column"] for entry in document["data"]["rare"]} == {"town"}
    assert len(document["data"]["rare"]) == 12
    assert any(
        "of 'town'" in sentence and "Few real rows have the levels" in sentence
        for sentence in answer.warnings
    )
    assert any(
        "derived curve and band under discard cannot be trusted" in sentence
        for sentence in answer.warnings
    )
    # a plain loop leaves the derived band under discard, and not under augment
    made, rng = prepare(frame, "y", "counts", seed=4), np.random.default_rng(3)
    inside = []
    for row in document["workflows"]:
        count = 0
        for _ in range(runs):
            batches = [made.y]
            for _generation in range(G):
                use = batches if row["name"] == "augment" else batches[-1:]
                fit = PoissonRegressor(alpha=0, solver="newton-cholesky", tol=1e-8)
                fit.fit(made.X[:, 1:], np.mean(use, axis=0))
                batches.append(rng.poisson(fit.predict(made.X[:, 1:])).astype(float))
            mean, y = fit.predict(made.X_test[:, 1:]), made.y_test
            loss = (y * np.log(np.where(y > 0, y, 1) / mean) - y + mean).mean()
            count += row["derived_low"][-1] <= loss <= row["derived_high"][-1]
        inside.append(count)
    # of 40 runs so many or fewer would be inside a true band of nine tenths once in a million
    assert bdtr(inside[0], runs, 0.9) < FALSE_ALARM
    assert bdtr(inside[1], runs, 0.87) > FALSE_ALARM


def test_a_simulation_beside_a_band_that_cannot_be_trusted_is_to_be_believed() -> None:
    frame = rare_levels(2)
    answer = collapse.forecast(
        frame, "y", "discard", 6, against=["augment"], budget=2, task="counts"
    )
    assert answer.document["simulation"]["rows"] == answer.document["data"]["real_rows"]
    said = [text for text in answer.warnings if "band under discard cannot be trusted" in text]
    assert len(said) == 1
    assert said[0].endswith(" Believe the simulated ones.")


def test_bands_of_many_rows_are_not_doubted() -> None:
    answer = collapse.forecast(
        table(8000, task="binary"), "y", "discard", 3, against=[], budget=0.05
    )
    assert answer.document["simulation"]["rows"] < answer.document["data"]["real_rows"]
    assert not any("cannot be trusted" in sentence for sentence in answer.warnings)


@pytest.mark.parametrize("task", ["continuous", "binary", "multiclass", "counts"])
def test_a_model_that_does_not_beat_the_constant_is_said(task: str) -> None:
    frame = table(2000, task=task)
    good = collapse.forecast(frame, "y", **FAST)
    made = prepare(frame, "y")
    share = np.bincount(made.y.astype(int)) / len(made.y) if made.classes else np.empty(0)
    y, mean = made.y_test, made.y.mean()
    constant = {
        "continuous": lambda: ((y - mean) ** 2).mean(),
        "counts": lambda: (y * np.log(np.where(y > 0, y, 1) / mean) - y + mean).mean(),
    }.get(task, lambda: -np.log(share[y.astype(int)]).mean())
    assert good.document["first"]["constant"] == pytest.approx(constant(), rel=1e-9)
    assert good.document["first"]["gain"] == pytest.approx(
        good.document["first"]["constant"] - good.document["first"]["loss"]
    )
    assert not any("does not beat the constant" in sentence for sentence in good.warnings)
    shuffled = frame.assign(y=frame["y"].sample(frac=1, random_state=3).to_numpy())
    useless = collapse.forecast(shuffled, "y", **FAST)
    assert useless.document["first"]["gain"] < 2 * useless.document["first"]["gain_stderr"]
    assert any("does not beat the constant" in sentence for sentence in useless.warnings)


def test_separation_falls_back_on_ridge_and_says_so() -> None:
    frame = table(60, task="binary").assign(y=lambda t: np.where(t["age"] > 40, "old", "young"))
    answer = collapse.forecast(frame, "y", **FAST)
    document = answer.document
    check_schema(document)
    assert document["model"]["estimator"] == "ridge"
    assert (
        "column 'age' separates classes 'old' and 'young', which can be told apart without error"
        in document["model"]["fallback"]
    )
    assert document["model"]["separating"] == ["age"]
    assert any(
        "The model is ridge logistic regression (LogisticRegression(C=1.0)" in sentence
        for sentence in answer.warnings
    )
    assert document["ratio"]["derived"] is None
    assert document["workflows"][0]["derived"] is None
    made = prepare(frame, "y")
    fit = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10).fit(made.X[:, 1:], made.y)
    share = fit.predict_proba(made.X_test[:, 1:])[
        np.arange(len(made.y_test)), made.y_test.astype(int)
    ]
    assert document["first"]["loss"] == pytest.approx(-np.log(share).mean(), rel=1e-6)
    assert document["workflows"][0]["simulated"][0] == pytest.approx(
        document["first"]["loss"], rel=1e-9
    )


def test_more_columns_than_rows() -> None:
    rng = np.random.default_rng(2)
    frame = (
        pd.DataFrame(rng.standard_normal((30, 40)))
        .rename(columns=str)
        .assign(y=rng.standard_normal(30))
    )
    answer = collapse.forecast(frame, "y", **FAST)
    assert "the design has 41 columns for 21 rows" in answer.document["model"]["fallback"]
    assert any(
        "The model is ridge regression (Ridge(alpha=1.0)" in sentence
        for sentence in answer.warnings
    )


def test_a_target_without_noise_falls_back() -> None:
    answer = collapse.forecast(
        table(40).assign(y=lambda t: 0.5 * t["age"] - t["height"]), "y", **FAST
    )
    assert "without error" in answer.document["model"]["fallback"]


def test_runs_without_an_estimate_are_counted() -> None:
    frame = table(40, seed=1, task="binary")
    answer = collapse.forecast(frame, "y", "discard", 12, against=[], budget=3)
    document = answer.document
    check_schema(document)
    failed = document["workflows"][0]["failed"][-1]
    assert failed > 0
    assert document["workflows"][0]["simulated"][-1] is None
    assert any(f"{100 * failed:.3g} % under discard" in sentence for sentence in answer.warnings)
    assert any("its mean does not exist" in sentence for sentence in answer.sentences)


def test_a_large_table_is_fitted_whole_and_simulated_in_part() -> None:
    frame = table(6000, task="binary")
    answer = collapse.forecast(frame, "y", "augment", 4, against=[], budget=0.05, rng=2)
    document = answer.document
    check_schema(document)
    simulation, row, made = (
        document["simulation"],
        document["workflows"][0],
        prepare(frame, "y", seed=2),
    )
    assert simulation["subsample"]
    assert simulation["rows"] < 4200
    assert any(
        f"Simulated on a random part of {simulation['rows']:,} of the 4,200 real rows" in sentence
        for sentence in answer.warnings
    )
    assert row["simulated_low"] is None
    whole = models.LogisticRegression(made.X, y=made.y, test=(made.X_test, made.y_test))
    assert document["first"]["loss"] == pytest.approx(whole.risk(whole.truth[None])[0], rel=1e-9)
    risk = collapse.simulate(workflows.augment(4), model=whole, replications=300, rng=5)
    error = np.hypot(row["stderr"][-1], risk.risk_stderr[-1])
    assert_agree(
        row["simulated"][-1] - row["derived"][0],
        error,
        risk.risk[-1] - risk.risk[0],
        detects=3,
        allowance=0.15,
    )


def test_the_generation_at_which_the_loss_is_worse() -> None:
    answer = collapse.forecast(
        table(300), "y", "discard", 8, against=["augment"], budget=5, worse=0.02
    )
    discard, augment = answer.document["workflows"]
    first, kappa, n = (
        answer.document["first"]["loss"],
        answer.document["first"]["kappa"],
        answer.document["data"]["real_rows"],
    )
    assert discard["worse"]["derived"] == int(np.ceil(0.02 * first * n / kappa - 1e-9)) + 1
    simulated = 1 + next(k for k, value in enumerate(discard["simulated"]) if value >= 1.02 * first)
    assert discard["worse"]["simulated"] == simulated
    assert discard["worse"]["simulated_earliest"] <= simulated
    needed = 1 + 0.02 * first * n / kappa
    assert augment["worse"]["derived"] == (
        None
        if needed > np.pi**2 / 6
        else pytest.approx(np.argmax(derive(workflows.augment(1000)).ratio >= needed) + 1)
    )
    assert any(
        f"2 % worse on average at generation {simulated}" in sentence
        for sentence in answer.sentences
    )


def test_a_null_says_why() -> None:
    frame = table(300)
    answer = collapse.forecast(frame, "y", "augment", 8, against=["discard"], budget=2, worse=0.3)
    first, n = answer.document["first"], answer.document["data"]["real_rows"]
    augment, discard = answer.document["workflows"]
    needed = 1 + 0.3 * first["loss"] * n / first["kappa"]
    limit = "the excess risk is at most 1.645 times that of a fit to all real rows"
    said = f"never, for many rows: {limit}, and {needed:.4g} times is needed"
    assert augment["worse_why"]["derived"] == said
    assert augment["worse_why"]["simulated"] == "not within the 8 generations simulated"
    assert discard["worse"]["derived"] == int(np.ceil(needed))
    assert discard["worse_why"]["derived"] is None
    much = collapse.forecast(frame, "y", "discard", 2, against=[], budget=0.1, worse=100).document
    assert (
        much["workflows"][0]["worse_why"]["derived"]
        == "not within 1,000 generations, for many rows"
    )
    (sentence,) = (sentence for sentence in answer.sentences if "does not become" in sentence)
    assert (
        sentence
        == f"It does not become 30 % worse on average within the 8 generations simulated; {said}."
    )
    assert f"augment: {said}." in report.html(answer)


def test_a_loss_that_falls_never_becomes_worse() -> None:
    """The test set's own best fit may lie where the bias of maximum likelihood leads; kappa is
    negative then."""
    made = law.Law(100, np.ones(50), np.array([0.1]), np.array([0.0]), -1.0, 0.1)
    assert (
        study._never(made, workflows.discard(50), 1.1)
        == "never, for many rows: the loss does not rise on average"
    )


# --- workflows of one's own -----------------------------------------------------------------------


def test_a_workflow_is_a_name_or_a_plan() -> None:
    named = collapse.forecast(
        table(), "y", "window(k=2)", 4, against="discard", budget=0.5
    ).document
    plans = collapse.forecast(
        table(), "y", workflows.window(4, 2), against=[workflows.discard(4)], budget=0.5
    )
    assert plans.document == named
    assert [row["name"] for row in named["workflows"]] == ["window(k=2)", "discard"]
    own = collapse.Plan(
        [0, 1, 2], [1, 1, 1], [[1, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]], name="$\\half$"
    )
    mixed = collapse.forecast(
        table(), "y", own, against=[workflows.reservoir(3), "augment"], budget=0.5
    ).document
    check_schema(mixed)
    half, reservoir, augment = mixed["workflows"]
    assert half["ratio"] == [1, 1.25, 1.3125]
    assert half["worth"] == pytest.approx([1000, 800, 1000 / 1.3125])
    assert reservoir["ratio"] == pytest.approx(derive(workflows.reservoir(3)).ratio.tolist())
    assert augment["ratio"] == pytest.approx([1, 5 / 4, 49 / 36])
    # nothing tells how a plan of one's own goes on
    assert half["worse_why"]["derived"] == "not within 3 generations, for many rows"
    other = collapse.Plan([0, 1, 2], [1, 1, 1], np.eye(3), name="$\\half$")
    with pytest.raises(ValueError, match="two different workflows are called"):
        collapse.forecast(table(), "y", own, against=[other])


def test_new_real_rows_are_derived_alone_and_simulated_where_the_truth_is_known() -> None:
    answer = collapse.forecast(table(), "y", "fresh_real", 8, against=["augment"])
    check_schema(answer.document)
    row, first = answer.workflows[0], answer.first
    C = derive(workflows.fresh_real(8)).ratio
    assert first.kappa is not None
    assert row.derived is not None
    np.testing.assert_allclose(
        row.derived, first.loss + (C - 1) * first.kappa / answer.data.real_rows
    )
    assert row.derived[-1] < first.loss
    assert row.derived_low is None
    assert row.simulated is None
    assert row.worse_why["derived_latest"] == "not computed: where new real rows lead is not known"
    assert answer.ratio.simulated is not None
    assert answer.ratio.stderr is not None
    assert_agree(answer.ratio.simulated[-1], answer.ratio.stderr[-1], C[-1], detects=1)
    assert any("fresh_real: its new real rows are not in the table" in w for w in answer.warnings)
    assert any("reads real rows that the table has not" in told for told in answer.answers)
    alone = collapse.forecast(table(), "y", workflows.fresh_real(8), against=[])
    assert alone.simulation.replications > 0
    assert not any("Nothing was simulated" in told for told in alone.warnings)


def test_rows_are_worth_what_a_fit_to_all_of_them_would_need() -> None:
    """The first fit of a bootstrap has twice the excess risk of a fit to all real rows: 1,000 are
    worth 500 from the start."""
    row = collapse.forecast(table(), "y", "bootstrap", 3, against=[], budget=0.5).document[
        "workflows"
    ][0]
    assert row["ratio"][0] == 1
    assert row["worth"] == pytest.approx((1000 / derive(workflows.bootstrap(3)).risk).tolist())
    assert row["worth"][0] == pytest.approx(500)


@pytest.mark.parametrize("generations", [2, 3, 4])
def test_a_short_mixture_is_followed_as_far_as_it_goes(generations: int) -> None:
    """Its batches are as many as generations squared: 1,000 generations would not fit."""
    plan = workflows.mixture(generations)
    row = collapse.forecast(table(), "y", plan, against=[], budget=0.5).document["workflows"][0]
    assert row["worth"] == pytest.approx((1000 / derive(plan).ratio).tolist())


def test_real_share_is_short_for_a_workflow() -> None:
    short = collapse.forecast(table(), "y", real_share="1/4", **FAST).document
    long = collapse.forecast(table(), "y", workflow="fixed_real_share(share=1/4)", **FAST).document
    assert short["workflows"] == long["workflows"]
    assert short["settings"]["real_share"] == "1/4"


def test_same_seed_same_numbers() -> None:
    one, two, other = (
        collapse.forecast(table(), "y", rng=seed, **FAST).document for seed in (1, 1, 2)
    )
    assert one == two
    assert one["first"]["loss"] != other["first"]["loss"]


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {
        "generations": 3,
        "against": ["discard"],
        "budget": 0.5,
        "folder": tmp_path,
    }
    real, done = Trial.run, []

    def counted(trial: Trial, *block: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(trial.plan.name)
        return real(trial, *block)

    monkeypatch.setattr(Trial, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        collapse.forecast(table(), "y", **arguments)
    assert done == ["augment", "augment"]
    done.clear()
    resumed = collapse.forecast(table(), "y", **arguments)
    assert done == ["discard"]
    monkeypatch.setattr(Trial, "run", real)
    assert (
        resumed.document
        == collapse.forecast(table(), "y", **(arguments | {"folder": None})).document
    )
    # another table, and another length, are other runs
    done.clear()
    monkeypatch.setattr(Trial, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        collapse.forecast(table(seed=9), "y", **arguments)
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        collapse.forecast(table(), "y", **(arguments | {"generations": 4}))


def test_finished_work_of_other_code_or_a_damaged_file_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = Trial.run, []

    def counted(trial: Trial, *block: Any) -> Any:
        done.append(trial.plan.name)
        return real(trial, *block)

    monkeypatch.setattr(Trial, "run", counted)
    monkeypatch.setattr(keys, "environment", keys.environment.__wrapped__)  # asked for anew
    first = collapse.forecast(table(), "y", folder=tmp_path, **FAST).document
    assert len(done) == 2
    collapse.forecast(table(), "y", folder=tmp_path, **FAST)
    assert len(done) == 2
    files = sorted((tmp_path / "finished").glob("answer-*"))
    files[0].write_text(files[0].read_text()[:-40])
    with pytest.warns(UserWarning, match="is no finished work of this key .*; it is ignored"):
        again = collapse.forecast(table(), "y", folder=tmp_path, **FAST)
    assert again.document == first
    assert len(done) == 3
    # a changed line of the package's code, in any file
    source = disk.package()
    copy = tmp_path / "collapse"
    ignored = shutil.ignore_patterns("__pycache__", "_*")
    shutil.copytree(Path(simulating.__file__).parent, copy, ignore=ignored)
    monkeypatch.setattr(disk, "__file__", str(copy / "disk.py"))
    before = disk.package()
    (copy / "law.py").write_text((copy / "law.py").read_text() + "\n# mended\n")
    assert len({source, before, disk.package()}) == 3
    collapse.forecast(table(), "y", folder=tmp_path, **FAST)
    assert len(done) == 5


def test_progress_is_told_to_a_function_in_replications_of_all_simulations(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    for _ in range(2):  # the second time from what is finished
        told.clear()
        answer = collapse.forecast(table(), "y", folder=tmp_path, progress=tell, **FAST)
        total = 2 * answer.document["simulation"]["replications"]
        assert told == sorted(told)
        assert {all_of for _, all_of in told} == {total}
        assert told[-1] == (total, total)


def test_a_seed_its_sequence_and_a_generator_are_seeds() -> None:
    def asked(seed: Any) -> Any:
        return collapse.forecast(table(), "y", rng=seed, **FAST).document

    assert asked(np.int64(5)) == asked(5)
    assert asked(np.random.SeedSequence(5)) == asked(np.random.SeedSequence(5))
    fresh = asked(None)
    assert asked(fresh["seed"]) == fresh
    drawn = asked(np.random.default_rng(5))
    assert drawn["seed"] == int(np.random.default_rng(5).integers(2**63))


def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, path = collapse.forecast(table(), "y", **FAST), tmp_path / "forecast.json"
    write = Path.write_text

    def half(path: Path, text: str, **options: Any) -> int:
        write(path, text[: len(text) // 2], **options)
        raise KeyboardInterrupt

    risk = collapse.derive(workflows.augment(3))
    for save in (answer.save, answer.save_html, risk.save):
        path.write_text("old")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", half)
            with pytest.raises(KeyboardInterrupt):
                save(path)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]
    link = tmp_path / "link.json"
    link.symlink_to(path)
    path.chmod(0o640)
    assert risk.save(link) == link
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert collapse.Risk.load(path).ratio.tolist() == risk.ratio.tolist()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)
    assert risk.save(pipe) == pipe
    assert pipe.is_fifo()
    assert os.read(end, 2**20) == path.read_bytes()
    os.close(end)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "inside"):
        with pytest.raises(
            ValueError,
            match=r"no folder can be made at .* \(there is a file\); name another folder\.$",
        ):
            collapse.forecast(table(), "y", folder=folder, **FAST)


# --- a limit --------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without pictures, which take long."""
    monkeypatch.setattr(sys.modules["collapse.forecasting.report"], "drawings", lambda answer: {})


@pytest.mark.usefixtures("drawn")
def test_each_workflow_has_a_folder_and_notes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table(80).assign(same=1).to_csv("mine.csv", index=False)
    for workflow in ("augment", "window(k=2)"):
        command = [
            "forecast",
            "mine.csv",
            "--target",
            "y",
            "-g",
            "3",
            "--budget",
            "0.2",
            "--against",
            "discard",
        ]
        assert main([*command, "--workflow", workflow]) == 0
        assert (
            "Note: Column 'same' has one value only and was left out."
            in capsys.readouterr().out.splitlines()
        )
    assert sorted(path.name for path in Path("forecasts").iterdir()) == [
        "mine-y-augment",
        "mine-y-window-k-2",
    ]
    assert main([*command, "--folder", "mine.csv"]) == 2
    assert "collapse: no folder can be made at mine.csv" in capsys.readouterr().err


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    ("limit", "status"),
    [("10%", 0), ("0.1", 0), ("1 %", 1), ("0.01", 1), ("much", 2), ("-1%", 2), ("0", 2)],
)
def test_a_limit_decides_the_exit_status(
    limit: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "mine.csv", tmp_path / "out"
    table(200).to_csv(path, index=False)
    command = [
        "forecast",
        str(path),
        "--target",
        "y",
        "--workflow",
        "discard",
        "-g",
        "4",
        "--budget",
        "0.2",
    ]
    assert (
        main([*command, "--against", "augment", "--folder", str(folder), f"--fail-over={limit}"])
        == status
    )
    said = capsys.readouterr().err.splitlines()[-1]
    if status == 2:
        assert (
            said
            == "collapse: --fail-over must be a share greater than 0, such as 10% or 0.1; it is"
            f" {limit!r}."
        )
        return
    document = collapse.Forecast.load(folder / "forecast.json").document
    assert (folder / "report.html").is_file()
    rise = document["workflows"][0]["derived"][-1] / document["first"]["loss"] - 1
    assert 0.01 < rise < 0.1
    if status:
        assert said.startswith(
            f"collapse: the test loss after 4 generations of discard is {100 * rise:.3g} % above"
            " the first (derived for many rows)"
        )
        assert said.endswith("; the limit is 1 %.")


def test_a_limit_where_no_share_can_be_told() -> None:
    answer = collapse.forecast(table(), "y", "discard", **FAST)
    changed = copy.deepcopy(answer.document)
    changed["first"]["loss"] = 0.0
    said = collapse.Forecast.from_json(changed).exceeds(0.1)
    assert said is not None
    assert said.endswith(
        "cannot be told: the first test loss is 0, and no share of it tells how much the loss may"
        " rise."
    )
    # ridge has nothing derived: the simulated mean decides
    changed = copy.deepcopy(answer.document)
    row = changed["workflows"][0]
    row["derived"], row["simulated"] = None, [1.0, 1.1, 1.5]
    changed["first"]["loss"] = 1.0
    simulated = collapse.Forecast.from_json(changed)
    assert simulated.exceeds(0.6) is None
    assert "is 50 % above the first (simulated): 1.5 after 1; the limit is 10 %." in str(
        simulated.exceeds(0.1)
    )
    row["simulated"], row["failed"] = [1.0, None, None], [0, 0.1, 0.25]
    assert "its mean does not exist: 25 % of the simulated runs have no estimate." in str(
        collapse.Forecast.from_json(changed).exceeds(0.1)
    )
    row["simulated"] = None
    assert str(collapse.Forecast.from_json(changed).exceeds(0.1)).endswith(
        "cannot be told: nothing was derived or simulated."
    )
    with pytest.raises(ValueError, match="limit must be a number"):
        answer.exceeds(0)


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawn")
def test_every_cell_of_the_report_is_escaped() -> None:
    """Any text of a document, also of one that was written by hand, stands in the page as text."""
    document = copy.deepcopy(collapse.forecast(table(task="binary"), "y", **FAST).document)
    evil = "<script>alert('x')</script>"

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: entry if key in ("collapse", "name") and entry in TASK_NAMES else spoil(entry)
                for key, entry in value.items()
            }
        if isinstance(value, list):
            return [spoil(entry) for entry in value]
        return evil if isinstance(value, str) else value

    page = report.html(collapse.Forecast.from_json(spoil(document)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10


@pytest.mark.usefixtures("drawn")
def test_forecasts_of_the_first_format_are_read(tmp_path: Path) -> None:
    document = copy.deepcopy(collapse.forecast(table(), "y", **FAST).document)
    document["format"] = 1
    for key in ("constant", "gain", "gain_stderr"):
        del document["first"][key]
    del document["model"]["separating"], document["simulation"]["why"], document["data"]["rare"]
    for row in document["workflows"]:
        del row["worse_why"]
    path = tmp_path / "forecast.json"
    path.write_text(json.dumps(document))
    old = collapse.Forecast.load(path)
    assert old.save_html(tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert old.exceeds(5) is None
    document["format"] = 4
    path.write_text(json.dumps(document))
    with pytest.raises(
        ValueError,
        match=r"was written by another version of collapse \(schema 4\); this one reads 1 to 3\.",
    ):
        collapse.Forecast.load(path)


def test_the_command_writes_report_and_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "my data.csv", tmp_path / "out"
    table(80).to_csv(path, index=False)
    command = [
        "forecast",
        str(path),
        "--target",
        "y",
        "--workflow",
        "augment",
        "-g",
        "3",
        "--budget",
        "0.5",
        "--against",
        "discard",
        "--folder",
        str(folder),
    ]
    assert main(command) == 0
    said = capsys.readouterr()
    answer = collapse.Forecast.load(folder / "forecast.json")
    assert said.out.splitlines() == [
        *answer.sentences,
        *(f"Caution: {sentence}" for sentence in answer.warnings),
    ]
    assert "simulating augment (2 of 3)" in said.err
    check_schema(answer.document)
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert (
        answer.document
        == forecast_function(path, "y", "augment", 3, against=["discard"], budget=0.5).document
    )
    assert repr(answer) == "<Forecast of y in my data.csv: augment, 3 generations>"


def test_load_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("no")
    with pytest.raises(ValueError, match="holds no saved Forecast"):
        collapse.Forecast.load(tmp_path / "a.json")
    with pytest.raises(ValueError, match="is not JSON"):
        collapse.Forecast.load(tmp_path / "b.json")


def test_counts_that_spread_too_much_are_called_out() -> None:
    rng = np.random.default_rng(6)
    frame = table(300).assign(y=rng.negative_binomial(1, 0.2, 300))
    answer = collapse.forecast(frame, "y", task="counts", **FAST)
    assert any(
        "times as much as a Poisson law allows: labels drawn by the model are less noisy"
        in sentence
        for sentence in answer.warnings
    )
    made = prepare(frame, "y", "counts")
    fit = PoissonRegressor(alpha=0, solver="newton-cholesky", tol=1e-10).fit(made.X[:, 1:], made.y)
    mean, y = fit.predict(made.X_test[:, 1:]), made.y_test
    deviance = 2 * (y * np.log(np.where(y > 0, y, 1) / mean) - (y - mean))
    assert answer.document["first"]["loss"] == pytest.approx(deviance.mean() / 2, rel=1e-6)


def test_reports_in_one_folder_do_not_replace_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same forecast again is written in its place, another one beside it."""
    path, folder = tmp_path / "mine.csv", tmp_path / "out"
    table(200).to_csv(path, index=False)

    def run(workflow: str) -> None:
        named = ["--target", "y", "--folder", str(folder), "-g", "3", "--budget", "0.1"]
        given = ["--workflow", workflow, "--against", "augment"]
        assert main(["forecast", str(path), *named, *given]) == 0

    def found() -> list[str]:
        return sorted(file.name for file in folder.iterdir() if file.suffix in (".html", ".json"))

    run("discard")
    first = (folder / "forecast.json").read_text()
    run("discard")
    assert found() == ["forecast.json", "report.html"]
    run("window(k=2)")
    beside = "mine.csv-y-window-k-2"
    assert found() == [
        f"forecast-{beside}.json", "forecast.json", f"report-{beside}.html", "report.html"
    ]  # fmt: skip
    assert (folder / "forecast.json").read_text() == first
    later = collapse.Forecast.load(folder / f"forecast-{beside}.json")
    assert later.document["settings"]["workflow"] == "window(k=2)"
    (folder / "forecast.json").write_text("something of mine")
    run("discard")
    assert (folder / "forecast.json").read_text() == "something of mine"
    assert "is no forecast, and is left as it is" in capsys.readouterr().err
