"""Run the benchmarks: check that both programs of a row agree, time them in turn, print the table,
write it as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}  # before numpy loads its library

from threadpoolctl import threadpool_limits

from benchmarks.rows import ROWS, CheckError, Row
from collapse.risk import versions


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--list", action="store_true", help="print the rows and their targets, and stop"
    )
    parser.add_argument(
        "--only",
        metavar="ROW",
        nargs="+",
        choices=[row.name for row in ROWS],
        help="run these rows alone",
    )
    parser.add_argument(
        "--pairs", type=int, default=5, help="how often both programs are run in turn (default 5)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with status 1 where a target is missed, too"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("_build/bench.json"),
        help="where to write the table (default _build/bench.json)",
    )
    options = parser.parse_args(arguments)
    if options.pairs < 1:
        parser.error("--pairs must be at least 1")
    rows = [row for row in ROWS if options.only is None or row.name in options.only]
    if options.list:
        for row in rows:
            print(f"{row.name:25} {row.sense} {row.target:<8g} {row.yardstick}")
        return 0
    start, load = time.perf_counter(), os.getloadavg()[0]
    with threadpool_limits(1):
        results = [run(row, options.pairs) for row in rows]
    record = {
        "results": results,
        "machine": {
            "processors": os.cpu_count(),
            "platform": platform.platform(),
            "load_before": load,
        },
        "versions": versions(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n")
    print(table(results))
    failed = [result["name"] for result in results if "error" in result]
    missed = [result["name"] for result in results if result.get("met") is False]
    print(
        f"\n{len(results)} rows in {record['seconds']} s, one BLAS thread, load {load:.1f} on"
        f" {os.cpu_count()} processors; {options.output}"
    )
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    if missed:
        print(f"missed: {', '.join(missed)}")
    return int(bool(failed or (options.strict and missed)))


def run(row: Row, pairs: int) -> dict[str, Any]:
    """Check a row, warm both programs up by one pair that does not count (unless one pair is
    enough), and measure.
    """
    print(f"{row.name}: {row.yardstick}", file=sys.stderr, flush=True)
    result: dict[str, Any] = {
        "name": row.name,
        "yardstick": row.yardstick,
        "unit": row.unit,
        "target": f"{row.sense} {row.target:g}",
    }
    try:
        result["check"] = row.check(False)
        print(f"  checked: {result['check']}\n  {row.note}", file=sys.stderr, flush=True)
        if not row.once:
            row.pair()
        measured = [row.pair() for _ in range(1 if row.once else pairs)]
    except (CheckError, RuntimeError) as error:
        print(f"  failed: {error}", file=sys.stderr, flush=True)
        return result | {"error": str(error)}
    figures = [pair.figure for pair in measured]
    median = statistics.median(figures)
    return result | {
        "note": row.note,
        "figure": median,
        "low": min(figures),
        "high": max(figures),
        "pairs": len(measured),
        "met": row.met(median),
        "yardstick_seconds": statistics.median(pair.yardstick for pair in measured),
        "package_seconds": statistics.median(pair.package for pair in measured),
    }


def table(results: list[dict[str, Any]]) -> str:
    lines = [
        (
            f"{'row':25} {'yardstick':>10} {'package':>10} {'median':>10} "
            f" {'lowest to highest':>20}  {'target':>10}"
        )
    ]
    for result in results:
        if "error" in result:
            lines.append(f"{result['name']:25} FAILED: {result['error']}")
            continue
        spread = f"{number(result['low'])} to {number(result['high'])}"
        times = (
            f"{duration(result['yardstick_seconds']):>10} {duration(result['package_seconds']):>10}"
        )
        met = "met" if result["met"] else "MISSED"
        lines.append(
            f"{result['name']:25} {times} {number(result['figure']):>10}  {spread:>20} "
            f" {result['target']:>10}  {met}"
        )
    return "\n".join(lines)


def number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


if __name__ == "__main__":
    sys.exit(main())
