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
from collapse.cli.options import COMMANDS

STATUS = """exit status: 0; 1 where a chapter or a cell of a sweep failed, a file or a number is not
what it was, or the limit that --fail-over sets is exceeded; 2 where the arguments are wrong or an
answer cannot be written; 130 where it was interrupted; 141 where nobody reads the output"""


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
