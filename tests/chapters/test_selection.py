"""The formulas of the chapter on selection, typed once more, against derive (exactly) and simulate
(error rates in tests/statistics.py).
"""

from __future__ import annotations

from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats
from scipy.special import gammaln

from collapse import Plan, Risk, derive, models, simulate, workflows
from tests.statistics import assert_agree, assert_risks_agree

pytestmark = pytest.mark.statistical

Array = NDArray[np.float64]

DISCARD, AUGMENT = workflows.discard, workflows.augment


def product_of(rho: F, g: int) -> F:
    out = F(1)
    for j in range(2, g + 1):
        out *= 1 - (1 - rho) / j
    return out


def curve(name: str, g: int, delta: F, rho: F, nu: F, share: F) -> tuple[F, F]:
    """Bias and variance (in units of V / n) of fit g, by the chapter's sums; fractions with a
    vanishing denominator as sums.
    """
    w = 1 - share
    if name == "discard":
        return delta * sum(rho**j for j in range(g - 1)), rho ** (2 * (g - 1)) + nu * sum(
            rho ** (2 * j) for j in range(g - 1)
        )
    if name == "augment":
        P = [product_of(rho, k) for k in range(1, g + 1)]
        bias = (
            delta * (1 - P[-1]) / (1 - rho)
            if rho != 1
            else delta * sum(F(1, k) for k in range(2, g + 1))
        )
        return bias, P[-1] ** 2 + nu * sum((P[-1] / P[k - 1] / k) ** 2 for k in range(2, g + 1))
    steps = sum((w * rho) ** j for j in range(g - 1))
    first = (w * rho) ** (g - 1) + share * steps
    return delta * w * steps, first**2 + nu * w**2 * sum((w * rho) ** (2 * j) for j in range(g - 1))


@pytest.mark.parametrize("name", ["discard", "augment", "fixed real share"])
@pytest.mark.parametrize(
    ("delta", "rho", "nu"),
    [
        (F(0), F(1), F(1)),
        (F(1, 3), F(1), F(2, 3)),
        (F(0), F(1, 2), F(1, 2)),
        (F(-1, 5), F(4, 5), F(1, 3)),
        (F(1, 7), F(2), F(3, 2)),
    ],
)
def test_three_workflows_in_closed_form(name: str, delta: F, rho: F, nu: F) -> None:
    """In fractions, n = 6, V = 4, share 1/2 (so that w rho = 1 occurs)."""
    G, n, V, mean = 14, 6, F(4), F(3)
    plan = {"discard": DISCARD(G), "augment": AUGMENT(G)}.get(name) or workflows.fixed_real_share(
        G, F(1, 2)
    )
    model = models.LinearResponse(mean, V, (mean + delta - rho * mean, rho), (nu * V, 0, 0))
    pairs = [curve(name, g, delta, rho, nu, F(1, 2)) for g in range(1, G + 1)]
    assert derive(plan, model=model, n=n, exact=True).risk.tolist() == [
        bias**2 + variance * V / n for bias, variance in pairs
    ]


def test_closed_sums_of_the_geometric_kind() -> None:
    """The fractions that the theorem prints, where their denominators do not vanish."""
    delta, rho, nu, w = F(1, 3), F(3, 5), F(2, 3), F(1, 2)
    for g in range(1, 10):
        assert curve("discard", g, delta, rho, nu, 1 - w) == (
            delta * (1 - rho ** (g - 1)) / (1 - rho),
            rho ** (2 * (g - 1)) + nu * (1 - rho ** (2 * (g - 1))) / (1 - rho**2),
        )
        x = (w * rho) ** (g - 1)
        assert curve("share", g, delta, rho, nu, 1 - w) == (
            delta * w * (1 - x) / (1 - w * rho),
            (x + (1 - w) * (1 - x) / (1 - w * rho)) ** 2
            + nu * w**2 * (1 - x**2) / (1 - w**2 * rho**2),
        )
        log_product = gammaln(g + float(rho)) - gammaln(1 + float(rho)) - gammaln(g + 1)
        assert float(product_of(rho, g)) == pytest.approx(np.exp(log_product), rel=1e-12)


def test_the_law_of_every_plan_with_a_slope() -> None:
    """Theorem 1 by matrices, for a plan with draws: an independent path to the second moments."""
    half = F(1, 2)
    plan = Plan(
        [0, 1, 1, 2],
        [1, 2, 1, 1],
        [[1, 0, 0, 0], [half, half, 0, 0], [0, F(1, 4), F(1, 4), half]],
        [[1, 1, 1, 1], [half, 1, 1, 1], [1, half, 1, half]],
    )
    delta, rho, nu, n = 0.3, 0.7, 0.6, 12
    A, W = plan.feedback(), plan.weight
    t = np.linalg.inv(np.eye(3) - rho * A)
    rows = plan.size * n
    level = np.array([1, nu, nu, nu])
    draws = ((1 / plan.kept - 1) / rows * level * W**2).sum(axis=1)
    m = delta * t @ A @ np.ones(3)
    expected = t @ (W * level / rows @ W.T + np.diag(draws)) @ t.T + np.outer(m, m)
    risk = derive(plan, model=models.LinearResponse(0, 1, (delta, rho), (nu, 0, 0)), n=n)
    np.testing.assert_allclose(risk.covariance, expected, rtol=1e-12)
    np.testing.assert_allclose(risk.contributions, t @ W, rtol=1e-12)


def moments(accept: object, mu: float, law: str) -> tuple[float, float]:
    """Mean and variance of an accepted row, by sums and integrals."""
    if law == "poisson":
        x = np.arange(200.0)
        weight = stats.poisson(mu).pmf(x) * accept(x)  # type: ignore[operator]
        mass, first, second = (float((weight * x**j).sum()) for j in range(3))
    else:
        density = stats.norm(mu).pdf if law == "normal" else stats.expon(scale=mu).pdf
        ends = (mu - 12, mu + 12) if law == "normal" else (0, 40 * mu)
        mass, first, second = (
            integrate.quad(
                lambda x, j=j: x**j * density(x) * accept(x), *ends, points=[-1, 1], limit=400
            )[0]  # type: ignore[operator]
            for j in range(3)
        )
    return first / mass, second / mass - (first / mass) ** 2


def bell(x: Array) -> Array:
    return np.exp(-((x - 0.5) ** 2))


def edges(x: Array) -> Array:
    return 1 - 0.5 * np.exp(-(x**2) / 2)


def window(x: Array) -> Array:
    return np.where(np.abs(x) <= 1, 1.0, 0.0)


def threshold(x: Array) -> Array:
    return 1 / (1 + np.exp(-2 * x))


@pytest.mark.parametrize("accept", [bell, edges, window, threshold])
@pytest.mark.parametrize(
    ("law", "variance"),
    [("normal", lambda mu: 1.0), ("exponential", lambda mu: mu**2), ("poisson", lambda mu: mu)],
)
def test_the_slope_of_a_fixed_filter_is_its_noise_ratio(
    accept: object, law: str, variance: object
) -> None:
    mu, step = 1.2, 1e-3
    slope = (moments(accept, mu + step, law)[0] - moments(accept, mu - step, law)[0]) / (2 * step)
    ratio = moments(accept, mu, law)[1] / variance(mu)  # type: ignore[operator]
    assert slope == pytest.approx(ratio, rel=1e-4)
    if law == "normal":
        # bell, window and threshold are log-concave
        assert moments(accept, 0.0, law)[1] > 1 if accept is edges else ratio < 1


def test_a_filter_that_moves_along_breaks_that_identity() -> None:
    """Planted: a window about the fit has slope 1 and less noise, so slope and noise are not one
    number for it.
    """
    response = models.Truncated(models.Normal(0, 1), -1, 1, about_fit=True).response
    assert response is not None
    assert response.selected_mean[1] == 1
    assert response.selected_variance[0] == pytest.approx(
        moments(window, 0.0, "normal")[1], rel=1e-9
    )
    assert response.selected_variance[0] < 0.3


@pytest.mark.parametrize("width", [F(1, 2), 1, F(3, 2), 2, 3])
def test_the_verifier_under_discard(width: F) -> None:
    rho = F(width) ** 2 / (F(width) ** 2 + 1)
    risk = derive(
        DISCARD(40), model=models.Verified(models.Normal(5, 1), 5, width), n=7, exact=True
    ).ratio
    assert all(later == rho**2 * ratio + rho for ratio, later in pairwise(risk))
    assert float(
        derive(DISCARD(400), model=models.Verified(models.Normal(5, 1), 5, width), n=7).ratio[-1]
    ) == pytest.approx(float(rho / (1 - rho**2)), rel=1e-9)
    assert (rho / (1 - rho**2) < 1) == (float(rho) < (np.sqrt(5) - 1) / 2)


def test_at_the_golden_section_discard_stays_at_one() -> None:
    rho = (np.sqrt(5) - 1) / 2
    model = models.LinearResponse(0, 1, (0, rho), (rho, 0, 0))
    np.testing.assert_allclose(derive(DISCARD(50), model=model, n=10).ratio, 1, rtol=1e-12)


def test_the_rates_of_augment() -> None:
    """Coefficients at g = 10^5: 1/g below one half, log g / 2g at one half (to 1 / log g), a power
    above, with its constant.
    """
    G = 100_000

    def ratio(rho: float) -> Array:
        return np.asarray(
            derive(AUGMENT(G), model=models.LinearResponse(0, 1, (0, rho), (rho, 0, 0)), n=10).ratio
        )

    g = np.arange(1, G + 1)
    assert ratio(0.25)[-1] * G == pytest.approx(0.25 / (1 - 0.5), rel=0.01)
    increase = ratio(0.5)[[G // 100 - 1, G - 1]] * [G // 100, G]
    assert (increase[1] - increase[0]) / np.log(100) == pytest.approx(0.5, rel=0.01)
    for rho in (0.75, 1.25):
        P = np.exp(gammaln(g + rho) - gammaln(1 + rho) - gammaln(g + 1))
        constant = (1 + rho * (1 / (g[1:] * P[1:]) ** 2).sum()) / np.exp(2 * gammaln(1 + rho))
        assert ratio(rho)[-1] * G ** (2 - 2 * rho) == pytest.approx(constant, rel=0.01)


def test_in_the_end_the_verifier_s_own_rows() -> None:
    """The mean over centres, exactly: the centre takes two values at one standard error, which has
    the same second moment.
    """
    n, G, rho = 16, 12, F(1, 2)
    for N in (4, 64):
        off = F(1, int(np.sqrt(N)))
        for name, plan in (("discard", DISCARD(G)), ("augment", AUGMENT(G))):
            pair = [
                derive(
                    plan, model=models.Verified(models.Normal(0, 1), c, 1), n=n, exact=True
                ).ratio
                for c in (off, -off)
            ]
            for g in range(1, G + 1):
                forgotten = rho ** (g - 1) if name == "discard" else product_of(rho, g)
                expected = F(n, N) * (1 - forgotten) ** 2 + curve(name, g, F(0), rho, rho, F(0))[1]
                assert (pair[0][g - 1] + pair[1][g - 1]) / 2 == expected
    last = derive(AUGMENT(10**5), model=models.Verified(models.Normal(0, 1), 0.5, 1), n=16).ratio[
        -1
    ]
    assert last == pytest.approx(16 / 4, rel=0.02)


def test_equivariant_selection() -> None:
    n, G = 25, 10
    g = np.arange(1, G + 1)
    H, h = np.cumsum(1 / g), np.cumsum(1 / g**2)
    delta, nu = 2 / np.sqrt(np.pi), 1 - 1 / np.pi
    model = models.BestOf(models.Normal(3, 2), 2)
    expected = {
        "discard": n * delta**2 / 4 * (g - 1.0) ** 2 + 1 + nu * (g - 1),
        "augment": n * delta**2 / 4 * (H - 1) ** 2 + 1 + nu * (h - 1),
    }
    for name, plan in (("discard", DISCARD(G)), ("augment", AUGMENT(G))):
        np.testing.assert_allclose(derive(plan, model=model, n=n).ratio, expected[name], rtol=1e-9)
        risk = simulate(plan, model=model, n=n, replications=4000, rng=1)
        assert_agree(risk.ratio, risk.stderr, expected[name], detects=0.25)
        with pytest.raises(
            AssertionError, match="estimates differ"
        ):  # the mutant: a push that is diluted like noise
            assert_agree(
                risk.ratio[1:],
                risk.stderr[1:],
                (n * delta**2 / 4 * (h - 1) ** 2 + 1 + nu * (h - 1))[1:],
                detects=100,
            )
    settled = derive(
        workflows.fixed_real_share(60, F(1, 4)),
        model=models.LinearResponse(0, 1, (delta, 1), (nu, 0, 0)),
        n=10**12,
    ).risk[-1]
    assert np.sqrt(settled) == pytest.approx(3 * delta, rel=1e-5)


def test_scale_families_multiply() -> None:
    """Best of k exponentials: E mu_g = H_k^(g - 1); the response goes through the origin."""
    for k in (2, 3, 5):
        harmonic = sum(F(1, j) for j in range(1, k + 1))
        risk = derive(DISCARD(6), model=models.BestOf(models.Exponential(1), k), n=10**9)
        np.testing.assert_allclose(
            np.sqrt(risk.risk[1:]), [float(harmonic) ** g - 1 for g in range(1, 6)], rtol=1e-6
        )


@pytest.mark.parametrize("width", [1, 2])
def test_the_verifier_simulated(width: int) -> None:
    rho = F(width**2, width**2 + 1)
    model = models.Verified(models.Normal(0, 1), 0, width)
    for name, plan in (("discard", DISCARD(8)), ("augment", AUGMENT(8))):
        risk = simulate(plan, model=model, n=25, replications=10_000, rng=2)
        expected = np.array([curve(name, g, F(0), rho, rho, F(0))[1] for g in range(1, 9)], float)
        assert_agree(risk.ratio, risk.stderr, expected, detects=0.25)


def accept_edges(rows: Array) -> Array:
    return edges(rows)


@pytest.mark.parametrize("kind", ["window", "edges"])
def test_the_linearisation(kind: str) -> None:
    """At n = 1000, to within 5 %: the neglected terms are of the order of the errors squared."""
    accept = {"window": window, "edges": edges}[kind]
    slope = moments(accept, 0.0, "normal")[1]
    normal = models.Normal(0, 1)
    model = (
        models.Truncated(normal, -1, 1)
        if kind == "window"
        else models.Accepted(normal, accept_edges)
    )
    line = models.LinearResponse(0, 1, (0, slope), (slope, 0, 0))
    for plan in (DISCARD(3), AUGMENT(3), workflows.fixed_real_share(3, F(1, 2))):
        risk: Risk = simulate(plan, model=model, n=1000, replications=1200, rng=3)
        assert_risks_agree(risk, derive(plan, model=line, n=1000), detects=0.6, allowance=0.05)


class OwnVerifier:
    """Exercise 2."""

    truth = np.zeros(2)
    slope = 0.5

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        centre = self.slope * theta[:, :1] + (1 - self.slope) * theta[:, 1:]
        return centre + np.sqrt(self.slope) * rng.standard_normal((len(theta), rows))

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_normal((replications, rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        mean = (weight * rows).sum(axis=1, keepdims=True)
        return np.hstack([mean, mean if start is None else start[:, 1:]])

    def risk(self, theta: Array) -> Array:
        return np.asarray(theta[:, 0] ** 2)


def test_a_verifier_made_of_the_same_data() -> None:
    rho = 0.5
    expected = [1 + rho * (1 - rho ** (2 * (g - 1))) / (1 - rho**2) for g in range(1, 9)]
    risk = simulate(DISCARD(8), model=OwnVerifier(), n=25, replications=10_000, rng=4)
    assert_agree(risk.ratio, risk.stderr, expected, detects=0.2)


def test_poisson_rows_accepted_by_a_power() -> None:
    """Exercise 5: rejection of real rows against the exact answer of the declared response."""
    c, mean = F(3, 4), 4
    declared = models.LinearResponse(mean, mean, (0, c), (0, c, 0))
    model = models.Accepted(models.Poisson(mean), power)
    assert_risks_agree(
        simulate(AUGMENT(4), model=model, n=20, replications=10_000, rng=5),
        derive(AUGMENT(4), model=declared, n=20),
        detects=0.3,
    )


def power(rows: Array) -> Array:
    return 0.75**rows


def test_exponential_rows_with_a_real_share() -> None:
    """Exercise 4: the mean settles at twice the truth."""
    risk = derive(
        workflows.fixed_real_share(60, F(1, 2)),
        model=models.BestOf(models.Exponential(1), 2),
        n=10**12,
    )
    assert np.sqrt(risk.risk[-1]) == pytest.approx(1, rel=1e-5)


def test_a_filter_about_the_fit_takes_the_spread_away() -> None:
    """Normal rows within two standard deviations, mean and spread fitted under discard."""
    rng = np.random.default_rng(6)
    nu = moments(lambda x: np.where(np.abs(x) <= 2, 1.0, 0.0), 0.0, "normal")[1]
    mean, spread, spreads = 0.0, 1.0, []
    for _ in range(6):
        rows = rng.normal(mean, spread, 60_000)
        rows = rows[np.abs(rows - mean) <= 2 * spread]
        mean, spread = rows.mean(), rows.std()
        spreads.append(spread)
    np.testing.assert_allclose(spreads, nu ** (np.arange(1, 7) / 2), rtol=0.03)
    assert nu < 0.8
