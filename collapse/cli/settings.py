"""--settings: a TOML file that says what flags say."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collapse.checks import brief, require

ALONE = ("settings", "help", "json")
"""What a file does not say: where it is, and how the answer is printed."""


def named(arguments: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return what a command takes, by the name that it has in a file: that of the flag."""
    return {
        (max(action.option_strings, key=len) or action.dest).lstrip("-")
        if action.option_strings
        else action.dest: action
        for action in arguments._actions  # argparse has no public list of them
        if action.dest not in ALONE
    }


def said(
    path: str, command: str, parser: argparse.ArgumentParser, given: Sequence[str]
) -> list[str]:
    """Return the arguments of a file, without those that were given: they win.

    Raises
    ------
    ValueError
        Where the file is no TOML, or says something that the command does not take.
    OSError
        Where it cannot be read.
    """
    try:
        document = tomllib.loads(Path(path).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"--settings {path} is not TOML: {error}.") from error
    tables = {key for key, value in document.items() if isinstance(value, dict)}
    own = document.get(command, {})
    values = {key: value for key, value in document.items() if key not in tables} | own
    known = named(parser)
    flags: list[str] = []
    places: list[str] = []
    for name, action in known.items():  # in the command's own order, as of what has no flag
        if name not in values or action.dest in given:
            continue
        value = values[name]
        listed = value if isinstance(value, list) else [value]
        require(
            [isinstance(one, (str, int, float)) for one in listed],
            f"--settings {path}: {name} must be text, a number, true or false, or a list of them;"
            f" it is {brief(value)}.",
        )
        if not action.option_strings:
            places += [_text(one) for one in listed]
        elif action.nargs == 0 or (action.nargs == "?" and isinstance(value, bool)):
            require(
                isinstance(value, bool),
                f"--settings {path}: {name} must be true or false; it is {brief(value)}.",
            )
            flags += [action.option_strings[-1]] * value
        elif isinstance(action.nargs, int):
            flags += [action.option_strings[-1], *map(_text, listed)]
        else:
            repeated = isinstance(action, argparse._AppendAction)
            require(
                repeated or len(listed) == 1,
                f"--settings {path}: {name} must be one value; it is {brief(value)}.",
            )
            flag = action.option_strings[-1]
            flags += [
                f"{flag}={_text(one)}" if flag.startswith("--") else f"{flag}{_text(one)}"
                for one in listed
            ]
    odd = sorted(values.keys() - known.keys())
    require(
        not odd,
        lambda _: (
            f"--settings {path}: collapse {command} takes no {odd[0]!r}; it takes"
            f" {', '.join(sorted(known))}."
        ),
    )
    return [*places, *flags]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def lenient(parser: argparse.ArgumentParser) -> None:
    """Let a parser take whatever part of its arguments is there, and say no more than that."""
    for action in parser._actions:
        action.default, action.required = argparse.SUPPRESS, False
        if not action.option_strings and action.dest != "help":
            action.nargs = "*" if action.nargs in ("+", "*") else "?"
