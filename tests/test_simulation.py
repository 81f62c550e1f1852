"""simulate(): the Gaussian process against derive(), planted mistakes that the same assertion
catches, seeds, workers, failures.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from collapse import Plan, derive, models, simulate, workflows
from collapse.blocks.keys import environment
from collapse.simulation import Experiment
from collapse.simulation.sums import Sums
from tests.plans import NAMED, SIZE, SOURCE, WEIGHT, private, typed
from tests.statistics import assert_agree, assert_risks_agree

pytestmark = pytest.mark.statistical

REPLICATIONS = 200_000
DETECTS = 0.06

PLANS = {name: make(6) for name, make in NAMED.items()} | {
    "typed, whole": typed(partly=False),
    "typed, partly": typed(partly=True),
    "typed, drawn with replacement": typed(partly=True, replace=True),
}


def errors_of_covariance(C, replications, parts=1):
    """Standard errors of the mean of `parts` normal products with covariance C."""
    return np.sqrt((np.outer(np.diag(C), np.diag(C)) + C**2) / replications / parts)


@pytest.mark.parametrize("name", PLANS)
def test_the_gaussian_process_has_the_derived_risk_and_covariance(name):
    plan = PLANS[name]
    simulated, derived = (
        simulate(plan, replications=REPLICATIONS, rng=1, covariance=True),
        derive(plan),
    )
    assert_risks_agree(simulated, derived, detects=DETECTS)
    C = derived.covariance
    np.testing.assert_allclose(np.diag(simulated.covariance), simulated.risk, rtol=1e-12)
    scale = np.sqrt(np.outer(np.diag(C), np.diag(C)))
    assert_agree(
        1 + (simulated.covariance - C) / scale,
        errors_of_covariance(C, REPLICATIONS) / scale,
        np.ones_like(C),
        detects=DETECTS,
    )


# Planted mistakes


@pytest.mark.parametrize("name", ["augment", "subsample", "typed, whole", "typed, partly"])
def test_fresh_batches_for_every_reader_are_caught(name):
    simulated = simulate(private(PLANS[name]), replications=REPLICATIONS, rng=1)
    with pytest.raises(AssertionError, match="estimates differ"):
        assert_agree(simulated.ratio, simulated.stderr, derive(PLANS[name]).ratio, detects=DETECTS)


@pytest.mark.parametrize("name", ["subsample", "typed, partly", "typed, drawn with replacement"])
def test_a_derivation_without_the_subsampling_term_is_caught(name):
    plan = PLANS[name]
    simulated = simulate(plan, replications=REPLICATIONS, rng=1)
    whole = Plan(plan.source, plan.size, plan.weight)
    with pytest.raises(AssertionError, match="estimates differ"):
        assert_agree(simulated.ratio, simulated.stderr, derive(whole).ratio, detects=DETECTS)


@pytest.mark.parametrize("name", ["augment", "subsample", "typed, whole", "typed, partly"])
def test_a_derivation_without_the_overlap_of_batches_is_caught(name):
    plan = PLANS[name]
    simulated = simulate(plan, replications=REPLICATIONS, rng=1)
    with pytest.raises(AssertionError, match="estimates differ"):
        assert_agree(
            simulated.ratio, simulated.stderr, derive(private(plan)).ratio, detects=2 * DETECTS
        )


def test_noise_that_shrinks_with_rows_in_place_of_their_root_is_caught():
    simulated = simulate(
        Plan(SOURCE, np.array(SIZE) ** 2, WEIGHT), replications=REPLICATIONS, rng=1
    )
    with pytest.raises(AssertionError, match="estimates differ"):
        assert_agree(
            simulated.ratio, simulated.stderr, derive(typed(partly=False)).ratio, detects=DETECTS
        )


class DrawsFromTheTruth(models.Poisson):
    def draw(self, theta, rows, rng):
        return super().draw(np.broadcast_to(self.truth, theta.shape), rows, rng)

    def draw_statistic(self, theta, rows, rng):
        return super().draw_statistic(np.broadcast_to(self.truth, theta.shape), rows, rng)


class WrongNoise(models.Normal):
    def draw(self, theta, rows, rng):
        return theta + (super().draw(theta, rows, rng) - theta) / np.sqrt(rows)

    def draw_statistic(self, theta, rows, rng):
        return theta + (super().draw_statistic(theta, rows, rng) - theta) / np.sqrt(rows)


@pytest.mark.parametrize("mistake", [DrawsFromTheTruth(3), WrongNoise(0, 1)], ids=repr)
@pytest.mark.parametrize("name", ["discard", "augment", "typed, partly"])
def test_models_with_a_mistake_are_caught_on_both_paths(mistake, name):
    right = type(mistake).__mro__[1](*(getattr(mistake, part.name) for part in fields(mistake)))
    simulated = simulate(PLANS[name], model=mistake, n=20, replications=40_000, rng=1)
    with pytest.raises(AssertionError, match="estimates differ"):
        assert_risks_agree(simulated, derive(PLANS[name], model=right, n=20), detects=0.2)


def test_a_sample_too_small_to_tell_fails():
    simulated = simulate(PLANS["augment"], replications=1000, rng=1)
    with pytest.raises(AssertionError, match="too few replications"):
        assert_agree(
            simulated.ratio, simulated.stderr, derive(PLANS["augment"]).ratio, detects=DETECTS
        )


# Standard errors and quantiles


@pytest.mark.parametrize("name", ["discard", "augment", "typed, partly"])
def test_standard_errors_are_the_spread_over_seeds(name):
    seeds = 400
    runs = [simulate(PLANS[name], replications=2000, rng=seed) for seed in range(seeds)]
    for values, errors in (
        ([r.ratio[1:] for r in runs], [r.stderr[1:] for r in runs]),
        ([r.risk for r in runs], [r.risk_stderr for r in runs]),
    ):
        spread = np.std(values, axis=0, ddof=1)
        assert_agree(
            spread, spread / np.sqrt(2 * (seeds - 1)), np.mean(errors, axis=0), detects=0.4
        )


def test_the_ratio_of_generation_one_is_one_without_error():
    risk = simulate(PLANS["augment"], replications=1000, rng=0)
    assert (risk.ratio[0], risk.stderr[0]) == (1, 0)
    assert np.all(risk.stderr[1:] > 0)


def test_one_replication_has_no_standard_error():
    risk = simulate(PLANS["discard"], replications=1, rng=0)
    assert np.isnan(risk.stderr[1:]).all()
    assert np.isnan(risk.risk_stderr).all()


def test_quantiles_are_those_of_the_squared_normal():
    levels = np.array([0.05, 0.5, 0.95])
    risk = simulate(PLANS["augment"], replications=REPLICATIONS, rng=1, quantiles=levels)
    assert risk.quantiles.shape == (3, 6)
    expected = chi2.ppf(levels, 1)[:, None] * derive(PLANS["augment"]).risk
    density = chi2.pdf(chi2.ppf(levels, 1), 1)[:, None] / derive(PLANS["augment"]).risk
    assert_agree(
        risk.quantiles,
        np.sqrt(levels * (1 - levels) / REPLICATIONS)[:, None] / density,
        expected,
        detects=0.25,
    )


def test_asking_for_quantiles_and_covariance_changes_no_number():
    plain = simulate(PLANS["subsample"], replications=5000, rng=3)
    more = simulate(PLANS["subsample"], replications=5000, rng=3, quantiles=(0.5,), covariance=True)
    assert same_numbers(plain, more)
    assert plain.quantiles.size == 0


# Seeds, workers, blocks


def same_numbers(*risks):
    first = risks[0]
    return all((first.risk == r.risk).all() and (first.stderr == r.stderr).all() for r in risks[1:])


EXPERIMENTS = {
    "process": {"plan": PLANS["typed, partly"]},
    "statistics": {"plan": PLANS["augment"], "model": models.Poisson(3), "n": 20},
    "rows": {"plan": PLANS["subsample"], "model": models.Median("normal"), "n": 101},
}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@dataclass(frozen=True)
class Deadly(models.Normal):
    """A model whose worker is killed as long as `folder` holds a file; each death takes one
    away.
    """

    folder: str

    def risk(self, theta):
        for file in sorted(Path(self.folder).iterdir()):
            with suppress(FileNotFoundError):
                file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().risk(theta)

    def __repr__(self):
        return "Deadly"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_blocks_of_a_killed_worker_are_computed_again_with_the_same_numbers(tmp_path):
    experiment = {
        "plan": workflows.augment(3),
        "model": Deadly(0, 1, str(tmp_path)),
        "n": 10,
        "replications": 80_000,
        "rng": 5,
    }
    expected = simulate(**experiment, quantiles=(0.5,))
    (tmp_path / "death").touch()
    again = simulate(**experiment, quantiles=(0.5,), workers=2)
    assert list(tmp_path.iterdir()) == []
    assert again.risk.tolist() == expected.risk.tolist()
    assert again.stderr.tolist() == expected.stderr.tolist()
    assert again.quantiles.tolist() == expected.quantiles.tolist()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_that_are_killed_again_and_again_get_a_sentence(tmp_path):
    for death in range(100):
        (tmp_path / str(death)).touch()
    with pytest.raises(
        ValueError,
        match=r"processes of this simulation were ended from outside 3 times.*; give fewer workers",
    ):
        simulate(
            workflows.augment(3),
            model=Deadly(0, 1, str(tmp_path)),
            n=10,
            replications=80_000,
            rng=5,
            workers=2,
        )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_numbers_do_not_depend_on_workers(name):
    one, two = (
        simulate(**EXPERIMENTS[name], replications=20_000, rng=5, quantiles=(0.5,), workers=workers)
        for workers in (1, 2)
    )
    assert same_numbers(one, two)
    assert (one.quantiles == two.quantiles).all()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_numbers_do_not_depend_on_the_order_of_blocks(name):
    forward = simulate(**EXPERIMENTS[name], replications=20_000, rng=5)

    e = {"model": None, "n": None} | EXPERIMENTS[name]
    blocks = len(Experiment.asked(**e, replications=20_000, rng=5).sizes)
    assert blocks > 1

    class Backward(Executor):
        """Computes the blocks when the last one is asked for, and that one first."""

        def __init__(self):
            self._max_workers, self.waiting = blocks, []

        def submit(self, function, /, *arguments):
            future = Future()
            if function is environment:
                future.set_result(function())
                return future
            self.waiting.append((future, function, arguments))
            if len(self.waiting) == blocks:
                for waiting, run, given in reversed(self.waiting):
                    waiting.set_result(run(*given))
            return future

    backward = simulate(**EXPERIMENTS[name], replications=20_000, rng=5, executor=Backward())
    assert same_numbers(forward, backward)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_kept_fits_are_those_whose_risk_is_told(name):
    experiment = EXPERIMENTS[name]
    kept = simulate(**experiment, replications=200, rng=5, fits=True)
    assert same_numbers(kept, simulate(**experiment, replications=200, rng=5))
    assert kept.fits.shape[:2] == (200, kept.plan.generations)
    model = experiment.get("model")
    risk = [
        (fit**2).sum(1) if model is None else model.risk(fit)
        for fit in np.swapaxes(kept.fits, 0, 1)
    ]
    np.testing.assert_allclose(np.mean(risk, axis=1), kept.risk, rtol=1e-10)
    with pytest.raises(ValueError, match="fits=True"):
        _ = simulate(**experiment, replications=2, rng=5).fits


def test_a_generator_gives_the_numbers_of_its_seed_and_then_others():
    generator = np.random.default_rng(7)
    seeded, first, second = (
        simulate(PLANS["augment"], replications=5000, rng=rng) for rng in (7, generator, generator)
    )
    assert same_numbers(seeded, first)
    assert not same_numbers(first, second)
    assert (seeded.seed, first.seed) == (7, None)


def test_without_a_seed_a_fresh_one_is_recorded():
    one, two = (simulate(PLANS["augment"], replications=100) for _ in range(2))
    assert not same_numbers(one, two)
    assert same_numbers(one, simulate(PLANS["augment"], replications=100, rng=one.seed))


def test_other_seeds_give_other_numbers_and_global_state_is_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert not same_numbers(
        *(simulate(PLANS["augment"], replications=100, rng=seed) for seed in (0, 1))
    )
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_progress_counts_replications_up_to_the_last():
    calls = []
    simulate(
        PLANS["augment"],
        replications=20_000,
        rng=0,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert [total for _, total in calls] == [20_000] * len(calls)
    done = [done for done, _ in calls]
    assert done == sorted(set(done))
    assert (done[-1], len(done)) == (20_000, 4)


def test_a_risk_says_where_it_came_from():
    risk = simulate(PLANS["augment"], model=models.Poisson(3), n=20, replications=100, rng=0)
    assert (risk.plan, risk.model, risk.n, risk.replications, risk.seed) == (
        PLANS["augment"],
        "Poisson(rate=3)",
        20,
        100,
        0,
    )
    assert risk.versions["numpy"] == np.__version__


# Replications without an estimate


@dataclass(frozen=True)
class Climber:
    """Real data sit at one normal number x, synthetic data one above their fit, and no fit above
    `ceiling` exists.
    """

    ceiling: float
    truth = np.zeros(1)

    def draw(self, theta, rows, rng):
        return np.repeat(theta + 1, rows, axis=1)

    def draw_real(self, replications, rows, rng):
        return np.repeat(rng.standard_normal((replications, 1)), rows, axis=1)

    def fit(self, rows, weight, start):
        theta = (rows * weight).sum(axis=1, keepdims=True)
        assert start is None or start.shape == theta.shape
        return np.where(theta > self.ceiling, np.nan, theta)

    def risk(self, theta):
        return theta[:, 0]


class ClimberByStatistic(Climber):
    def draw_statistic(self, theta, rows, rng):
        return theta + 1

    def draw_real_statistic(self, replications, rows, rng):
        return rng.standard_normal((replications, 1))

    def fit_statistic(self, statistic, start):
        return self.fit(statistic, np.ones_like(statistic), start)


ONE_REAL_BATCH = Plan(
    [0, 1, 1, 2],
    [1, 1, 0.5, 1],
    [[1, 0, 0, 0], [0.5, 0.25, 0.25, 0], [0, 0, 0.5, 0.5]],
    [[1] * 4, [0.3, 1, 1, 1], [1] * 4],
)


@pytest.mark.parametrize("kind", [Climber, ClimberByStatistic])
@pytest.mark.parametrize(
    "plan", [*(make(5) for make in NAMED.values()), ONE_REAL_BATCH], ids=lambda plan: plan.name
)
def test_lost_replications_are_counted_and_the_others_keep_their_own_data(kind, plan):
    ceiling, levels = 2.0, np.array([0.02, 0.5, 0.7, 0.98])
    risk = simulate(plan, model=kind(ceiling), n=10, replications=10_000, rng=2, quantiles=levels)
    climb, A = np.zeros(plan.generations), plan.feedback()
    for g in range(plan.generations):
        climb[g] = A[g] @ (climb + 1)
    highest = np.maximum.accumulate(climb)
    start = simulate(
        plan, model=kind(np.inf), n=10, replications=10_000, rng=2, quantiles=levels
    ).quantiles[:, 0]
    expected = np.where(start[:, None] + highest <= ceiling, start[:, None] + climb, np.inf)
    np.testing.assert_allclose(risk.quantiles, expected, rtol=1e-12)
    lost = risk.failed > 0
    assert lost.all()
    assert (np.diff(risk.failed) >= 0).all()
    assert np.isnan(risk.risk).all()
    assert np.isnan(risk.stderr).all()


def test_means_are_nan_from_the_first_hit_on():
    risk = simulate(
        workflows.discard(8),
        model=Climber(7.5),
        n=10,
        replications=5000,
        rng=2,
        quantiles=(0.5,),
        covariance=False,
    )
    hit = np.flatnonzero(risk.failed)[0]
    assert 0 < hit < 7
    assert np.isfinite(risk.ratio[:hit]).all()
    assert np.isfinite(risk.stderr[:hit]).all()
    assert np.isnan(risk.risk[hit:]).all()
    assert np.isnan(risk.ratio[hit:]).all()
    assert np.isfinite(risk.quantiles[0]).all() == (risk.failed[-1] < 0.5)


@pytest.mark.parametrize("kind", [Climber, ClimberByStatistic])
def test_all_replications_may_be_lost(kind):
    risk = simulate(
        workflows.discard(20), model=kind(3), n=10, replications=500, rng=0, quantiles=(0.5,)
    )
    assert risk.failed[-1] == 1
    assert risk.quantiles[0, -1] == np.inf


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"plan": None},
            r"plan must be a collapse.Plan or a .*Reservoir, such as .* it is NoneType",
        ),
        (
            {"replications": 0},
            (
                r"replications \(repetitions of the experiment\) must be a whole number, at least"
                r" 1; it is 0"
            ),
        ),
        (
            {"replications": 1e4},
            "replications .* must be a whole number, at least 1; it is 10000.0",
        ),
        ({"replications": True}, "replications .* it is True"),
        ({"workers": 0}, r"workers \(processes\) must be a whole number, at least 1; it is 0"),
        ({"rng": 0.5}, r"rng must be a numpy Generator, a SeedSequence or a seed.*; it is 0\.5"),
        ({"rng": -1}, "rng must be a numpy Generator, .* or a seed .* it is -1"),
        ({"rng": True}, "rng must be .* it is True"),
        ({"rng": "0"}, "rng must be .* it is '0'"),
        ({"rng": np.random.RandomState(0)}, "rng must be a numpy Generator, .* or a seed"),
        (
            {"quantiles": (0, 0.5)},
            r"quantiles must be levels strictly between 0 and 1, .* they are \(0, 0\.5\)",
        ),
        (
            {"quantiles": 0.5},
            r"quantiles must be levels strictly between 0 and 1, .* they are 0\.5",
        ),
        ({"quantiles": [np.nan]}, "quantiles must be levels strictly between 0 and 1"),
        ({"n": 10}, "n was given without a model"),
        ({"model": models.Poisson(1)}, r"n \(rows of real data\) is needed with Poisson"),
        ({"model": models.Poisson(1), "n": 0}, "n .* must be a whole number, at least 1; it is 0"),
        (
            {"model": models.Poisson(1), "n": True},
            "n .* must be a whole number, at least 1; it is True",
        ),
        ({"model": models.Poisson, "n": 10}, "model is the class Poisson; give an instance of it"),
        (
            {"model": "Poisson", "n": 10},
            "model must have truth, draw, draw_real, fit and risk; str is no model",
        ),
        (
            {"model": Climber(1), "n": 10, "covariance": True},
            r"the risk of Climber.* is not quadratic",
        ),
        (
            {"plan": workflows.subsample(20), "model": models.Poisson(1), "n": 10},
            "n = 10 is too small for so many generations",
        ),
        (
            {"plan": typed(partly=False), "model": models.Poisson(1), "n": 5},
            r"batch 3 would have 2\.5 rows",
        ),
    ],
)
def test_refusals_name_what_was_expected_and_the_remedy(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(**{"plan": workflows.augment(3)} | arguments)


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'seed'"):
        simulate(workflows.augment(3), seed=1)


def test_tables_that_were_not_kept_are_refused_with_the_remedy():
    risk = simulate(workflows.augment(3), replications=10, rng=0)
    with pytest.raises(
        ValueError,
        match=r"does not hold covariance; ask for it with simulate\(\.\.\., covariance=True\)",
    ):
        _ = risk.covariance
    with pytest.raises(
        ValueError,
        match=(
            r"does not hold contributions; they belong to the plan:"
            r" derive\(risk\.plan\)\.contributions"
        ),
    ):
        _ = risk.contributions


def test_blocks_put_together_are_one_sample():
    rng = np.random.default_rng(3)
    shift = np.array([0, 5, -2])  # blocks whose means lie far apart: what lies between them counts
    blocks = [
        rng.gamma(2, size=(4, R)) + 10 + rise for R, rise in zip((7, 300, 41), shift, strict=True)
    ]
    sums = Sums(348, 4)
    for risk in blocks:
        mean = risk.mean(axis=1)
        apart = risk - mean[:, None]
        arrays = {"lost": np.zeros(4, np.int64), "mean": mean}
        sums.add(
            risk.shape[1],
            arrays | {"second": (apart**2).sum(axis=1), "cross": apart @ apart[0]},
        )
    told, whole = sums.fields(np.empty(0)), np.concatenate(blocks, axis=1)
    np.testing.assert_allclose(told["risk"], whole.mean(axis=1))
    np.testing.assert_allclose(told["risk_stderr"], whole.std(axis=1, ddof=1) / np.sqrt(348))
    C, ratio = np.cov(whole), told["ratio"]
    spread = np.diag(C) - 2 * ratio * C[0] + ratio**2 * C[0, 0]
    np.testing.assert_allclose(told["stderr"][1:] * whole[0].mean(), np.sqrt(spread / 348)[1:])
