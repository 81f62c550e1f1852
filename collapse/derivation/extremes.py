"""The maximum of a uniform sample, where one batch surely holds it."""

from numbers import Rational
from typing import Any

import numpy as np

from collapse.checks import check_number, require
from collapse.derivation.means import limit, number
from collapse.plan import Plan
from collapse.risk import Risk


def sample_maximum(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of the sample maximum of a uniform law, where for every fit one batch surely holds the
    maximum.

    A batch drawn from fit s lies below the maximum of fit s, so it lies below every batch that
    decides fit s: the decided maximum is a product of independent Beta(rows, 1) variates along the
    line of descent, E theta_g^k = theta^k prod rows / (rows + k).
    """
    rows = plan.rows(n)
    check_number(model.endpoint, f"endpoint of {model!r}", 0)
    require(
        plan.reads_whole_batches,
        f"{plan.name} reads part of a batch; no exact form is known for a maximum then. Use"
        " simulate(plan, model=..., n=...).",
    )
    require(
        not exact or (plan.rational and isinstance(model.endpoint, Rational)),
        f"exact=True needs a rational plan and endpoint, and they hold floats ({model!r}): give"
        " int or fractions.Fraction.",
    )
    # the batches whose variates multiply to the maximum of each fit, and of each batch
    line: list[tuple[int, ...]] = []
    below: list[tuple[int, ...]] = [() if s else (b,) for b, s in enumerate(plan.source)]
    for g in range(plan.generations):
        read = np.flatnonzero(plan.weight[g] > 0).tolist()
        best = [b for b in read if all(below[b] == below[c][: len(below[b])] for c in read)]
        require(
            bool(best),
            f"which batch holds the maximum of fit {g + 1} is random; no exact form is known."
            " Use simulate(plan, model=..., n=...).",
        )
        line.append(below[best[0]])
        for b in plan.drawn_from[g].tolist():
            below[b] = (*line[g], b)

    def variates(descent: tuple[int, ...]) -> Any:
        # variance plus squared bias of a product t of Beta(k, 1) variates, each a sum of positive
        # terms: the bias 1 - prod k / (k + 1), the spread (Var t) / (E t)^2 = prod (1 + 1 / (k (k +
        # 2))) - 1
        bias = spread = number(0, exact)
        for b in descent:
            k = number(rows[b], exact)
            bias += (1 - bias) / (k + 1)
            spread += (1 + spread) / (k * (k + 2))
        return (1 - bias) ** 2 * spread + bias**2

    square = number(model.endpoint, exact) ** 2
    risk = np.array([square * variates(descent) for descent in line])
    return Risk(
        risk,
        risk / risk[0],
        plan,
        model=repr(model),
        n=n,
        tables={"contributions": limit(plan, exact).tables["contributions"]},
    )
