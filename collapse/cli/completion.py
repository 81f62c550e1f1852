"""`collapse completion SHELL`: a script that completes commands and flags."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from shlex import quote

BASH = """# collapse: completion for {shell}, from `collapse completion {shell}`
{prelude}_collapse() {{
    local offered flag="${{COMP_WORDS[COMP_CWORD-1]}}" here="${{COMP_WORDS[COMP_CWORD]}}"
    case "${{COMP_WORDS[1]}} $flag" in
{choices}
        *) case "${{COMP_WORDS[1]}}" in
{commands}
            *) offered={all} ;;
        esac ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && offered={all}
    COMPREPLY=($(compgen -W "$offered" -- "$here"))
}}
complete -o default -F _collapse collapse
"""
SHELLS = ("bash", "zsh", "fish")


def script(shell: str, commands: Mapping[str, argparse.ArgumentParser]) -> str:
    """Return a shell's script, made from the parsers of the commands."""
    names = " ".join(commands)
    flags = {
        name: [action for action in parser._actions if action.option_strings]
        for name, parser in commands.items()
    }
    if shell == "fish":
        lines = ["# collapse: completion for fish, from `collapse completion fish`"]
        lines += [
            f"complete -c collapse -n __fish_use_subcommand -f -a {name}"
            f" -d {_fish(parser.description)}"
            for name, parser in commands.items()
        ]
        for name, actions in flags.items():
            for action in actions:
                long = [flag[2:] for flag in action.option_strings if flag.startswith("--")]
                short = [flag[1:] for flag in action.option_strings if not flag.startswith("--")]
                told = [*(f"-l {flag}" for flag in long), *(f"-s {flag}" for flag in short)]
                told += ["-r"] * (action.nargs != 0)
                if action.choices:
                    told.append(f"-f -a {_fish(' '.join(map(str, action.choices)))}")
                when = f"-n '__fish_seen_subcommand_from {name}'"
                help_ = _fish((action.help or "").replace("%%", "%"))
                lines.append(f"complete -c collapse {when} {' '.join(told)} -d {help_}")
        return "\n".join(lines) + "\n"
    cases = [
        f"        {quote(f'{name} {flag}')}) offered={quote(' '.join(map(str, action.choices)))} ;;"
        for name, actions in flags.items()
        for action in actions
        if action.choices
        for flag in action.option_strings
    ]
    each = [
        f"            {name}) offered="
        f"{quote(' '.join(flag for action in actions for flag in action.option_strings))} ;;"
        for name, actions in flags.items()
    ]
    zsh = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return BASH.format(
        shell=shell,
        prelude=zsh,
        choices="\n".join(cases),
        commands="\n".join(each),
        all=quote(names),
    )


def _fish(text: str | None) -> str:
    """Text in fish's quotes, in which a quote is escaped."""
    plain = (text or "").replace("\\", "\\\\").replace("'", "\\'")
    return f"'{plain}'"
