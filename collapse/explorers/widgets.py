"""Explorers: pictures that answer while a slider moves, live in Jupyter and self-contained in a
static page.

An explorer is one record, an `Explorer`, and one file of JavaScript, `<name>.js`, which draws it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Any

from collapse.checks import choice, mapping, module
from collapse.explorers import formulas
from collapse.explorers.record import EXPLORERS, HERE, Control, Explorer, State
from collapse.publishing import figures, plot


def explorer(
    name: str = "workflow", /, *, data: Mapping[str, Any] | None = None, **state: Any
) -> Any:
    """Show an explorer: a picture with controls, redrawn while they are moved.

    Parameters
    ----------
    name : str
        One of `EXPLORERS`: "workflow" (the risk curve of any named workflow), "squares" (risk as an
        area, batch by batch), "dial" (the weight that real data must keep), "bill" (what a policy
        adds to the log-loss), "fan" (refitted lines), "morph" (the curves of many models), "tilt"
        (estimates under a moved law), "words" (a vocabulary that loses its rare words), "tables"
        (any plan, typed in), "bands" (chains on real tables), "survival" (how long chains keep an
        estimate), "forecast" (a small table, and what retraining costs on it), "audit" (losses,
        typed in or drawn).
    data : mapping, optional
        What it shall show in place of its own example: for "fan" the real points `x` and `y`,
        `sigma` and the number of `lines`; for "morph" what `collapse.explorers.pictures.curves`
        makes of a matrix; for "bands" what `collapse.explorers.bands.bands` makes of quantiles; for
        "survival" what `collapse.explorers.survival.survival` makes of shares.
    **state
        Values of its controls at first, by their names; see `EXPLORERS[name].controls`.

    Returns
    -------
    object
        In Jupyter a live widget: its attributes, named as the controls are, follow them, and they
        follow it. Where the environment variable COLLAPSE_STATIC is 1, as in a build of the book, a
        picture that needs no kernel and no network. In both, what the explorer stands for can be
        read from it: `plan` and `risk` of a workflow, and the numbers shown.

    Raises
    ------
    ValueError
        If there is no such explorer or control, or a value is outside its range.
    ImportError
        If a live widget is asked for and anywidget is missing: install collapse-companion[widgets].

    Notes
    -----
    The page computes by itself, in the Gaussian limit (Dey and Donoho 2024, the sequential Gaussian
    process).

    The controls: of "workflow" `workflow`, its parameters, `kept` and `generations`; of "squares"
    `workflow`, its parameters and `generation`; of "dial" `share` and `size`; of "bill" `workflow`,
    its parameters, `generations`, `n`, `p` and `test_rows`; of "tables" `table`, a plan as
    `collapse.explorers.tables.written` writes it, and `fit`; of "audit" `losses`, as
    `collapse.explorers.audit.read` reads them, and `rule`. Parameters have the names that they
    have in `collapse.workflows`; a `turnover` of 0 stands for the reservoir's default. Under
    discard, augment, subsample, window and fixed_real_share, `kept` is the share of the rows called
    for by the workflow that each fit after the first reads, drawn anew without replacement for
    every fit and batch (with replacement, where subsample's `replace` says so); fit 1 reads them
    all: it is the reference.

    Examples
    --------
    >>> from collapse.explorers import widgets
    >>> view = widgets.explorer("workflow", workflow="subsample", generations=100)
    >>> round(view.ratio, 6)
    2.904952
    >>> view.workflow, view.k = "window", 3
    >>> view.plan
    <Plan window(k=3): 100 fits, 100 batches>
    >>> view.kept = 0.5
    >>> view.plan
    <Plan window(k=3), 50 % kept: 100 fits, 100 batches>
    """
    kind = EXPLORERS[choice(name, "name", tuple(EXPLORERS))]
    given = {} if data is None else mapping(data, "data", "what the explorer shows")
    checked, told = kind.check(state), kind.told(given)
    return (
        StaticView(kind, checked, told)
        if os.environ.get("COLLAPSE_STATIC") == "1"
        else _live(name, kind.controls)(data=told, **checked)
    )


# --- in a page ------------------------------------------------------------------------------------


class StaticView:
    """An explorer in a page without a kernel.

    Parameters
    ----------
    kind : Explorer
        Which one.
    state : mapping
        Values of all its controls.
    data : mapping
        What it shows beside them.
    """

    def __init__(self, kind: Explorer, state: State, data: Mapping[str, Any]) -> None:
        self.__dict__.update(_kind=kind, _data=data, _state=dict(state))

    def __setattr__(self, name: str, value: Any) -> None:
        self._state.update(self._kind.check(self._state | {name: value}))

    def __getattr__(self, name: str) -> Any:
        known = self.__dict__["_state"]
        return known[name] if name in known else _answered(self._kind, self._everything(), name)

    def _everything(self) -> dict[str, Any]:
        return {**self._data, **self._state}

    def __repr__(self) -> str:
        return f"<Explorer {self._kind.name}: {self._kind.sentence(self._everything())}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return html for a page, a picture for print, a sentence for a terminal."""
        picture = _still(self._kind, self._everything())
        return {
            "text/html": _page(self._kind, self._state, self._data, picture),
            "image/png": base64.b64encode(picture).decode(),
            "text/plain": repr(self),
        }


def _answered(kind: Explorer, state: State, name: str) -> Any:
    """What an explorer stands for: asked for by __getattr__, when there is no attribute of this
    name.
    """
    answer = {} if name.startswith("_") else kind.answer(state)
    if name in answer:
        return answer[name]
    raise AttributeError(f"the explorer {kind.name!r} has no {name!r}.")


def _still(kind: Explorer, state: State) -> bytes:
    """The picture for print and for readers without JavaScript, a PNG."""
    shown, size, small = kind.shown(state), (plot.WIDE, 2.6), {"optimize": True}
    return figures._drawn(
        lambda figure: kind.draw(figure, shown), size, "light", ("png",), dpi=120, pil_kwargs=small
    )["png"]


def _page(kind: Explorer, state: State, told: Mapping[str, Any], picture: bytes) -> str:
    """An explorer as self-contained html; the book keeps one copy of what several explorers of a
    page share.
    """
    data = {"name": kind.name, "files": list(_files(kind)), "explorer": kind.to_json()}
    data |= {"data": told, "state": state}
    sentence = (
        f"This explorer, {kind.title}, needs JavaScript. What it shows at first:"
        f" {kind.sentence({**told, **state})}."
    )
    still = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    scripts = "\n".join(
        f'<script type="text/plain" data-collapse="{name}">\n{text}</script>'
        for name, text in _files(kind).items()
    )
    return (
        '<div class="collapse-explorer-host"'
        f' data-explorer="{escape(json.dumps(data), quote=True)}">\n'
        f'<noscript><p>{escape(sentence)}</p><img class="collapse-still" src="{still}"'
        f' alt="{escape(sentence, quote=True)}"></noscript>\n'
        f'<style data-collapse="style">\n{_style()}</style>\n'
        f"{scripts}\n"
        f"<script>\n{_source('shim.js')}</script>\n"
        "</div>"
    )


# --- in Jupyter -----------------------------------------------------------------------------------


@cache
def _live(name: str, controls: tuple[Control, ...]) -> Any:
    """The widget's class, made at first use: the package itself does without anywidget."""
    needs = "a live explorer needs anywidget: pip install 'collapse-companion[widgets]'."
    anywidget, traitlets = (module(extra, needs) for extra in ("anywidget", "traitlets"))
    kind, known = EXPLORERS[name], {control.name: control for control in controls}
    types = {
        str: traitlets.Unicode,
        bool: traitlets.Bool,
        int: traitlets.Int,
        float: traitlets.Float,
    }

    def answered(self: Any, name: str) -> Any:
        return _answered(kind, self.data | {name: getattr(self, name) for name in known}, name)

    @traitlets.validate(*known)  # type: ignore[untyped-decorator]
    def checked(self: Any, proposal: Any) -> Any:
        return known[proposal.trait.name].check(proposal.value)

    body = {
        "__doc__": f"A live explorer: {kind.title}.",
        "__module__": __name__,
        "__getattr__": answered,
        "_checked": checked,
        "_esm": "".join(_files(kind).values()),
        "_css": _style(),
        "data": traitlets.Dict().tag(sync=True),
        "explorer": traitlets.Dict(kind.to_json()).tag(sync=True),
        **{
            name: types[type(control.default)](control.default).tag(sync=True)
            for name, control in known.items()
        },
    }
    return type(f"{name.title()}Explorer", (anywidget.AnyWidget,), body)


def _files(kind: Explorer) -> dict[str, str]:
    """The JavaScript that makes one module, by the stems of its files: the mathematics, the named
    workflows and other formulas, what all explorers share, and its own.
    """
    return {
        "collapse": _source("collapse.js"),
        "formulas": formulas.current(),
        "parts": _source("parts.js"),
        kind.name: ((kind.folder or HERE) / f"{kind.name}.js").read_text(encoding="utf-8"),
    }


@cache
def _style() -> str:
    """The style sheet, with the hues of the plots."""
    hues = (
        f'.collapse-explorer[data-family="{family}"], .collapse-explorer [data-family="{family}"]'
        f" {{ --hue: light-dark({light}, {dark}); }}"
        for family, (light, dark) in plot.HUES.items()
    )
    return _source("explorer.css") + "\n".join(hues) + "\n"


def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
