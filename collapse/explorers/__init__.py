"""Explorers: their records, in the order in which they are listed."""

# isort: off
from collapse.explorers import policies, pictures, vocabulary, tables, bands
# isort: on

__all__ = ["bands", "pictures", "policies", "tables", "vocabulary"]
