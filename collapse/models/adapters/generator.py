"""from_generator(): models whose whole rows are synthetic, drawn from what an object fitted."""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, choice, numbers, require
from collapse.models.adapters.labelled import covariates, is_frame
from collapse.models.adapters.tables import BY_NAME, Table, energy, names
from collapse.models.protocols import Array, Model

KNOWN = 5_000
"""Test rows drawn from a known truth, where none are given."""
DRAWN = 1_000
"""Rows drawn from a fit to measure it by."""
MIXED = np.random.default_rng(0).permutation(DRAWN)
"""Their order where some are looked at: a mixture draws one component after the other."""
LOCK = RLock()
REFUSALS = (ValueError, ArithmeticError, RuntimeError)
"""What a fit to synthetic rows may raise where they have no estimate."""


def from_generator(
    generator: Any,
    X: Any,
    *,
    test: Any = None,
    target: Any = None,
    fit: Callable[..., Any] | None = None,
    sample: Callable[..., Any] | None = None,
    score: Callable[..., Any] | None = None,
    weights: str | bool | None = None,
) -> Model:
    """Make a model of a generator: an object that is fitted to rows and draws rows like them.

    Every batch is drawn anew from what was fitted: whole rows are synthetic. The real rows are X,
    the same in every replication, or drawn from a known truth.

    Parameters
    ----------
    generator : object or callable
        Has ``fit(rows)`` and ``sample(n)``, as scikit-learn's mixtures and kernel densities and
        synthesizers of tables do, or ``fit`` and ``rvs``, as scipy's distributions. It is copied
        for every fit. Or a function or class that makes such an object, or whatever `fit`,
        `sample` and `score` understand.
    X : array_like, shape (n,) or (n, p), or pandas.DataFrame, or a distribution
        Real rows; a DataFrame is handed on as it is, with its names and kinds. A distribution,
        which is an object that draws (a frozen distribution of scipy, a fitted generator), is a
        known truth, from which every replication draws real rows of its own.
    test : like the rows, optional
        Real rows on which the risk is measured. Default: X itself, or 5,000 rows of the known
        truth.
    target : column, optional
        Name (of an array, place) of the column that the measure "tstr" predicts.
    fit : callable, optional
        fit(made, rows), or fit(made, rows, sample_weight=...): what was fitted, or None where that
        is `made` itself.
    sample : callable, optional
        sample(fitted, n, rng): n rows.
    score : callable, optional
        score(fitted, rows): log densities (m,) of rows, or their mean. Default: ``score_samples``,
        ``logpdf`` or ``score``, the first that there is.
    weights : str or bool, optional
        The name by which the fit takes weights of rows, or False where it takes none. Default:
        "sample_weight", where the signature of the fit has it.

    Returns
    -------
    Model
        Its fits are the fitted objects. Its risk is the mean negative score of the test rows, in
        excess of that under the fit to the real rows X; under a known truth in excess of that under
        the truth, where it has a score and no `score` is given, otherwise of a fit to the test
        rows. Where there is no score, it is the energy distance of 500 rows from the test rows, in
        excess likewise. It may be negative.

    Raises
    ------
    ValueError
        Where the generator has no fit or sample, fails on the real rows or on rows that it drew
        itself, draws other columns, missing values or another number of rows, or draws that no seed
        decides.

    Notes
    -----
    Where X is observed, fit 1 to all of X has risk 0, so that `Risk.ratio` says nothing: read
    `Risk.risk`. Under a known truth ratios are those of the theory, up to the n-th part.

    Where the fit takes no weights, a plan that weighs rows unequally is thinned: of each batch so
    many rows are drawn that all which are read count alike. `Risk.plan` is that plan, and the law
    that `derive` gives for it has the noise of the draws.

    What the generator draws from Python's and numpy's own streams is seeded, as is an argument or
    an attribute ``random_state``. A fit to synthetic rows that raises a ValueError, an
    ArithmeticError or a RuntimeError is no estimate (`Risk.failed`).

    Measures are those of 1,000 rows drawn from each fit, beside the test rows; see
    `collapse.models.Measured`.

    Examples
    --------
    >>> import collapse, scipy.stats
    >>> model = collapse.models.from_generator(scipy.stats.norm, scipy.stats.norm(1, 2))
    >>> plan = collapse.workflows.discard(5)
    >>> risk = collapse.simulate(
    ...     plan, model=model, n=50, replications=20, rng=0, measures="variance"
    ... )
    >>> bool(risk.risk[-1] > risk.risk[0]), bool(risk.measures["variance"].mean[-1] < 1)
    (True, True)
    """
    return Generated(generator, X, test, target, fit, sample, score, weights)


class Generated:
    """A model whose fits are objects; rows stand in arrays as `Table` writes them."""

    def __init__(
        self,
        generator: Any,
        X: Any,
        test: Any,
        target: Any,
        fit: Any,
        sample: Any,
        score: Any,
        weights: Any,
    ) -> None:
        given = {"fit": fit, "sample": sample, "score": score}
        for name, function in given.items():
            require(
                function is None or callable(function),
                f"{name} must be a function; it is {brief(function)}.",
            )
        self.generator, self.given = generator, given
        # scipy's distributions are callable, and fitted by their parameters
        self.scipy = all(hasattr(generator, name) for name in ("fit", "rvs"))
        self.makes = callable(generator) and not self.scipy
        self.name = _named(generator)
        tried = self._tried("the call", "without arguments", self._made)
        for name in ("fit", "sample"):
            require(
                given[name] is not None or self.scipy or callable(getattr(tried, name, None)),
                f"generator {self.name} has no method {name}; give {name}=, a function"
                f" {'fit(made, rows)' if name == 'fit' else 'sample(fitted, n, rng)'}.",
            )
        self.weight = self._weight_of(tried, weights)
        self.world: Any = None if is_frame(X) or not _draws(X) else X
        if self.world is None:
            self.rows = Table(real := _rows_of(X, "X"))
            self.X = self.rows.read(real, None, "X")
            self.test = self.X if test is None else self.rows.read(test, None, "test")
        else:
            rows = self._from_world(KNOWN, np.random.default_rng(0))
            self.rows = Table(rows if is_frame(rows) else np.asarray(_first(rows), np.float64))
            given_test = rows if test is None else test
            self.test = self.X = self.rows.read(given_test, None, "test")
        # of these the first ones stand for all, where pairs of rows are compared
        self.test = self.test[np.random.default_rng(0).permutation(len(self.test))]
        require(len(self.X) >= 2 and len(self.test) >= 2, "X and test must hold two rows at least.")
        columns = (
            list(self.rows.like.columns) if is_frame(self.rows.like) else range(self.rows.width)
        )
        require(
            target is None or (isinstance(target, (str, int, tuple)) and target in columns),
            f"target must be one of the columns {brief(list(columns))}; it is {brief(target)}.",
        )
        self.target = -1 if target is None else list(columns).index(target)
        self.measures = names(self.rows, self.target)
        self._settle()

    def _settle(self) -> None:
        """Fit the real rows, draw from that, and fit what was drawn."""
        fitted = self._tried("fit", "on the real rows X", self._fitted, self.X, None)
        first = self._drawn(fitted, len(self.X), np.random.default_rng(0), loose=True)
        if self.rows.follow(first):  # whole numbers that are drawn as others are fitted as these
            self.X, self.test = (
                self.rows.read(self.rows.table(own), None, "X") for own in (self.X, self.test)
            )
            fitted = self._tried("fit", "on the real rows X", self._fitted, self.X, None)
        one, same, other = (
            self._drawn(self._fitted(self.X, None), len(self.X), np.random.default_rng(seed))
            for seed in (1, 1, 2)
        )
        alone = "; give sample=, a function sample(fitted, n, rng) that draws from rng alone."
        require(
            np.array_equal(one, same),
            f"generator {self.name} draws from a stream that no seed decides{alone}",
        )
        require(
            not np.array_equal(one, other) or bool((one == one[0]).all()),
            f"generator {self.name} draws the same rows each time{alone}",
        )
        self._tried("fit", "on rows that it drew itself", self._fitted, one, None)
        self.scores = self._loss_of(fitted) is not None
        self.truth: Any = np.empty(1, object)
        self.truth[0] = fitted
        self.least = 0.0
        self.least = self._known_loss() if self.world is not None else self._loss(fitted)

    @property
    def observed_rows(self) -> int | None:
        return len(self.X) if self.world is None else None

    @property
    def measured_rows(self) -> int:
        return DRAWN

    @property
    def weighs(self) -> bool:
        return self.weight is not None

    def draw(self, theta: NDArray[Any], rows: int, rng: np.random.Generator) -> Any:
        out = self.rows.empty(len(theta), rows)
        for r, (fitted,) in enumerate(theta):
            out[r] = self._drawn(fitted, rows, rng)
        return out

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Any:
        if self.world is None:
            require(
                rows == len(self.X),
                f"the observed rows X make one real batch of {len(self.X)} rows, and the plan asks"
                f" for {rows}; use a real batch of size 1.",
            )
            return np.repeat(self.X[None], replications, axis=0)
        out = self.rows.empty(replications, rows)
        for r in range(replications):
            out[r] = self.rows.read(self._from_world(rows, rng), rows, "a draw of the known truth")
        return out

    def fit(self, rows: Any, weight: Array, start: Any) -> NDArray[Any]:
        out = np.empty((len(rows), 1), object)
        for r, (row, share) in enumerate(zip(rows, weight, strict=True)):
            read = share > 0
            unequal = self.weighs and not np.allclose(share[read], share[read].mean())
            relative = share[read] / share[read].mean() if unequal else None
            try:
                out[r, 0] = self._fitted(row[read], relative)
            except REFUSALS:
                out[r, 0] = None
        return out

    def risk(self, theta: NDArray[Any]) -> Array:
        return np.array([self._loss(fitted) - self.least for (fitted,) in theta], np.float64)

    def measure(self, name: str, theta: NDArray[Any], rng: np.random.Generator) -> Array:
        """What `name` says of rows drawn from each fit, beside the test rows (for "copies", X)."""
        return self.measure_rows(name, self.draw(theta, DRAWN, rng))

    def measure_rows(self, name: str, rows: Any) -> Array:
        of = BY_NAME[choice(name, "measure", self.measures)]
        real = self.X if name == "copies" else self.test
        told = [of(self.rows, each[MIXED], real, self.target) for each in rows]
        return np.array(told, np.float64)

    def __repr__(self) -> str:
        shown = f"X {len(self.X)} x {self.rows.width}" if self.world is None else _named(self.world)
        return f"from_generator({self.name}, {shown})"

    def _made(self) -> Any:
        if self.scipy:  # whose fits are parameters
            return self.generator
        return self.generator() if self.makes else copy.deepcopy(self.generator)

    def _weight_of(self, made: Any, weights: Any) -> str | None:
        require(
            weights is None or isinstance(weights, (str, bool)),
            "weights must be the name by which the fit takes weights, or False; it is"
            f" {brief(weights)}.",
        )
        if weights is None or weights is True:
            taken = _parameters(self.given["fit"] or made.fit)
            require(
                not weights or "sample_weight" in taken,
                f"the fit of {self.name} takes no sample_weight; name what it takes, or"
                " weights=False.",
            )
            return "sample_weight" if "sample_weight" in taken else None
        return weights or None

    def _tried(self, name: str, where: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # the generator's own code may raise anything
            told = " ".join(str(error).split()).rstrip(".")
            raise ValueError(
                f"{name} of the generator {self.name} fails {where}: {type(error).__name__}:"
                f" {told}."
            ) from error

    def _fitted(self, entries: Any, weight: Array | None) -> Any:
        table, made = self.rows.table(entries), self._made()
        weighed = {} if weight is None else {str(self.weight): weight}
        with _seeded(0):
            if self.given["fit"] is not None:
                fitted = self.given["fit"](made, table, **weighed)
                return made if fitted is None else fitted
            fitted = made.fit(table, **weighed)
        return fitted if self.scipy else made

    def _drawn(self, fitted: Any, rows: int, rng: np.random.Generator, loose: bool = False) -> Any:
        def drawn() -> Any:
            if self.given["sample"] is not None:
                return self.given["sample"](fitted, rows, rng)
            if self.scipy:
                return self.generator.rvs(*fitted, size=rows, random_state=rng)
            return _sampled(fitted, rows, rng)

        with _seeded(int(rng.integers(2**32))):
            told = f"to draw {rows:,} rows from what fit gave"
            table = self.rows.framed(_first(self._tried("sample", told, drawn)))
        name = f"the sample of {rows:,} rows from {self.name}"
        return table if loose else self.rows.read(table, rows, name)

    def _from_world(self, rows: int, rng: np.random.Generator) -> Any:
        def drawn() -> Any:
            if hasattr(self.world, "rvs"):
                return self.world.rvs(size=rows, random_state=rng)
            return _sampled(self.world, rows, rng)

        with _seeded(int(rng.integers(2**32))):
            return self._tried("sample", "to draw rows of the known truth X", drawn)

    def _loss_of(self, fitted: Any) -> Any:
        """The function of the test rows that is their score under a fit; None without one."""
        if self.given["score"] is not None:
            return lambda table: self.given["score"](fitted, table)
        if self.scipy:
            return lambda table: self.generator.logpdf(table, *fitted)
        return _scored(fitted)

    def _loss(self, fitted: Any) -> float:
        if not self.scores:
            rng = np.random.default_rng(0)
            rows = self._drawn(fitted, DRAWN, rng)[rng.permutation(DRAWN)]
            return energy(self.rows, rows, self.test, -1)
        return self._mean_loss(self._loss_of(fitted))

    def losses(self) -> Array:
        """Loss of the fit to the real rows on each test row, (m,); or its mean alone, (1,)."""
        score = self._loss_of(self.truth[0]) if self.scores else None
        each = None if score is None else np.asarray(score(self.rows.table(self.test)), np.float64)
        rowwise = each is not None and each.shape == (len(self.test),)
        return -each if rowwise and each is not None else np.array([self._loss(self.truth[0])])

    def _mean_loss(self, score: Any) -> float:
        table = self.rows.table(self.test)
        with np.errstate(divide="ignore"):
            value = self._tried("score", "on the test rows", lambda: float(np.mean(score(table))))
        require(not np.isnan(value), f"the score of {self.name} on the test rows is NaN.")
        return -float(value)

    def _known_loss(self) -> float:
        own = _scored(self.world)
        if own is not None and self.scores and self.given["score"] is None:
            return self._mean_loss(own)
        return self._loss(self.truth[0])


def _named(value: Any) -> str:
    shown = brief(value)
    if "0x" in shown or "<" in shown:
        shown = getattr(value, "__name__", None) or type(value).__name__
    return shown


def _draws(X: Any) -> bool:
    return not hasattr(X, "iloc") and any(hasattr(X, name) for name in ("rvs", "sample"))


def _first(table: Any) -> Any:
    """Rows alone: scikit-learn's mixtures draw the component of each row, too."""
    return table[0] if isinstance(table, tuple) else table


def _rows_of(X: Any, name: str) -> Any:
    if is_frame(X):
        return covariates(X, name)
    array = numbers(X, name, "rows, shape (n,) or (n, p), or a DataFrame").astype(np.float64)
    require(
        array.ndim in (1, 2) and array.size > 0 and bool(np.isfinite(array).all()),
        f"{name} must be finite rows, shape (n,) or (n, p), or a DataFrame, or a distribution that"
        f" draws; it is {brief(X)}.",
    )
    return array


def _parameters(function: Any) -> tuple[str, ...]:
    own = getattr(function, "__func__", None)  # a method is one of each fit, its function is not
    return _names(function) if own is None else _names_of(own)


def _names(function: Any) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # of compiled code
        return ()


_names_of = lru_cache(maxsize=64)(_names)


def _sampled(fitted: Any, rows: int, rng: np.random.Generator) -> Any:
    """Rows of an object's own method, by its argument or attribute for a seed where it has one."""
    taken = _parameters(fitted.sample)
    if "rng" in taken:
        return fitted.sample(rows, rng=rng)
    for name in ("random_state", "seed"):
        if name in taken:
            return fitted.sample(rows, **{name: int(rng.integers(2**32))})
    before = getattr(fitted, "random_state", None)
    if before is None:
        return fitted.sample(rows)
    fitted.random_state = int(rng.integers(2**32))  # not that of every draw
    try:
        return fitted.sample(rows)
    finally:
        fitted.random_state = before


def _scored(fitted: Any) -> Any:
    found = (getattr(fitted, name, None) for name in ("score_samples", "logpdf", "score"))
    return next((score for score in found if score is not None), None)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's own streams from a seed, for one thread, and then as they were."""
    with LOCK:
        before, python = np.random.get_state(), random.getstate()  # noqa: NPY002 - others draw there
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(before)  # noqa: NPY002
