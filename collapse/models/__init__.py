"""Models: a family, its fit and its risk."""

from collapse.models.adapters import from_estimator
from collapse.models.base import Model, WithStatistic
from collapse.models.glm import (
    BradleyTerry,
    GammaRegression,
    LogisticRegression,
    MultinomialRegression,
    NegativeBinomialRegression,
    PoissonRegression,
    ProbitRegression,
)
from collapse.models.linear import LinearRegression
from collapse.models.location import Median
from collapse.models.morris import Bernoulli, Binomial, Exponential, Gamma, NegativeBinomial, Normal, Poisson
from collapse.models.nonregular import Uniform
from collapse.models.registry import Example, examples, register
from collapse.models.robust import HuberRegression
from collapse.models.selection import Accepted, BestOf, LinearResponse, Truncated, Verified

__all__ = [
    "Accepted",
    "Bernoulli",
    "BestOf",
    "Binomial",
    "BradleyTerry",
    "Example",
    "Exponential",
    "Gamma",
    "GammaRegression",
    "HuberRegression",
    "LinearRegression",
    "LinearResponse",
    "LogisticRegression",
    "Median",
    "Model",
    "MultinomialRegression",
    "NegativeBinomial",
    "NegativeBinomialRegression",
    "Normal",
    "Poisson",
    "PoissonRegression",
    "ProbitRegression",
    "Truncated",
    "Uniform",
    "Verified",
    "WithStatistic",
    "examples",
    "from_estimator",
    "register",
]
