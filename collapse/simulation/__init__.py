"""Risk by simulation: of the Gaussian limit, or of a model at its n."""

from collapse.simulation.experiment import LARGEST_REPLICATIONS, Experiment, answers, simulate

__all__ = ["LARGEST_REPLICATIONS", "Experiment", "answers", "simulate"]
