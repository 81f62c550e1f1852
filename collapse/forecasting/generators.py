"""Generators of whole rows that a forecast knows by name: tables of numbers and categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy

from collapse.checks import brief, check_number, require, whole
from collapse.forecasting.common import Array, module, pandas
from collapse.forecasting.estimators import estimator_of

if TYPE_CHECKING:
    import pandas as pd

STEPS, CLOSE = 200, 1e-5
"""Most steps of a mixture's fit, and the gain of the mean log density below which it ends."""
FLOOR = 1e-6
"""Least variance of a component, as a share of the column's."""

PRICE = 200e-9
"""Nominal seconds of a fit for each row and column that it reads."""


class Columns:
    """A table by columns: numbers, and texts as places among their levels, frequent ones first."""

    price: ClassVar[float] = PRICE

    def read(self, rows: pd.DataFrame) -> None:
        """Take the columns of a table."""
        self.like, self.rows = rows.iloc[:0], len(rows)
        self.kinds = rows.dtypes.tolist()
        self.levels: list[Any] = []
        self.cells: list[Any] = []
        for column in (rows[name] for name in rows):
            if pandas().api.types.is_numeric_dtype(column.dtype):
                self.levels.append(None)
                self.cells.append(column.to_numpy(np.float64))
                continue
            level, place, count = np.unique(
                column.astype(object).to_numpy().astype(str),
                return_inverse=True,
                return_counts=True,
            )
            order = np.argsort(-count, kind="stable")
            self.levels.append(level[order].astype(object))
            self.cells.append(np.argsort(order)[place])

    def table(self, cells: Sequence[Any]) -> pd.DataFrame:
        """The table of such columns, with the names of the one that was read."""
        made = [
            cell if level is None else level[cell]
            for cell, level in zip(cells, self.levels, strict=True)
        ]
        frame = pandas().DataFrame(dict(enumerate(made)))
        frame.columns = self.like.columns
        kinds = zip(frame.columns, frame.dtypes.tolist(), self.kinds, strict=True)
        other = {name: wanted for name, own, wanted in kinds if own != wanted}
        return frame.astype(other) if other else frame


@dataclass(eq=False)
class GaussianCopula(Columns):
    """The columns' own values, with normal scores that are jointly normal.

    The levels of a text column stand in the order of their frequency, cut from a normal score by
    their shares. The score of a value is the normal quantile of its middle rank.
    """

    def fit(self, rows: pd.DataFrame) -> None:
        self.read(rows)
        cells = np.array(self.cells)
        middle = (scipy.stats.rankdata(cells, axis=1) - 0.5) / self.rows
        score = scipy.special.ndtri(middle)
        score -= score.mean(axis=1, keepdims=True)
        size = np.sqrt((score**2).mean(axis=1, keepdims=True))
        # a column of which one value is left is correlated with nothing
        unit = np.where(size > 1e-9, score / np.where(size > 1e-9, size, 1), 0)
        self.correlation = unit @ unit.T / self.rows
        np.fill_diagonal(self.correlation, 1)
        self.ordered = np.sort(cells, axis=1)

    def sample(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        level, axes = np.linalg.eigh(self.correlation)
        root = axes * np.sqrt(np.maximum(level, 0)) @ axes.T
        u = scipy.special.ndtr(rng.standard_normal((n, len(root))) @ root)
        place = np.minimum((u * self.rows).astype(np.intp), self.rows - 1)
        return self.table(
            [
                column[at] if level is None else column[at].astype(np.intp)
                for column, at, level in zip(self.ordered, place.T, self.levels, strict=True)
            ]
        )


@dataclass(eq=False)
class Mixture(Columns):
    """Components in which columns are independent: numbers normal, levels with their shares.

    Fitted by EM from groups along the first principal axis. A component's variance is at least
    1e-6 of its column's. In the score each level, and one for all that the fit has never seen,
    counts half a row more.

    Parameters
    ----------
    components : int
    """

    components: int = 5

    def fit(self, rows: pd.DataFrame) -> None:
        whole(self.components, "components", "components of the mixture", most=1000)
        self.read(rows)
        numbers = [
            cell for cell, level in zip(self.cells, self.levels, strict=True) if level is None
        ]
        raw = np.array(numbers, np.float64).reshape(len(numbers), -1).T.reshape(self.rows, -1)
        self.centre, spread = raw.mean(axis=0), raw.std(axis=0)
        self.scale = np.maximum(spread, 1e-9 * np.maximum(np.abs(self.centre), 1))
        self.texts = [
            np.eye(len(level))[cell]
            for cell, level in zip(self.cells, self.levels, strict=True)
            if level is not None
        ]
        z = (raw - self.centre) / self.scale
        points = np.concatenate([z, *self.texts], axis=1)
        points = points - points.mean(axis=0)
        first = points @ np.linalg.svd(points, full_matrices=False)[2][0]
        group = np.argsort(np.argsort(first)) * self.components // self.rows
        part, before = np.eye(self.components)[group], -np.inf
        for _ in range(STEPS):
            self._settle(z, part)
            log = self._log(
                z,
                [self._shares(text.T @ part, 0.0)[:, text.argmax(axis=1)].T for text in self.texts],
            )
            density = scipy.special.logsumexp(log, axis=1)
            part = np.exp(log - density[:, None])
            if density.mean() - before < CLOSE:
                break
            before = density.mean()
        self._settle(z, part)
        self.counts = [part.T @ text for text in self.texts]

    def _settle(self, z: Array, part: Array) -> None:
        """Shares, means and variances of the components, given each row's parts in them."""
        total = part.sum(axis=0) + 1e-12
        self.share = total / total.sum()
        self.mean = part.T @ z / total[:, None]
        away = ((z[:, None] - self.mean) ** 2 * part[:, :, None]).sum(axis=0)
        self.variance = away / total[:, None] + FLOOR

    def _shares(self, count: Array, more: float) -> Array:
        """Log share of each level in each component, (K, L), of counts (L, K)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log((count + more) / (count + more + 1e-300).sum(axis=0)).T)

    def _log(self, z: Array, texts: list[Array]) -> Array:
        """Log density of each row and component, (m, K), in standard units."""
        apart = (z[:, None] - self.mean) ** 2 / self.variance
        normal = -0.5 * (apart + np.log(2 * np.pi * self.variance)).sum(axis=2)
        return np.asarray(np.log(self.share) + normal + sum(texts))

    def score_samples(self, rows: pd.DataFrame) -> Array:
        """Log density of each row, (m,)."""
        numbers, texts = [], []
        counts = iter(self.counts)
        for (_, column), level in zip(rows.items(), self.levels, strict=True):
            if level is None:
                numbers.append(column.to_numpy(np.float64))
                continue
            place = {text: k for k, text in enumerate(level)}
            at = [place.get(text, len(level)) for text in column.astype(object)]
            count = np.pad(next(counts), ((0, 0), (0, 1)))
            texts.append(self._shares(count.T, 0.5)[:, at].T)
        raw = np.array(numbers, np.float64).reshape(len(numbers), -1).T.reshape(len(rows), -1)
        log = self._log((raw - self.centre) / self.scale, texts)
        return np.asarray(scipy.special.logsumexp(log, axis=1) - np.log(self.scale).sum())

    def sample(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        of = rng.choice(self.components, n, p=self.share)
        z = self.mean[of] + np.sqrt(self.variance[of]) * rng.standard_normal((n, len(self.centre)))
        numbers, counts = iter((self.centre + self.scale * z).T), iter(self.counts)
        cells: list[Any] = []
        for level in self.levels:
            if level is None:
                cells.append(next(numbers))
                continue
            upto = next(counts).cumsum(axis=1)
            u = rng.random(n) * upto[of, -1]
            cells.append((upto[of] <= u[:, None]).sum(axis=1).clip(max=len(level) - 1))
        return self.table(cells)


@dataclass(eq=False)
class KernelDensity(Columns):
    """Rows of the table at random, normal noise added to their numbers.

    Parameters
    ----------
    bandwidth : float, optional
        Of the noise, in standard deviations of each column. Default: Scott's, n^(-1/(k + 4)) of k
        columns of numbers.
    """

    bandwidth: float | None = None

    def fit(self, rows: pd.DataFrame) -> None:
        self.read(rows)
        given, k = self.bandwidth, sum(level is None for level in self.levels)
        if given is not None:
            check_number(given, "bandwidth", 0)
        self.width = self.rows ** (-1 / (k + 4)) if given is None else given

    def sample(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        chosen = rng.integers(self.rows, size=n)
        return self.table(
            [
                cell[chosen] + self.width * cell.std() * rng.standard_normal(n)
                if level is None
                else cell[chosen]
                for cell, level in zip(self.cells, self.levels, strict=True)
            ]
        )


@dataclass(eq=False)
class Cart(Columns):
    """Column after column: the first by its own values, each other one by a tree on those before.

    A value is one of those that the table has in the leaf (Reiter 2005; the package synthpop).

    Parameters
    ----------
    leaf : int
        Fewest rows of a leaf.
    """

    leaf: int = 5
    price: ClassVar[float] = 1.3e-6
    trees: ClassVar[tuple[str, str]] = ("DecisionTreeRegressor", "DecisionTreeClassifier")

    def fit(self, rows: pd.DataFrame) -> None:
        whole(self.leaf, "leaf", "rows of a leaf", most=10**9)
        self.read(rows)
        sklearn, self.fitted = module("sklearn.tree"), list[Any]()
        wide = [1 if level is None else len(level) for level in self.levels]
        self.upto = np.cumsum(wide).tolist()
        points = self._points(self.rows)
        for j, cell in enumerate(self.cells):
            if j:
                make = getattr(sklearn, self.trees[self.levels[j] is not None])
                made = make(min_samples_leaf=self.leaf, random_state=0)
                before = points[:, : self.upto[j - 1]]
                with module("sklearn").config_context(skip_parameter_validation=True):
                    tree = made.fit(before, cell, check_input=False).tree_
                place = tree.apply(before)
                count = np.bincount(place, minlength=tree.node_count)
                held = cell[np.argsort(place, kind="stable")]
                self.fitted.append((tree, count, count.cumsum() - count, held))
            self._put(points, j, cell)

    def sample(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        cells, points = [self.cells[0][rng.integers(self.rows, size=n)]], self._points(n)
        for j, (tree, count, start, held) in enumerate(self.fitted):
            self._put(points, j, cells[j])
            place = tree.apply(points[:, : self.upto[j]])
            cells.append(held[start[place] + rng.integers(count[place])])
        return self.table(cells)

    def _points(self, rows: int) -> Any:
        return np.zeros((rows, self.upto[-1]), np.float32)

    def _put(self, points: Any, j: int, cell: Any) -> None:
        """What trees split by: a number, or an indicator of each level."""
        end = self.upto[j]
        if self.levels[j] is None:
            points[:, end - 1] = cell
        else:
            points[np.arange(len(cell)), end - len(self.levels[j]) + cell] = 1


NAMED = {
    "gaussian-copula": "GaussianCopula",
    "mixture": "Mixture",
    "kernel-density": "KernelDensity",
    "cart": "Cart",
}
"""Generators by name."""


def generator_of(value: Any) -> Any:
    """Return a generator as it is, or the one that a text names; None where there is none.

    Parameters
    ----------
    value : object, str or None
        As text one of `NAMED`, with parameters as TOML writes them in parentheses, or what
        `estimator_of` reads.

    Raises
    ------
    ValueError
        Where a text names nothing that can be made.

    Examples
    --------
    >>> generator_of("mixture(components=3)"), generator_of("cart")
    (Mixture(components=3), Cart(leaf=5))
    """
    if not isinstance(value, str):
        return value
    name, bracket, written = value.strip().partition("(")
    if name in NAMED:
        return estimator_of(f"{__name__}:{NAMED[name]}{bracket}{written}")
    require(
        ":" in name,
        f"generator must be one of {', '.join(NAMED)}, or written as module:Class or"
        f" path/file.py:name; it is {brief(value)}.",
    )
    return estimator_of(value)
