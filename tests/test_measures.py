"""What is lost beside risk: measures of the fits, by name."""

from __future__ import annotations

import numpy as np
import pytest

import collapse
from collapse import models, simulate, workflows
from collapse.models.protocols import MEASURES
from collapse.risk import Risk
from collapse.simulation import Experiment
from tests.statistics import assert_agree

NORMAL = models.NormalMeanVariance(1, 4)
SHARES = models.Multinomial([0.5, 0.3, 0.15, 0.05])


def sure(plan, **options):
    return simulate(plan, **{"replications": 40_000, "rng": 1, "n": 10} | options)


@pytest.mark.parametrize(
    "plan",
    [
        workflows.discard(6),
        workflows.augment(6),
        workflows.window(6, 2),
        workflows.fixed_real_share(6, 0.25),
        workflows.subsample(6),
        workflows.reservoir(6),
    ],
    ids=lambda plan: plan.name,
)
def test_the_expected_variance_is_what_the_means_have_not_taken_of_it(plan):
    """Second moments about the truth are kept on average, whatever is pooled: the fitted variance
    falls short of the true one by the mean's squared error, and each batch's noise is as large as
    the variance that is left: a variance function with v2 = -1. Reads with and without
    replacement, too.
    """
    risk = sure(plan, model=NORMAL, measures=("variance",))
    lost = collapse.derive(plan, model=models.Bernoulli(0.5), n=10).risk / 0.25
    assert_agree(
        risk.measures["variance"].mean, risk.measures["variance"].stderr, 1 - lost, detects=0.1
    )


def test_variance_under_discard_is_a_power():
    discard = workflows.discard(8)
    for model in (NORMAL, SHARES):
        found = sure(discard, model=model, measures="variance").measures["variance"]
        known = 0.9 ** np.arange(1, 9)
        assert_agree(found.mean, found.stderr, known, detects=0.15)


@pytest.mark.parametrize(
    "model", [models.Poisson(3), models.Bernoulli(0.3), models.NegativeBinomial(3, 2)], ids=repr
)
def test_the_variance_of_a_family_of_means_is_what_diagnose_knows(model):
    plan = workflows.fixed_real_share(5, 0.25)
    found = sure(plan, model=model, measures="variance").measures["variance"]
    known = [
        collapse.diagnose(workflows.fixed_real_share(g, 0.25), model=model, n=10).variance
        for g in range(1, 6)
    ]
    assert_agree(found.mean, found.stderr, known, detects=0.05)


def test_categories_left_and_the_rare_one_after_one_fit():
    risk = sure(workflows.discard(3), model=SHARES, n=20, measures=("support", "rare", "entropy"))
    support, rare = risk.measures["support"], risk.measures["rare"]
    left = (1 - (1 - SHARES.truth) ** 20).sum()
    assert_agree(support.mean[:1], support.stderr[:1], [left], detects=0.1)
    assert_agree(rare.mean, rare.stderr, np.full(3, 0.05), detects=0.1)
    assert (np.diff(risk.measures["entropy"].mean) < 0).all()


def test_what_is_asked_for_beside_risk_changes_no_number_of_it():
    alone = sure(workflows.subsample(4), model=NORMAL, quantiles=(0.5,))
    both = sure(
        workflows.subsample(4), model=NORMAL, quantiles=(0.5,), measures=("entropy", "variance")
    )
    for name in ("risk", "ratio", "stderr", "risk_stderr", "failed", "quantiles"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(both, name))
    one = sure(workflows.subsample(4), model=NORMAL, quantiles=(0.5,), measures="variance")
    for name in ("mean", "stderr", "quantiles"):
        np.testing.assert_array_equal(
            getattr(one.measures["variance"], name), getattr(both.measures["variance"], name)
        )


class Noisy(models.NormalMeanVariance):
    """Measures what it draws, and loses what varies least."""

    measures = ("drawn",)

    def measure(self, name, theta, rng):
        return 3 + rng.standard_normal(len(theta))

    def fit_statistic(self, statistic, start):
        return np.where(statistic[:, 1:] > 0.5, statistic, np.nan)


def test_quantiles_are_over_the_replications_that_have_an_estimate():
    risk = sure(workflows.discard(3), model=Noisy(0, 1), quantiles=(0.5,), measures="drawn")
    drawn = risk.measures["drawn"]
    assert (risk.failed > 0).all()
    assert np.isnan(drawn.mean).all()
    assert_agree(
        drawn.quantiles[0], 1.26 / np.sqrt(40_000 * (1 - risk.failed)), np.full(3, 3), detects=0.05
    )


def test_blocks_workers_and_a_store_give_the_same_measures(tmp_path):
    asked = {"model": NORMAL, "measures": ("variance",), "quantiles": (0.1, 0.9), "n": 50}
    runs = [
        sure(workflows.subsample(3), **asked, **more)
        for more in ({}, {"workers": 2}, {"folder": tmp_path}, {"folder": tmp_path})
    ]
    plain = Risk.load(runs[0].save(tmp_path / "risk.json"))
    for other in (*runs[1:], plain):
        np.testing.assert_array_equal(
            other.measures["variance"].quantiles, runs[0].measures["variance"].quantiles
        )
        assert (
            other.measures["variance"].mean.tolist() == runs[0].measures["variance"].mean.tolist()
        )
    assert len(Experiment.asked(workflows.subsample(3), NORMAL, 50, 40_000, 1).sizes) > 1


def test_measures_are_columns_and_are_told():
    risk = sure(workflows.discard(3), model=NORMAL, quantiles=(0.5,), measures="variance")
    assert {"variance", "variance_stderr", "variance_quantile_0.5"} <= set(risk.to_frame().columns)
    assert f", variance {risk.measures['variance'].mean[-1]:.4g} at the last" in repr(risk)


@pytest.mark.parametrize(
    ("model", "name", "said"),
    [
        (NORMAL, "colour", "must be one of variance, entropy; it is 'colour'"),
        (models.Median("normal"), "variance", "has no measures: take a model that satisfies"),
        (None, "variance", "the Gaussian limit has no measures"),
        (NORMAL, 3, "measures must be the name of a measure"),
    ],
)
def test_measures_that_are_not_known_are_refused(model, name, said):
    with pytest.raises(ValueError, match=said):
        simulate(workflows.discard(2), model=model, n=model and 10, measures=name)


def test_a_measure_of_another_shape_is_told():
    class Wide(models.NormalMeanVariance):
        def measure(self, name, theta, rng):
            return theta

    with pytest.raises(ValueError, match=r"measure of the model .* must return real numbers"):
        sure(workflows.discard(2), model=Wide(0, 1), measures="variance")


def test_names_of_the_package_have_a_meaning():
    for example in (NORMAL, SHARES):
        assert isinstance(example, models.Measured)
        assert set(example.measures) <= set(MEASURES)
        assert "measures" in models.check(example)
