"""Logistic regression: the batched Newton fit against independent solvers, separation, draws, risk
and messages.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from collapse import datasets, simulate, workflows
from collapse.models import protocols
from collapse.models.protocols import WithDesign, WithStatistic
from collapse.models.regression import likelihoods, newton
from collapse.models.regression.glm import LogisticRegression, log_loss, probability

Array = NDArray[np.float64]

# Two-sided normal quantile at a false-alarm rate of 1e-6.
Z_1E6 = 4.892


def design(seed: int, n: int = 60, columns: int = 4) -> Array:
    rng = np.random.default_rng(seed)
    return np.column_stack([np.ones(n), rng.standard_normal((n, columns - 1))])


def reference(X: Array, weight: Array, y: Array) -> Array:
    """Maximum likelihood of one data set in extended precision: Newton halving on the likelihood,
    elimination by hand.
    """
    X, weight, y = (np.asarray(a, dtype=np.longdouble) for a in (X, weight, y))
    sign = 2 * y - 1

    def likelihood(theta: NDArray[np.longdouble]) -> np.longdouble:
        return -(weight * np.logaddexp(0, -sign * (X @ theta))).sum()

    theta = np.zeros(X.shape[1], dtype=np.longdouble)
    for _ in range(300):
        share = 1 / (1 + np.exp(-(X @ theta)))
        gradient = X.T @ (weight * (y - share))
        step = eliminate((X * (weight * share * (1 - share))[:, None]).T @ X, gradient)
        length = 1.0
        while likelihood(theta + length * step) < likelihood(theta) and length > 1e-9:
            length /= 2
        theta = theta + length * step
        if np.abs(step).max() <= 1e-15 * np.abs(theta).max():
            break
    return theta.astype(float)


def eliminate(
    matrix: NDArray[np.longdouble], right: NDArray[np.longdouble]
) -> NDArray[np.longdouble]:
    a = np.column_stack([matrix, right])
    for k in range(len(right)):
        pivot = k + int(np.abs(a[k:, k]).argmax())
        a[[k, pivot]] = a[[pivot, k]]
        a[k] /= a[k, k]
        others = np.arange(len(right)) != k
        a[others] -= a[others, k, None] * a[k]
    return a[:, -1]


def separated(X: Array, weight: Array, y: Array) -> bool:
    """Whether some direction classifies every row with weight, not all of them with margin zero."""
    signed = (2 * y - 1)[:, None] * X * (weight > 0)[:, None]
    return (
        -linprog(
            -signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=[(-1, 1)] * X.shape[1]
        ).fun
        > 1e-7
    )


def as_rows(y: Array) -> Array:
    """Labels (R, n) of the whole design as rows (R, n, 2)."""
    index = np.broadcast_to(np.arange(y.shape[1], dtype=float), y.shape)
    return np.stack([index, y], axis=2)


def fit_labels(X: Array, y: Array) -> Array:
    """Fit labels (R, n) through the mean statistic."""
    return LogisticRegression(X, beta=np.zeros(X.shape[1])).fit_statistic(y @ X / len(X), None)


class TestFit:
    def test_is_a_model_with_statistic_and_design(self) -> None:
        model = LogisticRegression(design(0), beta=np.zeros(4))
        assert isinstance(model, WithStatistic)
        assert isinstance(model, WithDesign)
        assert model.design_rows == 60
        assert model.limit_risk == 2.0

    def test_agrees_with_statsmodels(self) -> None:
        sm = pytest.importorskip("statsmodels.api")
        X = design(1, n=300, columns=6)
        y = (
            np.random.default_rng(2).random((20, 300))
            < probability(np.array([[0.3, 1, -1, 0.5, 0, 0]]), X)
        ).astype(float)
        fitted = fit_labels(X, y)
        for row, labels in zip(fitted, y, strict=True):
            other = sm.Logit(labels, X).fit(disp=False, method="newton", maxiter=100, tol=1e-14)
            np.testing.assert_allclose(row, other.params, atol=1e-10)
            ours = -300 * log_loss(row[None], X, labels)[0]
            assert abs(ours - other.llf) <= 1e-12 * abs(other.llf)

    def test_agrees_with_statsmodels_on_weighted_rows(self) -> None:
        sm = pytest.importorskip("statsmodels.api")
        X, rng = design(3), np.random.default_rng(4)
        model = LogisticRegression(X, beta=[0.2, 0.5, -0.5, 0])
        rows = model.draw(np.tile(model.truth, (10, 1)), 150, rng)
        weight = rng.uniform(0.1, 3, (10, 150))
        fitted = model.fit(rows, weight, None)
        for r in range(10):
            index, label = rows[r, :, 0].astype(int), rows[r, :, 1]
            other = sm.GLM(
                label, X[index], family=sm.families.Binomial(), freq_weights=weight[r]
            ).fit(tol=1e-14, maxiter=100)
            np.testing.assert_allclose(fitted[r], other.params, atol=1e-9)
            np.testing.assert_allclose(fitted[r], reference(X[index], weight[r], label), atol=1e-10)

    def test_ill_scaled_columns(self) -> None:
        X = design(5)
        y = (np.random.default_rng(6).random((8, 60)) < 0.5).astype(float)
        scale = np.array([1.0, 1e8, 1e-6, 1e3])
        np.testing.assert_allclose(fit_labels(X * scale, y) * scale, fit_labels(X, y), atol=1e-10)

    def test_nearly_dependent_columns(self) -> None:
        X = design(7)
        X[:, 3] = X[:, 2] + 1e-4 * X[:, 3]
        y = (np.random.default_rng(8).random((1, 60)) < 0.5).astype(float)
        exact = reference(X, np.ones(60), y[0])
        np.testing.assert_allclose(fit_labels(X, y)[0], exact, rtol=1e-9, atol=1e-9)

    def test_batch_equals_loop_and_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        X = design(9)
        model = LogisticRegression(X, beta=[0, 1, 1, 0])
        statistic = model.draw_real_statistic(50, 60, np.random.default_rng(10))
        batch = model.fit_statistic(statistic, None)
        loop = np.concatenate([model.fit_statistic(row[None], None) for row in statistic])
        np.testing.assert_allclose(batch, loop, rtol=1e-10, atol=1e-11)
        monkeypatch.setattr(protocols, "CELLS", 400)
        np.testing.assert_allclose(
            batch, model.fit_statistic(statistic, None), rtol=1e-10, atol=1e-11
        )
        np.testing.assert_array_equal(
            statistic, model.draw_real_statistic(50, 60, np.random.default_rng(10))
        )
        monkeypatch.setattr(newton, "MANY", 1)
        np.testing.assert_allclose(
            batch, model.fit_statistic(statistic, None), rtol=1e-10, atol=1e-11
        )

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6), spread=st.floats(0, 30))
    def test_start_does_not_matter(self, seed: int, spread: float) -> None:
        X, rng = design(11), np.random.default_rng(seed)
        model = LogisticRegression(X, beta=[0, 1, 0, 0])
        statistic = model.draw_real_statistic(4, 60, rng)
        cold = model.fit_statistic(statistic, None)
        warm = model.fit_statistic(statistic, spread * rng.standard_normal((4, 4)))
        np.testing.assert_allclose(warm, cold, rtol=1e-10, atol=1e-10)

    def test_start_may_be_missing_in_part(self) -> None:
        model = LogisticRegression(design(12), beta=[0, 1, 0, 0])
        statistic = model.draw_real_statistic(3, 60, np.random.default_rng(0))
        start = np.array([[np.nan] * 4, [0.1] * 4, [np.nan] * 4])
        np.testing.assert_allclose(
            model.fit_statistic(statistic, start), model.fit_statistic(statistic, None), atol=1e-10
        )

    def test_missing_statistic_is_a_missing_fit(self) -> None:
        model = LogisticRegression(design(12), beta=[0, 1, 0, 0])
        statistic = model.draw_real_statistic(3, 60, np.random.default_rng(0))
        expected = model.fit_statistic(statistic, None)
        statistic[1] = np.nan
        expected[1] = np.nan
        np.testing.assert_allclose(model.fit_statistic(statistic, None), expected, atol=1e-10)

    def test_rows_agree_with_statistic(self) -> None:
        X = design(13)
        model = LogisticRegression(X, beta=[0.5, 1, 0, -1])
        rows = model.draw_real(30, 120, np.random.default_rng(14))
        statistic = np.einsum("rk,rkp->rp", rows[:, :, 1], X[rows[:, :, 0].astype(int)]) / 120
        weight = np.full((30, 120), 0.7)
        np.testing.assert_allclose(
            model.fit(rows, weight, None),
            model.fit_statistic(statistic, None),
            rtol=1e-10,
            atol=1e-10,
        )

    def test_padding_is_not_read(self) -> None:
        X = design(15)
        model = LogisticRegression(X, beta=[0.5, 1, 0, -1])
        rows = model.draw_real(5, 90, np.random.default_rng(16))
        weight = np.ones((5, 90))
        expected = model.fit(rows, weight, None)
        padding = np.full((5, 7, 2), np.nan)
        padded = model.fit(
            np.concatenate([rows, padding], axis=1),
            np.concatenate([weight, np.zeros((5, 7))], axis=1),
            None,
        )
        np.testing.assert_array_equal(padded, expected)

    def test_rows_that_do_not_span_have_no_fit(self) -> None:
        X = np.column_stack([np.ones(40), np.arange(40) < 5, np.linspace(-1, 1, 40)])
        model = LogisticRegression(X, beta=[0, 0, 0])
        y = np.tile([0.0, 1.0, 1.0, 0.0], 10)[None]
        weight = np.ones((2, 40))
        weight[1, :5] = 0
        fitted = model.fit(np.repeat(as_rows(y), 2, axis=0), weight, None)
        assert np.isfinite(fitted[0]).all()
        assert np.isnan(fitted[1]).all()
        assert np.isnan(model.fit(as_rows(y), np.zeros((1, 40)), None)).all()


class TestSafeguard:
    # Designs with heavy tails on which plain Newton from zero runs away although the estimate
    # exists.
    SEEDS = (7565, 8105, 9799, 34343)

    @staticmethod
    def hard(seed: int) -> tuple[Array, Array]:
        rng = np.random.default_rng(seed)
        X = np.column_stack([np.ones(17), np.exp(1.5 * rng.standard_normal((17, 3)))])
        return X, (rng.random(17) < 0.5).astype(float)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_converges_where_plain_newton_diverges(self, seed: int) -> None:
        X, y = self.hard(seed)
        exact = reference(X, np.ones(17), y)
        np.testing.assert_allclose(fit_labels(X, y[None])[0], exact, rtol=1e-8, atol=1e-9)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_mutant_without_safeguard_diverges(
        self, seed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = []
        search = likelihoods.Logistic.search
        monkeypatch.setattr(
            likelihoods.Logistic,
            "search",
            lambda self, *given: calls.append(seed) or search(self, *given),
        )
        X, y = self.hard(seed)
        fit_labels(X, y[None])
        assert calls == []
        monkeypatch.setattr(newton, "SURE", np.inf)
        fit_labels(X, y[None])
        assert calls == [seed]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_search_finds_what_the_iteration_finds(
        self, seed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        X, y = self.hard(seed)
        expected = fit_labels(X, y[None])
        monkeypatch.setattr(newton, "PATIENCE", 3)
        np.testing.assert_allclose(fit_labels(X, y[None]), expected, rtol=1e-8, atol=1e-9)

    def test_nearly_separated_chains_end_without_an_error(self) -> None:
        """Fits that reach margins of a thousand: 500 halved Newton steps do not get there."""
        X, y, _, _ = datasets.heart().scaled().split()
        model = LogisticRegression(datasets.with_intercept(X), y=y)
        risk = simulate(workflows.discard(15), model=model, replications=1000, rng=7)
        assert 0.9 < risk.failed[-1] <= 1

    def test_far_start(self) -> None:
        model = LogisticRegression(design(17), beta=[0, 1, 0, 0])
        statistic = model.draw_real_statistic(4, 60, np.random.default_rng(18))
        far = np.array([[0, 40.0, 0, 0], [0, -40.0, 0, 0], [1e3, 0, 0, 0], [0, 3e3, -1e3, 5e3]])
        np.testing.assert_allclose(
            model.fit_statistic(statistic, far),
            model.fit_statistic(statistic, None),
            rtol=1e-10,
            atol=1e-10,
        )


class TestSeparation:
    def test_complete(self) -> None:
        X = design(19)
        y = (X @ [0.2, 1, -1, 0.5] > 0).astype(float)
        assert np.isnan(fit_labels(X, y[None])).all()
        model = LogisticRegression(X, beta=np.zeros(4))
        assert np.isnan(model.fit(as_rows(y[None]), np.full((1, 60), 2.0), None)).all()
        assert np.isnan(LogisticRegression(X, y=y).truth).all()

    @pytest.mark.parametrize("label", [0.0, 1.0])
    def test_one_class_only(self, label: float) -> None:
        assert np.isnan(fit_labels(design(19), np.full((1, 60), label))).all()

    def test_only_the_separated_replication_is_lost(self) -> None:
        X, rng = design(20), np.random.default_rng(21)
        y = (rng.random((5, 60)) < 0.5).astype(float)
        y[2] = X[:, 1] > 0.1
        fitted = fit_labels(X, y)
        assert np.isnan(fitted[2]).all()
        for r in (0, 1, 3, 4):
            np.testing.assert_allclose(fitted[r], reference(X, np.ones(60), y[r]), atol=1e-10)

    def test_quasi_complete(self) -> None:
        # A binary column with one class at one of its levels: its coefficient is infinite, every
        # other margin finite.
        rng = np.random.default_rng(22)
        X = np.column_stack([np.ones(80), rng.standard_normal(80), rng.random(80) < 0.15])
        y = (rng.random((3, 80)) < 0.5).astype(float)
        y[1, X[:, 2] == 1] = 1
        fitted = fit_labels(X, y)
        assert np.isnan(fitted[1]).all()
        assert np.isfinite(fitted[[0, 2]]).all()
        model = LogisticRegression(X, beta=np.zeros(3))
        by_rows = model.fit(as_rows(y), rng.uniform(0.5, 2, (3, 80)), None)
        assert np.isnan(by_rows[1]).all()
        assert np.isfinite(by_rows[[0, 2]]).all()

    def test_far_starts_do_not_hide_separation(self) -> None:
        # A start at which the separated margins are large already, or from which one step makes
        # them so, has gradient and Hessian zero there.
        rng = np.random.default_rng(47)
        level = np.arange(80) < 4
        X = np.column_stack([np.ones(80), rng.standard_normal(80), level])
        y = (rng.random(80) < 0.5).astype(float)
        y[level] = 1
        model = LogisticRegression(X, beta=np.zeros(3))
        last = np.array([-4.0, -3.0, -2.0, 4.0, 20.0, 40.0, 60.0, 1e3])
        start = np.column_stack([np.zeros((8, 2)), last])
        assert np.isnan(model.fit_statistic(np.tile(y @ X / 80, (8, 1)), start)).all()
        clear = (X[:, 1] > 0).astype(float)
        start = np.column_stack([np.zeros(8), 100 * last, np.zeros(8)])
        assert np.isnan(model.fit_statistic(np.tile(clear @ X / 80, (8, 1)), start)).all()

    def test_estimate_lost_in_rounding_is_missing(self) -> None:
        # The coefficient of the last column balances two rows whose other margins are 80 apart: its
        # information is exp(-40), so 1e-18.
        x = np.r_[np.linspace(-1, 1, 40), -1.0, 1.0]
        X = np.column_stack([np.ones(42), x, np.r_[np.zeros(40), 1.0, 1.0]])
        label = probability(np.array([[0.0, 40.0, 0.0]]), X)
        fitted = LogisticRegression(X, beta=np.zeros(3)).fit_statistic(
            label @ X / 42, np.array([[0.0, 39.0, 3.0]])
        )
        assert np.isnan(fitted).all()

    @pytest.mark.parametrize("patience", [3, 40], ids=["by a search", "by the iteration"])
    def test_a_flat_hessian_decides(self, patience: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Quasi-complete separation, which no iterate shows by itself."""
        shown = []
        separates = likelihoods.Logistic._separates
        monkeypatch.setattr(
            likelihoods.Logistic,
            "_separates",
            lambda self, *given: shown.append(separates(self, *given)) or shown[-1],
        )
        monkeypatch.setattr(newton, "PATIENCE", patience)
        rng = np.random.default_rng(48)
        X = np.column_stack([np.ones(50), rng.standard_normal(50), np.arange(50) < 3])
        y = (rng.random((2, 50)) < 0.5).astype(float)
        y[0, :3] = 1
        y[1, :3] = [0, 1, 1]
        assert np.isnan(fit_labels(X, y)).any(axis=1).tolist() == [True, False]
        model = LogisticRegression(X, beta=np.zeros(3))
        weight = np.ones((2, 50))
        weight[1, 0] = 0
        assert np.isnan(model.fit(as_rows(y), weight, None)).all()
        assert not any(each.any() for each in shown)

    def test_rows_without_weight_are_outside_the_data(self) -> None:
        # The only positive row that keeps the labels from separating has weight 0.
        X = np.column_stack([np.ones(30), np.linspace(-1, 1, 30)])
        y = (X[:, 1] > 0).astype(float)[None]
        y[0, 3] = 1
        model = LogisticRegression(X, beta=[0, 0])
        weight = np.ones((1, 30))
        assert np.isfinite(model.fit(as_rows(y), weight, None)).all()
        weight[0, 3] = 0
        assert np.isnan(model.fit(as_rows(y), weight, None)).all()

    def test_nearly_separated_data_converge(self) -> None:
        X = design(23)
        y = (X[:, 1] > 0).astype(float)
        nearest = np.abs(X[:, 1]).argsort()
        for k, flipped in enumerate(nearest[:6]):
            labels = y.copy()
            labels[flipped] = 1 - labels[flipped]
            if separated(X, np.ones(60), labels):
                assert np.isnan(fit_labels(X, labels[None])).all()
                continue
            fitted = fit_labels(X, labels[None])[0]
            exact = reference(X, np.ones(60), labels)
            np.testing.assert_allclose(fitted, exact, rtol=1e-8, err_msg=str(k))
            ours, best = log_loss(np.stack([fitted, exact]), X, labels)
            assert abs(ours - best) <= 1e-12 * best

    @pytest.mark.parametrize("share", [1e-3, 1e-5, 1e-7])
    def test_a_small_share_of_contrary_labels_is_an_estimate(self, share: float) -> None:
        X = np.column_stack([np.ones(40), np.linspace(-1, 1, 40)])
        model = LogisticRegression(X, beta=[0, 0])
        clean = (X[:, 1] > 0).astype(float)
        label = clean * (1 - share) + (1 - clean) * share
        fitted = model.fit_statistic((label @ X / 40)[None], None)[0]
        exact = reference(
            np.tile(X, (2, 1)), np.r_[label, 1 - label], np.r_[np.ones(40), np.zeros(40)]
        )
        np.testing.assert_allclose(fitted, exact, rtol=1e-6, atol=1e-6)

    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(0, 10**6), n=st.integers(8, 30), steep=st.floats(0, 4))
    def test_missing_exactly_where_separated(self, seed: int, n: int, steep: float) -> None:
        rng = np.random.default_rng(seed)
        X = np.column_stack([np.ones(n), rng.standard_normal(n), np.arange(n) < 3])
        y = (rng.random((6, n)) < probability(np.array([[0, steep, steep]]), X)).astype(float)
        weight = (rng.random((6, n)) < 0.9).astype(float)
        weight[:, :4] = 1
        weight[:, -2:] = 1
        model = LogisticRegression(X, beta=np.zeros(3))
        whole = fit_labels(X, y)
        part = model.fit(as_rows(y), weight, None)
        for r in range(6):
            assert np.isnan(whole[r]).any() == separated(X, np.ones(n), y[r])
            assert np.isnan(part[r]).any() == separated(X, weight[r], y[r])
            if np.isfinite(part[r]).all():
                exact = reference(X, weight[r], y[r])
                share = probability(exact[None], X)[0]
                # In units of a standard error times root n: where fitted probabilities come near 0
                # and 1 the coefficients themselves are less sharp.
                off = X @ (part[r] - exact)
                assert np.sqrt(np.average(share * (1 - share) * off**2, weights=weight[r])) < 1e-10


class TestDraw:
    def test_rows_hold_whole_copies_and_distinct_others(self) -> None:
        model = LogisticRegression(design(24), beta=[0, 1, 0, 0])
        rows = model.draw(np.zeros((50, 4)), 2 * 60 + 7, np.random.default_rng(25))
        assert rows.shape == (50, 127, 2)
        assert set(np.unique(rows[:, :, 1])) == {0.0, 1.0}
        for batch in rows[:, :, 0].astype(int):
            assert np.bincount(batch, minlength=60).min() == 2
            assert np.bincount(batch, minlength=60).max() == 3
        assert len({tuple(np.sort(batch)) for batch in rows[:, 120:, 0]}) == 50

    @staticmethod
    def worst_z(count: Array, draws: int, share: Array) -> float:
        return float(np.abs((count - draws * share) / np.sqrt(draws * share * (1 - share))).max())

    @pytest.mark.parametrize("copies", [1, 3])
    def test_labels_come_from_theta_and_not_from_the_truth(self, copies: int) -> None:
        # Each coefficient's statistic is compared with its mean at 1e-6 / 4 = one of four: quantile
        # 5.16. With 20,000 replications a shift of a tenth of a statistic's standard deviation
        # would stand 14 deviations out.
        X = design(26)
        theta = np.array([0.5, -1.0, 0.3, 0.0])
        model = LogisticRegression(X, beta=[-0.5, 1.0, 0.3, 0.4])
        share, replications = probability(theta[None], X)[0], 20_000

        def worst(statistic: Array) -> float:
            variance = (share * (1 - share)) @ X**2 / (copies * 60**2 * replications)
            return float(
                np.abs((statistic.mean(axis=0) - share @ X / 60) / np.sqrt(variance)).max()
            )

        rng = np.random.default_rng(27)
        assert (
            worst(model.draw_statistic(np.tile(theta, (replications, 1)), 60 * copies, rng)) < 5.16
        )
        assert worst(model.draw_real_statistic(replications, 60 * copies, rng)) > 50

    def test_row_labels_come_from_theta_and_not_from_the_truth(self) -> None:
        # 60 rows, each at 1e-6 / 60: quantile 5.7.
        X = design(28)
        theta = np.array([0.5, -1.0, 0.3, 0.0])
        model = LogisticRegression(X, beta=[-0.5, 1.0, 0.3, 0.4])
        rng = np.random.default_rng(29)
        for batch, low, high in (
            (model.draw(np.tile(theta, (3000, 1)), 90, rng), 0, 5.7),
            (model.draw_real(3000, 90, rng), 20, np.inf),
        ):
            index = batch[:, :, 0].astype(int).ravel()
            draws, count = np.bincount(index), np.bincount(index, batch[:, :, 1].ravel())
            share = probability(theta[None], X)[0]
            worst = float(
                np.abs((count - draws * share) / np.sqrt(draws * share * (1 - share))).max()
            )
            assert low < worst < high

    def test_statistic_has_the_variance_of_independent_labels(self) -> None:
        # A variance over 20,000 nearly normal draws has a relative standard error of 1 %; four at a
        # false-alarm rate of 1e-6 together.
        X = design(30)
        model = LogisticRegression(X, beta=[0.5, 1.0, 0.3, 0.4])
        share = probability(model.truth[None], X)[0]
        for copies in (1, 4):
            drawn = model.draw_real_statistic(20_000, 60 * copies, np.random.default_rng(31)).var(
                axis=0
            )
            exact = (share * (1 - share)) @ X**2 / (copies * 60**2)
            np.testing.assert_allclose(drawn / exact, 1, atol=5.2 * 0.0101)

    def test_missing_theta_draws_missing_labels(self) -> None:
        model = LogisticRegression(design(32), beta=[0, 1, 0, 0])
        theta = np.array([[0, 1.0, 0, 0], [np.nan] * 4])
        for rows in (60, 180):
            statistic = model.draw_statistic(theta, rows, np.random.default_rng(33))
            assert np.isfinite(statistic[0]).all()
            assert np.isnan(statistic[1]).all()
        batch = model.draw(theta, 10, np.random.default_rng(33))
        assert np.isfinite(batch[0]).all()
        assert np.isnan(batch[1, :, 1]).all()
        assert np.isnan(model.fit(batch, np.ones((2, 10)), None)[1]).all()

    def test_observed_labels_are_the_real_batch(self) -> None:
        X = design(34)
        y = (np.random.default_rng(35).random(60) < 0.5).astype(float)
        model = LogisticRegression(X, y=y)
        rows = model.draw_real(3, 60, np.random.default_rng(0))
        np.testing.assert_array_equal(rows[2, :, 0], np.arange(60))
        np.testing.assert_array_equal(rows[2, :, 1], y)
        statistic = model.draw_real_statistic(3, 60, np.random.default_rng(0))
        np.testing.assert_allclose(statistic, np.tile(y @ X / 60, (3, 1)), rtol=1e-15)
        np.testing.assert_allclose(model.fit_statistic(statistic, None)[1], model.truth, atol=1e-12)
        np.testing.assert_allclose(model.truth, reference(X, np.ones(60), y), atol=1e-10)
        np.testing.assert_allclose(
            model.fit(rows, np.ones((3, 60)), None)[0], model.truth, atol=1e-10
        )


class TestRisk:
    def test_is_the_mean_divergence_from_the_truth(self) -> None:
        X, rng = design(36), np.random.default_rng(37)
        model = LogisticRegression(X, beta=[0.5, 1.0, 0.3, 0.4])
        theta = rng.standard_normal((7, 4))
        true, fitted = probability(model.truth[None], X), probability(theta, X)
        divergence = true * np.log(true / fitted) + (1 - true) * np.log((1 - true) / (1 - fitted))
        np.testing.assert_allclose(model.risk(theta), divergence.mean(axis=1), rtol=1e-12)
        assert model.risk(model.truth[None])[0] == 0.0

    def test_second_order_is_the_information(self) -> None:
        X = design(38)
        model = LogisticRegression(X, beta=[0.5, 1.0, 0.3, 0.4])
        share = probability(model.truth[None], X)[0]
        information = (X * (share * (1 - share))[:, None]).T @ X / 60
        shift = 1e-3 * np.random.default_rng(39).standard_normal((20, 4))
        quadratic = 0.5 * np.einsum("ri,ij,rj->r", shift, information, shift)
        np.testing.assert_allclose(model.risk(model.truth + shift), quadratic, rtol=0.01)

    def test_first_fit_has_the_limit_risk(self) -> None:
        # n times risk has mean p / 2 and variance p / 2 in the limit; at n = 4000 its bias is a few
        # parts in a thousand. False-alarm rate 1e-6.
        X = design(40, n=4000)
        model = LogisticRegression(X, beta=[0.3, 0.5, -0.5, 0])
        fitted = model.fit_statistic(
            model.draw_real_statistic(4000, 4000, np.random.default_rng(41)), None
        )
        risk = 4000 * model.risk(fitted)
        assert abs(risk.mean() - model.limit_risk) < Z_1E6 * np.sqrt(model.limit_risk / 4000) + 0.02

    def test_observed_labels_have_log_loss(self) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        X, X_test, rng = design(42), design(43, n=25), np.random.default_rng(44)
        y, y_test = (rng.random(60) < 0.5), (rng.random(25) < 0.4)
        theta = rng.standard_normal((3, 4))
        here, there = LogisticRegression(X, y=y), LogisticRegression(X, y=y, test=(X_test, y_test))
        for r in range(3):
            np.testing.assert_allclose(
                here.risk(theta)[r], metrics.log_loss(y, probability(theta, X)[r]), rtol=1e-12
            )
            np.testing.assert_allclose(
                there.risk(theta)[r],
                metrics.log_loss(y_test, probability(theta, X_test)[r]),
                rtol=1e-12,
            )

    def test_huge_margins_neither_warn_nor_overflow(self) -> None:
        X = design(45)
        theta = np.array([[1e3, 0, 0, 0], [0, 1e3, -1e3, 0], [-1e5, 1, 1, 1]])
        model = LogisticRegression(X, beta=[0, 400.0, 0, 0])
        observed = LogisticRegression(X, y=X[:, 1] + X[:, 2] > 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isfinite(model.risk(theta)).all()
            assert np.isfinite(observed.risk(theta)).all()
            assert np.isfinite(model.draw_statistic(theta, 60, np.random.default_rng(0))).all()
            assert np.isfinite(model.draw_statistic(theta, 120, np.random.default_rng(0))).all()
            assert np.isfinite(model.draw(theta, 70, np.random.default_rng(0))).all()
            share = probability(theta, X)
        assert ((share >= 0) & (share <= 1)).all()
        assert np.isnan(model.risk(np.full((1, 4), np.nan))).all()
        # A right margin of 1,000 costs nothing, a wrong one itself.
        np.testing.assert_allclose(
            log_loss(np.array([[1e3]]), np.ones((2, 1)), np.array([1.0, 0.0])), [500.0]
        )


class TestMessages:
    X = design(46, n=10, columns=3)

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (
                lambda X: LogisticRegression(X),
                r"give either beta \(true coefficients\) or y \(observed labels\), and not both",
            ),
            (
                lambda X: LogisticRegression(X, beta=np.zeros(3), y=np.zeros(10)),
                "give either beta .* and not both",
            ),
            (
                lambda X: LogisticRegression(X, beta=np.zeros(3), test=(X, np.zeros(10))),
                "test goes with observed labels y",
            ),
            (
                lambda X: LogisticRegression(X, beta=np.zeros(4)),
                r"beta must have shape \(3,\) to match X; it has shape \(4,\)",
            ),
            (
                lambda X: LogisticRegression(X, beta=[0, np.nan, 0]),
                "beta must be finite; entry 2 is nan",
            ),
            (
                lambda X: LogisticRegression(X[:, 0], beta=[0]),
                r"X must be the whole design, a table of shape \(n, p\).* it has shape \(10,\)",
            ),
            (
                lambda X: LogisticRegression(X[:2], beta=np.zeros(3)),
                "full column rank; its 3 columns have rank 2 with 2 rows",
            ),
            (
                lambda X: LogisticRegression(X + np.array([0, np.nan, 0]), beta=np.zeros(3)),
                "X must be finite; row 1, column 2 is nan. Drop or impute",
            ),
            (
                lambda X: LogisticRegression(np.c_[X, X[:, 1] - 1], beta=np.zeros(4)),
                "4 columns have rank 3 with 10 rows. Drop constant or redundant",
            ),
            (
                lambda X: LogisticRegression(np.c_[X, np.zeros(10)], beta=np.zeros(4)),
                "4 columns have rank 3",
            ),
            (
                lambda X: LogisticRegression(X, y=np.zeros(9)),
                r"y must have shape \(10,\) to match X; it has shape \(9,\)",
            ),
            (
                lambda X: LogisticRegression(X, y=np.arange(10) - 1),
                "y must hold labels 0 and 1; it holds -1 too. Recode",
            ),
            (
                lambda X: LogisticRegression(X, y=np.full(10, np.nan)),
                "y must be finite; entry 1 is nan",
            ),
            (
                lambda X: LogisticRegression(X, y=X[:, 1] > 0, test=(X[:, :2], np.zeros(10))),
                r"test X must have shape \(m, 3\).*\(10, 2\)",
            ),
            (
                lambda X: LogisticRegression(X, y=X[:, 1] > 0, test=(X, np.zeros(9))),
                r"the test y must have shape \(10,\).*\(9,\)",
            ),
            (
                lambda X: LogisticRegression(X, y=X[:, 1] > 0, test=(X, np.full(10, 2))),
                "the test y must hold labels 0 and 1; it holds 2",
            ),
            (
                lambda X: LogisticRegression(X, y=X[:, 1] > 0, test=(X * np.nan, np.zeros(10))),
                "test X must be finite",
            ),
            (lambda X: LogisticRegression(X, y=X[:, 1] > 0, test=X), "a tuple of two arrays"),
            (
                lambda X: LogisticRegression(X, beta=np.zeros(3)).draw_statistic(
                    np.zeros((1, 3)), 15, None
                ),
                "a multiple of 10, not 15; use draw",
            ),
            (
                lambda X: LogisticRegression(X, y=X[:, 1] > 0).draw_real(1, 20, None),
                "one real batch of 10 rows, and the plan asks for 20",
            ),
            (
                lambda X: LogisticRegression(X, y=X[:, 1] > 0).draw_real_statistic(1, 20, None),
                "one real batch of 10 rows, and the plan",
            ),
        ],
    )
    def test_says_what_was_expected(self, build: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            build(self.X)  # type: ignore[operator]

    def test_no_number_without_convergence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(newton, "PATIENCE", 3)
        monkeypatch.setattr(newton, "DECREMENT", 0.0)
        monkeypatch.setattr(newton, "ITERATIONS", 2)
        model = LogisticRegression(self.X, beta=[0, 1, 0])
        statistic = 0.9 * model.draw_real_statistic(
            3, 10, np.random.default_rng(0)
        ) + 0.1 * 0.5 * self.X.mean(axis=0)
        assert np.isnan(model.fit_statistic(statistic, None)).all()

    def test_arrays_are_the_models_own(self) -> None:
        X, beta = self.X.copy(), np.zeros(3)
        model = LogisticRegression(X, beta=beta)
        X[:], beta[:] = np.nan, np.nan
        assert np.isfinite(model.X).all()
        assert np.isfinite(model.truth).all()
        with pytest.raises(ValueError, match="read-only"):
            model.truth[0] = 1
        assert repr(model) == "LogisticRegression(X 10 x 3, beta)"
