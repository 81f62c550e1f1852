"""Models: a family, its fit and its risk."""

from collapse.models.adapters import from_estimator
from collapse.models.base import Model, WithStatistic
from collapse.models.conformance import check
from collapse.models.dependent import AR1
from collapse.models.glm import (
    BradleyTerry,
    GammaRegression,
    LogisticRegression,
    MultinomialRegression,
    NegativeBinomialRegression,
    PoissonRegression,
    ProbitRegression,
)
from collapse.models.latent import NormalMixture, PrincipalComponents
from collapse.models.linear import LinearRegression
from collapse.models.location import HodgesLehmann, Huber, Median, MedianMAD, TrimmedMean
from collapse.models.morris import Bernoulli, Binomial, Exponential, Gamma, HyperbolicSecant, NegativeBinomial, Normal, Poisson
from collapse.models.nonregular import Hodges, Uniform
from collapse.models.penalised import FirthLogisticRegression, RidgeLogisticRegression
from collapse.models.registry import Example, examples, register
from collapse.models.robust import HuberRegression
from collapse.models.selection import Accepted, BestOf, LinearResponse, Truncated, Verified
from collapse.models.survival import CensoredExponential, CensoredWeibull
from collapse.models.two_parameter import Beta, ExponentialRate, GammaMoments, GammaShapeRate, InverseGaussian, NormalMeanVariance
from collapse.models.vector import Multinomial, MultivariateNormal

__all__ = [
    "AR1",
    "Accepted",
    "Bernoulli",
    "BestOf",
    "Beta",
    "Binomial",
    "BradleyTerry",
    "CensoredExponential",
    "CensoredWeibull",
    "Example",
    "Exponential",
    "ExponentialRate",
    "FirthLogisticRegression",
    "Gamma",
    "GammaMoments",
    "GammaRegression",
    "GammaShapeRate",
    "Hodges",
    "HodgesLehmann",
    "Huber",
    "HuberRegression",
    "HyperbolicSecant",
    "InverseGaussian",
    "LinearRegression",
    "LinearResponse",
    "LogisticRegression",
    "Median",
    "MedianMAD",
    "Model",
    "Multinomial",
    "MultinomialRegression",
    "MultivariateNormal",
    "NegativeBinomial",
    "NegativeBinomialRegression",
    "Normal",
    "NormalMeanVariance",
    "NormalMixture",
    "Poisson",
    "PoissonRegression",
    "PrincipalComponents",
    "ProbitRegression",
    "RidgeLogisticRegression",
    "TrimmedMean",
    "Truncated",
    "Uniform",
    "Verified",
    "WithStatistic",
    "check",
    "examples",
    "from_estimator",
    "register",
]
