"""What a forecast answers: its parts, typed, and the document that they make."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import disk
from collapse.answers import Answer
from collapse.checks import (
    check_number,
    counted,
    require,
    saved,
)
from collapse.forecasting import report
from collapse.forecasting.common import SMALL, Array, in_percent, in_short
from collapse.forecasting.lost import GENERATOR, NO_SHARE
from collapse.publishing import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = 2
"""Of the document, as the schema of its file; `Forecast.load` reads 1, too."""
WORSE = (
    *("derived", "derived_earliest", "derived_latest"),
    *("simulated", "simulated_earliest", "simulated_latest"),
)
"""Ways to know when a loss is worse: of the mean, and of the ends of the band of single runs."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """The table: what was read, what is used of it, and what was done to it."""

    source: str
    target: str | None
    rows: int
    unlabelled: int
    real_rows: int
    test_rows: int
    features: tuple[str, ...]
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    rare: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the target is."""

    name: str
    guessed: bool


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is fitted, and why it is not maximum likelihood where it is not."""

    name: str
    estimator: str
    fallback: str | None
    separating: tuple[str, ...] | None = None
    coefficients: int | None
    loss: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was asked for."""

    workflow: str
    generations: int
    real_share: str | None
    against: tuple[str, ...]
    test_share: float | None
    test_file: str | None
    worse: float
    budget: float | None
    band: tuple[float, float]
    labels: str = "drawn"
    threshold: float | None = None
    pool: int | None = None
    outsider: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What was simulated, and why not all rows were."""

    replications: int
    rows: int
    subsample: bool
    why: str | None = None
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class First:
    """The fit to all real rows: its test loss, and that of the best constant."""

    loss: float
    stderr: float | None
    kappa: float | None
    constant: float | None = None
    gain: float | None = None
    gain_stderr: float | None = None
    real: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ratio:
    """Ratio of excess risk under the workflow asked for, generation by generation."""

    derived: Array | None = None
    low: Array | None = None
    high: Array | None = None
    simulated: Array | None = None
    stderr: Array | None = None
    simulated_low: Array | None = None
    simulated_high: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Workflow:
    """One workflow: test loss generation by generation, what it costs, and when it is worse."""

    name: str
    family: str
    asked: bool
    ratio: Array | None
    reference: Array | None = None
    worth: Array | None
    rows_read: int
    rows_stored: int
    derived: Array | None = None
    derived_low: Array | None = None
    derived_high: Array | None = None
    simulated: Array | None = None
    stderr: Array | None = None
    simulated_low: Array | None = None
    simulated_median: Array | None = None
    simulated_high: Array | None = None
    failed: Array | None = None
    lost: dict[str, dict[str, Array]] = field(default_factory=dict)
    worse: dict[str, int | None]
    worse_why: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(WORSE))

    @property
    def kind(self) -> str:
        """How the loss is known: simulated where all rows were, otherwise derived."""
        return "derived" if self.simulated_low is None else "simulated"

    def last(self, curve: str) -> float:
        """A curve at the last generation; NaN where it is not known."""
        values = getattr(self, curve)
        return np.nan if values is None else float(values[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast(Answer):
    """What `forecast` answers.

    Attributes
    ----------
    seed : int
        Of the split and of all simulations.
    versions : dict of str to str
        Of Python, this package and what it needs.
    data, task, model, settings, simulation, first, ratio : dataclasses
        What was read, asked, fitted and found; `forecast` names their fields.
    workflows : tuple
        Each workflow, the one asked for first.
    warnings : list of str
        What cannot be trusted, and why.
    answers : list of str
        The answers in plain language.
    """

    seed: int
    versions: dict[str, str]
    data: Data
    task: Task
    model: Model
    settings: Settings
    simulation: Simulation
    first: First
    ratio: Ratio
    workflows: tuple[Workflow, ...]
    warnings: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether whole rows are synthetic."""
        return self.model.estimator == GENERATOR

    @property
    def bad(self) -> float:
        """The test loss that is worse by the share asked for; NaN where no share has a sense."""
        return np.nan if self.whole else (1 + self.settings.worse) * self.first.loss

    @property
    def document(self) -> dict[str, Any]:
        """Everything as plain numbers, text, lists and dicts; `forecast` describes it."""
        plain: dict[str, Any] = _plain({"collapse": "forecast", "format": FORMAT, **asdict(self)})
        return plain

    @property
    def sentences(self) -> list[str]:
        """The answers in plain language."""
        return list(self.answers)

    @property
    def notes(self) -> list[str]:
        """What was done to the data."""
        return list(self.data.notes)

    @property
    def parameters(self) -> dict[str, Any]:
        """What its figures depend on."""
        kept = {key: self.document[key] for key in ("task", "settings", "simulation")}
        return kept | {"target": self.data.target}

    def exceeds(self, limit: float) -> str | None:
        """Say by how much the last generation's test loss exceeds the first by more than a limit.

        Parameters
        ----------
        limit : float
            Largest rise that is allowed, in parts of the first loss: 0.1 for 10 %.

        Returns
        -------
        str or None
            A sentence; None where the limit holds. The loss is the one derived for many rows where
            there is one, else the simulated mean. A limit that cannot be checked counts as
            exceeded, and the sentence says why.

        Raises
        ------
        ValueError
            Where the limit is no number greater than 0.
        """
        limit = float(check_number(limit, "limit", 0))
        first, asked = self.first.loss, self.workflows[0]
        kind = "simulated" if asked.derived is None else "derived"
        loss, lost = asked.last(kind), asked.last("failed")
        after = f"after {counted(self.settings.generations, 'generation')} of {asked.name}"
        unknown = {
            "nothing was derived or simulated": getattr(asked, kind) is None,
            f"its mean does not exist: {in_percent(lost)} of the simulated runs have no"
            " estimate": np.isnan(loss),
            NO_SHARE.removeprefix("not told: "): self.whole,
            f"the first test loss is {in_short(first)}, and no share of it tells how much the loss"
            " may rise": first <= SMALL,
        }
        why = next((why for why, holds in unknown.items() if holds), None)
        if why:
            return (
                f"whether the test loss {after} is within {in_percent(limit)} of the first cannot"
                f" be told: {why}."
            )
        rise, how = loss / first - 1, "derived for many rows" if kind == "derived" else kind
        exceeded = (
            f"the test loss {after} is {in_percent(rise)} above the first ({how}):"
            f" {in_short(loss)} after {in_short(first)}; the limit is {in_percent(limit)}."
        )
        return exceeded if rise > limit else None

    def __repr__(self) -> str:
        return (
            f"<Forecast of {self.data.target or 'whole rows'} in {self.data.source}:"
            f" {self.settings.workflow},"
            f" {counted(self.settings.generations, 'generation')}>"
        )

    def save_html(self, path: str | Path) -> Path:
        """Write the report, and return the path.

        It is one HTML file that needs nothing else, for light and dark, wide and narrow screens.

        Raises
        ------
        ValueError, OSError
            Where the path is that of no file, or the system cannot write there.
        """
        disk.named(path)  # before the report is made, which takes a while
        return disk.write(path, report.html(self))

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each generation of each workflow, NaN where a
        test loss was not derived or simulated.
        """
        G, rows = self.settings.generations, self.workflows
        names = ("derived", "derived_low", "derived_high", "simulated", "stderr", "failed")
        curves = np.concatenate([report.curves(row, G, *names) for row in rows], axis=1)
        return {
            "workflow": [row.name for row in rows for _ in range(G)],
            "generation": [*range(1, G + 1)] * len(rows),
        } | dict(zip(names, curves, strict=True))

    def plot(self, figure: Figure | None = None) -> Figure:
        """Draw the test loss under the workflow asked for, as the report does.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            Where to draw; a new one by default.

        Raises
        ------
        ValueError
            Where nothing was derived or simulated, or figure is no figure.
        """
        from matplotlib.figure import Figure

        figure = Figure((plot.WIDE, 3.2), layout="constrained") if figure is None else figure
        drawings = report.drawings(self)
        require("loss" in drawings, "nothing was derived or simulated that a figure could show.")
        drawings["loss"].draw(figure)
        return figure

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return self.document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Forecast:
        """Rebuild an answer from its document, this version's or an older one's.

        Raises
        ------
        ValueError
            Where the document is not what `to_json` returned.
        """
        with saved("this Forecast"):
            read = {name: document[name] for name in cls.__annotations__}
            for kind in (Data, Task, Model, Settings, Simulation, First, Ratio):
                read[kind.__name__.lower()] = _of(kind, document[kind.__name__.lower()])
            read["workflows"] = tuple(_of(Workflow, row) for row in document["workflows"])
            answer = cls(**read)
            repr(answer), answer.exceeds(1), answer.columns()
            return answer


def _of(kind: type, values: dict[str, Any]) -> Any:
    """A part of the answer, its curves as arrays.

    What the documents of format 1 lack, reasons and the comparison with a constant, is None.
    """
    curves = [name for name in values if kind.__annotations__[name].startswith("Array")]
    arrays: dict[str, Any] = {
        name: np.array(values[name], np.float64) for name in curves if values[name]
    }
    if values.get("lost"):
        arrays["lost"] = {
            name: {key: np.array(curve, np.float64) for key, curve in told.items()}
            for name, told in values["lost"].items()
        }
    return kind(**(values | arrays))


def _plain(value: Any) -> Any:
    """Lists, numbers and text that JSON holds; null where a number does not exist."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
