"""Parameters of the chapters at the ends of the ranges that stand beside them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from collapse.publishing.chapters import chapters, inspected, read

RANGE = re.compile(r"from (\S+) to ([^\s,]+)")
COUNTS = re.compile(r".*replications|runs|walks|truths|chains|resamples|workers")
"""Names of parameters that say how often something is repeated: a larger one is slower, no more."""


def corner(book: Path, file: Path, *, upper: bool = False, names: Collection[str] = ()) -> Path:
    """Write a file of settings with all parameters at their lower ends, or those that count no
    repetitions at their upper ones; of all chapters, or those of `names`.
    """
    lines = []
    for name, path in chapters(book).items():
        lines.append(f"[{name}]")
        for key, entry in inspected(read(path)).items() if name in (names or [name]) else ():
            ends = RANGE.match(entry["help"])
            assert ends, f"{name}: {key} states no range"
            end = ends[2 if upper and not COUNTS.fullmatch(key) else 1]
            lines.append(f"{key} = {end.replace('2**32', str(2**32))}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
