"""A reservoir, whose rows persist: each fit moves by a martingale difference."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.derivation.means import variance_of
from collapse.recursion import TOLERANCE
from collapse.reservoir import Reservoir
from collapse.risk import Risk


def reservoir_limit(plan: Reservoir, exact: bool) -> Risk:
    """Rows that leave add share (1 - share) times one row's variance over n, rows that come
    share.
    """
    share = plan.turnover.values(exact, "turnover")
    return _martingale(np.cumsum(share * (2 - share)), plan)


def reservoir_quadratic_variance(plan: Reservoir, model: Any, n: int, exact: bool) -> Risk:
    """Follow the variance of a row of the memory, the covariance of two, and the variance of their
    mean, which is the fit.
    """
    V, v2 = variance_of(model, exact)
    row, pair, out = V, 0 * V, [V / n]
    for share in plan.turnover.values(exact, "turnover").tolist()[1:]:
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
    g = np.arange(len(risk))
    tables: dict[str, Any] = {"covariance": lambda: risk[np.minimum.outer(g, g)]}
    return Risk(risk, risk / risk[0], plan, model, n, tables=tables)
