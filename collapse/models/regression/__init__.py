"""Regressions: one design, one likelihood for each family, one Newton."""
