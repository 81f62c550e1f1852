"""Risk: what derive() and simulate() answer."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from collapse.answers import Answer
from collapse.checks import (
    SEEDS,
    brief,
    counted,
    require,
    whole,
)
from collapse.exact import Array
from collapse.plan import Plan
from collapse.reservoir import Reservoir, workflow_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@cache
def versions() -> dict[str, str]:
    """Versions of Python, this package (installed or a mere checkout), numpy, scipy and
    matplotlib.
    """
    from importlib import (
        metadata,
    )  # slow to import, like what other modules import where they need it

    from collapse import __version__

    others = {name: metadata.version(name) for name in ("numpy", "scipy", "matplotlib")}
    return {"python": platform.python_version(), "collapse-companion": __version__} | others


@dataclass(frozen=True, eq=False)
class Measure(Answer):
    """What the fits of every generation have of something beside risk, such as variance.

    Attributes
    ----------
    mean, stderr : ndarray, shape (G,)
        Mean over replications and its standard error; NaN from the first generation on in which a
        replication has no estimate.
    quantiles : ndarray, shape (Q, G)
        Quantiles, at the levels of the `Risk`, over the replications that have an estimate.
    """

    mean: Array
    stderr: Array
    quantiles: Array = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        if not self.quantiles.size:
            object.__setattr__(self, "quantiles", np.empty((0, 0)))

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each generation."""
        return {"mean": self.mean, "stderr": self.stderr}


@dataclass(frozen=True, eq=False)
class Risk(Answer):
    """Risk of every generation of a plan, derived or simulated.

    Attributes
    ----------
    risk : ndarray, shape (G,)
        Expected excess loss of each fit. In the limit: in units of that of a fit to n real rows.
        Float64, or `fractions.Fraction` where an exact answer was asked for.
    ratio : ndarray, shape (G,)
        risk / risk[0]. A ratio of excess risks, not of losses.
    plan : Plan or Reservoir
        The workflow.
    model : str or None
        The model, as printed; None for the Gaussian limit.
    n : int or None
        Rows of real data; None for the limit.
    stderr, risk_stderr : ndarray, shape (G,)
        Standard errors of `ratio` (delta method; 0 at generation 1, numerator and denominator share
        replications) and `risk`. Zero where derived.
    failed : ndarray, shape (G,)
        Share of replications that have no estimate at this generation or had none at an earlier one
        (separation). Means are NaN from the first such generation on; quantiles count a lost
        replication as +inf.
    levels, quantiles : ndarray, shapes (Q,) and (Q, G)
        Quantiles of risk over replications where they were asked for, otherwise empty.
    replications : int or None
        Number of Monte Carlo replications; None where derived.
    seed : int or None
        Seed of the simulation; None where derived or where a Generator was given.
    measures : dict of str to Measure
        What is lost beside risk, by name, where it was asked for.
    gate : float or None
        Held-out real rows of the gate that the fits passed, as a multiple of n; None without one.
    versions : dict
        Software that computed it.

    Examples
    --------
    >>> import collapse
    >>> risk = collapse.derive(collapse.workflows.augment(100))
    >>> risk.ratio[-1].round(6)
    np.float64(1.634984)
    >>> risk
    <Risk of augment, 100 generations, derived in the Gaussian limit: ratio 1.635 at the last>
    """

    _readers: ClassVar = {"plan": workflow_of}

    risk: NDArray[Any]
    ratio: NDArray[Any]
    plan: Plan | Reservoir
    model: str | None = None
    n: int | None = None
    stderr: Array = field(default_factory=lambda: np.empty(0))
    risk_stderr: Array = field(default_factory=lambda: np.empty(0))
    failed: Array = field(default_factory=lambda: np.empty(0))
    levels: Array = field(default_factory=lambda: np.empty(0))
    quantiles: Array = field(default_factory=lambda: np.empty((0, 0)))
    replications: int | None = None
    seed: int | None = None
    gate: float | None = None
    measures: dict[str, Measure] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    tables: dict[str, NDArray[Any] | Callable[[], NDArray[Any]]] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        for name in ("stderr", "risk_stderr", "failed"):
            if not getattr(self, name).size:
                object.__setattr__(self, name, np.zeros(len(self.risk)))

    @property
    def generations(self) -> NDArray[np.int64]:
        """Generation of each fit, shape (G,): 1, ..., G, or as the plan labels them where several
        models are fitted in each.
        """
        return self.plan.generation

    @property
    def covariance(self) -> NDArray[Any]:
        """Covariance (G, G) of the fits around the truth, in the metric of the risk: its diagonal
        is `risk`.

        Raises
        ------
        ValueError
            Where it was not kept (a simulation without covariance=True) or the risk is not
            quadratic.
        """
        return self._table(
            "covariance",
            "ask for it with simulate(..., covariance=True), or derive(plan).covariance",
        )

    @property
    def contributions(self) -> NDArray[Any]:
        """c (G, B): how much of batch b's noise stands in fit g, u_g = sum_b c[g, b] Z_b +
        subsampling noise.
        """
        return self._table(
            "contributions", "they belong to the plan: derive(risk.plan).contributions"
        )

    @property
    def fits(self) -> NDArray[Any]:
        """The fits (R, G, d), NaN where a replication has no estimate; kept by simulate(...,
        fits=True).
        """
        return self._table("fits", "ask for it with simulate(..., fits=True)")

    def _table(self, name: str, remedy: str) -> NDArray[Any]:
        require(name in self.tables, f"this Risk does not hold {name}; {remedy}.")
        value = self.tables[name]
        self.tables[name] = table = value() if callable(value) else value
        return table

    def worth(self, n: int) -> Array:
        """How many rows of real data alone, read whole, would have the risk that n rows have under
        this workflow, shape (G,).

        That is n / C_gg, C_gg the risk in units of a fit to all n real rows: n / (ratio C_11). C_11
        is 1, and this n / ratio, where fit 1 is such a fit; it is 2 in the limit where fit 1
        bootstraps the real rows. A risk of a model at its own number of rows takes the C_11 of
        weighted means at that number; `n` here may be another, of which the same share is told. As
        everywhere in the package, risk is taken to fall like 1/n.

        Parameters
        ----------
        n : int
            Rows of real data.

        Returns
        -------
        ndarray, shape (G,)
            Rows; NaN where the risk has no mean.

        Raises
        ------
        ValueError
            Where n is no positive whole number.

        Examples
        --------
        >>> import collapse
        >>> collapse.derive(collapse.workflows.bootstrap(3)).worth(1000).round(1)
        array([500. , 250. , 166.7])
        """
        first = self.plan.reference(self.n if self.model is not None else None)
        return np.asarray(
            whole(n, "n", "rows of real data") / (first * np.asarray(self.ratio, float))
        )

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each generation."""
        names = ("risk", "ratio", "stderr", "risk_stderr", "failed")
        columns = {"generation": self.generations} | {name: getattr(self, name) for name in names}
        columns |= _by_level("", self.levels, self.quantiles)
        for name, measure in self.measures.items():
            columns |= {name: measure.mean, f"{name}_stderr": measure.stderr}
            columns |= _by_level(f"{name}_", self.levels, measure.quantiles)
        return columns

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the ratio against the generation: a line where derived, dots with two standard
        errors where simulated.
        """
        from collapse.publishing.plot import (
            plot_risk,
        )  # the one import that points down the package's order

        return plot_risk(self, ax, **options)

    @classmethod
    def _agree(cls, values: dict[str, Any]) -> None:
        """Raise a ValueError where the parts of a saved answer do not fit together."""
        plan, levels = values["plan"], values["levels"].size
        if not levels and not values["quantiles"].size:
            values["quantiles"] = np.empty((0, 0))
        sizes = {"G": plan.generations, "B": getattr(plan, "batches", None)}
        sizes |= {"R": values["replications"], "Q": levels, "g": plan.generations if levels else 0}
        named = [*values["tables"]]
        require(
            [name in _TABLES for name in named],
            lambda i: f"tables of a Risk are {', '.join(_TABLES)}; one is {brief(named[i])}.",
        )
        arrays = list((values | values["tables"]).items())
        for measure in values.get("measures", {}).values():
            arrays += vars(measure).items()
        for name, array in arrays:
            if not isinstance(array, np.ndarray):
                continue
            expected = [sizes.get(axis) for axis in _SHAPES.get(name, "G")]
            pairs = zip(expected, array.shape, strict=False)
            require(
                len(expected) == array.ndim and all(size in (None, own) for size, own in pairs),
                f"{name} has shape {array.shape}, which does not fit its workflow or the rest.",
            )
        for name, least in {"n": 1, "replications": 1, "seed": 0}.items():
            if values[name] is not None:
                whole(values[name], name, "of a saved answer", least=least, most=SEEDS)

    def __repr__(self) -> str:
        how = "derived" if self.replications is None else counted(self.replications, "replication")
        limit = self.model is None
        where = "in the Gaussian limit" if limit else f"of {self.model} at n = {self.n}"
        if self.gate is not None:
            where += f", through a gate of {self.gate:g} n held-out rows"
        return (
            f"<Risk of {self.plan.name}, {counted(len(self.risk), 'generation')}, {how}"
            f" {where}: ratio"
            f" {float(self.ratio[-1]):.4g}"
            f"{''.join(f', {name} {each.mean[-1]:.4g}' for name, each in self.measures.items())}"
            " at the last>"
        )


def _by_level(of: str, levels: Array, quantiles: Array) -> dict[str, Array]:
    pairs = zip(levels, quantiles, strict=True)
    return {f"{of}quantile_{level:g}": row for level, row in pairs}


_TABLES = {"covariance": "GG", "contributions": "GB", "fits": "RGd"}
_SHAPES = _TABLES | {"levels": "Q", "quantiles": "Qg"}
"""Axes of the arrays that a saved answer holds; of all others one, the generations."""
