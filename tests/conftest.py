"""Set before numpy is imported: one thread for linear algebra (two busy workers with two threads
each run many times slower), no window.
"""

import os
import signal
from collections import Counter

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["MPLBACKEND"] = "Agg"

from pathlib import Path

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell's background jobs have it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests send it to what they start

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")


# begun first, the longest before the others: one begun last leaves all workers but one idle
LONG = (
    "test_universality.py",
    "test_revision.py",
    "test_kills.py",
    "test_second_order.py",
    "test_runs.py",
    "test_rerun.py",
    "test_location.py",
    "test_faults.py",
    "test_scheduler.py",
    "test_widgets.py",
    "test_holding.py",
    "test_benchmarks.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as `book` and `slow` what stands in tests/book and tests/slow, and as `fast` what is not
    slow by its mark; leave out `slow` where it is not asked for. Put the long files first.
    """
    for item in items:
        for room in ("book", "slow"):
            if Path(__file__).with_name(room) in item.path.parents:
                item.add_marker(room)
    if "slow" not in config.getoption("markexpr"):
        left = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    for item in items:
        if not {"statistical", "book", "slow"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker("fast")
    if not config.getoption("loadscopereorder", True):  # as `make test` has it: ours is kept
        tests = Counter(item.path for item in items)
        ranks = {name: rank for rank, name in enumerate(LONG)}
        items.sort(
            key=lambda item: (
                ranks.get(item.path.name, len(LONG)),
                -tests[item.path],
                str(item.path),
            )
        )
