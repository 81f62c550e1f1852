"""What an audit answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from collapse import disk
from collapse.answers import Answer, read_fields
from collapse.auditing import report
from collapse.checks import require
from collapse.exact import Array
from collapse.publishing import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Candidate:
    """A workflow that was compared.

    Attributes
    ----------
    name : str
        Its name.
    p_value : float
        How often losses that obey it speak as much against it.
    log_likelihood : float
        Of the logged losses, less that of the most likely course.
    ratio : float
        Of excess risk, at the generation that is foreseen, in units of a fit to all real rows.
    """

    name: str
    p_value: float
    log_likelihood: float
    ratio: float


@dataclass(frozen=True)
class Needed:
    """What it takes to reject another workflow with a power of 80 %.

    Attributes
    ----------
    rival : str
        The other workflow.
    runs : int or None
        Runs of the generations that are logged; None where 64 do not suffice.
    generations : int or None
        Generations of the runs that are logged; None where 60 do not suffice.
    """

    rival: str
    runs: int | None
    generations: int | None


def _records(kind: type) -> Any:
    return lambda documents: tuple(kind(**read_fields(kind, one, {})) for one in documents)


@dataclass(frozen=True, eq=False, kw_only=True)
class Audit(Answer):
    """Which workflows logged losses are compatible with, and what they tell of one of them.

    Attributes
    ----------
    workflow : str
        The one asked for, or the most likely.
    asked : bool
        Whether it was asked for.
    metric : str
        What was logged.
    losses : ndarray, shape (R, G)
        As losses: of perplexities their logarithms, of accuracies one less them.
    generations : ndarray of int, shape (G,)
        Which generations they are.
    n : int or None
        Rows of real data.
    averaged : int
        Runs of which each loss is the mean.
    p_value : float
        Of the workflow: how often losses that obey it speak as much against it, in the world that
        speaks most for it.
    anytime : ndarray, shape (G,)
        p-values after each generation that hold whenever one stops, up to the `horizon`, of the
        shape alone; beyond it nothing is promised.
    horizon : int
        See `anytime`.
    scale, scale_low, scale_high : float
        kappa / n and its interval of the level given.
    level : float
        Of intervals.
    nu, nu_low, nu_high : float
        Effective degrees of freedom: the most likely, and the ends of what is not contradicted.
    floor : float
        Loss of the best fit there is, given or estimated.
    floor_known : bool
        Whether it was given.
    fitted : ndarray, shape (G,)
        Mean loss under the workflow.
    at : int
        Generation of what follows.
    loss, loss_low, loss_high : float
        Mean loss over runs like these, foreseen, and its band.
    pace : float
        By what factor losses rise faster than the workflow allows.
    kappa_given : float or None
        What was said to be known.
    oddity : str or None
        What is more likely than the workflow, and is none.
    table : tuple of Candidate
        All workflows that were compared, the one asked for first, then the most likely.
    needed : tuple of Needed
        What it takes to reject each other workflow that is compatible.
    seed : int
        Of the simulations.
    versions : dict
        Software that computed it.
    answers, warnings : tuple of str
        In words.
    """

    _readers: ClassVar = {"table": _records(Candidate), "needed": _records(Needed)}

    workflow: str
    asked: bool
    metric: str
    losses: Array
    generations: NDArray[np.int64]
    n: int | None
    averaged: int
    p_value: float
    anytime: Array
    horizon: int
    scale: float
    scale_low: float
    scale_high: float
    level: float
    nu: float
    nu_low: float
    nu_high: float
    floor: float
    floor_known: bool
    fitted: Array
    at: int
    loss: float
    loss_low: float
    loss_high: float
    pace: float
    kappa_given: float | None
    oddity: str | None
    table: tuple[Candidate, ...]
    needed: tuple[Needed, ...]
    seed: int
    versions: dict[str, str]
    answers: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())

    @property
    def kappa(self) -> float:
        """kappa: n times the scale; NaN where n is not known."""
        return np.nan if self.n is None else self.n * self.scale

    @property
    def kappa_interval(self) -> tuple[float, float]:
        """The ends of kappa's interval; NaN where n is not known."""
        n = np.nan if self.n is None else self.n
        return n * self.scale_low, n * self.scale_high

    @property
    def compatible(self) -> tuple[str, ...]:
        """Names of the workflows that are not rejected at 5 %."""
        return tuple(row.name for row in self.table if row.p_value > 0.05)

    @property
    def parameters(self) -> dict[str, Any]:
        """What its figures depend on."""
        names = ("workflow", "metric", "n", "averaged", "at", "horizon", "level")
        return {name: getattr(self, name) for name in names}

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each workflow that was compared."""
        names = ("p_value", "log_likelihood", "ratio")
        return {"workflow": [row.name for row in self.table]} | {
            name: [getattr(row, name) for row in self.table] for name in names
        }

    @classmethod
    def _agree(cls, values: dict[str, Any]) -> None:
        """Raise a ValueError where the parts of a saved answer do not fit together."""
        G, losses = len(values["generations"]), values["losses"]
        require(
            losses.ndim == 2
            and losses.shape[1] == G
            and all(values[name].shape == (G,) for name in ("anytime", "fitted"))
            and len(values["table"]) > 0,
            "losses, anytime and fitted must have one entry for each of the generations.",
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses, the course of the workflow, and what is foreseen.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; those of a new figure by default.
        """
        with plot.on_axes(ax, 3.2) as drawn:
            return report.draw(self, drawn)

    def save_html(self, path: str | Path) -> Path:
        """Write a report, one HTML file that needs nothing else, and return the path.

        Raises
        ------
        ValueError, OSError
            Where the path is that of no file, or the system cannot write there.
        ImportError
            Where jinja2 is missing: install the extra ``data``.
        """
        disk.named(path)
        return disk.write(path, report.html(self))

    def __str__(self) -> str:
        return "\n".join([*self.answers, *(f"Caution: {text}" for text in self.warnings)])

    def __repr__(self) -> str:
        R, G = self.losses.shape
        return (
            f"<Audit of {G} generations, {R} {'run' if R == 1 else 'runs'}: {self.workflow}, p ="
            f" {self.p_value:.2g}>"
        )
