"""Commands on runs of chapters."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from collapse.checks import (
    counted,
    require,
)
from collapse.cli.answers import lent

MOST = 1000
"""Values that a range of a grid has at most."""


def run_rerun(options: argparse.Namespace) -> int:
    from collapse.publishing.rerun import rerun

    if options.workers is None:
        options.workers = 2 if options.scheduler is None else 1
    values, grid = _each(options.parameter, _value), _each(options.grid, _values)
    with lent(options) as where:
        outcomes = rerun(
            options.chapters,
            values,
            grid=grid,
            settings=options.settings,
            book=options.book,
            folder=options.folder,
            store=options.store,
            fresh=options.fresh,
            progress=True,
            **where,
        )
    for outcome in outcomes:
        spent = f"{outcome.seconds:.1f} s" if outcome.seconds else "taken over from an earlier run"
        note = f" ({outcome.note})" if outcome.note else ""
        state = "failed" if outcome.error else spent
        print(f"{outcome.chapter}: {state}, {outcome.notebook}{note}")
    failed: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.error:
            told = f"chapter {outcome.chapter!r} failed in {outcome.error}"
            failed.setdefault(told, []).append(outcome.notebook.parent.name)
    for told, runs in failed.items():  # once, in however many runs of a grid
        same = f"\n(the same in {len(runs)} runs: {'; '.join(runs)})" if len(runs) > 1 else ""
        print(f"\ncollapse: {told}{same}", file=sys.stderr)
    return int(bool(failed))


def run_figures(options: argparse.Namespace) -> int:
    from collapse.publishing.latex import figures

    document = figures(options.out, options.labels, run=options.run_folder, book=options.book)
    told = {name: len(document[name]) for name in ("figures", "numbers")}
    print(
        f"{counted(told['figures'], 'figure')} and {counted(told['numbers'], 'number')} written"
        f" to {options.out}"
    )
    return 0


def run_report(options: argparse.Namespace) -> int:
    from collapse.publishing.report import report

    folders = {"baseline": options.baselines, "built": options.built}
    print(f"written to {report(options.folder, out=options.out, **folders)}")
    return 0


def run_verify(options: argparse.Namespace) -> int:
    from collapse.publishing.records import verify

    wrong = verify(options.folder)
    for line in wrong:
        print(line)
    if not wrong:
        print(f"all files in {options.folder} are as they were written.")
    return int(bool(wrong))


def run_diff(options: argparse.Namespace) -> int:
    from collapse.publishing.records import diff

    found = diff(options.before, options.after, options.tolerances)
    for chapter, lines in found.items():
        print(f"{chapter}: {f'{len(lines)} moved' if lines else 'as it was'}")
        for line in lines:
            print(f"  {line}")
    return int(any(found.values()))


def _each(given: Sequence[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """Parameters by name, each given once, as NAME=VALUE."""
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        require(
            bool(equals) and name.isidentifier(),
            f"a parameter is written NAME=VALUE, such as -p seed=1; it is {text!r}.",
        )
        again = read(value)
        require(
            name not in values,
            f"parameter {name!r} was given twice, as {values.get(name)!r} and {again!r}; give it"
            " once.",
        )
        values[name] = again
    return values


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text  # a word needs no quotation marks


def _values(text: str) -> list[Any]:
    """Values along a grid: those between commas, or the whole numbers from one to another."""
    ends = re.fullmatch(r"(-?\d{1,15})\.\.(-?\d{1,15})", text)
    if ends is None:
        return [_value(part) for part in text.split(",")]
    first, last = map(int, ends.groups())
    require(
        first <= last < first + MOST,
        f"a range goes from a whole number up to another, with {MOST:,} of them at most, such as"
        f" 0..9; it is {text!r}.",
    )
    return list(range(first, last + 1))
