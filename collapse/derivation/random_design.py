"""Least squares on covariates that every batch draws anew: exact where all rows weigh alike."""

from typing import Any

import numpy as np

from collapse.checks import check_size, require, whole
from collapse.derivation.means import number, rational
from collapse.plan import Plan
from collapse.recursion import TOLERANCE
from collapse.risk import Risk

OTHERWISE = (
    "Use derivation.equivalent.deterministic_equivalent(plan, model, n) for the limit of many rows"
    " and columns, or simulate(plan, model=..., n=..., replications=...)."
)


def random_design(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of least squares on standard normal covariates, where a fit reads what an earlier fit
    read and all or some of the batches drawn from that fit, or these alone, and weighs all rows
    alike.

    Then theta_g = theta_s + S^-1 X'e, S the Gram matrix of all its M rows, X and e the new ones;
    they are exchangeable, so that the step has the share (new rows) / M of E S^-1 = 1 / (M - p - 1)
    in each column. With M < p rows the shortest coefficients have S^+ for S^-1, of mean trace M /
    (p - M - 1); where all rows are new they are these plus theta_s turned into the rows' span, of
    which the share M / p of any vector is left.
    """
    p = whole(model.columns, "columns", f"covariates of {model!r}")
    check_size(model.sigma, f"sigma of {model!r}")
    rational((model.sigma,), f"a rational sigma, and {model!r} holds", exact)
    noise = number(model.sigma, exact) ** 2 * p
    require(
        plan.reads_whole_batches,
        f"{plan.name} reads part of a batch, and no exact form is known then for covariates that"
        " are drawn anew; use derive(plan) for the limit, or simulate(plan, model=..., n=...,"
        " replications=...).",
    )
    weight, rows = plan.weight, plan.rows(n)
    read, risks, single = weight > 0, [0 * noise], True
    signal = float(np.vecdot(model.truth, model.truth))
    total = read @ rows
    alike = np.abs(weight * total[:, None] - read * rows) <= TOLERANCE * total[:, None]
    require(
        alike.all(axis=1),
        lambda g: (
            f"fit {g + 1} of {plan.name} does not weigh all its rows alike, and no exact form is"
            f" known then for covariates that are drawn anew. {OTHERWISE}"
        ),
    )
    for g, (batches, M) in enumerate(zip(read, total.tolist(), strict=True)):
        source = int(plan.source[batches].max())
        new = batches & (plan.source == source)
        old = batches & ~new
        require(
            not old.any() or bool(source and np.array_equal(old, read[source - 1])),
            f"fit {g + 1} of {plan.name} reads batches of several fits, and not all that its last"
            f" source read: no exact form is known then. {OTHERWISE}",
        )
        short = bool(model.shortest) and p > M
        require(
            p + 1 < M or (short and p > M + 1),
            f"fit {g + 1} reads {M:,} rows, and with {p:,} columns at least {p + 2:,} are needed"
            + f", or {p - 2:,} at the most," * (bool(model.shortest) and p > 2)
            + " for a risk that has a mean; take a larger n or fewer columns.",
        )
        require(
            not (exact and short),
            f"fit {g + 1} reads {M:,} rows, fewer than the {p:,} columns, and its risk holds beta,"
            f" which is kept in floats; leave exact out, or take at least {p + 2:,} rows.",
        )
        apart = p * (p - M - 1) if short else M * (M - p - 1)
        step = noise * int(rows[new].sum()) / number(apart, exact)
        turned = short and not old.any()  # of what is outside the rows' span nothing is left
        risks.append(risks[source] + step)
        if turned:
            risks[-1] += (1 - M / p) * (signal - risks[source])
        single &= source == g and not (turned and source)
    risk = np.array(risks[1:], dtype=object if exact else np.float64)
    tables: dict[str, Any] = {}
    if single:  # one line: errors are sums of the same steps
        at = np.arange(plan.generations)
        tables["covariance"] = lambda: risk[np.minimum.outer(at, at)]
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n, tables=tables)
