"""Models: a family, its fit and its risk."""

from collapse.models.adapters.estimator import from_estimator
from collapse.models.adapters.generator import from_generator
from collapse.models.adapters.selection import Accepted, BestOf, LinearResponse, Truncated, Verified
from collapse.models.conformance import check
from collapse.models.families.dependent import AR1
from collapse.models.families.latent import NormalMixture, PrincipalComponents
from collapse.models.families.location import HodgesLehmann, Huber, Median, MedianMAD, TrimmedMean
from collapse.models.families.matched import BootstrapGenerator, NormalGenerator
from collapse.models.families.morris import (
    Bernoulli,
    Binomial,
    Exponential,
    Gamma,
    HyperbolicSecant,
    NegativeBinomial,
    Normal,
    Poisson,
)
from collapse.models.families.nonregular import Hodges, Uniform
from collapse.models.families.survival import CensoredExponential, CensoredWeibull
from collapse.models.families.two_parameter import (
    Beta,
    ExponentialRate,
    GammaMoments,
    GammaShapeRate,
    InverseGaussian,
    NormalMeanVariance,
)
from collapse.models.families.vector import Multinomial, MultivariateNormal
from collapse.models.generators.copula import GaussianCopula
from collapse.models.generators.density import Histogram, KernelDensity
from collapse.models.generators.mixture import GaussianMixture
from collapse.models.generators.ngram import NGram
from collapse.models.generators.normal import NormalMeanCovariance
from collapse.models.protocols import (
    Measured,
    MeasuredByRows,
    Model,
    WithDesign,
    WithDeviation,
    WithExactForm,
    WithInfluence,
    WithObjects,
    WithObservedLabels,
    WithPooling,
    WithStatistic,
)
from collapse.models.registry import Example, examples, named, register
from collapse.models.regression.glm import (
    GammaRegression,
    LogisticRegression,
    MultinomialRegression,
    NegativeBinomialRegression,
    PoissonRegression,
    ProbitRegression,
)
from collapse.models.regression.linear import HuberRegression, LinearRegression
from collapse.models.regression.penalised import FirthLogisticRegression, RidgeLogisticRegression
from collapse.models.regression.random_design import RandomDesignRegression
from collapse.models.regression.ranking import BradleyTerry

__all__ = [
    "AR1",
    "Accepted",
    "Bernoulli",
    "BestOf",
    "Beta",
    "Binomial",
    "BootstrapGenerator",
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
    "GaussianCopula",
    "GaussianMixture",
    "Histogram",
    "Hodges",
    "HodgesLehmann",
    "Huber",
    "HuberRegression",
    "HyperbolicSecant",
    "InverseGaussian",
    "KernelDensity",
    "LinearRegression",
    "LinearResponse",
    "LogisticRegression",
    "Measured",
    "MeasuredByRows",
    "Median",
    "MedianMAD",
    "Model",
    "Multinomial",
    "MultinomialRegression",
    "MultivariateNormal",
    "NGram",
    "NegativeBinomial",
    "NegativeBinomialRegression",
    "Normal",
    "NormalGenerator",
    "NormalMeanCovariance",
    "NormalMeanVariance",
    "NormalMixture",
    "Poisson",
    "PoissonRegression",
    "PrincipalComponents",
    "ProbitRegression",
    "RandomDesignRegression",
    "RidgeLogisticRegression",
    "TrimmedMean",
    "Truncated",
    "Uniform",
    "Verified",
    "WithDesign",
    "WithDeviation",
    "WithExactForm",
    "WithInfluence",
    "WithObjects",
    "WithObservedLabels",
    "WithPooling",
    "WithStatistic",
    "check",
    "examples",
    "from_estimator",
    "from_generator",
    "named",
    "register",
]
