"""Set before numpy is imported: one thread for linear algebra (two busy workers with two threads
each run many times slower), no window.
"""

import os
import signal

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as `book` and `slow` what stands in tests/book and tests/slow, and as `fast` what is not
    slow by its mark; leave out `slow` where it is not asked for.
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
