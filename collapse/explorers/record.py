"""One record for each explorer: whatever shows explorers reads it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse import checks, workflows
from collapse.workflows import record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

State = Mapping[str, Any]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Control(record.Control):
    """One handle of an explorer.

    Parameters
    ----------
    limits : tuple of (str, int)
        Where a slider ends, by the explorer's choice `workflow`, if before its end.
    """

    limits: tuple[tuple[str, int], ...] = ()

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
            return checks.choice(value, self.name, self.choices)
        if self.kind == "switch":
            return checks.flag(value, self.name)
        what, wanted = (
            ("a number", Real) if type(self.default) is float else ("a whole number", Integral)
        )
        right = isinstance(value, wanted) and not isinstance(value, bool)
        checks.require(
            not (not right or not self.low <= value <= self.high),
            f"{self.name} must be {what} from {self.low:g} to {self.high:g}, as the slider; it is"
            f" {value!r}.",
        )
        return type(self.default)(value)

    def to_json(self) -> dict[str, Any]:
        """Return what JavaScript needs to know of it."""
        return asdict(self) | {"kind": self.kind, "whole": type(self.default) is int}


@dataclass(frozen=True)
class Explorer:
    """An explorer as data; once made, it stands in `EXPLORERS`.

    Parameters
    ----------
    name : str
        Stem of its file of JavaScript.
    title : str
        What it lets one explore, in a few words.
    handles : callable
        Makes its controls: those of workflows are as many as there are named workflows.
    answer : callable
        From the state to what it stands for: a mapping of names to a plan, a risk, numbers. A
        number that the page shows, in an element <data data-name="name">, has the same name here.
    words : str
        A sentence for readers without JavaScript, with the state, the data and the answer by their
        names in braces.
    draw : callable
        Draws all these on a figure, for print and for readers without JavaScript.
    data : callable
        What it shows beside its controls' values, in JSON's types, by names: what `explorer` is
        given as `data` takes its place; `answer` finds it in the state.
    shared : mapping
        What its JavaScript takes from Python, by the names there: formulas, as functions that
        answer numbers and symbols alike, and constants in JSON's types.
    folder : pathlib.Path, optional
        Where its JavaScript stands, in a file of its name; by default with the package's own.
    """

    name: str
    title: str
    handles: Callable[[], tuple[Control, ...]]
    answer: Callable[[State], dict[str, Any]]
    words: str
    draw: Callable[[Figure, State], None]
    data: Callable[[], Mapping[str, Any]] = dict
    shared: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def __post_init__(self) -> None:
        EXPLORERS[self.name] = self

    @property
    def controls(self) -> tuple[Control, ...]:
        return self.handles()

    def shown(self, state: State) -> dict[str, Any]:
        """Return the state and what it stands for."""
        return {**state, **self.answer(state)}

    def sentence(self, state: State) -> str:
        """Return the state's sentence."""
        return self.words.format(**self.shown(state))

    def check(self, given: State) -> dict[str, Any]:
        """Return the whole state, checked: what is given, and defaults."""
        known = {control.name: control for control in self.controls}
        for name in given:
            checks.require(
                name in known,
                f"the explorer {self.name!r} has no control {name!r}; it has {', '.join(known)}.",
            )
        state = {
            name: control.check(given.get(name, control.default)) for name, control in known.items()
        }
        for name, control in known.items():
            most = dict(control.limits).get(state.get("workflow", ""))
            checks.require(
                most is None or state[name] <= most,
                f"{name} of {state.get('workflow')} must be at most {most}, as the slider, since"
                f" each has many batches; it is {state[name]!r}.",
            )
        return state

    def told(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all data: what is given, and defaults."""
        known = dict(self.data())
        for name in given:
            checks.require(
                name in known,
                f"the explorer {self.name!r} shows no data called {name!r}; it shows"
                f" {', '.join(known) or 'none'}.",
            )
        return known | dict(given)

    def to_json(self) -> dict[str, Any]:
        """Return what JavaScript needs to know of it."""
        return {"title": self.title, "controls": [control.to_json() for control in self.controls]}


EXPLORERS: dict[str, Explorer] = {}
"""Every explorer, by its name."""


# --- what the explorers share ---------------------------------------------------------------------


def generations() -> Control:
    """Generations: as many as a page can follow while a slider moves, fewer where a generation has
    many batches.
    """
    fits = 20
    made = {name: kind.at(kind.defaults, fits) for name, kind in workflows.NAMED.items()}
    many = [name for name, plan in made.items() if not plan.persistent and plan.batches > 2 * fits]
    stops = (*range(2, 101), *range(110, 201, 10), *range(250, 1001, 50))
    limits = tuple((name, 100) for name in many)
    return Control("generations", "Generations", 50, 2, 1000, 1, values=stops, limits=limits)


def kept() -> Control:
    """Share of the rows that each fit after the first reads, drawn anew for every fit and batch."""
    names = tuple(name for name, kind in workflows.NAMED.items() if kind.thinned)
    return Control("kept", "Share kept", 1.0, 0.01, unit="percent", workflows=names)


def parameters(*names: str, leave: tuple[str, ...] = ()) -> tuple[Control, ...]:
    """Return the controls for these workflows: which of them, and every parameter that one of them
    has, but for those to leave out. A parameter stands where it stands last in a workflow.
    """
    found: dict[str, list[tuple[int, str, record.Control]]] = {}
    for name in names:
        for place, control in enumerate(workflows.NAMED[name].controls):
            found.setdefault(control.name, []).append((place, name, control))
    kinds = [
        Control(**{**vars(of[0][2]), "workflows": tuple(name for _, name, _ in of)})
        for of in sorted(found.values(), key=lambda of: max(of)[0])
        if of[0][2].name not in leave
    ]
    return Control("workflow", "Workflow", names[0], choices=names), *kinds


def one_model() -> tuple[str, ...]:
    """Workflows with one model and one real batch, which fit 1 reads whole; augment first."""
    made = {name: kind.at(kind.defaults, 3) for name, kind in workflows.NAMED.items()}
    plain = [
        name
        for name, plan in made.items()
        if not plan.persistent and len(plan.real_sizes()) == 1 == plan.reference()
    ]
    return tuple(sorted(plain, key=lambda name: name != "augment"))
