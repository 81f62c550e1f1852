"""Every public callable, given odd values one argument at a time: an answer, or a ValueError in a
sentence.

Each callable is tried in a process of its own, whose memory and processor time are limited: what
would not end, or would not fit, is a failure with a name.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import resource
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

import collapse
from collapse import Plan, Reservoir, datasets, models, universality, workflows
from collapse.answers import Answer
from collapse.auditing import power
from collapse.derivation import equivalent, finite, lost
from collapse.explorers import policies
from collapse.publishing import figures, latex, picture, plot, report, tex
from collapse.publishing.rerun import rerun

HERE = Path(collapse.__file__).parent
MEMORY = 3 * 2**30
"""Bytes that a process may take beyond what it begins with."""
PROCESSOR = 10
"""Seconds of processor time, not of the clock: a busy machine changes nothing."""

ZOO: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "numpy's False": lambda: np.False_,
    "0": lambda: 0,
    "-1": lambda: -1,
    "1.5": lambda: 1.5,
    "NaN": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: -float("inf"),
    "1e300": lambda: 1e300,
    "1e-300": lambda: 1e-300,
    "10^9": lambda: 10**9,
    "2^53": lambda: 2**53,
    "2^63": lambda: 2**63,
    "10^300": lambda: 10**300,
    "10^5000": lambda: 10**5000,
    "1j": lambda: 1j,
    "text": lambda: "text",
    "no text": lambda: "",
    "bytes": lambda: b"augment",
    "Fraction": lambda: Fraction(1, 3),
    "Decimal": lambda: Decimal("0.5"),
    "numpy int": lambda: np.int64(2),
    "numpy uint": lambda: np.uint64(2**63),
    "float32": lambda: np.float32(0.25),
    "longdouble": lambda: np.longdouble("0.5"),
    "0-d int": lambda: np.array(2),
    "0-d float": lambda: np.array(0.5),
    "0-d object": lambda: np.array(None),
    "array with NaN": lambda: np.array([1.0, np.nan]),
    "table": lambda: np.array([[1, 2], [3, 4]]),
    "complex array": lambda: np.array([1j, 2]),
    "text array": lambda: np.array(["a", "b"]),
    "truth values": lambda: np.array([True, False]),
    "masked array": lambda: np.ma.array([1.0, 2.0], mask=[False, True]),
    "list of masked arrays": lambda: [np.ma.array([1.0, 2.0], mask=[False, True])] * 2,
    "ragged": lambda: [[1], [1, 2]],
    "empty list": list,
    "dict": lambda: {"a": 1},
    "set": lambda: {1, 2},
    "object": object,
    "function": lambda: lambda *arguments, **named: None,
    "class": lambda: int,
    "long range": lambda: range(10**12),
    "iterator": lambda: iter([1, 2]),
    "NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "Series": lambda: pd.Series([1.0, 2.0]),
    "Series with NA": lambda: pd.Series([1, None], dtype="Int64"),
    "DataFrame": lambda: pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "legacy generator": lambda: np.random.RandomState(0),
    "generator without a seed sequence": lambda: np.random.Generator(
        np.random.RandomState(0)._bit_generator
    ),
}

X = np.column_stack([np.ones(12), np.linspace(-1, 1, 12)])
BETA = np.array([0.2, 0.5])
LABELS = np.tile([0.0, 1.0, 1.0, 0.0], 3)
TEST = (X[:4], LABELS[:4])
AUGMENT, RESERVOIR = workflows.augment(3), workflows.reservoir(3)
MODEL = models.Poisson(3)
WORDS = models.Multinomial.zipf(5)
EXAMPLE = next(example for example in models.examples() if example.name == "Normal")
TABLE = pd.DataFrame(
    {"x": np.sin(np.arange(60)), "y": np.sin(np.arange(60)) + np.cos(7 * np.arange(60) ** 2)}
)

MADE_BY_FUNCTIONS = {
    *("Audit", "ClosedForm", "Comparison", "Diagnosis", "Forecast", "Matrix"),
    *("Optimum", "Policies", "Risk", "Sweep"),
}
"""Answers: nobody else makes them. Their methods are tried."""

METHODS = (
    Answer,
    Plan,
    Reservoir,
    collapse.Risk,
    collapse.ClosedForm,
    collapse.Comparison,
    collapse.Optimum,
    collapse.Policies,
    collapse.Audit,
    collapse.Forecast,
    collapse.Sweep,
)
METHODS += (datasets.Dataset, datasets.Features, universality.Matrix, universality.Cell)

OF_ITS_OWN = {("progress", "class"), ("draw", "class")}
"""A function that the caller gives may raise what it likes when it is called."""

NAMED_BY = {
    # a saved plan or reservoir goes by what it is
    "document": "(document|plan|reservoir|optimum|forecast|closedform|audit)",
    # a table goes by its file's path, which may be one of two, or as the table
    "data": "(data|the table|text)",
    "test_file": "(test[ _]file|the test set|text)",
    # a mapping of an empty grid, or a cell of another kind, goes by what is wrong with it
    "grid": "(grid|grids|workflow)",
    # a workflow goes by what it is
    "against": "(against|workflow)",
    "rival": "(rival|workflow)",
    # a chapter's parameter goes by the name that its author gave it
    "value": "(value|parameter n)",
}
"""Words by which a refusal names an argument, where they are other words than its name."""

DOCUMENTED = {
    "read_features": FileNotFoundError,
    "Answer.load": FileNotFoundError,
    "forecast": FileNotFoundError,
    "audit": FileNotFoundError,
    "forecast of a file": FileNotFoundError,
}
"""What else than a ValueError a callable may raise, as its docstring says."""


def regression(model: type, **more: Any) -> tuple[Any, dict[str, Any]]:
    return model, {"X": X, "beta": None, "y": LABELS, "test": TEST, **more}


def located(model: type, **more: Any) -> tuple[Any, dict[str, Any]]:
    return model, {"law": "normal", "location": 0.0, "scale": 1.0, **more}


def ran() -> str:
    """A folder into which a chapter without figures has been run."""
    folder = Path("run")
    notebook = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "toy.ipynb").write_text(notebook)
    record = {"key": "", "files": {"toy.ipynb": sha256(notebook.encode()).hexdigest()}}
    (folder / "toy.json").write_text(json.dumps(record))
    return str(folder)


@functools.cache
def table() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Good arguments of every public callable: all that its signature names."""
    ax, narrow = Figure().subplots(), Figure((3.3, 3))
    risk = collapse.derive(AUGMENT)
    form = collapse.closed_form("augment", size=1)
    comparison = collapse.compare(AUGMENT, workflows.discard(3))
    study = collapse.sweep({"workflow": "augment", "generations": 2, "replications": 20})
    forecast = collapse.forecast(TABLE, "y", "discard", 2, against=["augment"], budget=0.01)
    logged = collapse.audit([0.5, 0.6, 0.72, 0.8], "discard", against="augment", replications=100)
    matrix = universality.matrix([EXAMPLE], [workflows.discard(2)], replications=50)
    (cell,) = matrix.cells.values()
    features, heart = datasets.fashion(), datasets.heart()
    best = collapse.optimal_weights(AUGMENT)
    promised = collapse.plan_for(ratio=2, generations=3)
    saved = best.save(Path("best.json").absolute())
    stored = Path("features.npz").absolute()
    x, y = np.arange(3.0), np.ones(3)
    plotted = {"ax": ax, "x": x, "y": y, "family": "real", "label": None}
    recursion = {
        "source": [0, 1],
        "size": [1, 1],
        "weight": [[1, 0], [0.5, 0.5]],
        "kept": [[1, 1], [1, 0.5]],
    }
    return {
        "Plan": (Plan, {**recursion, "replace": False, "name": "plan", "generation": [1, 2]}),
        "Plan.exact_size": (AUGMENT.exact_size, {"exact": True}),
        "Plan.exact_weight": (AUGMENT.exact_weight, {"exact": True}),
        "Plan.exact_kept": (AUGMENT.exact_kept, {"exact": True}),
        "Plan.feedback": (AUGMENT.feedback, {"exact": True}),
        "Plan.subsampling_noise": (AUGMENT.subsampling_noise, {"exact": True}),
        "Plan.noise": (AUGMENT.noise, {"exact": True}),
        "Plan.rows": (AUGMENT.rows, {"n": 4}),
        "Plan.reads": (workflows.subsample(3).reads, {"n": 4}),
        "Plan.reference": (AUGMENT.reference, {"n": 4}),
        "Plan.real_sizes": (AUGMENT.real_sizes, {}),
        "Plan.rows_read": (AUGMENT.rows_read, {}),
        "Plan.to_json": (AUGMENT.to_json, {}),
        "Plan.from_json": (Plan.from_json, {"document": AUGMENT.to_json()}),
        "Reservoir": (Reservoir, {"turnover": [1, 0.5], "name": "reservoir", "recipe": None}),
        "Reservoir.replaced": (RESERVOIR.replaced, {"n": 4}),
        "Reservoir.reference": (RESERVOIR.reference, {"n": 4}),
        "Reservoir.real_sizes": (RESERVOIR.real_sizes, {}),
        "Reservoir.rows_read": (RESERVOIR.rows_read, {}),
        "Reservoir.to_json": (RESERVOIR.to_json, {}),
        "Reservoir.from_json": (Reservoir.from_json, {"document": RESERVOIR.to_json()}),
        "Risk.worth": (risk.worth, {"n": 1000}),
        "Risk.columns": (risk.columns, {}),
        "Risk.plot": (risk.plot, {"ax": ax}),
        "Answer.columns": (best.columns, {}),
        "Answer.to_frame": (best.to_frame, {}),
        "Answer.to_json": (best.to_json, {}),
        "Answer.from_json": (collapse.Optimum.from_json, {"document": best.to_json()}),
        "Answer.save": (best.save, {"path": "other.json"}),
        "Answer.load": (collapse.Optimum.load, {"path": saved}),
        "Optimum.columns": (best.columns, {}),
        "Optimum.plot": (best.plot, {"ax": ax}),
        "Policies.columns": (promised.columns, {}),
        "Policies.plot": (promised.plot, {"ax": ax}),
        "ClosedForm.plot": (form.plot, {"ax": ax, "generations": 3}),
        "ClosedForm.to_json": (form.to_json, {}),
        "ClosedForm.from_json": (collapse.ClosedForm.from_json, {"document": form.to_json()}),
        "ClosedForm.values": (form.values, {"generations": 3, "exact": False}),
        "Sweep.columns": (study.columns, {}),
        "Sweep.plot": (study.plot, {"ax": ax}),
        "Comparison.front": (comparison.front, {"costs": ["read"]}),
        "Comparison.columns": (comparison.columns, {}),
        "Comparison.plot": (comparison.plot, {"ax": ax, "cost": "stored"}),
        "Audit.columns": (logged.columns, {}),
        "Audit.plot": (logged.plot, {"ax": ax}),
        "Audit.save_html": (logged.save_html, {"path": "audit.html"}),
        "audit": (
            collapse.audit,
            {
                "losses": [0.5, 0.6, 0.72, 0.8],
                "workflow": "discard",
                "n": 100,
                "metric": "loss",
                "generations": [1, 2, 3, 4],
                "stderr": None,
                "averaged": 1,
                "floor": 0.1,
                "nu": 4,
                "kappa": None,
                "test_rows": 400,
                "against": ["augment"],
                "at": 20,
                "horizon": 6,
                "level": 0.9,
                "replications": 100,
                "rng": 0,
            },
        ),
        "power": (
            power,
            {
                "workflow": "discard",
                "rival": "augment",
                "generations": 4,
                "runs": 2,
                "nu": 5.0,
                "linear": 1.0,
                "replications": 20,
                "rng": 0,
            },
        ),
        "Forecast.columns": (forecast.columns, {}),
        "Forecast.plot": (forecast.plot, {"figure": narrow}),
        "Forecast.to_json": (forecast.to_json, {}),
        "Forecast.from_json": (collapse.Forecast.from_json, {"document": forecast.to_json()}),
        "Forecast.save_html": (forecast.save_html, {"path": "other.html"}),
        "Forecast.exceeds": (forecast.exceeds, {"limit": 0.1}),
        "augment_supremum": (finite.augment_supremum, {"n": 10, "v2": 1, "size": 1}),
        **{
            call.__name__: (call, {"plan": workflows.discard(3), **more, "n": 5})
            for call, more in [
                (lost.expected, {"model": WORDS, "measures": "support"}),
                (lost.least_words, {"model": WORDS}),
                (lost.rows_for_words, {}),
            ]
        },
        "least_share": (finite.least_share, {"n": 10, "v2": 1, "below": 2, "size": 1}),
        "closed_form": (collapse.closed_form, {"workflow": "star", "role": "hub", "models": 3}),
        "closed_form of sizes": (collapse.closed_form, {"workflow": "discard", "size": 2}),
        "closed_form of shares": (
            collapse.closed_form,
            {"workflow": "fixed_real_share", "share": 0.5},
        ),
        "closed_form of turnovers": (
            collapse.closed_form,
            {"workflow": "reservoir", "turnover": 0.5},
        ),
        "compare": (collapse.compare, {"workflows": [AUGMENT], "generation": 3}),
        "explorer": (collapse.explorer, {"name": "dial", "data": None}),
        "misspecified": (collapse.misspecified, {"plan": AUGMENT, "dispersion": 2.0}),
        "derive": (
            collapse.derive,
            {
                "plan": AUGMENT,
                "model": MODEL,
                "n": 10,
                "exact": False,
                "order": 2,
                "measures": (),
            },
        ),
        "deterministic_equivalent": (
            equivalent.deterministic_equivalent,
            {"plan": AUGMENT, "model": models.RandomDesignRegression(3, 1, 1), "n": 10},
        ),
        "diagnose": (
            collapse.diagnose,
            {"workflow": AUGMENT, "generations": 20, "model": MODEL, "n": 10, "below": 2},
        ),
        "forecast": (
            collapse.forecast,
            {
                "data": TABLE,
                "target": "y",
                "workflow": "augment",
                "generations": 2,
                "estimator": None,
                "generator": None,
                "labels": "drawn",
                "threshold": None,
                "pool": None,
                "outsider": None,
                "real_share": None,
                "task": "continuous",
                "against": ["discard"],
                "test_share": 0.3,
                "test_file": None,
                "exclude": (),
                "na": -999,
                "encoding": None,
                "worse": 0.1,
                "budget": 0.001,
                "rng": 0,
                "workers": 1,
                "executor": None,
                "folder": None,
                "progress": False,
            },
        ),
        "forecast of a file": (
            collapse.forecast,
            {
                "data": stored_table(),
                "target": "y",
                "workflow": "discard",
                "generations": 2,
                "against": (),
                "test_file": stored_table(),
                "encoding": "utf-8",
                "budget": 0.001,
            },
        ),
        "optimal_weights": (
            collapse.optimal_weights,
            {"plan": AUGMENT, "synthetic": 0.5, "origin": "known", "greedy": False},
        ),
        "plan_for": (
            collapse.plan_for,
            {
                "ratio": None,
                "worth": None,
                "loss": 0.1,
                "generations": 3,
                "model": MODEL,
                "n": 10,
                "kappa": 1.5,
                "cost": "stored",
                "progress": None,
            },
        ),
        "simulate": (
            collapse.simulate,
            {
                "plan": AUGMENT,
                "model": MODEL,
                "n": 10,
                "replications": 20,
                "rng": 0,
                "quantiles": (0.5,),
                "covariance": False,
                "fits": False,
                "gate": 0.5,
                "measures": (),
                "workers": 1,
                "executor": None,
                "folder": None,
                "progress": None,
            },
        ),
        "sweep": (
            collapse.sweep,
            {
                "grid": {"workflow": "augment", "generations": 2, "replications": 20},
                "executor": None,
                "folder": None,
                "workers": 1,
                "progress": None,
            },
        ),
        "discard": (workflows.discard, {"generations": 3, "size": 1}),
        "augment": (workflows.augment, {"generations": 3, "size": [1, 2]}),
        "subsample": (workflows.subsample, {"generations": 3, "replace": False}),
        "bootstrap": (workflows.bootstrap, {"generations": 3, "share": 0.5}),
        "window": (workflows.window, {"generations": 3, "k": 2}),
        "fixed_real_share": (workflows.fixed_real_share, {"generations": 3, "share": 0.5}),
        "real_and_window": (workflows.real_and_window, {"generations": 3, "k": 2}),
        "real_and_average": (workflows.real_and_average, {"generations": 3, "share": 0.5}),
        "fresh_real": (workflows.fresh_real, {"generations": 3, "share": 0.5, "kappa": 1}),
        "golden_share": (workflows.golden_share, {"kappa": 1}),
        "mixture": (workflows.mixture, {"generations": 3}),
        "forgetting": (workflows.forgetting, {"generations": 3, "memory": 0.5}),
        "ring": (workflows.ring, {"generations": 3, "models": 2, "share": 0.5}),
        "star": (workflows.star, {"generations": 3, "models": 3, "share": 0.5, "published": True}),
        "all_to_all": (
            workflows.all_to_all,
            {"generations": 3, "models": 3, "share": 0.5, "published": True},
        ),
        "reservoir": (workflows.reservoir, {"generations": 3, "turnover": 0.5}),
        "named": (workflows.named, {"text": "window(k=3)", "generations": 3}),
        "named of models": (models.named, {"text": "Poisson(rate=3)"}),
        "AR1": (models.AR1, {"coefficient": 0.5}),
        "Accepted": (models.Accepted, {"model": models.Normal(0, 1), "probability": np.tanh}),
        "Bernoulli": (models.Bernoulli, {"p": 0.5}),
        "BestOf": (models.BestOf, {"model": models.Normal(0, 1), "k": 2, "score": None}),
        "Beta": (models.Beta, {"a": 1.0, "b": 2.0}),
        "Binomial": (models.Binomial, {"trials": 3, "p": 0.5}),
        "BootstrapGenerator": (models.BootstrapGenerator, {"rows": [0, 1, 5]}),
        "BradleyTerry": (
            models.BradleyTerry,
            {"strength": None, "pairs": [(0, 1), (1, 2), (2, 0)], "times": 3, "wins": [1, 2, 1]},
        ),
        "CensoredExponential": (
            models.CensoredExponential,
            {"rate": 1.0, "events": 0.5, "censor_synthetic": True},
        ),
        "CensoredWeibull": (
            models.CensoredWeibull,
            {"scale": 1.0, "shape": 2.0, "events": 0.5, "censor_synthetic": True},
        ),
        "Example": (
            models.Example,
            {
                "name": "Mine",
                "make": EXAMPLE.make,
                "n": 10,
                "group": "mine",
                "covered": True,
                "why": "regular",
                "page": "zoo",
                "allowance": 0.0,
                "effort": 1.0,
                "conditional": False,
            },
        ),
        "Exponential": (models.Exponential, {"mean": 1.0}),
        "ExponentialRate": (models.ExponentialRate, {"rate": 1.0}),
        "FirthLogisticRegression": regression(models.FirthLogisticRegression),
        "Gamma": (models.Gamma, {"shape": 1.0, "mean": 1.0}),
        "GammaMoments": (models.GammaMoments, {"shape": 1.0, "rate": 1.0}),
        "GammaRegression": regression(
            models.GammaRegression, shape=1.0, y=LABELS + 1, test=(X[:4], LABELS[:4] + 1)
        ),
        "GammaShapeRate": (models.GammaShapeRate, {"shape": 1.0, "rate": 1.0}),
        "Hodges": (models.Hodges, {"mean": 0.0, "shrinkage": 0.5}),
        "GaussianCopula": (models.GaussianCopula, {"rows": [[0, 1], [2, 5], [3, 4]]}),
        "GaussianMixture": (
            models.GaussianMixture,
            {"weights": [0.5, 0.5], "means": [0, 5], "deviations": [1, 1]},
        ),
        "Histogram": (models.Histogram, {"rows": [0, 1, 5], "cells": 3}),
        "HodgesLehmann": located(models.HodgesLehmann),
        "Huber": located(models.Huber, k=1.345),
        "HuberRegression": (
            models.HuberRegression,
            {"X": X, "beta": BETA, "sigma": 1.0, "k": 1.345},
        ),
        "HyperbolicSecant": (models.HyperbolicSecant, {"shape": 1, "mean": 0.5}),
        "InverseGaussian": (models.InverseGaussian, {"mean": 1.0, "shape": 1.0}),
        "KernelDensity": (
            models.KernelDensity,
            {"rows": [0, 1, 5], "bandwidth": 0.5, "shrink": False, "cells": 64},
        ),
        "LinearRegression": regression(models.LinearRegression, sigma=None),
        "LinearResponse": (
            models.LinearResponse,
            {"mean": 0, "variance": 1, "selected_mean": (0, 1), "selected_variance": (1, 0, 0)},
        ),
        "LogisticRegression": regression(models.LogisticRegression, mean=None),
        "Median": located(models.Median),
        "MedianMAD": located(models.MedianMAD),
        "Multinomial": (models.Multinomial, {"p": [0.5, 0.25, 0.25]}),
        "zipf": (models.Multinomial.zipf, {"words": 5, "exponent": 1.5}),
        "MultinomialRegression": regression(models.MultinomialRegression, classes=2),
        "MultivariateNormal": (
            models.MultivariateNormal,
            {"mean": [0, 1], "covariance": [[1, 0.5], [0.5, 1]]},
        ),
        "NGram": (
            models.NGram,
            {
                "text": "to be or not to be ",
                "order": 2,
                "length": 10,
                "add": 0.5,
                "backoff": 1,
                "temperature": 0.9,
                "top_p": 0.95,
            },
        ),
        "NegativeBinomial": (models.NegativeBinomial, {"size": 2, "mean": 1}),
        "NegativeBinomialRegression": regression(models.NegativeBinomialRegression, size=1.0),
        "Normal": (models.Normal, {"mean": 0, "sd": 1}),
        "NormalGenerator": (models.NormalGenerator, {"rows": [[0, 1], [2, 5]]}),
        "NormalMeanCovariance": (
            models.NormalMeanCovariance,
            {"mean": [0, 1], "covariance": [[1, 0.5], [0.5, 1]], "divisor": "n-1"},
        ),
        "NormalMeanVariance": (models.NormalMeanVariance, {"mean": 0, "variance": 1}),
        "NormalMixture": (models.NormalMixture, {"weight": 0.5, "separation": 2, "steps": None}),
        "Poisson": (models.Poisson, {"rate": 1}),
        "PoissonRegression": regression(models.PoissonRegression),
        "PrincipalComponents": (
            models.PrincipalComponents,
            {"loadings": [[1.0], [0.5], [0.2]], "noise": 0.5},
        ),
        "ProbitRegression": regression(models.ProbitRegression),
        "RandomDesignRegression": (
            models.RandomDesignRegression,
            {"columns": 2, "beta": [1, 2], "sigma": 1, "ridge": 0.5, "shortest": False},
        ),
        "RidgeLogisticRegression": regression(
            models.RidgeLogisticRegression, penalty=1.0, classes=2
        ),
        "TrimmedMean": located(models.TrimmedMean, trim=0.1),
        "Truncated": (
            models.Truncated,
            {"model": models.Normal(0, 1), "low": -1.0, "high": 1.0, "about_fit": False},
        ),
        "Uniform": (models.Uniform, {"endpoint": 1}),
        "Verified": (models.Verified, {"model": models.Normal(0, 1), "centre": 0.5, "width": 1}),
        "check": (models.check, {"model": MODEL, "rows": 8}),
        "examples": (models.examples, {}),
        "from_estimator": (
            models.from_estimator,
            {
                "estimator": least_squares(),
                "X": X,
                "y": BETA @ X.T,
                "test": None,
                "loss": None,
                "noise": 1.0,
                "labels": "hard",
                "threshold": None,
                "pool": X[:5],
                "missing": False,
            },
        ),
        "from_generator": (
            models.from_generator,
            {
                "generator": stats.norm,
                "X": BETA @ X.T,
                "test": None,
                "target": None,
                "fit": None,
                "sample": None,
                "score": None,
                "weights": None,
            },
        ),
        "register": (
            models.register,
            {
                "name": "Mine",
                "at": (),
                "n": 10,
                "group": "mine",
                "why": "regular",
                "covered": True,
                "page": "zoo",
                "allowance": 0.0,
                "effort": 1.0,
                "conditional": False,
            },
        ),
        "Dataset.scaled": (heart.scaled, {}),
        "Dataset.split": (heart.split, {"test_share": 0.3, "rng": 0}),
        "Features.part": (
            features.part,
            {"classes": features.classes[:2], "components": 2, "rows": 50},
        ),
        "Features.whitened": (features.whitened, {}),
        "Features.model": (features.part(rows=50, components=2).model, {}),
        "with_intercept": (datasets.with_intercept, {"X": X}),
        "titanic": (datasets.titanic, {}),
        "heart": (datasets.heart, {}),
        "breast_cancer": (datasets.breast_cancer, {}),
        "diabetes": (datasets.diabetes, {}),
        "published": (datasets.published, {"name": "titanic", "workflow": "discard"}),
        "alice": (datasets.alice, {}),
        "glosses": (datasets.glosses, {}),
        "fashion": (datasets.fashion, {}),
        "read_features": (datasets.read_features, {"path": stored_features(stored, features)}),
        "published_features": (
            datasets.published_features,
            {"method": "simclr", "workflow": "discard"},
        ),
        "style": (entered(plot.style), {"theme": "light"}),
        "colour": (plot.colour, {"family": "augment"}),
        "ink": (plot.ink, {}),
        "muted": (plot.muted, {}),
        "ground": (plot.ground, {}),
        "family_of": (plot.family_of, {"name": "augment"}),
        "panels": (plot.panels, {"figure": narrow, "count": 2}),
        "is_wide": (plot.is_wide, {"figure": narrow}),
        "mark_limit": (plot.mark_limit, {"ax": ax, "x": 0.9, "text": "limit"}),
        "label_curve": (
            plot.label_curve,
            {
                "ax": ax,
                "x": 1.0,
                "y": 1.0,
                "text": "curve",
                "family": "real",
                "offset": (0, 4),
                "ha": "left",
                "va": "top",
            },
        ),
        "plot_risk": (
            plot.plot_risk,
            {"risk": risk, "ax": ax, "label": None, "family": None, "dash": "-", "dots": 20},
        ),
        "plot_matrix": (
            picture.plot_matrix,
            {
                "rows": ["a"],
                "columns": ["augment", "discard"],
                "values": [[1.0, 2.0]],
                "margins": None,
                "distance": [[0.0, 9.0]],
                "alarm": 5.0,
                "ax": ax,
            },
        ),
        "on_axes": (entered(plot.on_axes), {"ax": ax, "height": 3.0}),
        "plot_derived": (plot.plot_derived, {**plotted, "dash": "-"}),
        "plot_simulated": (
            plot.plot_simulated,
            {**plotted, "stderr": y, "dots": 20, "mark": "D"},
        ),
        "plot_published": (plot.plot_published, {**plotted, "dots": 20}),
        "plot_front": (
            picture.plot_front,
            {
                "cost": [1, 2],
                "ratio": [2, 1],
                "names": ["augment", ""],
                "front": [True, False],
                "ax": ax,
                "xlabel": "cost",
                "offsets": None,
            },
        ),
        "write": (
            figures.write,
            {
                "label": "odd",
                "draw": lambda figure: None,
                "numbers": {"g": [1, 2]},
                "parameters": {"n": 1},
                "seed": 0,
                "height": 1.0,
                "narrow_height": 1.0,
                "folder": "bundles",
            },
        ),
        "tell": (
            figures.tell,
            {"name": "odd-prose", "numbers": {"g": [1, 2]}, "folder": "bundles"},
        ),
        "manifest": (figures.manifest, {"folder": "bundles"}),
        "parameter": (figures.parameter, {"name": "n", "value": 400, "least": 20, "most": 10_000}),
        "provenance": (figures.provenance, {}),
        "colophon": (figures.colophon, {"seed": 0}),
        "figures": (
            latex.figures,
            {"out": "paper", "labels": (), "run": ran(), "book": "book", "build": "_build"},
        ),
        "report": (
            report.report,
            {"run": ran(), "out": "report.html", "baseline": "baselines", "built": "built"},
        ),
        "escape": (tex.escape, {"text": "50 %"}),
        "number": (tex.number, {"text": "1,000"}),
        "macro": (tex.macro, {"key": "toy_n"}),
        "spelled": (tex.spelled, {"text": ".2f"}),
        "curve_of": (policies.curve_of, {"plan": AUGMENT}),
        "matrix": (
            universality.matrix,
            {
                "examples": [EXAMPLE],
                "plans": [workflows.discard(2)],
                "generations": 2,
                "replications": 20,
                "rng": 0,
                "workers": 1,
                "executor": None,
                "folder": None,
                "progress": None,
            },
        ),
        "Matrix.row": (matrix.row, {"example": EXAMPLE}),
        "Matrix.stands_out": (matrix.stands_out, {"cell": cell}),
        "Matrix.to_json": (matrix.to_json, {}),
        "Matrix.columns": (matrix.columns, {}),
        "Matrix.plot": (matrix.plot, {"ax": ax, "intervals": True}),
        "Cell.seen": (cell.seen, {"alarm": 5.0, "missed": 0.01}),
    }


def least_squares() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def stored_table() -> Path:
    path = Path("table.csv").absolute()
    TABLE.to_csv(path, index=False)
    return path


def stored_features(path: Path, features: Any) -> Path:
    few = features.part(rows=50, components=2)
    np.savez(
        path,
        X_train=few.X,
        y_train=few.y,
        X_test=few.X_test,
        y_test=few.y_test,
        classes=np.array(few.classes),
    )
    return path


def entered(manager: Callable[..., Any]) -> Callable[..., Any]:
    """A context manager as a call, which enters and leaves."""

    @functools.wraps(manager)
    def call(*arguments: Any, **named: Any) -> None:
        with manager(*arguments, **named):
            pass

    return call


def public() -> dict[str, Callable[..., Any]]:
    """Every public callable: functions and classes of the public modules, and methods of what they
    return.
    """
    found: dict[str, Callable[..., Any]] = {}
    for module in (collapse, models):
        found |= {
            name: getattr(module, name)
            for name in module.__all__
            if callable(getattr(module, name))
        }
    publishing = plot, picture, figures, latex, tex
    for module in (workflows, datasets, *publishing, policies, universality):
        for name, member in vars(module).items():
            here = str(getattr(member, "__module__", "")).startswith(module.__name__)
            if name[0] != "_" and here and inspect.isfunction(inspect.unwrap(member)):
                found[name] = member
    others = finite.least_share, finite.augment_supremum, equivalent.deterministic_equivalent
    words = lost.expected, lost.least_words, lost.rows_for_words, models.Multinomial.zipf
    found |= {call.__name__: call for call in (*others, *words, power, report.report)}
    for kind in METHODS:
        for name, member in vars(kind).items():
            if name[0] != "_" and (inspect.isfunction(member) or isinstance(member, classmethod)):
                found[f"{kind.__name__}.{name}"] = getattr(kind, name)
    # an explorer's functions take the state of its controls, which it has checked; protocols are
    # not made
    return {
        name: call
        for name, call in found.items()
        if name not in MADE_BY_FUNCTIONS
        and not getattr(call, "_is_protocol", False)
        and not any(
            option.name in ("state", "shown") and option.kind is not option.VAR_KEYWORD
            for option in inspect.signature(call).parameters.values()
        )
    }


ALSO = {"closed_form of sizes", "closed_form of shares", "closed_form of turnovers"}
ALSO |= {"forecast of a file", "named of models"}
NAMES = sorted({*public(), *ALSO})


def called(call: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Call with arguments by name; those of a parameter such as *workflows one after the other."""
    parameters = inspect.signature(call).parameters
    spread = [name for name, p in parameters.items() if p.kind == p.VAR_POSITIONAL]
    first = [name for name, p in parameters.items() if p.kind == p.POSITIONAL_ONLY]
    rest = {name: value for name, value in given.items() if name not in spread + first}
    return call(*(given[name] for name in first), *(given[spread[0]] if spread else ()), **rest)


def sentence(error: BaseException, parameter: str, allowed: type[Exception] | None) -> str | None:
    """What is wrong with a refusal; None where it is one sentence of the package's own that names
    the argument.
    """
    if allowed and isinstance(error, allowed):
        return None
    if not isinstance(error, ValueError):
        return "no ValueError"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames[-1].filename.startswith(str(HERE)):
        return "raised outside the package"
    text = str(error)
    words = NAMED_BY.get(parameter, parameter.replace("_", "[ _]").removesuffix("s"))
    if not text.endswith(".") or len(text.split()) < 5:
        return "no sentence"
    if not re.search(
        rf"(?<![A-Za-z]){words}s?(?![A-Za-z])", text, re.IGNORECASE if len(parameter) > 2 else 0
    ):
        return "does not name the argument"
    return None


def attempts(
    name: str, call: Callable[..., Any], good: dict[str, Any]
) -> Iterator[tuple[str, str | None]]:
    """Every odd value in the place of every argument: what is tried, and then what was wrong with
    the outcome.
    """
    called(call, good)
    spread = {
        p.name for p in inspect.signature(call).parameters.values() if p.kind == p.VAR_POSITIONAL
    }
    for parameter in good:
        for odd, make in ZOO.items():
            if (parameter, odd) in OF_ITS_OWN:
                continue
            tried = f"{name}({parameter}={odd})"
            yield tried, None
            value = make()
            try:
                called(call, good | {parameter: [value] if parameter in spread else value})
            except Exception as error:  # noqa: BLE001 (that is what is looked at)
                fault = sentence(error, parameter, DOCUMENTED.get(name))
                if fault:
                    yield tried, f"{fault}: {type(error).__name__}: {str(error)[:150]}"
            if "matplotlib.pyplot" in sys.modules:
                sys.modules["matplotlib.pyplot"].close("all")


def child(name: str) -> None:
    """Try one callable, within limits; write each step as a line."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
    for step in attempts(name, *table()[name]):
        print(json.dumps(step), flush=True)


def serve() -> None:
    """Read names, try each in a process of its own, and write how that ended."""
    warnings.simplefilter("error")
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    print(
        json.dumps({name: list(arguments) for name, (_, arguments) in table().items()}), flush=True
    )
    for line in sys.stdin:
        if not (process := os.fork()):
            try:
                child(line.strip())
                os._exit(0)
            finally:
                os._exit(1)
        print(json.dumps(["end", os.waitpid(process, 0)[1]]), flush=True)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, list[str]], subprocess.Popen[str]]]:
    """One process that makes the good arguments, without threads, so that it can be copied for each
    callable.
    """
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    calm = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYTHONPATH": path,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.test_arguments"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("arguments"),
        env=os.environ | calm,
    ) as process:
        assert process.stdin
        assert process.stdout
        yield json.loads(process.stdout.readline()), process
        process.stdin.close()


def test_every_public_callable_and_parameter_is_tried(server: Any) -> None:
    tried = server[0]
    assert set(tried) == set(NAMES)
    for name, call in public().items():
        named = [
            p.name for p in inspect.signature(call).parameters.values() if p.kind != p.VAR_KEYWORD
        ]
        assert set(named) - {"self"} <= set(tried[name]), name


SEEDED = {
    "from_generator": "generator",
    "forecast": "generator",
    # labels of what was drawn elsewhere, as a figure's files and its colophon tell them
    "write": "seed",
    "colophon": "seed",
}
"""Parameters that tell a seed, or are no stream but what draws rows."""

GENERATOR = "int | np.random.SeedSequence | np.random.Generator | None"
TELLER = "bool | checks.Progress | None"


def test_who_draws_takes_rng_and_who_takes_long_tells_progress_in_one_way() -> None:
    """Chapters' own parameters `seed`, and the controls of explorers, are values that a reader sees
    and sets, and no arguments of the package's functions.
    """
    drawing, telling = set(), set()
    for name, call in {**public(), "rerun": rerun}.items():
        for parameter in inspect.signature(call).parameters.values():
            label, kind = parameter.name, str(parameter.annotation).replace("checks.", "")
            if label == "rng":
                drawing.add(name)
                assert kind == GENERATOR, name
            elif label == "progress":
                telling.add(name)
                assert kind == TELLER.replace("checks.", ""), name
            elif re.search("seed|random|generator|progress|verbose|callback|teller", label):
                assert SEEDED.get(name) == label, f"{name}({label})"
    assert drawing == {"simulate", "matrix", "forecast", "Dataset.split", "audit", "power"}
    assert telling == {"simulate", "matrix", "sweep", "forecast", "rerun", "plan_for"}


@pytest.mark.parametrize("name", NAMES)
def test_odd_arguments_are_answered_or_refused_in_a_sentence(name: str, server: Any) -> None:
    process = server[1]
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    faults, last = [], name
    for line in process.stdout:
        tried, fault = json.loads(line)
        if tried == "end":
            if fault:
                faults.append(f"{last}: did not end (status {fault})")
            break
        last = tried
        if fault:
            faults.append(f"{tried}: {fault}")
    assert not faults, "\n" + "\n".join(faults)


class Mean:
    """The mean of a normal sample, as somebody else would write it."""

    truth = np.zeros(1)

    def __init__(self, **other: Any) -> None:
        self.__dict__.update(other)

    def __repr__(self) -> str:
        return "Mean()"

    def draw(self, theta: Any, rows: int, rng: Any) -> Any:
        return theta[:, :1] + rng.standard_normal((len(theta), rows))

    def draw_real(self, replications: int, rows: int, rng: Any) -> Any:
        return rng.standard_normal((replications, rows))

    def fit(self, rows: Any, weight: Any, start: Any) -> Any:
        return (rows * weight).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)

    def risk(self, theta: Any) -> Any:
        return theta[:, 0] ** 2


WRONG = {
    "a number for a batch": (
        {"draw": lambda *_: 3},
        "draw of the model Mean.* must return an array; it returned a int",
    ),
    "no replications": (
        {"draw": lambda t, m, rng: np.zeros(m)},
        r"draw of .* must return an array of shape \(20, 5\)",
    ),
    "rows that differ": (
        {"draw": lambda t, m, rng: np.zeros((len(t), m, 2))},
        r"draw of .* must return an array of shape \(20, 5\).* of shape \(20, 5, 2\)",
    ),
    "too few fits": (
        {"fit": lambda *_: np.zeros(3)},
        r"fit of .* must return real numbers of shape \(20, 1\)",
    ),
    "complex fits": (
        {"fit": lambda rows, *_: 1j * rows[:, :1]},
        "fit of .* it returned complex128 data",
    ),
    "a fit that fails": (
        {"fit": lambda *_: 1 / 0},
        r"fit of .* failed with a ZeroDivisionError: .* collapse.models.check",
    ),
    "risks in a column": (
        {"risk": lambda theta: theta},
        r"risk of .* must return real numbers of shape \(20,\)",
    ),
    "a truth of text": ({"truth": "zero"}, "truth of the model .* must hold real numbers"),
    "no truth": (
        {"truth": []},
        r"truth of the model .* must have shape \(d,\); it has shape \(0,\)",
    ),
}


@pytest.mark.parametrize("plan", [AUGMENT, RESERVOIR], ids=["plan", "reservoir"])
@pytest.mark.parametrize("what", WRONG)
def test_a_model_that_breaks_its_promise_is_told_by_the_method(what: str, plan: Any) -> None:
    other, message = WRONG[what]
    if plan is RESERVOIR:  # which draws as many rows as it replaces
        message = message.replace(r"\(20, 5", r"\(20, \d")
    with pytest.raises(ValueError, match=message):
        collapse.simulate(plan, model=Mean(**other), n=5, replications=20, rng=0)


def test_fits_and_risks_that_are_no_numbers_are_counted_as_lost() -> None:
    lost = {"fit": lambda rows, *_: np.full((len(rows), 1), np.nan)}
    assert collapse.simulate(
        AUGMENT, model=Mean(**lost), n=5, replications=20, rng=0
    ).failed.tolist() == [1, 1, 1]


def test_a_model_that_cannot_be_sent_is_refused_before_anything_starts() -> None:
    drawn = []
    model = Mean(draw_real=lambda *_: drawn.append(1))
    with pytest.raises(
        ValueError,
        match=r"the model is sent to other processes, and Mean\(\) cannot be written down",
    ):
        collapse.simulate(AUGMENT, model=model, n=5, replications=20, workers=2)
    assert not drawn


def test_a_seed_and_its_sequence_are_one_and_a_generator_goes_on() -> None:
    def ratio(rng: Any) -> Any:
        return collapse.simulate(AUGMENT, replications=20, rng=rng).ratio.tolist()

    sequence, generator = np.random.SeedSequence(5), np.random.default_rng(5)
    assert ratio(5) == ratio(sequence) == ratio(sequence) == ratio(generator)
    assert ratio(generator) != ratio(5)
    cells = [
        universality.matrix([EXAMPLE], [AUGMENT], replications=20, rng=rng)
        .cells["Normal", "augment"]
        .ratio.tolist()
        for rng in (np.random.SeedSequence(5), np.random.SeedSequence(5), np.random.SeedSequence(6))
    ]
    assert cells[0] == cells[1] != cells[2]


def test_progress_is_a_function_or_a_switch(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    collapse.simulate(AUGMENT, replications=20_000, rng=0, progress=lambda *step: told.append(step))
    assert told == [(done, 20_000) for done in (5000, 10_000, 15_000, 20_000)]
    collapse.simulate(AUGMENT, replications=20, rng=0, progress=True)
    assert capsys.readouterr().err.endswith("20 of 20\n")
    collapse.simulate(AUGMENT, replications=20, rng=0, progress=False)
    assert capsys.readouterr().err == ""


TOO_LARGE = {
    "generations": (lambda: workflows.augment(10**9), "generations .* can be 1,000,000 at most"),
    "models": (lambda: workflows.all_to_all(2, 2**63), "models .* can be .* at most"),
    "readings": (lambda: workflows.all_to_all(2, 10**5), "needs 20,000,200,000 weights"),
    "digits": (
        lambda: workflows.forgetting(10**6, Fraction(1, 2)),
        "memory as a Fraction would need .* GB of digits",
    ),
    "size": (
        lambda: workflows.discard(3, 10**300),
        r"size must be a number from 1e-150 to 1e\+150",
    ),
    "table": (
        lambda: workflows.augment(10**5).weight,
        r"10,000,000,000 numbers in memory \(80.0 GB\), .* 100,000,000 at most",
    ),
    "feedback": (lambda: workflows.augment(10**5).feedback(), "can hold 100,000,000 at most"),
    "rows": (
        lambda: workflows.augment(3, 10**9).rows(2**53),
        "batch 2 would have 9.01e.24 rows .* take a smaller n",
    ),
    "replications": (
        lambda: collapse.simulate(AUGMENT, replications=2**63),
        "replications .* can be 100,000,000 at most",
    ),
    "quantiles": (
        lambda: collapse.simulate(workflows.augment(50), replications=10**8, quantiles=[0.5]),
        "behind quantiles would hold 5,000,000,000 numbers .* or leave quantiles out",
    ),
    "fits": (
        lambda: collapse.simulate(workflows.augment(50), replications=10**7, fits=True),
        "leave fits out",
    ),
    "covariance": (
        lambda: collapse.simulate(workflows.augment(20_000), replications=9, covariance=True),
        "covariance .* would hold 400,000,000 numbers",
    ),
    "rows of a batch": (
        lambda: collapse.simulate(workflows.subsample(3), model=MODEL, n=10**9, replications=9),
        "at n = 1,000,000,000 would hold .* n = 5,000,000 goes here",
    ),
    "memory of a reservoir": (
        lambda: collapse.simulate(RESERVOIR, model=MODEL, n=10**9, replications=9),
        "at n = 1,000,000,000 would hold .* n = 20,000,000 goes here",
    ),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_what_cannot_be_held_is_refused_with_the_largest_that_goes(what: str) -> None:
    make, message = TOO_LARGE[what]
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_are_kept_in_pythons_own_types() -> None:
    plan = workflows.augment(3, size=np.array([1, 2], np.uint8))
    assert plan.recipe is not None
    assert plan.recipe.parameters == {"size": (1, 2)}
    assert workflows.augment(3, size=np.longdouble(2)).name == "augment(size=2.0)"
    with pytest.raises(ValueError, match=r"size is given twice"):
        workflows.named("augment(size=1/2, size=3)", 3)


if __name__ == "__main__":
    serve()
