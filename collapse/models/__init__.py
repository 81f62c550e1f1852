"""Models: a family, its fit and its risk."""

from collapse.models.adapters import from_estimator
from collapse.models.base import Model, WithStatistic
from collapse.models.dependent import AR1
from collapse.models.glm import LogisticRegression
from collapse.models.latent import NormalMixture, PrincipalComponents
from collapse.models.linear import LinearRegression
from collapse.models.location import Median
from collapse.models.morris import Bernoulli, Binomial, Exponential, Gamma, NegativeBinomial, Normal, Poisson
from collapse.models.nonregular import Uniform
from collapse.models.registry import Example, examples, register
from collapse.models.selection import Accepted, BestOf, LinearResponse, Truncated, Verified
from collapse.models.survival import CensoredExponential, CensoredWeibull

__all__ = [
    "AR1",
    "Accepted",
    "Bernoulli",
    "BestOf",
    "Binomial",
    "CensoredExponential",
    "CensoredWeibull",
    "Example",
    "Exponential",
    "Gamma",
    "LinearRegression",
    "LinearResponse",
    "LogisticRegression",
    "Median",
    "Model",
    "NegativeBinomial",
    "Normal",
    "NormalMixture",
    "Poisson",
    "PrincipalComponents",
    "Truncated",
    "Uniform",
    "Verified",
    "WithStatistic",
    "examples",
    "from_estimator",
    "register",
]
