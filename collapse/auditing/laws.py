"""The law of logged losses under a workflow: its likelihood, and worlds in which it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collapse.exact import Array

NORMAL = 64
"""Effective degrees of freedom beyond which a loss is drawn as a normal variate."""


@dataclass(frozen=True, eq=False)
class Unknowns:
    """What the law leaves open beside the floor and the scale, one entry for each of E worlds.

    Attributes
    ----------
    nu : ndarray, shape (E,)
        Effective degrees of freedom of the loss, tr(HV)^2 / tr((HV)^2).
    linear : ndarray, shape (E,)
        What a finite test set adds: 2 n / (test rows) for a likelihood's loss.
    noise : ndarray, shape (E,)
        Mean square of the logging error, in units of the scale's square.
    """

    nu: Array
    linear: Array
    noise: Array

    def __len__(self) -> int:
        return len(self.nu)


MOST = 10**7
"""Numbers that are whitened at once."""


class Law:
    """Losses of G generations that obey a workflow, in E worlds.

    In units of the scale s = kappa / n, and above the floor, their mean is `mean` and their
    covariance (2 / nu) (C * C + linear C) + noise: a loss is quadratic in the fit's error, and a
    finite test set adds a linear term.

    Parameters
    ----------
    mean : ndarray, shape (G,)
        The diagonal of C, or another course.
    C : ndarray, shape (G, G)
        Covariance of the fits.
    unknowns : Unknowns
        The worlds.
    errors : ndarray, shape (G,)
        Logging errors, relative to their root mean square.
    floor : bool
        Whether the floor is known: the losses are then those above it.
    """

    def __init__(
        self, mean: Array, C: Array, unknowns: Unknowns, errors: Array, floor: bool
    ) -> None:
        self.mean, self.C, self.unknowns, self.errors, self.floor = mean, C, unknowns, errors, floor
        nu, linear, noise = (
            part[:, None, None] for part in (unknowns.nu, unknowns.linear, unknowns.noise)
        )
        touch = 1e-12 * np.eye(len(C))  # two generations may be all but one
        spread = 2 / nu * (C * C + linear * C) + noise * np.diag(errors**2) + touch
        root = np.linalg.cholesky(spread)
        self.whitening = np.linalg.inv(root)
        self.heights = np.log(np.diagonal(root, axis1=1, axis2=2)).cumsum(1)

    def fit(self, losses: Array) -> tuple[Array, Array]:
        """Return log-likelihoods and scales, shapes (S, E, G), of S sets of losses (S, R, G) and of
        their first generations, the floor integrated out and the scale the most likely one.
        """
        S, R, G = losses.shape
        E = len(self.unknowns)
        if S > 1 and losses.size * E > MOST:
            halves = [self.fit(half) for half in np.array_split(losses, 2)]
            return np.concatenate([h[0] for h in halves]), np.concatenate([h[1] for h in halves])
        centred = losses if self.floor else losses - losses.mean(axis=(1, 2), keepdims=True)
        white = self.whitening[:, :G, :G]
        y = (centred.reshape(-1, G) @ white.reshape(-1, G).T).reshape(S, R, E, G)
        total, square = y.sum(1), (y * y).sum(1).cumsum(-1)
        line = white @ self.mean[:G]
        slope, curve = (line * total).cumsum(-1), R * (line * line).cumsum(-1)
        count, height = R * np.arange(1, G + 1.0), R * self.heights[:, :G]
        if not self.floor:
            one = white.sum(-1)
            ones, cross = R * (one * one).cumsum(-1), R * (one * line).cumsum(-1)
            level = (one * total).cumsum(-1)
            square = square - level * level / ones
            slope = slope - cross * level / ones
            curve = curve - cross * cross / ones
            count, height = count - 1, height + 0.5 * np.log(ones)
        square = np.maximum(square, 1e-300)
        inverse = (slope + np.sqrt(slope * slope + 4 * square * count)) / (2 * square)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            likelihood = (
                count * np.log(inverse)
                - 0.5 * (square * inverse * inverse - 2 * slope * inverse + curve)
                - height
            )
            return np.where(count > 0, likelihood, 0.0), 1 / inverse

    def draw(self, world: int, size: tuple[int, int], rng: np.random.Generator) -> Array:
        """Draw S sets of R runs, shape (S, R, G), of scale 1 and floor 0, in one of the worlds."""
        kept = self.unknowns
        nu, linear, noise = (float(part[world]) for part in (kept.nu, kept.linear, kept.noise))
        G = len(self.C)
        touch = 1e-12 * np.eye(G)
        if nu > NORMAL:
            root = np.linalg.cholesky(2 / nu * (self.C * self.C + linear * self.C) + touch)
            out = self.mean + rng.standard_normal((*size, G)) @ root.T
        else:
            root, parts = np.linalg.cholesky(self.C + touch), max(round(nu), 1)
            out, along = np.zeros((*size, G)), np.zeros((*size, G))
            for _ in range(parts):
                u = rng.standard_normal((*size, G)) @ root.T
                out += u * u / parts
                along += u / np.sqrt(parts)
            out += self.mean - np.diag(self.C) + np.sqrt(2 * linear / nu) * along
        if noise > 0:
            out += np.sqrt(noise) * self.errors * rng.standard_normal(out.shape)
        return out

    def prediction(self, world: int, mean: float, cross: Array) -> tuple[float, float, Array]:
        """Return how the mean over runs at a later generation is foreseen from those logged: the
        weight of the floor, of the scale and of each generation's mean loss, shape (G,).

        Parameters
        ----------
        world : int
            Which.
        mean : float
            C at the later generation.
        cross : ndarray, shape (G,)
            C between the later generation and those that are logged.
        """
        G = len(cross)
        white = self.whitening[world, :G, :G]
        nu, linear = self.unknowns.nu[world], self.unknowns.linear[world]
        pull = white.T @ (white @ (2 / nu * (cross * cross + linear * cross)))
        return float(1 - pull.sum()), float(mean - pull @ self.mean[:G]), pull

    def floors(self, world: int, losses: Array, scale: Array) -> Array:
        """Return the most likely floors, shape (S,), of losses (S, R, G) with scales (S,)."""
        if self.floor:
            return np.zeros(len(losses))
        G = losses.shape[-1]
        white = self.whitening[world, :G, :G]
        weight = white.sum(-1) @ white
        return np.asarray(
            (losses.mean(1) @ weight - scale * (weight @ self.mean[:G])) / weight.sum()
        )
