"""Which commands there are, and what they take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from collapse import workflows
from collapse.cli.answers import (
    run_audit,
    run_cache,
    run_compare,
    run_derive,
    run_diagnose,
    run_forecast,
    run_plan_for,
    run_schema,
    run_simulate,
    run_sweep,
)
from collapse.cli.completion import SHELLS
from collapse.cli.runs import run_diff, run_figures, run_report, run_rerun, run_verify
from collapse.cli.schema import DESCRIBED
from collapse.comparison import COSTS
from collapse.forecasting.table import TASKS
from collapse.models.adapters.estimator import LABELS

Argument = tuple[tuple[str, ...], dict[str, Any]]


def _option(*flags: str, **options: Any) -> Argument:
    """An argument of a command: what `add_argument` takes."""
    return flags, options


def _json(keys: str) -> Argument:
    text = (
        f"print one JSON object and nothing else, with {keys}; fractions are text, infinity is"
        ' "inf", no number is null; `collapse schema` describes it'
    )
    return _option("--json", action="store_true", help=text)


ANSWERING = (
    _option(
        "-q",
        "--quiet",
        action="store_true",
        help="print warnings and errors alone, and what --json asks for",
    ),
    _option(
        "--settings",
        metavar="FILE.toml",
        help="take from this file what is not given here, by the names of flags without dashes; a"
        " table named like the command goes before what stands outside of tables",
    ),
)
"""Arguments of every command that takes --json."""
LENGTH = _option("-g", "--generations", type=int, default=50)
WORKFLOW = _option("workflow", help="such as augment or 'window(k=3)'")
AGAINST = _option(
    "--against",
    action="append",
    metavar="WORKFLOW",
    help="a workflow to compare with; may be repeated (default: six)",
)
MODEL = _option(
    "-m",
    "--model",
    help="at n for this model, such as exponential or 'Bernoulli(p=0.2)' (default: the limit, many"
    " rows)",
)
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
        "workflow, model, n, gate, replications, seed, versions, and by generation: ratio, risk,"
        " stderr, risk_stderr, failed; and measures, by name"
    ),
)
Runner = Callable[[argparse.Namespace], int]
COMMANDS: dict[str, tuple[Runner | None, str, Sequence[Argument]]] = {
    "derive": (
        run_derive,
        "exact ratio of a named workflow",
        [*ONE_RISK, _option("--exact", action="store_true", help="answer in fractions")],
    ),
    "simulate": (
        run_simulate,
        "Monte Carlo of the Gaussian process",
        [
            *ONE_RISK,
            SEED,
            _option(
                "-r", "--replications", type=int, help="default: 10,000, and 100 with --features"
            ),
            _option(
                "-m",
                "--model",
                help="simulate this model, such as 'Bernoulli(p=0.2)', in place of the process",
            ),
            _option("-n", type=int, help="rows of real data, with --model"),
            _option(
                "--measure",
                action="append",
                default=[],
                metavar="NAME",
                help="tell what is lost beside risk, such as variance or support; may be repeated",
            ),
            _option(
                "--gate",
                metavar="K",
                help="publish a fit only where it is nearer than the last one to that of K n real"
                " rows that are held out: a number, such as 1/2, or inf",
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
        run_sweep,
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
        run_cache,
        "list the finished work that is kept in a folder, or remove it",
        [
            _option("--folder", help=f"the folder, or that of a run of chapters{HELD}"),
            _option("--clear", action="store_true", help="remove all of it"),
            _json("folder, and entries or what was removed"),
        ],
    ),
    "diagnose": (
        run_diagnose,
        "verdict on a workflow, in words",
        [
            WORKFLOW,
            LENGTH,
            MODEL,
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
        run_compare,
        "workflows side by side: risk, rows read, rows stored, real rows bought",
        [
            _option(
                "workflows", nargs="+", metavar="WORKFLOW", help="such as augment or 'window(k=3)'"
            ),
            LENGTH,
            _json(f"generation, and by workflow: workflows (names), ratio, {', '.join(COSTS)}"),
        ],
    ),
    "plan-for": (
        run_plan_for,
        "the policies that keep a promise, of each kind the cheapest, and their costs",
        [
            _option("--ratio", type=float, help="no risk ratio above this, such as 1.5"),
            _option("--worth", type=float, help="1,000 real rows are worth at least so many"),
            _option(
                "--loss",
                type=float,
                help="the loss rises by at most this; needs -n and --kappa",
            ),
            _option("-g", "--generations", type=int, help="keep it in so many (default: for ever)"),
            MODEL,
            _option("-n", type=int, help="rows of real data, with --model or --loss"),
            _option("--kappa", type=float, help="such as d / 2, with --loss"),
            _option(
                "--cost",
                choices=tuple(COSTS),
                default="read",
                help="sort by this cost (default: read)",
            ),
            _json(
                "ratio, generations (null: for ever), model, n, cost, broken (kinds without such a"
                " policy), at (generation of the costs), and by policy: workflow, largest_ratio,"
                f" {', '.join(COSTS)}, next_cheaper, its_largest_ratio"
            ),
        ],
    ),
    "forecast": (
        run_forecast,
        (
            "what retraining on synthetic data would cost on a table of your own: a report and its"
            " numbers"
        ),
        [
            _option(
                "data",
                help="a CSV, Excel (.xlsx) or parquet file with a header, packed (.gz, .zip) or"
                " not; - for standard input",
            ),
            _option(
                "--target", metavar="COLUMN", help="column to predict; not needed with --generator"
            ),
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
                help="short for --workflow 'fixed_real_share(share=SHARE)', such as 1/4; or a"
                " share for each generation from the second on, such as 1/2,1/4,0",
            ),
            _option(
                "--estimator",
                metavar="MODULE:CLASS",
                help="what is fitted in place of a regression, such as"
                " sklearn.ensemble:RandomForestClassifier or"
                " 'sklearn.svm:SVC(probability=true)'; or path/file.py:name, whose code is run",
            ),
            _option(
                "--generator",
                metavar="NAME",
                help="whole rows are synthetic, drawn by gaussian-copula, mixture, kernel-density"
                " or cart, or 'mixture(components=3)'; or a class as for --estimator: what is lost"
                " is told",
            ),
            _option(
                "--labels",
                choices=LABELS,
                default="drawn",
                help="what a fit writes on synthetic rows: draws, its most probable class, or the"
                " probabilities of all (default: drawn)",
            ),
            _option(
                "--threshold",
                type=float,
                metavar="PROBABILITY",
                help="with --estimator and hard or soft labels: leave rows out whose most probable"
                " class has less",
            ),
            _option(
                "--pool",
                nargs="?",
                const=True,
                metavar="FILE",
                help="with --estimator: unlabelled rows that fits label in place of the real ones;"
                " without a file, the rows that have no target",
            ),
            _option(
                "--outsider",
                nargs=2,
                type=float,
                metavar=("SHARE", "EXCESS"),
                help="share of later weights on rows that an outsider labels, and how far its loss"
                " is above the least there is",
            ),
            _option(
                "-g",
                "--generations",
                type=int,
                help="number of fits (default: 20, or as many as --real-share lists)",
            ),
            *WHERE,
            _option(
                "--task", choices=TASKS, help="what the target is (default: guessed, and said)"
            ),
            AGAINST,
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
                help="nominal seconds to spend on simulation, for more precision (default: until"
                " the error of a mean is small against the band, 5 at most)",
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
    "audit": (
        run_audit,
        "which workflows logged losses are compatible with, and what they cost",
        [
            _option(
                "losses",
                help="a CSV file with a column loss, log-likelihood, perplexity or accuracy, and"
                " generation, run, stderr where there are such; - for standard input",
            ),
            _option(
                "--workflow", help="what was done (default: the most likely of those compared)"
            ),
            _option("-n", type=int, help="rows of real data"),
            _option("--averaged", type=int, default=1, help="runs of which each loss is the mean"),
            _option("--floor", type=float, help="loss of the best fit there is, where it is known"),
            _option("--kappa", type=float, help="kappa where it is known, such as d / 2; needs -n"),
            _option(
                "--nu",
                type=float,
                help="effective degrees of freedom where they are known, such as d",
            ),
            _option("--test-rows", type=int, help="rows of the test set; needs -n"),
            AGAINST,
            _option(
                "--at", type=int, help="generation to foresee (default: 20, or twice the last)"
            ),
            _option(
                "--horizon",
                type=int,
                help="last generation at which you might stop, chosen before the first look:"
                " --fail-below then holds however often you look (default: the last logged, one"
                " look)",
            ),
            _option(
                "--fail-below",
                type=float,
                metavar="P",
                help="exit with status 1 if the workflow's p-value is below this, such as 0.05",
            ),
            _option(
                "-r",
                "--replications",
                type=int,
                help="simulated in each world (default: 400, or as many as --fail-below needs)",
            ),
            SEED,
            _option("--folder", help="where audit.html and audit.json go (default: nowhere)"),
            _json("the fields of collapse.Audit"),
        ],
    ),
    "rerun": (
        run_rerun,
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
            _option(
                "--store", help="folder of finished chapters (default: .kept in that of the run)"
            ),
            _option("--workers", type=int, help="chapters run at a time (default: 2)"),
            WHERE[1],
            _option("--fresh", action="store_true", help="run again what an earlier run finished"),
            _option("--draft", action="store_true", help="draw each figure once, as PNG alone"),
        ],
    ),
    "figures": (
        run_figures,
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
    "report": (
        run_report,
        "a page on a run: what was run, each figure beside the book's, the numbers that moved",
        [
            _option("folder", metavar="RUN", help="folder of the run, or of a grid of runs"),
            _option("--out", metavar="FILE", help="page to write (default: report.html in it)"),
            _option(
                "--baselines",
                default="book/baselines",
                metavar="FOLDER",
                help="numbers to compare with (default: book/baselines), such as another run's"
                " figures",
            ),
            _option(
                "--built",
                default="_build/figures",
                metavar="FOLDER",
                help="pictures to stand beside (default: _build/figures), likewise",
            ),
        ],
    ),
    "verify": (
        run_verify,
        "compare the files of a run with what was written; status 1 where one differs",
        [_option("folder", metavar="RUN", help="folder of the run")],
    ),
    "diff": (
        run_diff,
        "compare two runs' numbers, behind figures and in the prose; status 1 where one moved",
        [
            _option("before", metavar="RUN1", help="folder of a run"),
            _option("after", metavar="RUN2", help="folder of another"),
            _option("--tolerances", metavar="FOLDER", help="a folder with a tolerances.toml"),
        ],
    ),
    "schema": (
        run_schema,
        "the JSON Schema of what a command prints with --json",
        [_option("of", choices=DESCRIBED, metavar="COMMAND", help=", ".join(DESCRIBED))],
    ),
    "completion": (
        None,
        "a script for your shell that completes commands and flags",
        [_option("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))],
    ),
}
"""Every command: what runs it, what it does, and its arguments."""
