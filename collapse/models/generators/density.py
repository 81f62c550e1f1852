"""Densities of one column: histogram, and kernel estimates whose bandwidth is fixed, shrinks, or is
chosen by cross-validation.
"""

from functools import cached_property, lru_cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import check_size, choice, flag, floats, held, require, whole
from collapse.models.families.matched import LARGEST_TABLE
from collapse.models.generators.base import TAIL, Counting, entropy
from collapse.models.protocols import Array
from collapse.models.registry import register

FEWEST_CELLS, MOST_CELLS = 2, 2048
LADDER: Final = 2.0 ** np.arange(-8, 1.01, 0.5)
"""Bandwidths that cross-validation chooses from, in standard deviations of the real rows."""

_rows = partial(register, group="whole rows", page="generators")
QUANTILES: Final = tuple(np.sinh(np.linspace(-2, 2, 201)).round(6).tolist())
"""The real rows of the registered examples."""


class Cells(Counting):
    """A law on equal cells of a line, for a column of real rows.

    Rows are recorded by the middle of their cell. The real world draws rows of the column.

    Attributes
    ----------
    truth : ndarray, shape (cells,)
        Share of each cell.
    middle : ndarray, shape (cells,)
        Middle of each cell.
    width : float
        Of a cell.
    """

    within = False
    """Whether a synthetic row lies anywhere in its cell, and not in the middle."""

    def __init__(self, rows: ArrayLike, cells: int, margin: float) -> None:
        column = floats(rows, "rows", "a column of numbers")
        require(
            column.ndim == 1 and len(column) > 1,
            f"rows must be a column of at least two numbers; it has shape {column.shape}.",
        )
        held(column.size, "rows", "give a sample of them", LARGEST_TABLE)
        low, high = float(column.min()), float(column.max())
        require(
            # written so that NaN is refused
            bool(high - low > 1e-9 * max(abs(low), abs(high))) and high - low < 1e150,
            "rows must hold finite numbers that differ from each other, by less than 1e150.",
        )
        self.cells = whole(cells, "cells", "cells of the line", least=FEWEST_CELLS, most=MOST_CELLS)
        self.low, self.width = low - margin * (high - low), 1.0
        self.width = (1 + 2 * margin) * (high - low) / self.cells
        self.rows = len(column)
        self.truth = np.bincount(self.place(column), minlength=self.cells) / len(column)
        self.truth.flags.writeable = False
        self.middle = self.low + self.width * (np.arange(self.cells) + 0.5)

    def place(self, rows: Array) -> Any:
        """Cell of each row; rows beyond the ends are in the last ones."""
        cell = np.floor((rows - self.low) / self.width)
        return np.clip(cell, 0, self.cells - 1).astype(np.intp)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        counts = rng.multinomial(rows, _proper(theta))
        middle = np.tile(self.middle, len(theta))
        drawn = np.repeat(middle, counts.ravel()).reshape(len(theta), rows)
        drawn = rng.permuted(drawn, axis=1)
        if self.within:
            # not quite a whole cell wide, so that rounding leaves each row where it is
            drawn += (0.5 - 1e-6) * self.width * rng.uniform(-1, 1, drawn.shape)
        return drawn

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        shares = rng.multinomial(rows, _proper(theta)) / rows
        return np.column_stack([shares, np.full(len(theta), 1 / rows)])

    def averages(self, rows: Array, share: Array) -> Array:
        """Shares (R, cells) of the cells."""
        R = len(rows)
        at = self.place(rows) + self.cells * np.arange(R)[:, None]
        total = np.bincount(at.ravel(), share.ravel(), R * self.cells)
        return np.asarray(total.reshape(R, self.cells))

    def measure(self: Any, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """One of `measures` of fits (R, cells): (R,). Exact."""
        match choice(name, "name", self.measures):
            case "variance":
                return np.asarray(self._variance(theta) / self._variance(self.truth[None]))
            case "entropy":
                return np.asarray(entropy(theta) + np.log(self.width))
            case "support":
                return np.asarray((theta > 0).sum(axis=1), np.float64)
        last = (theta.cumsum(axis=1) < TAIL - 1e-12).sum(axis=1)
        return np.asarray(self.middle[np.minimum(last, self.cells - 1)])

    def _variance(self, theta: Array) -> Array:
        mean = theta @ self.middle
        inside = self.width**2 / 12 if self.within else 0.0
        away = (self.middle - mean[:, None]) ** 2
        return np.asarray(np.einsum("rm,rm->r", theta, away) + inside)


@_rows(
    "Histogram",
    at=(QUANTILES, 12),
    n=200,
    why="shares of cells are a mean with a quadratic trace: exact at every n",
)
class Histogram(Cells):
    """A histogram of one column: shares of equal cells between the least and the largest real row,
    rows drawn evenly within a cell.

    The risk is the squared distance of the shares: a multinomial law's, exact at every n. A cell
    that is empty stays empty.

    Parameters
    ----------
    rows : array_like, shape (N,)
        The real world: each of its rows is as likely as any other.
    cells : int
        Number of cells.

    Attributes
    ----------
    truth : ndarray, shape (cells,)
        Share of each cell.
    measures : tuple of str
        "variance" (as a share of the truth's), "entropy" of the density, in nats, "support" (cells
        left), "tail": the middle of the cell with the 99% quantile.

    Raises
    ------
    ValueError
        Where rows is no column of finite numbers that differ, or cells is no whole number from 2.

    Examples
    --------
    >>> import collapse
    >>> model = Histogram([0, 1, 1, 2, 5, 9], cells=3)
    >>> collapse.derive(collapse.workflows.discard(3), model=model, n=100).ratio
    array([1.    , 1.99  , 2.9701])
    """

    exact_form, variance_function, within = "quadratic variance", (0, 1, -1), True
    measures = ("variance", "entropy", "support", "tail")

    def __init__(self, rows: ArrayLike, cells: int) -> None:
        super().__init__(rows, cells, 0.0)

    def __repr__(self) -> str:
        return f"Histogram(rows {self.rows}, cells={self.cells})"

    @property
    def mean(self) -> tuple[float, ...]:
        return tuple(self.truth.tolist())

    @property
    def limit_risk(self) -> float:
        return float(1 - self.truth @ self.truth)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return _proper(statistic[:, :-1])

    def deviation(self, theta: Array) -> Array:
        return np.asarray(theta - self.truth)

    def risk(self, theta: Array) -> Array:
        return np.asarray(((theta - self.truth) ** 2).sum(axis=1))


@_rows(
    "Kernel density, fixed bandwidth",
    at=(QUANTILES, 0.4, False, 128),
    n=200,
    covered=False,
    why="each generation smooths what was smoothed: the bandwidth is a bias that adds up",
)
@_rows(
    "Kernel density, shrinking bandwidth",
    at=(QUANTILES, 1.0, True, 128),
    n=200,
    covered=False,
    why="the bandwidth falls like a fifth root, slower than the noise: the bias leads",
)
@_rows(
    "Kernel density, cross-validated",
    at=(QUANTILES, None, False, 128),
    n=200,
    covered=False,
    why="the chosen bandwidth falls slower than the noise: the bias leads",
    effort=10,
)
class KernelDensity(Cells):
    """A kernel estimate of the density of one column: draws are rows of the training set, moved by
    normal noise of standard deviation h (a smoothed bootstrap).

    Rows are recorded on a fine grid that reaches half the range of the real rows beyond them at
    either end; what is moved farther stays in the last cell. On the grid the kernel's variance is
    h^2 but for 1e-8 of it, for h from one cell on. The risk is the integrated squared error of the
    density.

    Parameters
    ----------
    rows : array_like, shape (N,)
        The real world: each of its rows is as likely as any other.
    bandwidth : float, optional
        h, in units of the rows; at least the width of a cell. None: chosen by least-squares
        cross-validation in every fit, among `LADDER` times the standard deviation of the real rows.
    shrink : bool, optional
        Whether h is multiplied by (number of rows read)^(-1/5). The number is Kish's effective one
        where rows weigh unequally.
    cells : int, optional
        Of the grid.

    Attributes
    ----------
    truth : ndarray, shape (cells,)
        Share of each cell.
    measures : tuple of str
        "variance" (as a share of the truth's), "entropy" of the density, in nats, "tail": the 99%
        quantile.

    Raises
    ------
    ValueError
        Where rows is no column of finite numbers that differ, a bandwidth is less than a cell, or
        shrink is asked for without one.

    References
    ----------
    Silverman (1986), sections 3.4.3 and 6.4.1.

    Examples
    --------
    >>> model = KernelDensity(np.linspace(-2, 2, 101), bandwidth=0.5)
    >>> smooth = model.fit_statistic(np.append(model.truth, 1 / 101)[None], None)
    >>> model.measure("variance", smooth, np.random.default_rng(0)).round(3)
    array([1.184])
    """

    measures = ("variance", "entropy", "tail")

    def __init__(
        self,
        rows: ArrayLike,
        bandwidth: float | None = None,
        shrink: bool = False,
        cells: int = 512,
    ) -> None:
        super().__init__(rows, cells, 0.5)
        if bandwidth is not None:
            h = float(check_size(bandwidth, "bandwidth"))
            require(
                h >= self.width,
                f"bandwidth must be at least the width of a cell, {self.width:.3g}; it is"
                f" {bandwidth!r}. Take more cells.",
            )
        self.bandwidth, self.shrink = bandwidth, flag(shrink, "shrink")
        require(
            not (self.shrink and bandwidth is None),
            "shrink needs a bandwidth; one that is chosen by cross-validation shrinks by itself.",
        )

    def __repr__(self) -> str:
        h = f"bandwidth={self.bandwidth!r}, shrink={self.shrink}"
        return f"KernelDensity(rows {self.rows}, {h}, cells={self.cells})"

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        shares, apart = _proper(statistic[:, :-1]), statistic[:, -1]
        fit = np.empty_like(shares)
        for h in np.unique(chosen := self.chosen(shares, apart)):
            same = chosen == h
            fit[same] = _each_row(shares[same], kernel(self.cells, float(h) / self.width))
        return fit

    def chosen(self, shares: Array, apart: Array) -> Array:
        """Bandwidth (R,) for training sets of these shares of cells (R, cells) and sums of squared
        weights (R,).
        """
        if self.bandwidth is None:
            return self._validated(shares, apart)
        h = np.full(len(shares), float(self.bandwidth))
        # rounded, so that equal numbers of rows have one kernel
        return h * apart.round(12) ** 0.2 if self.shrink else h

    @cached_property
    def ladder(self) -> Array:
        """Bandwidths that cross-validation chooses from, (k,)."""
        ladder = LADDER * np.sqrt(self._variance(self.truth[None])[0])
        return np.asarray(ladder[ladder >= self.width])

    def validation(self, shares: Array, apart: Array) -> Array:
        """Least-squares cross-validation (R, k) of each bandwidth of the ladder: the integrated
        square of the density, less twice the mean density at a row of the estimate without it.
        """
        scores = []
        for h in self.ladder:
            smoothing = kernel(self.cells, float(h) / self.width)
            density = _each_row(shares, smoothing)
            square = np.einsum("rm,rm->r", density, density)
            own = np.einsum("rm,m->r", shares, smoothing.diagonal())
            at_rows = np.einsum("rm,rm->r", density, shares) - apart * own
            scores.append((square - 2 * at_rows / (1 - apart)) / self.width)
        return np.stack(scores, axis=1)

    def _validated(self, shares: Array, apart: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):  # a single row
            score = self.validation(shares, apart)
        return np.asarray(self.ladder[np.nan_to_num(score, nan=np.inf).argmin(axis=1)])

    def deviation(self, theta: Array) -> Array:
        return np.asarray((theta - self.truth) / np.sqrt(self.width))

    def risk(self, theta: Array) -> Array:
        return np.asarray((self.deviation(theta) ** 2).sum(axis=1))


@lru_cache(maxsize=64)
def kernel(cells: int, h: float) -> Array:
    """Shares (cells, cells) of the cells to which normal noise of h cells moves a row of each; what
    leaves the line is in its last cells.
    """
    reach = int(min(np.ceil(9 * h), 4 * cells))
    steps = np.arange(-reach, reach + 1)
    noise = np.exp(-((steps / h) ** 2) / 2)
    noise /= noise.sum()
    table = np.zeros((cells, cells))
    for step, share in zip(steps.tolist(), noise.tolist(), strict=True):
        to = np.clip(np.arange(cells) + step, 0, cells - 1)
        table[np.arange(cells), to] += share
    table.flags.writeable = False
    return table


def _each_row(shares: Array, table: Array) -> Array:
    """The product shares @ table, each row as if it were alone."""
    return np.asarray(shares @ table)


def _proper(shares: Array) -> Array:
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
