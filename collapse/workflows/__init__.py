"""Named workflows: functions that return a Plan, each with its record."""

# in the order in which they are listed
# isort: off
from collapse.workflows.chains import augment, bootstrap, discard, subsample, window
from collapse.workflows.anchored import (
    fixed_real_share,
    forgetting,
    fresh_real,
    golden_share,
    mixture,
    real_and_average,
    real_and_window,
)
from collapse.workflows.ecosystems import all_to_all, ring, star
from collapse.workflows.memory import reservoir

# isort: on
from collapse.workflows.record import NAMED, named
from collapse.workflows.tables import LARGEST_GENERATIONS

__all__ = [
    "LARGEST_GENERATIONS",
    "NAMED",
    "all_to_all",
    "augment",
    "bootstrap",
    "discard",
    "fixed_real_share",
    "forgetting",
    "fresh_real",
    "golden_share",
    "mixture",
    "named",
    "real_and_average",
    "real_and_window",
    "reservoir",
    "ring",
    "star",
    "subsample",
    "window",
]

__test__ = {name: record.function for name, record in NAMED.items()}
