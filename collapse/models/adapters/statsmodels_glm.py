"""Generalised linear models of statsmodels."""

import warnings
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from collapse.checks import require
from collapse.models.adapters.labelled import Loss, OnDesign, squared_error
from collapse.models.families.morris import counts
from collapse.models.protocols import Array
from collapse.models.regression.design import check_design, check_vector, totals
from collapse.models.regression.family import Counts, Logit
from collapse.models.regression.likelihoods import Logistic, LogLink
from collapse.models.regression.newton import Likelihood

MOST_ROWS = 10**7
"""Largest design that frequency weights are written out to."""

LAWS: dict[str, Callable[[Array, Array, Array, Any, np.random.Generator], Array]] = {
    "Gaussian": lambda mean, scale, trials, family, rng: (
        mean + np.sqrt(scale) * rng.standard_normal(len(mean))
    ),
    "Binomial": lambda mean, scale, trials, family, rng: (
        rng.binomial(trials.astype(np.int64), mean) / trials
    ),
    "Poisson": lambda mean, scale, trials, family, rng: counts(mean, rng),
    "Gamma": lambda mean, scale, trials, family, rng: rng.gamma(1 / scale, mean * scale),
    "InverseGaussian": lambda mean, scale, trials, family, rng: rng.wald(mean, 1 / scale),
    "NegativeBinomial": lambda mean, scale, trials, family, rng: counts(
        rng.gamma(1 / family.alpha, mean * family.alpha), rng
    ),
}
"""Labels of each family, from means, scale over variance weights, numbers of trials, and family."""

PRECISE = "Gaussian", "Gamma", "InverseGaussian"
"""Families that have a law with every variance weight."""


class GLM(OnDesign):
    """theta: coefficients (p,) and the scale of the family."""

    read_labels = staticmethod(check_vector)

    def __init__(self, model: Any, test: Any, loss: Loss | None) -> None:
        import statsmodels.api as sm

        families, name = sm.families, type(model).__name__
        alike = {
            "GLM": lambda: model.family,
            "OLS": families.Gaussian,
            "WLS": families.Gaussian,
            "Logit": families.Binomial,
            "Probit": lambda: families.Binomial(families.links.Probit()),
            "Poisson": families.Poisson,
        }
        if name not in alike:
            fit = "; give the model itself, not the results of its fit" if "Results" in name else ""
            raise ValueError(f"a statsmodels {name} is not supported{fit}: {', '.join(alike)} are.")
        self.family = copy(alike[name]())
        self.law = type(self.family).__name__
        self.name = self.shown = f"GLM {self.law}" if name == "GLM" else name
        if self.law == "Binomial":
            self.family.n = 1  # it remembers the numbers of trials, which enter here as weights
        require(
            self.law in LAWS,
            f"no law to draw labels from is known for the family {self.law}; {', '.join(LAWS)}"
            " have one.",
        )
        shifts = (getattr(model, what, None) for what in ("offset", "exposure"))
        require(
            not (model.endog.ndim != 1 or any(shift is not None for shift in shifts)),
            f"a {name} with offset, exposure or several responses is not supported.",
        )
        n = len(model.endog)
        often = _weights(getattr(model, "freq_weights", None), n, "freq_weights")
        require(
            not ((often != np.floor(often)).any() or not 0 < often.sum() <= MOST_ROWS),
            "freq_weights must be whole numbers, how often each row occurs, "
            f"and at most {MOST_ROWS:,} together; weights of precision are var_weights.",
        )
        weights = "weights" if name == "WLS" else "var_weights"
        precise = _weights(getattr(model, weights, None), n, "var_weights")
        tries = name == "GLM" and self.law == "Binomial"
        trials = np.asarray(model.n_trials if tries else np.ones(n), np.float64)
        require(
            not (not (precise == 1).all() and self.law not in PRECISE),
            f"no law with var_weights is known for the family {self.law}; {', '.join(PRECISE)}"
            " have one.",
        )
        require(
            bool((precise > 0).all()),
            "var_weights (or weights) must be positive; drop rows of weight 0.",
        )
        copies = np.repeat(np.arange(n), often.astype(np.int64))
        self.read(check_design(np.asarray(model.exog)[copies]), model.endog[copies], test)
        self.observed, self.precision, self.trials = self.y, precise[copies], trials[copies]
        single = self.law == "Binomial" and bool((trials == 1).all())
        require(
            not (single and not np.isin(self.observed, (0, 1)).all()),
            "a Binomial response must hold 0 and 1, or two columns, of successes and failures",
        )
        self.loss = loss or (_bernoulli_loss if single else squared_error)
        # what can show that there is no estimate
        counted = self.law in ("Poisson", "NegativeBinomial")
        self.certificate: Likelihood | None = (
            Logistic(self.X, Logit())
            if self.law == "Binomial"
            else LogLink(self.X, Counts())
            if counted and isinstance(self.family.link, families.links.Log)
            else None
        )
        self.settle()

    def labels_at(self, theta: Array, rows: Any, rng: np.random.Generator) -> Array:
        mean = np.asarray(self.family.fitted(self.X[rows] @ theta[:-1]), np.float64)
        scale = theta[-1] / self.precision[rows]
        return np.asarray(LAWS[self.law](mean, scale, self.trials[rows], self.family, rng))

    def fitted(self, rows: Any, label: Array, weight: Array) -> Array:
        import statsmodels.api as sm
        from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

        none = np.full(self.X.shape[1] + 1, np.nan)
        if not np.isfinite(label).all():
            return none
        if self.certificate is not None:
            each = np.stack([rows.astype(np.float64), label], axis=1)[None]
            total, sums = totals(self.design_rows, each, (weight * self.trials[rows])[None])
            statistic = sums @ self.X / total.sum()
            if np.isnan(self.certificate.maximise(statistic, total / total.mean(), None)).any():
                return none
        model = sm.GLM(
            label,
            self.X[rows],
            family=self.family,
            freq_weights=weight,
            var_weights=self.precision[rows] * self.trials[rows],
        )
        with warnings.catch_warnings():
            for said in (ConvergenceWarning, PerfectSeparationWarning):  # `converged`, certificate
                warnings.simplefilter("ignore", said)
            try:
                fit = model.fit()
            except (ValueError, np.linalg.LinAlgError):  # statsmodels' iteration left the numbers
                return none
        theta = np.append(fit.params, fit.scale)
        return theta if fit.converged and np.isfinite(theta).all() else none

    def predicted(self, theta: Array) -> Array:
        return np.asarray(self.family.fitted(self.test_X @ theta[:-1]))


@np.errstate(divide="ignore")
def _bernoulli_loss(y: Any, share: Array) -> float:
    return float(-np.log(np.where(y > 0.5, share, 1 - share)).mean())


def _weights(values: Any, n: int, name: str) -> Array:
    return np.ones(n) if values is None else check_vector(np.broadcast_to(values, n), n, name)
