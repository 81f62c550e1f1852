"""Models: a family, its fit and its risk."""

from collapse.models.base import Model, WithStatistic
from collapse.models.glm import LogisticRegression
from collapse.models.linear import LinearRegression
from collapse.models.location import HodgesLehmann, Huber, Median, MedianMAD, TrimmedMean
from collapse.models.morris import Bernoulli, Binomial, Exponential, Gamma, HyperbolicSecant, NegativeBinomial, Normal, Poisson
from collapse.models.nonregular import Uniform
from collapse.models.registry import Example, examples, register
from collapse.models.two_parameter import Beta, ExponentialRate, GammaMoments, GammaShapeRate, InverseGaussian, NormalMeanVariance
from collapse.models.vector import Multinomial, MultivariateNormal

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Example",
    "Exponential",
    "ExponentialRate",
    "Gamma",
    "GammaMoments",
    "GammaShapeRate",
    "HodgesLehmann",
    "Huber",
    "HyperbolicSecant",
    "InverseGaussian",
    "LinearRegression",
    "LogisticRegression",
    "Median",
    "MedianMAD",
    "Model",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "NormalMeanVariance",
    "Poisson",
    "TrimmedMean",
    "Uniform",
    "WithStatistic",
    "examples",
    "register",
]
