"""Least squares on a fixed design, every batch read whole: the limit holds at n."""

from __future__ import annotations

from typing import Any

import numpy as np

from collapse.checks import check_number
from collapse.derivation.limit import limit
from collapse.plan import Plan
from collapse.risk import Risk


def fixed_design(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
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
    many = limit(plan, False)
    risk = model.first_risk * many.risk
    tables: dict[str, Any] = {
        "contributions": many.tables["contributions"],
        "covariance": lambda: model.first_risk * many.covariance,
    }
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n, tables=tables)
