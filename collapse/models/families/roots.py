"""Roots of many equations at once."""

from collections.abc import Callable

import numpy as np

from collapse.models.protocols import Array


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
