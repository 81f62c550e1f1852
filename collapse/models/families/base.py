"""What families share: parameters that say how they are read, roots of many equations at once,
squared errors, likelihoods.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, get_type_hints

import numpy as np

from collapse.checks import check_number, check_place, check_size, is_number
from collapse.exact import Scalar
from collapse.models.protocols import Array, DrawsFromTruth

Place = Annotated[Scalar, check_place]
"""A parameter of either sign."""

Size = Annotated[Scalar, check_size]
"""A positive parameter."""

Share = Annotated[Scalar, partial(check_number, low=0, high=1)]
"""A parameter strictly between 0 and 1."""


def tables(*entries: Array) -> Array:
    """Tables (R, 2, 2) from their four entries (R,), row by row."""
    return np.stack(entries, axis=-1).reshape(-1, 2, 2)


@np.errstate(divide="ignore", invalid="ignore")
def decreasing_roots(
    newton: Callable[..., tuple[Array, Array]],
    start: Array,
    bracket: tuple[Array | float, Array | float],
    data: tuple[Array, ...],
    close: tuple[float, float],
    steps: int,
) -> Array:
    """Roots (R,) of decreasing functions, by Newton's method inside a bracket.

    Where a step leaves the bracket, that is halved instead. A root that is found is left alone: it
    does not depend on the other equations.

    Parameters
    ----------
    newton : callable
        newton(x, *data) gives the functions' values, and the roots of their tangents.
    start : ndarray, shape (R,)
        Where to begin.
    bracket : tuple of ndarray, shape (R,), or of float
        Ends between which the roots lie, themselves excluded.
    data : tuple of ndarray, shape (R, ...)
        What else belongs to each equation.
    close : tuple of float
        Change of x at which it is a root: relative and absolute, to be added.
    steps : int
        Number of steps after which an equation is given up: its root is NaN.
    """
    roots, todo = np.full(start.shape, np.nan), np.arange(len(start))
    x, (low, high) = start, bracket
    for _ in range(steps):
        if not len(todo):
            break
        value, new = newton(x, *data)
        low, high = np.where(value >= 0, x, low), np.where(value <= 0, x, high)
        near = close[0] * abs(x) + close[1]
        new = np.where(low < high, new, x)
        done = abs(new - x) <= near
        # an end of the bracket is no progress: from there the next step might lead back
        new = np.where(done | ((new > low) & (new < high)), new, (low + high) / 2)
        roots[todo[done]] = new[done]
        x = new
        if done.any():
            todo, x, low, high = todo[~done], x[~done], low[~done], high[~done]
            data = tuple(each[~done] for each in data)
    return roots


def between(
    value: Any, name: str, low: float, high: float, ends: tuple[float, ...], note: str
) -> None:
    """Raise a ValueError unless `value` is strictly between `low` and `high`, or one of `ends`."""
    if not is_number(value) or value not in ends:
        check_number(value, f"{name} ({note})", low, high)


def read_parameters(model: object) -> None:
    """Read each parameter of a model as its type says, by the readers of what is Annotated; what
    they return is kept.
    """
    for name, hint in get_type_hints(type(model), include_extras=True).items():
        for reader in getattr(hint, "__metadata__", ()):
            value = reader(getattr(model, name), name)
            if value is not None:
                object.__setattr__(model, name, value)


class Family(DrawsFromTruth):
    """A dataclass of parameters: each is read as its type says, and some of them are estimated.

    A family adds its samplers, its fit and its risk; and for the limit the covariance
    `influence_covariance` of its influence function and the Hessian `risk_hessian` of its risk at
    the truth. By default both are those of maximum likelihood and a Kullback-Leibler divergence:
    they follow from the Fisher `information` (theta (R, d) to (R, d, d)).
    """

    estimated: ClassVar[tuple[str, ...]] = ()
    """Names of the parameters that make up the truth, where these are not all."""

    def __post_init__(self) -> None:
        read_parameters(self)

    @cached_property
    def truth(self: Any) -> Array:
        values = (getattr(self, name) for name in self.estimated or self.__match_args__)
        return np.hstack([np.asarray(value, np.float64) for value in values])

    def influence_variance(self: Any, theta: Array) -> Array:
        """V (R, d, d) of rows drawn at theta (R, d): the inverse of the information."""
        return np.asarray(np.linalg.inv(self.information(theta)))

    @property
    def influence_covariance(self) -> Array:
        """V (d, d) at the truth."""
        return np.asarray(self.influence_variance(self.truth[None])[0])

    @property
    def risk_hessian(self: Any) -> Array:
        """Hessian (d, d) of the risk at the truth: the information."""
        return np.asarray(self.information(self.truth[None])[0])

    @property
    def limit_risk(self) -> float:
        """Limit of n times the risk of the first fit: trace(Hessian V) / 2."""
        return float(np.trace(self.risk_hessian @ self.influence_covariance) / 2)


class Standardised:
    """A family whose influence function has mean 0 and the variance V at any source."""

    def standard_score(self: Any, rows: Array, theta: Array) -> Array:
        return np.asarray(self.in_units(self.influence_function(rows, theta), theta))

    def in_units(self: Any, effect: Array, theta: Array) -> Array:
        """Effects (R, N, d) on the fit in units in which V is the identity."""
        root = np.linalg.cholesky(self.influence_variance(theta))
        return np.asarray(np.linalg.solve(root, effect.mT).mT)


class SquaredError(Family):
    """A family whose risk is the squared error of the parameter, in a `unit` of its own or in 1."""

    unit: Any = 1.0

    @property
    def risk_hessian(self) -> Array:
        """Hessian (d, d) of the risk: of a square, 2."""
        return np.asarray(2 * np.eye(len(self.truth)) / self.unit**2)

    def deviation(self, theta: Array) -> Array:
        return np.asarray((theta - self.truth) / self.unit)

    def risk(self, theta: Array) -> Array:
        return np.asarray((((theta - self.truth) / self.unit) ** 2).sum(axis=1))
