"""Explorers: their records, in the order in which they are listed."""

# isort: off
from collapse.explorers import policies, pictures, vocabulary, tables, bands, survival, forecasts
# isort: on

__all__ = ["bands", "forecasts", "pictures", "policies", "survival", "tables", "vocabulary"]
