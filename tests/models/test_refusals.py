"""What a model's constructor is given: read, or refused in a sentence that says what was
expected.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from collapse import derive, models, simulate, workflows

X = np.column_stack([np.ones(12), np.random.default_rng(0).standard_normal((12, 2))])
BETA = np.array([0.3, 0.5, -0.5])
TWICE = np.array([BETA, BETA])
LABELS = (np.arange(12) % 2).astype(float)
NUMBERS = np.random.default_rng(1).standard_normal(12)
COUNTS = np.arange(12) % 4
PAIRS = np.array([(0, 1), (1, 2)])

ARRAYS = {
    "least squares, X": (X, lambda v: models.LinearRegression(v, BETA, 1)),
    "least squares, beta": (BETA, lambda v: models.LinearRegression(X, v, 1)),
    "least squares, y": (NUMBERS, lambda v: models.LinearRegression(X, y=v)),
    "least squares, test X": (
        X,
        lambda v: models.LinearRegression(X, y=NUMBERS, test=(v, NUMBERS)),
    ),
    "least squares, test y": (
        NUMBERS,
        lambda v: models.LinearRegression(X, y=NUMBERS, test=(X, v)),
    ),
    "logistic, X": (X, lambda v: models.LogisticRegression(v, BETA)),
    "logistic, beta": (BETA, lambda v: models.LogisticRegression(X, v)),
    "logistic, y": (LABELS, lambda v: models.LogisticRegression(X, y=v)),
    "logistic, mean": (0.2 + LABELS / 2, lambda v: models.LogisticRegression(X, mean=v)),
    "logistic, test X": (X, lambda v: models.LogisticRegression(X, y=LABELS, test=(v, LABELS))),
    "logistic, test y": (LABELS, lambda v: models.LogisticRegression(X, y=LABELS, test=(X, v))),
    "probit, X": (X, lambda v: models.ProbitRegression(v, BETA)),
    "Poisson, y": (COUNTS, lambda v: models.PoissonRegression(X, y=v)),
    "gamma, y": (COUNTS + 0.5, lambda v: models.GammaRegression(X, y=v)),
    "negative binomial, y": (COUNTS, lambda v: models.NegativeBinomialRegression(X, y=v)),
    "multinomial, X": (X, lambda v: models.MultinomialRegression(v, TWICE)),
    "multinomial, beta": (TWICE, lambda v: models.MultinomialRegression(X, v)),
    "multinomial, y": (COUNTS, lambda v: models.MultinomialRegression(X, y=v)),
    "ridge, X": (X, lambda v: models.RidgeLogisticRegression(v, BETA, penalty=1)),
    "Firth, y": (LABELS, lambda v: models.FirthLogisticRegression(X, y=v)),
    "Huber, X": (X, lambda v: models.HuberRegression(v, BETA, 1)),
    "ranking, strength": (BETA, lambda v: models.BradleyTerry(v, pairs=PAIRS)),
    "ranking, pairs": (PAIRS, lambda v: models.BradleyTerry(BETA, pairs=v)),
    "ranking, times": ([2, 3], lambda v: models.BradleyTerry(BETA, pairs=PAIRS, times=v)),
    "ranking, wins": ([1, 2], lambda v: models.BradleyTerry(wins=v, pairs=PAIRS, times=4)),
    "shares": ([0.2, 0.3, 0.5], models.Multinomial),
    "mean vector": ([1, 2], lambda v: models.MultivariateNormal(v, [[2, 1], [1, 3]])),
    "covariance": ([[2, 1], [1, 3]], lambda v: models.MultivariateNormal([1, 2], v)),
    "loadings": ([[2], [1], [0]], lambda v: models.PrincipalComponents(v, 1)),
    "estimator, X": (X, lambda v: models.from_estimator(Ridge(), v, NUMBERS)),
    "estimator, y": (NUMBERS, lambda v: models.from_estimator(Ridge(), X, v)),
    "estimator, test X": (
        X,
        lambda v: models.from_estimator(Ridge(), X, NUMBERS, test=(v, NUMBERS)),
    ),
    "estimator, test y": (
        NUMBERS,
        lambda v: models.from_estimator(Ridge(), X, NUMBERS, test=(X, v)),
    ),
}


def with_second(good, value):
    """The array with another second entry."""
    odd = np.asarray(good).astype(object)
    odd.flat[1] = value
    return odd


ODD = {
    "masked": lambda good: np.ma.array(
        good, mask=np.arange(np.size(good)).reshape(np.shape(good)) == 1
    ),
    "masked, nothing hidden": lambda good: np.ma.array(good),
    "complex": lambda good: np.asarray(good) + 1j,
    "texts": lambda good: np.asarray(good).astype(str),
    "None": lambda good: with_second(good, None),
    "NaN": lambda good: with_second(good, np.nan),
    "infinite": lambda good: with_second(good, np.inf),
    "a text within": lambda good: with_second(good, "3"),
    "too large to be squared": lambda good: with_second(good, 1e200),
    "too large for a float": lambda good: with_second(good, 10**400),
    "ragged": lambda good: [[1, 2], [3]],
    "a set": lambda good: {1, 2},
    "a dictionary": lambda good: {0: 1, 1: 2},
    "a generator": lambda good: (value for value in (1, 2)),
    "a text": lambda good: "abc",
    "empty": lambda good: [],
    "a number": lambda good: np.array(3.0) if np.ndim(good) > 1 or len(good) > 2 else 10**30,
    "three axes": lambda good: np.ones((2, 2, 2)),
    "durations": lambda good: np.full(np.shape(good), np.timedelta64(3, "s")),
    "a function": lambda good: len,
}
NUMPYS = (
    "inhomogeneous",
    "could not convert",
    "setting an array",
    "broadcast",
    "operand",
    "invalid literal",
    "unsupported",
)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_no_array_of_numbers_is_refused_in_words(name, odd):
    good, make = ARRAYS[name]
    make(good)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        make(ODD[odd](good))
    said = str(raised.value)
    assert len(said) > 20
    assert not [word for word in NUMPYS if word in said]


@pytest.mark.parametrize("odd", [True, np.array([1.0, 2, 3]), 3, "test", (1,), {"X": 1}], ids=repr)
def test_a_test_set_is_a_pair(odd):
    for make in (
        lambda: models.LinearRegression(X, y=NUMBERS, test=odd),
        lambda: models.LogisticRegression(X, y=LABELS, test=odd),
        lambda: models.from_estimator(Ridge(), X, NUMBERS, test=odd),
    ):
        with pytest.raises(
            ValueError, match=r"test must be a tuple of two arrays, covariates and labels; it is"
        ):
            make()


def test_columns_of_truth_values_are_dummies():
    table = np.column_stack([np.ones(12), np.arange(12) % 3 == 0])
    mixed = np.array([[1.0, bool(v)] for v in table[:, 1]], object)
    for design in (table, mixed):
        np.testing.assert_array_equal(models.LogisticRegression(design, y=LABELS > 0).X, table)


SCALARS = {
    "Normal, mean": lambda v: models.Normal(v, 1),
    "Normal, sd": lambda v: models.Normal(0, v),
    "Bernoulli": models.Bernoulli,
    "Binomial, trials": lambda v: models.Binomial(v, 0.5),
    "Poisson": models.Poisson,
    "Gamma, shape": lambda v: models.Gamma(v, 1),
    "Gamma, mean": lambda v: models.Gamma(2, v),
    "NegativeBinomial, size": lambda v: models.NegativeBinomial(v, 1),
    "NegativeBinomial, mean": lambda v: models.NegativeBinomial(2, v),
    "HyperbolicSecant, shape": lambda v: models.HyperbolicSecant(v, 1),
    "HyperbolicSecant, mean": lambda v: models.HyperbolicSecant(1, v),
    "NormalMeanVariance, mean": lambda v: models.NormalMeanVariance(v, 1),
    "NormalMeanVariance, variance": lambda v: models.NormalMeanVariance(0, v),
    "InverseGaussian, mean": lambda v: models.InverseGaussian(v, 1),
    "InverseGaussian, shape": lambda v: models.InverseGaussian(1, v),
    "GammaShapeRate, shape": lambda v: models.GammaShapeRate(v, 1),
    "GammaShapeRate, rate": lambda v: models.GammaShapeRate(1, v),
    "GammaMoments, rate": lambda v: models.GammaMoments(1, v),
    "Beta": lambda v: models.Beta(v, v),
    "ExponentialRate": models.ExponentialRate,
    "Median, location": lambda v: models.Median("normal", v),
    "Median, scale": lambda v: models.Median("cauchy", 0, v),
    "TrimmedMean": lambda v: models.TrimmedMean("normal", trim=v),
    "Huber, k": lambda v: models.Huber("normal", k=v),
    "HodgesLehmann, scale": lambda v: models.HodgesLehmann("normal", 0, v),
    "MedianMAD, scale": lambda v: models.MedianMAD("normal", 0, v),
    "Uniform": models.Uniform,
    "Hodges": models.Hodges,
    "CensoredExponential": models.CensoredExponential,
    "CensoredWeibull, scale": lambda v: models.CensoredWeibull(v, 1),
    "CensoredWeibull, shape": lambda v: models.CensoredWeibull(1, v),
    "NormalMixture, separation": lambda v: models.NormalMixture(0.5, v),
    "PrincipalComponents": lambda v: models.PrincipalComponents([[1], [1], [0]], v),
    "LinearResponse, slope": lambda v: models.LinearResponse(0, 1, (0, v), (1, 0, 0)),
    "Verified, centre": lambda v: models.Verified(models.Normal(0, 1), v, 1e3),
    "LinearRegression, sigma": lambda v: models.LinearRegression(X, BETA, v),
    "LinearRegression, beta": lambda v: models.LinearRegression(X, [1, 1, v], 1),
    "LogisticRegression, beta": lambda v: models.LogisticRegression(X, [0, 0, v]),
    "PoissonRegression, beta": lambda v: models.PoissonRegression(X, [0, 0, v]),
    "GammaRegression, beta": lambda v: models.GammaRegression(X, [0, 0, v]),
    "GammaRegression, shape": lambda v: models.GammaRegression(X, BETA, shape=v),
    "NegativeBinomialRegression, size": lambda v: models.NegativeBinomialRegression(
        X, BETA, size=v
    ),
    "RidgeLogisticRegression": lambda v: models.RidgeLogisticRegression(X, BETA, penalty=v),
    "RandomDesignRegression, sigma": lambda v: models.RandomDesignRegression(2, 1, v),
    "RandomDesignRegression, beta": lambda v: models.RandomDesignRegression(2, [1, v], 1),
    "RandomDesignRegression, ridge": lambda v: models.RandomDesignRegression(2, 1, 1, v),
    "NormalGenerator": lambda v: models.NormalGenerator([0, v]),
    "BootstrapGenerator": lambda v: models.BootstrapGenerator([0, v]),
    "HuberRegression, sigma": lambda v: models.HuberRegression(X, BETA, v),
    "HuberRegression, k": lambda v: models.HuberRegression(X, BETA, 1, v),
    "Multinomial": lambda v: models.Multinomial([v, 1 - v]),
    "MultivariateNormal": lambda v: models.MultivariateNormal([0, 0], [[v, 0], [0, 1]]),
    "BradleyTerry, times": lambda v: models.BradleyTerry([0, 1], pairs=[(0, 1)], times=v),
}
SIZES = [5e-324, 1e-160, 1e-30, 1e-8, 1e15, 1e19, 1e160, 1.7e308, 2**53, 10**30, 10**400]
SIZES += [Fraction(1, 10**40), Fraction(3, 7), np.float32(1e-40), np.int64(10**10)]


@pytest.mark.parametrize("name", SCALARS)
def test_a_size_is_refused_at_once_or_works_in_every_engine(name):
    """Either a sentence at the constructor, or no warning and no other error later."""
    refused = 0
    for value in SIZES:
        try:
            model = SCALARS[name](value)
        except ValueError as error:
            assert any(word in str(error) for word in ("must", "can be", "of X")), error  # noqa: PT017
            refused += 1
            continue
        n = 12 if "Regression" in name else 20
        n = getattr(model, "design_rows", None) or n
        for plan in (workflows.augment(3), workflows.subsample(2)):
            try:
                risk = simulate(plan, model=model, n=n, replications=3, rng=0, quantiles=(0.5,))
            except ValueError as error:
                assert "accepts almost nothing" in str(error)  # noqa: PT017
                break
            assert risk.quantiles.shape == (1, plan.generations)
            if (
                models.protocols.exact_form(model) in ("quadratic variance", "fixed design")
                and plan.reads_whole_batches
            ):
                assert (derive(plan, model=model, n=n).ratio >= 1).all()
    assert refused > 0


def test_sums_of_counts_that_cannot_be_drawn_are_refused_in_words():
    for model in (
        models.Poisson(1e15),
        models.NegativeBinomial(5, 1e15),
        models.Binomial(2**53, 0.5),
    ):
        with pytest.raises(
            ValueError,
            match=(
                r"sums of counts with a mean of .* cannot be drawn, 9e\+18 at most; take fewer rows"
            ),
        ):
            simulate(workflows.discard(2), model=model, n=10**5, replications=2, rng=0)


def test_columns_that_are_too_large_or_too_small_are_named():
    for scale in (1e200, 1e-300):
        with pytest.raises(
            ValueError, match=r"X must hold numbers .* column 3.* Take another unit"
        ):
            models.LogisticRegression(X * [1, 1, scale], BETA)
