"""Generators of whole rows: plain loops, exact means, other people's fits of the same rows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import digamma
from scipy.stats import norm, rankdata

from collapse import datasets, derive, models, simulate, workflows
from collapse.models.generators.density import kernel
from collapse.simulation.chains import Rows, Statistics
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical
ANY = np.random.default_rng(0)  # for measures, which are exact


def chain(model, plan, n, replications, seed, way=Statistics):
    """Fits (R, d) of each generation."""
    run, rng, theta = way(plan, model, n), np.random.default_rng(seed), None
    for g in range(plan.generations):
        theta = run.fit(g, theta, replications, rng)
        yield theta


def assert_means(samples, expected, detects, allowance=0.0):
    """Assert the mean over replications of each of several samples (k, R)."""
    samples = np.array(samples)
    error = samples.std(axis=1, ddof=1) / np.sqrt(samples.shape[1])
    assert_agree(samples.mean(axis=1), error, expected, detects=detects, allowance=allowance)


# --- the normal law ---


@pytest.mark.parametrize("divisor", ["n", "n-1"])
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("way", [Statistics, Rows])
def test_variance_and_determinant_have_their_exact_means(divisor, d, way):
    """A Wishart matrix of n - 1 degrees of freedom has determinant (n - 1) ... (n - d)."""
    n, G = 12, 4
    A = np.random.default_rng(1).normal(size=(d, d))
    model = models.NormalMeanCovariance(np.arange(d), A @ A.T + np.eye(d), divisor)
    count = n if divisor == "n" else n - 1
    g = np.arange(1, G + 1)
    fits = list(chain(model, workflows.discard(G), n, 20_000, 2, way))
    variance = [model.measure("variance", theta, ANY) for theta in fits]
    assert_means(variance, ((n - 1) / count) ** g, detects=0.12)
    determinant = [model.measure("determinant", theta, ANY) for theta in fits[:2]]
    shrinks = np.prod([(n - 1 - i) / count for i in range(d)])
    assert_means(determinant, shrinks ** g[:2], detects=0.35)


def test_pooled_batches_keep_the_unbiased_variance_unbiased_of_real_rows():
    """Of real batches alone: the divisor is that of all rows together."""
    model = models.NormalMeanCovariance([3], [[2]], "n-1")
    first, second = (model.draw_real_statistic(40_000, m, np.random.default_rng(m)) for m in (3, 6))
    pooled = model.fit_statistic(model.pool(first, second, 6 / 9), None)
    assert_means([model.measure("variance", pooled, ANY)], [1], detects=0.05)
    rows = model.draw_real(50, 9, np.random.default_rng(1))
    fit = model.fit(rows, np.ones((50, 9)), None)
    np.testing.assert_allclose(fit[:, 1] ** 2, rows[..., 0].var(axis=1, ddof=1), rtol=1e-12)
    parts = [model.statistic(part, np.ones(part.shape[:2])) for part in (rows[:, :3], rows[:, 3:])]
    np.testing.assert_allclose(model.fit_statistic(model.pool(*parts, 6 / 9), None), fit)


def test_a_spread_is_followed_to_generation_2000_without_a_lost_replication():
    """The mean of log sigma is exact: each generation adds E log(chi^2_{n-1} / n) / 2."""
    n, G, R = 5, 2000, 1000
    model, plan = models.NormalMeanCovariance([1], [[4]]), workflows.discard(2000)
    *_, last = chain(model, plan, n, R, 3)
    assert np.isfinite(last).all()
    step = (digamma((n - 1) / 2) + np.log(2 / n)) / 2
    level = 0.5 * np.log(2 * np.pi * np.e * 4)
    assert_means([model.measure("entropy", last, ANY)], [level + G * step], detects=0.02)
    assert last[:, 1].min() < 1e-230
    narrow = models.NormalMeanCovariance([1], [[4]])
    statistic = narrow.draw_statistic(np.array([[1.0, 1e-300]] * 4), n, np.random.default_rng(0))
    fit = narrow.fit_statistic(statistic, None)
    assert ((fit[:, 1] > 1e-302) & (fit[:, 1] < 1e-298)).all()
    assert (narrow.risk(fit) == np.inf).all()
    risk = simulate(plan, model=model, n=n, replications=R, rng=1, quantiles=(0.5,))
    assert risk.failed[-1] == 0


def test_normal_fits_agree_with_numpy_on_weighted_rows_and_few_rows_have_no_fit():
    model = models.NormalMeanCovariance([0, 0], [[1, 0.3], [0.3, 2]])
    rows, weight = ANY.normal(size=(1, 9, 2)), ANY.uniform(size=(1, 9))
    mean, root = model._law(model.fit(rows, weight, None))
    np.testing.assert_allclose(mean[0], np.average(rows[0], axis=0, weights=weight[0]))
    covariance = np.cov(rows[0].T, aweights=weight[0], ddof=0)
    np.testing.assert_allclose((root @ root.mT)[0], covariance)
    unbiased = models.NormalMeanCovariance([0, 0], [[1, 0.3], [0.3, 2]], "n-1")
    _, root = unbiased._law(unbiased.fit(rows, weight, None))
    np.testing.assert_allclose((root @ root.mT)[0], np.cov(rows[0].T, aweights=weight[0], ddof=1))
    assert np.isnan(model.fit(rows[:, :2], weight[:, :2], None)).all()
    assert np.isnan(model.fit_statistic(model.draw_real_statistic(3, 2, ANY), None)).all()


@pytest.mark.parametrize("plan", [workflows.discard(3), workflows.augment(3)], ids=repr)
def test_the_normal_law_by_a_plain_loop(plan):
    n, R, S = 8, 4000, np.array([[2, 0.5], [0.5, 1]])
    model = models.NormalMeanCovariance([1, 0], S, "n-1")
    rng, risks = np.random.default_rng(4), np.empty((R, 3))
    for r in range(R):
        mean, covariance, seen = np.array([1, 0]), S, []
        for g in range(3):
            seen.append(rng.multivariate_normal(mean, covariance, n))
            rows = np.concatenate(seen if plan.name == "augment" else seen[-1:])
            mean, covariance = rows.mean(axis=0), np.cov(rows.T)
            off = mean - [1, 0]
            inverse = np.linalg.inv(covariance)
            level = np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(S)[1]
            risks[r, g] = (np.trace(inverse @ S) + off @ inverse @ off - 2 + level) / 2
    found = [model.risk(theta) for theta in chain(model, plan, n, R, 5)]
    for plain, ours in zip(np.log(risks.T), np.log(found), strict=True):
        error = np.hypot(plain.std(), ours.std()) / np.sqrt(R)
        assert_agree(ours.mean() + 9, error, plain.mean() + 9, detects=0.04)


# --- densities ---

COLUMN = np.sinh(np.linspace(-2, 2, 81))


def test_a_histogram_is_a_multinomial_law_and_a_plain_loop_of_numpy_s():
    model, n, R = models.Histogram(COLUMN, 7), 20, 4000
    shares = np.histogram(COLUMN, 7)[0] / len(COLUMN)
    np.testing.assert_allclose(model.truth, shares)
    for plan in (workflows.discard(5), workflows.augment(5)):
        known = derive(plan, model=models.Multinomial(shares), n=n)
        np.testing.assert_allclose(derive(plan, model=model, n=n).risk, known.risk, rtol=1e-12)
    edges, risks, rng = (
        np.histogram_bin_edges(COLUMN, 7),
        np.empty((R, 3)),
        np.random.default_rng(6),
    )
    for r in range(R):
        rows = rng.choice(COLUMN, n)
        for g in range(3):
            fit = np.histogram(rows, edges)[0] / n
            risks[r, g] = ((fit - shares) ** 2).sum()
            cell = rng.choice(7, n, p=fit)
            rows = rng.uniform(edges[cell], edges[cell + 1])
    assert_means(risks.T, derive(workflows.discard(3), model=model, n=n).risk, detects=0.3)


def moment(plan, start, added):
    """Mean second moment about the real mean of what each fit draws: the plan's weights of those
    that it reads, and what smoothing adds.
    """
    moments = [start]
    for g in range(plan.generations):
        read = np.flatnonzero(plan.weight[g])
        moments.append(plan.weight[g, read] @ [moments[plan.source[b]] for b in read] + added)
    return np.array(moments[1:])


@pytest.mark.parametrize(
    "plan", [workflows.discard(4), workflows.augment(4), workflows.window(4, k=2)], ids=repr
)
@pytest.mark.parametrize("way", [Statistics, Rows])
def test_a_kernel_adds_its_variance_in_every_generation(plan, way):
    n, R, h = 15, 6000, 0.9
    model = models.KernelDensity(COLUMN, h, cells=128)
    mean = model.truth @ model.middle
    start = model.truth @ (model.middle - mean) ** 2
    fits = list(chain(model, plan, n, R, 7, way))
    assert_means(
        [theta @ (model.middle - mean) ** 2 for theta in fits],
        moment(plan, start, h**2),
        detects=0.12,
    )
    if plan.name == "discard":  # about its own mean it also shrinks by one part in n
        expected, variance = [], start
        for _ in range(4):
            variance = (1 - 1 / n) * variance + h**2
            expected.append(variance / start)
        assert_means([model.measure("variance", t, ANY) for t in fits], expected, detects=0.12)


def test_a_grid_kernel_has_the_variance_of_a_continuous_one():
    for h in (1.0, 1.7, 5.0):
        table = kernel(101, h)
        np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-12)
        place = np.arange(101)
        assert table[50] @ (place - 50) ** 2 == pytest.approx(h**2, rel=1e-6)


def test_a_kernel_density_by_a_plain_loop_without_a_grid():
    """The shrinking bandwidth too; rows are real numbers, the density is read at the cells."""
    n, R, cells = 25, 400, 128
    for shrink, h in ((False, 0.7), (True, 1.3)):
        model = models.KernelDensity(COLUMN, h, shrink, cells)
        real, at = model.middle[model.place(COLUMN)], model.middle
        width = h * n**-0.2 if shrink else h
        rng, risks = np.random.default_rng(8), np.empty((R, 3))
        for r in range(R):
            rows = rng.choice(real, n)
            for g in range(3):
                density = norm.pdf((at[:, None] - rows) / width).mean(axis=1) / width
                risks[r, g] = ((density - model.truth / model.width) ** 2).sum() * model.width
                rows = rng.choice(rows, n) + width * rng.standard_normal(n)
        found = [model.risk(t) for t in chain(model, workflows.discard(3), n, 4000, 9)]
        for plain, ours in zip(risks.T, found, strict=True):
            error = np.hypot(plain.std() / np.sqrt(R), ours.std() / np.sqrt(4000))
            assert_agree(ours.mean(), error, plain.mean(), detects=0.25, allowance=0.002)


def test_cross_validation_estimates_the_squared_error_without_bias():
    """All pairs of rows: the mean score is the mean squared error but for what no bandwidth
    changes.
    """
    model = models.KernelDensity([0, 1, 1, 2, 5], cells=20)
    cells = np.flatnonzero(model.truth)
    score = error = 0
    for i, j in product(cells, repeat=2):
        shares = np.zeros((1, 20))
        shares[0, i] += 0.5
        shares[0, j] += 0.5
        chance = model.truth[i] * model.truth[j]
        score = score + chance * model.validation(shares, np.array([0.5]))[0]
        for k, h in enumerate(model.ladder):
            density = (shares @ kernel(20, float(h) / model.width)) / model.width
            one = ((density - model.truth / model.width) ** 2).sum() * model.width
            error = error + chance * one * (np.arange(len(model.ladder)) == k)
    constant = (model.truth**2).sum() / model.width
    np.testing.assert_allclose(score + constant, error, rtol=1e-12)


def test_cross_validation_smooths_less_of_more_rows():
    model = models.KernelDensity(COLUMN, cells=256)
    few, many = (
        model.chosen(
            model.draw_real_statistic(200, n, np.random.default_rng(n))[:, :-1], np.full(200, 1 / n)
        )
        for n in (20, 500)
    )
    assert np.median(many) < np.median(few)


def test_a_cross_validated_kernel_density_by_a_plain_loop_without_a_grid():
    n, R, cells = 25, 600, 128
    model = models.KernelDensity(COLUMN, cells=cells)
    real, at = model.middle[model.place(COLUMN)], model.middle
    rng, risks = np.random.default_rng(28), np.empty((R, 3))
    for r in range(R):
        rows = rng.choice(real, n)
        for g in range(3):
            apart = rows[:, None] - rows
            scores = []
            for h in model.ladder:
                square = norm.pdf(apart, scale=np.sqrt(2) * h).mean()
                pairs = norm.pdf(apart, scale=h).sum() - n * norm.pdf(0, scale=h)
                scores.append(square - 2 * pairs / (n * (n - 1)))
            width = model.ladder[np.argmin(scores)]
            density = norm.pdf((at[:, None] - rows) / width).mean(axis=1) / width
            risks[r, g] = ((density - model.truth / model.width) ** 2).sum() * model.width
            rows = rng.choice(rows, n) + width * rng.standard_normal(n)
    found = [model.risk(t) for t in chain(model, workflows.discard(3), n, 2000, 29)]
    for plain, ours in zip(risks.T, found, strict=True):
        error = np.hypot(plain.std() / np.sqrt(R), ours.std() / np.sqrt(2000))
        assert_agree(ours.mean(), error, plain.mean(), detects=0.35, allowance=0.02)


# --- the mixture ---


def test_the_mixture_agrees_with_scikit_learn_on_the_same_rows():
    from sklearn.mixture import GaussianMixture

    model = models.GaussianMixture([0.4, 0.6], [-2, 2], [0.8, 1])
    rows = model.draw_real(3, 150, np.random.default_rng(10))
    fits = model.fit(rows, np.ones(rows.shape), None)
    for sample, fit in zip(rows, fits, strict=True):
        theirs = GaussianMixture(
            2,
            tol=1e-12,
            max_iter=10_000,
            reg_covar=0,
            means_init=[[-2], [2]],
            weights_init=[0.4, 0.6],
            precisions_init=[[[1 / 0.64]], [[1.0]]],
        ).fit(sample[:, None])
        found = [theirs.weights_, theirs.means_[:, 0], np.sqrt(theirs.covariances_[:, 0, 0])]
        np.testing.assert_allclose(fit, np.concatenate(found), rtol=1e-5)


def test_the_mixture_by_a_plain_loop_and_its_first_risk():
    """Plain EM of one chain at a time; the first fit's risk is half the free parameters over n."""
    model, n, R = models.GaussianMixture([0.5, 0.5], [-2.5, 2.5], [1, 1]), 200, 60
    rng, risks = np.random.default_rng(11), np.empty((R, 2))
    x, dx = np.linspace(-12, 12, 2001, retstep=True)

    def density(w, m, s, x):
        return sum(a * norm.pdf(x, b, c) for a, b, c in zip(w, m, s, strict=True))

    true = density([0.5, 0.5], [-2.5, 2.5], [1, 1], x)
    for r in range(R):
        w, m, s = [np.array(v) for v in ([0.5, 0.5], [-2.5, 2.5], [1.0, 1.0])]
        for g in range(2):
            which = rng.random(n) < w[1]
            rows = rng.normal(np.where(which, m[1], m[0]), np.where(which, s[1], s[0]))
            for _ in range(60):
                p = np.array([a * norm.pdf(rows, b, c) for a, b, c in zip(w, m, s, strict=True)])
                p /= p.sum(axis=0)
                w, m = p.mean(axis=1), (p @ rows) / p.sum(axis=1)
                s = np.sqrt((p * (rows - m[:, None]) ** 2).sum(axis=1) / p.sum(axis=1))
            risks[r, g] = (true * np.log(true / density(w, m, s, x))).sum() * dx
    found = [model.risk(t) for t in chain(model, workflows.discard(2), n, 1500, 12, Rows)]
    for plain, ours in zip(np.log(risks.T), np.log(found), strict=True):
        error = np.hypot(plain.std() / np.sqrt(R), ours.std() / np.sqrt(1500))
        assert_agree(ours.mean(), error, plain.mean(), detects=0.3)
    assert_means([found[0]], [model.limit_risk / n], detects=0.3, allowance=0.1)


def test_measures_of_the_mixture():
    one = models.GaussianMixture([1], [3], [2])
    theta = np.array([[1.0, 3.0, 1.0], [1.0, 4.0, 2.0]])
    np.testing.assert_allclose(one.measure("variance", theta, ANY), [0.25, 1])
    np.testing.assert_allclose(
        one.measure("tail", theta, ANY), [norm.ppf(0.99, 3, 1), norm.ppf(0.99, 4, 2)]
    )
    np.testing.assert_allclose(
        one.measure("entropy", theta, ANY), 0.5 * np.log(2 * np.pi * np.e * np.array([1, 4]))
    )
    np.testing.assert_allclose(one.risk(theta)[1], 1 / 8, rtol=1e-9)


def test_a_component_without_rows_is_no_estimate():
    model = models.GaussianMixture([0.5, 0.5], [0, 100], [1, 1])
    assert np.isnan(model.fit(np.array([[0.0, 1.0, 2.0]]), np.ones((1, 3)), None)).all()


# --- the copula ---


def test_the_copula_agrees_with_ranks_and_a_plain_loop():
    rng = np.random.default_rng(13)
    table = np.exp(rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 30))
    model, n, R = models.GaussianCopula(table), 20, 2000

    def scores(rows):
        return norm.ppf((rankdata(rows, axis=0) - 0.5) / len(rows))

    assert model.truth[-1] == pytest.approx(np.corrcoef(scores(table).T)[0, 1], abs=1e-12)
    sorted_, risks = np.sort(table, axis=0), np.empty((R, 2))
    for r in range(R):
        shares, rho = np.full((2, 30), 1 / 30), model.truth[-1]
        for g in range(2):
            u = norm.cdf(rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n))
            at = [np.searchsorted(shares[j].cumsum(), u[:, j]).clip(max=29) for j in (0, 1)]
            rows = np.column_stack([sorted_[at[j], j] for j in (0, 1)])
            rho = np.corrcoef(scores(rows).T)[0, 1]
            shares = np.array([np.bincount(at[j], minlength=30) / n for j in (0, 1)])
            off = (shares - 1 / 30).cumsum(axis=1)
            risks[r, g] = (off**2).mean(axis=1).sum() + (rho - model.truth[-1]) ** 2
        fit = model.fit(rows[None], np.ones((1, n)), None)
        assert fit[0, -1] == pytest.approx(rho, abs=1e-12)
    found = [model.risk(t) for t in chain(model, workflows.discard(2), n, 6000, 14, Rows)]
    for plain, ours in zip(risks.T, found, strict=True):
        error = np.hypot(plain.std() / np.sqrt(R), ours.std() / np.sqrt(6000))
        assert_agree(ours.mean(), error, plain.mean(), detects=0.3)


def test_measures_of_the_copula():
    model = models.GaussianCopula([[0, 0], [1, 5], [2, 1], [3, 2]])
    truth = model.truth[None]
    assert model.measure("variance", truth, ANY) == pytest.approx(1)
    assert model.measure("support", truth, ANY) == 8
    one = truth.copy()
    one[0, :4] = [0, 1, 0, 0]
    assert model.measure("support", one, ANY) == 5
    assert model.measure("tail", one, ANY) == 1
    spread = np.var([0, 5, 1, 2]) / (np.var([0, 1, 2, 3]) + np.var([0, 5, 1, 2]))
    assert model.measure("variance", one, ANY) == pytest.approx(spread)


# --- n-grams ---

SMALL = "a rabbit ran by a barn "


def test_counts_and_smoothing_are_those_of_a_plain_count():
    model = models.NGram(SMALL, 3, 9, add=0.5, backoff=2)
    rows = model.draw_real(1, 7, np.random.default_rng(15))
    visits, shares = model._split(model.fit(rows, np.ones((1, 7)), None))
    V, passages = len(model.tokens), rows[0].astype(int).tolist()
    grams = [tuple(p[i : i + 3]) for p in passages for i in range(7)]
    for a, b in product(range(V), repeat=2):
        after = Counter(g[2] for g in grams if g[:2] == (a, b))
        shorter = Counter(g[2] for g in grams if g[1] == b)
        alone = Counter(g[2] for g in grams)
        p = np.array([(alone[x] + 0.5) / (len(grams) + 0.5 * V) for x in range(V)])
        for count in (shorter, after):
            p = np.array([count[x] + 0.5 + 2 * p[x] for x in range(V)])
            p /= sum(p)
        np.testing.assert_allclose(shares[0, a * V + b], p, rtol=1e-12)
        met = sum(g[:2] == (a, b) for g in grams) / len(grams)
        assert visits[0, a * V + b] == pytest.approx(met, abs=1e-12)


def test_a_context_that_was_not_read_is_backed_off():
    model = models.NGram("abcabd", 2, 4)
    rows = np.array([[[0.0, 1, 0, 1]]])  # a b a b: after c and d nothing is known
    shares = model._split(model.fit(rows, np.ones((1, 1)), None))[1][0]
    np.testing.assert_allclose(shares[0], [0, 1, 0, 0])
    np.testing.assert_allclose(shares[2], [1 / 3, 2 / 3, 0, 0])


@pytest.mark.parametrize("plan", [workflows.discard(6), workflows.augment(6)], ids=repr)
def test_single_tokens_are_a_multinomial_law(plan):
    model, n, length = models.NGram(SMALL, 1, 5), 8, 5
    p = np.array(list(Counter(sorted(SMALL)).values())) / len(SMALL)
    known = derive(plan, model=models.Multinomial(p / p.sum()), n=n * length)
    found = [model.risk(theta) for theta in chain(model, plan, n, 6000, 16)]
    assert_means(found, known.risk, detects=0.12)


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_added_counts_drift_to_uniform_only_where_data_are_discarded(name):
    """Discard: p -> (N p + k) / (N + k V) each time. Augment: once, and never again."""
    n, length, k, G = 10, 4, 3.0, 5
    model = models.NGram(SMALL, 1, length, add=k)
    N, V = n * length, len(model.tokens)
    p, means = model.truth[1:], []
    for g in range(G):
        if g == 0 or name == "discard":
            p = (N * p + k) / (N + k * V)
        means.append(p)
    plan = getattr(workflows, name)(G)
    fits = list(chain(model, plan, n, 20_000, 17))
    for fit, mean in zip(fits, means, strict=True):
        assert_means(fit[:, 1:].T, mean, detects=0.08)


def test_the_rows_of_a_chain_have_the_pairs_of_the_law():
    model = models.NGram(SMALL, 2, 30)
    rows = model.draw_real(1, 3000, np.random.default_rng(18))[0].astype(int)
    pairs = Counter(pair for row in rows for pair in pairwise(row))
    text = Counter(pairwise(SMALL + SMALL[0]))
    total = sum(pairs.values())
    for (a, b), count in text.items():
        share = pairs[model.tokens.index(a), model.tokens.index(b)] / total
        assert share == pytest.approx(count / len(SMALL), rel=0.12)
    assert len(pairs) == len(text)


def test_bigrams_by_a_plain_loop():
    n, length, R = 10, 12, 1200
    model = models.NGram(SMALL, 2, length)
    V, rng, risks = len(model.tokens), np.random.default_rng(19), np.empty((R, 2))
    visits, true = (part[0] for part in model._split(model.truth[None]))
    for r in range(R):
        start, step = visits, true
        for g in range(2):
            counts = np.zeros((V, V))
            for _ in range(n):
                at = rng.choice(V, p=start)
                for _ in range(length - 1):
                    new = rng.choice(V, p=step[at])
                    counts[at, new] += 1
                    at = new
            start, alone = counts.sum(axis=1) / counts.sum(), counts.sum(axis=0) / counts.sum()
            with np.errstate(invalid="ignore"):
                step = counts / counts.sum(axis=1, keepdims=True)
            step[start == 0] = alone
            risks[r, g] = (visits[:, None] * (step - true) ** 2).sum()
    found = [model.risk(theta) for theta in chain(model, workflows.discard(2), n, 5000, 20)]
    for plain, ours in zip(risks.T, found, strict=True):
        error = np.hypot(plain.std() / np.sqrt(R), ours.std() / np.sqrt(5000))
        assert_agree(ours.mean(), error, plain.mean(), detects=0.2)


@pytest.mark.parametrize(
    "given", [{"add": 0.5}, {"backoff": 2}, {"temperature": 0.7}, {"top_p": 0.8}], ids=str
)
def test_smoothed_and_sharpened_bigrams_by_a_plain_loop(given):
    n, length, R = 10, 12, 1200
    model = models.NGram(SMALL, 2, length, **given)
    visits, true = (part[0] for part in model._split(model.truth[None]))
    V, rng, risks = len(model.tokens), np.random.default_rng(23), np.empty((R, 3))
    add, backoff = given.get("add", 0), given.get("backoff", 0)

    def written(shares):
        powers = shares ** (1 / given.get("temperature", 1))
        out = powers / powers.sum()
        if "top_p" in given:
            kept, mass = np.zeros(V), 0.0
            for token in sorted(range(V), key=lambda token: -out[token]):
                if mass < given["top_p"] - 1e-12:
                    kept[token] = out[token]
                    mass += out[token]
            out = kept / kept.sum()
        return out.cumsum() / out.sum()

    for r in range(R):
        start, upto = visits.cumsum(), true.cumsum(axis=1)
        for g in range(3):
            counts = np.zeros((V, V))
            for u in rng.random((n, length)):
                at = min(np.searchsorted(start, u[0]), V - 1)
                for own in u[1:]:
                    new = min(np.searchsorted(upto[at], own), V - 1)
                    counts[at, new] += 1
                    at = new
            alone = (counts.sum(axis=0) + add) / (counts.sum() + add * V)
            step = counts + add + backoff * alone
            step = np.array([row / row.sum() if row.sum() else alone for row in step])
            risks[r, g] = (visits[:, None] * (step - true) ** 2).sum()
            start = counts.sum(axis=1).cumsum() / counts.sum()
            upto = np.array([written(row) for row in step])
    found = [model.risk(theta) for theta in chain(model, workflows.discard(3), n, 4000, 24)]
    for plain, ours in zip(risks.T, found, strict=True):
        error = np.hypot(plain.std() / np.sqrt(R), ours.std() / np.sqrt(4000))
        assert_agree(ours.mean(), error, plain.mean(), detects=0.2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"add": -1}, "add must be a number from 0 to 1e9; it is -1"),
        ({"backoff": np.nan}, "backoff must be a number from 0 to 1e9; it is nan"),
        ({"top_p": 1.1}, "top_p must be a number above 0 and at most 1; it is 1.1"),
        ({"top_p": 0}, "top_p must be a number above 0 and at most 1; it is 0"),
    ],
)
def test_ends_of_a_range_are_told_as_they_are(given, said):
    with pytest.raises(ValueError, match=said):
        models.NGram("abcd", **given)
    assert models.NGram("abcd", add=0, backoff=0, top_p=1).top_p == 1


def test_temperature_and_top_p_change_shares_as_they_say():
    cold = models.NGram("abcd", temperature=0.5)
    np.testing.assert_allclose(
        cold.sharpened(np.array([0.5, 0.3, 0.2, 0.0])), np.array([25, 9, 4, 0]) / 38
    )
    nucleus = models.NGram("abcd", top_p=0.75)
    np.testing.assert_allclose(
        nucleus.sharpened(np.array([0.2, 0.5, 0.0, 0.3])), [0, 0.625, 0, 0.375]
    )
    exact = models.NGram("abcd", top_p=0.8)
    np.testing.assert_allclose(
        exact.sharpened(np.array([0.2, 0.5, 0.0, 0.3])), [0, 0.625, 0, 0.375]
    )


def test_sampling_below_temperature_one_loses_entropy_faster():
    hot, cold = (models.NGram(SMALL, 2, 20, temperature=t) for t in (1.0, 0.7))
    plan = workflows.discard(5)
    lost = [
        model.measure("entropy", list(chain(model, plan, 50, 300, 21))[-1], ANY).mean()
        for model in (hot, cold)
    ]
    assert lost[1] < 0.8 * lost[0]


def test_the_book_of_alice_is_read_whole():
    text = datasets.alice()
    words = text.split()
    assert (len(text), len(words), len(set(text))) == (134_998, 27_331, 27)
    assert Counter(words)["alice"] == 398
    model = models.NGram(text, 2, 20)
    visits, shares = model._split(model.truth[None])
    assert visits[0].sum() == pytest.approx(1)
    t, h = (model.tokens.index(letter) for letter in "th")
    count = Counter(pairwise(text + text[0]))
    expected = count["t", "h"] / sum(v for (a, _), v in count.items() if a == "t")
    assert shares[0, t, h] == pytest.approx(expected, rel=1e-12)


# --- a network that labels ---


def test_a_neural_network_is_a_conditional_generator_as_in_a_plain_loop():
    """Labels of given rows are made anew by each generation's network."""
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(22)
    X = rng.normal(size=(60, 2))
    y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=60) > 0).astype(int)

    def network():
        return MLPClassifier((3,), solver="lbfgs", alpha=1.0, max_iter=200, random_state=0)

    model = models.from_estimator(network(), X, y)
    risk = simulate(workflows.discard(3), model=model, replications=40, rng=0)
    losses = np.empty((40, 3))
    for run in losses:
        labels = y
        for g in range(3):
            share = network().fit(X, labels).predict_proba(X)[:, 1]
            run[g] = -np.log(np.where(y == 1, share, 1 - share)).mean()
            labels = (rng.random(60) < share).astype(int)
    # the first fit is to the observed labels, and the risk is the loss over the least of all
    assert losses[:, 0].std() < 1e-12
    np.testing.assert_allclose(risk.risk[0], losses[0, 0], rtol=1e-6)
    error = np.hypot(losses.std(axis=0) / np.sqrt(40), risk.risk_stderr)
    assert np.all(abs(losses.mean(axis=0) - risk.risk)[1:] < 4.5 * error[1:])
    assert risk.risk[-1] > risk.risk[0]
