"""Explorers: their records, in the order in which they are listed."""

# isort: off
from collapse.explorers import policies, pictures, vocabulary, tables, bands, audit
# isort: on

__all__ = ["audit", "bands", "pictures", "policies", "tables", "vocabulary"]
