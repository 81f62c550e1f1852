"""Families of distributions, each with its estimator."""
