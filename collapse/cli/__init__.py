"""The `collapse` command."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from collapse import __version__
from collapse.cli import completion, settings
from collapse.cli.options import ANSWERING, COMMANDS

STATUS = """exit status: 0; 1 where a chapter or a cell of a sweep failed, a file or a number is not
what it was, or the limit that --fail-over sets is exceeded; 2 where the arguments are wrong or an
answer cannot be written; 130 where it was interrupted; 141 where nobody reads the output"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status, as `STATUS` tells."""
    try:
        options = _options(sys.argv[1:] if arguments is None else list(arguments))
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


def _options(arguments: list[str]) -> argparse.Namespace:
    """Read arguments, and what a file of settings adds to them."""
    parser, _ = _parsers()
    if any("--settings".startswith(one.split("=")[0]) and one[:3] == "--s" for one in arguments):
        loose, of = _parsers()
        for command in of.values():
            settings.lenient(command)
        given = vars(loose.parse_args(arguments))
        name = given["command"]
        if "settings" in given and name != "rerun":  # whose settings are those of chapters
            at = arguments.index(name) + 1
            told = settings.said(given["settings"], name, _parsers()[1][name], [*given])
            arguments = [*arguments[:at], *told, *arguments[at:]]
    return parser.parse_args(arguments)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and those of the commands by name."""
    parser = argparse.ArgumentParser(
        prog="collapse", description="Risk of models retrained on synthetic data.", epilog=STATUS
    )
    parser.add_argument("--version", action="version", version=f"collapse {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    out: dict[str, argparse.ArgumentParser] = {}
    for name, (run, text, arguments) in COMMANDS.items():
        out[name] = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        out[name].set_defaults(run=run or _complete)
        answering = any("--json" in flags for flags, _ in arguments)
        for flags, options in (*arguments, *ANSWERING * answering):
            out[name].add_argument(*flags, **options)
    return parser, out


def _complete(options: argparse.Namespace) -> int:
    print(completion.script(options.shell, _parsers()[1]), end="")
    return 0
