"""Risk: what derive() and simulate() answer."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse import disk
from collapse.checks import brief, is_number, saved, whole
from collapse.exact import Array, from_list, to_list
from collapse.plan import Plan
from collapse.reservoir import Reservoir

if TYPE_CHECKING:
    import pandas as pd
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

    own = {"python": platform.python_version(), "collapse-companion": __version__}
    return own | {name: metadata.version(name) for name in ("numpy", "scipy", "matplotlib")}


@dataclass(frozen=True, eq=False)
class Risk:
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
        if name not in self.tables:
            raise ValueError(f"this Risk does not hold {name}; {remedy}.")
        value = self.tables[name]
        if callable(value):
            value = self.tables[name] = value()
        return value

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

    def to_frame(self) -> pd.DataFrame:
        """One row for each generation, as a pandas DataFrame.

        Raises
        ------
        ImportError
            Where pandas is missing: install collapse-companion[data].
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "Risk.to_frame needs pandas: pip install 'collapse-companion[data]'."
            ) from error
        columns: dict[str, Any] = {
            "generation": self.generations,
            "risk": self.risk,
            "ratio": self.ratio,
            "stderr": self.stderr,
            "risk_stderr": self.risk_stderr,
            "failed": self.failed,
        }
        columns |= {
            f"quantile_{level:g}": row
            for level, row in zip(self.levels, self.quantiles, strict=True)
        }
        return pd.DataFrame(columns)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the ratio against the generation: a line where derived, dots with two standard
        errors where simulated.
        """
        from collapse.publishing.plot import (
            plot_risk,
        )  # the one import that points down the package's order

        return plot_risk(self, ax, **options)

    def save(self, path: str | Path) -> Path:
        """Write everything as JSON; exact values as text such as "5/4". Returns the path.

        An interruption leaves the file that was there, or the new one, never a part.

        Raises
        ------
        ValueError, OSError
            Where the path is that of no file, or the system cannot write there.
        """
        document: dict[str, Any] = {"collapse": "risk", "plan": self.plan.to_json()}
        document |= {name: getattr(self, name) for name in _PLAIN}
        document |= {name: to_list(getattr(self, name)) for name in _ARRAYS}
        tables = {name: value for name, value in self.tables.items() if not callable(value)}
        document["tables"] = {name: to_list(value) for name, value in tables.items()}
        return disk.write(path, json.dumps(document, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Risk:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            Where there is no such file, or it was not written by `Risk.save`.
        """
        document = disk.answer(path, "Risk")
        with saved(str(path)):
            kind = Reservoir if "turnover" in document["plan"] else Plan
            plan = kind.from_json(document["plan"])
            arrays: dict[str, Any] = {name: from_list(document[name], name) for name in _ARRAYS}
            if not arrays["levels"].size:
                arrays["quantiles"] = np.empty((0, 0))
            tables = {name: from_list(value, name) for name, value in document["tables"].items()}
            plain = {name: document[name] for name in _PLAIN}
            _check_saved(plan, arrays, tables, plain)
            return cls(plan=plan, tables=dict(tables), **arrays, **plain)

    def __repr__(self) -> str:
        how = "derived" if self.replications is None else f"{self.replications:,} replications"
        where = (
            "in the Gaussian limit" if self.model is None else f"of {self.model} at n = {self.n}"
        )
        last = float(self.ratio[-1])
        return (
            f"<Risk of {self.plan.name}, {len(self.risk)} generations, {how} {where}: ratio"
            f" {last:.4g} at the last>"
        )


_PLAIN = ("model", "n", "replications", "seed", "versions")

_ARRAYS = ("risk", "ratio", "stderr", "risk_stderr", "failed", "levels", "quantiles")


_SHAPES = {"covariance": ("G", "G"), "contributions": ("G", "B"), "fits": ("R", "G", "d")}


def _check_saved(
    plan: Plan | Reservoir,
    arrays: dict[str, NDArray[Any]],
    tables: dict[str, NDArray[Any]],
    plain: dict[str, Any],
) -> None:
    """Raise a ValueError where the parts of a saved answer do not fit together."""
    G, Q = plan.generations, arrays["levels"].size
    for name, values in arrays.items():
        expected = {"levels": (Q,), "quantiles": (Q, G) if Q else (0, 0)}.get(name, (G,))
        if values.shape != expected:
            raise ValueError(f"{name} has shape {values.shape}, but its workflow needs {expected}.")
        if values.dtype == object and not (
            name in ("risk", "ratio") and all(map(is_number, values))
        ):
            raise ValueError(f"{name} must hold numbers that a float can hold.")
    sizes = {"G": G, "B": getattr(plan, "batches", None), "R": plain["replications"]}
    for name, values in tables.items():
        shape = _SHAPES.get(name)
        if (
            shape is None
            or len(shape) != values.ndim
            or any(
                sizes.get(axis) not in (None, length)
                for axis, length in zip(shape, values.shape, strict=True)
            )
        ):
            raise ValueError(
                f"tables hold {brief(name)} of shape {values.shape}; a Risk has"
                f" {', '.join(_SHAPES)}, of its own shapes."
            )
    if not isinstance(plain["model"], (str, type(None))):
        raise ValueError(f"model must be text or null; it is {brief(plain['model'])}.")
    for name, least in {"n": 1, "replications": 1, "seed": 0}.items():
        value = plain[name]
        if value is not None and (type(value) is not int or value < least):
            raise ValueError(
                f"{name} must be a whole number, at least {least}, or null; it is {brief(value)}."
            )
    versions = plain["versions"]
    if not isinstance(versions, dict) or not all(
        isinstance(version, str) for version in versions.values()
    ):
        raise ValueError(f"versions must map names to text; they are {brief(versions)}.")
