"""Benchmarks of the package against the plain programs that people write today: `python -m
benchmarks`.
"""
