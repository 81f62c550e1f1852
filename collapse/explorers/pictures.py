"""What the fan, the morph and the tilt show: the numbers of their pages, computed with the package,
and their pictures in print.

A page draws at random from the stream of numpy.random.RandomState, which numpy froze for good. So
does this module: a seed means the same lines and samples here and there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from collapse import models, workflows
from collapse.checks import require, whole
from collapse.datasets import with_intercept
from collapse.derivation import derive
from collapse.exact import Array
from collapse.explorers.record import Control, Explorer, State
from collapse.models.families.morris import MeanFamily
from collapse.publishing import panel, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from collapse.universality import Matrix

SHOWN = {"discard": workflows.discard, "augment": workflows.augment}
"""The two workflows that the fan and the morph set side by side."""
GENERATIONS = 50
"""Generations of the fan."""
ROWS = (5, 10, 20, 50, 100, 200, 500, 1000)
"""Where the morph's exact curves can be had."""


def frozen(seed: int) -> np.random.RandomState:
    """The generator whose stream a page can repeat, and no later numpy will change."""
    most = 2**32 - 1  # that of the frozen stream
    return np.random.RandomState(whole(seed, "seed", "of the stream", least=0, most=most))


# --- the fan --------------------------------------------------------------------------------------


def fan(
    x: ArrayLike, y: ArrayLike, sigma: float, lines: int, generations: int, seed: int
) -> dict[str, Array]:
    """Refit a least-squares line, generation after generation, under discard and under augment with
    the same noise.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        The real points, to which generation 1 is fitted. Later labels are drawn at the same x.
    sigma : float
        Standard deviation of a label about its line.
    lines : int
        Chains of fits.
    generations : int
        Fits in each.
    seed : int
        The same for both workflows, and for the explorer "fan".

    Returns
    -------
    dict of ndarray, shape (lines, generations, 2)
        Intercepts and slopes, by the workflow's name.

    Notes
    -----
    A batch of labels moves the fit by a normal vector with covariance sigma^2 (X'X)^-1, exactly, so
    that it need not be drawn row by row.

    Examples
    --------
    >>> made = fan([-1, 0, 1], [0, 0, 0.3], 0.1, lines=60, generations=10, seed=1)
    >>> made["discard"].shape
    (60, 10, 2)
    >>> bool(np.ptp(made["augment"][:, -1, 1]) < np.ptp(made["discard"][:, -1, 1]))
    True
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    real = models.LinearRegression(with_intercept(x), y=y, sigma=sigma).truth
    z = sigma * frozen(seed).standard_normal((lines, generations - 1, 2))
    slope = z[..., 1] / np.linalg.norm(x - x.mean())
    noise = np.stack([z[..., 0] / np.sqrt(len(x)) - slope * x.mean(), slope], axis=-1)
    later = {name: derive(make(generations)).contributions[:, 1:] for name, make in SHOWN.items()}
    return {name: real + np.einsum("gb,lbk->lgk", table, noise) for name, table in later.items()}


def fan_points() -> dict[str, Any]:
    """Points of the fan that is shown where no others are given: 24 about a line."""
    rng = np.random.default_rng(11)
    x = np.sort(rng.uniform(-1, 1, 24))
    return {
        "x": x.tolist(),
        "y": (0.6 * x + 0.35 * rng.standard_normal(24)).tolist(),
        "sigma": 0.35,
        "lines": 60,
        "generations": GENERATIONS,
    }


def paid(ratio: Any, limit: Any) -> Any:
    """Share of its whole price, limit - 1, that a workflow has paid."""
    return (ratio - 1) / (limit - 1)


def fan_answer(state: State) -> dict[str, Any]:
    """What the explorer's state stands for: ratios, what augment has paid of its price, the lines
    and the ratios that they say themselves.
    """
    g = state["generation"] - 1
    ratio = {name: derive(make(GENERATIONS)).ratio for name, make in SHOWN.items()}
    made = fan(state["x"], state["y"], state["sigma"], state["lines"], GENERATIONS, state["seed"])
    X = with_intercept(np.asarray(state["x"]))
    moved = {name: (path[:, g] - path[:, 0]) @ X.T / state["sigma"] for name, path in made.items()}
    own = {f"own-{name}": 1 + float((z**2).sum(axis=1).mean()) / 2 for name, z in moved.items()}
    return {
        "fits": {name: path[:, g] for name, path in made.items()},
        "discard": float(ratio["discard"][g]),
        "augment": float(ratio["augment"][g]),
        "paid": float(paid(ratio["augment"][g], plot.LIMIT)),
    } | own


def fan_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    left, right, below = plot.panels(figure, 3)
    x, y = np.asarray(shown["x"]), np.asarray(shown["y"])
    ends = np.array([x.min(), x.max()]) + 0.05 * np.ptp(x) * np.array([-1, 1])
    for ax, (name, fits) in zip((left, right), shown["fits"].items(), strict=True):
        ax.plot(
            ends,
            fits[:, :1].T + ends[:, None] * fits[:, 1],
            color=plot.colour(name),
            linewidth=0.7,
            alpha=0.5,
        )
        ax.plot(x, y, "o", color=plot.colour("real"), markeredgecolor=plot.ground(), markersize=4)
        ends_of_y = y.mean() + 6 * shown["sigma"] * np.array([-1, 1])
        title = f"{name.capitalize()}, generation {shown['generation']}"
        panel.frame(ax, title, family=name, ylim=ends_of_y)
        panel.overlay(below, derive(SHOWN[name](GENERATIONS)))
    ticks = (1, 2, 5, 10, 20, 50)
    panel.frame(below, "Risk ratio", "generation", "", log="y", yticks=ticks, limit=0.99)


Explorer(
    "fan",
    "refitted lines, discard beside augment",
    lambda: (
        Control("generation", "Generation", GENERATIONS, 1, GENERATIONS, 1),
        Control("seed", "Draw new noise", 11, 0, 999, 1, seed=True),
    ),
    fan_answer,
    "{lines} lines, each fitted to points that the line before it made: in generation {generation}"
    " discard's risk is {discard:.4g} times that of the real data alone, augment's {augment:.4g}"
    " times",
    fan_draw,
    fan_points,
    shared={"paid": paid},
)


# --- the morph ------------------------------------------------------------------------------------


def curves(table: Matrix) -> dict[str, Any]:
    """Return the risk curves of a matrix's covered models under discard and augment, as the
    explorer "morph" is given them.

    Parameters
    ----------
    table : Matrix
        With columns "discard" and "augment".

    Returns
    -------
    dict
        What the explorer takes as its data: curves, to four digits; families, those of which an
        exact curve is known at every n; rows, the n at which it is drawn.

    Raises
    ------
    ValueError
        Where the matrix lacks one of the two columns.

    Examples
    --------
    >>> from collapse import universality
    >>> chosen = [example for example in models.examples() if example.name in ("Normal", "Median")]
    >>> data = curves(universality.matrix(chosen, generations=5, replications=100))
    >>> curves, families = data["curves"], data["families"]
    >>> sorted(curve["name"] for curve in curves), [family["name"] for family in families]
    (['Median', 'Normal'], ['Normal'])
    """
    for name in SHOWN:
        require(
            name in table.workflows,
            f"the morph shows discard and augment, and the matrix has no column {name!r}; it has"
            f" {', '.join(table.workflows)}.",
        )
    covered = [example for example in table.examples if example.covered]
    risks = {
        example.name: {name: table.cells[example.name, name].risk for name in SHOWN}
        for example in covered
    }
    made = {example.name: example.make() for example in covered}
    return _morph(risks, {name: m for name, m in made.items() if isinstance(m, MeanFamily)})


def exact_curves() -> dict[str, Any]:
    """The same of the registered models whose risk is known without a simulation."""
    made = {example.name: (example.make(), example.n) for example in models.examples()}
    known = {name: pair for name, pair in made.items() if isinstance(pair[0], MeanFamily)}
    risks = {
        name: {kind: derive(make(20), model=model, n=n).risk for kind, make in SHOWN.items()}
        for name, (model, n) in known.items()
    }
    return _morph(risks, {name: model for name, (model, _) in known.items()})


def _morph(risks: Mapping[str, Mapping[str, Array]], known: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "curves": [
            {"name": name} | {key: [float(f"{v:.4g}") for v in risk] for key, risk in both.items()}
            for name, both in risks.items()
        ],
        "families": [
            {
                "name": name,
                "mean": float(model.truth[0]),
                "variance": [float(v) for v in model.variance_function],
            }
            for name, model in known.items()
        ],
        "rows": list(ROWS),
    }


class _Quadratic(MeanFamily):
    """A family known by its mean and variance function alone: enough to derive, not to draw
    from.
    """

    def __init__(self, mean: float, variance_function: tuple[float, float, float]) -> None:
        self.mean, self.variance_function = mean, variance_function


def morph_answer(state: State) -> dict[str, Any]:
    """What the explorer's state stands for: largest curve over smallest, and the outermost of the
    exact ratios.
    """
    risks = np.array([curve["discard"] for curve in state["curves"]])
    (count, G), shares = risks.shape, (state["share"], 0, 1)
    last = [risks[:, -1] / risks[:, 0] ** share for share in shares]
    spread = [float(value.max() / value.min()) for value in last]
    made = [_Quadratic(family["mean"], tuple(family["variance"])) for family in state["families"]]
    exact = [derive(SHOWN["discard"](G), model=model, n=state["n"]) for model in made]
    ratio = [float(answer.ratio[-1]) for answer in exact]
    told = {"count": count, "G": G, "apart": spread[1], "together": spread[2]}
    return told | {"spread": spread[0], "highest": max(ratio), "lowest": min(ratio)}


def morph_draw(figure: Figure, shown: State) -> None:
    """Before and after the division, for print."""
    for ax, share, title in zip(
        plot.panels(figure, 2),
        (0, 1),
        ("Risk, each in its own units", "Divided by generation 1"),
        strict=True,
    ):
        for name in SHOWN:
            risk = np.array([curve[name] for curve in shown["curves"]]).T
            look: dict[str, Any] = {"color": plot.colour(name), "linewidth": 0.7, "alpha": 0.7}
            ax.plot(np.arange(1, len(risk) + 1), risk / risk[0] ** share, **look)
        panel.frame(ax, title, "generation", log="y")


Explorer(
    "morph",
    "the risk curves of all models, divided by generation 1",
    lambda: (
        Control("share", "Divided by generation 1", 0.0, unit="percent"),
        Control(
            "n", "Rows n of the exact curves", 1000, ROWS[0], ROWS[-1], values=ROWS, unit="rows"
        ),
    ),
    morph_answer,
    "at generation {G} of discard the largest risk of {count} models is {apart:.3g} times the"
    " smallest; divided by their first values it is {together:.3g} times the smallest",
    morph_draw,
    exact_curves,
)


# --- the tilt -------------------------------------------------------------------------------------

SAMPLES = {"n": 1201, "replications": 600}
"""Rows of a sample, and samples, of the tilt."""
SHRINKAGE = 0.5
INFORMATION = 1 / 3
"""Fisher information of the logistic law's location."""
ESTIMATORS = {
    "median": (4.0, 1.0),
    "mean": (np.pi**2 / 3, 1.0),
    "Hodges' estimator": (SHRINKAGE**2 * np.pi**2 / 3, SHRINKAGE),
}
"""By name: in the limit the variance of the scaled error, and how far it moves where the law moves
by h = 1.
"""


@cache
def _samples(n: int, replications: int, seed: int) -> tuple[dict[str, Array], Array]:
    """Scaled errors of each estimator on samples from the logistic law at 0, and the samples."""
    uniform = frozen(seed).random_sample((replications, n))
    rows = np.log(uniform / (1 - uniform))
    alike = np.ones_like(rows)
    fits = {
        "median": models.Median("logistic").fit(rows, alike, None),
        "mean": rows.mean(axis=1, keepdims=True),
        "Hodges' estimator": models.Hodges(0.0, SHRINKAGE).fit(rows, alike, None),
    }
    return {name: np.sqrt(n) * fit[:, 0] for name, fit in fits.items()}, rows


def tilt(n: int, replications: int, seed: int, h: float) -> tuple[dict[str, Array], Array]:
    """Samples from the logistic law at 0, and how much likelier each is under the law at h /
    sqrt(n).

    Parameters
    ----------
    n, replications : int
        Rows in a sample, and samples.
    seed : int
        As in the explorer "tilt".
    h : float
        How far the law is moved, in units of 1 / sqrt(n).

    Returns
    -------
    errors : dict of ndarray, shape (replications,)
        sqrt(n) times the error of the median, of the mean and of Hodges' estimator.
    log_ratio : ndarray, shape (replications,)
        Log-likelihood ratio of each sample.

    Examples
    --------
    >>> errors, log_ratio = tilt(1201, 600, seed=1, h=2.0)
    >>> weight = np.exp(log_ratio)
    >>> {name: round(float(np.average(error, weights=weight)), 1) for name, error in errors.items()}
    {'median': 2.2, 'mean': 2.1, "Hodges' estimator": 1.2}
    """
    errors, rows = _samples(n, replications, seed)

    def log_density(x: Array) -> Array:
        return np.asarray(-np.abs(x) - 2 * np.log1p(np.exp(-np.abs(x))))

    return errors, (log_density(rows - h / np.sqrt(n)) - log_density(rows)).sum(axis=1)


def tilt_answer(state: State) -> dict[str, Any]:
    """What the explorer's state stands for: the dots, how far their weights move them, and how far
    the limit says.
    """
    errors, log_ratio = tilt(state["n"], state["replications"], state["seed"], state["h"])
    error, weight = errors[state["estimator"]], np.exp(log_ratio)
    moved = np.average(error, weights=weight) - error.mean()
    return {
        "error": error,
        "log_ratio": log_ratio,
        "moved": float(moved),
        "law": ESTIMATORS[state["estimator"]][1] * state["h"],
        "effective": float(weight.sum() ** 2 / (weight**2).sum()),
    }


def tilt_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    h, (variance, passed) = shown["h"], ESTIMATORS[shown["estimator"]]
    (ax,) = plot.panels(figure, 1)
    ax.scatter(
        shown["error"],
        shown["log_ratio"],
        s=3 * np.exp(shown["log_ratio"]),
        color=plot.muted(),
        alpha=0.5,
        linewidths=0,
    )
    circle = np.linspace(0, 2 * np.pi, 181)
    half, spread = h**2 * INFORMATION / 2, np.sqrt(variance)
    along = passed * h / spread
    across = np.sqrt(max(0.0, 2 * half - along**2))
    x, y = 2 * spread * np.cos(circle), 2 * (along * np.cos(circle) + across * np.sin(circle))
    panel.guide(ax, x, y - half, (0, (3, 2)), linewidth=1.2)
    panel.guide(ax, x + passed * h, y + half, "-", linewidth=1.2, color=plot.ink())
    ax.axvline(h, color=plot.muted(), linewidth=0.8)
    what = f"scaled error of the {shown['estimator']}"
    panel.frame(ax, None, what, "log-likelihood ratio", xlim=(-7, 7), ylim=(-4.2, 4.2))


Explorer(
    "tilt",
    "estimates, weighted by the likelihood ratio of a moved law",
    lambda: (
        Control("estimator", "Estimator", "median", choices=tuple(ESTIMATORS)),
        Control("h", "The law moves by h/√n; h", 2.0, -2.5, 2.5, 0.1),
        Control("seed", "Draw new samples", 1, 0, 999, 1, seed=True),
    ),
    tilt_answer,
    "samples of {n:,} rows, weighted by the likelihood ratio of a law moved by {h:g} standard"
    " units: the scaled error of the {estimator} moves by {moved:.2g}, and Le Cam's third lemma"
    " says {law:.2g}",
    tilt_draw,
    lambda: SAMPLES,
    shared={
        "INFORMATION": INFORMATION,
        "SHRINKAGE": SHRINKAGE,
        "ESTIMATORS": {
            name: {"variance": variance, "passed": passed}
            for name, (variance, passed) in ESTIMATORS.items()
        },
    },
)
