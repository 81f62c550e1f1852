"""What holds at n: shares, suprema and bounds in a family with quadratic variance function, and
what is absorbed or lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from math import exp, expm1, inf, isfinite, log, sqrt
from typing import Any

import numpy as np

from collapse.checks import brief, check_number, is_number, require, whole
from collapse.derivation.means import response_law
from collapse.exact import Array, Scalar
from collapse.models.families.morris import (
    Binomial,
    Gamma,
    HyperbolicSecant,
    NegativeBinomial,
    Normal,
    Poisson,
)
from collapse.models.families.nonregular import Uniform
from collapse.models.families.vector import Multinomial, MultivariateNormal
from collapse.models.protocols import QUADRATIC, exact_form
from collapse.plan import Plan, draw_noise
from collapse.recursion import TOLERANCE
from collapse.reservoir import Reservoir

ANCHORED = ("discard", "bootstrap", "fixed_real_share")
"""Named workflows that are anchored plans."""
LARGEST_CHAIN = 1000
"""Trials in a batch up to which the chance of fixation is computed, from the whole law of the
count."""


def least_share(
    n: int | None = None, v2: Scalar = 0, *, below: float = 2, size: Scalar = 1
) -> float:
    """Least weight of real rows, beside the latest synthetic batch, that keeps every ratio below a
    bound.

    Every fit after the first puts the weight a on the n real rows and 1 - a on the latest synthetic
    batch, all of them read, as in `workflows.fixed_real_share`. Exact at n for the mean of a family
    with variance function v0 + v1 mu + v2 mu^2.

    Parameters
    ----------
    n : int, optional
        Rows of real data. Default: many, the Gaussian limit of every regular model.
    v2 : float or Fraction, optional
        The family's number: 0 for normal and Poisson, -1/N for binomial (N trials), 1/r for gamma
        and negative binomial (shape or size r; exponential 1).
    below : float, optional
        The bound, greater than 1. inf: the share above which the ratio stays bounded; at that share
        itself it does not where v2 > 0.
    size : float or Fraction, optional
        Rows of each synthetic batch as a multiple of n.

    Returns
    -------
    float
        In [0, 1); 0 where the latest batch alone keeps the ratio below the bound.

    Raises
    ------
    ValueError
        Where n is no positive whole number, v2 is below -1 (no such family), below is not greater
        than 1, or size times n is not whole.

    Notes
    -----
    With k = size n, the ratio obeys x_g = 1 + E_g, E_g = rho E_(g-1) + (1 - a)^2 (n + v2) / k, rho
    = (1 - a)^2 (1 + v2 / k): bounded exactly where rho < 1, and then rising to 1 + (1 - a)^2 (n +
    v2) / (k (1 - rho)). Set that equal to the bound and solve for a. With k = n and many rows it is
    1 - sqrt(1 - 1 / below).

    Examples
    --------
    >>> from collapse.derivation.finite import least_share
    >>> round(least_share(), 4), round(least_share(20, 1), 4), least_share(2, -1)
    (0.2929, 0.3099, 0.0)
    >>> round(least_share(20, 1, below=float("inf")), 4)
    0.0241
    """
    bound = read_below(below, infinite=True)
    _check_family(v2, size)
    m, many = float(size), inf if n is None else whole(n, "n", "rows of real data")
    require(
        n is None or abs(m * many - round(m * many)) <= TOLERANCE * m * many,
        lambda _: (
            f"a batch would have {m * many:g} rows (size {m:g} times n = {n}); choose n so that it"
            " is whole."
        ),
    )
    # 1 - (1 - a)^2 = gap / (gap + rest): all in units of n rows, and of the bound
    gap, rest = max(1 / bound + float(v2) / many, 0.0), (1 - 1 / bound) * m
    return float(gap / (gap + rest) / (1 + sqrt(rest / (gap + rest))))


def _check_family(v2: Scalar, size: Scalar) -> None:
    check_number(v2, "v2")
    check_number(size, "size", 0)
    require(
        bool(v2 >= -1),
        f"v2 must be at least -1, the Bernoulli law's, as no family has less; it is {brief(v2)}.",
    )


def read_below(below: Any, *, infinite: bool = False) -> float:
    """Return a bound on ratios; raise a ValueError unless it is a number greater than 1, and finite
    unless `infinite`."""
    require(
        is_number(below) and float(below) > 1 and (infinite or isfinite(float(below))),
        lambda _: (
            f"below (a bound on the ratio) must be a number greater than 1; it is {brief(below)}."
        ),
    )
    return float(below)


def at_most(value: float, digits: int) -> str:
    """Text of a bound or of a share that suffices: rounded up, so that what is told is one too.

    Examples
    --------
    >>> at_most(20.9431, 3), at_most(5.0, 4), at_most(0.0, 3)
    ('21', '5', '0')
    """
    up = Context(prec=digits, rounding=ROUND_CEILING)
    return f"{float(up.create_decimal(f'{value:.12g}')):.{digits}g}"


def augment_supremum(n: int | None = None, v2: Scalar = 0, *, size: Scalar = 1) -> float:
    """Supremum of augment's ratio over all generations, which it approaches from below, at n.

    Exact for the mean of a family with variance function v0 + v1 mu + v2 mu^2. With batches of n
    rows it is (n / v2) (sinh x / x - 1), x = pi sqrt(v2 / n), and sin where v2 < 0; pi^2/6 where v2
    = 0 and for many rows. With one row at a time, size = 1 / n, it is the supremum over all
    schedules.

    Parameters
    ----------
    n : int, optional
        Rows of real data. Default: many.
    v2 : float or Fraction, optional
        As in `least_share`.
    size : float or Fraction, optional
        Rows of each synthetic batch as a multiple of n.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Where n is no positive whole number, v2 is below -1, size is not positive, v2 / (size n) is
        above 10^10, or no float holds the answer.

    Notes
    -----
    y_g = V + v2 MSE_g is multiplied by 1 + v2 t_g, with t_1 = 1 / n and t_(j+1) = size / (n (1 + j
    size)^2).

    Examples
    --------
    >>> from collapse.derivation.finite import augment_supremum
    >>> [round(augment_supremum(10, v2), 3) for v2 in (-1, 0, 1)]
    [1.566, 1.645, 1.728]
    """
    from scipy.special import polygamma, zeta  # slow to import, as below

    _check_family(v2, size)
    m, y = float(size), 1 / float(size)
    v = 0.0 if n is None else float(v2) / whole(n, "n", "rows of real data")
    if v == 0:
        return float(1 + y * polygamma(1, 1 + y))
    # sum over j >= 1 of log(1 + c / (j + y)^2): the first terms one by one, the rest as a series in
    # c, where |c| < (j + y)^2 / 16
    c = v / m
    require(abs(c) <= 1e10, f"v2 / (size n) can be 10^10 at most; it is {c:g}.")
    first = 1 + int(2 * sqrt(abs(c)))
    j, k = np.arange(1, first + 1), np.arange(1, 28)
    series = (-c) ** k / k * zeta(2 * k, first + 1 + y)
    product = np.log1p(c / (j + y) ** 2).sum() - series.sum()
    require(
        bool(product <= 700),
        f"v2 = {brief(v2)} is so large for n that no float holds the supremum; take a larger n.",
    )
    return float((expm1(product) + v * exp(product)) / v)


def average_supremum(share: Scalar, n: int | None = None, v2: Scalar = 0) -> float | None:
    """Supremum of the ratio of `real_and_average`, which it reaches, at n or for many rows.

    Exact for the mean of a family with variance function v0 + v1 mu + v2 mu^2.

    Parameters
    ----------
    share : float or Fraction
        Weight a of the real data.
    n : int, optional
        Rows of real data. Default: many.
    v2 : float or Fraction, optional
        As in `least_share`.

    Returns
    -------
    float or None
        None where the ratio rises for more than a million generations.

    Notes
    -----
    With e = v2 / n and c = (1 - a)^2 the ratio is 1 + c W_(g-1), where W_m = (1 - T_m / m^2)
    W_(m-1) + (1 + e) / m^2 and T_m = 2 a m - a^2 - e c. It rises at m exactly where T_m W_(m-1) < 1
    + e. Where it does not, W_m >= (1 + e) / T_m, and T_(m+1) >= T_m: it never rises again.

    Examples
    --------
    >>> from collapse.derivation.finite import average_supremum
    >>> average_supremum(0.5), round(average_supremum(0.01), 4)
    (1.25, 2.5)
    """
    a, e = float(share), 0.0 if n is None else float(v2) / n
    c, W = (1 - a) ** 2, 0.0
    for m in range(1, 10**6 if a else 1):
        T = 2 * a * m - a * a - e * c
        if 1 + e <= T * W:
            return 1 + c * W
        W += (1 + e - T * W) / m**2
    return None


# --- anchored plans --------------------------------------------------------------------------


@dataclass(frozen=True)
class Anchored:
    """A plan whose later fits read the one real batch and the latest synthetic one, in fixed
    shares.

    In units of a row's variance: real is the real batch's noise, first what fit 1's draw adds;
    afterwards the distance from the real batch's mean has variance D_g = rho D_(g-1) + step.
    """

    share: float
    real: float
    first: float
    rho: float
    step: float

    @property
    def limit(self) -> float:
        """Limit of the ratio."""
        if self.rho >= 1:
            return inf if self.step + (self.rho - 1) * self.first > 0 else 1.0
        return (self.real + self.step / (1 - self.rho)) / (self.real + self.first)

    def ratios(self, generations: int) -> Array:
        powers = self.rho ** np.arange(generations)
        distance = self.first * powers + self.step * np.append(0, np.cumsum(powers[:-1]))
        return np.asarray((self.real + distance) / (self.real + self.first))


def anchored(plan: Plan | Reservoir, n: int, v2: float) -> Anchored | None:
    """Read a plan as an anchored one at n; None where it is none."""
    G, recipe = plan.generations, plan.recipe
    # a name tells how a plan goes on, three fits of a typed one may be the first of many
    if (
        plan.persistent
        or not np.array_equal(plan.source, np.arange(G))
        or (2 if recipe else 3) > G
        or (recipe and (recipe.workflow not in ANCHORED or recipe.scheduled))
        or np.any(plan.recursion.decay.numerator)  # carries on what was read
    ):
        return None
    fit, batch, weight, share = plan.recursion.looked_up
    real, latest = batch == 0, batch == fit
    # weight and share read of the real batch, then of the latest one, by fit
    table = np.tile([[[0.0], [1.0]], [[0.0], [1.0]]], G)
    for part, at in zip(table, (real, latest), strict=True):
        part[:, fit[at]] = weight[at], share[at]
    (a, b), later = table[:, 0, 1], np.vstack([*table[:, :, 1:], plan.size[1:]])
    if (
        not np.all(real | latest)
        or np.any(np.abs(later[0] + later[2] - 1) > TOLERANCE)
        or np.any(np.ptp(later, axis=1) > TOLERANCE)
    ):
        return None
    kept = np.array([[table[0, 1, 0], 1.0], table[:, 1, 1]])
    pair = Plan([0, 1], plan.size[:2], [[1, 0], [a, b]], kept, replace=plan.replace)
    draw, (m, k) = draw_noise(pair, n), pair.rows(n).tolist()
    noise = 1 / k + draw[1, 1]
    step = b * b * noise * (1 + v2 / m) + (a * a * draw[1, 0] if a else 0.0)
    rho = float(b * b * (1 + v2 * noise))
    return Anchored(float(a), 1 / m, float(draw[0, 0]), rho, float(step))


def responding(plan: Plan | Reservoir, response: Any, n: int) -> tuple[float, float] | None:
    """Contraction and limit of the ratio of an anchored plan whose rows are selected, the mean of a
    row being linear in the fit.

    With weight a on the real rows and w on k rows of the latest batch, read whole, whose mean is m0
    + m1 mu and variance v0 + v1 mu + v2 mu^2, the errors obey e_g = a Z_1 + w (m1 e_(g-1) + shift +
    noise_g). The ratio has a limit where |w m1| < 1 and rho = w^2 (m1^2 + v2 / k) < 1; where |w m1|
    < 1 <= rho it diverges. None where it is another plan, or |w m1| >= 1.
    """
    form = anchored(plan, n, 0.0)
    if plan.persistent or form is None or not plan.reads_whole_batches:
        return None
    law, w, k = response_law(response), 1 - form.share, int(plan.rows(n)[1])
    slope, rho = w * law.slope, w * w * (law.slope**2 + law.variance[2] / k)
    if abs(slope) >= 1:
        return None
    if rho >= 1:
        return rho, inf
    bias, real = w * law.shift / (1 - slope), law.real * form.real
    fixed = bias * bias + (form.share / (1 - slope)) ** 2 * real
    return rho, (fixed + w * w / k * law.expected(bias, fixed) / (1 - rho)) / real


# --- what is absorbed or lost ----------------------------------------------------------------

POINTS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    Binomial: (
        "0 or all trials",
        lambda model: (float(model.p) ** model.trials, (1 - float(model.p)) ** model.trials),
    ),
    Poisson: ("0", lambda model: (exp(-float(model.rate)),)),
    NegativeBinomial: (
        "0",
        lambda model: (float(model.size / (model.size + model.mean)) ** float(model.size),),
    ),
    Multinomial: ("one class", lambda model: model.p),
}
"""Where a fit of a model can be a point mass, in words, and the chance that a real row stands
there."""

Loss = tuple[float | None, float | None, str]
"""What a workflow loses beside risk, at n: the expected variance of a row drawn from the last fit,
in units of a real row's, 1 + v2 MSE / V, exactly; the chance that the last fit is a point mass,
from which no synthetic row leads away, exactly; each None where it is not known; the same in words.
"""


def losses(plan: Plan | Reservoir, model: Any, n: int, squared: float) -> Loss:
    """What is absorbed or lost by the last generation; squared is its mean squared error in units
    of a real row's variance."""
    form, G = exact_form(model), int(plan.generation[-1])
    if isinstance(model, Uniform):
        told = "A fit never exceeds the largest real row read: what lies above it is lost from the"
        return None, None, f"{told} first fit on."
    if form not in QUADRATIC:
        return (None, 0.0, "Nothing is absorbed.") if form == "fixed design" else (None, None, "")
    v2 = float(model.variance_function[2])
    left, chance, known = max(1 + v2 * squared, 0.0), None, ""
    told = f" A row of generation {G:,} has on average {left:.3g} times a real one's variance"
    told = f"{told} (exact)." if v2 and isfinite(left) else ""
    if type(model) in POINTS:
        chance, known = _absorbed(plan, model, n, G)
    elif isinstance(model, (Normal, MultivariateNormal, Gamma, HyperbolicSecant)):
        chance, known = 0.0, "Nothing is absorbed: no fit is a point mass."
        later = _latest_alone(plan, n)
        if isinstance(model, Gamma) and later:
            from scipy.special import digamma

            total = float(model.shape) * later
            known = (
                "Nothing is absorbed, but the logarithm of the mean drifts by"
                f" {float(digamma(total) - log(total)):.3g} a generation (exact): in almost every"
                " run the mean goes to 0, while its squared error is carried by fewer and fewer"
                " runs."
            )
            told = ""
    return left, chance, f"{known}{told}".strip()


def _absorbed(plan: Plan | Reservoir, model: Any, n: int, G: int) -> tuple[float | None, str]:
    """Chance that the last fit is a point mass, where it is known, and what to say."""
    where, masses = POINTS[type(model)]
    unknown = f"A fit can be a point mass, at {where}; the chance is not known here: simulate."
    if plan.persistent or len(np.unique(plan.generation)) < plan.generations:
        return None, unknown
    first, last = plan.reading
    real = np.flatnonzero((plan.source == 0) & (last >= 0))
    if len(set(first[real])) == plan.generations > 1:
        return None, f"A fit can be a point mass, at {where}; fresh real rows lead away again."
    if len(real) > 1:
        return None, unknown
    m, later = int(plan.rows(n)[real[0]]), _latest_alone(plan, n)
    reads = plan.recursion.sums((np.arange(plan.batches) == real[0]).astype(np.float64))
    if plan.reads_whole_batches and reads.all():
        mass = np.array(masses(model), np.float64)
        alike, missing = float((mass**m).sum()), float(((1 - mass) ** m).sum())
        told = (
            "Nothing is absorbed after the first fit, since every fit reads the real batch; that"
            f" all its rows are alike has chance {alike:.2g}."
        )
        classes = (
            f" Of {len(mass)} classes {missing:.3g} are missing there on average, and none comes"
            " back."
        )
        return alike, told + classes * isinstance(model, Multinomial)
    if later is None or isinstance(model, NegativeBinomial):
        return None, unknown
    by = f"By generation {G:,}"
    if isinstance(model, Poisson):
        chance = _extinct(float(model.rate) * m, later / m, G)
        return (
            chance,
            f"{by} the chain is extinct, at 0 for ever, with chance {chance:.3g} (exact).",
        )
    shares = np.array(model.p, np.float64)
    trials = int(model.trials) if isinstance(model, Binomial) else 1
    known = trials * max(m, later) <= LARGEST_CHAIN
    laws = [fixation(p, trials * m, trials * later, G) for p in shares.ravel() if known]
    zero, one = np.reshape(laws, (-1, 2)).sum(axis=0).tolist()
    if isinstance(model, Binomial):
        p = float(shares)
        mean = -2 * trials * later * (p * log(p) + (1 - p) * log(1 - p))
        about = f"after about {mean:,.0f} generations on average (diffusion, many rows)"
        if not known:
            return None, f"The chain is absorbed at {where} {about}."
        told = f"{by} the chain is absorbed at {where} with chance {zero + one:.3g} (exact)"
        return zero + one, f"{told}; {about}."
    if not known:
        told = f"the chance by generation {G:,} is not computed for so many rows"
        return None, f"Class after class is lost, until one is left; {told}."
    told = f"{by} {len(shares) - zero:.3g} of {len(shares)} classes are left on average"
    return one, f"{told}, and one alone with chance {one:.3g} (exact)."


def _latest_alone(plan: Plan | Reservoir, n: int) -> int | None:
    """Rows of each batch after the first where every fit reads the latest batch alone, whole; None
    elsewhere."""
    form = anchored(plan, n, 0.0)
    if plan.persistent or form is None or form.share or not plan.reads_whole_batches:
        return None
    return int(plan.rows(n)[-1])


def fixation(p: float, first: int, later: int, generations: int) -> tuple[float, float]:
    """Chances that a share is 0 and that it is 1 at last, where each fit reads the latest batch
    alone.

    Parameters
    ----------
    p : float
        The real share.
    first, later : int
        Trials (rows times trials of a row) of the real batch and of each later one.
    generations : int
        Fits.

    Returns
    -------
    tuple of float
        From the whole law of the count, generation after generation: exact but for rounding.

    Examples
    --------
    >>> from collapse.derivation.finite import fixation
    >>> zero, one = fixation(0.5, 1, 1, 3)  # one toss decides for ever
    >>> round(zero, 12), round(one, 12)
    (0.5, 0.5)
    """
    from scipy.stats import binom

    law: Any = binom.pmf(np.arange(first + 1), first, p)
    if generations > 1:
        law = law @ binom.pmf(np.arange(later + 1), later, np.arange(first + 1)[:, None] / first)
        step = binom.pmf(np.arange(later + 1), later, np.arange(later + 1)[:, None] / later)
        law = law @ np.linalg.matrix_power(step, generations - 2)
    return float(law[0]), float(law[-1])


def _extinct(mean: float, growth: float, generations: int) -> float:
    """Chance that Poisson counts are all 0: the total is a branching process with Poisson
    offspring, of mean 1 after the first batch."""
    dies = 0.0
    for g in range(generations - 1, 0, -1):
        dies = exp(-(growth if g == 1 else 1.0) * (1 - dies))
    return exp(-mean * (1 - dies))
