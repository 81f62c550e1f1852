"""A user's own table: what is read, refused, guessed, fitted, derived, simulated and written."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import bdtr
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor

import collapse
from collapse import derive, law, models, workflows
from collapse import forecast as forecast_function
from collapse.cli import main
from collapse.table import prepare, read
from tests.statistics import FALSE_ALARM, assert_agree

Array = NDArray[np.float64]
FAST: dict[str, Any] = {"generations": 3, "against": [], "budget": 0.5}


def table(rows: int = 120, seed: int = 0, task: str = "continuous") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rng.normal(40, 10, rows).round(1), "height": rng.normal(170, 8, rows).round(1)})
    margin = 0.05 * (frame["age"] - 40) + 0.05 * (frame["height"] - 170)
    frame["y"] = {
        "continuous": lambda: margin + rng.standard_normal(rows),
        "binary": lambda: np.where(rng.random(rows) < 1 / (1 + np.exp(-margin)), "yes", "no"),
        "multiclass": lambda: np.array(["low", "mid", "top"])[np.clip(np.round(margin + rng.standard_normal(rows) + 1), 0, 2).astype(int)],
        "counts": lambda: rng.poisson(np.exp(1.5 + 0.5 * margin)),
    }[task]()
    return frame


# --- files that cannot be used ----------------------------------------------------------------------------------------------------------

GOOD = "a,b,y\n" + "".join(f"{k % 7},{(3 * k) % 11},{(k * k) % 13 + 0.5}\n" for k in range(40))
BAD = {
    "no header": (GOOD.split("\n", 1)[1], "seems to have no header, since its first line holds the number 0"),
    "wrong target": (GOOD.replace("y", "z", 1), "has no column 'y' to be the target; it has a, b, z."),
    "constant target": (
        "a,y\n" + "".join(f"{k},5\n" for k in range(20)),
        "the target 'y' has the one value 5; there is nothing to predict.",
    ),
    "one class": ("a,y\n" + "".join(f"{k},yes\n" for k in range(20)), "the target 'y' has the one value yes; there is nothing to predict."),
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
        "the target 'y' holds numbers and text: row 2 holds 'one'. Leave the cell empty where a value is missing",
    ),
    "no values": ("a,y\n" + "".join(f",{k}.5\n" for k in range(20)), "no column can be used .* Column 'a' has no values and was left out."),
    "no targets": ("a,y\n" + "".join(f"{k},\n" for k in range(20)), "the target 'y' has no values at all."),
    "names": (
        "a,y\n" + "".join(f"{k},name{k}\n" for k in range(80)),
        "has 80 different values, more than the 50 classes .* identifier",
    ),
    "empty": ("", "is empty; it needs a line of column names and rows of values."),
    "header alone": ("a,b,y\n", "has a header and no rows."),
    "target alone": ("y\n1\n2\n", "has no column beside the target 'y'"),
    "three rows": ("a,y\n1,2.5\n2,3.5\n3,5.5\n", "there are 3 rows with a target; a forecast needs at least 4"),
    "ragged": ("a,y\n1,2\n1,2,3\n", "is no table in CSV"),
    "infinite": (GOOD.replace("\n3,", "\ninf,", 1), "column 'a' is infinite in row 4"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_clear_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    table = pd.DataFrame({"age": rng.normal(40, 9, 60).round(2), "town": rng.choice(["Bonn", "Ulm"], 60), "y": rng.integers(0, 2, 60)})
    table.to_csv(tmp_path / "data.csv", index=False)
    table.to_parquet(tmp_path / "data.parquet")
    of_csv, of_parquet = (collapse.forecast(tmp_path / f"data.{kind}", "y", **FAST) for kind in ("csv", "parquet"))
    assert of_csv.document["workflows"] == of_parquet.document["workflows"]
    # without pyarrow the remedy is named
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"needs pyarrow: pip install 'collapse-companion\[parquet\]'"):
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
        ({"workflow": "fresh_real"}, "fresh_real needs several tables of real data"),
        ({"workflow": "ring(models=2)"}, "several models"),
        ({"real_share": "1/4", "workflow": "discard"}, "give either real_share"),
        ({"generations": 0}, "generations"),
        ({"seed": -1}, "seed must be a whole number, at least 0; it is -1."),
        ({"seed": 1.5}, "seed must be"),
        ({"test_share": 1.0}, "test_share must lie strictly between 0 and 1"),
        ({"worse": 0}, "worse"),
        ({"task": "clusters"}, "task must be one of binary, multiclass, counts, continuous; it is 'clusters'."),
        ({"task": "binary"}, "the target 'y' has 120 values, and the task binary needs 2"),
        ({"task": "counts"}, r"must hold counts 0, 1, 2, ... for the task counts; row 1 holds"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collapse.forecast(table(), "y", **(FAST | arguments))


def test_text_for_a_continuous_target_names_the_row() -> None:
    with pytest.raises(ValueError, match=r"must hold numbers for the task continuous; row 1 holds 'no'|row 1 holds 'yes'"):
        collapse.forecast(table(task="binary"), "y", task="continuous", **FAST)


# --- what the table becomes -------------------------------------------------------------------------------------------------------------


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
    assert set(made.columns) == {"(intercept)", "age", "height", "twice", "town_Kyiv", "town_Oslo", "town_Rome", "member_True"}
    assert made.X.shape[0] + made.X_test.shape[0] == 190
    np.testing.assert_allclose(made.X[:, 1:4].mean(axis=0), 0, atol=1e-12)
    # where nothing is missing one column follows from another, and is left out
    full = prepare(frame.loc[30:].drop(columns=["note", "nothing"]), "y")
    assert "1 redundant column of the design, 'twice', follows from the others" in " ".join(full.notes)
    assert np.linalg.matrix_rank(full.X) == full.X.shape[1]
    answer = collapse.forecast(frame, "y", **FAST)
    assert answer.document["data"]["notes"] == list(prepare(frame, "y").notes)


def test_classes_keep_their_shares_and_rare_ones_are_fitted() -> None:
    frame = pd.DataFrame({"x": np.arange(103.0), "y": ["a"] * 60 + ["b"] * 42 + ["c"]})
    made = prepare(frame, "y", test_share=0.3, seed=2)
    assert [int((made.y == k).sum()) for k in range(3)] == [42, 29, 1] or [int((made.y == k).sum()) for k in range(3)] == [42, 30, 1]
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


# --- the law of the test loss -----------------------------------------------------------------------------------------------------------


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
    return rng.poisson(np.exp(mean)).astype(float) if isinstance(family, law.Counts) else mean + 1.3 * rng.standard_normal(len(mean))


@pytest.mark.parametrize("name", FAMILIES)
def test_kappa_by_finite_differences(name: str) -> None:
    """Half the trace of the loss's Hessian in the metric of the information, and the gradient along the bias, from the loss alone."""
    family, theta = FAMILIES[name]
    q, rng = family.outputs, np.random.default_rng(7)
    X, X_test = design(80, 1), design(50, 2)
    y, y_test = (labels(family, rows @ theta.reshape(q, -1).T, rng) for rows in (X, X_test))
    fitted = law.newton(family, X, y, np.zeros(theta.size))
    assert fitted is not None

    def loss(at: Array, rows: Array, label: Array) -> float:
        return float(family.loss(rows @ at.reshape(q, -1).T, label).mean())

    def slope(at: Array, along: Array, rows: Array, label: Array, h: float = 1e-4) -> float:
        return (loss(at + h * along, rows, label) - loss(at - h * along, rows, label)) / (2 * h)

    def bent(at: Array, a: Array, b: Array, rows: Array, label: Array, h: float = 1e-3) -> float:
        return (slope(at + h * a, b, rows, label, h) - slope(at - h * a, b, rows, label, h)) / (2 * h)

    unit = np.eye(theta.size)
    assert max(abs(slope(fitted, e, X, y)) for e in unit) < 1e-7
    information = np.array([[bent(fitted, a, b, X, y) for a in unit] for b in unit])
    hessian = np.array([[bent(fitted, a, b, X_test, y_test) for a in unit] for b in unit])
    inverse = np.linalg.inv(information)
    root = np.linalg.cholesky(inverse)
    h = 1e-2
    skew = np.array(
        [
            sum(slope(fitted + h * c, e, X, y, h) + slope(fitted - h * c, e, X, y, h) - 2 * slope(fitted, e, X, y, h) for c in root.T)
            / h**2
            for e in unit
        ]
    )
    bias = -0.5 * inverse @ skew
    expected = 0.5 * np.trace(hessian @ inverse) + sum(slope(fitted, e, X_test, y_test) * b for e, b in zip(unit, bias, strict=True))
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
    monkeypatch.setattr(law, "BLOCK", 37)
    parts = law.law_of(family, theta, X, X[:90], y[:90])
    assert parts.kappa == pytest.approx(whole.kappa, rel=1e-12)
    assert parts.stderr == pytest.approx(whole.stderr, rel=1e-12)


def test_newton_reaches_the_model_s_fit_and_tells_separation() -> None:
    X = design(200, 4)
    y = (np.random.default_rng(4).random(200) < 0.5).astype(float)
    found = law.newton(law.Classes(1), X, y, np.zeros(3))
    assert found is not None
    np.testing.assert_allclose(found, models.LogisticRegression(X, y=y).truth, rtol=1e-8)
    assert law.newton(law.Classes(1), X, (X[:, 1] > 0).astype(float), np.zeros(3)) is None


def test_least_squares_obeys_the_law_exactly() -> None:
    X, X_test, rng = design(40, 5), design(30, 6), np.random.default_rng(5)
    y, y_test = X @ [1, 2, 3] + rng.standard_normal(40), X_test @ [1, 2, 3] + rng.standard_normal(30)
    model = models.LinearRegression(X, y=y, test=(X_test, y_test))
    plan = workflows.discard(6)
    risk = collapse.simulate(plan, model=model, replications=40_000, rng=1, quantiles=(0.05, 0.95))
    found = law.law_of(law.Normal(model.sigma**2), model.truth, X, X_test, y_test)
    C = derive(plan).risk
    assert_agree(risk.risk[1:], risk.risk_stderr[1:], found.mean(C)[1:], detects=0.06)
    # quantiles of 40,000 simulated and 2,000 drawn runs: a per cent of probability is 5 standard errors of the first, 2 of the second
    np.testing.assert_allclose(found.band(C, (0.05, 0.95), 0), risk.quantiles, rtol=0.05)


# --- against brute force ----------------------------------------------------------------------------------------------------------------


def diabetes(task: str) -> pd.DataFrame:
    frame = load_diabetes(as_frame=True).frame
    return frame.assign(target=np.where(frame["target"] > 100, "high", "low")) if task == "binary" else frame


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
        use = {"augment": batches, "discard": batches[-1:]}.get(workflow, [batches[0], batches[-1]] if g else batches)
        weight = np.repeat([0.25, 0.75] if len(use) == 2 and workflow.startswith("fixed") else np.ones(len(use)), len(y))
        estimator = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8) if binary else LinearRegression()
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
    answer = collapse.forecast(frame, target, workflow, G, against=[], budget=20, seed=3).document
    row = answer["workflows"][0]
    rng = np.random.default_rng(8)
    made = prepare(frame, target, seed=3)
    losses = np.array([chain(made, workflow, G, rng) for _ in range(runs)])
    assert chain(made, workflow, 1, rng) == pytest.approx(answer["first"]["loss"], rel=1e-5)
    # the mean, in its own standard errors and the forecast's (normal approximation): false alarm 1e-6
    error = np.hypot(losses.std(ddof=1) / np.sqrt(runs), row["stderr"][-1])
    assert abs(losses.mean() - row["simulated"][-1]) < 4.9 * error
    # the band of nine tenths: so few or fewer inside would come once in a million if it were one
    inside = int(((losses >= row["simulated_low"][-1]) & (losses <= row["simulated_high"][-1])).sum())
    assert bdtr(inside, runs, 0.87) > FALSE_ALARM
    # a forecast of the other extreme would be found out
    other = collapse.forecast(frame, target, "discard" if workflow != "discard" else "augment", G, against=[], budget=20, seed=3)
    wrong = other.document["workflows"][0]
    assert abs(losses.mean() - wrong["simulated"][-1]) > 4.9 * np.hypot(error, wrong["stderr"][-1])


# --- answers ----------------------------------------------------------------------------------------------------------------------------

KEYS = {
    "collapse": None,
    "format": None,
    "seed": None,
    "versions": None,
    "data": {"source", "target", "rows", "unlabelled", "real_rows", "test_rows", "features", "columns", "classes", "notes"},
    "task": {"name", "guessed"},
    "model": {"name", "estimator", "fallback", "coefficients", "loss"},
    "settings": {
        *("workflow", "generations", "real_share", "against", "test_share", "test_file"),
        *("worse", "budget", "band"),
    },
    "simulation": {"replications", "rows", "subsample"},
    "first": {"loss", "stderr", "kappa"},
    "ratio": {"derived", "low", "high", "simulated", "stderr", "simulated_low", "simulated_high"},
    "workflows": None,
    "answers": None,
    "warnings": None,
}
ROW = {
    *("name", "family", "asked", "ratio", "worth", "rows_read", "rows_stored", "derived", "derived_low", "derived_high", "simulated"),
    *("stderr", "simulated_low", "simulated_median", "simulated_high", "failed", "worse"),
}
WORSE = {"derived", "derived_earliest", "derived_latest", "simulated", "simulated_earliest", "simulated_latest"}


def check_schema(document: dict[str, Any]) -> None:
    assert set(document) == set(KEYS)
    for key, inside in KEYS.items():
        assert inside is None or set(document[key]) == inside, key
    G = document["settings"]["generations"]
    for row in document["workflows"]:
        assert set(row) == ROW
        assert set(row["worse"]) == WORSE
        assert all(
            row[key] is None or len(row[key]) == G for key in ROW if "derived" in key or "simulated" in key or key in ("ratio", "stderr")
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
    answer = collapse.forecast(table(400, task=task), "y", "discard", 4, against=["augment"], budget=6, seed=1)
    document = answer.document
    check_schema(document)
    assert document["task"] == {"name": task, "guessed": True}
    assert (document["model"]["name"], document["model"]["fallback"]) == (model, None)
    assert document["ratio"]["derived"] == [1, 2, 3, 4]
    assert [row["name"] for row in document["workflows"]] == ["discard", "augment"]
    discard, augment = document["workflows"]
    assert augment["worth"][-1] == pytest.approx(1000 / (1 + 1 / 4 + 1 / 9 + 1 / 16))
    assert (discard["rows_stored"], augment["rows_stored"]) == (0, 3 * document["data"]["real_rows"])
    first, kappa, n = document["first"]["loss"], document["first"]["kappa"], document["data"]["real_rows"]
    assert discard["derived"] == pytest.approx([first + k * kappa / n for k in range(4)])
    # to find a rise of the wrong size; the formula itself is held against finite differences above
    for row in (discard, augment):
        assert_agree(row["simulated"][-1] - first, row["stderr"][-1], row["derived"][-1] - first, detects=2.5, allowance=0.2)
        assert row["simulated_low"][-1] < row["simulated"][-1] < row["simulated_high"][-1]
    ratio = document["ratio"]
    assert_agree(ratio["simulated"][1:], ratio["stderr"][1:], ratio["derived"][1:], detects=1, allowance=0.15)


def test_the_report_needs_nothing_else(tmp_path: Path) -> None:
    answer = collapse.forecast(table(100, task="binary").assign(note="<b>"), "y", **FAST)
    page = answer.save_html(tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 12  # three figures, wide and narrow, light and dark
    assert not re.search(r'(src|href|srcset)="(?!data:)', page)
    assert "<b>" not in page
    for sentence in [*answer.sentences, *answer.warnings, *answer.document["data"]["notes"]]:
        assert html.escape(sentence) in page.replace("\u00a0", " ")


def test_ten_rows() -> None:
    for task in ("continuous", "binary"):
        answer = collapse.forecast(table(10, seed=4, task=task), "y", **FAST)
        check_schema(answer.document)
        assert any("10 rows are very few" in sentence for sentence in answer.warnings)
        assert any("has a standard error" in sentence for sentence in answer.warnings)


def test_separation_falls_back_on_ridge_and_says_so() -> None:
    frame = table(60, task="binary").assign(y=lambda t: np.where(t["age"] > 40, "old", "young"))
    answer = collapse.forecast(frame, "y", **FAST)
    document = answer.document
    check_schema(document)
    assert document["model"]["estimator"] == "ridge"
    assert "separation" in document["model"]["fallback"]
    assert any("The model is ridge logistic regression (LogisticRegression(C=1.0)" in sentence for sentence in answer.warnings)
    assert document["ratio"]["derived"] is None
    assert document["workflows"][0]["derived"] is None
    made = prepare(frame, "y")
    fit = LogisticRegression(C=1.0, max_iter=5000).fit(made.X[:, 1:], made.y)
    share = fit.predict_proba(made.X_test[:, 1:])[np.arange(len(made.y_test)), made.y_test.astype(int)]
    assert document["first"]["loss"] == pytest.approx(-np.log(share).mean(), rel=1e-6)
    assert document["workflows"][0]["simulated"][0] == pytest.approx(document["first"]["loss"], rel=1e-9)


def test_more_columns_than_rows() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.standard_normal((30, 40))).rename(columns=str).assign(y=rng.standard_normal(30))
    answer = collapse.forecast(frame, "y", **FAST)
    assert "the design has 41 columns for 21 rows" in answer.document["model"]["fallback"]
    assert any("The model is ridge regression (Ridge(alpha=1.0)" in sentence for sentence in answer.warnings)


def test_a_target_without_noise_falls_back() -> None:
    answer = collapse.forecast(table(40).assign(y=lambda t: 0.5 * t["age"] - t["height"]), "y", **FAST)
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
    answer = collapse.forecast(frame, "y", "augment", 4, against=[], budget=0.05, seed=2)
    document = answer.document
    check_schema(document)
    simulation, row, made = document["simulation"], document["workflows"][0], prepare(frame, "y", seed=2)
    assert simulation["subsample"]
    assert simulation["rows"] < 4200
    assert any(f"Simulated on a random part of {simulation['rows']:,} of the 4,200 real rows" in sentence for sentence in answer.warnings)
    assert row["simulated_low"] is None
    whole = models.LogisticRegression(made.X, y=made.y, test=(made.X_test, made.y_test))
    assert document["first"]["loss"] == pytest.approx(whole.risk(whole.truth[None])[0], rel=1e-9)
    risk = collapse.simulate(workflows.augment(4), model=whole, replications=300, rng=5)
    error = np.hypot(row["stderr"][-1], risk.risk_stderr[-1])
    assert_agree(row["simulated"][-1] - row["derived"][0], error, risk.risk[-1] - risk.risk[0], detects=3, allowance=0.15)


def test_the_generation_at_which_the_loss_is_worse() -> None:
    answer = collapse.forecast(table(300), "y", "discard", 8, against=["augment"], budget=5, worse=0.02)
    discard, augment = answer.document["workflows"]
    first, kappa, n = answer.document["first"]["loss"], answer.document["first"]["kappa"], answer.document["data"]["real_rows"]
    assert discard["worse"]["derived"] == int(np.ceil(0.02 * first * n / kappa - 1e-9)) + 1
    simulated = 1 + next(k for k, value in enumerate(discard["simulated"]) if value >= 1.02 * first)
    assert discard["worse"]["simulated"] == simulated
    assert discard["worse"]["simulated_earliest"] <= simulated
    needed = 1 + 0.02 * first * n / kappa
    assert augment["worse"]["derived"] == (
        None if needed > np.pi**2 / 6 else pytest.approx(np.argmax(derive(workflows.augment(1000)).ratio >= needed) + 1)
    )
    assert any(f"2 % worse on average at generation {simulated}" in sentence for sentence in answer.sentences)


def test_real_share_is_short_for_a_workflow() -> None:
    short = collapse.forecast(table(), "y", real_share="1/4", **FAST).document
    long = collapse.forecast(table(), "y", workflow="fixed_real_share(share=1/4)", **FAST).document
    assert short["workflows"] == long["workflows"]
    assert short["settings"]["real_share"] == "1/4"


def test_same_seed_same_numbers() -> None:
    one, two, other = (collapse.forecast(table(), "y", seed=seed, **FAST).document for seed in (1, 1, 2))
    assert one == two
    assert one["first"]["loss"] != other["first"]["loss"]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"generations": 3, "against": ["discard"], "budget": 0.5, "folder": tmp_path}
    module = __import__("sys").modules["collapse.forecast"]
    real, done = module.simulate, []

    def counted(plan: Any, **options: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(plan.name)
        return real(plan, **options)

    monkeypatch.setattr(module, "simulate", counted)
    with pytest.raises(KeyboardInterrupt):
        collapse.forecast(table(), "y", **arguments)
    assert done == ["augment", "augment"]
    done.clear()
    resumed = collapse.forecast(table(), "y", **arguments)
    assert done == ["discard"]
    monkeypatch.setattr(module, "simulate", real)
    assert resumed.document == collapse.forecast(table(), "y", **(arguments | {"folder": None})).document
    # another table, and another length, are other runs
    done.clear()
    monkeypatch.setattr(module, "simulate", counted)
    with pytest.raises(KeyboardInterrupt):
        collapse.forecast(table(seed=9), "y", **arguments)
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        collapse.forecast(table(), "y", **(arguments | {"generations": 4}))


def test_the_command_writes_report_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert said.out.splitlines() == [*answer.sentences, *(f"Caution: {sentence}" for sentence in answer.warnings)]
    assert "simulating augment (2 of 3)" in said.err
    check_schema(answer.document)
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert answer.document == forecast_function(path, "y", "augment", 3, against=["discard"], budget=0.5).document
    assert repr(answer) == "<Forecast of y in my data.csv: augment, 3 generations>"


def test_load_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("no")
    with pytest.raises(ValueError, match="holds no saved forecast"):
        collapse.Forecast.load(tmp_path / "a.json")
    with pytest.raises(ValueError, match="is not JSON"):
        collapse.Forecast.load(tmp_path / "b.json")


def test_counts_that_spread_too_much_are_called_out() -> None:
    rng = np.random.default_rng(6)
    frame = table(300).assign(y=rng.negative_binomial(1, 0.2, 300))
    answer = collapse.forecast(frame, "y", task="counts", **FAST)
    assert any(
        "times as much as a Poisson law allows: labels drawn by the model are less noisy" in sentence for sentence in answer.warnings
    )
    made = prepare(frame, "y", "counts")
    fit = PoissonRegressor(alpha=0, solver="newton-cholesky", tol=1e-10).fit(made.X[:, 1:], made.y)
    mean, y = fit.predict(made.X_test[:, 1:]), made.y_test
    deviance = 2 * (y * np.log(np.where(y > 0, y, 1) / mean) - (y - mean))
    assert answer.document["first"]["loss"] == pytest.approx(deviance.mean() / 2, rel=1e-6)
