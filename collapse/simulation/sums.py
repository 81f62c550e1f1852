"""Sums over blocks of replications, and the risk that they make."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from shutil import disk_usage
from typing import IO, Any

import numpy as np

from collapse import checks
from collapse.blocks import Arrays
from collapse.exact import Array
from collapse.risk import Measure

MOST = 2 * 10**9
"""Risks (R, G) behind quantiles: 16 GB."""
HERE = 2**24
"""Risks (R, G) that are kept in memory until their quantiles are taken; more are kept in a file."""


def check_paths(replications: int, generations: int) -> None:
    """Raise a ValueError where the risks behind quantiles find no room."""
    count = replications * generations
    checks.require(
        count <= MOST,
        f"the risks (R, G) behind quantiles would hold {count:,} numbers in a temporary file, and"
        f" can hold {MOST:,} at most; take fewer replications or generations, or leave quantiles"
        " out.",
    )
    free = disk_usage(tempfile.gettempdir()).free
    if count > HERE and 8 * count > free:
        raise ValueError(
            f"quantiles need the risks (R, G) in a temporary file of {8e-9 * count:,.1f} GB, and"
            f" {tempfile.gettempdir()} has {1e-9 * free:,.1f} GB free; take fewer replications or"
            " generations, leave quantiles out, or set TMPDIR to another folder."
        )


class Sums:
    """Mean and centred sums over the replications of the blocks added so far."""

    def __init__(self, replications: int, generations: int) -> None:
        self.count, self.arrays = 0, Arrays()
        self.fits: list[Array] = []
        self.paths = Paths(replications * generations > HERE)
        self.close = self.paths.close

    def add(self, count: int, block: Arrays) -> None:
        """Add a block: two groups as one (Chan, Golub and LeVeque 1983), with no difference of
        large sums.
        """
        block = dict(block)
        if "risks" in block:
            self.paths.add(block.pop("risks"))
        if "fits" in block:
            self.fits.append(block.pop("fits"))
        before, self.count = self.count, self.count + count
        if not before:
            self.arrays = block
            return
        total = self.arrays
        between = before * count / self.count
        with np.errstate(invalid="ignore", over="ignore"):
            apart = block["mean"] - total["mean"]
            added = {name: total[name] + block[name] for name in total}
            added["mean"] = total["mean"] + apart * (count / self.count)
            added["second"] += apart * apart * between
            added["cross"] += apart[: len(total["cross"])] * apart[0] * between
        self.arrays = added

    def fields(self, levels: Array, names: tuple[str, ...] = ()) -> dict[str, Any]:
        """What a Risk tells of the sums, and its tables; names are those of the measures."""
        R, means = self.count, self.arrays["mean"].reshape(1 + len(names), -1)
        freedom = R - 1 if R > 1 else np.nan  # one replication tells nothing of its spread
        variances = self.arrays["second"].reshape(means.shape) / freedom
        cross = self.arrays["cross"] / freedom
        mean, variance = means[0], variances[0]
        with np.errstate(
            all="ignore"
        ):  # where the first risk is 0 or infinite, ratios and errors are NaN or infinite
            ratio = mean / mean[0]
            spread = variance - 2 * ratio * cross + ratio**2 * variance[0]
            stderr = np.sqrt(np.maximum(spread, 0) / R) / abs(mean[0])
            errors = np.sqrt(variances / R)
        stderr[0] = np.nan if np.isnan(mean[0]) else 0.0
        tables = {}
        if "covariance" in self.arrays:
            tables["covariance"] = self.arrays["covariance"] / R
        if self.fits:
            tables["fits"] = np.concatenate(self.fits)
        quantiles = np.empty((len(means), 0, 0))
        if levels.size:
            rows = self.paths.quantiles(levels, len(mean))
            quantiles = np.swapaxes(rows.reshape(len(levels), len(means), -1), 0, 1)
        return {
            "risk": mean,
            "ratio": ratio,
            "stderr": stderr,
            "risk_stderr": errors[0],
            "failed": self.arrays["lost"] / R,
            "levels": levels,
            "quantiles": quantiles[0],
            "measures": {
                name: Measure(means[i], errors[i], quantiles[i]) for i, name in enumerate(names, 1)
            },
            "replications": R,
            "tables": tables,
        }


class Paths:
    """The risks of all replications, block by block, for exact quantiles."""

    def __init__(self, many: bool) -> None:
        self.many = many
        self.file: IO[bytes] | None = None
        self.blocks: list[Any] = []
        """Arrays (G, R), or their shapes where they are in the file."""

    def add(self, risks: Array) -> None:
        if self.many and self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        if self.file is not None:
            try:
                self.file.write(np.ascontiguousarray(risks).data)
                self.file.flush()
            except OSError as error:
                raise ValueError(
                    "the risks behind quantiles cannot be written to a temporary file in"
                    f" {tempfile.gettempdir()} ({error.strerror}); leave quantiles out, or set"
                    " TMPDIR to another folder."
                ) from error
        self.blocks.append(risks if self.file is None else risks.shape)

    def close(self) -> None:
        """Give the file back."""
        if self.file is not None:
            with suppress(OSError):  # of what was left to be written
                self.file.close()

    def _generation(self, g: int) -> Array:
        """Risks (R,) of one generation."""
        if self.file is None:
            return np.concatenate([block[g] for block in self.blocks])
        rows, start = [], 0
        for G, R in self.blocks:
            self.file.seek(start + 8 * g * R)
            rows.append(np.frombuffer(self.file.read(8 * R)))
            start += 8 * G * R
        return np.concatenate(rows)

    def quantiles(self, levels: Array, generations: int) -> Array:
        """Quantiles (Q, (1 + M) G) by the inverse of the empirical distribution, since
        interpolation would mix finite values with infinite ones. A lost replication counts as +inf
        in the risk, and is left out of the measures.
        """
        count = self.blocks[0].shape[0] if self.file is None else self.blocks[0][0]
        columns = []
        for g in range(count):
            values = self._generation(g)
            lost = np.isnan(values)
            values = np.where(lost, np.inf, values) if g < generations else values[~lost]
            values = values if values.size else np.array([np.nan])
            columns.append(np.quantile(values, levels, method="inverted_cdf"))
        return np.array(columns).T
