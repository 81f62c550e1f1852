"""Models of generators: whole rows are synthetic, and fits are objects of any kind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity

import collapse
from collapse import models, simulate, workflows
from collapse.blocks.store import Store
from collapse.simulation import Experiment
from collapse.simulation.experiment import thinned
from tests.statistics import assert_agree

DRAWS = np.random.mtrand._rand  # the stream of numpy's own functions
RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(6, 0.5, (60, 2))])
HELD_OUT = np.concatenate([RNG.normal(0, 1, (30, 2)), RNG.normal(6, 0.5, (30, 2))])
FRAME = pd.DataFrame(
    {
        "height": RNG.normal(170, 10, 60),
        "children": RNG.integers(0, 4, 60),
        "smokes": RNG.random(60) < 0.3,
        "town": pd.Categorical(RNG.choice(["Aix", "Bonn", "Como"], 60, p=[0.6, 0.35, 0.05])),
        "name": RNG.choice(["Ada", "Bo"], 60),
    }
)
LEVELS = (np.arange(500) + 0.5) / 500
PLANS = [
    workflows.discard(3),
    workflows.augment(3),
    workflows.window(3, 2),
    workflows.subsample(3),
    workflows.fixed_real_share(3, 0.25),
    workflows.reservoir(3),
]
ECOSYSTEM = workflows.star(3, 2)


class Synthesizer:
    """Fitted to a DataFrame as other packages do it: columns are drawn apart from each other."""

    def fit(self, data):
        assert data.dtypes.equals(FRAME.dtypes), "what is fitted has the kinds of the real rows"
        self.data = data

    def sample(self, num_rows):
        drawn = {name: DRAWS.choice(column, num_rows) for name, column in self.data.items()}
        return pd.DataFrame(drawn).astype(self.data.dtypes)


class Rounded:
    """The mean and spread of whole numbers, drawn as any others."""

    def fit(self, data):
        self.mean, self.std = data["k"].mean(), data["k"].std()

    def sample(self, n):
        return pd.DataFrame({"k": DRAWS.normal(self.mean, self.std, n)})


def empty():
    return {}


def fit_normal(made, rows, sample_weight=None):
    made["mean"] = np.average(rows, weights=sample_weight)


def sample_normal(fitted, n, rng):
    return fitted["mean"] + rng.standard_normal(n)


def score_normal(fitted, rows):
    return -((rows - fitted["mean"]) ** 2) / 2


def by_functions(**more):
    functions = {"fit": fit_normal, "sample": sample_normal, "score": score_normal} | more
    truth = scipy.stats.norm()
    return models.from_generator(empty, truth, test=truth.ppf(LEVELS), **functions)


MODELS = {
    "mixture": models.from_generator(GaussianMixture(2, random_state=0), X, test=HELD_OUT),
    "Bayesian mixture": models.from_generator(BayesianGaussianMixture(n_components=2), X),
    "kernel density": models.from_generator(KernelDensity(bandwidth=0.5), X, test=HELD_OUT),
    "norm": models.from_generator(scipy.stats.norm, X[:, 0]),
    "norm, known": models.from_generator(scipy.stats.norm, scipy.stats.norm(1, 2)),
    "multivariate normal": models.from_generator(scipy.stats.multivariate_normal, X),
    "mixture, known": models.from_generator(
        KernelDensity(), GaussianMixture(2, random_state=0).fit(X), test=HELD_OUT
    ),
    "synthesizer": models.from_generator(Synthesizer(), FRAME, target="town"),
    "functions": by_functions(),
}


@pytest.mark.parametrize("name", MODELS)
def test_keeps_every_promise_and_runs_under_every_workflow(name):
    model = MODELS[name]
    assert {"fits of any kind", "measures"} <= {*models.protocols.declared(model)}
    assert "measures" in models.check(model)
    n = None if model.observed_rows else 30
    for plan in [*PLANS, ECOSYSTEM][: None if n else -1]:
        risk = simulate(plan, model=model, n=n, replications=2, rng=0, quantiles=(0.5,))
        assert np.isfinite(risk.risk).all()
        assert not risk.failed.any()
    measures = [name for name in model.measures if name not in ("mmd", "energy")]
    risk = simulate(plan, model=model, n=n, replications=2, rng=0, measures=measures)
    assert all(np.isfinite(each.mean).all() for each in risk.measures.values())


def loop(made, real, plan, replications, score, rng):
    """The chain of fits, written out: rows drawn, thinned to the weights, and fitted again."""
    kept, rows = plan.kept, plan.rows(len(real(rng)))
    losses = np.zeros((replications, plan.generations))
    for r in range(replications):
        batches, fits = {}, []
        for g in range(plan.generations):
            for b in range(plan.batches):
                if plan.source[b] <= g and b not in batches:
                    new = real(rng) if plan.source[b] == 0 else None
                    batches[b] = (
                        new if new is not None else draw(fits[plan.source[b] - 1], rows[b], rng)
                    )
            read = []
            for b in np.flatnonzero(plan.weight[g]):
                few = kept[g, b] * rows[b]
                count = int(few) + (rng.random() < few % 1)
                read.append(batches[b][rng.permutation(rows[b])[:count]])
            fits.append(made().fit(np.concatenate(read)))
            losses[r, g] = -score(fits[-1])
    return losses


def draw(fitted, rows, rng):
    """Rows of a mixture or a kernel density, from what they have fitted."""
    if isinstance(fitted, KernelDensity):
        data = np.asarray(fitted.tree_.data)
        chosen = data[rng.integers(0, len(data), rows)]
        return chosen + fitted.bandwidth * rng.standard_normal(chosen.shape)
    component = rng.choice(len(fitted.weights_), rows, p=fitted.weights_)
    noise = rng.standard_normal((rows, fitted.means_.shape[1]))
    return fitted.means_[component] + np.sqrt(fitted.covariances_)[component, None] * noise


def mixture():
    return GaussianMixture(2, covariance_type="spherical", random_state=0)


def kernel():
    return KernelDensity(bandwidth=0.5)


@pytest.mark.parametrize(
    ("made", "plan", "replications", "detects"),
    [
        (mixture, workflows.discard(3), 150, 0.05),
        (mixture, workflows.fixed_real_share(3, 0.25), 150, 0.05),
        (kernel, workflows.augment(4), 400, 0.03),
        (kernel, workflows.subsample(4), 400, 0.03),
    ],
    ids=["mixture discard", "mixture share", "kernel augment", "kernel subsample"],
)
def test_agrees_with_a_plain_loop(made, plan, replications, detects):
    def score(fitted):
        return fitted.score_samples(HELD_OUT).mean()

    model = models.from_generator(made(), X, test=HELD_OUT, weights=False)
    risk = simulate(plan, model=model, replications=replications, rng=1)
    rng = np.random.default_rng(2)
    losses = loop(made, lambda _: X, thinned(plan), replications, score, rng)
    excess = losses + score(made().fit(X))
    stderr = np.hypot(risk.risk_stderr, losses.std(axis=0, ddof=1) / np.sqrt(replications))
    # of losses, not of what they exceed the least by: fit 1 to all real rows exceeds it by nothing
    base = -score(made().fit(X))
    np.testing.assert_allclose(risk.risk[0], excess[:, 0].mean(), atol=1e-9)
    assert_agree(base + risk.risk[1:], stderr[1:], base + excess.mean(axis=0)[1:], detects=detects)


def test_a_distribution_with_a_known_truth_has_the_risk_of_the_same_family():
    plan, truth = workflows.discard(4), scipy.stats.norm(1, 2)
    model = models.from_generator(scipy.stats.norm, truth, test=truth.ppf(LEVELS))
    risk = simulate(plan, model=model, n=40, replications=2500, rng=0, measures="variance")
    known = simulate(plan, model=models.NormalMeanVariance(1, 4), n=40, replications=200_000, rng=0)
    stderr = np.hypot(risk.risk_stderr, known.risk_stderr)
    assert_agree(risk.risk, stderr, known.risk, detects=0.4, allowance=0.02)
    left = risk.measures["variance"]
    real = np.var(model.test, ddof=1) / 4
    assert_agree(left.mean * real, left.stderr * real, (1 - 1 / 40) ** np.arange(1, 5), detects=0.1)


def test_weights_go_to_a_fit_that_takes_them_and_thin_the_batches_of_another():
    plan = workflows.fixed_real_share(4, 0.25)
    weighed, blind = by_functions(), by_functions(weights=False)
    assert (weighed.weighs, blind.weighs) == (True, False)
    for model, law in ((weighed, plan), (blind, thinned(plan))):
        risk = simulate(plan, model=model, n=30, replications=6000, rng=0)
        assert risk.plan == law
        known = collapse.derive(risk.plan, model=models.Normal(0, 1), n=30).ratio
        assert_agree(risk.ratio, risk.stderr, known, detects=0.25)
    assert not np.allclose(collapse.derive(plan).ratio, collapse.derive(thinned(plan)).ratio)


@pytest.mark.parametrize(
    "plan", [workflows.augment(5), workflows.discard(3), workflows.subsample(4)], ids=str
)
def test_a_plan_whose_rows_count_alike_is_not_thinned(plan):
    assert thinned(plan) is plan


def test_a_thinned_plan_gives_each_batch_rows_in_proportion_to_its_weight():
    plan = thinned(workflows.fixed_real_share(3, 0.25))
    reads = plan.reads(300)
    np.testing.assert_allclose(reads / reads.sum(axis=1, keepdims=True), plan.weight)
    assert (reads.max(axis=1) == 300).all()
    assert plan.name == "fixed_real_share(share=0.25), thinned to its weights"


def test_workers_threads_and_a_store_give_the_same_numbers_and_go_on(tmp_path, monkeypatch):
    asked = {"model": MODELS["synthesizer"], "replications": 20, "rng": 3, "measures": "support"}
    told = []
    plan = workflows.augment(2)
    first = simulate(plan, **asked, folder=tmp_path, progress=lambda *step: told.append(step))
    assert told[-1] == (20, 20)
    assert len(told) > 1
    with ThreadPoolExecutor(2) as threads:
        others = [
            simulate(plan, **asked, workers=2),
            simulate(plan, **asked, executor=threads),
            simulate(plan, **asked, folder=tmp_path),
        ]
    for other in others:
        np.testing.assert_array_equal(other.risk, first.risk)
        np.testing.assert_array_equal(
            other.measures["support"].mean, first.measures["support"].mean
        )
    # blocks that are kept are not drawn again
    asked.pop("measures")
    half = Experiment.asked(plan, asked["model"], None, 20, 3).tasks(0, True)[0]
    Store(tmp_path).keep_block(half.key, half.function(*half.arguments))
    monkeypatch.setattr(models.adapters.generator.Generated, "_drawn", None)
    with pytest.raises(ValueError, match="draw of the model"):
        simulate(plan, **asked, folder=tmp_path)
    assert Store(tmp_path).block(half.key) is not None


def test_streams_of_others_are_left_as_they_were():
    DRAWS.seed(5)
    expected = DRAWS.random(3)
    DRAWS.seed(5)
    simulate(workflows.discard(2), model=MODELS["synthesizer"], replications=2, rng=0)
    np.testing.assert_array_equal(DRAWS.random(3), expected)


def test_categories_and_kinds_come_back_as_they_were():
    model = MODELS["synthesizer"]
    drawn = model.draw(model.truth[None], 60, np.random.default_rng(0))[0]
    assert model.rows.table(drawn).dtypes.equals(FRAME.dtypes)
    assert model.rows.table(model.X).equals(FRAME)
    measured = {
        name: model.measure(name, model.truth[None], np.random.default_rng(1))[0]
        for name in model.measures
    }
    assert measured["support"] == 5  # three towns, two names
    assert measured["copies"] > 0
    assert abs(measured["rare"] - (FRAME["town"] == "Como").mean() / 2) < 0.03


def test_whole_numbers_that_are_drawn_as_others_are_fitted_as_these():
    model = models.from_generator(Rounded(), pd.DataFrame({"k": [1, 2, 3, 5, 9]}))
    assert model.rows.dtype[0] == np.float64
    risk = simulate(workflows.augment(3), model=model, replications=3, rng=0)
    assert np.isfinite(risk.risk).all()


class Frail(Synthesizer):
    """Has no estimate where a town is missing."""

    def fit(self, data):
        super().fit(data)
        if data["town"].nunique() < 3:
            raise ValueError("a town is missing")


def test_a_fit_that_refuses_synthetic_rows_is_no_estimate():
    risk = simulate(
        workflows.discard(8), model=models.from_generator(Frail(), FRAME), replications=20, rng=0
    )
    assert risk.failed[-1] > 0
    assert np.isnan(risk.risk[-1])


class Silent:
    def fit(self, rows):
        pass


class Short(GaussianMixture):
    def sample(self, n_samples=1):
        return super().sample(n_samples)[0][: n_samples // 2 + 1]


class Leaky(Synthesizer):
    def sample(self, num_rows):
        return super().sample(num_rows).assign(height=np.nan)


class Strange(Synthesizer):
    def sample(self, num_rows):
        return super().sample(num_rows).rename(columns={"height": "weight"})


class Foreign(Synthesizer):
    def sample(self, num_rows):
        return super().sample(num_rows).assign(town="Delft")


class Sore(Synthesizer):
    def fit(self, data):
        raise TypeError("no towns, please")


class Same(Synthesizer):
    def sample(self, num_rows):
        return self.data.iloc[np.arange(num_rows) % len(self.data)]


class Own(Synthesizer):
    STREAM = np.random.default_rng(0)

    def sample(self, num_rows):
        return self.data.iloc[self.STREAM.integers(0, len(self.data), num_rows)]


def test_arrays_drawn_in_place_of_a_data_frame_of_numbers_get_its_columns():
    """Scikit-learn's mixtures fit DataFrames and draw arrays."""
    frame = pd.DataFrame(X, columns=["a", "b"])
    made = (models.from_generator(GaussianMixture(2, random_state=0), rows) for rows in (X, frame))
    plain, named = (
        simulate(workflows.discard(3), model=model, replications=3, rng=1, measures="variance")
        for model in made
    )
    assert np.array_equal(plain.risk, named.risk)
    assert np.array_equal(plain.measures["variance"].mean, named.measures["variance"].mean)
    whole = models.from_generator(GaussianMixture(2), (10 * frame).astype(int))
    assert whole.rows.dtype["0"] == np.float64


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: models.from_generator(Silent(), X), "Silent has no method sample; give sample="),
        (lambda: models.from_generator(object(), X), "object has no method fit; give fit="),
        (
            lambda: models.from_generator(scipy.stats.poisson, [1, 2, 3]),
            "the call of the generator poisson_gen fails without arguments: TypeError",
        ),
        (lambda: models.from_generator(Short(2), X), "must be 120 rows of the columns of X"),
        (lambda: models.from_generator(Leaky(), FRAME), "column 'height' is not: drop or impute"),
        (lambda: models.from_generator(Strange(), FRAME), "must have the columns of X"),
        (lambda: models.from_generator(Foreign(), FRAME), "must hold the categories of X alone"),
        (
            lambda: models.from_generator(Sore(), FRAME),
            "fit of the generator Sore fails on the real rows X: TypeError: no towns, please.",
        ),
        (lambda: models.from_generator(Same(), FRAME), "draws the same rows each time"),
        (lambda: models.from_generator(Own(), FRAME), "draws from a stream that no seed decides"),
        (lambda: models.from_generator(GaussianMixture(2), X * np.nan), "X must be finite rows"),
        (
            lambda: models.from_generator(Synthesizer(), FRAME.assign(height=np.nan)),
            "X must be finite; column 'height' is not",
        ),
        (lambda: models.from_generator(GaussianMixture(2), X, test=X[:, :1]), "test must be rows"),
        (lambda: models.from_generator(GaussianMixture(2), "rows"), "X must hold real numbers"),
        (
            lambda: models.from_generator(Synthesizer(), pd.concat([FRAME, FRAME], axis=1)),
            "X must have a name of its own for each column",
        ),
        (
            lambda: models.from_generator(KernelDensity(), GaussianMixture(2)),
            "fails to draw rows of the known truth X: NotFittedError",
        ),
        (lambda: by_functions(score=3), "score must be a function; it is 3"),
        (lambda: by_functions(weights=3), "weights must be the name"),
        (
            lambda: models.from_generator(Synthesizer(), FRAME, target="city"),
            "target must be one of the columns",
        ),
        (
            lambda: simulate(workflows.discard(2), model=MODELS["norm"], fits=True),
            "are objects, which fits=True does not keep",
        ),
        (
            lambda: simulate(workflows.discard(2), model=MODELS["norm"], gate=1),
            "the risk of .* is not quadratic",
        ),
        (
            lambda: simulate(workflows.fresh_real(2), model=MODELS["norm"]),
            "observed rows make one; use a workflow with one real batch",
        ),
        (
            lambda: simulate(workflows.discard(2), model=MODELS["norm"], n=7),
            "n = 7, but X has 120 rows and is reused whole",
        ),
        (
            lambda: simulate(workflows.discard(2), model=MODELS["norm, known"]),
            r"n \(rows of real data\) is needed",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(make, said):
    with pytest.raises(ValueError, match=said):
        make()


class Off(models.adapters.generator.Generated):
    """Measures other rows than it draws."""

    def measure_rows(self, name, rows):
        return super().measure_rows(name, rows) + 1e-9

    def measure(self, name, theta, rng):
        return super().measure_rows(name, self.draw(theta, self.measured_rows, rng))


def test_all_measures_look_at_one_draw_so_that_what_is_asked_for_changes_no_other():
    model, plan = MODELS["synthesizer"], workflows.discard(2)
    alone, both = (
        simulate(plan, model=model, replications=3, rng=0, measures=names).measures
        for names in ("support", ("copies", "support", "variance"))
    )
    assert alone["support"].mean.tolist() == both["support"].mean.tolist()
    assert both["variance"].stderr[-1] > 0

    off = Off(scipy.stats.norm, X[:, 0], None, None, None, None, None, None)
    with pytest.raises(ValueError, match=r"measure_rows\('variance', ...\) of the 1000 rows"):
        models.check(off)
