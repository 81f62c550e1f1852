"""Explorers: pictures that answer while a slider moves, live in Jupyter and self-contained in a static page."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from importlib import resources
from typing import Any, Protocol

import numpy as np

from collapse.derivation import derive
from collapse.plan import Plan
from collapse.risk import Risk
from collapse.workflows import augment, discard, subsample

_NAMED = {"discard": discard, "augment": augment, "subsample": subsample}
WORKFLOWS = (*_NAMED, "fixed real share", "window")
"""Workflows that the explorer offers."""


class Explorer(Protocol):
    """What `explorer` returns: the state of the controls, and what they stand for."""

    @property
    def workflow(self) -> str: ...
    @property
    def generations(self) -> int: ...
    @property
    def kept(self) -> float: ...
    @property
    def real_share(self) -> float: ...
    @property
    def window(self) -> int: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def risk(self) -> Risk: ...


def explorer(workflow: str = "augment", generations: int = 50, kept: float = 1.0, *, real_share: float = 0.1, window: int = 5) -> Explorer:
    """Show what a workflow costs: its risk curve, redrawn while the controls are moved.

    Parameters
    ----------
    workflow : {"discard", "augment", "subsample", "fixed real share", "window"}
        The workflow shown first.
    generations : int
        Number of fits G, from 2 to 200.
    kept : float
        Share, in (0, 1], of the rows called for by the workflow that each fit after the first reads, drawn anew for every fit.
        The first reads all real rows: it is the reference of the risk ratio.
    real_share : float
        Under "fixed real share", the weight, in [0, 1], of the real data; the rest is on the latest synthetic batch.
    window : int
        Under "window", the number of latest batches that each fit reads, from 1 to 50.

    Returns
    -------
    Explorer
        In Jupyter a live widget: its attributes `workflow`, `generations`, `kept`, `real_share` and `window` follow the controls,
        and the controls follow them. Where the environment variable COLLAPSE_STATIC is 1, as in a build of the book, a picture
        that needs no kernel and no network. In both, `plan` is the workflow as a `Plan`, and `risk` what `derive` says of it.

    Raises
    ------
    ValueError
        If there is no such workflow, or a number is outside its range.
    ImportError
        If a live widget is asked for and anywidget is missing: install collapse-companion[widgets].

    Notes
    -----
    The page computes the ratio itself, in the Gaussian limit (Dey and Donoho 2024, the sequential Gaussian process).

    Examples
    --------
    >>> from collapse import widgets
    >>> view = widgets.explorer("subsample", generations=100)
    >>> view.risk.ratio[-1].round(6)
    np.float64(2.904952)
    >>> view.kept = 0.5
    >>> view.plan
    <Plan subsample, 50 % kept: 100 fits, 100 batches>
    """
    state = {"workflow": workflow, "generations": generations, "kept": kept, "real_share": real_share, "window": window}
    checked = {name: _check(name, value) for name, value in state.items()}
    view: Explorer = _StaticExplorer(**checked) if os.environ.get("COLLAPSE_STATIC") == "1" else _live_explorer()(**checked)
    return view


def _check(name: str, value: Any) -> Any:
    """Return one control's value as str, int or float, or say in words what is wrong with it."""
    if name == "workflow":
        if value not in WORKFLOWS:
            raise ValueError(f"workflow must be one of {', '.join(map(repr, WORKFLOWS))}; it is {value!r}.")
        return str(value)
    if name in ("generations", "window"):
        low, high = (2, 200) if name == "generations" else (1, 50)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}, as the slider; it is {value!r}.")
        return int(value)
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if name == "kept" and not (number and 0 < value <= 1):
        raise ValueError(f"kept, the share of rows that each fit reads, must lie in (0, 1]; it is {value!r}. Take 1 to read all.")
    if name == "real_share" and not (number and 0 <= value <= 1):
        raise ValueError(f"real_share, the weight on the real data, must lie in [0, 1]; it is {value!r}. Take 0 for discard.")
    return float(value)


def _plan(view: Explorer) -> Plan:
    G, workflow = view.generations, view.workflow
    if workflow in _NAMED:
        plan = _NAMED[workflow](G)
        if view.kept == 1:
            return plan
        weight, kept = plan.weight, plan.kept.copy()
    else:
        weight, kept = np.zeros((G, G)), np.ones((G, G))
        for g in range(G):
            if workflow == "window":
                first = max(0, g + 1 - view.window)
                weight[g, first : g + 1] = 1 / (g + 1 - first)
            else:
                weight[g, [0, g]] = (view.real_share, 1 - view.real_share) if g else 1
    kept[1:] *= view.kept
    detail = {"window": f"({view.window})", "fixed real share": f" {view.real_share:.3g}"}.get(workflow, "")
    name = f"{workflow}{detail}" + (f", {100 * view.kept:.3g} % kept" if view.kept < 1 else "")
    return Plan(np.arange(G), np.ones(G, np.int64), weight, kept, name=name)


@dataclass(frozen=True)
class _StaticExplorer:
    """An explorer in a page without a kernel."""

    workflow: str
    generations: int
    kept: float
    real_share: float
    window: int

    @property
    def plan(self) -> Plan:
        return _plan(self)

    @property
    def risk(self) -> Risk:
        return derive(self.plan)

    def _repr_html_(self) -> str:
        ratio = self.risk.ratio[-1]
        instead = (
            f"This explorer needs JavaScript. What it shows at first: after {self.generations} generations of {self.plan.name} the risk "
            f"ratio is {ratio:.6g}, and 1,000 real rows are worth {1000 / ratio:.3g}."
        )
        return _page("explorer", asdict(self), instead)

    def __repr__(self) -> str:
        return f"<Explorer of {self.plan.name}: ratio {self.risk.ratio[-1]:.4g} at generation {self.generations}>"


@cache
def _live_explorer() -> Any:
    """The widget's class, made at first use: the package itself does without anywidget."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError("a live explorer needs anywidget: pip install 'collapse-companion[widgets]'.") from error

    class LiveExplorer(anywidget.AnyWidget):
        _esm = _module("explorer")
        _css = _source("explorer.css")
        workflow = traitlets.Unicode("augment").tag(sync=True)
        generations = traitlets.Int(50).tag(sync=True)
        kept = traitlets.Float(1.0).tag(sync=True)
        real_share = traitlets.Float(0.1).tag(sync=True)
        window = traitlets.Int(5).tag(sync=True)

        @traitlets.validate("workflow", "generations", "kept", "real_share", "window")
        def _checked(self, proposal: Any) -> Any:
            return _check(proposal.trait.name, proposal.value)

        @property
        def plan(self) -> Plan:
            return _plan(self)

        @property
        def risk(self) -> Risk:
            return derive(self.plan)

    return LiveExplorer


def _source(name: str) -> str:
    return resources.files("collapse").joinpath("static", name).read_text(encoding="utf-8")


def _module(name: str) -> str:
    """An explorer's JavaScript, the mathematics first, as one module that imports nothing."""
    return _source("collapse.js") + _source(f"{name}.js")


def _page(name: str, state: dict[str, Any], instead: str) -> str:
    """An explorer as self-contained html, with a sentence for readers without JavaScript."""
    return (
        f'<div class="collapse-explorer-host" data-state="{escape(json.dumps(state), quote=True)}">\n'
        f"<noscript><p>{escape(instead)}</p></noscript>\n"
        f"<style>\n{_source(f'{name}.css')}</style>\n"
        f'<script type="text/plain">\n{_module(name)}</script>\n'
        f"<script>\n{_source('shim.js')}</script>\n"
        "</div>"
    )
