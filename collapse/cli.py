"""The `collapse` command."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collapse import models, workflows
from collapse.checks import named_call
from collapse.comparison import compare
from collapse.datasets import read_features
from collapse.derivation import derive
from collapse.diagnosis import diagnose
from collapse.forecast import forecast
from collapse.risk import Risk
from collapse.simulation import simulate
from collapse.table import TASKS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 where a chapter failed, 2 where the arguments are wrong."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, FileNotFoundError, ImportError) as error:
        print(f"collapse: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("collapse: interrupted; what was finished is kept, and the same command goes on from there.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="collapse", description="Risk of models retrained on synthetic data.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for name, run, text in (
        ("derive", _derive, "exact ratio of a named workflow"),
        ("simulate", _simulate, "Monte Carlo of the Gaussian process"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("workflow", help=f"such as augment or 'window(k=3)'; one of {', '.join(workflows.NAMED)}")
        command.add_argument("-g", "--generations", type=int, default=50)
        command.add_argument("-o", "--output", help="write the whole answer to this JSON file")
        command.set_defaults(run=run)
        if name == "derive":
            command.add_argument("--exact", action="store_true", help="answer in fractions")
        else:
            command.add_argument("-r", "--replications", type=int, help="default: 10,000, and 100 with --features")
            command.add_argument("--seed", type=int, default=0)
            command.add_argument("--workers", type=int, default=1)
            command.add_argument(
                "--features",
                metavar="FILE.npz",
                help="simulate multinomial regressions on these features (X_train, y_train, X_test, y_test) in place of the Gaussian process",
            )
            command.add_argument("--components", type=int, metavar="D", help="keep the D leading principal components of the features")

    command = commands.add_parser("diagnose", help="verdict on a workflow, in words", description="Verdict on a workflow, in words.")
    command.add_argument("workflow", help="such as augment or 'window(k=3)'")
    command.add_argument("-g", "--generations", type=int, default=50)
    command.add_argument(
        "-m", "--model", help="verdict at n for this model, such as exponential or 'Bernoulli(p=0.2)' (default: the limit, many rows)"
    )
    command.add_argument("-n", type=int, help="rows of real data, with --model")
    command.add_argument("--below", type=float, default=2.0, help="ratio below which the real data's share is to keep it (default: 2)")
    command.set_defaults(run=_diagnose)

    text = "workflows side by side: risk, rows read, rows stored, real rows bought"
    command = commands.add_parser("compare", help=text, description=text)
    command.add_argument("workflows", nargs="+", metavar="WORKFLOW", help="such as augment or 'window(k=3)'")
    command.add_argument("-g", "--generations", type=int, default=50)
    command.set_defaults(run=_compare)

    text = "what retraining on synthetic data would cost on a table of your own: a report and its numbers"
    command = commands.add_parser("forecast", help=text, description=text)
    command.add_argument("data", help="a CSV (comma, semicolon, tab) or parquet file with a header")
    command.add_argument("--target", required=True, metavar="COLUMN", help="column to predict")
    command.add_argument("--workflow", default="augment", help="such as augment or 'window(k=3)' (default: augment)")
    command.add_argument("--real-share", metavar="SHARE", help="short for --workflow 'fixed_real_share(share=SHARE)', such as 1/4")
    command.add_argument("-g", "--generations", type=int, default=20)
    command.add_argument("--task", choices=TASKS, help="what the target is (default: guessed, and said)")
    command.add_argument(
        "--against", action="append", metavar="WORKFLOW", help="a workflow to compare with; may be repeated (default: six)"
    )
    command.add_argument("--test-share", type=float, default=0.3, help="share of the rows kept to test on (default: 0.3)")
    command.add_argument("--worse", type=float, default=0.1, help="tell when the test loss is worse by this share (default: 0.1)")
    command.add_argument("--budget", type=float, default=60.0, help="nominal seconds of simulation (default: 60)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--folder", help="where report.html and forecast.json go (default: forecasts/NAME-TARGET)")
    command.set_defaults(run=_forecast)

    text = "execute chapters with other parameters, into a folder of their own"
    command = commands.add_parser("rerun", help=text, description=text)
    command.add_argument("chapters", nargs="*", metavar="CHAPTER", help="file name without its ending; none for all")
    command.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    command.add_argument("--book", default="book", help="folder of the chapters (default: book)")
    command.add_argument("--folder", help="folder of the run (default: runs/...)")
    command.add_argument("--workers", type=int, default=2, help="chapters run at a time (default: 2)")
    command.add_argument("--fresh", action="store_true", help="run again what an earlier run finished")
    command.set_defaults(run=_rerun)
    return parser


def _derive(options: argparse.Namespace) -> int:
    return _answer(derive(workflows.named(options.workflow, options.generations), exact=options.exact), options)


def _simulate(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    model, replications = None, options.replications or 10_000
    if options.features:
        data = read_features(options.features).whitened()
        data = data if options.components is None else data.part(components=options.components)
        print(data, file=sys.stderr)
        model, replications = data.model(), options.replications or 100
        if not np.isfinite(model.truth).all():
            raise ValueError(
                f"{options.features}: with {data.X.shape[1]:,} of the features kept the real classes are separated, so that no "
                "maximum-likelihood fit exists; keep fewer with --components."
            )
    elif options.components is not None:
        raise ValueError("--components chooses among the features of a file; name it with --features FILE.npz.")
    risk = simulate(plan, model=model, replications=replications, rng=options.seed, workers=options.workers)
    return _answer(risk, options)


def _diagnose(options: argparse.Namespace) -> int:
    plan = workflows.named(options.workflow, options.generations)
    model = None if options.model is None else _model(options.model)
    print(diagnose(plan, model=model, n=options.n, below=options.below))
    return 0


def _model(text: str) -> Any:
    """A model by its name and parameters, or the registered example of that name."""
    name, given = named_call(text, "model", "exponential or Bernoulli(p=0.2)")
    key = name.replace("_", "").lower()
    found = [example for example in models.examples() if example.name.replace(" ", "").lower() == key]
    if found and not given:
        return found[0].make()
    makers = {other.lower(): getattr(models, other) for other in models.__all__ if callable(getattr(models, other))}
    if key not in makers or not given:
        known = ", ".join(example.name for example in models.examples() if example.group == "exponential families")
        raise ValueError(f"there is no model called {name!r}; there are {known} and others, or give parameters, as in Bernoulli(p=0.2).")
    try:
        return makers[key](**given)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made with these parameters: {error}.") from error


def _compare(options: argparse.Namespace) -> int:
    print(compare(*(workflows.named(text, options.generations) for text in options.workflows)))
    return 0


def _answer(risk: Risk, options: argparse.Namespace) -> int:
    simulated = risk.replications is not None
    if risk.model is None:
        print("generation ratio" + (" stderr" if simulated else ""))
        for g, ratio, stderr in zip(risk.generations, risk.ratio, risk.stderr, strict=True):
            print(f"{g} {ratio}" + (f" {stderr:.3g}" if simulated else ""))
    else:  # real classes are observed: the loss holds what no fit removes, and its ratio says nothing
        print("generation test_loss rise stderr separated")
        for g, loss, stderr, lost in zip(risk.generations, risk.risk, risk.risk_stderr, risk.failed, strict=True):
            print(f"{g} {loss:.6f} {loss - risk.risk[0]:.6f} {stderr:.2g} {lost:g}")
    if options.output:
        print(f"written to {risk.save(options.output)}", file=sys.stderr)
    return 0


def _forecast(options: argparse.Namespace) -> int:
    name = re.sub(r"[^\w.-]+", "-", f"{Path(options.data).stem}-{options.target}")
    folder = Path(options.folder) if options.folder else Path("forecasts") / name
    names = ("workflow", "generations", "real_share", "task", "test_share", "worse", "budget", "seed")
    given = {name: getattr(options, name) for name in names}
    if options.against:
        given["against"] = options.against
    answer = forecast(options.data, options.target, folder=folder, progress=True, **given)
    folder.mkdir(parents=True, exist_ok=True)
    for sentence in answer.sentences:
        print(sentence)
    for sentence in answer.warnings:
        print(f"Caution: {sentence}")
    print(f"written to {answer.save_html(folder / 'report.html')} and {answer.save(folder / 'forecast.json')}", file=sys.stderr)
    return 0


def _rerun(options: argparse.Namespace) -> int:
    from collapse.rerun import rerun

    values = dict(_parameter(text) for text in options.parameter)
    outcomes = rerun(
        options.chapters, values, book=options.book, folder=options.folder, workers=options.workers, fresh=options.fresh, progress=True
    )
    for outcome in outcomes:
        state = "failed" if outcome.error else f"{outcome.seconds:.1f} s" if outcome.seconds else "taken over from an earlier run"
        print(f"{outcome.chapter}: {state}, {outcome.notebook}")
    for outcome in outcomes:
        if outcome.error:
            print(f"\ncollapse: chapter {outcome.chapter!r} failed in {outcome.error}", file=sys.stderr)
    return int(any(outcome.error for outcome in outcomes))


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"a parameter is written NAME=VALUE, such as -p seed=1; it is {text!r}.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value  # a word needs no quotation marks


if __name__ == "__main__":
    sys.exit(main())
