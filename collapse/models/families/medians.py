"""Weighted medians, of rows and of means of two rows, and other orders of weighted rows."""

from itertools import count

import numpy as np
from numpy.typing import NDArray

from collapse.models.protocols import Array


def ordered_rows(rows: Array, weight: Array) -> tuple[Array, Array]:
    """Rows (R, N) in ascending order, and the share of the weight up to each."""
    order = np.argsort(rows, axis=1)
    upto = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    return np.take_along_axis(rows, order, axis=1), upto / upto[:, -1:]


def weighted_median(rows: Array, weight: Array) -> Array:
    """Middle of the minimisers of sum_i weight_i |rows_i - m|, for each replication: (R, N), (R, N)
    to (R,).
    """
    if np.all(weight == weight[:, :1]):
        return np.asarray(np.median(rows, axis=1))
    ordered, upto = ordered_rows(rows, weight)
    # sums of weights are equal to one half only up to rounding
    low, high = (upto < 0.5 - 1e-12).sum(axis=1), (upto <= 0.5 + 1e-12).sum(axis=1)
    each = np.arange(len(rows))
    return np.asarray((ordered[each, low] + ordered[each, high]) / 2)


def median_of_pairs(rows: Array, weight: Array) -> Array:
    """Middle of the medians of (x_i + x_j) / 2 with weights weight_i weight_j: (R, N), (R, N) to
    (R,).

    A trial value t is held against the sorted rows: of each row i, how many rows j have x_j <= 2 t
    - x_i. That gives the weight of all pairs up to t, the last pair up to t and the first beyond
    it; one of the two is the new end of a bracket, whose ends are pairs.
    """
    R, N = rows.shape
    # a row without weight must not be an end of the bracket: another row in its place changes
    # nothing
    most = np.argmax(weight, axis=1)[:, None]
    rows = np.where(weight > 0, rows, np.take_along_axis(rows, most, axis=1))
    x, upto = ordered_rows(rows, weight)
    share, upto = np.diff(upto, axis=1, prepend=0.0), np.pad(upto, ((0, 0), (1, 0)))
    padded = np.pad(x, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))
    size = np.maximum(abs(x[:, 0]), abs(x[:, -1]))
    each = np.arange(R)
    # both rows of a pair lie below this quantile with probability one half, or both above its
    # mirror image
    edge = np.sqrt(0.5) + 1e-9
    low = x[each, np.minimum((upto[:, 1:] < 1 - edge).sum(axis=1), N - 1)]
    high = x[each, np.minimum((upto[:, 1:] < edge).sum(axis=1), N - 1)]
    # weight up to the ends, less one half; only steers the trial values
    left, right = np.full(R, -0.5), np.full(R, 0.5)
    out, todo, done = (low + high) / 2, each, high - low <= 1e-15 * size
    for trial in count(1):
        if done.any():
            todo = todo[~done]
            x, share, upto, padded, low, high, left, right, size = (
                a[~done] for a in (x, share, upto, padded, low, high, left, right, size)
            )
        if not len(todo):
            break
        part = np.clip(left / (left - right), 0.02, 0.98) if trial % 4 < 3 else 0.5
        t = low + part * (high - low)
        # of each row i, how many rows j are at most 2 t - x_i: one search for each replication, as
        # a batched merge would sort, and cost five times as much
        ends = zip(x, 2 * t[:, None] - x, strict=True)
        k = np.array([np.searchsorted(row, end, side="right") for row, end in ends])
        beyond = np.einsum("rn,rn->r", share, np.take_along_axis(upto, k, axis=1)) - 0.5
        last = (x + np.take_along_axis(padded, k, axis=1)).max(axis=1) / 2
        first = (x + np.take_along_axis(padded, k + 1, axis=1)).min(axis=1) / 2
        up, even = beyond < 0, abs(beyond) < 1e-12
        low, high = (
            np.where(up, np.maximum(first, low), low),
            np.where(up, high, np.minimum(last, high)),
        )
        # the Illinois rule: an end that stays counts half, so that the other end moves as well
        left, right = np.where(up, beyond, left / 2), np.where(up, right / 2, beyond)
        out[todo] = np.where(even, (last + first) / 2, (low + high) / 2)
        done = even | (high - low <= 1e-15 * size)
    return np.asarray(out)


def least(rows: Array, used: NDArray[np.bool_]) -> Array:
    """The least of the used rows (R, N), infinity where there is none: (R,)."""
    return np.asarray(np.where(used, rows, np.inf).min(axis=1, initial=np.inf))


def greatest(rows: Array, used: NDArray[np.bool_]) -> Array:
    return -least(-rows, used)
