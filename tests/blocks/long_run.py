"""A sweep as a process of its own, which tests interrupt: python -m tests.blocks.long_run FOLDER
START WORKERS, where START is how processes are started. It tells each step on a line, and at the
end the answer.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

import collapse
from tests.blocks.models import Marking

GRID: dict[str, Any] = {
    "workflow": ["augment", "discard"],
    "model": Marking(0, 1),
    "n": 10,
    "generations": 5,
    "replications": 260_000,
    "rng": 3,
    "quantiles": [0.5],
}
"""Two cells of 16 blocks each."""


def answer(study: collapse.Sweep) -> str:
    risks = [[r.risk, r.stderr, r.quantiles] for r in study.risks]
    return json.dumps([[part.tolist() for part in risk] for risk in risks])


if __name__ == "__main__":
    folder, start, workers = sys.argv[1:]
    multiprocessing.set_start_method(start)
    study = collapse.sweep(
        GRID,
        folder=folder,
        workers=int(workers),
        progress=lambda done, total: print(done, total, flush=True),
    )
    print(answer(study), flush=True)
