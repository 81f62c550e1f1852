"""The `collapse` command."""

import argparse
import ast
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from collapse import __version__, disk, models, workflows
from collapse.answers import plain
from collapse.blocks import Store, default_folder
from collapse.checks import module, path, to_text
from collapse.comparison import COSTS, compare
from collapse.datasets import read_features
from collapse.derivation import derive
from collapse.diagnosis import diagnose
from collapse.forecasting import Forecast, forecast
from collapse.forecasting.table import TASKS
from collapse.risk import Risk
from collapse.simulation import simulate
from collapse.sweeping import grid as grids
from collapse.sweeping import sweep

MOST = 1000
"""Values that a range of a grid has at most."""
STATUS = """exit status: 0; 1 where a chapter failed, a file or a number is not what it was, or the
limit that --fail-over sets is exceeded; 2 where the arguments are wrong or an answer cannot be
written; 130 where it was interrupted; 141 where nobody reads the output"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status, as `STATUS` tells."""
    try:
        options = _parser().parse_args(arguments)
        with _said():
            status = int(options.run(options))
        if sys.stdout is not None:  # as where it was closed
            sys.stdout.flush()
        return status
    except BrokenPipeError:  # as `| head` ends it
        _silence()
        return 141
    except (ValueError, OSError, ImportError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.errno is not None:  # the system's words, not ours
            text = f"{error.filename or 'the output'} cannot be read or written: {error.strerror}."
            if error.filename is None:
                _silence()
        print(f"collapse: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "collapse: interrupted; what was finished is kept, and the same command goes on from"
            " there.",
            file=sys.stderr,
        )
        return 130


@contextmanager
def _said() -> Iterator[None]:
    """Say the package's own warnings as all that is said: in a line."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if category is UserWarning:
                print(f"collapse: {message}", file=sys.stderr)
            else:
                others(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _silence() -> None:
    """Let what is still to be written go nowhere: Python would complain of it again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collapse", description="Risk of models retrained on synthetic data.", epilog=STATUS
    )
    parser.add_argument("--version", action="version", version=f"collapse {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, text, arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(run=run)
        for flags, options in arguments:
            command.add_argument(*flags, **options)
    return parser


def _show(options: argparse.Namespace, answer: Any, words: Any) -> None:
    """Print an answer as one JSON object, or in words."""
    print(json.dumps(plain(answer, nan=None), indent=1, allow_nan=False) if options.json else words)


def _derive(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    return _risk(derive(plan, exact=options.exact), options)


def _simulate(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    model, replications = None, 10_000
    if options.features is not None:
        data = read_features(options.features).whitened()
        data = data if options.components is None else data.part(components=options.components)
        print(data, file=sys.stderr)
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
    with _lent(options) as where:
        risk = simulate(
            plan,
            model=model,
            replications=replications,
            rng=options.seed,
            folder=options.folder,
            **where,
        )
    return _risk(risk, options)


@contextmanager
def _lent(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Where the blocks of a command run: processes of this machine, or a Dask scheduler."""
    if options.scheduler is None:
        yield {"workers": options.workers}
        return
    needs = "--scheduler needs distributed: pip install 'collapse-companion[dask]'."
    with module("distributed", needs).Client(options.scheduler) as client:
        yield {"workers": options.workers, "executor": client.get_executor()}


def _sweep(options: argparse.Namespace) -> int:
    folder = default_folder() if options.folder is None else options.folder
    with _lent(options) as where:
        study = sweep(grids.read(options.grid), folder=folder, progress=True, **where)
    if options.output is not None:
        if Path(options.output).suffix == ".csv":
            disk.write(options.output, study.to_frame().to_csv(index=False))
        else:
            study.save(options.output)
        print(f"written to {options.output}", file=sys.stderr)
    words = [
        f"{cell.name} {cell.risk.ratio[-1]:.6g} {cell.risk.stderr[-1]:.3g} {cell.risk.failed[-1]:g}"
        for cell in study.cells
        if cell.risk is not None
    ]
    words = ["cell ratio stderr failed, at the last generation", *words]
    _show(options, {**study.columns(), "failures": study.failures}, "\n".join(words))
    return int(bool(study.failures))


def _cache(options: argparse.Namespace) -> int:
    folder = default_folder() if options.folder is None else path(options.folder, "folder")
    if not folder.is_dir():
        raise ValueError(f"folder {folder} is not there; nothing has been kept in it.")
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


def _diagnose(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    model = None if options.model is None else models.named(options.model)
    diagnosis = diagnose(plan, model=model, n=options.n, below=options.below)
    _show(options, vars(diagnosis), diagnosis)
    return 0


def _compare(options: argparse.Namespace) -> int:
    table = compare([workflows.named(text, options.generations) for text in options.workflows])
    names = [workflow.name for workflow in table.workflows]
    columns = {name: getattr(table, name) for name in ("ratio", *COSTS)}
    _show(options, {"generation": table.generation, "workflows": names, **columns}, table)
    return 0


def _risk(risk: Risk, options: argparse.Namespace) -> int:
    if options.output is not None:
        print(f"written to {risk.save(options.output)}", file=sys.stderr)
    if risk.model is None:
        simulated = risk.replications is not None
        rows = [
            f"{g} {to_text(ratio)}" + f" {stderr:.3g}" * simulated
            for g, ratio, stderr in zip(risk.generations, risk.ratio, risk.stderr, strict=True)
        ]
        rows = ["generation ratio" + " stderr" * simulated, *rows]
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


def _forecast(options: argparse.Namespace) -> int:
    limit = None if options.fail_over is None else _share(options.fail_over, "--fail-over")
    share = options.real_share
    workflow = options.workflow if share is None else f"fixed_real_share({share})"
    name = _slug(f"{Path(options.data).stem}-{options.target}-{workflow}")
    folder = Path("forecasts") / name if options.folder is None else path(options.folder, "folder")
    given = {name: getattr(options, name) for name in FORECAST}
    if options.against:
        given["against"] = options.against
    with _lent(options) as where:
        given |= where
        answer = forecast(
            options.data, options.target, folder=folder, rng=options.seed, progress=True, **given
        )
    told = {"": answer.sentences, "Note: ": answer.notes, "Caution: ": answer.warnings}
    words = [f"{kind}{sentence}" for kind, said in told.items() for sentence in said]
    _show(options, answer.document, "\n".join(words))
    page, document = _files(folder, answer)
    print(f"written to {answer.save_html(page)} and {answer.save(document)}", file=sys.stderr)
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
        return data["source"], data["target"], settings["workflow"]

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


def _rerun(options: argparse.Namespace) -> int:
    from collapse.publishing.rerun import rerun

    outcomes = rerun(
        options.chapters,
        _each(options.parameter, _value),
        grid=_each(options.grid, _values),
        settings=options.settings,
        book=options.book,
        folder=options.folder,
        store=options.store,
        workers=options.workers,
        fresh=options.fresh,
        progress=True,
    )
    for outcome in outcomes:
        spent = f"{outcome.seconds:.1f} s" if outcome.seconds else "taken over from an earlier run"
        note = f" ({outcome.note})" if outcome.note else ""
        state = "failed" if outcome.error else spent
        print(f"{outcome.chapter}: {state}, {outcome.notebook}{note}")
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        told = f"chapter {outcome.chapter!r} failed in {outcome.error}"
        print(f"\ncollapse: {told}", file=sys.stderr)
    return int(bool(failed))


def _figures(options: argparse.Namespace) -> int:
    from collapse.publishing.latex import figures

    document = figures(options.out, options.labels, run=options.run_folder, book=options.book)
    told = {name: len(document[name]) for name in ("figures", "numbers")}
    print(f"{told['figures']} figures and {told['numbers']} numbers written to {options.out}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from collapse.publishing.records import verify

    wrong = verify(options.folder)
    for line in wrong:
        print(line)
    if not wrong:
        print(f"all files in {options.folder} are as they were written.")
    return int(bool(wrong))


def _diff(options: argparse.Namespace) -> int:
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
        if not equals or not name.isidentifier():
            raise ValueError(
                f"a parameter is written NAME=VALUE, such as -p seed=1; it is {text!r}."
            )
        if name in values:
            raise ValueError(
                f"parameter {name!r} was given twice, as {values[name]!r} and {read(value)!r}; give"
                " it once."
            )
        values[name] = read(value)
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
    if not first <= last < first + MOST:
        raise ValueError(
            f"a range goes from a whole number up to another, with {MOST:,} of them at most, such"
            f" as 0..9; it is {text!r}."
        )
    return list(range(first, last + 1))


Argument = tuple[tuple[str, ...], dict[str, Any]]


def _option(*flags: str, **options: Any) -> Argument:
    """An argument of a command: what `add_argument` takes."""
    return flags, options


def _json(keys: str) -> Argument:
    text = (
        f"print one JSON object and nothing else, with {keys}; fractions are text, infinity is"
        ' "inf", no number is null'
    )
    return _option("--json", action="store_true", help=text)


RISK = (
    *("model", "n", "replications", "seed", "versions"),
    *("ratio", "risk", "stderr", "risk_stderr", "failed"),
)
"""What --json tells of a risk beside its workflow and its generations."""

FORECAST = (
    *("generations", "task", "test_share", "test_file", "exclude", "na", "encoding"),
    *("worse", "budget", "workflow", "real_share"),
)
"""Options that `forecast` takes under their own names."""

LENGTH = _option("-g", "--generations", type=int, default=50)
WORKFLOW = _option("workflow", help="such as augment or 'window(k=3)'")
SEED = _option("--seed", type=int, default=0)
WHERE = (
    _option("--workers", type=int, default=1, help="processes of this machine (default: 1)"),
    _option(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask scheduler's, such as tcp://10.0.0.1:8786, in place of processes",
    ),
)
KEPT = "where finished work is kept, so that the same command goes on after an interruption"
HELD = " (default: COLLAPSE_CACHE, or collapse in the user's cache)"
FOLDER = _option("--folder", help=f"{KEPT}{HELD}")
ONE_RISK = (
    _option(
        "workflow", help=f"such as augment or 'window(k=3)'; one of {', '.join(workflows.NAMED)}"
    ),
    LENGTH,
    _option(
        "-o",
        "--output",
        help="write the whole answer to this file, which collapse.Risk.load reads",
    ),
    _json(
        "workflow, model, n, replications, seed, versions, and by generation: ratio, risk,"
        " stderr, risk_stderr, failed"
    ),
)
COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str, Sequence[Argument]]] = {
    "derive": (
        _derive,
        "exact ratio of a named workflow",
        [*ONE_RISK, _option("--exact", action="store_true", help="answer in fractions")],
    ),
    "simulate": (
        _simulate,
        "Monte Carlo of the Gaussian process",
        [
            *ONE_RISK,
            SEED,
            _option(
                "-r", "--replications", type=int, help="default: 10,000, and 100 with --features"
            ),
            *WHERE,
            _option("--folder", help=KEPT),
            _option(
                "--features",
                metavar="FILE.npz",
                help="simulate multinomial regressions on these features (X_train, y_train,"
                " X_test, y_test) in place of the Gaussian process",
            ),
            _option(
                "--components",
                type=int,
                metavar="D",
                help="keep the D leading principal components of the features",
            ),
        ],
    ),
    "sweep": (
        _sweep,
        "simulate every combination of the workflows, models, n and seeds that a TOML file lists",
        [
            _option(
                "grid",
                metavar="GRID.toml",
                help="lists named workflow, model, n, generations, replications, rng; or tables"
                " [[grid]] of such lists",
            ),
            *WHERE,
            FOLDER,
            _option(
                "-o",
                "--output",
                help="write the answer to this file: the table where it ends in .csv, else what"
                " collapse.Sweep.load reads",
            ),
            _json("the table by column, and failures by cell"),
        ],
    ),
    "cache": (
        _cache,
        "list the finished work that is kept in a folder, or remove it",
        [
            _option("--folder", help=f"the folder{HELD}"),
            _option("--clear", action="store_true", help="remove all of it"),
            _json("folder, and entries or what was removed"),
        ],
    ),
    "diagnose": (
        _diagnose,
        "verdict on a workflow, in words",
        [
            WORKFLOW,
            LENGTH,
            _option(
                "-m",
                "--model",
                help="verdict at n for this model, such as exponential or 'Bernoulli(p=0.2)'"
                " (default: the limit, many rows)",
            ),
            _option("-n", type=int, help="rows of real data, with --model"),
            _option(
                "--below",
                type=float,
                default=2.0,
                help="ratio below which the real data's share is to keep it (default: 2)",
            ),
            _json("the attributes of collapse.Diagnosis"),
        ],
    ),
    "compare": (
        _compare,
        "workflows side by side: risk, rows read, rows stored, real rows bought",
        [
            _option(
                "workflows", nargs="+", metavar="WORKFLOW", help="such as augment or 'window(k=3)'"
            ),
            LENGTH,
            _json(f"generation, and by workflow: workflows (names), ratio, {', '.join(COSTS)}"),
        ],
    ),
    "forecast": (
        _forecast,
        (
            "what retraining on synthetic data would cost on a table of your own: a report and its"
            " numbers"
        ),
        [
            _option(
                "data",
                help="a CSV, Excel (.xlsx) or parquet file with a header, packed (.gz, .zip) or"
                " not",
            ),
            _option("--target", required=True, metavar="COLUMN", help="column to predict"),
            _option(
                "--workflow",
                default="augment",
                help="such as augment or 'window(k=3)' (default: augment)",
            ),
            _option(
                "--fail-over",
                metavar="SHARE",
                help="exit with status 1 if the test loss rises by more than this share, such as"
                " 10%% or 0.1",
            ),
            _option(
                "--real-share",
                metavar="SHARE",
                help="short for --workflow 'fixed_real_share(share=SHARE)', such as 1/4",
            ),
            _option("-g", "--generations", type=int, default=20),
            *WHERE,
            _option(
                "--task", choices=TASKS, help="what the target is (default: guessed, and said)"
            ),
            _option(
                "--against",
                action="append",
                metavar="WORKFLOW",
                help="a workflow to compare with; may be repeated (default: six)",
            ),
            _option(
                "--test-share",
                type=float,
                default=0.3,
                help="share of the rows kept to test on (default: 0.3)",
            ),
            _option(
                "--test-file",
                metavar="FILE",
                help="the test set, with the same columns, in place of a share of the rows",
            ),
            _option(
                "--exclude",
                action="append",
                default=[],
                metavar="COLUMN",
                help="a column to leave out; may be repeated",
            ),
            _option(
                "--na",
                action="append",
                default=[],
                metavar="VALUE",
                help="a value that stands for a missing one, such as -999; may be repeated",
            ),
            _option("--encoding", help="of files of text, such as cp1252 (default: found)"),
            _option(
                "--worse",
                type=float,
                default=0.1,
                help="tell when the test loss is worse by this share (default: 0.1)",
            ),
            _option(
                "--budget",
                type=float,
                default=60.0,
                help="nominal seconds of simulation (default: 60)",
            ),
            SEED,
            _option(
                "--folder",
                help="where report.html and forecast.json go (default:"
                " forecasts/NAME-TARGET-WORKFLOW)",
            ),
            _json("the document of collapse.forecast"),
        ],
    ),
    "rerun": (
        _rerun,
        "execute chapters with other parameters, into a folder of their own",
        [
            _option(
                "chapters",
                nargs="*",
                metavar="CHAPTER",
                help="file name without its ending; none for all",
            ),
            _option(
                "-p",
                "--parameter",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="may be repeated",
            ),
            _option(
                "--grid",
                action="append",
                default=[],
                metavar="NAME=VALUES",
                help="n=100,1000 or seed=0..9: a run for each, in a folder of its own; may be"
                " repeated, for every combination",
            ),
            _option("--settings", metavar="FILE", help="TOML: a table of parameters per chapter"),
            _option("--book", default="book", help="folder of the chapters (default: book)"),
            _option("--folder", help="folder of the run (default: runs/...)"),
            _option("--store", help="folder of finished chapters (default: in that of the run)"),
            _option("--workers", type=int, default=2, help="chapters run at a time (default: 2)"),
            _option("--fresh", action="store_true", help="run again what an earlier run finished"),
        ],
    ),
    "figures": (
        _figures,
        "figures, captions and numbers for a paper in LaTeX, from a run or from the built book",
        [
            _option("labels", nargs="*", metavar="LABEL", help="figures by label; none for all"),
            _option("--out", required=True, metavar="DIR", help="folder to write into"),
            _option(
                "--run",
                dest="run_folder",
                metavar="FOLDER",
                help="folder that rerun wrote into (default: the book as it was built here)",
            ),
            _option("--book", default="book", help="folder of the built book's chapters"),
        ],
    ),
    "verify": (
        _verify,
        "compare the files of a run with what was written; status 1 where one differs",
        [_option("folder", metavar="RUN", help="folder of the run")],
    ),
    "diff": (
        _diff,
        "compare the numbers behind the figures of two runs; status 1 where one moved",
        [
            _option("before", metavar="RUN1", help="folder of a run"),
            _option("after", metavar="RUN2", help="folder of another"),
            _option("--tolerances", metavar="FOLDER", help="a folder with a tolerances.toml"),
        ],
    ),
}
"""Every command: what runs it, what it does, and its arguments."""


if __name__ == "__main__":
    sys.exit(main())
