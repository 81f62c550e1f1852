"""A vocabulary that loses its rare words: the numbers of the page, computed with the package, and
its picture in print.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse import models, workflows
from collapse.derivation.lost import expected, least_words, rows_for_words
from collapse.exact import Array
from collapse.explorers.pictures import frozen
from collapse.explorers.record import Control, Explorer, State
from collapse.publishing import panel, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENERATIONS, ROWS = 50, 200
WORDS = [
    "the",
    "and",
    "of",
    "to",
    "in",
    "is",
    "it",
    "we",
    "day",
    "home",
    "water",
    "time",
    "hand",
    "house",
    "tree",
    "road",
    "bread",
    "river",
    "night",
    "song",
    "stone",
    "horse",
    "cloud",
    "salt",
    "glass",
    "lamp",
    "moss",
    "fern",
    "heron",
    "otter",
    "amber",
    "clay",
    "tide",
    "plum",
    "wren",
    "flint",
    "thyme",
    "slate",
    "finch",
    "quill",
    "larch",
    "sedge",
    "dune",
    "loom",
    "brine",
    "ember",
    "newt",
    "moth",
]
"""Shown from the most frequent one on."""


def course(p: Array, rows: int, generations: int, read: int, seed: int) -> NDArray[np.int64]:
    """Counts of words in what each fit reads, where every batch is drawn from the fit before.

    Parameters
    ----------
    p : ndarray, shape (d,)
        Shares of the words in the real world.
    rows : int
        Rows of a batch.
    generations : int
        Fits.
    read : int
        Batches that a fit reads, the latest ones.
    seed : int
        The same for every `read`, and for the explorer "words": with one seed the same uniform
        variates are turned into words.

    Returns
    -------
    ndarray, shape (generations, d)
    """
    uniform = frozen(seed).random_sample((generations, rows))
    batches = np.zeros((generations, len(p)), np.int64)
    pooled = np.zeros_like(batches)
    for g in range(generations):
        edges = np.cumsum(p) if g == 0 else np.cumsum(pooled[g - 1])
        at = uniform[g] if g == 0 else uniform[g] * edges[-1]
        drawn = np.minimum(np.searchsorted(edges, at, side="right"), len(p) - 1)
        batches[g] = np.bincount(drawn, minlength=len(p))
        pooled[g] = batches[max(0, g + 1 - read) : g + 1].sum(axis=0)
    return pooled


def words_data() -> dict[str, Any]:
    """The vocabulary, and how many words discard leaves in the mean, exactly."""
    model = models.Multinomial.zipf(len(WORDS))
    left = expected(workflows.discard(GENERATIONS), model=model, n=ROWS, measures="support")
    return {
        "words": WORDS,
        "share": model.truth.tolist(),
        "rows": ROWS,
        "discard": left["support"].tolist(),
    }


def words_answer(state: State) -> dict[str, Any]:
    """What the explorer's state stands for: words left in this run, and in the mean."""
    p, g, k, n = np.array(state["share"]), state["generation"] - 1, state["k"], state["rows"]
    read = {"discard": 1, "window": k, "augment": GENERATIONS}
    runs = {name: course(p, n, GENERATIONS, few, state["seed"]) > 0 for name, few in read.items()}
    model = models.Multinomial(p.tolist())
    kept = expected(workflows.augment(GENERATIONS), model=model, n=n, measures="support")["support"]
    least = least_words(workflows.window(GENERATIONS, k), model=model, n=n)
    return {
        "count": len(p),
        "runs": runs,
        "mean": {
            "discard": np.array(state["discard"]),
            "window": least,
            "augment": kept,
        },
        **{f"own-{name}": int(alive[g].sum()) for name, alive in runs.items()},
        "expected": state["discard"][g],
        "least": float(least[g]),
        "kept": float(kept[g]),
        "alike": float(rows_for_words(workflows.discard(GENERATIONS), n)[g]),
    }


def words_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    *walls, below = plot.panels(figure, 4)
    g, columns = shown["generation"], 6
    for ax, (name, alive) in zip(walls, shown["runs"].items(), strict=True):
        for i, word in enumerate(shown["words"]):
            look = {"color": plot.colour(name)} if alive[g - 1, i] else {"alpha": 0.3}
            ax.text(i % columns, -(i // columns), word, ha="center", fontsize=6, **look)
        panel.frame(ax, f"{name.capitalize()}: {alive[g - 1].sum()}", family=name)
        ax.set(xlim=(-0.6, columns - 0.4), ylim=(-(len(shown["words"]) // columns), 0.8))
        ax.axis("off")
    at = np.arange(1, GENERATIONS + 1)
    for name, mean in shown["mean"].items():
        panel.curve(below, at, mean, name, name, at=40)
        plot.plot_simulated(below, at[4::5], shown["runs"][name].sum(1)[4::5], family=name)
    panel.frame(below, "Words left", "generation", "", ylim=(0, shown["count"]))


Explorer(
    "words",
    "a vocabulary that loses its rare words",
    lambda: (
        Control("generation", "Generation", 20, 1, GENERATIONS, 1),
        Control("k", "Batches that the window reads", 5, 2, 10, 1),
        Control("seed", "Draw new words", 25, 0, 999, 1, seed=True),
    ),
    words_answer,
    "a vocabulary of {count} words, {rows} rows in each batch: in generation {generation} discard"
    " has {own-discard} words left ({expected:.3g} in the mean), a window of {k} batches"
    " {own-window}, augment {own-augment}",
    words_draw,
    words_data,
)
