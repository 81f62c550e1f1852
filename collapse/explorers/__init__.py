"""Explorers: their records, in the order in which they are listed."""

# isort: off
from collapse.explorers import policies, pictures, vocabulary, tables, bands
from collapse.explorers import survival, forecasts, audit
# isort: on

__all__ = [
    "audit",
    "bands",
    "forecasts",
    "pictures",
    "policies",
    "survival",
    "tables",
    "vocabulary",
]
