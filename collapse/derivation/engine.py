"""derive(): exact risk of a plan, in the Gaussian limit or at finite n where the family allows."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from math import isqrt, prod
from numbers import Rational
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, check_number, flag, is_number, whole
from collapse.models.adapters.selection import LinearResponse
from collapse.models.families.morris import plain
from collapse.models.protocols import EXACT_FORMS, design_of, exact_form
from collapse.plan import TOLERANCE, Array, Plan, draw_noise
from collapse.reservoir import Reservoir
from collapse.risk import Risk

LARGEST_TABLE = 10**8
"""Entries of a dense table (G, B): 0.8 GB."""

FRONTIER = 512
"""Batches to be remembered at once, from which dense tables are faster."""


def derive(
    plan: Plan | Reservoir, *, model: Any = None, n: int | None = None, exact: bool = False
) -> Risk:
    """Derive the risk of every generation of a plan.

    Parameters
    ----------
    plan : Plan or Reservoir
        The workflow.
    model : model, optional
        Without it: the Gaussian limit, which all regular models share. With it: the exact risk at
        n, known for the natural exponential families with quadratic variance (in the mean
        parameter; also for multinomial shares and the mean of a multivariate normal), for least
        squares on a fixed design where every batch is read whole, for the maximum of a uniform
        sample where one batch decides, and for selected rows whose mean and variance are
        polynomials of the fit (a model's `response`). Which of them a model is, it declares as its
        `exact_form`, which `models.check` tries.
    n : int, optional
        Rows of real data; required with a model, except that a regression's n is the number of rows
        of its design.
    exact : bool, optional
        Answer in `fractions.Fraction`. Needs a plan (and a model) of int and Fraction entries.

    Returns
    -------
    Risk
        With `covariance` and `contributions` computed when asked for.

    Raises
    ------
    ValueError
        Where no exact form is known (the message names the alternatives), n does not fit the plan's
        batches, or exact=True meets floats.

    Notes
    -----
    Let u_g be the scaled error of fit g, A the feedback and K the noise of the plan: u = A u + N,
    Cov N = K, hence Cov u = C = (I - A)^-1 K (I - A)^-T and the ratio is C[g, g] / C[1, 1] (Dey and
    Donoho 2024, the sequential Gaussian process). In a family with variance function v0 + v1 mu +
    v2 mu^2 the same holds at every n, if the noise of a batch drawn from fit s has variance (V + v2
    Var mu_s) / rows.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.subsample(100)).ratio[-1].round(6)
    np.float64(2.904952)
    >>> model = collapse.models.Bernoulli(0.2)
    >>> collapse.derive(collapse.workflows.discard(3), model=model, n=100).risk.round(7)
    array([0.0016   , 0.003184 , 0.0047522])
    """
    if not isinstance(plan, (Plan, Reservoir)):
        raise ValueError(
            "plan must be a collapse.Plan, such as collapse.workflows.augment(50); it is"
            f" {type(plan).__name__}."
        )
    exact = flag(exact, "exact")
    if model is None:
        if n is not None:
            raise ValueError(
                "n was given without a model; the Gaussian limit has no n. Give model=..., or leave"
                " n out."
            )
        return _reservoir(plan, exact) if isinstance(plan, Reservoir) else _limit(plan, exact)
    n = rows_of(model, n)
    form = exact_form(model)
    if isinstance(plan, Reservoir) and form != "quadratic variance":
        raise ValueError(
            f"no exact form at finite n is known for {model!r} under {plan.name}, whose rows"
            " persist; use derive(workflow) for the limit, or simulate(workflow, model=..., n=...,"
            " replications=...)."
        )
    if form == "quadratic variance":
        return _quadratic_variance(plan, model, n, exact)
    assert isinstance(plan, Plan)
    if form == "linear response":
        return _linear_response(plan, model, n, exact)
    if form == "fixed design":
        return _fixed_design(plan, model, n, exact)
    if form == "sample maximum":
        return _maximum(plan, model, n, exact)
    raise ValueError(
        f"no exact form at finite n is known for {brief(model)}, which declares none; "
        "use derive(plan) for the limit, or simulate(plan, model=..., n=..., replications=...) "
        "for the model itself. A model that has one declares it as its exact_form: "
        f"{', '.join(map(repr, EXACT_FORMS))}."
    )


def rows_of(model: Any, n: int | None) -> int:
    """Rows of real data: n, or the rows of a regression's design.

    Raises
    ------
    ValueError
        Where the model is a class, n is missing, no positive whole number, or not the number of
        rows of the design.
    """
    if isinstance(model, type):
        raise ValueError(
            f"model is the class {model.__name__}; give an instance of it, with its parameters."
        )
    design = design_of(model)
    if n is None:
        if design is None:
            raise ValueError(f"n (rows of real data) is needed with {brief(model)}; give n=...")
        return design
    n = whole(n, "n", "rows of real data")
    if design is not None and n != design:
        raise ValueError(
            f"n = {n}, but the design X has {design} rows and is reused whole; leave n out, or give"
            " X with n rows."
        )
    return n


def _limit(plan: Plan, exact: bool) -> Risk:
    tables = {
        "covariance": partial(_limit_covariance, plan, exact),
        "contributions": partial(_contributions, plan, exact),
    }
    if plan.recursion and plan.recursion.chain:
        risk = _chain(plan, exact)
    elif plan.recursion and (exact or plan.live <= FRONTIER):
        risk = _frontier(plan, exact, 1 / plan.exact_size(exact), 1, 0)
    elif exact:
        risk = np.diag(_forward(plan, True, *_limit_noise(plan, True)))
    else:
        risk = _dense(plan)
    return Risk(risk, risk / risk[0], plan, tables=dict(tables))


def _reservoir(plan: Reservoir, exact: bool) -> Risk:
    """Each fit moves by a martingale difference: rows that leave add share (1 - share) times one
    row's variance over n, rows that come share.
    """
    share = plan.turnover.fractions("turnover") if exact else plan.turnover.floats()
    return _martingale(np.cumsum(share * (2 - share)), plan)


def _finite_reservoir(plan: Reservoir, model: Any, n: int, exact: bool, V: Any, v2: Any) -> Risk:
    """Follow the variance of a row of the memory, the covariance of two, and the variance of their
    mean, which is the fit.
    """
    row, pair, out = V, 0 * V, [V / n]
    for share in (
        plan.turnover.fractions("turnover") if exact else plan.turnover.floats()
    ).tolist()[1:]:
        mean = out[-1]
        low = int(share * n + TOLERANCE)
        part = share * n - low  # the chance that one more row is replaced
        stay = sum(
            chance * (n - k) * (n - k - 1) for k, chance in ((low, 1 - part), (low + 1, part))
        )
        row = (1 - share) * row + share * (mean + V + v2 * mean)
        # a new row has the covariance of the mean with every other
        pair = mean + (stay / (n * (n - 1)) * (pair - mean) if n > 1 else 0)
        out.append(row / n + (n - 1) * pair / n)
    return _martingale(np.array(out, dtype=object if exact else np.float64), plan, repr(model), n)


def _martingale(
    risk: NDArray[Any], plan: Reservoir, model: str | None = None, n: int | None = None
) -> Risk:
    def covariance() -> NDArray[Any]:
        return np.asarray(risk[np.minimum.outer(np.arange(len(risk)), np.arange(len(risk)))])

    return Risk(risk, risk / risk[0], plan, model=model, n=n, tables={"covariance": covariance})


def _chain(plan: Plan, exact: bool) -> NDArray[Any]:
    """diag C in O(G): where a fit reads what the last one read and the newest batch, the weighted
    mean m_g moves by share * (noise of the newest batch + what subsampling added to its source).
    """
    rows = plan.recursion
    assert rows is not None
    size = plan.exact_size(exact)
    decay = rows.decay.fractions("weight") if exact else rows.decay.floats()
    share = rows.share.fractions("weight") if exact else rows.share.floats()
    spread = share**2 / size
    if rows.kept is None and not plan.replace:
        return _sums(spread)
    kept = rows.share_kept(exact)
    draw = 1 / kept if plan.replace else 1 / kept - 1
    square, added = 0 * spread[0], [0 * spread[0]]
    for d, s, r in zip((decay**2).tolist(), spread.tolist(), draw.tolist(), strict=True):
        square = d * square + s
        added.append(r * square)
    extra = np.array(added, dtype=spread.dtype)
    total: NDArray[Any] = _sums(share**2 * extra[:-1] + spread) + extra[1:]
    return total


def _sums(steps: NDArray[Any]) -> NDArray[Any]:
    """Running sums; those of doubles rounded once, where the machine has longer ones."""
    return (
        np.cumsum(steps)
        if steps.dtype == object
        else np.cumsum(steps, dtype=np.longdouble).astype(np.float64)
    )


def _inverse(plan: Plan) -> Array:
    """(I - A)^-1, unit lower triangular (G, G)."""
    from scipy.linalg.lapack import dtrtri

    if plan.generations * max(plan.generations, plan.batches) > LARGEST_TABLE:
        raise ValueError(
            f"{plan.name} with {plan.generations} fits of {plan.batches} batches needs dense tables"
            f" of {8e-9 * plan.generations * max(plan.generations, plan.batches):.1f} GB; derive"
            f" goes up to {LARGEST_TABLE:,} entries ({isqrt(LARGEST_TABLE):,} fits with one batch"
            " each). Take fewer generations, or a workflow that looks fewer batches up."
        )
    lower = -plan.feedback()
    np.fill_diagonal(lower, 1.0)
    # the transpose of a C-ordered lower triangle is a Fortran-ordered upper one: LAPACK then works
    # in place
    inverse, info = dtrtri(lower.T, lower=0, unitdiag=1, overwrite_c=1)
    if info:
        raise RuntimeError(
            f"dtrtri failed with info = {info}; the plan's feedback is not unit triangular."
        )
    return np.asarray(inverse.T)


def _spread(plan: Plan, inverse: Array) -> Array:
    """c = (I - A)^-1 W, shape (G, B)."""
    real = plan.source == 0
    if np.bincount(plan.source[~real]).max(initial=0) <= 1:
        # with one batch to a source, W's columns are those of A = I - (I - A), and (I - A)^-1 A =
        # (I - A)^-1 - I
        out = np.empty((plan.generations, plan.batches))
        synthetic = plan.source[~real] - 1
        out[:, ~real] = inverse[:, synthetic]
        out[synthetic, np.flatnonzero(~real)] = 0.0
        out[:, real] = inverse @ plan.weight[:, real]
        return out
    return np.asarray(inverse @ plan.weight)


def _dense(plan: Plan) -> Array:
    inverse = _inverse(plan)
    c = _spread(plan, inverse)
    risk: Array = np.einsum("gb,gb,b->g", c, c, 1 / plan.size)
    if not plan.reads_whole_batches:
        risk = risk + np.einsum("gh,gh,h->g", inverse, inverse, plan.subsampling_noise())
    return risk


def _limit_covariance(plan: Plan, exact: bool) -> NDArray[Any]:
    if exact:
        return _forward(plan, True, *_limit_noise(plan, True))
    inverse = _inverse(plan)
    c = _spread(plan, inverse)
    return np.asarray((c / plan.size) @ c.T + (inverse * plan.subsampling_noise()) @ inverse.T)


def _contributions(plan: Plan, exact: bool) -> NDArray[Any]:
    if not exact:
        return np.asarray(_spread(plan, _inverse(plan)) + 0.0)  # LAPACK leaves negative zeros
    A, c = plan.feedback(True), plan.exact_weight(True).copy()
    for g in range(1, plan.generations):
        c[g] = c[g] + A[g, :g] @ c[:g]
    return c


def _limit_noise(plan: Plan, exact: bool) -> tuple[NDArray[Any], NDArray[Any], Any, Any]:
    """Per unit of V: noise of each batch's mean, of each fit's draw from each batch, V, v2."""
    size, kept = plan.exact_size(exact), plan.exact_kept(exact)
    return 1 / size, (1 / kept if plan.replace else 1 / kept - 1) / size, 1, 0


def _forward(
    plan: Plan, exact: bool, batch_noise: NDArray[Any], draw_noise: NDArray[Any], V: Any, v2: Any
) -> NDArray[Any]:
    """Covariance (G, G) of the fits, fit by fit, where the noise of a batch from fit s has variance
    (V + v2 Var mu_s) * batch_noise.

    Works on the covariance D of the batch means x_b = mu_s + Z_b and their covariance F with the
    fits: fit g is sum_b weight[g, b] x_b plus the noise of its draws.
    """
    G, B = plan.generations, plan.batches
    weight = plan.exact_weight(exact)

    def zeros(*shape: int) -> NDArray[Any]:
        return np.full(shape, Fraction(0), object) if exact else np.zeros(shape)

    D, F, covariance = zeros(B, B), zeros(B, G), zeros(G, G)
    level = zeros(B) + V
    real = np.flatnonzero(plan.source == 0)
    D[real, real] = V * batch_noise[real]
    for g in range(G):
        w = weight[g]
        towards = D @ w
        covariance[g, :g] = covariance[:g, g] = w @ F[:, :g]
        covariance[g, g] = w @ towards + (w * w * draw_noise[g] * level).sum()
        F[:, g] = towards
        for b in np.flatnonzero(plan.source == g + 1):
            level[b] = V + v2 * covariance[g, g]
            F[b] = covariance[g]
            D[b] = D[:, b] = F[:, g]
            D[b, b] = covariance[g, g] + level[b] * batch_noise[b]
    return covariance


def _frontier(plan: Plan, exact: bool, batch_noise: NDArray[Any], V: Any, v2: Any) -> NDArray[Any]:
    """Return diag C of a plan held as a Recursion, from the covariance of the batches that are
    still to be read, and of what is carried on.

    A batch from fit s has noise (V + v2 Var mu_s) * batch_noise. Slot 0 holds what is carried on,
    each other slot a batch; a slot is free again after its batch's last reading.
    """
    rows = plan.recursion
    assert rows is not None
    drawing, carries = plan.subsampling_noise(exact), bool(np.any(rows.share.numerator))
    decay, share = (
        (part.fractions("weight") if exact else part.floats()).tolist()
        for part in (rows.decay, rows.share)
    )
    newest, (_, last) = rows.newest.tolist(), plan.reading
    batch: list[list[int]] = [[] for _ in decay]
    weight: list[list[Any]] = [[] for _ in decay]
    if rows.entries:
        values = rows.entries.weight.fractions("weight") if exact else rows.entries.weight.floats()
        for g, b, w in zip(
            rows.entries.fit.tolist(), rows.entries.batch.tolist(), values.tolist(), strict=True
        ):
            batch[g].append(b)
            weight[g].append(w)
    S = np.full((plan.live + 1, plan.live + 1), Fraction(0) if exact else 0.0)
    slot: dict[int, int] = {}
    free = list(range(plan.live, 0, -1))
    risk, nothing = [], S[0].copy()
    towards, variance = nothing, nothing[0]
    for g in range(plan.generations):
        for b in plan.arrivals[g]:
            k = slot[b] = free.pop()
            born = towards if plan.source[b] else nothing
            S[k] = S[:, k] = born
            level = variance if plan.source[b] else nothing[0]
            S[k, k] = level + (V + v2 * level) * batch_noise[b]
            if plan.source[b]:
                towards[k] = variance
        if share[g] or decay[g]:
            d, s, k = decay[g], share[g], slot[newest[g]] if share[g] else 0
            carried = d * S[0] + s * S[k] if share[g] else d * S[0]
            own = d * d * S[0, 0] + (s * s * S[k, k] + 2 * d * s * S[0, k] if share[g] else 0)
            S[0] = S[:, 0] = carried
            S[0, 0] = own
        elif carries:
            S[0] = S[:, 0] = nothing
        at, w = [slot[b] for b in batch[g]], weight[g]
        if share[g] or decay[g]:
            at, w = [0, *at], [1, *w]
        towards = S[:, at] @ np.array(w, S.dtype)
        variance = towards[at] @ np.array(w, S.dtype) + drawing[g]
        risk.append(variance)
        for b in {*batch[g], newest[g]} if share[g] else batch[g]:
            if last[b] == g:
                free.append(slot.pop(b))
    return np.array(risk, dtype=S.dtype)


def _quadratic_variance(plan: Plan | Reservoir, model: Any, n: int, exact: bool) -> Risk:
    # of a vector of means: the trace of a row's covariance, v0 + v1 sum_j mu_j + v2 |mu|^2
    mean = model.mean if isinstance(model.mean, tuple) else (model.mean,)
    if not (isinstance(model.variance_function, tuple) and len(model.variance_function) == 3):
        given = model.variance_function
        raise ValueError(
            f"variance_function of {model!r} must be a tuple (v0, v1, v2), not {given!r}."
        )
    v0, v1, v2 = model.variance_function
    if not all(is_number(value) for value in (*mean, v0, v1, v2)):
        given = model.mean, (v0, v1, v2)
        raise ValueError(
            f"mean and variance_function of {model!r} must hold numbers, not {given!r}."
        )
    if exact and not all(isinstance(v, Rational) for v in (*mean, v0, v1, v2)):
        raise ValueError(
            f"exact=True needs rational parameters, and {model!r} holds floats: give int or"
            " fractions.Fraction."
        )
    exactly = [plain(m) for m in mean]
    V = v0 + v1 * sum(exactly) + v2 * sum(m * m for m in exactly)
    if exact:
        # numpy's integers are rational too, and overflow
        V, v2 = (Fraction(int(v.numerator), int(v.denominator)) for v in (V, v2))
    else:
        V, v2 = float(V), float(v2)
    if isinstance(plan, Reservoir):
        return _finite_reservoir(plan, model, n, exact, V, v2)
    rows = plan.rows(n)
    tables: dict[str, Any] = {"contributions": partial(_contributions, plan, exact)}
    if (
        plan.recursion
        and plan.reads_whole_batches
        and not plan.recursion.chain
        and plan.live <= FRONTIER
    ):
        noise = np.array([Fraction(1, int(m)) for m in rows], dtype=object) if exact else 1.0 / rows
        out = _frontier(plan, exact, noise, V, v2)
        tables["covariance"] = partial(_finite_covariance, plan, n, exact, V, v2)
    elif plan.recursion and plan.recursion.chain and plan.reads_whole_batches:
        risk, walk = [], 0 * V
        share = plan.recursion.share.fractions("weight") if exact else plan.recursion.share.floats()
        for v, m in zip(share.tolist(), rows.tolist(), strict=True):
            walk = walk + v * v * (V + v2 * walk) / m
            risk.append(walk)
        out = np.array(risk, dtype=object if exact else np.float64)
        tables["covariance"] = partial(_finite_covariance, plan, n, exact, V, v2)
    else:
        tables["covariance"] = _finite_covariance(plan, n, exact, V, v2)
        out = np.diag(tables["covariance"]).copy()
    return Risk(out, out / out[0], plan, model=repr(model), n=n, tables=tables)


def _finite_covariance(plan: Plan, n: int, exact: bool, V: Any, v2: Any) -> NDArray[Any]:
    rows = plan.rows(n)
    noise = np.array([Fraction(1, int(m)) for m in rows], dtype=object) if exact else 1.0 / rows
    return _forward(plan, exact, noise, draw_noise(plan, n, exact), V, v2)


def _fixed_design(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    if exact:
        raise ValueError(
            "exact=True needs rational arithmetic, and a regression's design is floats; derive"
            " without it."
        )
    if not plan.reads_whole_batches:
        raise ValueError(
            f"{plan.name} reads part of a batch, which makes the Gram matrix random: no exact form"
            " is known for least squares there. Use derive(plan) for the limit, or simulate(plan,"
            " model=...)."
        )
    if np.any(plan.rows(n) % n):
        raise ValueError(
            "a batch labels part of the design, and no exact form is known then; use sizes that are"
            " whole numbers, or simulate."
        )
    check_number(model.first_risk, f"first_risk of {model!r}", 0)
    limit = _limit(plan, False)
    risk = model.first_risk * limit.risk
    tables: dict[str, Any] = {
        "contributions": limit.tables["contributions"],
        "covariance": lambda: model.first_risk * limit.covariance,
    }
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n, tables=tables)


def _maximum(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of the sample maximum of a uniform law, where for every fit one batch surely holds the
    maximum.

    A batch drawn from fit s lies below the maximum of fit s, so it lies below every batch that
    decides fit s: the decided maximum is a product of independent Beta(rows, 1) variates along the
    line of descent, E theta_g^k = theta^k prod rows / (rows + k).
    """
    rows = plan.rows(n)
    check_number(model.endpoint, f"endpoint of {model!r}", 0)
    if not plan.reads_whole_batches:
        raise ValueError(
            f"{plan.name} reads part of a batch; no exact form is known for a maximum then. Use"
            " simulate(plan, model=..., n=...)."
        )
    if exact and not (plan.rational and isinstance(model.endpoint, Rational)):
        raise ValueError(
            f"exact=True needs a rational plan and endpoint, and they hold floats ({model!r}): give"
            " int or fractions.Fraction."
        )
    line: list[
        tuple[int, ...]
    ] = []  # for each fit, the batches whose variates multiply to its maximum
    below: list[tuple[int, ...]] = []  # the same for each batch
    for b in range(plan.batches):
        below.append((b,) if plan.source[b] == 0 else ())
    for g in range(plan.generations):
        read = np.flatnonzero(plan.weight[g] > 0).tolist()
        best = [b for b in read if all(below[b] == below[c][: len(below[b])] for c in read)]
        if not best:
            raise ValueError(
                f"which batch holds the maximum of fit {g + 1} is random; no exact form is known."
                " Use simulate(plan, model=..., n=...)."
            )
        line.append(below[best[0]])
        for b in np.flatnonzero(plan.source == g + 1).tolist():
            below[b] = (*line[g], b)

    def exactly(m: list[int]) -> Fraction:
        first = prod((Fraction(k, k + 1) for k in m), start=Fraction(1))
        second = prod((Fraction(k, k + 2) for k in m), start=Fraction(1))
        return 1 - 2 * first + second

    def closely(m: list[int]) -> float:
        # variance plus squared bias, each without a difference of numbers close to one: (Var t) /
        # (E t)^2 + 1 = prod 1 + 1 / (m (m + 2))
        bias = -np.expm1(-sum(np.log1p(1 / k) for k in m))
        spread = np.expm1(sum(np.log1p(1 / (k * (k + 2))) for k in m))
        return float((1 - bias) ** 2 * spread + bias**2)

    lines = [[int(rows[b]) for b in descent] for descent in line]
    if exact:
        end = Fraction(int(model.endpoint.numerator), int(model.endpoint.denominator))
        risk = np.array([end**2 * exactly(m) for m in lines], dtype=object)
    else:
        risk = np.array([float(model.endpoint) ** 2 * closely(m) for m in lines])
    return Risk(
        risk,
        risk / risk[0],
        plan,
        model=repr(model),
        n=n,
        tables={"contributions": partial(_contributions, plan, exact)},
    )


def _linear_response(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of weighted means where rows from fit mu have mean m0 + m1 mu and variance v0 + v1 mu +
    v2 mu^2, at every n.

    The errors obey e = m1 A e + shift A 1 + noise. Given the past, the noise of a batch is a
    martingale difference whose variance, in the mean, needs the first two moments of its source's
    error alone.
    """
    response: Any = model.response
    if response is None:
        raise ValueError(
            f"no exact form is known for {model!r}: the mean of a selected row is not known to be"
            " linear in the fit. Use simulate(plan, model=..., n=..., replications=...), or put"
            " its values at the truth into collapse.models.LinearResponse for a linearisation."
            " derive(plan) alone leaves selection out."
        )
    if not isinstance(response, LinearResponse):
        kind = "a collapse.models.LinearResponse, or None"
        raise ValueError(f"response of {model!r} must be {kind}; it is {response!r}.")
    numbers: list[Any] = [response.mean, response.variance]
    numbers += [*response.selected_mean, *response.selected_variance]
    if exact and not all(isinstance(v, Rational) for v in numbers):
        raise ValueError(
            f"exact=True needs a rational response, and that of {model!r} holds floats: leave exact"
            " out, or give int or fractions.Fraction."
        )
    mean, V, m0, slope, v0, v1, v2 = (
        Fraction(int(v.numerator), int(v.denominator)) if exact else float(v) for v in numbers
    )
    shift = m0 + slope * mean - mean
    rows = [Fraction(int(m)) if exact else float(m) for m in plan.rows(n)]

    def variance(bias: Any, square: Any) -> Any:
        """Variance of a row drawn from a fit whose error has this mean and mean square."""
        return v0 + v1 * mean + v2 * mean * mean + (v1 + 2 * v2 * mean) * bias + v2 * square

    dense = partial(_response_tables, plan, n, exact, slope, shift, V, variance)
    tables: dict[str, Any] = {"covariance": lambda: dense()[0], "contributions": lambda: dense()[1]}
    if plan.recursion and plan.recursion.chain and plan.reads_whole_batches:
        decays, shares = (
            t.fractions("weight") if exact else t.floats()
            for t in (plan.recursion.decay, plan.recursion.share)
        )
        bias, spread, risk = 0 * V, 0 * V, []
        for g, (d, w, m) in enumerate(zip(decays.tolist(), shares.tolist(), rows, strict=True)):
            level = variance(bias, bias * bias + spread) if g else V
            carried = d + w * slope
            bias = carried * bias + w * shift if g else bias
            spread = carried * carried * spread + w * w * level / m
            risk.append(bias * bias + spread)
        out = np.array(risk, dtype=object if exact else np.float64)
    else:
        tables["covariance"], tables["contributions"] = dense()
        out = np.diag(tables["covariance"]).copy()
    return Risk(out, out / out[0], plan, model=repr(model), n=n, tables=tables)


def _response_tables(
    plan: Plan, n: int, exact: bool, slope: Any, shift: Any, V: Any, variance: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Second moments (G, G) of the errors, and contributions (G, B): how much of each batch's noise
    stands in each fit.
    """
    G, B = plan.generations, plan.batches
    if G * (B + G) > LARGEST_TABLE:
        raise ValueError(
            f"{plan.name} with {G} fits of {B} batches needs dense tables of"
            f" {8e-9 * G * (B + G):.1f} GB where rows are selected; derive goes up to"
            f" {LARGEST_TABLE:,} entries, and further for discard and augment alone. Take fewer"
            " generations."
        )
    A, W, draw = plan.feedback(exact), plan.exact_weight(exact), draw_noise(plan, n, exact)
    rows = plan.rows(n)
    noise = np.array([Fraction(1, int(m)) for m in rows], dtype=object) if exact else 1.0 / rows
    # columns: the noise of each batch, then that of each fit's draw from its batches
    c = np.hstack([W, np.diag(np.full(G, Fraction(1), object) if exact else np.ones(G))])
    level, bias = np.zeros(B + G, c.dtype) + 0 * V, np.zeros(G, c.dtype) + 0 * V
    row = np.zeros(B, c.dtype) + V
    level[:B] = row * noise
    for g in range(G):
        level[B + g] = (W[g] * W[g] * draw[g] * row).sum()
        if g:
            c[g] += slope * (A[g, :g] @ c[:g])
            bias[g] = A[g, :g] @ (slope * bias[:g] + shift)
        square = bias[g] * bias[g] + (c[g, : B + g + 1] ** 2 * level[: B + g + 1]).sum()
        later = np.flatnonzero(plan.source == g + 1)
        row[later] = variance(bias[g], square)
        level[later] = row[later] * noise[later]
    return (c * level) @ c.T + np.outer(bias, bias), c[:, :B]
