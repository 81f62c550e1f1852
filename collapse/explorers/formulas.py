"""JavaScript that is not written but printed: the records of named workflows, and what explorers
share with Python. `python -m collapse.explorers.formulas` writes it anew.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from collapse.closed_forms import closed_form
from collapse.explorers.record import EXPLORERS, HERE
from collapse.workflows import NAMED
from collapse.workflows.record import Control, Record
from collapse.workflows.symbols import generation, sympy

FILE = HERE / "formulas.js"


def current() -> str:
    """Return the text of formulas.js, printed anew where a workflow or an explorer has been added
    since.
    """
    text = FILE.read_text(encoding="utf-8")
    names = (f"const {name} =" for kind in EXPLORERS.values() for name in kind.shared)
    wanted = [*(f"\n  {name}: " for name in NAMED), *names]
    return text if all(name in text for name in wanted) else javascript()


def javascript() -> str:
    """Print it.

    Raises
    ------
    ImportError
        Where sympy is missing: install collapse-companion[symbolic].
    """
    shared = {name: value for kind in EXPLORERS.values() for name, value in kind.shared.items()}
    tables: dict[str, Callable[[Record], str]] = {
        "FAMILIES": lambda kind: json.dumps(kind.family),
        "MEANINGS": lambda kind: _arrow(kind, f"`{kind.meaning}`"),
        "WORKFLOWS": lambda kind: _arrow(kind, kind.tables, "G"),
        "FATES": lambda kind: _arrow(kind, _branches(kind, kind.controls, {})),
    }
    text = ["// Printed by collapse.explorers.formulas: records of workflows and explorers.", ""]
    text += (f"export const {name} = {_shared(value)};" for name, value in shared.items())
    for name, entry in tables.items():
        rows = (f"  {kind.name}: {entry(kind)}," for kind in NAMED.values())
        text += ["", f"export const {name} = {{", *rows, "};"]
    return "\n".join([*text, ""]).replace("</", "<\\/")


def _arrow(kind: Record, body: str, *before: str) -> str:
    """A function in JavaScript of the parameters that its body names."""
    options = kind.options | ({"kept": 1} if kind.thinned else {})
    told = ", ".join(
        f"{name} = {json.dumps(default)}" if isinstance(default, (bool, int, float)) else name
        for name, default in options.items()
        if re.search(rf"\b{name}\b", body)
    )
    return f"({', '.join([*before, f'{{ {told} }}'] if told else before)}) => {body}"


def _shared(value: Any) -> str:
    """A function as its formula, anything else as it is."""
    if not callable(value):
        return json.dumps(value)
    names = list(inspect.signature(value).parameters)
    return f"({', '.join(names)}) => {_print(value(*sympy().symbols(names, positive=True)))}"


def _print(expression: Any) -> str:
    functions = {"polygamma": [(lambda *_: True, lambda order, x: f"trigamma({x})")]}
    return str(sympy().jscode(expression, user_functions=functions))


def _branches(kind: Record, controls: Sequence[Control], given: Mapping[str, Any]) -> str:
    """Its end as an expression in the parameters: the ends of shares have formulas of their own."""
    if not controls:
        return _end(kind, given)
    control, *rest = controls

    def at(value: Any) -> str:
        return _branches(kind, rest, {**given, control.name: value})

    if isinstance(control.default, bool):
        yes, no = at(True), at(False)
        return yes if yes == no else f"{control.name} ? {yes} : {no}"
    whole = isinstance(control.default, int)
    ends = [end for end in (0, 1) if not whole and end in (control.low, control.high)]
    text = at(sympy().Symbol(control.name, positive=True, integer=whole or None))
    for end in reversed(ends):
        text = f"{control.name} === {end} ? {at(end)} : {text}"
    return f"({text})" if ends else text


def _end(kind: Record, given: Mapping[str, Any]) -> str:
    sp, g = sympy(), generation()
    zeros = {control.name for control in kind.controls if control.zero}
    given = {key: value for key, value in given.items() if value != 0 or key not in zeros}
    if kind.closed_form is None:
        return "undefined"
    if kind.thinned:
        plain = {key: sp.sympify(value) for key, value in given.items()}
        end = kind.thinned(sp, g, sp.Symbol("kept", positive=True), **plain)
    else:
        forms: Any = [closed_form(kind.name, role=r, **given) for r in kind.roles or (None,)]
        end = forms[0].growth or sp.Max(*(form.limit for form in forms))
    if not end.has(g):
        return f"bounded({_print(end)})"
    if end.has(sp.log):
        return f"collapsing({_print(end / sp.log(g))}, true)"
    return f"collapsing({_print(end / g)})"


if __name__ == "__main__":
    FILE.write_text(javascript(), encoding="utf-8")
