"""Generalised linear models beyond the logistic one: fits, certificates, draws and risk against
independent programs.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import linprog

from collapse import derive, models, simulate, workflows
from collapse.models import protocols
from collapse.models.protocols import WithDesign, WithStatistic
from collapse.models.regression import likelihoods
from collapse.models.regression.design import example_design
from collapse.models.regression.family import Classes
from collapse.models.regression.glm import (
    GammaRegression,
    LogisticRegression,
    MultinomialRegression,
    NegativeBinomialRegression,
    PoissonRegression,
    ProbitRegression,
)
from collapse.models.regression.ranking import BradleyTerry
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical

Array = NDArray[np.float64]


def design(seed: int, n: int = 60, columns: int = 4) -> Array:
    rng = np.random.default_rng(seed)
    return np.column_stack([np.ones(n), rng.standard_normal((n, columns - 1))])


BETA = [0.5, 0.4, -0.3, 0.2]
TABLE = [[0.3, 0.8, -0.5, 0.2], [-0.2, 0.3, 0.6, -0.4]]
BUILD = {
    "probit": lambda X: ProbitRegression(X, BETA),
    "Poisson": lambda X: PoissonRegression(X, BETA),
    "gamma": lambda X: GammaRegression(X, BETA, shape=0.7),
    "negative binomial": lambda X: NegativeBinomialRegression(X, BETA, size=1.5),
    "multinomial": lambda X: MultinomialRegression(X, TABLE),
}
each_family = pytest.mark.parametrize("name", BUILD)
one_margin = pytest.mark.parametrize("name", [name for name in BUILD if name != "multinomial"])


def as_rows(y: Array) -> Array:
    """Labels (R, n) of the whole design as rows (R, n, 2)."""
    return np.stack([np.broadcast_to(np.arange(y.shape[1], dtype=float), y.shape), y], axis=2)


def oracle(name: str, X: Array, label: Array, weight: Array) -> Array:
    """Maximum likelihood by statsmodels."""
    sm = pytest.importorskip("statsmodels.api")
    family = {
        "probit": lambda: sm.families.Binomial(sm.families.links.Probit()),
        "Poisson": lambda: sm.families.Poisson(),
        "gamma": lambda: sm.families.Gamma(sm.families.links.Log()),
        "negative binomial": lambda: sm.families.NegativeBinomial(alpha=1 / 1.5),
    }[name]()
    return np.asarray(
        sm.GLM(label, X, family=family, freq_weights=weight)
        .fit(method="newton", tol=1e-14, maxiter=200, disp=False)
        .params
    )


class TestFit:
    @one_margin
    def test_agrees_with_statsmodels_on_weighted_rows(self, name: str) -> None:
        X, rng = design(1), np.random.default_rng(2)
        model = BUILD[name](X)
        rows, weight = model.draw_real(6, 150, rng), rng.uniform(0.1, 3, (6, 150))
        fitted = model.fit(rows, weight, None)
        for r in range(6):
            index, label = rows[r, :, 0].astype(int), rows[r, :, 1]
            np.testing.assert_allclose(
                fitted[r], oracle(name, X[index], label, weight[r]), rtol=1e-7, atol=1e-7
            )

    def test_multinomial_agrees_with_statsmodels(self) -> None:
        sm = pytest.importorskip("statsmodels.api")
        X = design(3, n=200)
        rows = MultinomialRegression(X, TABLE).draw_real(4, 200, np.random.default_rng(4))
        fitted = MultinomialRegression(X, TABLE).fit(rows, np.ones((4, 200)), None)
        for row, labels in zip(fitted, rows[:, :, 1], strict=True):
            other = sm.MNLogit(labels.astype(int), X).fit(
                disp=False, method="newton", maxiter=100, tol=1e-14
            )
            np.testing.assert_allclose(row, other.params.T.ravel(), atol=1e-10)

    def test_multinomial_with_two_classes_is_logistic(self) -> None:
        X, rng = design(5), np.random.default_rng(6)
        model, other = MultinomialRegression(X, [BETA]), LogisticRegression(X, BETA)
        rows, weight = other.draw_real(20, 90, rng), rng.uniform(0, 2, (20, 90))
        np.testing.assert_allclose(
            model.fit(rows, weight, None), other.fit(rows, weight, None), rtol=1e-9, atol=1e-9
        )
        theta = rng.standard_normal((5, 4))
        np.testing.assert_allclose(model.risk(theta), other.risk(theta), rtol=1e-10)

    @each_family
    def test_rows_agree_with_statistic(self, name: str) -> None:
        X = design(7)
        model = BUILD[name](X)
        assert isinstance(model, WithStatistic)
        assert isinstance(model, WithDesign)
        rows = model.draw_real(10, 120, np.random.default_rng(8))
        label = rows[:, :, 1].reshape(10, 2, 60)
        if name == "multinomial":
            code = np.stack([(label == k).mean(axis=1) for k in (1, 2)], axis=1)
            statistic = np.einsum("rkn,np->rkp", code, X).reshape(10, 8) / 60
        else:
            statistic = label.mean(axis=1) @ X / 60 if name == "Poisson" else label.mean(axis=1)
        assert statistic.shape[1] == model.statistic_size
        fitted = model.fit_statistic(statistic, None)
        np.testing.assert_allclose(
            model.fit(rows, np.full((10, 120), 0.3), None), fitted, rtol=1e-9, atol=1e-9
        )

    @each_family
    def test_padding_is_not_read(self, name: str) -> None:
        model = BUILD[name](design(9))
        rows, weight = model.draw_real(3, 90, np.random.default_rng(10)), np.ones((3, 90))
        padded = (
            np.concatenate([rows, np.full((3, 7, 2), np.nan)], axis=1),
            np.concatenate([weight, np.zeros((3, 7))], axis=1),
        )
        np.testing.assert_array_equal(model.fit(*padded, None), model.fit(rows, weight, None))

    @each_family
    def test_missing_labels_are_a_missing_fit(self, name: str) -> None:
        model = BUILD[name](design(9))
        theta = np.array([model.truth, np.full(len(model.truth), np.nan)])
        for count in (60, 120):
            statistic = model.draw_statistic(theta, count, np.random.default_rng(0))
            assert np.isnan(model.fit_statistic(statistic, None)).any(axis=1).tolist() == [
                False,
                True,
            ]
        rows = model.draw(theta, 70, np.random.default_rng(0))
        assert np.isnan(model.fit(rows, np.ones((2, 70)), None)).any(axis=1).tolist() == [
            False,
            True,
        ]
        assert np.isnan(model.risk(theta)).tolist() == [False, True]

    @each_family
    def test_rows_that_do_not_span_have_no_fit(self, name: str) -> None:
        X = np.column_stack(
            [np.ones(40), np.arange(40) < 5, np.linspace(-1, 1, 40), np.linspace(-1, 1, 40) ** 2]
        )
        model = BUILD[name](X)
        rows, weight = model.draw_real(2, 40, np.random.default_rng(11)), np.ones((2, 40))
        weight[1, :5] = 0
        rows[0, :5, 1] = {"gamma": [0.1, 1, 1, 2, 2], "multinomial": [0, 1, 2, 1, 0]}.get(
            name, [0, 1, 0, 1, 0]
        )
        rows[1] = rows[0]
        assert np.isnan(model.fit(rows, weight, None)).any(axis=1).tolist() == [False, True]

    @each_family
    @settings(max_examples=10, deadline=None)
    @given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.3, 3, 30, 300]))
    def test_start_does_not_matter(self, name: str, seed: int, spread: float) -> None:
        model, rng = BUILD[name](design(12)), np.random.default_rng(seed)
        statistic = model.draw_real_statistic(4, 60, rng)
        cold = model.fit_statistic(statistic, None)
        warm = model.fit_statistic(statistic, spread * rng.standard_normal(cold.shape))
        np.testing.assert_allclose(warm, cold, rtol=1e-9, atol=1e-9)

    @each_family
    def test_batch_equals_blocks(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        model = BUILD[name](design(13))
        statistic = model.draw_real_statistic(30, 60, np.random.default_rng(14))
        batch = model.fit_statistic(statistic, None)
        monkeypatch.setattr(protocols, "CELLS", 400)
        np.testing.assert_allclose(
            model.fit_statistic(statistic, None), batch, rtol=1e-9, atol=1e-10
        )

    def test_large_counts(self) -> None:
        """Means of a million, from no start at all and from a bad one."""
        model = PoissonRegression(design(15), [14, 0.4, -0.3, 0.2])
        statistic = model.draw_real_statistic(5, 60, np.random.default_rng(0))
        cold = model.fit_statistic(statistic, None)
        np.testing.assert_allclose(cold, np.tile(model.truth, (5, 1)), atol=1e-3)
        np.testing.assert_allclose(
            model.fit_statistic(statistic, np.zeros((5, 4))), cold, rtol=1e-10
        )

    def test_multinomial_with_ten_classes(self) -> None:
        """270 coefficients; the score at the fit is zero to rounding."""
        X, rng = design(16, n=1000, columns=30), np.random.default_rng(17)
        model = MultinomialRegression(X, 0.2 * rng.standard_normal((9, 30)))
        statistic = model.draw_real_statistic(3, 1000, rng)
        for start in (None, np.tile(model.truth, (3, 1))):
            fitted = model.fit_statistic(statistic, start)
            share = np.exp(
                np.concatenate([np.zeros((3, 1, 1000)), fitted.reshape(3, 9, 30) @ X.T], axis=1)
            )
            share /= share.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(
                (share[:, 1:] @ X).reshape(3, -1) / 1000, statistic, atol=1e-9
            )

    def test_conjugate_gradients_solve_the_system(self) -> None:
        X, rng = design(18, n=50), np.random.default_rng(19)
        likelihood = likelihoods.Multinomial(X, Classes(2))
        state, _ = likelihood._evaluate(rng.standard_normal((1, 8)), np.zeros((1, 8)), None)
        right = rng.standard_normal((1, 8))
        exact = np.linalg.solve(likelihood._regular(state[0]), right[0])
        for near in (np.zeros(8), rng.standard_normal(8)):
            likelihood.near(near)
            step = likelihood._solve(likelihood._hessian(state, None), right)[0]
            lost = step - exact
            assert lost @ likelihood._regular(state[0]) @ lost < 1e-6 * exact @ right[0]


class TestNoEstimate:
    """Where no estimate exists a linear programme of the test's own says so."""

    @staticmethod
    def rises(forbidden: Array, still: Array) -> bool:
        """Whether some direction has forbidden @ u <= 0, not all zero, and still @ u = 0."""
        if not len(forbidden):
            return False
        fixed = {"A_eq": still, "b_eq": np.zeros(len(still))} if len(still) else {}
        bounds = [(-1, 1)] * forbidden.shape[1]
        return (
            linprog(
                forbidden.sum(axis=0),
                A_ub=forbidden,
                b_ub=np.zeros(len(forbidden)),
                bounds=bounds,
                **fixed,
            ).fun
            < -1e-8
        )

    @pytest.mark.parametrize("name", ["Poisson", "negative binomial"])
    def test_counts(self, name: str) -> None:
        found = []
        for seed in range(8):
            X = design(seed, 12)
            X[:, 3] = np.arange(12) < 3
            model = BUILD[name](X)
            rows, rng = (
                model.draw(np.tile([-0.5, 1, 0, -0.5], (10, 1)), 12, np.random.default_rng(seed)),
                np.random.default_rng(seed),
            )
            weight = rng.uniform(0.5, 2, (10, 12)) * (rng.random((10, 12)) < 0.9)
            spans = [np.linalg.matrix_rank(X[w > 0]) == 4 for w in weight]
            lost = np.isnan(model.fit(rows, weight, None)).any(axis=1)
            for y, w, lacks, full in zip(rows[:, :, 1], weight, lost, spans, strict=True):
                expected = not full or self.rises(X[(y == 0) & (w > 0)], X[(y > 0) & (w > 0)])
                assert lacks == expected
                found.append(expected)
        assert 0.1 < np.mean(found) < 0.9

    def test_probit(self) -> None:
        found = []
        for seed in range(8):
            X = design(seed, 16, 3)
            rows = ProbitRegression(X, [0.2, 1.2, -0.8]).draw_real(
                10, 16, np.random.default_rng(seed)
            )
            lost = np.isnan(
                ProbitRegression(X, np.zeros(3)).fit(rows, np.ones((10, 16)), None)
            ).any(axis=1)
            expected = [self.rises((1 - 2 * y)[:, None] * X, X[:0]) for y in rows[:, :, 1]]
            assert lost.tolist() == expected
            found += expected
        assert 0.1 < np.mean(found) < 0.9

    def test_classes(self) -> None:
        found = []
        for seed in range(8):
            X = design(seed, 20, 3)
            rows = MultinomialRegression(X, [[0.3, 2, 1], [0, -2, 2]]).draw_real(
                10, 20, np.random.default_rng(seed)
            )
            lost = np.isnan(
                MultinomialRegression(X, np.zeros((2, 3))).fit(rows, np.ones((10, 20)), None)
            ).any(axis=1)
            for y, lacks in zip(rows[:, :, 1], lost, strict=True):
                gaps = [
                    np.kron(np.eye(3)[k] - np.eye(3)[int(y[i])], X[i])[3:]
                    for i in range(20)
                    for k in range(3)
                    if k != y[i]
                ]
                assert lacks == self.rises(np.array(gaps), np.zeros((0, 6)))
                found.append(lacks)
        assert 0.1 < np.mean(found) < 0.9

    def test_chains_of_classes_end_without_an_error(self) -> None:
        """Quasi-complete separation with margins of thousands, where rounding keeps the decrement
        up.
        """
        model = MultinomialRegression(example_design(30, 3), [[0, 0.3, -0.3], [0.0, -0.3, 0.3]])
        risk = simulate(workflows.discard(30), model=model, replications=400, rng=1)
        assert 0.9 < risk.failed[-1] <= 1

    def test_a_class_that_no_row_has(self) -> None:
        X = design(20)
        model = MultinomialRegression(X, y=np.arange(60) % 2, classes=3)
        assert np.isnan(model.truth).all()
        assert np.isfinite(MultinomialRegression(X, y=np.arange(60) % 2).truth).all()

    def test_only_zeros(self) -> None:
        for model in (
            PoissonRegression(design(20), y=np.zeros(60)),
            NegativeBinomialRegression(design(20), y=np.zeros(60), size=2),
        ):
            assert np.isnan(model.truth).all()


class TestDraws:
    @one_margin
    def test_labels_have_the_familys_mean_and_variance(self, name: str) -> None:
        X = design(21, n=6, columns=3)
        model = {
            "probit": ProbitRegression(X, [0.2, 0.5, -0.3]),
            "Poisson": PoissonRegression(X, [1, 0.5, -0.3]),
            "gamma": GammaRegression(X, [1, 0.5, -0.3], shape=2),
            "negative binomial": NegativeBinomialRegression(X, [1, 0.5, -0.3], size=3),
        }[name]
        margin = X @ model.truth
        mean = stats.norm.cdf(margin) if name == "probit" else np.exp(margin)
        variance = {
            "probit": mean * (1 - mean),
            "Poisson": mean,
            "gamma": mean**2 / 2,
            "negative binomial": mean + mean**2 / 3,
        }[name]
        np.testing.assert_allclose(model.family.variance(mean), variance)
        theta = np.tile(model.truth, (40_000, 1))
        by_rows = model.draw(theta, 6, np.random.default_rng(22))
        for copies, label in (
            (1, by_rows[:, :, 1]),
            (1, model.family.sample(np.tile(mean, (40_000, 1)), 1, np.random.default_rng(23))),
            (3, model.family.sample(np.tile(mean, (40_000, 1)), 3, np.random.default_rng(24))),
        ):
            assert_agree(label.mean(axis=0), label.std(axis=0) / 200, mean, detects=0.2)
            square = copies * (label - mean) ** 2
            assert_agree(square.mean(axis=0), square.std(axis=0) / 200, variance, detects=0.6)

    def test_classes_have_their_probabilities(self) -> None:
        X = design(25, n=5, columns=2)
        table = np.array([[0.3, 0.8], [-0.2, 0.5]])
        model = MultinomialRegression(X, table)
        share = np.exp(np.concatenate([np.zeros((1, 5)), table @ X.T]))
        share /= share.sum(axis=0)
        theta = np.tile(model.truth, (40_000, 1))
        label = model.draw(theta, 5, np.random.default_rng(26))[:, :, 1]
        mean = np.broadcast_to(share, (40_000, 3, 5))
        for drawn in (
            np.stack([label == 1, label == 2], axis=1).astype(float),
            model.family.sample(mean, 1, np.random.default_rng(27)),
            model.family.sample(mean, 4, np.random.default_rng(28)),
        ):
            assert_agree(drawn.mean(axis=0), drawn.std(axis=0) / 200, share[1:], detects=0.2)
        one = model.family.sample(mean, 1, np.random.default_rng(27))
        assert set(np.unique(one.sum(axis=1))) <= {0.0, 1.0}

    @each_family
    def test_observed_labels_are_the_real_batch(self, name: str) -> None:
        X = design(29)
        y = BUILD[name](X).draw_real(1, 60, np.random.default_rng(30))[0, :, 1]
        model = {
            "probit": lambda: ProbitRegression(X, y=y),
            "Poisson": lambda: PoissonRegression(X, y=y),
            "gamma": lambda: GammaRegression(X, y=y, shape=0.7),
            "negative binomial": lambda: NegativeBinomialRegression(X, y=y, size=1.5),
            "multinomial": lambda: MultinomialRegression(X, y=y),
        }[name]()
        rows = model.draw_real(3, 60, np.random.default_rng(0))
        np.testing.assert_array_equal(rows[1], np.column_stack([np.arange(60.0), y]))
        statistic = model.draw_real_statistic(3, 60, np.random.default_rng(0))
        np.testing.assert_allclose(
            model.fit_statistic(statistic, None)[2], model.truth, rtol=1e-9, atol=1e-10
        )
        np.testing.assert_allclose(
            model.fit(rows, np.ones((3, 60)), None)[0], model.truth, rtol=1e-9, atol=1e-10
        )
        with pytest.raises(
            ValueError, match="one real batch of 60 rows, and the plan asks for 120"
        ):
            model.draw_real_statistic(1, 120, np.random.default_rng(0))


class TestRisk:
    def test_is_the_mean_divergence(self) -> None:
        """Against sums and integrals over the labels' laws as scipy has them."""
        X, rng = design(31, n=5, columns=2), np.random.default_rng(32)
        true, other = np.array([0.8, 0.4]), np.array([0.5, 0.6])
        counts, grid = np.arange(400), np.linspace(1e-9, 80, 400_001)

        def divergence(law, values, sums) -> float:
            each = [
                sums(np.exp(law(values, a)) * (law(values, a) - law(values, b)))
                for a, b in zip(X @ true, X @ other, strict=True)
            ]
            return float(np.mean(each))

        cases = [
            (
                PoissonRegression(X, true),
                divergence(lambda y, m: stats.poisson.logpmf(y, np.exp(m)), counts, np.sum),
            ),
            (
                NegativeBinomialRegression(X, true, size=1.5),
                divergence(
                    lambda y, m: stats.nbinom.logpmf(y, 1.5, 1.5 / (1.5 + np.exp(m))),
                    counts,
                    np.sum,
                ),
            ),
            (
                GammaRegression(X, true, shape=2),
                divergence(
                    lambda y, m: stats.gamma.logpdf(y, 2, scale=np.exp(m) / 2),
                    grid,
                    lambda v: np.trapezoid(v, grid),
                ),
            ),
            (
                ProbitRegression(X, true),
                divergence(
                    lambda y, m: np.where(y, stats.norm.logcdf(m), stats.norm.logcdf(-m)),
                    np.arange(2),
                    np.sum,
                ),
            ),
        ]
        for model, expected in cases:
            np.testing.assert_allclose(model.risk(other[None]), [expected], rtol=1e-6)
            assert model.risk(model.truth[None])[0] == pytest.approx(0, abs=1e-14)
        table, fitted = rng.standard_normal((2, 2, 2))
        p, q = (np.exp(np.vstack([np.zeros(5), t @ X.T])) for t in (table, fitted))
        p, q = p / p.sum(axis=0), q / q.sum(axis=0)
        model = MultinomialRegression(X, table)
        np.testing.assert_allclose(
            model.risk(fitted.reshape(1, 4)), [(p * np.log(p / q)).sum(axis=0).mean()], rtol=1e-10
        )

    @one_margin
    def test_second_order_is_the_information_of_link_and_variance(self, name: str) -> None:
        X = design(33)
        model = BUILD[name](X)
        margin = X @ model.truth
        slope = (model.family.mean(margin + 1e-5) - model.family.mean(margin - 1e-5)) / 2e-5
        information = (
            (X * (slope**2 / model.family.variance(model.family.mean(margin)))[:, None]).T @ X / 60
        )
        shift = 1e-4 * np.random.default_rng(34).standard_normal((20, 4))
        quadratic = 0.5 * np.einsum("ri,ij,rj->r", shift, information, shift)
        np.testing.assert_allclose(model.risk(model.truth + shift), quadratic, rtol=0.01)

    @each_family
    def test_first_fit_has_the_limit_risk(self, name: str) -> None:
        model = BUILD[name](design(35, n=1500))
        risk = 1500 * model.risk(
            model.fit_statistic(
                model.draw_real_statistic(1000, 1500, np.random.default_rng(36)), None
            )
        )
        assert model.limit_risk == len(model.truth) / 2
        assert_agree(
            risk.mean(), risk.std() / np.sqrt(1000), model.limit_risk, detects=0.3, allowance=0.02
        )

    def test_observed_labels_have_half_the_deviance(self) -> None:
        sm = pytest.importorskip("statsmodels.api")
        metrics = pytest.importorskip("sklearn.metrics")
        X, X_test, rng = design(37), design(38, n=25), np.random.default_rng(39)
        theta = 0.3 * rng.standard_normal((1, 4))
        count, positive = rng.poisson(2, 25), rng.gamma(2, size=25)
        mean = np.exp(X_test @ theta[0])
        for build, family, y in (
            (PoissonRegression, sm.families.Poisson(), count),
            (
                lambda X, **k: NegativeBinomialRegression(X, size=1.5, **k),
                sm.families.NegativeBinomial(alpha=1 / 1.5),
                count,
            ),
            (
                lambda X, **k: GammaRegression(X, shape=2.0, **k),
                sm.families.Gamma(sm.families.links.Log()),
                positive,
            ),
        ):
            model = build(X, y=np.arange(60) % 3 + 1.0, test=(X_test, y))
            factor = 2.0 if y is positive else 1.0
            np.testing.assert_allclose(
                model.risk(theta), factor * family.deviance(y, mean) / 50, rtol=1e-10
            )
        label = rng.integers(0, 3, 25)
        table = rng.standard_normal((2, 4))
        model = MultinomialRegression(X, y=np.arange(60) % 3, test=(X_test, label))
        share = np.exp(np.vstack([np.zeros(25), table @ X_test.T]))
        expected = metrics.log_loss(label, (share / share.sum(axis=0)).T, labels=[0, 1, 2])
        np.testing.assert_allclose(model.risk(table.reshape(1, 8)), [expected], rtol=1e-10)
        model = ProbitRegression(X, y=np.arange(60) % 2, test=(X_test, label == 1))
        np.testing.assert_allclose(
            model.risk(theta),
            [metrics.log_loss(label == 1, stats.norm.cdf(X_test @ theta[0]))],
            rtol=1e-10,
        )

    @pytest.mark.parametrize(
        "model",
        [
            ProbitRegression(design(40), [0, 40.0, 0, 0]),
            PoissonRegression(design(40), [0, 100.0, -50, 0]),
            NegativeBinomialRegression(design(40), [0, 60.0, 0, 0], size=0.01),
            GammaRegression(design(40), [0, 30.0, 0, 0], shape=0.05),
            MultinomialRegression(design(40), [[0, 300.0, 0, 0], [0, 0, 300.0, 0]]),
        ],
        ids=list(BUILD),
    )
    def test_extreme_margins_neither_warn_nor_overflow(self, model) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for theta in (
                np.tile(model.truth, (3, 1)),
                20 * np.random.default_rng(0).standard_normal((3, len(model.truth))),
            ):
                assert np.isfinite(model.risk(theta)).all()
                assert np.isfinite(model.draw(theta, 70, np.random.default_rng(1))).all()
                for copies in (1, 2):
                    statistic = model.draw_statistic(theta, 60 * copies, np.random.default_rng(1))
                    assert np.isfinite(statistic).all()
                    fitted = model.fit_statistic(statistic, theta)
                    assert (np.isfinite(fitted).all(axis=1) | np.isnan(fitted).all(axis=1)).all()


@pytest.mark.parametrize("name", [*BUILD, "logistic", "Bradley-Terry", "Huber"])
def test_influence_function_is_the_derivative_in_a_rows_weight(name: str) -> None:
    X = design(41, n=40)
    others = {
        "logistic": lambda X: LogisticRegression(X, BETA),
        "Bradley-Terry": lambda X: BradleyTerry(
            [0, 0.4, -0.5, 0.2], pairs=[(0, 1), (1, 2), (2, 3), (3, 0)], times=10
        ),
        "Huber": lambda X: models.HuberRegression(X, BETA, sigma=0.5),
    }
    model = (BUILD | others)[name](X)
    rows = model.draw_real(2, 50, np.random.default_rng(42))
    fitted = model.fit(rows, np.ones((2, 50)), None)
    influence = model.influence_function(rows, fitted)
    assert influence.shape == (2, 50, len(model.truth))
    np.testing.assert_allclose(influence.mean(axis=1), 0, atol=1e-8)
    for i in (0, 17, 49):
        up, down = (np.ones((2, 50)) for _ in range(2))
        up[:, i], down[:, i] = 1 + 1e-4, 1 - 1e-4
        slope = 50 * (model.fit(rows, up, fitted) - model.fit(rows, down, fitted)) / 2e-4
        np.testing.assert_allclose(influence[:, i], slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gamma", "multinomial"])
def test_obeys_the_law(name: str) -> None:
    """One family whose statistic is n numbers and one with several margins, at n = 600; 4 % allowed
    for n under augment.
    """
    model = BUILD[name](design(43, n=600))
    plan = workflows.augment(6)
    risk = simulate(plan, model=model, replications=800, rng=44)
    assert_agree(risk.ratio, risk.stderr, derive(plan).ratio, detects=0.35, allowance=0.04)


class TestBradleyTerry:
    PAIRS = ((0, 1), (0, 2), (1, 2), (2, 3))

    def test_is_the_logistic_regression_on_differences(self) -> None:
        model = BradleyTerry([0.2, 0.5, -0.4, 0.0], pairs=self.PAIRS, times=[3, 4, 5, 6])
        assert model.design_rows == 18
        np.testing.assert_allclose(model.truth, [0.3, -0.6, -0.2])
        margin = model.X @ model.truth
        expected = np.repeat([0.2 - 0.5, 0.2 + 0.4, 0.5 + 0.4, -0.4 - 0.0], [3, 4, 5, 6])
        np.testing.assert_allclose(margin, expected)
        np.testing.assert_allclose(
            model.strength(model.truth[None])[0], np.array([0.2, 0.5, -0.4, 0.0]) - 0.075
        )
        assert repr(model) == "BradleyTerry(X 18 x 3, beta)"

    def test_observed_wins_have_the_estimate_of_fords_iteration(self) -> None:
        """Strengths by the classical fixed point (Zermelo 1929): w_i = wins_i / sum_j n_ij / (w_i +
        w_j).
        """
        times, wins = np.array([10, 12, 9, 20]), np.array([4, 9, 5, 8])
        model = BradleyTerry(pairs=self.PAIRS, times=times, wins=wins)
        worth, won = np.ones(4), np.zeros(4)
        for (i, j), k, w in zip(self.PAIRS, times, wins, strict=True):
            won[i] += w
            won[j] += k - w
        for _ in range(5000):
            met = np.zeros(4)
            for (i, j), k in zip(self.PAIRS, times, strict=True):
                met[[i, j]] += k / (worth[i] + worth[j])
            worth = won / met
            worth /= worth[0]
        np.testing.assert_allclose(model.truth, np.log(worth[1:]), atol=1e-10)

    def test_fords_condition(self) -> None:
        """Every result of a small schedule: an estimate exists exactly where the graph of who beat
        whom is strongly connected.
        """
        times = np.array([2, 2, 1, 2])
        results = np.array(list(np.ndindex(*(times + 1))))
        strong = []
        for wins in results:
            beat = np.eye(4, dtype=bool)
            for (i, j), k, w in zip(self.PAIRS, times, wins, strict=True):
                beat[i, j] |= w > 0
                beat[j, i] |= w < k
            strong.append(np.linalg.matrix_power(beat.astype(int), 4).astype(bool).all())
        lost = [
            np.isnan(BradleyTerry(pairs=self.PAIRS, times=times, wins=wins).truth).any()
            for wins in results
        ]
        assert lost == [not s for s in strong]
        assert 0 < sum(strong) < len(strong)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"strength": [0, 1, 2, 3], "pairs": [(0, 1), (2, 3)]},
                r"groups of items that never meet, \[0, 1\] and \[2, 3\]",
            ),
            (
                {"strength": [0, 1, 2], "pairs": [(0, 1)]},
                r"never meet, \[0, 1\] and \[2\].* Add pairs",
            ),
            (
                {"strength": [0, 1], "pairs": [(0, 1), (1, 2)]},
                "strength must have 3 entries, as pairs name items 0 to 2; it has 2",
            ),
            ({"strength": [0, 1], "pairs": [(0, 0), (0, 1)]}, "item 0 is compared with itself"),
            ({"strength": [0, 1], "pairs": [(0, 1, 1)]}, r"a table of shape \(k, 2\)"),
            ({"strength": [0, 1], "pairs": [(0, -1)]}, "items' numbers 0, 1, 2"),
            (
                {"strength": [0, 1], "pairs": [(0, 1)], "times": 0},
                "times must be a whole number, at least 1",
            ),
            (
                {"strength": [0, 1], "pairs": [(0, 1)], "times": [1, 2]},
                "one for each of the 1 pairs",
            ),
            (
                {"pairs": [(0, 1)], "times": 3, "wins": [4]},
                "wins must be whole numbers between 0 and times",
            ),
            ({"pairs": [(0, 1)], "times": 3}, "give either strength .* or wins .*, and not both"),
            (
                {"strength": [0, 1], "pairs": [(0, 1)], "times": 3, "wins": [1]},
                "give either strength .* and not both",
            ),
        ],
    )
    def test_messages(self, arguments: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            BradleyTerry(**arguments)  # type: ignore[arg-type]


class TestMessages:
    X = design(46, n=10, columns=3)

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (
                lambda X: PoissonRegression(X, y=np.arange(10) - 1),
                "y must hold counts 0, 1, 2, ...; it holds -1 too",
            ),
            (
                lambda X: NegativeBinomialRegression(X, y=np.arange(10) + 0.5),
                "y must hold counts 0, 1, 2, ...; it holds 0.5 too",
            ),
            (
                lambda X: GammaRegression(X, y=np.arange(10)),
                "y must hold positive numbers; it holds 0 too",
            ),
            (
                lambda X: ProbitRegression(X, y=np.arange(10)),
                "y must hold labels 0 and 1; it holds 2 too. Recode",
            ),
            (
                lambda X: MultinomialRegression(X, y=np.arange(10), classes=3),
                "y must hold labels 0, 1, ..., 2; it holds 3 too. Recode",
            ),
            (
                lambda X: MultinomialRegression(X, beta=[0, 0, 0]),
                "at least two classes; give beta as a table",
            ),
            (
                lambda X: MultinomialRegression(X, beta=np.zeros((2, 4))),
                r"beta must have shape \(2, 3\).* it has shape \(2, 4\)",
            ),
            (lambda X: MultinomialRegression(X, y=np.zeros(10)), "at least two classes"),
            (lambda X: GammaRegression(X, np.zeros(3), shape=0), "shape"),
            (lambda X: NegativeBinomialRegression(X, np.zeros(3), size=-1), "size"),
            (lambda X: PoissonRegression(X), "give either beta .* or y"),
        ],
    )
    def test_says_what_was_expected(self, build, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            build(self.X)
