"""Forecasts of what is no regression by maximum likelihood, or whose rows are no draws: estimators,
schedules, outsiders, self-training; and when a simulation stops.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

import collapse
from collapse import models, workflows
from collapse.cli import main
from collapse.forecasting import report, simulating
from collapse.forecasting.estimators import estimator_of
from collapse.forecasting.policies import inherited, scheduled, with_outsider
from collapse.forecasting.table import prepare
from tests.retrained import check, coded, tables
from tests.statistics import assert_agree

Array = NDArray[np.float64]


def wine(target: str = "alcohol") -> pd.DataFrame:
    frame = load_wine(as_frame=True).frame
    if target == "alcohol":
        return frame.drop(columns="target")
    return frame.assign(target=frame["target"].map("cultivar {}".format))


def plain(rows: int = 90, seed: int = 0, classes: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 3))
    share = np.exp(X @ rng.standard_normal((3, classes)) / 2)
    upto = np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    y = (upto < rng.random((rows, 1))).sum(axis=1)
    return pd.DataFrame(X, columns=list("abc")).assign(y=np.array(list("uvw"))[y])


# --- when a simulation stops ----------------------------------------------------------------------


def test_it_stops_at_the_same_runs_wherever_it_runs(tmp_path: Path) -> None:
    def asked(**more: Any) -> dict[str, Any]:
        return collapse.forecast(wine(), "alcohol", "discard", 4, against=[], **more).document

    one = asked()
    assert asked(workers=2) == asked(folder=tmp_path) == asked(folder=tmp_path) == one
    many = one["simulation"]["replications"]
    assert simulating.PILOT < many < 1000
    # so many are what the first hundred say; at that number the error is about what was asked for
    few = asked(budget=1e-9)["simulation"]
    assert few["replications"] == simulating.PILOT
    assert many == int(np.ceil(simulating.PILOT * (few["error"] / simulating.ERROR) ** 2))
    assert 0.7 < one["simulation"]["error"] / simulating.ERROR < 1.3
    row = one["workflows"][0]
    width = row["simulated_high"][-1] - row["simulated_low"][-1]
    assert row["stderr"][-1] / width <= one["simulation"]["error"]


def test_a_budget_buys_precision() -> None:
    kept = [
        collapse.forecast(wine(), "alcohol", "discard", 4, against=[], **more).simulation
        for more in ({"budget": 1e-9}, {}, {"budget": 60})
    ]
    assert [one.replications for one in kept][::2] == [100, 1000]
    assert kept[0].error > kept[1].error > kept[2].error > 0  # type: ignore[operator]


def test_what_is_simulated_twice_is_not_more_than_it_may_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulating, "ERROR", 1e-4)
    monkeypatch.setattr(simulating, "BUDGET", 1.0)
    simulation = collapse.forecast(wine(), "alcohol", "subsample", 20, against=[]).simulation
    most = collapse.forecast(wine(), "alcohol", "subsample", 20, against=[], budget=1.0).simulation
    assert simulation.replications == most.replications - simulating.PILOT > simulating.PILOT


# --- estimators -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "table", "workflow"),
    [
        ("boosting", "iris", "discard"),
        ("forest", "cancer", "augment"),
        ("naive Bayes", "iris", "augment"),
        ("perceptron", "iris", "discard"),
        ("categories", "cancer", "discard"),
    ],
)
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_the_plain_loop_lies_in_the_band(name: str, table: str, workflow: str) -> None:
    check(name, table, workflow, G=3, replications=40, runs=25)


class Seen(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the frames that it is handed."""

    frames: ClassVar[list[pd.DataFrame]] = []

    def fit(self, X: pd.DataFrame, y: Any = None) -> Seen:
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        self.frames.append(X)
        return X.select_dtypes("number").fillna(0)


def test_the_table_reaches_the_estimator_untouched() -> None:
    frame = tables()["cancer"].astype({"smooth": "category"})
    frame.loc[5, "y"] = np.nan
    Seen.frames.clear()
    estimator = make_pipeline(Seen(), LogisticRegression())
    answer = collapse.forecast(frame, "y", "discard", 2, estimator=estimator, against=[])
    made = prepare(frame, "y", untouched=True)
    pd.testing.assert_frame_equal(Seen.frames[0], made.X)
    rows = pd.concat([made.X, made.X_test]).sort_values(list(made.X.columns))
    expected = frame.drop(index=5).drop(columns="y").sort_values(list(made.X.columns))
    pd.testing.assert_frame_equal(
        rows.reset_index(drop=True), expected.reset_index(drop=True), check_dtype=True
    )
    assert made.X.isna().any(axis=None)
    assert answer.data.features == tuple(made.X.columns)


def test_what_is_said_of_an_estimator(tmp_path: Path) -> None:
    answer = collapse.forecast(
        plain(), "y", "augment", 4, estimator=GaussianNB(), against=["discard"], budget=4
    )
    assert answer.model.name == "GaussianNB()"
    assert answer.first.kappa is answer.ratio.derived is answer.workflows[0].derived is None
    for row in answer.workflows:
        plan = workflows.named(row.name, 4)
        np.testing.assert_array_equal(row.reference, collapse.derive(plan).ratio)
        assert row.simulated is not None
        assert row.ratio is row.worth is None
        assert row.worse_why["derived"] is not None
        assert "nothing is derived for an estimator" in row.worse_why["derived"]
    assert answer.sentences[0].startswith("No law is derived for an estimator of scikit-learn")
    assert "would be 1.42 times" in answer.sentences[0]
    loaded = collapse.Forecast.load(answer.save(tmp_path / "forecast.json"))
    assert loaded.document == answer.document
    page = loaded.save_html(tmp_path / "report.html").read_text()
    assert "Nothing is derived for an estimator" in page
    assert "GaussianNB(), of scikit-learn" in page


def test_the_workflow_asked_for_is_simulated_whatever_the_budget() -> None:
    answer = collapse.forecast(
        plain(600), "y", "discard", 3, estimator=GaussianNB(), against=["augment"], budget=1e-3
    )
    asked, other = answer.workflows
    assert (asked.simulated is None, other.simulated is None) == (False, True)
    assert (answer.simulation.replications, answer.simulation.rows) == (20, 420)
    assert "nominal seconds" in str(other.worse_why["simulated"])


def test_a_regressor_and_any_plan() -> None:
    half = Fraction(1, 2)
    weight = [[1, 0, 0], [half, half, 0], [half, 0, half]]
    plan = collapse.Plan([0, 1, 2], [1, 1, 1], weight, name="half real")
    frame = wine()
    answer = collapse.forecast(frame, "alcohol", plan, estimator=LinearRegression(), against=[])
    made = prepare(frame, "alcohol", untouched=True)
    fit = LinearRegression().fit(made.X, made.y)
    loss = float(((fit.predict(made.X_test) - made.y_test) ** 2).mean())
    assert answer.first.loss == pytest.approx(loss)
    # least squares by another way: the law with the noise of in-sample residuals
    known = collapse.forecast(frame, "alcohol", plan, against=[])
    n, p = made.X.shape
    rise = known.workflows[0].last("derived") - known.first.loss
    simulated = answer.workflows[0]
    assert_agree(
        simulated.last("simulated") - answer.first.loss,
        simulated.last("stderr"),
        rise * (n - p - 1) / n,
        detects=6,
        allowance=0.05,
    )


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "regressor": (
        {"estimator": Ridge()},
        "the target is a class, and the estimator is made for the",
    ),
    "no estimator": ({"estimator": 3}, "estimator must be a scikit-learn classifier or regressor"),
    "class": ({"estimator": GaussianNB}, "estimator is the class GaussianNB"),
    "missing": ({"estimator": GaussianNB(), "hole": True}, "GaussianNB cannot be fitted"),
    "na": ({"estimator": GaussianNB(), "na": -9}, "na is for the package's own preparation"),
    "texts": (
        {"estimator": GaussianNB(), "text": True},
        r"OneHotEncoder\(handle_unknown='ignore'\) .*make_column_transformer.*'town' holds texts",
    ),
    "missing values": (
        {"estimator": GaussianNB(), "hole": True},
        "a pipeline whose first step is sklearn.impute.SimpleImputer for such columns",
    ),
    "new real rows of an estimator": (
        {"estimator": GaussianNB(), "workflow": "fresh_real"},
        "fresh_real reads several real batches, and the table is one",
    ),
    "labels": ({"labels": "harder"}, "labels must be one of drawn, hard, soft"),
    "threshold": ({"labels": "hard", "threshold": 0.9}, "threshold and pool go with an estimator"),
    "threshold of 1": (
        {"labels": "hard", "threshold": 1, "estimator": GaussianNB()},
        "threshold must be a probability",
    ),
    "pool": ({"pool": True}, "threshold and pool go with an estimator"),
    "pool of draws": ({"estimator": GaussianNB(), "pool": True}, "pool goes with labels='hard'"),
    "no pool": (
        {"estimator": GaussianNB(), "labels": "hard", "pool": True},
        "no row of data lacks 'y'",
    ),
    "pool without a column": (
        {"estimator": GaussianNB(), "labels": "hard", "pool": plain()[["a", "b"]]},
        "the pool has no column 'c'",
    ),
    "outsider": ({"outsider": (2, 0.1)}, r"outsider must be \(share, excess\)"),
    "outsider of an estimator": (
        {"outsider": (0.5, 0.1), "estimator": GaussianNB()},
        "derived for maximum likelihood and drawn labels",
    ),
    "outsider of a reservoir": (
        {"outsider": (0.5, 0.1), "workflow": "reservoir"},
        "A reservoir's memory has no place",
    ),
    "share": ({"real_share": [0.5, 2]}, "real_share must be a number from 0 to 1"),
    "module": ({"estimator": "GaussianNB"}, "estimator must be written as module:Class"),
    "name": ({"estimator": "sklearn.svm:SVX"}, "sklearn.svm has no 'SVX'"),
    "no module": ({"estimator": "no.where:SVC"}, "the estimator's module no.where cannot be"),
    "no file": ({"estimator": "nowhere.py:SVC"}, "there is no file nowhere.py"),
    "parameters": ({"estimator": "sklearn.svm:SVC(C=yes)"}, "are written as in TOML"),
    "odd parameter": ({"estimator": "sklearn.svm:SVC(no=1)"}, "SVC of sklearn.svm cannot be made"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(name: str) -> None:
    arguments, message = REFUSED[name]
    frame, arguments = plain(), dict(arguments)
    if arguments.pop("hole", False):
        frame.loc[3, "a"] = np.nan
    if arguments.pop("text", False):
        frame["town"] = "here"
    with pytest.raises(ValueError, match=message):
        collapse.forecast(frame, "y", **({"against": [], "generations": 3} | arguments))


def test_an_estimator_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, own = tmp_path / "data.csv", tmp_path / "mine.py"
    plain().to_csv(path, index=False)
    own.write_text(
        "from sklearn.naive_bayes import GaussianNB\n"
        "def smoothed(by):\n    return GaussianNB(var_smoothing=by)\n"
        "made = smoothed(0.1)\n"
    )
    folder = tmp_path / "out"
    command = ["forecast", str(path), "--target", "y", "-g", "2", "--folder", str(folder)]
    command += ["--against", "discard", "--budget", "0.1"]
    assert main([*command, "--estimator", f"{own}:smoothed(by=0.1)"]) == 0
    answer = collapse.Forecast.load(folder / "forecast.json")
    assert answer.model.name == "GaussianNB(var_smoothing=0.1)"
    by_name = "sklearn.naive_bayes:GaussianNB(var_smoothing=0.1)"
    for text in (by_name, f"{own}:made", f"{own}:smoothed(by=0.1)"):
        assert estimator_of(text).get_params() == GaussianNB(var_smoothing=0.1).get_params()
    same = collapse.forecast(
        path, "y", generations=2, estimator=by_name, against=["discard"], budget=0.1
    )
    assert same.document == answer.document
    assert "No law is derived for an estimator" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"made of .* is an estimator already"):
        estimator_of(f"{own}:made(a=1)")


# --- schedules and outsiders ----------------------------------------------------------------------


def test_a_share_for_each_generation() -> None:
    shares = [Fraction(1, 2), Fraction(1, 4), Fraction(0), Fraction(1, 10)]
    C = [Fraction(1)]
    kept = Fraction(1)  # weight of the real batch's noise in the latest fit
    for share in shares:
        # share real + (1 - share) (latest fit + fresh noise)
        rest = 1 - share
        C.append(share**2 + 2 * share * rest * kept + rest**2 * (C[-1] + 1))
        kept = share + rest * kept
    plan = scheduled(list(map(str, shares)))
    assert collapse.derive(plan, exact=True).ratio.tolist() == C
    answer = collapse.forecast(wine(), "alcohol", real_share=["1/2", 0.25, 0, "1/10"], against=[])
    row = answer.workflows[0]
    assert answer.settings.generations == 5
    assert answer.settings.real_share == "1/2, 0.25, 0, 1/10"
    assert row.ratio is not None
    np.testing.assert_allclose(row.ratio, np.array(C, np.float64))
    assert_agree(row.last("simulated"), row.last("stderr"), row.last("derived"), detects=6)


def test_a_share_for_each_generation_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "wine.csv"
    wine().to_csv(path, index=False)
    command = ["forecast", str(path), "--target", "alcohol", "--real-share", "1/2,1/4"]
    folder = tmp_path / "two"
    assert main([*command, "--against", "discard", "--folder", str(folder)]) == 0
    (document,) = folder.glob("forecast*.json")
    assert collapse.Forecast.load(document).settings.generations == 3
    assert main([*command, "-g", "4", "--folder", str(tmp_path)]) == 2
    assert collapse.Forecast.load(document).settings.workflow == "real shares 1/2, 1/4"


@pytest.mark.parametrize("name", ["discard", "augment", "window(k=2)"])
def test_an_outsider_s_rows_in_least_squares(name: str) -> None:
    """Every fit is linear in the noise of the batches, so that its error's mean and covariance are
    matrices; here written out with the batches themselves, outsider's among them."""
    G, share, n = 4, 0.3, 40
    rng = np.random.default_rng(3)
    X, off = rng.standard_normal((n, 3)), np.array([0.3, -0.2, 0.1])
    plan = workflows.named(name, G)
    mixed = with_outsider(plan, share)
    # fits as combinations of the noises of G own batches and G - 1 of the outsider's, and its bias
    fits: list[Array] = []
    batches: list[Array] = []
    noise = np.eye(2 * G)
    for g in range(G):
        batches.append(noise[g] + (fits[-1] if g else 0))
        own = plan.weight[g, : g + 1] @ np.array(batches)
        outside = noise[G + g - 1] + noise[-1] if g else own
        fits.append((1 - share) * own + share * outside if g else own)
    table = np.array(fits)
    # the last column is the bias, the others are noises of fits with covariance (X'X)^-1
    hat, H = np.linalg.inv(X.T @ X), X.T @ X / n
    exact = (table[:, :-1] ** 2).sum(1) * np.trace(H @ hat) + table[:, -1] ** 2 * (off @ H @ off)
    law = collapse.derive(mixed).risk * 3 / n + inherited(mixed, share) ** 2 * (off @ H @ off)
    np.testing.assert_allclose(law, exact, rtol=1e-12)


def test_what_an_outsider_hands_on() -> None:
    G, w = 40, 0.3
    alone = inherited(with_outsider(workflows.discard(G), w), w)
    np.testing.assert_allclose(alone, 1 - (1 - w) ** np.arange(G))
    # the workflow's own share of real rows is one of what the outsider leaves
    anchored = inherited(with_outsider(workflows.fixed_real_share(G, 0.5), w), w)
    real = 0.5 * (1 - w)
    np.testing.assert_allclose(anchored[-1], w / (w + real), rtol=1e-6)


def test_what_an_outsider_costs_is_said_of_the_loss() -> None:
    share, excess, G = 0.2, 0.05, 6
    answer = collapse.forecast(
        wine(), "alcohol", "discard", G, outsider=(share, excess), against=["augment"]
    )
    first, n = answer.first, answer.data.real_rows
    assert first.kappa is not None
    for row in answer.workflows:
        plan = with_outsider(workflows.named(row.name, G), share)
        C = collapse.derive(plan).risk
        bias = excess * inherited(plan, share) ** 2
        assert row.derived is not None
        np.testing.assert_allclose(row.derived, first.loss + (C - 1) * first.kappa / n + bias)
        assert row.simulated is row.derived_low is None
        assert row.worth is not None
        np.testing.assert_allclose(row.worth, 1000 / (C + bias * n / first.kappa))
    # an outsider who errs in nothing is more real rows, one who errs is a bias that stays
    perfect, wrong = (
        collapse.forecast(wine(), "alcohol", "discard", 30, outsider=(0.2, off), against=[])
        for off in (0.0, 0.5)
    )
    alone = collapse.forecast(wine(), "alcohol", "discard", 30, against=[], budget=1e-9)
    ends = [one.workflows[0].last("derived") for one in (perfect, alone, wrong)]
    assert ends[0] < ends[1]
    assert ends[2] > first.loss + 0.9 * 0.5
    assert "an outsider labels afresh" in answer.sentences[0]
    assert not any("Nothing was simulated" in sentence for sentence in answer.warnings)


# --- labels that are not drawn --------------------------------------------------------------------


SOFT = {"binary": plain(), "multiclass": plain(200, 1, 3), "continuous": wine()}


@pytest.mark.parametrize("task", SOFT)
def test_soft_labels_teach_maximum_likelihood_nothing(task: str) -> None:
    frame, target = SOFT[task], "alcohol" if task == "continuous" else "y"
    answer = collapse.forecast(frame, target, "augment", 4, labels="soft", against=["discard"])
    made = prepare(frame, target)
    free: Any = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    estimator = LinearRegression() if task == "continuous" else free
    model = models.from_estimator(
        estimator, made.X[:, 1:], made.y, test=(made.X_test[:, 1:], made.y_test), labels="soft"
    )
    for row in answer.workflows:
        plan = workflows.named(row.name, 4)
        risk = collapse.simulate(plan, model=model, replications=2, rng=0).risk
        np.testing.assert_allclose(row.derived, risk, rtol=1e-7)
        np.testing.assert_array_equal(row.derived, np.full(4, answer.first.loss))
        assert row.worse_why["derived"] == "never, since every fit is the first one"
    assert answer.simulation.replications == 0
    drawn = report.drawings(answer)
    assert set(drawn) == {"loss", "workflows"}  # a ratio of 1 is no picture
    assert "Band" not in drawn["loss"].caption
    assert all("derived, exactly" in drawing.caption for drawing in drawn.values())
    assert any("is the first fit again, exactly" in sentence for sentence in answer.sentences)


def test_parts_of_the_real_rows_have_another_fit() -> None:
    answer = collapse.forecast(plain(), "y", "subsample", 3, labels="soft", against=["augment"])
    subsample, augment = answer.workflows
    assert subsample.derived is None
    assert augment.derived is not None
    assert any("is not known" in sentence for sentence in answer.sentences)


def taught(made: Any, unlabelled: Any, G: int, threshold: float, soft: bool) -> list[float]:
    """Losses of self-training: real rows and the rows that the last fit labels."""
    losses, fit = [], GaussianNB().fit(made.X, made.y)
    for g in range(G):
        if g:
            share = fit.predict_proba(unlabelled)
            sure = share.max(axis=1) >= threshold
            rows, label, weight = [made.X], [made.y], [np.ones(len(made.X))]
            for k in range(share.shape[1]):
                taken = sure if soft else sure & (share.argmax(axis=1) == k)
                rows.append(unlabelled[taken])
                label.append(np.full(taken.sum(), k))
                weight.append(share[taken, k] if soft else np.ones(taken.sum()))
            together = np.concatenate(weight)
            fit = GaussianNB().fit(pd.concat(rows), np.concatenate(label), together)
        each = fit.predict_proba(made.X_test)[np.arange(len(made.y_test)), made.y_test.astype(int)]
        losses.append(float(-np.log(each).mean()))
    return losses


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_self_training_by_a_plain_loop(labels: str) -> None:
    frame, threshold = plain(120, 4, 3), 0.5
    made = prepare(frame, "y", untouched=True)
    # a pool as large as the real part: every batch labels all of it
    pool = plain(len(made.X), 5).drop(columns="y")
    answer = collapse.forecast(
        frame,
        "y",
        "real_and_window(k=1)",
        4,
        estimator=GaussianNB(),
        labels=labels,
        threshold=threshold,
        pool=pool,
        against=[],
    )
    row = answer.workflows[0]
    expected = taught(made, pool, 4, threshold, labels == "soft")
    np.testing.assert_allclose(row.simulated, expected, rtol=1e-6)
    assert row.last("stderr") < 1e-12
    assert answer.settings.pool == len(pool)
    assert max(expected) > min(expected)


def test_rows_without_a_target_are_a_pool() -> None:
    frame = plain(150)
    frame.loc[::3, "y"] = None
    options: dict[str, Any] = {"generations": 3, "labels": "hard", "against": [], "budget": 0.1}
    some = collapse.forecast(frame, "y", estimator=GaussianNB(), pool=True, **options)
    rest = frame[frame["y"].isna()].drop(columns="y")
    same = collapse.forecast(frame, "y", estimator=GaussianNB(), pool=rest, **options)
    assert some.settings.pool == some.data.unlabelled == 50
    assert any("50 rows without a value of 'y' were made the pool" in note for note in some.notes)
    kept = [one.document | {"data": {**one.document["data"], "notes": []}} for one in (same, some)]
    assert kept[0] == kept[1]
    assert "drawn from 50 unlabelled rows" in some.sentences[0]


def test_hard_labels_of_classes_are_simulated_with_a_penalty() -> None:
    frame = plain()
    answer = collapse.forecast(frame, "y", "discard", 4, labels="hard", against=[])
    made = prepare(frame, "y")
    X, y, losses = made.X[:, 1:], made.y, []
    for _ in range(4):
        fit = LogisticRegression(max_iter=5000).fit(X, y)
        y = fit.predict(X)
        share = fit.predict_proba(made.X_test[:, 1:])
        losses.append(-np.log(share[np.arange(len(share)), made.y_test.astype(int)]).mean())
    np.testing.assert_allclose(answer.workflows[0].simulated, losses, rtol=1e-6)
    assert "hard labels" in str(answer.model.fallback)
    assert answer.simulation.replications == 2  # all runs are one
    assert not np.allclose(losses, losses[0])


def test_a_table_with_texts_and_holes_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "cancer.csv"
    tables()["cancer"].to_csv(path, index=False)
    answer = collapse.forecast(
        path, "y", "discard", 2, estimator=coded(LogisticRegression()), against=[], budget=0.1
    )
    assert answer.workflows[0].simulated is not None


def test_flags_say_what_arguments_do(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    frame = plain()
    frame.loc[::4, "y"] = None
    frame.to_csv(path, index=False)
    command = ["forecast", str(path), "--target", "y", "-g", "2", "--against", "discard"]
    for flags, expected in (
        (["--outsider", "0.1", "0.02"], {"outsider": (0.1, 0.02)}),
        (
            [
                *("--estimator", "sklearn.naive_bayes:GaussianNB", "--budget", "0.1"),
                *("--labels", "hard", "--threshold", "0.5", "--pool"),
            ],
            {"labels": "hard", "threshold": 0.5, "pool": 23, "budget": 0.1},
        ),
    ):
        folder = tmp_path / flags[0]
        assert main([*command, *flags, "--folder", str(folder)]) == 0
        settings = collapse.Forecast.load(folder / "forecast.json").settings
        for name, value in expected.items():
            given = getattr(settings, name)
            assert (tuple(given) if isinstance(given, list) else given) == value


def test_a_report_without_jinja2_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match="a report needs jinja2: pip install"):
        report.page(tmp_path / "any.html.j2")
