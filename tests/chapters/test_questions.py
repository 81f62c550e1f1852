"""Each chapter asks one question before it tells: 'Guess first'. What the answers say is computed.

The functions below return the numbers as an answer writes them, each by a way that is not that of
the chapter where there is one; `test_the_answer` finds them in the answer's text.
"""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from collapse import derive, models, simulate
from collapse.workflows import (
    all_to_all,
    augment,
    discard,
    fixed_real_share,
    fresh_real,
    window,
)
from tests.chapters.test_promises import BOOK, CHAPTERS

BACK = {"index", "addmodel", "teach", "reproduce", "crosswalk"}  # no chapters of a part
HALF = Fraction(1, 2)
ZETA = math.pi**2 / 6
QUESTION = re.compile(
    r"^::::\{admonition\} Guess first\n:class: guess\n\n(.*?)\n\n"
    r":::\{dropdown\} Answer\n(.*?)\n:::\n::::$",
    re.MULTILINE | re.DOTALL,
)
ASKING = [name for name in CHAPTERS if "Page(" in Path(BOOK / f"{name}.md").read_text("utf-8")]
ASKING = [name for name in ASKING if name not in BACK]


def policy() -> list[str]:
    def end(share: Fraction) -> float:
        return derive(fixed_real_share(3000, share)).ratio[-1]

    return [f"{end(Fraction(1, 100)):.2f}", f"{end(Fraction(1, 10)):.2f}"]


def origin() -> list[str]:
    far = ZETA - special.zeta(2, 1e6 + 1)
    assert far < ZETA
    return [f"{derive(augment(50)).ratio[-1]:.3f}", f"{ZETA:.3f}"]


def tables() -> list[str]:
    ratios = derive(fixed_real_share(30, HALF), exact=True).ratio
    assert ratios[:3].tolist() == [1, Fraction(5, 4), Fraction(21, 16)]
    limit = Fraction(float(ratios[-1])).limit_denominator(10)
    return [rf"\frac{limit.numerator}{limit.denominator}"]


def gaussian() -> list[str]:
    risk = simulate(discard(2), n=100, model=models.Normal(0, 1), replications=40_000, rng=1)
    assert abs(risk.ratio[1] - 2) < 5 * 2 * math.sqrt(2 / 40_000)
    covariance = derive(discard(2)).covariance
    correlation = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    return [f"{correlation:.2f}"]


def breaking() -> list[str]:
    risk = simulate(augment(8), n=7, model=models.Uniform(1.0), replications=50, rng=1)
    assert (risk.ratio == 1).all()
    return ["it is 1 at every $n$"]


def universality() -> list[str]:
    return [f"{sum(1 / k**2 for k in range(1, 11)):.3f}"]


def exact() -> list[str]:
    """The chain of ten tosses by its fundamental matrix."""
    inner = np.arange(1, 10)
    steps = stats.binom.pmf(inner, 10, inner[:, None] / 10)
    rounds = np.linalg.solve(np.eye(9) - steps, np.ones(9))
    mean = 1 + stats.binom.pmf(inner, 10, 0.5) @ rounds
    return [f"{mean:.1f}", f"{20 * math.log(2):.1f}"]


def second() -> list[str]:
    model = models.Exponential(1)
    exactly = derive(discard(10), model=model, n=20).ratio[-1]
    order = derive(discard(10), model=model, n=20, order=2).ratio[-1]
    return [f"{exactly:.1f}", f"{20 * (1.05**10 - 1):.1f}", f"{order:.2f}"]


def regression() -> list[str]:
    n, p, g = 60, 50, np.arange(1, 9)
    design = models.RandomDesignRegression(p, np.zeros(p), 1.0)
    reused = derive(augment(8)).ratio[-1]
    fresh = np.cumsum(1 / (g * (g * n - p - 1)))
    assert fresh[-1] / fresh[0] == pytest.approx(
        derive(augment(8), model=design, n=n).ratio[-1], rel=1e-12
    )
    return [f"{reused:.3f}", f"{fresh[-1] / fresh[0]:.3f}"]


def glm() -> list[str]:
    """The first generation by which half of the chains of totals are at zero."""
    none, died = 0.0, []
    while not died or died[-1] < 0.5:
        died.append(math.exp(-10 * (1 - none)))
        none = math.exp(-(1 - none))
    return [f"After {len(died)}."]


def ranking() -> list[str]:
    z = round(stats.norm.isf(0.05), 3)
    wrong = [stats.norm.sf(z / math.sqrt(derive(w(10)).ratio[-1])) for w in (discard, augment)]
    return [f"{z:.3f}", *(f"{100 * p:.0f} per cent" for p in wrong)]


def estimators() -> list[str]:
    mean, median = models.Normal(0, 1), models.Median("normal")
    assert median.limit_risk / mean.limit_risk == pytest.approx(math.pi / 2)
    return [f"multiplied by {derive(discard(10)).ratio[-1]:.0f}"]


def latent() -> list[str]:
    model = models.CensoredExponential(1, 0.5, censor_synthetic=False)
    risk = simulate(discard(11), model=model, n=2_000, replications=1_500, rng=1)
    limit = 1 + HALF * 10
    assert abs(risk.ratio[-1] - limit) < 5 * risk.stderr[-1]
    return [f"It is {limit}"]


def uci() -> list[str]:
    return [f"{100 * stats.chi2.std(14) / stats.chi2.mean(14):.0f} per cent"]


def misspecified() -> list[str]:
    plan = augment(4000)
    noise = np.where(np.asarray(plan.source) == 0, 2.0, 1.0)
    steps = noise / np.arange(1, 4001) ** 2
    return [f"{(steps.sum() + 1 / 4000) / steps[0]:.3f}"]


def separation() -> list[str]:
    """One row's label, repeated: discard's chain of shares is surely absorbed, augment's never."""
    rows = np.arange(5)
    steps = stats.binom.pmf(rows, 4, rows[:, None] / 4)
    end = np.linalg.matrix_power(steps, 500)
    assert end[2, [0, 4]].sum() == pytest.approx(1)
    return ["It is one."]


def features() -> list[str]:
    """Doubling: u is the mean of what was there and of labels made anew for all of it."""
    error, total = 1.0, 1.0
    for _ in range(60):
        error, total = error + 1 / (4 * total), 2 * total
    limit = Fraction(error).limit_denominator(10)
    return [rf"\frac{limit.numerator}{limit.denominator}", f"{ZETA:.3f}"]


def forecast() -> list[str]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 10))
    model = models.LinearRegression(x, np.ones(10), 1.0)
    steps = np.diff(derive(discard(5), model=model, n=200).risk)
    assert np.allclose(steps, 10 / 200)
    return [f"{100 * steps[0]:.0f} per cent", f"{100 * (ZETA - 1) * steps[0]:.1f} per cent"]


def audit() -> list[str]:
    """Hermite quadrature of the product of two squares."""
    points, weight = np.polynomial.hermite_e.hermegauss(10)
    weight = np.outer(weight, weight) / (2 * math.pi)
    covariance = derive(discard(20)).covariance
    first = covariance[4, 19] / math.sqrt(covariance[4, 4] * covariance[19, 19])
    assert first == pytest.approx(0.5)
    x, y = points[:, None], first * points[:, None] + math.sqrt(1 - first**2) * points
    correlation = ((weight * x**2 * y**2).sum() - 1) / 2
    return [f"{correlation:.2f}"]


def zoo() -> list[str]:
    slope = np.diff(derive(window(400, 10)).ratio)[-1]
    assert slope == pytest.approx(4 / 121, rel=1e-6)
    assert round(1 / slope) == 30
    return [f"{slope:.3f}"]


def bounds() -> list[str]:
    """With one coordinate; every step behind the gate leads nearer to the held-out fit."""
    risk = simulate(discard(200), gate=1.0, replications=20_000, rng=1)
    assert abs(risk.ratio[-1] - 1) < 5 * risk.stderr[-1]
    return ["To 1"]


def golden() -> list[str]:
    best = (math.sqrt(5) - 1) / 2
    limit = derive(fresh_real(60, best)).ratio[-1]
    assert limit == pytest.approx(best)
    return [f"{limit:.3f}", f"saves {100 * (1 - limit):.0f} per cent"]


def sizes() -> list[str]:
    def limit(k: float) -> float:
        return 1 + special.polygamma(1, 1 + 1 / k) / k

    assert derive(augment(3000, 10)).ratio[-1] == pytest.approx(limit(10), abs=1e-4)
    return [f"{limit(0.1):.2f}", f"{limit(10):.2f}"]


def ecosystems() -> list[str]:
    risk = derive(all_to_all(30, 3), exact=True)
    last = {risk.ratio[-3], risk.ratio[-2], risk.ratio[-1]}
    assert last == {10}
    return ["Ten times"]


def selection() -> list[str]:
    model = models.LinearResponse(0, 1, (0, HALF), (1, 0, 0))
    ratio = derive(augment(4000), model=model, n=10).ratio
    assert ratio[-1] < 0.01
    assert ratio[-1] < ratio[999] / 3
    return ["To 0"]


ANSWERS: dict[str, Callable[[], list[str]]] = {
    f.__name__: f
    for f in (
        *(policy, origin, tables, gaussian, breaking, universality, exact, second, regression),
        *(glm, ranking, estimators, latent, uci, misspecified, separation, features, forecast),
        *(audit, bounds, zoo, golden, sizes, ecosystems, selection),
    )
}


def test_every_chapter_asks_one_question_before_its_first_section():
    asked = {}
    for name in CHAPTERS:
        text = (BOOK / f"{name}.md").read_text("utf-8")
        found = list(QUESTION.finditer(text))
        assert len(found) == text.count("Guess first\n"), name
        if found:
            asked[name] = found
            assert found[0].start() < text.index("\n## "), name
    assert set(asked) == set(ASKING) == set(ANSWERS)
    assert all(len(found) == 1 for found in asked.values())


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer(name: str) -> None:
    question, answer = QUESTION.search((BOOK / f"{name}.md").read_text("utf-8")).groups()
    assert question.endswith("?")
    for said in ANSWERS[name]():
        assert said in answer, (said, answer)
