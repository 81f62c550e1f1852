"""Models that leave traces, for tests that interrupt them; importable by any process."""

from __future__ import annotations

import os
import signal
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from collapse import models

MARKS = "COLLAPSE_TEST_MARKS"
"""Names the folder that marks go to: no part of a model, and so of no key."""


@dataclass(frozen=True)
class Marking(models.Normal):
    """Leaves a file for each block and generation that is computed, named by the mean risk, which
    a kept block holds to the bit.
    """

    def risk(self, theta: Any) -> Any:
        risk = super().risk(theta)
        if MARKS in os.environ:
            mean = float(risk.sum() / len(risk))
            (Path(os.environ[MARKS]) / f"{mean.hex()} {uuid.uuid4().hex}").touch()
        return risk


@dataclass(frozen=True)
class Deadly(models.Normal):
    """Its process is killed as long as `folder` holds a file; each death takes one away."""

    folder: str

    def risk(self, theta: Any) -> Any:
        for file in sorted(Path(self.folder).iterdir()):
            with suppress(FileNotFoundError):
                file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().risk(theta)


@dataclass(frozen=True)
class Raising(models.Normal):
    """Its risk raises what its name says."""

    kind: str

    def risk(self, theta: Any) -> Any:
        raise {
            "ValueError": ValueError("no risk today"),
            "SystemExit": SystemExit(3),
            "MemoryError": MemoryError("none left"),
            "Unsendable": Unsendable("what", "why"),
        }[self.kind]


class Unsendable(Exception):
    """Its pickle cannot be read."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} and {why}")


@dataclass(frozen=True)
class Holding(models.Normal):
    """Holds what pickles differently each time, or not at all."""

    words: Any = frozenset({"one", "two", "three", "four", "five"})

    @cached_property
    def table(self) -> Any:
        return np.arange(5.0)


def marks(folder: Path) -> list[str]:
    """The mean risks that marks tell, one for each time that they were computed."""
    return [file.name.split()[0] for file in folder.iterdir()]


def kept(folder: Path) -> set[str]:
    """The mean risks of the last generation, which each workflow has of its own, of all blocks that
    a folder keeps.
    """
    means: set[str] = set()
    for file in folder.glob("block-*.npz"):
        with suppress(FileNotFoundError), np.load(file) as archive:
            means.add(float(archive["mean"][-1]).hex())
    return means
