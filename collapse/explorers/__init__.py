"""Explorers: each one's Python beside its JavaScript."""
