"""The formulas of the chapter on regression, against derive() and simulate().

Bounds are z = 5.1 standard errors: a false alarm has probability below 4e-7 per assertion; seeds are fixed.
"""

import numpy as np
import pytest

import collapse
from collapse import workflows
from collapse.models import LinearRegression, LogisticRegression

Z = 5.1


def design(n: int, p: int, seed: int) -> np.ndarray:
    return np.column_stack([np.ones(n), np.random.default_rng(seed).standard_normal((n, p - 1))])


def harmonic(G: int) -> np.ndarray:
    return np.cumsum(1 / np.arange(1, G + 1) ** 2)


@pytest.mark.parametrize(("make", "ratio"), [(workflows.discard, lambda G: np.arange(1, G + 1)), (workflows.augment, harmonic)])
def test_least_squares_is_exact_at_small_n(make, ratio):
    n, p, sigma, G = 12, 3, 1.5, 10
    model = LinearRegression(design(n, p, 1), [1, 2, 3], sigma)
    expected = ratio(G) * sigma**2 * p / n
    derived = collapse.derive(make(G), model=model)
    np.testing.assert_allclose(derived.risk, expected, rtol=1e-12)
    simulated = collapse.simulate(make(G), model=model, replications=20_000, rng=2, covariance=True)
    assert np.all(np.abs(simulated.risk - expected) < Z * simulated.risk_stderr)
    assert np.all(simulated.risk_stderr < 0.02 * expected)
    np.testing.assert_allclose(simulated.covariance, derived.covariance, atol=0.06 * expected[-1])


def test_labels_drawn_from_the_truth_would_be_seen():
    """The planted mistake: synthetic labels that forget the fit. Discard's ratio would stay 1."""
    model = LinearRegression(design(30, 3, 1), [1, 2, 3], 1.5)
    honest = model.draw_statistic
    model.draw_statistic = lambda theta, rows, rng: honest(np.broadcast_to(model.truth, theta.shape), rows, rng)
    simulated = collapse.simulate(workflows.discard(5), model=model, replications=4000, rng=2)
    assert abs(simulated.ratio[-1] - 5) > Z * simulated.stderr[-1]


def test_a_random_gram_matrix_costs_more_and_the_cost_vanishes():
    excess = {}
    for n, replications in ((30, 8000), (240, 4000)):
        model = LinearRegression(design(n, 3, 3), [1, 0, 0], 1)
        simulated = collapse.simulate(workflows.subsample(5), model=model, replications=replications, rng=4)
        limit = 3 * harmonic(5)[-1] - 2
        excess[n] = (simulated.ratio[-1] / limit - 1, simulated.stderr[-1] / limit)
    assert excess[30][0] > Z * excess[30][1]
    assert abs(excess[240][0]) < Z * excess[240][1] + excess[30][0] / 4


def test_logistic_level_and_ratio_near_the_limit():
    n, p, G = 4000, 3, 6
    model = LogisticRegression(design(n, p, 5), [0.3, 0.8, -0.5])
    for make, ratio in ((workflows.discard, np.arange(1, G + 1)), (workflows.augment, harmonic(G))):
        simulated = collapse.simulate(make(G), model=model, replications=1500, rng=6)
        # curvature moves the finite-n values by a relative order of g p / n; ten times that is allowed
        slack = 10 * p * np.arange(1, G + 1) / n
        assert np.all(np.abs(n * simulated.risk - ratio * p / 2) < Z * n * simulated.risk_stderr + slack * ratio * p / 2)
        assert np.all(np.abs(simulated.ratio - ratio) <= Z * simulated.stderr + slack * ratio)


@pytest.mark.parametrize(("make", "ratio"), [(workflows.discard, lambda G: np.arange(1, G + 1)), (workflows.augment, harmonic)])
def test_rise_of_the_training_loss_given_the_real_labels(make, ratio):
    n, p, G = 4000, 3, 6
    X = design(n, p, 7)
    y = np.random.default_rng(8).random(n) < 1 / (1 + np.exp(-X @ [0.3, 0.8, -0.5]))
    simulated = collapse.simulate(make(G), model=LogisticRegression(X, y=y), replications=1500, rng=9)
    rise = n * (simulated.risk - simulated.risk[0])
    expected = (ratio(G) - 1) * p / 2
    # the information is estimated from the fit: p / n of it, and curvature as above
    slack = 10 * p * np.arange(1, G + 1) / n
    assert np.all(np.abs(rise - expected) <= Z * n * simulated.risk_stderr + slack * ratio(G) * p / 2)
    assert simulated.risk_stderr[0] < 1e-9


def test_separation_takes_discard_and_spares_augment():
    model = LogisticRegression(design(60, 4, 10), [0, 1, 1, 0])
    discard = collapse.simulate(workflows.discard(30), model=model, replications=300, rng=11)
    augment = collapse.simulate(workflows.augment(30), model=model, replications=300, rng=11)
    assert discard.failed[-1] > 0.5
    assert np.all(np.diff(discard.failed) >= 0)
    assert augment.failed[-1] == augment.failed[0]


def test_subsampled_least_squares_is_refused_in_words():
    model = LinearRegression(design(30, 3, 1), [1, 2, 3], 1.5)
    with pytest.raises(ValueError, match="makes the Gram matrix random: no exact form is known"):
        collapse.derive(workflows.subsample(5), model=model)
