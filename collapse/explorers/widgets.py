"""Explorers: pictures that answer while a slider moves, live in Jupyter and self-contained in a
static page.

An explorer is one entry of `EXPLORERS` and one file of JavaScript, `<name>.js`, which draws it.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import workflows
from collapse.checks import choice, mapping
from collapse.explorers import pictures, policies
from collapse.publishing import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

State = Mapping[str, Any]


@dataclass(frozen=True)
class Control:
    """One handle of an explorer.

    Parameters
    ----------
    name : str
        Name in Python, in the page's address and in JavaScript's state.
    label : str
        What readers see.
    default : str, bool, int or float
        Value shown first. Its type is the control's: a choice, a switch, or a slider of whole
        numbers or of any.
    low, high, step : float
        Ends and step of a slider.
    values : tuple of float
        Where a slider stops, if not at equal steps: between its ends, in rising order.
    choices : tuple of str
        Of a choice.
    unit : {"", "percent", "rows"}
        How the slider's number is written.
    zero : str
        What a slider says at 0 in place of the number.
    workflows : tuple of str
        The control is there only while the explorer's choice `workflow` is one of these; () for
        always.
    seed : bool
        A whole number for which there is no slider but a button, that takes the next one.
    """

    name: str
    label: str
    default: Any
    low: float = 0
    high: float = 1
    step: float = 0.01
    values: tuple[float, ...] = ()
    choices: tuple[str, ...] = ()
    unit: str = ""
    zero: str = ""
    workflows: tuple[str, ...] = ()
    seed: bool = False

    @property
    def kind(self) -> str:
        """Which of the parts in parts.js draws it."""
        if self.seed:
            return "seed"
        return {str: "choice", bool: "switch"}.get(type(self.default), "slider")

    def check(self, value: Any) -> Any:
        """Return the value as str, bool, int or float.

        Raises
        ------
        ValueError
            Where it is not one that the control can show.
        """
        if self.kind == "choice":
            if value not in self.choices:
                raise ValueError(
                    f"{self.name} must be one of {', '.join(map(repr, self.choices))}; it is"
                    f" {value!r}."
                )
            return str(value)
        if self.kind == "switch":
            if not isinstance(value, (bool, np.bool_)):
                raise ValueError(f"{self.name} must be True or False; it is {value!r}.")
            return bool(value)
        whole = isinstance(self.default, int)
        kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
        if (
            isinstance(value, bool)
            or not isinstance(value, kinds)
            or not self.low <= value <= self.high
        ):
            what = "a whole number" if whole else "a number"
            raise ValueError(
                f"{self.name} must be {what} from {self.low:g} to {self.high:g}, as the slider; it"
                f" is {value!r}."
            )
        return int(value) if whole else float(value)

    def to_json(self) -> dict[str, Any]:
        """Return what JavaScript needs to know of it."""
        return asdict(self) | {
            "kind": self.kind,
            "whole": self.kind in ("slider", "seed") and isinstance(self.default, int),
        }


@dataclass(frozen=True)
class Explorer:
    """An explorer as data.

    Parameters
    ----------
    name : str
        Stem of its file of JavaScript.
    title : str
        What it lets one explore, in a few words.
    controls : tuple of Control
        Its handles.
    answer : callable
        From the state to what it stands for: a mapping of names to a plan, a risk, numbers. A
        number that the page shows, in an element <data data-name="name">, has the same name here.
    sentence : callable
        From the state to a sentence for readers without JavaScript.
    draw : callable
        Draws the state on a figure, for print and for readers without JavaScript.
    data : callable
        What it shows beside its controls' values, in JSON's types, by names: what `explorer` is
        given as `data` takes its place. These three functions find it in the state.
    """

    name: str
    title: str
    controls: tuple[Control, ...]
    answer: Callable[[State], dict[str, Any]]
    sentence: Callable[[State], str]
    draw: Callable[[Figure, State], None]
    data: Callable[[], Mapping[str, Any]] = dict

    def check(self, given: State) -> dict[str, Any]:
        """Return the whole state, checked: what is given, and defaults."""
        known = {control.name: control for control in self.controls}
        if unknown := [name for name in given if name not in known]:
            raise ValueError(
                f"the explorer {self.name!r} has no control {unknown[0]!r}; it has"
                f" {', '.join(known)}."
            )
        return {
            name: control.check(given.get(name, control.default)) for name, control in known.items()
        }

    def told(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all data: what is given, and defaults."""
        known = dict(self.data())
        if unknown := [name for name in given if name not in known]:
            raise ValueError(
                f"the explorer {self.name!r} shows no data called {unknown[0]!r}; it shows"
                f" {', '.join(known) or 'none'}."
            )
        return known | dict(given)

    def to_json(self) -> dict[str, Any]:
        """Return what JavaScript needs to know of it."""
        return {"title": self.title, "controls": [control.to_json() for control in self.controls]}


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
        (estimates under a moved law).
    data : mapping, optional
        What it shall show in place of its own example: for "fan" the real points `x` and `y`,
        `sigma` and the number of `lines`; for "morph" what `collapse.explorers.pictures.curves`
        makes of a matrix.
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
    its parameters, `generations`, `n`, `p` and `test_rows`. Parameters have the names that they
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
        else _live(name)(data=told, **checked)
    )


# --- what the explorers share ---------------------------------------------------------------------


def parameters(*names: str) -> tuple[Control, ...]:
    """Return the controls for these workflows: which of them, and every parameter that one of them
    has.
    """
    found = (
        (control, tuple(name for name in names if control.name in policies.settable(name)))
        for control in _PARAMETERS
    )
    kinds = (Control(**{**vars(control), "workflows": which}) for control, which in found if which)
    return Control("workflow", "Workflow", names[0], choices=names), *kinds


RATIOS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0)
_PARAMETERS = (
    Control("k", "Batches in the window", 3, 1, 50, 1),
    Control("models", "Models", 3, 2, 5, 1),
    Control("share", "Weight of real data", 0.1, unit="percent"),
    Control("size", "Rows of a batch, in n", 1.0, 0.1, 10, values=RATIOS),
    Control("kappa", "Synthetic rows per fresh one", 1.0, 0.1, 10, values=RATIOS),
    Control("memory", "Weight of a batch, by age", 0.8, 0, 0.99),
    Control(
        "turnover", "Share of the memory replaced", 0.0, unit="percent", zero="1/g, a fair sample"
    ),
    Control("replace", "Draw with replacement", False),
    Control("published", "One batch published for all", True),
)
"""Every parameter of a named workflow that an explorer can set, by its name in
`collapse.workflows`.
"""


# --- all of them ----------------------------------------------------------------------------------


def _without(controls: tuple[Control, ...], *names: str) -> tuple[Control, ...]:
    return tuple(control for control in controls if control.name not in names)


def _decades(first: int, last: int) -> tuple[float, ...]:
    return (
        *(float(digit * 10**power) for power in range(first, last) for digit in (1, 2, 5)),
        float(10**last),
    )


KEPT = Control("kept", "Share kept", 1.0, 0.01, unit="percent", workflows=policies.SUBSAMPLED)
"""Share of the rows that each fit after the first reads, drawn anew for every fit and batch."""
GENERATIONS = Control("generations", "Generations", 50, 2, 100, 1)
ONE_MODEL = (
    "augment",
    "discard",
    "subsample",
    "window",
    "fixed_real_share",
    "real_and_window",
    "real_and_average",
    "mixture",
    "forgetting",
)
"""Workflows with one model and one real batch, which the first fit reads whole."""

EXPLORERS: dict[str, Explorer] = {
    kind.name: kind
    for kind in (
        Explorer(
            "workflow",
            "what a workflow costs",
            (*parameters(*workflows.NAMED), KEPT, GENERATIONS),
            policies.workflow_answer,
            policies.workflow_sentence,
            policies.workflow_draw,
        ),
        Explorer(
            "squares",
            "risk as an area",
            (
                *_without(parameters(*ONE_MODEL), "size", "replace"),
                Control("generation", "Generation", 10, 1, policies.SQUARED, 1),
            ),
            policies.squares_answer,
            policies.squares_sentence,
            policies.squares_draw,
        ),
        Explorer(
            "dial",
            "how much weight the real data must keep",
            (
                Control("share", "Weight on the real data", 0.1, unit="percent"),
                Control("size", "Rows of a synthetic batch, in n", 1.0, 0.1, 10, values=RATIOS),
            ),
            policies.dial_answer,
            policies.dial_sentence,
            policies.dial_draw,
        ),
        Explorer(
            "bill",
            "what a policy adds to the log-loss",
            (
                *_without(parameters(*ONE_MODEL), "replace"),
                GENERATIONS,
                Control("n", "Real rows, n", 2000, 100, 10**7, values=_decades(2, 7), unit="rows"),
                Control("p", "Parameters, p", 5, 1, 10**4, values=_decades(0, 4), unit="rows"),
                Control(
                    "test_rows", "Test rows", 10**4, 100, 10**7, values=_decades(2, 7), unit="rows"
                ),
            ),
            policies.bill_answer,
            policies.bill_sentence,
            policies.bill_draw,
        ),
        Explorer(
            "fan",
            "refitted lines, discard beside augment",
            (
                Control(
                    "generation", "Generation", pictures.GENERATIONS, 1, pictures.GENERATIONS, 1
                ),
                Control("seed", "Draw new noise", 11, 0, 999, 1, seed=True),
            ),
            pictures.fan_answer,
            pictures.fan_sentence,
            pictures.fan_draw,
            pictures.fan_points,
        ),
        Explorer(
            "morph",
            "the risk curves of all models, divided by generation 1",
            (
                Control("share", "Divided by generation 1", 0.0, unit="percent"),
                Control(
                    "n",
                    "Rows n of the exact curves",
                    1000,
                    pictures.ROWS[0],
                    pictures.ROWS[-1],
                    values=pictures.ROWS,
                    unit="rows",
                ),
            ),
            pictures.morph_answer,
            pictures.morph_sentence,
            pictures.morph_draw,
            pictures.exact_curves,
        ),
        Explorer(
            "tilt",
            "estimates, weighted by the likelihood ratio of a moved law",
            (
                Control("estimator", "Estimator", "median", choices=tuple(pictures.ESTIMATORS)),
                Control("h", "The law moves by h/√n; h", 2.0, -2.5, 2.5, 0.1),
                Control("seed", "Draw new samples", 1, 0, 999, 1, seed=True),
            ),
            pictures.tilt_answer,
            pictures.tilt_sentence,
            pictures.tilt_draw,
            lambda: pictures.SAMPLES,
        ),
    )
}
"""Every explorer, by its name."""


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
        self.__dict__.update(_kind=kind, _data=data, **state)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__.update(self._kind.check(self._state() | {name: value}))

    def __getattr__(self, name: str) -> Any:
        return _answered(self.__dict__["_kind"], self._everything(), name)

    def _state(self) -> dict[str, Any]:
        return {
            control.name: self.__dict__[control.name] for control in self.__dict__["_kind"].controls
        }

    def _everything(self) -> dict[str, Any]:
        return {**self.__dict__["_data"], **self._state()}

    def __repr__(self) -> str:
        return f"<Explorer {self._kind.name}: {self._kind.sentence(self._everything())}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return html for a page, a picture for print, a sentence for a terminal."""
        picture = _still(self._kind, self._everything())
        return {
            "text/html": _page(self._kind, self._state(), self._data, picture),
            "image/png": base64.b64encode(picture).decode(),
            "text/plain": repr(self),
        }


def _answered(kind: Explorer, state: State, name: str) -> Any:
    """What an explorer stands for: asked for by __getattr__, when there is no attribute of this
    name.
    """
    if not name.startswith("_"):
        answer = kind.answer(state)
        if name in answer:
            return answer[name]
    raise AttributeError(f"the explorer {kind.name!r} has no {name!r}.")


def _still(kind: Explorer, state: State) -> bytes:
    """The picture for print and for readers without JavaScript, a PNG."""
    from matplotlib.figure import Figure

    stream = io.BytesIO()
    with plot.style():
        figure = Figure((plot.WIDE, 2.6), layout="constrained")
        kind.draw(figure, state)
        figure.savefig(
            stream,
            format="png",
            dpi=120,
            metadata={"Software": None},
            pil_kwargs={"optimize": True},
        )
    return stream.getvalue()


def _page(kind: Explorer, state: State, told: Mapping[str, Any], picture: bytes) -> str:
    """An explorer as self-contained html; the book keeps one copy of what several explorers of a
    page share.
    """
    data = {"name": kind.name, "explorer": kind.to_json(), "data": told, "state": state}
    sentence = (
        f"This explorer, {kind.title}, needs JavaScript. What it shows at first:"
        f" {kind.sentence({**told, **state})}."
    )
    still = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    scripts = "\n".join(
        f'<script type="text/plain" data-collapse="{name}">\n{_source(f"{name}.js")}</script>'
        for name in _files(kind)
    )
    return (
        '<div class="collapse-explorer-host"'
        f' data-explorer="{escape(json.dumps(data), quote=True)}">\n'
        f'<noscript><p>{escape(sentence)}</p><img class="collapse-still" src="{still}"'
        f' alt="{escape(sentence, quote=True)}"></noscript>\n'
        f'<style data-collapse="style">\n{_source("explorer.css")}</style>\n'
        f"{scripts}\n"
        f"<script>\n{_source('shim.js')}</script>\n"
        "</div>"
    )


# --- in Jupyter -----------------------------------------------------------------------------------


@cache
def _live(name: str) -> Any:
    """The widget's class, made at first use: the package itself does without anywidget."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            "a live explorer needs anywidget: pip install 'collapse-companion[widgets]'."
        ) from error

    kind = EXPLORERS[name]
    types = {
        str: traitlets.Unicode,
        bool: traitlets.Bool,
        int: traitlets.Int,
        float: traitlets.Float,
    }
    names = [control.name for control in kind.controls]

    def state(self: Any) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}

    @traitlets.validate(*names)
    def checked(self: Any, proposal: Any) -> Any:
        return next(
            control for control in kind.controls if control.name == proposal.trait.name
        ).check(proposal.value)

    body = {
        "__doc__": f"A live explorer: {kind.title}.",
        "__module__": __name__,
        "__getattr__": lambda self, name: _answered(kind, {**self.data, **state(self)}, name),
        "_checked": checked,
        "_esm": "".join(_source(f"{file}.js") for file in _files(kind)),
        "_css": _source("explorer.css"),
        "data": traitlets.Dict().tag(sync=True),
        "explorer": traitlets.Dict(kind.to_json()).tag(sync=True),
        **{
            control.name: types[type(control.default)](control.default).tag(sync=True)
            for control in kind.controls
        },
    }
    return type(f"{name.title()}Explorer", (anywidget.AnyWidget,), body)


def _files(kind: Explorer) -> tuple[str, ...]:
    """Stems of the JavaScript files that make one module: the mathematics, what all explorers
    share, and its own.
    """
    return "collapse", "parts", kind.name


@cache
def _source(name: str) -> str:
    return resources.files("collapse").joinpath("explorers", name).read_text(encoding="utf-8")
