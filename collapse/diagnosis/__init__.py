"""Verdicts on a workflow: does it collapse, by how much, and where does its risk come from."""

from collapse.diagnosis.judge import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
