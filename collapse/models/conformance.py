"""check(): what a model promises to simulate() and derive(), tried on the model itself."""

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from collapse.checks import brief, counted, require, whole
from collapse.models.expansion import SecondOrder
from collapse.models.protocols import (
    Array,
    Model,
    WithLinearResponse,
    WithObjects,
    WithSecondOrder,
    WithStatistic,
    declared,
    design_of,
    estimated,
    exact_form,
    lacking,
    observed_labels,
    real_rows,
)

REPLICATIONS = 6
SURE = 6.0
"""Standard errors from which a mean risk is not the declared one."""
PROBES = 12
"""Rows whose influence is tried."""
MASS = 0.02
"""Share of the total weight that is put on such a row: small against one, and many rows' worth, so
that medians move.
"""
SAMPLE = 20_000
"""Rows among which it stands."""
CLOSE = 0.25
"""How far the fit's response may be from the declared influence, over all probes and coordinates,
relative to the influence's size.
"""


Expectation = tuple[object, str, str]
"""Whether it is kept, what was expected, and what to do where it is not."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """A model, parameters (R, d) that it fitted, a batch from each, weights, and a fit to both."""

    model: Any
    rows: int
    theta: Array
    batch: Array
    weight: Array
    fit: Array


def _close(
    got: Array, expected: Array, what: str, remedy: str, tolerance: float = 1e-9
) -> Expectation:
    kept = np.allclose(got, expected, rtol=tolerance, atol=tolerance * 1e-3, equal_nan=True)
    off = "" if kept else f", and they differ by {np.nanmax(np.abs(got - expected)):.3g}"
    return kept, what + off, remedy


def _seen(model: Any, fit: Array) -> Array:
    """Fits as numbers that can be compared: objects by their risk."""
    return model.risk(fit) if isinstance(model, WithObjects) else fit


def _each(function: Callable[..., Array], *arrays: Array) -> Array:
    """What a function gives for each replication alone."""
    alone = (function(*(row[None] for row in rows)) for rows in zip(*arrays, strict=True))
    return np.concatenate(list(alone))


def check(model: Any, rows: int | None = None) -> tuple[str, ...]:
    """Check that a model keeps what `simulate` relies on.

    Parameters
    ----------
    model : model
        An instance, with `truth`, `draw`, `draw_real`, `fit` and `risk`.
    rows : int, optional
        Rows of the batches to try it on. Default: those of its design, else 30.

    Returns
    -------
    tuple of str
        What was checked, in words: what every model promises, and what this one declares.

    Raises
    ------
    ValueError
        At the first thing that is not kept: what was expected, what came, and what to do.

    Notes
    -----
    That the law of the draws is the right one, and the theory's constants, no such check can know:
    compare with an independent implementation, and look at the model's row in the universality
    matrix.

    Examples
    --------
    >>> from collapse import models
    >>> for promise in models.check(models.Poisson(3)):
    ...     print(promise)
    members and shapes
    replications do not touch each other
    weights are relative
    a start is a start and no more
    a seed decides, arguments stay
    risk is least at the truth
    copies are equal
    mean statistic
    deviation
    influence function
    measures
    exact form
    second order
    """
    require(
        isinstance(model, Model),
        f"a model needs truth, draw, draw_real, fit and risk; {type(model).__name__} lacks"
        f" {', '.join(lacking(model, Model))}.",
    )
    truth, objects = np.asarray(model.truth), isinstance(model, WithObjects)
    require(
        objects
        or not (truth.ndim != 1 or truth.dtype != np.float64 or not np.all(np.isfinite(truth))),
        f"{model!r}: truth must be a finite float64 array of shape (d,); it is {model.truth!r}.",
    )
    rows = whole(
        real_rows(model) or 30 if rows is None else rows,
        "rows",
        "rows of the batches to try the model on",
        most=10**6,
    )
    # parameters that the model itself would meet: fits to real data, or to synthetic data where the
    # real ones are always the same
    real = model.draw(np.repeat(truth[None], REPLICATIONS, axis=0), rows, np.random.default_rng(2))
    require(
        real.shape[:2] == (REPLICATIONS, rows),
        f"{model!r}: expected draw to return (R, rows, ...), here ({REPLICATIONS}, {rows}), not"
        f" {real.shape}; add the axis.",
    )
    theta = np.asarray(model.fit(real, np.ones((REPLICATIONS, rows)), None))
    require(
        theta.shape == (REPLICATIONS, len(truth)),
        f"{model!r}: fit must return one parameter for each replication, ({REPLICATIONS},"
        f" {len(truth)}); it has {theta.shape}.",
    )
    theta = np.where(estimated(theta)[:, None], theta, truth)
    weight = np.random.default_rng(4).uniform(0.1, 1, (REPLICATIONS, rows))
    if objects and not model.weighs:
        weight = np.ones((REPLICATIONS, rows))
    batch = model.draw(theta, rows, np.random.default_rng(3))
    trial = _Trial(model, rows, theta, batch, weight, model.fit(batch, weight, None))
    promises = CHECKS | {name: DECLARED[name] for name in declared(model) if name in DECLARED}
    # a model of selected rows may not know how it responds
    if exact_form(model) and not (isinstance(model, WithLinearResponse) and model.response is None):
        promises["exact form"] = _exact
    if isinstance(model, WithSecondOrder) and model.second_order() is not None:
        promises["second order"] = _second
    for promise in promises.values():
        for kept, what, remedy in promise(trial):
            require(bool(kept), f"{model!r}: expected {what}; {remedy}.")
    return tuple(promises)


def _shapes(trial: _Trial) -> Iterable[Expectation]:
    model, R = trial.model, REPLICATIONS
    real = model.draw_real(R, trial.rows, np.random.default_rng(0))
    got: Any
    for name, got in (("draw", trial.batch), ("draw_real", real)):
        remedy = "draw NaN only where theta is NaN"
        numbers: Any = [got[name] for name in got.dtype.names] if got.dtype.names else [got]
        finite = all(np.isfinite(part).all() for part in numbers if part.dtype != object)
        yield finite, f"finite rows from {name}", remedy
    what = f"real and synthetic rows of one shape, not {real.shape} and {trial.batch.shape}"
    yield trial.batch.shape == real.shape, what, "align"
    risk, none = model.risk(trial.fit), trial.theta[:0]
    yield from (
        (risk.shape == (R,), f"risk to return ({R},), not {risk.shape}", "sum over coordinates"),
        (
            trial.fit.dtype == model.truth.dtype and risk.dtype == np.float64,
            f"fits as the truth, and float64 risks, not {trial.fit.dtype} and {risk.dtype}",
            "convert",
        ),
    )
    empty = model.draw(none, trial.rows, np.random.default_rng(0))
    yield (
        empty.shape[:2] == (0, trial.rows)
        and model.fit(empty, np.ones((0, trial.rows)), none).shape == none.shape
        and model.risk(none).shape == (0,),
        "no replications in, none out",
        "write shapes with len(theta), and do not reduce over replications",
    )


def _deviation(trial: _Trial) -> Iterable[Expectation]:
    remedy = "give theta (R, d) to (R, k), or rename the attribute"
    yield callable(trial.model.deviation), "deviation to be a method", remedy
    yield _close(
        (trial.model.deviation(trial.theta) ** 2).sum(axis=1),
        trial.model.risk(trial.theta),
        "squares of the deviation to sum to the risk",
        "scale one or leave deviation out",
    )


def _statistic(trial: _Trial) -> Iterable[Expectation]:
    model, theta, rows = trial.model, trial.theta, trial.rows
    statistic = model.draw_statistic(theta, rows, np.random.default_rng(0))
    first = model.draw_real_statistic(REPLICATIONS, rows, np.random.default_rng(0)).shape
    yield (
        statistic.ndim == 2 and statistic.shape == first and len(statistic) == REPLICATIONS,
        (
            f"mean statistics of shape ({REPLICATIONS}, k) from both, not {statistic.shape} and"
            f" {first}"
        ),
        "average over the batch's rows",
    )
    fit = model.fit_statistic(statistic, None)
    yield (
        fit.shape == theta.shape,
        f"fit_statistic to return {theta.shape}, not {fit.shape}",
        "return one row a replication",
    )
    none = model.draw_statistic(theta[:0], rows, np.random.default_rng(0))
    yield (
        model.fit_statistic(none, theta[:0]).shape == theta[:0].shape,
        "no statistics in, no fits out",
        "write shapes with len(theta)",
    )
    yield _close(
        fit,
        _each(lambda one: model.fit_statistic(one, None), statistic),
        "fit_statistic together and one by one to be equal",
        "reduce over the rows' axis only",
    )


def _pooling(trial: _Trial) -> Iterable[Expectation]:
    pool = trial.model.pool
    one, other = (
        trial.model.draw_statistic(trial.theta, trial.rows, np.random.default_rng(seed))
        for seed in (0, 1)
    )
    return [
        _close(
            pool(one, other, 0.3),
            pool(other, one, 0.7),
            "a pool that does not depend on the order",
            "weigh the second by `share`",
        ),
        _close(
            pool(one, one, 0.3),
            one,
            "a statistic pooled with itself to stay",
            "weigh both, so that they sum to one",
        ),
    ]


def _loop(trial: _Trial) -> Iterable[Expectation]:
    model = trial.model
    fits = _each(lambda batch, weight: model.fit(batch, weight, None), trial.batch, trial.weight)
    what = "of a batch of replications and one by one to be equal"
    remedy = "reduce over the rows' axis only"
    yield _close(_seen(model, trial.fit), _seen(model, fits), f"fits {what}", remedy)
    yield _close(
        model.risk(trial.fit), _each(model.risk, trial.fit), f"risks {what}", remedy, 1e-12
    )


def _weights(trial: _Trial) -> Iterable[Expectation]:
    fit, batch, weight = trial.model.fit, trial.batch, trial.weight
    others = trial.model.draw(trial.theta, trial.rows, np.random.default_rng(6))
    order = np.random.default_rng(5).permutation(trial.rows)
    padded = np.concatenate([weight, np.zeros_like(weight)], axis=1)
    seen = partial(_seen, trial.model)
    yield _close(
        seen(fit(batch, 7 * weight, None)),
        seen(trial.fit),
        "equal fits for weights in any unit",
        "divide by their sum",
    )
    yield _close(
        seen(fit(np.concatenate([batch, others], axis=1), padded, None)),
        seen(trial.fit),
        "rows of weight 0 to change nothing",
        "they are padding: multiply by the weight",
    )
    if not isinstance(trial.model, WithObjects):  # whose search may begin at any row
        yield _close(
            fit(batch[:, order], weight[:, order], None),
            trial.fit,
            "the order of rows to change nothing",
            "reduce symmetrically",
        )


def _start(trial: _Trial) -> Iterable[Expectation]:
    yield _close(
        _seen(trial.model, trial.model.fit(trial.batch, trial.weight, trial.theta)),
        _seen(trial.model, trial.fit),
        "a start to change the time taken, not the answer",
        "iterate until it converges",
        1e-8,
    )


def _seeds(trial: _Trial) -> Iterable[Expectation]:
    model, theta = trial.model, trial.theta
    before = theta.copy(), trial.batch.copy(), trial.weight.copy()
    for name in ("draw", "draw_statistic") if isinstance(model, WithStatistic) else ("draw",):
        one, two, other = (
            getattr(model, name)(theta, trial.rows, np.random.default_rng(seed))
            for seed in (9, 9, 10)
        )
        remedy = "draw from the generator that is given, alone"
        yield np.array_equal(one, two), f"equal numbers from {name} with one seed", remedy
        yield (one != other).any(), f"other numbers from {name} with another seed", remedy
    model.risk(model.fit(trial.batch, trial.weight, theta))
    yield (
        all(map(np.array_equal, before, (theta, trial.batch, trial.weight))),
        "arguments to be left as they were",
        "copy before writing into them",
    )


def _risk(trial: _Trial) -> Iterable[Expectation]:
    risk = trial.model.risk(np.vstack([trial.model.truth, trial.theta]))
    # the risk is then none in excess of the least
    apart = observed_labels(trial.model) is not None or isinstance(trial.model, WithObjects)
    return [
        (
            not np.isnan(risk).any(),
            "a risk that is a number",
            "NaN belongs to fits that do not exist",
        ),
        (
            apart or abs(risk[0]) < 1e-12,
            f"excess risk 0 at the truth, not {risk[0]:.3g}",
            "subtract the risk of the truth",
        ),
        (
            apart or ((risk[1:] >= 0).all() and (risk[1:] > 0).any()),
            "a positive excess risk elsewhere",
            "check the sign",
        ),
    ]


def _copies(trial: _Trial) -> Iterable[Expectation]:
    try:
        again = pickle.loads(pickle.dumps(trial.model))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        remedy = "use functions at the top of a module, and no open files"
        return [(False, f"a model that can be pickled ({error})", remedy)]
    return [
        (
            repr(again) == repr(trial.model) and "0x" not in repr(again),
            "a repr that names the parameters",
            "use a dataclass",
        ),
        (
            np.array_equal(
                _seen(trial.model, again.fit(trial.batch, trial.weight, None)),
                _seen(trial.model, trial.fit),
                equal_nan=True,
            ),
            "a pickled copy to fit alike",
            "keep no state",
        ),
    ]


def _influence(trial: _Trial) -> Iterable[Expectation]:
    """The fit's change when a row gets a little more weight, against the influence function at the
    fit.
    """
    model, design = trial.model, design_of(trial.model) or 1
    N = SAMPLE // design * design
    rng, observed = np.random.default_rng(11), observed_labels(model) is not None
    rows = model.draw(model.truth[None], N, rng) if observed else model.draw_real(1, N, rng)
    probes = np.random.default_rng(12).choice(N, PROBES, replace=False)
    weight = np.ones((PROBES + 1, N))
    weight[np.arange(PROBES), probes] += MASS * N
    fits = model.fit(np.repeat(rows, PROBES + 1, axis=0), weight, None)
    change = (fits[:-1] - fits[-1]) * (1 + MASS) / MASS
    given = model.influence_function(rows, fits[-1:])
    yield (
        given.shape == (1, N, len(model.truth)),
        (
            f"influence_function to return (R, N, d), here (1, {N}, {len(model.truth)}), not"
            f" {given.shape}"
        ),
        "give one vector for each row",
    )
    given = given[0, probes]
    # coordinates in units of their own influence
    unit = np.sqrt((given**2).mean(axis=0)) + 0.05 * np.abs(model.truth)
    off = np.sqrt((((change - given) / unit) ** 2).mean())
    yield (
        off <= CLOSE,
        f"the fit to respond to a row's weight by its influence; off by {off:.0%} of its size",
        "scale it so that the error of the fit is the mean of the rows' influence",
    )


def _exact(trial: _Trial) -> Iterable[Expectation]:
    """Mean risk of three fits under discard against what `derive` says by the declared form."""
    import collapse  # which stands above models

    model, rows = trial.model, trial.rows
    if exact_form(model) == "quadratic variance":
        yield (
            np.allclose(np.asarray(model.mean, np.float64), model.truth, rtol=1e-12),
            f"mean to be the truth, {model.truth}",
            f"it is {model.mean!r}",
        )
    risks = collapse.derive(collapse.workflows.discard(3), model=model, n=rows).risk
    R = int(np.clip(2**18 // rows, 500, 4000))
    rng, theta, weight = np.random.default_rng(13), None, np.ones((R, rows))
    for g, known in enumerate(risks, 1):
        batch = model.draw_real(R, rows, rng) if theta is None else model.draw(theta, rows, rng)
        theta = model.fit(batch, weight, None)
        risk = model.risk(theta)
        yield (
            abs(risk.mean() - known) <= SURE * risk.std() / np.sqrt(R) + 1e-9 * known,
            (
                f"the exact form {exact_form(model)!r}: risk {known:.4g} after {counted(g, 'fit')}"
                f" under discard, and it is {risk.mean():.4g}"
            ),
            "mend what goes with the form, or declare exact_form = None",
        )


def _second(trial: _Trial) -> Iterable[Expectation]:
    numbers = trial.model.second_order()
    yield (
        isinstance(numbers, SecondOrder) and bool(np.isfinite(numbers).all()),
        f"second_order to return a SecondOrder of five numbers, not {numbers!r}",
        "use collapse.models.expansion",
    )
    known = getattr(trial.model, "limit_risk", numbers.level)
    yield _close(
        np.array([numbers.level]),
        np.array([known]),
        "the level of second_order to be limit_risk",
        "mend one of them",
    )


def _measures(trial: _Trial) -> Iterable[Expectation]:
    model, R = trial.model, REPLICATIONS
    names = model.measures
    yield (
        isinstance(names, tuple) and all(isinstance(name, str) for name in names),
        f"measures to be a tuple of names, not {brief(names)}",
        "name what `measure` knows",
    )
    for name in names:
        one, two = (model.measure(name, trial.theta, np.random.default_rng(0)) for _ in range(2))
        none = model.measure(name, trial.theta[:0], np.random.default_rng(0))
        yield (
            one.shape == (R,) and one.dtype == np.float64 and none.shape == (0,),
            (
                f"measure({name!r}, ...) to return ({R},) float64, not {one.shape} {one.dtype},"
                f" and (0,) of no fits, not {none.shape}"
            ),
            "return one number for each fit",
        )
        yield (
            np.array_equal(one, two, equal_nan=True),
            f"equal numbers from measure({name!r}, ...) with one seed",
            "draw from the generator that is given, alone",
        )


def _measured_rows(trial: _Trial) -> Iterable[Expectation]:
    model, many = trial.model, trial.model.measured_rows
    rows = model.draw(trial.theta, many, np.random.default_rng(0))
    for name in model.measures:
        one = model.measure(name, trial.theta, np.random.default_rng(0))
        yield (
            np.array_equal(one, model.measure_rows(name, rows), equal_nan=True),
            f"measure_rows({name!r}, ...) of the {many} rows that measure draws to agree with it",
            "let measure draw them by draw, and measure them by measure_rows",
        )


CHECKS: dict[str, Callable[[_Trial], Iterable[Expectation]]] = {
    "members and shapes": _shapes,
    "replications do not touch each other": _loop,
    "weights are relative": _weights,
    "a start is a start and no more": _start,
    "a seed decides, arguments stay": _seeds,
    "risk is least at the truth": _risk,
    "copies are equal": _copies,
}
"""What every model promises."""

DECLARED: dict[str, Callable[[_Trial], Iterable[Expectation]]] = {
    "mean statistic": _statistic,
    "pooled statistics": _pooling,
    "deviation": _deviation,
    "influence function": _influence,
    "measures": _measures,
    "measures of rows": _measured_rows,
}
"""What goes with a capability that a model declares."""
