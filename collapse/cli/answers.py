"""Commands that answer: risks, verdicts, forecasts."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from collapse import disk, models, workflows
from collapse.answers import SCHEMA, plain
from collapse.auditing import audit
from collapse.auditing.worlds import least_p
from collapse.blocks import KEPT, Store, default_folder
from collapse.checks import module, path, require, to_text
from collapse.cli.schema import PROMISE, RISK, of_command
from collapse.comparison import COSTS, compare
from collapse.datasets import read_features
from collapse.derivation import derive
from collapse.diagnosis import diagnose
from collapse.forecasting import Forecast, forecast
from collapse.planning import plan_for
from collapse.risk import Risk
from collapse.simulation import simulate
from collapse.sweeping import grid as grids
from collapse.sweeping import sweep

FORECAST = (
    *("generations", "task", "test_share", "test_file", "exclude", "na", "encoding"),
    *(
        "worse",
        "budget",
        "workflow",
        "estimator",
        "generator",
        "labels",
        "threshold",
        "pool",
        "outsider",
    ),
)
"""Options that `forecast` takes under their own names."""


def _show(options: argparse.Namespace, answer: Any, words: Any) -> None:
    """Print an answer as one JSON object, or in words."""
    if options.json:
        told = {"collapse": options.command, "schema": SCHEMA} | plain(answer, nan=None)
        print(json.dumps(told, indent=1, allow_nan=False))
    elif not options.quiet:
        print(words)


def _note(options: argparse.Namespace, text: Any) -> None:
    """Say what is no answer on standard error, unless nobody wants to know."""
    if not options.quiet:
        print(text, file=sys.stderr)


def run_schema(options: argparse.Namespace) -> int:
    print(json.dumps(of_command(options.of), indent=1))
    return 0


AUDIT = ("n", "averaged", "floor", "kappa", "nu", "test_rows", "at", "horizon")
"""Options that `audit` takes under their own names."""
DRAWS = 400
"""Replications of an audit, where a limit does not need more."""


def run_audit(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in AUDIT}
    if options.against:
        given["against"] = options.against
    limit, whenever = options.fail_below, options.horizon is not None
    kappa = options.kappa is not None and not whenever
    replications = options.replications or DRAWS
    if limit is not None:
        least = least_p(10**5 if options.replications is None else replications, kappa)
        if not least < limit <= 1:
            raise ValueError(
                f"--fail-below must be above {least:.3g}, the least p-value of this audit"
                f"{' with so few replications' * (options.replications is not None)}"
                f"{', of two tests since kappa is known' * kappa}, and at most 1; it is {limit:g}."
            )
        if options.replications is None:  # so that a limit is some draws away from the least
            gap = limit / (1 + kappa) - least_p(10**9, False)
            replications = min(max(DRAWS, math.ceil(4 / gap)), 10**5)
    answer = audit(
        options.losses, options.workflow, rng=options.seed, replications=replications, **given
    )
    _show(options, answer, answer)
    if options.folder is not None:
        folder = disk.folder(options.folder)
        page, document = folder / "audit.html", folder / "audit.json"
        _note(options, f"written to {answer.save_html(page)} and {answer.save(document)}")
    p = float(answer.anytime[-1]) if whenever else answer.p_value
    if limit is not None and p < limit:
        stopped = (
            f"The losses are not what {answer.workflow} would give: p = {p:.2g} at generation"
            f" {answer.generations[-1]}, whenever one stops up to {answer.horizon}."
        )
        print(f"collapse: {stopped if whenever else answer.answers[0]}", file=sys.stderr)
        return 1
    return 0


def run_derive(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    return _risk(derive(plan, exact=options.exact), options)


def run_simulate(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    model, replications = None, 10_000
    if options.model is not None:
        require(options.features is None, "give --model or --features, and not both.")
        model = models.named(options.model)
    if options.features is not None:
        data = read_features(options.features).whitened()
        data = data if options.components is None else data.part(components=options.components)
        _note(options, data)
        model, replications = data.model(), 100
        if not np.isfinite(model.truth).all():
            raise ValueError(
                f"{options.features}: with {data.X.shape[1]:,} of the features kept the real"
                " classes are separated, so that no maximum-likelihood fit exists; keep fewer with"
                " --components."
            )
    elif options.components is not None:
        raise ValueError(
            "--components chooses among the features of a file; name it with --features FILE.npz."
        )
    replications = replications if options.replications is None else options.replications
    with lent(options) as where:
        risk = simulate(
            plan,
            model=model,
            n=options.n,
            measures=options.measure,
            gate=_gate(options.gate),
            replications=replications,
            rng=options.seed,
            folder=options.folder,
            **where,
        )
    return _risk(risk, options)


def _gate(text: str | None) -> float | None:
    """Read held-out rows as a multiple of n: a number, a fraction or "inf"."""
    if text is None:
        return None
    with suppress(ValueError, ZeroDivisionError):
        return float("inf") if text == "inf" else float(Fraction(text))
    raise ValueError(f"--gate must be a number such as 1/2, or inf; it is {text!r}.")


@contextmanager
def lent(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Where the work of a command runs: processes of this machine, or a Dask scheduler."""
    if options.scheduler is None:
        yield {"workers": options.workers}
        return
    needs = "--scheduler needs distributed: pip install 'collapse-companion[dask]'."
    try:
        client = module("distributed", needs).Client(options.scheduler)
    except (ValueError, OSError) as error:
        raise ValueError(
            "--scheduler must be the address of a Dask scheduler that is running, such as"
            f" tcp://10.0.0.1:8786; it is {options.scheduler!r} ({error})."
        ) from error
    with client:
        yield {"workers": options.workers, "executor": client.get_executor()}


def run_sweep(options: argparse.Namespace) -> int:
    folder = default_folder() if options.folder is None else options.folder
    with lent(options) as where:
        study = sweep(grids.read(options.grid), folder=folder, progress=not options.quiet, **where)
    if options.output is not None:
        if Path(options.output).suffix == ".csv":
            disk.write(options.output, study.to_frame().to_csv(index=False))
        else:
            study.save(options.output)
        _note(options, f"written to {options.output}")
    words = [
        f"{cell.name} {cell.risk.ratio[-1]:.6g} {cell.risk.stderr[-1]:.3g} {cell.risk.failed[-1]:g}"
        for cell in study.cells
        if cell.risk is not None
    ]
    words = ["cell ratio stderr failed, at the last generation", *words]
    _show(options, {**study.columns(), "failures": study.failures}, "\n".join(words))
    return int(bool(study.failures))


def run_cache(options: argparse.Namespace) -> int:
    folder = default_folder() if options.folder is None else path(options.folder, "folder")
    if not folder.is_dir():
        raise ValueError(f"folder {folder} is not there; nothing has been kept in it.")
    folder = folder / KEPT if (folder / KEPT).is_dir() else folder  # of a run of chapters
    store = Store(folder)
    entries = store.entries()
    size = sum(size for _, size, _ in entries)
    if options.clear:
        words = f"{store.clear()} entries ({size / 1e6:,.1f} MB) removed from {folder}"
        _show(options, {"folder": folder, "removed": len(entries), "bytes": size}, words)
        return 0
    rows = [
        f"{datetime.fromtimestamp(used):%Y-%m-%d %H:%M}  {held / 1e6:10,.3f} MB  {file.name}"
        for file, held, used in entries
    ]
    total = f"{len(entries)} entries, {size / 1e6:,.1f} of at most {store.limit / 1e6:,.0f} MB"
    listed = [{"name": file.name, "bytes": held, "used": used} for file, held, used in entries]
    _show(
        options, {"folder": folder, "entries": listed}, "\n".join([*rows, f"{total} in {folder}"])
    )
    return 0


def run_diagnose(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    model = None if options.model is None else models.named(options.model)
    diagnosis = diagnose(plan, model=model, n=options.n, below=options.below)
    _show(options, vars(diagnosis), diagnosis)
    return 0


def run_compare(options: argparse.Namespace) -> int:
    table = compare([workflows.named(text, options.generations) for text in options.workflows])
    names = [workflow.name for workflow in table.workflows]
    columns = {name: getattr(table, name) for name in ("ratio", *COSTS)}
    _show(options, {"generation": table.generation, "workflows": names, **columns}, table)
    return 0


ASKED = ("ratio", "worth", "loss", "generations", "n", "kappa", "cost")
"""Options that `plan-for` takes under their own names."""


def run_plan_for(options: argparse.Namespace) -> int:
    model = None if options.model is None else models.named(options.model)
    answer = plan_for(
        model=model,
        progress=not options.quiet,
        **{name: getattr(options, name) for name in ASKED},
    )
    table = {name.replace(" ", "_"): column for name, column in answer.columns().items()}
    promise = {name: getattr(answer, name) for name in PROMISE}
    _show(options, promise | {"at": answer.comparison.generation} | table, answer)
    return 0


def _risk(risk: Risk, options: argparse.Namespace) -> int:
    if options.output is not None:
        _note(options, f"written to {risk.save(options.output)}")
    observed = getattr(options, "features", None) is not None
    if not observed:
        simulated = risk.replications is not None
        rows = [
            f"{g} {to_text(ratio)}" + f" {stderr:.3g}" * simulated
            for g, ratio, stderr in zip(risk.generations, risk.ratio, risk.stderr, strict=True)
        ]
        rows = ["generation ratio" + " stderr" * simulated, *rows]
        for name, each in risk.measures.items():
            told = (
                f" {mean:.6g} {error:.2g}"
                for mean, error in zip(each.mean, each.stderr, strict=True)
            )
            rows = [row + more for row, more in zip(rows, [f" {name} stderr", *told], strict=True)]
    else:  # real classes are observed: the loss holds what no fit removes, its ratio says nothing
        table = zip(risk.generations, risk.risk, risk.risk_stderr, risk.failed, strict=True)
        rows = [
            f"{g} {loss:.6f} {loss - risk.risk[0]:.6f} {stderr:.2g} {lost:g}"
            for g, loss, stderr, lost in table
        ]
        rows = ["generation test_loss rise stderr separated", *rows]
    answer = {"workflow": risk.plan.name, "generation": risk.generations}
    _show(options, answer | {name: getattr(risk, name) for name in RISK}, "\n".join(rows))
    return 0


def run_forecast(options: argparse.Namespace) -> int:
    require(
        options.target is not None or options.generator is not None,
        "give the column to predict, --target, or what draws whole rows, --generator.",
    )
    limit = None if options.fail_over is None else _share(options.fail_over, "--fail-over")
    share = options.real_share
    workflow = options.workflow if share is None else f"fixed_real_share({share})"
    name = _slug(f"{Path(options.data).stem}-{options.target or options.generator}-{workflow}")
    folder = Path("forecasts") / name if options.folder is None else path(options.folder, "folder")
    given = {name: getattr(options, name) for name in FORECAST}
    given["real_share"] = share.split(",") if share and "," in share else share
    if options.against:
        given["against"] = options.against
    with lent(options) as where:
        given |= where
        answer = forecast(
            options.data,
            options.target,
            folder=folder,
            rng=options.seed,
            progress=not options.quiet,
            **given,
        )
    told = {"": answer.sentences, "Note: ": answer.notes, "Caution: ": answer.warnings}
    words = [f"{kind}{sentence}" for kind, said in told.items() for sentence in said]
    _show(options, answer.document, "\n".join(words))
    page, document = _files(folder, answer)
    _note(options, f"written to {answer.save_html(page)} and {answer.save(document)}")
    exceeded = None if limit is None else answer.exceeds(limit)
    if exceeded:
        print(f"collapse: {exceeded}", file=sys.stderr)
    return int(exceeded is not None)


def _files(folder: Path, answer: Forecast) -> tuple[Path, Path]:
    """Where a report and its numbers go: under the workflow's name too, beside another
    forecast's.
    """

    def about(other: Forecast) -> tuple[str, str, str]:
        data, settings = other.document["data"], other.document["settings"]
        of = data["target"] or other.document["model"]["name"]
        return data["source"], of, settings["workflow"]

    plain = folder / "report.html", folder / "forecast.json"
    if not any(file.exists() for file in plain):
        return plain
    try:
        if about(Forecast.load(plain[1])) == about(answer):
            return plain
    except (ValueError, FileNotFoundError):
        print(f"collapse: {plain[1]} is no forecast, and is left as it is.", file=sys.stderr)
    name = _slug("-".join(about(answer)))
    return folder / f"report-{name}.html", folder / f"forecast-{name}.json"


def _slug(text: str) -> str:
    """Text as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


def _share(text: str, name: str) -> float:
    """Read a share: 10%, 10 % or 0.1."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if "%" in text else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < math.inf:
        raise ValueError(
            f"{name} must be a share greater than 0, such as 10% or 0.1; it is {text!r}."
        )
    return share
