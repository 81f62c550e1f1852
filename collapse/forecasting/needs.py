"""Modules that only a forecast needs, and words about rows that all of it uses."""

from __future__ import annotations

import importlib
from typing import Any

EXTRA = "a forecast needs pandas and scikit-learn: pip install 'collapse-companion[data]'."


def module(name: str, refusal: str = EXTRA) -> Any:
    """Import a module, or raise an ImportError that says what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(refusal) from error


def pandas() -> Any:
    """pandas itself."""
    return module("pandas")
