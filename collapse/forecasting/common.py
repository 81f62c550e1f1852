"""What all of a forecast uses: modules that only it needs, and words for numbers and lists."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import checks
from collapse.checks import plural

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Objects = NDArray[np.object_]

EXTRA = "a forecast needs pandas and scikit-learn: pip install 'collapse-companion[data]'."
SMALL = 1e-12
"""First loss up to which changes are not told in parts of it."""


def module(name: str, refusal: str = EXTRA) -> Any:
    """Import a module, or raise an ImportError that says what to install."""
    return checks.module(name, refusal)


def pandas() -> Any:
    """pandas itself."""
    return module("pandas")


def in_short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


def in_percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def were(count: int) -> str:
    return plural(count, "was", "were")


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names with commas between them, the first few."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def quoted(names: Sequence[object]) -> str:
    return listed([repr(str(name)) for name in names])


def columns_named(names: Sequence[object], one: str = "Column") -> str:
    return f"{plural(len(names), one)} {quoted(names)}"


def reached(values: Array, level: float) -> int | None:
    """The first generation at which a loss is there; None where it is not."""
    there = np.flatnonzero(np.nan_to_num(values, nan=-np.inf) >= level)
    return int(there[0]) + 1 if len(there) else None
