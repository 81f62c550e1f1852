"""Forecasts of generators: whole rows are synthetic, and what is lost of them is told."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import collapse
from collapse import models
from collapse.cli import main
from collapse.forecasting import lost, report
from collapse.forecasting.generators import NAMED, Mixture, generator_of
from collapse.forecasting.whole import rows_of

Z = 4.5
"""Standard errors that a mean may be off: once in 150,000."""


def mixed(n: int = 90) -> pd.DataFrame:
    """Numbers and texts, with holes in both, and a text that a number decides."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"size": rng.normal(50, 9, n), "age": rng.gamma(2, 11, n)})
    frame["kind"] = np.where(frame["size"] > 50, "quokka", "narwhal")
    frame["place"] = rng.choice(["Zagreb", "Ouro Preto", "Tromso"], n, p=[0.6, 0.3, 0.1])
    frame.loc[::9, "age"] = np.nan
    frame.loc[4::11, "place"] = None
    return frame


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, which take seconds to draw and hold curves alone."""
    monkeypatch.setattr(report, "pictures", lambda *_: [])


def prepared(frame: pd.DataFrame, **more: Any) -> Any:
    options: dict[str, Any] = {"na": (), "exclude": (), "test": None}
    return rows_of(frame, None, 0.3, 0, **options | more)


class Independent:
    """Normal numbers, and texts by their shares, each column by itself."""

    def fit(self, rows: pd.DataFrame) -> None:
        self.order, numbers = list(rows.columns), rows[["u", "v"]].to_numpy()
        self.mean, self.sd = numbers.mean(axis=0), numbers.std(axis=0)
        self.levels, count = np.unique(rows["t"].to_numpy(object), return_counts=True)
        self.shares = count / len(rows)

    def sample(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        u, v = (self.mean + self.sd * rng.standard_normal((n, 2))).T
        drawn = {"u": u, "v": v, "t": rng.choice(self.levels, n, p=self.shares)}
        return pd.DataFrame({name: drawn[name] for name in self.order})

    def score_samples(self, rows: pd.DataFrame) -> Any:
        z = (rows[["u", "v"]].to_numpy() - self.mean) / self.sd
        normal = -0.5 * (z**2 + np.log(2 * np.pi * self.sd**2)).sum(axis=1)
        share = np.full(len(rows), 1e-6)
        for level, own in zip(self.levels, self.shares, strict=True):
            share[rows["t"].to_numpy() == level] = own
        return normal + np.log(share)


def plain(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.standard_normal((n, 2)) * [1, 3], columns=["u", "v"])
    frame["t"] = rng.choice(["a", "b"], n)
    return frame


# --- what is forecast ----------------------------------------------------------------------------


@pytest.mark.parametrize("workflow", ["discard", "augment"])
def test_a_plain_loop_over_the_same_generator(workflow: str) -> None:
    real, test, G = plain(40), plain(61).iloc[40:].reset_index(drop=True), 4
    answer = collapse.forecast(
        real, None, workflow, G, generator=Independent(), test_file=test, against=[], budget=1.2
    )
    row, rng, runs = answer.workflows[0], np.random.default_rng(5), 150
    losses, shares = np.empty((2, runs, G))
    spread, tested = (
        rows[["u", "v"]].to_numpy().var(axis=0, ddof=k) for rows, k in ((real, 0), (test, 1))
    )
    for r in range(runs):
        batches = [real]
        for g in range(G):
            fit = Independent()
            fit.fit(pd.concat(batches if workflow == "augment" else batches[-1:]))
            losses[r, g] = -fit.score_samples(test).mean()
            shares[r, g] = (fit.sd**2 / spread).sum() / (tested / spread).sum()
            batches.append(fit.sample(len(real), rng))
    told = row.lost["variance"]
    assert row.simulated is not None
    assert row.stderr is not None
    for loop, mean, error in (
        (losses, row.simulated, row.stderr),
        (shares, told["mean"], told["stderr"]),
    ):
        joint = np.sqrt(loop.var(axis=0, ddof=1) / runs + error**2)
        assert (np.abs(loop.mean(axis=0) - mean) < Z * joint + 1e-9).all()
    first = Independent()
    first.fit(real)
    assert answer.first.loss == pytest.approx(-first.score_samples(test).mean(), rel=1e-12)
    assert losses[:, -1].mean() > losses[:, 0].mean() + 0.01, "the loop loses something"


def test_variance_is_lost_at_the_rate_of_the_normal_law() -> None:
    """Under discard each fit keeps 1 - 1/n of the variance, whatever it was, on average."""
    frame = plain(30)[["u", "v"]].assign(t="a")
    test = plain(80)
    answer = collapse.forecast(
        frame.assign(t=np.where(np.arange(30) % 2, "a", "b")),
        workflow="discard",
        generations=5,
        generator=Independent(),
        test_file=test,
        against=[],
        budget=1.8,
    )
    told = answer.workflows[0].lost["variance"]
    scale = frame[["u", "v"]].var(ddof=0)
    first = (frame[["u", "v"]].var(ddof=0) / scale).sum() / (test[["u", "v"]].var() / scale).sum()
    exact = first * (29 / 30) ** np.arange(5)
    assert (np.abs(told["mean"] - exact) < Z * told["stderr"]).all()
    assert answer.first.real["variance"] == pytest.approx(first * 30 / 29)


def test_the_same_call_gives_the_same_numbers_in_a_folder_too(tmp_path: Path) -> None:
    given: dict[str, Any] = {"generator": "cart", "generations": 2, "against": [], "budget": 0.1}
    one = collapse.forecast(mixed(), **given)
    other = collapse.forecast(mixed(), folder=tmp_path, **given)
    again = collapse.forecast(mixed(), folder=tmp_path, **given)
    assert one.document == other.document == again.document


# --- the report ----------------------------------------------------------------------------------


def test_the_report_says_what_is_lost_and_has_no_row_of_the_table(tmp_path: Path) -> None:
    frame = mixed()
    frame.loc[0, "kind"] = frame.loc[0, "kind"].upper()
    answer = collapse.forecast(
        frame,
        workflow="discard",
        generations=3,
        generator="gaussian-copula",
        against=["augment"],
        budget=0.6,
    )
    page = answer.save_html(tmp_path / "report.html").read_text()
    words = re.sub(r'src(set)?="data:[^"]*"', "", page)
    assert "What is lost" in words
    assert "distance to the nearest real row" in words
    assert "augment" in words
    assert "None" not in words
    assert "nan" not in words.lower()
    assert {"variance", "tail", "support", "copies"} == set(answer.workflows[0].lost)
    assert answer.model.loss == "energy distance", "which is not told twice"
    assert f"the standard error of {answer.simulation.replications} runs" in answer.sentences[1]
    support = answer.first.real["support"]
    assert support == 8, "two kinds, three places and none, an age or none"
    assert any(f"Of the {support:g} categories" in said for said in answer.sentences)
    back = collapse.Forecast.load(answer.save(tmp_path / "forecast.json"))
    assert back.document == answer.document
    assert lost.table(back) == lost.table(answer)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", [*NAMED, "own"])
def test_no_cell_of_the_table_is_told_or_kept(name: str, tmp_path: Path) -> None:
    frame = mixed()
    frame["visit"] = pd.date_range("2031-03-05", periods=len(frame)).astype(str)
    frame["code"] = [f"zq{k}x" for k in range(len(frame))]
    frame["fee"] = 731_000_013 + 1_309 * np.arange(len(frame))  # whole numbers, too
    own = name == "own"
    answer = collapse.forecast(
        plain() if own else frame,
        None if own else "kind",
        generations=2,
        generator=Independent() if own else name,
        against=["discard"],
        budget=0.1,
        folder=tmp_path,
    )
    answer.save(tmp_path / "forecast.json")
    answer.save_html(tmp_path / "report.html")
    answer.to_frame().to_csv(tmp_path / "curves.csv")
    if own:
        numbers, cells = plain()[["u", "v"]].to_numpy().ravel(), set()
    else:
        texts = ("kind", "place", "visit", "code")
        cells = {cell for text in texts for cell in frame[text].dropna()}
        numbers = frame[["size", "age"]].to_numpy().ravel()
        cells |= {str(fee) for fee in frame["fee"]} | {f"{fee:,}" for fee in frame["fee"]}
    cells |= {f"{number:.{k}g}" for number in numbers[np.isfinite(numbers)] for k in (6, 9, 17)}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 3, "finished simulations are kept"
    for file in files:
        held = file.read_bytes()
        if file.suffix in (".npz", ".zip"):  # packed
            with zipfile.ZipFile(file) as packed:
                held = b"".join(packed.read(part) for part in packed.namelist())
        assert not [cell for cell in cells if cell.encode() in held], file.name
        raw = {number.tobytes() for number in numbers[np.isfinite(numbers)]}
        assert not [number for number in raw if number in held], file.name


def test_no_share_of_a_generator_s_loss_is_told() -> None:
    answer = collapse.forecast(
        plain(), generator=Independent(), generations=2, against=[], budget=0.1
    )
    assert set(answer.workflows[0].worse.values()) == {None}
    assert "no zero" in str(answer.exceeds(10))
    assert not any(" %" in said.split("; 90 %")[0] for said in answer.sentences[:2])


def test_a_target_has_a_predictor_trained_on_rows_drawn() -> None:
    answer = collapse.forecast(
        plain(), "t", generator="kernel-density", generations=2, against=[], budget=0.1
    )
    told = answer.workflows[0].lost["tstr"]
    assert ((told["mean"] >= 0) & (told["mean"] <= 1)).all()
    assert 0 < answer.first.real["tstr"] < 1


# --- tables and generators -----------------------------------------------------------------------


def test_a_table_with_holes_says_where_they_are() -> None:
    table = prepared(mixed())
    assert list(table.columns) == ["size", "age", "kind", "place", "age is missing"]
    rows = pd.concat([table.X, table.X_test])
    assert not rows.isna().any().any()
    assert (rows["age is missing"] == "yes").sum() == mixed()["age"].isna().sum()
    assert (rows["place"] == "(missing)").sum() == mixed()["place"].isna().sum()
    filled = rows.loc[rows["age is missing"] == "yes", "age"].unique()
    assert filled.size == 1, "the real rows' median"
    assert any("to be taken for none" in note for note in table.notes)


@pytest.mark.parametrize("name", NAMED)
def test_generators_draw_rows_like_those_of_a_mixed_table(name: str) -> None:
    rows, made = prepared(mixed(200)).X, generator_of(name)
    made.fit(rows)
    drawn = made.sample(4000, np.random.default_rng(0))
    assert list(drawn.dtypes) == list(rows.dtypes)
    assert list(drawn.columns) == list(rows.columns)
    n = len(rows)
    for column in ("kind", "place", "age is missing"):
        share = rows[column].value_counts(normalize=True)
        assert set(drawn[column]) <= set(share.index)
        gap = (drawn[column].value_counts(normalize=True).reindex(share.index) - share).abs()
        assert (gap < 0.06 + 0.5 / n).all()
    spread = np.sqrt((1 + n ** (-2 / 6)) if name == "kernel-density" else 1)
    assert drawn["size"].std() == pytest.approx(spread * rows["size"].std(), rel=0.1)
    tied = pd.crosstab(drawn["kind"], drawn["size"] > 50).to_numpy()
    assert np.trace(tied[::1]) / tied.sum() > 0.6, "a number that goes with a text goes with it"


def test_the_copula_of_numbers_is_the_package_s_own() -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(rng.multivariate_normal([0, 0, 0], np.eye(3) / 2 + 0.5, 80)).round(1)
    made, own = generator_of("gaussian-copula"), models.GaussianCopula(rows)
    made.fit(rows)
    assert made.correlation[np.triu_indices(3, 1)] == pytest.approx(own.truth[-3:], abs=1e-12)


def test_one_component_is_a_normal_law_and_shares() -> None:
    rows = plain(50)
    made = Mixture(components=1)
    made.fit(rows)
    numbers = rows[["u", "v"]]
    sd = numbers.std(ddof=0) * np.sqrt(1 + 1e-6)
    count = rows["t"].value_counts()
    share = (count + 0.5) / (len(rows) + 0.5 * (len(count) + 1))
    exact = norm.logpdf(numbers, numbers.mean(), sd).sum(axis=1)
    exact = exact + np.log(share.reindex(rows["t"]).to_numpy())
    assert made.score_samples(rows) == pytest.approx(exact, rel=1e-9)


def test_a_mixture_s_density_has_mass_one_and_it_finds_two_groups() -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"x": np.concatenate([rng.normal(-4, 1, 50), rng.normal(4, 1, 50)])})
    rows["t"] = np.repeat(["low", "high"], 50)
    made = Mixture(components=2)
    made.fit(rows)
    grid = np.linspace(-12, 12, 2001)
    mass = [
        np.exp(made.score_samples(pd.DataFrame({"x": grid, "t": text}))).sum() * (grid[1] - grid[0])
        for text in ("low", "high", "never seen")
    ]
    assert sum(mass) == pytest.approx(1, abs=1e-6)
    assert min(mass) > 0
    drawn = made.sample(500, rng)
    assert ((drawn["x"] > 0) == (drawn["t"] == "high")).all()
    one = Mixture(components=1)
    one.fit(rows)
    assert made.score_samples(rows).mean() > one.score_samples(rows).mean() + 1


def test_a_tree_keeps_what_its_leaves_hold() -> None:
    rows = prepared(mixed(300)).X[["size", "kind"]]
    made = generator_of("cart(leaf=1)")
    made.fit(rows)
    drawn = made.sample(1000, np.random.default_rng(4))
    assert ((drawn["size"] > 50) == (drawn["kind"] == "quokka")).all()
    assert set(drawn["size"]) <= set(rows["size"])


@pytest.mark.parametrize("name", NAMED)
def test_columns_that_are_constant_by_now_are_drawn_so(name: str) -> None:
    rows = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6] * 3, "y": 2.5, "t": ["a"] * 18})
    made = generator_of(name)
    made.fit(rows)
    drawn = made.sample(50, np.random.default_rng(0))
    assert set(drawn["t"]) == {"a"}
    assert drawn["y"].to_numpy() == pytest.approx(2.5, abs=1e-6)


# --- names, refusals and the command -------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such name": ({"generator": "copula"}, "generator must be one of gaussian-copula, mixture"),
    "an estimator too": ({"generator": "cart", "estimator": object()}, "makes whole rows: leave"),
    "a task": ({"generator": "cart", "task": "binary"}, "makes whole rows: leave"),
    "labels": ({"generator": "cart", "labels": "hard"}, "makes whole rows: leave"),
    "an outsider": ({"generator": "cart", "outsider": (0.1, 0.1)}, "makes whole rows: leave"),
    "no target and no generator": ({}, "target must be the name of a column"),
    "a target that is not there": ({"generator": "cart", "target": "z"}, "has no column 'z'"),
    "no sample": ({"generator": object()}, "has no method fit"),
    "components": (
        {"generator": "mixture(components=0)"},
        "components (components of the mixture) must be",
    ),
    "bandwidth": ({"generator": "kernel-density(bandwidth=-1)"}, "bandwidth must be"),
    "a leaf": ({"generator": "cart(leaf=0)"}, "leaf (rows of a leaf) must be"),
    "every column": ({"generator": "cart", "exclude": ["u", "v", "t"]}, "leave at least one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    given, why = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(why)):
        collapse.forecast(plain(), **given)


@pytest.mark.usefixtures("no_pictures")
def test_the_command_needs_no_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = tmp_path / "data.csv", tmp_path / "out"
    mixed().to_csv(data, index=False)
    fast = ["-g", "2", "--against", "discard", "--budget", "0.2", "--quiet"]
    command = ["forecast", str(data), *fast, "--folder", str(folder)]
    assert main([*command, "--generator", "mixture(components=2)", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"]["name"] == "Mixture(components=2)"
    assert told["data"]["target"] is None
    assert told["task"]["name"] == "rows"
    assert "energy" in told["workflows"][0]["lost"], "its loss is a log density"
    assert "categories of the real rows" in (folder / "report.html").read_text()
    own = tmp_path / "mine.py"
    own.write_text(RESAMPLED)
    assert main([*command, "--generator", f"{own}:Resampled"]) == 0
    names = {file.name for file in folder.glob("*.html")}
    assert len(names) == 2, "a second generator's report stands beside the first one's"
    assert main(command) == 2
    assert "--generator" in capsys.readouterr().err


RESAMPLED = """
class Resampled:
    def fit(self, rows):
        self.rows = rows

    def sample(self, n, rng):
        return self.rows.iloc[rng.integers(len(self.rows), size=n)].reset_index(drop=True)
"""
