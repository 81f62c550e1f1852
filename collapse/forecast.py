"""What retraining on synthetic data would cost on a table of one's own."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse import models, plot, report, workflows
from collapse.checks import check_number, whole
from collapse.comparison import compare
from collapse.derivation import derive
from collapse.law import STEPS, Classes, Counts, Family, Law, Normal, law_of, newton
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk, versions
from collapse.simulation import simulate
from collapse.table import Table, load, prepare

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Plans = dict[str, Plan | Reservoir]

COMPARED = ("discard", "window(k=5)", "fixed_real_share(share=1/10)", "subsample", "augment", "fixed_real_share(share=1/2)")
"""Workflows that every forecast compares."""

BAND = (0.05, 0.95)
REPLICATIONS = {"likelihood": (100, 1000), "ridge": (20, 200)}
"""Fewest and most."""
LEAST_ROWS = 500
"""Rows below which a table is simulated whole, whatever it costs."""
PRODUCTS = 2**27
"""Products of pairs of columns that a simulated design may have: 1 GB."""
FAR = 1000
"""Generations up to which the derived curve is followed."""
FEW = 20
"""Rows for each coefficient below which first-order formulas are called doubtful."""

COST = {"binary": (10e-9, 0.6e-9), "multiclass": (40e-9, 1e-9), "counts": (20e-9, 0.8e-9), "continuous": (1e-9, 0.0)}
"""Nominal seconds of one fit, for each row and column and for each row and pair of columns."""
FIT_COST = 50e-6
"""Nominal seconds of any fit."""
ROW_COST = 150e-9
"""Nominal seconds for each row that is drawn or read by itself."""
RIDGE_COST = (2e-3, 60e-9)
"""Nominal seconds of one fit of scikit-learn, and for each of its rows, columns and classes."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """What `forecast` answers.

    Attributes
    ----------
    document : dict
        Everything, as plain numbers, text, lists and dicts; `forecast` describes it.
    """

    document: dict[str, Any]

    @property
    def sentences(self) -> list[str]:
        """The answers in plain language."""
        return list(self.document["answers"])

    @property
    def warnings(self) -> list[str]:
        """What cannot be trusted, and why."""
        return list(self.document["warnings"])

    def save(self, path: str | Path) -> Path:
        """Write the document as JSON; returns the path."""
        path = Path(path)
        path.write_text(json.dumps(self.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        return path

    def save_html(self, path: str | Path) -> Path:
        """Write the report: one HTML file that needs nothing else, for light and dark, wide and narrow screens; returns the path."""
        path = Path(path)
        path.write_text(report.html(self.document), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Forecast:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            Where there is no such file, or it was not written by `Forecast.save`.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON ({error}); Forecast.load reads what Forecast.save wrote.") from error
        if not isinstance(document, dict) or document.get("collapse") != "forecast":
            raise ValueError(f"{path} holds no saved forecast; Forecast.load reads what Forecast.save wrote.")
        return cls(document)

    def __repr__(self) -> str:
        data, settings = self.document["data"], self.document["settings"]
        return f"<Forecast of {data['target']} in {data['source']}: {settings['workflow']}, {settings['generations']} generations>"


def forecast(
    data: str | Path | pd.DataFrame,
    target: str,
    workflow: str = "augment",
    generations: int = 20,
    *,
    real_share: float | Fraction | str | None = None,
    task: str | None = None,
    against: Sequence[str] = COMPARED,
    test_share: float = 0.3,
    test_file: str | Path | pd.DataFrame | None = None,
    exclude: str | Sequence[str] = (),
    na: Any = (),
    encoding: str | None = None,
    worse: float = 0.1,
    budget: float = 60.0,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Forecast:
    """Forecast what retraining on synthetic data would cost on a table of your own.

    The table is split into real data and a test set. A regression is fitted to the real data; its rows are then labelled anew by the
    models, generation after generation, as the workflow says. The loss on the test set is derived for many rows, and simulated.

    Parameters
    ----------
    data : path or pandas.DataFrame
        A CSV, Excel (.xlsx) or parquet file with a header, packed or not, or the table itself.
    target : str
        Column to predict.
    workflow : str
        What each generation is trained on, as `collapse.workflows.named` takes it: "augment", "window(k=3)".
    generations : int
        Number of fits G, the first one to the real data.
    real_share : float, Fraction or str, optional
        Short for the workflow fixed_real_share(share=...): the weight of the real rows beside the latest synthetic batch.
    task : {"binary", "multiclass", "counts", "continuous"}, optional
        What the target is. Default: guessed, and said.
    against : sequence of str
        Workflows to compare with.
    test_share : float
        Share of the rows that are kept as a test set, where there is no `test_file`.
    test_file : path or pandas.DataFrame, optional
        The test set, with the same columns; then all rows of `data` are real data.
    exclude : str or sequence of str
        Columns to leave out.
    na : number, text or sequence of these
        Values that stand for a missing one, such as -999, in any column.
    encoding : str, optional
        Of files of text. Default: UTF-8, UTF-16 or Latin-1, whichever it is.
    worse : float
        The forecast tells when the test loss is worse by this share.
    budget : float
        Nominal seconds of simulation: replications are chosen by a table of costs, not by the clock, so that the same arguments give the
        same numbers on every machine. What is read, fitted and derived is not counted.
    seed : int
        Of the split and of all simulations; the same seed gives the same numbers.
    folder : path, optional
        Where finished simulations are kept; the same call goes on from there after an interruption.
    progress : bool
        Write what is being done to stderr.

    Returns
    -------
    Forecast
        `document` holds, with lists over the G generations, null where a number does not exist:

        - ``collapse``: "forecast"; ``format``: 1; ``seed``; ``versions``
        - ``data``: ``source``, ``target``, ``rows``, ``unlabelled``, ``real_rows`` n, ``test_rows``, ``features``, ``columns`` (of the design),
          ``classes``, ``notes`` (what was done to the data)
        - ``task``: ``name``, ``guessed``
        - ``model``: ``name``, ``coefficients``, ``estimator`` ("maximum likelihood" or "ridge"), ``fallback`` (why not maximum
          likelihood, or null), ``loss`` (its name and unit)
        - ``settings``: ``workflow``, ``generations``, ``real_share``, ``against``, ``worse``,
          ``budget``, ``band``, ``test_share`` (null with a ``test_file``), ``test_file`` (name)
        - ``simulation``: ``replications``, ``rows``, ``subsample`` (whether these are fewer than n)
        - ``first``: ``loss`` of the fit to the real data on the test set, its ``stderr`` for the choice of test rows, and ``kappa``: for many rows
          the loss rises by (ratio - 1) kappa / n; null for ridge
        - ``ratio``: of excess risk, for the workflow asked for: ``derived`` with the band of one run, ``low`` and ``high``; ``simulated``,
          ``stderr``, ``simulated_low``, ``simulated_high``: experiments in a world in which the first fit is the truth
        - ``workflows``: for each workflow ``name``, ``asked`` (whether it is the one asked for), ``ratio``, ``worth`` (rows that 1,000 are worth),
          ``rows_read`` by the last fit and ``rows_stored``, carried over to it from earlier generations; ``derived`` test loss with the band of one run, ``derived_low`` and ``derived_high``;
          ``simulated`` with ``stderr``, ``simulated_low``, ``simulated_median``, ``simulated_high`` (a subsample's are rescaled to n rows, and it has no
          band), ``failed``: the share of replications without an estimate;
          ``worse``, the generation at which the loss is worse by the share asked for, null where it was not found: ``derived`` and ``simulated``
          for the mean, and with ``_earliest`` and ``_latest`` for the upper and the lower end of the band
        - ``answers``, ``warnings``: sentences

    Raises
    ------
    ValueError
        Where the table or an argument cannot be used: in one sentence.
    FileNotFoundError
        Where there is no such file.
    ImportError
        Where pandas or scikit-learn is missing: install the extra ``data``.

    Notes
    -----
    Where no maximum-likelihood estimate exists (separated classes, columns not fewer than rows) the model is ridge regression by
    `collapse.models.from_estimator`, and the document says so; nothing is derived for it, since shrinkage compounds over generations.

    Examples
    --------
    >>> import pandas as pd, collapse
    >>> x = np.random.default_rng(1).standard_normal(400)
    >>> table = pd.DataFrame({"x": x, "y": x + np.random.default_rng(2).standard_normal(400)})
    >>> answer = collapse.forecast(table, "y", "discard", 5, against=["augment"])
    >>> answer.document["task"], [round(row["ratio"][-1], 4) for row in answer.document["workflows"]]
    ({'name': 'continuous', 'guessed': True}, [5.0, 1.4636])
    """
    if real_share is not None:
        if workflow not in ("augment", "fixed_real_share"):
            raise ValueError(f"give either real_share, short for fixed_real_share(share={real_share}), or workflow={workflow!r}; not both.")
        workflow = f"fixed_real_share(share={real_share})"
    generations = whole(generations, "generations", "number of fits")
    check_number(worse, "worse", 0)
    check_number(budget, "budget", 0)
    seed = _seed(seed)
    names = list(dict.fromkeys([workflow, *against]))
    plans = {plan.name: plan for plan in (_plan(name, generations) for name in names)}
    tell = _teller(progress)
    source, test_source = _file_name(data), _file_name(test_file)
    tell(f"reading {source}")
    frame = load(data, target, encoding)
    test = None if test_file is None else load(test_file, target, encoding, "test_file")
    tell("preparing the design")
    table = prepare(frame, target, task, test_share, seed, na=na, exclude=exclude, test=test)
    del frame, test
    tell(f"fitting {len(table.y):,} rows, {table.X.shape[1]} columns")
    study = _Study.of(table, plans, budget, seed)
    simulated = study.simulations(plans, seed, folder, tell)
    settings = {
        "workflow": next(iter(plans)),
        "generations": generations,
        "real_share": None if real_share is None else str(real_share),
        "against": list(plans)[1:],
        "test_share": float(test_share) if test_file is None else None,
        "test_file": None if test_file is None else test_source,
        "worse": float(worse),
        "budget": float(budget),
        "band": list(BAND),
    }
    document = _document(table, study, plans, simulated, settings, source, target, seed)
    tell("done")
    return Forecast(document)


def _file_name(data: object) -> str:
    return Path(data).name if isinstance(data, (str, Path)) else "a data frame"


def _seed(seed: object) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a whole number, at least 0; it is {seed!r}.")
    return int(seed)


def _plan(name: str, generations: int) -> Plan | Reservoir:
    plan = workflows.named(name, generations)
    if isinstance(plan, Plan) and (np.count_nonzero(plan.source == 0) > 1 or plan.generations != generations):
        raise ValueError(
            f"{plan.name} needs several tables of real data, or several models, and there is one of each; "
            "collapse.derive tells its ratio, which does not depend on the data."
        )
    return plan


# --- the study: model, fit and simulations ----------------------------------------------------------------------------------------------

MAXIMUM_LIKELIHOOD: dict[str, tuple[Callable[..., Any], str]] = {
    "binary": (models.LogisticRegression, "logistic regression"),
    "multiclass": (models.MultinomialRegression, "multinomial logistic regression"),
    "counts": (models.PoissonRegression, "Poisson regression"),
    "continuous": (models.LinearRegression, "linear regression"),
}
"""For each task the model and its name."""

LOSSES = {
    "binary": "log loss (nats)",
    "multiclass": "log loss (nats)",
    "counts": "half the mean deviance (nats)",
    "continuous": "mean squared error",
}


@dataclass(frozen=True, eq=False)
class _Study:
    """A table with its model: the fit to all rows, its law, and the models to simulate on these rows or on a part of them."""

    table: Table
    name: str
    loss: str
    fallback: str | None
    rows: int
    replications: int
    observed: Any
    """The model whose real labels are those of the table; None where the part of the rows that the budget allows has no estimate."""
    world: Any
    """The model in whose world the first fit is the truth; None for ridge."""
    law: Law | None
    part: Law | None
    """The law for the rows that are simulated."""
    dispersion: float | None = None

    @classmethod
    def of(cls, table: Table, plans: Plans, budget: float, seed: int) -> _Study:
        n, p = table.X.shape
        if p >= n:
            why = f"the design has {p:,} columns for {n:,} rows, so that maximum likelihood has no single answer"
            return cls._by_ridge(table, plans, budget, seed, why)
        found = cls._by_likelihood(table, plans, budget, seed)
        return found if isinstance(found, cls) else cls._by_ridge(table, plans, budget, seed, str(found))

    @classmethod
    def _by_likelihood(cls, table: Table, plans: Plans, budget: float, seed: int) -> _Study | str:
        """The study, or why there is no maximum-likelihood estimate."""
        make, name = MAXIMUM_LIKELIHOOD[table.task]
        X, y, (n, p) = table.X, table.y, table.X.shape
        q = max(len(table.classes) - 1, 1)
        rows, replications = _affordable(table, plans, budget, ridge=False)
        part = _part_of(table, rows, seed)
        more: dict[str, Any] = {"classes": len(table.classes)} if table.task == "multiclass" else {}
        observed = make(part.X, y=part.y, test=(part.X_test, part.y_test), **more)
        exists = bool(np.isfinite(observed.truth).all())
        family: Family = Classes(q) if table.classes else Counts()
        dispersion = None
        if table.task == "continuous":
            theta = np.asarray(np.linalg.solve(X.T @ X, X.T @ y), np.float64)
            family = Normal(float(((y - X @ theta) ** 2).sum() / (n - p)))
            if family.variance <= 1e-20 * float(y.var()):
                return "the columns predict the target without error, so that there is no noise to draw labels with"
            more["sigma"] = np.sqrt(family.variance)
        elif rows == n:
            if not exists:
                return NO_ESTIMATE[table.task]
            theta = observed.truth
        else:
            start = np.zeros(p * q)
            if table.task == "counts":
                start[0] = np.log(max(y.mean(), 1e-300))
            fitted = newton(family, X, y, observed.truth if exists else start)
            if fitted is None:
                return NO_ESTIMATE[table.task] + f", as far as {STEPS} steps of Newton's method can tell"
            theta = fitted
        if table.task == "counts":
            mean = np.exp(X @ theta)
            dispersion = float(((y - mean) ** 2 / mean).sum() / (n - p))
        law = law_of(family, theta, X, table.X_test, table.y_test)
        if not exists:
            return cls(table, name, LOSSES[table.task], None, rows, 0, None, None, law, law, dispersion)
        beta = theta.reshape(q, p) if table.task == "multiclass" else theta
        world = make(part.X, beta, **{key: value for key, value in more.items() if key == "sigma"})
        own = law if rows == n else law_of(family, observed.truth, part.X, part.X_test, part.y_test)
        return cls(table, name, LOSSES[table.task], None, rows, replications, observed, world, law, own, dispersion)

    @classmethod
    def _by_ridge(cls, table: Table, plans: Plans, budget: float, seed: int, why: str) -> _Study:
        from sklearn.linear_model import LogisticRegression, Ridge

        rows, replications = _affordable(table, plans, budget, ridge=True)
        part = _part_of(table, rows, seed)
        estimator = LogisticRegression(C=1.0, max_iter=5000) if table.classes else Ridge(alpha=1.0)
        name = "ridge regression" if not table.classes else "ridge logistic regression"
        name += f" ({type(estimator).__name__}({'C' if table.classes else 'alpha'}=1.0) of scikit-learn on standardised columns)"
        if table.task == "counts":
            name += " with normal labels in place of counts"
        model = models.from_estimator(estimator, part.X[:, 1:], part.y, test=(part.X_test[:, 1:], part.y_test))
        loss = LOSSES["continuous" if table.task == "counts" else table.task]
        return cls(table, name, loss, why, rows, replications, model, None, None, None)

    @property
    def subsample(self) -> bool:
        return self.rows < len(self.table.y)

    def simulations(self, plans: Plans, seed: int, folder: str | Path | None, tell: Callable[[str], None]) -> dict[str, Risk]:
        """Test losses under each workflow, and under the name "ratio" excess risks under the first one."""
        if self.observed is None:
            return {}
        store = None if folder is None else _Store(Path(folder) / "finished", self._key(seed))
        tasks = [(name, plan, self.observed) for name, plan in plans.items()]
        if self.world is not None:
            tasks.insert(0, ("ratio", tasks[0][1], self.world))
        out = {}
        for k, (name, plan, model) in enumerate(tasks):
            step = f"simulating {plan.name} ({k + 1} of {len(tasks)})"
            label = f"{name} {plan.name} {plan.generations}"
            risk = store.get(label) if store else None
            if risk is None:
                tell(step)
                risk = simulate(
                    plan,
                    model=model,
                    replications=self.replications,
                    rng=seed,
                    quantiles=(BAND[0], 0.5, BAND[1]),
                    progress=lambda done, total, step=step: tell(f"{step}: {done:,} of {total:,} replications"),  # type: ignore[misc]
                )
                if store:
                    store.put(label, risk)
            out[name] = risk
        return out

    def _key(self, seed: int) -> str:
        digest = hashlib.sha256(repr((self.replications, seed, versions(), self.name, self.rows)).encode())
        for values in (self.table.X, self.table.y, self.table.X_test, self.table.y_test):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


NO_ESTIMATE = {
    "binary": "the two classes can be told apart without error by a linear rule (separation), so that no maximum-likelihood estimate exists",
    "multiclass": "some classes can be told apart without error by a linear rule (separation), so that no maximum-likelihood estimate exists",
    "counts": "some columns mark rows whose counts are all zero, so that no maximum-likelihood estimate exists",
}


def _affordable(table: Table, plans: Plans, budget: float, ridge: bool) -> tuple[int, int]:
    """Rows and replications to simulate, by the table of costs: three quarters of the rows, and again, until the fewest replications fit."""
    n, p = table.X.shape
    q = max(len(table.classes) - 1, 1)
    fewest, most = REPLICATIONS["ridge" if ridge else "likelihood"]
    reads = {name: _read(plan) for name, plan in plans.items()}

    def cost(rows: int) -> float:
        seconds = 0.0
        for k, (name, plan) in enumerate(plans.items()):
            read = rows * reads[name]
            if ridge:
                seconds += plan.generations * RIDGE_COST[0] + RIDGE_COST[1] * read * p * q
            else:
                linear, square = COST[table.task]
                by_rows = 0.0 if isinstance(plan, Plan) and plan.reads_whole_batches else ROW_COST * (plan.generations * rows + read)
                # the workflow asked for is simulated twice
                seconds += (2 if k == 0 else 1) * (plan.generations * (FIT_COST + rows * q * p * (linear + square * p)) + by_rows)
        return seconds

    rows = n
    least = min(n, max(LEAST_ROWS, 0 if ridge else 5 * p * q))
    while rows > least and (fewest * cost(rows) > budget or (not ridge and rows * p * (p + 1) / 2 > PRODUCTS)):
        rows = max(rows * 3 // 4, least)
    return rows, int(np.clip(budget / cost(rows), fewest, most))


def _part_of(table: Table, rows: int, seed: int) -> Table:
    """The table, or a part with so many real rows, classes in their shares, and with no more test rows."""
    if rows == len(table.y):
        return table
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(len(table.y))
    if table.classes:
        order = order[np.argsort(table.y[order], kind="stable")]
    chosen = np.sort(order[(np.arange(rows) * len(order)) // rows])
    test = np.sort(rng.permutation(len(table.y_test))[:rows])
    return replace(table, X=table.X[chosen], y=table.y[chosen], X_test=table.X_test[test], y_test=table.y_test[test])


def _read(plan: Plan | Reservoir) -> float:
    """Rows read by all fits together, as a multiple of n."""
    if isinstance(plan, Reservoir):
        return float(plan.generations)
    return float(((plan.weight > 0) * plan.kept * plan.size).sum())


class _Store:
    """Simulations that are finished, a file for each."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, label: str) -> Path:
        return self.folder / f"{hashlib.sha256(f'{self.key} {label}'.encode()).hexdigest()[:24]}.json"

    def get(self, label: str) -> Risk | None:
        path = self._path(label)
        return Risk.load(path) if path.is_file() else None

    def put(self, label: str, risk: Risk) -> None:
        path = self._path(label)
        risk.save(path.with_suffix(".new")).replace(path)  # an interruption leaves no half of a file


# --- the answers ------------------------------------------------------------------------------------------------------------------------


def _document(
    table: Table, study: _Study, plans: Plans, simulated: dict[str, Risk], settings: dict[str, Any], source: str, target: str, seed: int
) -> dict[str, Any]:
    law = study.law
    first: dict[str, Any]
    if law is not None:
        first = {"loss": law.loss, "stderr": law.stderr, "kappa": law.kappa}
    else:
        loss = _first_losses(study)
        first = {
            "loss": float(loss.mean()),
            "stderr": float(loss.std(ddof=1) / np.sqrt(len(loss))) if len(loss) > 1 else None,
            "kappa": None,
        }
    rows = [
        _row(name, plan, study, simulated.get(name), first["loss"], settings, seed, k == 0) for k, (name, plan) in enumerate(plans.items())
    ]
    document = {
        "collapse": "forecast",
        "format": 1,
        "seed": int(seed),
        "versions": versions(),
        "data": {
            "source": source,
            "target": target,
            "rows": table.rows,
            "unlabelled": table.unlabelled,
            "real_rows": len(table.y),
            "test_rows": len(table.y_test),
            "features": list(table.features),
            "columns": list(table.columns),
            "classes": list(table.classes),
            "notes": list(table.notes),
        },
        "task": {"name": table.task, "guessed": table.guessed},
        "model": {
            "name": study.name,
            "estimator": "maximum likelihood" if study.fallback is None else "ridge",
            "fallback": study.fallback,
            "coefficients": table.X.shape[1] * max(len(table.classes) - 1, 1),
            "loss": study.loss,
        },
        "settings": settings,
        "simulation": {
            "replications": study.replications if simulated else 0,
            "rows": study.rows if simulated else 0,
            "subsample": study.subsample,
        },
        "first": first,
        "ratio": _ratio(next(iter(plans.values())), study, simulated.get("ratio")),
        "workflows": rows,
    }
    document["warnings"] = _warnings(document, study, simulated)
    document["answers"] = _answers(document)
    plain = _plain(document)
    assert isinstance(plain, dict)
    return plain


def _first_losses(study: _Study) -> Array:
    """Loss of ridge's first fit on each row of the test set."""
    model = study.observed
    y, predicted = model.test_y, model._predicted(model.truth)
    if study.table.classes:
        return np.asarray(-np.log(np.maximum(predicted[np.arange(len(y)), model.test_code], 1e-300)))
    return np.asarray((y - predicted) ** 2)


def _ratio(plan: Plan | Reservoir, study: _Study, simulated: Risk | None) -> dict[str, Any]:
    out: dict[str, Any] = dict.fromkeys(("derived", "low", "high", "simulated", "stderr", "simulated_low", "simulated_high"))
    if study.law is None:
        return out
    from scipy.special import gammaincinv

    derived, d = derive(plan).ratio, len(study.law.spread)
    # a run's excess risk is its mean times a chi-squared variate over its degrees of freedom
    low, high = (derived * 2 * gammaincinv(d / 2, level) / d for level in BAND)
    out |= {"derived": derived, "low": low, "high": high}
    if simulated is not None:
        bottom, _, top = simulated.quantiles / simulated.risk[0]
        out |= {"simulated": simulated.ratio, "stderr": simulated.stderr, "simulated_low": bottom, "simulated_high": top}
    return out


def _row(
    name: str, plan: Plan | Reservoir, study: _Study, simulated: Risk | None, first: float, settings: dict[str, Any], seed: int, asked: bool
) -> dict[str, Any]:
    law, part = study.law, study.part
    costs = compare(plan)
    n, bad = len(study.table.y), (1 + settings["worse"]) * first
    limit = derive(plan)
    row: dict[str, Any] = {"name": name, "family": plot.family_of(name), "asked": asked}
    row |= {"ratio": limit.ratio, "worth": 1000 / limit.risk} if law else {"ratio": None, "worth": None}
    row |= {"rows_read": round(float(costs.read[0]) * n), "rows_stored": round(float(costs.stored[0]) * n)}
    columns = (
        "derived",
        "derived_low",
        "derived_high",
        "simulated",
        "stderr",
        "simulated_low",
        "simulated_median",
        "simulated_high",
        "failed",
    )
    row |= dict.fromkeys(columns)
    worse: dict[str, int | None] = dict.fromkeys(
        ("derived", "derived_earliest", "derived_latest", "simulated", "simulated_earliest", "simulated_latest")
    )
    if law is not None:
        C = limit.risk
        low, high = law.band(C, BAND, seed)
        row |= {"derived": law.mean(C), "derived_low": low, "derived_high": high}
        far = _far(name, plan)
        low, high = law.band(far, BAND, seed)
        worse |= {"derived": _reached(law.mean(far), bad), "derived_earliest": _reached(high, bad), "derived_latest": _reached(low, bad)}
    if simulated is not None:
        row["failed"] = simulated.failed
        if law is not None and part is not None and study.subsample:
            # the rise for m rows, as a multiple of the one derived for m rows, times the one derived for n rows
            scale = (law.kappa / law.n) / (part.kappa / part.n)
            row |= {"simulated": law.loss + scale * (simulated.risk - part.loss), "stderr": abs(scale) * simulated.risk_stderr}
        else:
            low, middle, high = simulated.quantiles
            row |= {"simulated": simulated.risk, "stderr": simulated.risk_stderr}
            row |= {"simulated_low": low, "simulated_median": middle, "simulated_high": high}
            own = (1 + settings["worse"]) * float(simulated.risk[0]) if law is None else bad
            worse |= {
                "simulated": _reached(simulated.risk, own),
                "simulated_earliest": _reached(high, own),
                "simulated_latest": _reached(low, own),
            }
    row["worse"] = worse
    return row


def _far(name: str, plan: Plan | Reservoir) -> Array:
    """C of the workflow, as far as the derived curve is followed."""
    if isinstance(plan, Plan) and plan.batches > 2 * plan.generations:
        return np.asarray(derive(plan).risk)  # as many batches as generations squared
    try:
        return np.asarray(derive(workflows.named(name, max(FAR, plan.generations))).risk)
    except ValueError:  # a schedule of sizes is as long as it is
        return np.asarray(derive(plan).risk)


def _reached(values: Array, level: float) -> int | None:
    with np.errstate(invalid="ignore"):
        there = np.flatnonzero(values >= level)
    return int(there[0]) + 1 if len(there) else None


def _warnings(document: dict[str, Any], study: _Study, simulated: dict[str, Risk]) -> list[str]:
    data, first, settings = document["data"], document["first"], document["settings"]
    n, m, d = data["real_rows"], data["test_rows"], document["model"]["coefficients"]
    out = list(study.table.cautions)
    if data["rows"] < 50:
        out.append(
            f"{data['rows']} rows are very few: the fit, the test loss on {_count(m, 'row')} and with them every number here may be far off; "
            "take the direction of the answers, not their size."
        )
    if study.fallback:
        out.append(
            f"The model is {study.name}, not maximum likelihood: {study.fallback}. "
            "The derived ratios hold for maximum likelihood only, so none is given; shrinkage adds a bias that compounds over generations."
        )
    elif n < FEW * d:
        out.append(
            f"There are {n / d:.1f} rows for each of the {d:,} coefficients; the derived curves are for many (about {FEW} or more). "
            "Where simulated and derived values differ, believe the simulated ones."
        )
    if first["stderr"] is None or first["stderr"] > 0.5 * settings["worse"] * abs(first["loss"]):
        error = "is unknown" if first["stderr"] is None else f"has a standard error of {_number(first['stderr'])}"
        out.append(
            f"The first test loss, {_number(first['loss'])} on {_count(m, 'row')}, {error}: {_percent(settings['worse'])} worse "
            "cannot be told from another choice of test rows."
        )
    if study.dispersion is not None and (study.dispersion > 1.5 or study.dispersion < 0.67):
        out.append(
            f"The counts vary {study.dispersion:.1f} times as much as a Poisson law allows: labels drawn by the model are "
            f"{'less' if study.dispersion > 1 else 'more'} noisy than yours. The rise of the loss holds for the model's labels."
        )
    small = [name for k, name in enumerate(data["classes"]) if int((study.table.y == k).sum()) < 5]
    if small:
        out.append(
            f"Fewer than 5 real rows have the class {', '.join(map(repr, small[:5]))}; what is said of rare classes cannot be trusted."
        )
    if study.subsample and simulated:
        what = "rescaled to all rows" if study.law else "not rescaled: with all rows the loss rises by less"
        out.append(f"Simulated on a random part of {study.rows:,} of the {n:,} real rows, {what}.")
    if not simulated:
        out.append(
            f"Nothing was simulated: the part of {study.rows:,} rows that the budget has room for has no maximum-likelihood estimate of its own."
        )
    lost = [(row["name"], float(row["failed"][-1])) for row in document["workflows"] if row["failed"] is not None and row["failed"][-1] > 0]
    if lost:
        said = ", ".join(f"{_percent(share)} under {name}" for name, share in lost)
        out.append(
            f"Some runs have no estimate any more at generation {settings['generations']}: {said}. "
            "Such a run's loss counts as infinite; the mean does not exist, and quantiles may not."
        )
    elif study.law is not None and simulated:
        row = document["workflows"][0]
        rise, theory = float(row["simulated"][-1]) - first["loss"], float(row["derived"][-1]) - first["loss"]
        if abs(rise - theory) > 0.25 * abs(theory) + 4 * float(row["stderr"][-1]):
            out.append(
                f"The simulated rise of the loss is {rise / theory:.2g} times the derived one: {n:,} rows are not many for this table. "
                "Beyond the simulated generations the derived curve is a guess."
            )
    return out


def _answers(document: dict[str, Any]) -> list[str]:
    settings, first, ratio, rows = document["settings"], document["first"], document["ratio"], document["workflows"]
    asked, G, n = rows[0], settings["generations"], document["data"]["real_rows"]
    name = asked["name"]
    out = []
    if ratio["derived"] is not None:
        value = float(ratio["derived"][-1])
        said = (
            f"After {G} generations of {name} the excess risk is {value:.2f} times that of the first fit in the long run of rows "
            f"(90 % of single runs between {ratio['low'][-1]:.2f} and {ratio['high'][-1]:.2f}): 1,000 of your rows are worth {asked['worth'][-1]:,.0f}."
        )
        if ratio["simulated"] is not None and np.isfinite(ratio["simulated"][-1]):
            said += f" Simulated with {document['simulation']['rows']:,} rows: {ratio['simulated'][-1]:.2f} ± {ratio['stderr'][-1]:.2f}."
        elif ratio["simulated"] is not None:
            said += f" Simulated with {document['simulation']['rows']:,} rows its mean does not exist: some runs have no estimate."
        out.append(said)
    loss, low, high, how = _ending(asked)
    if document["simulation"]["subsample"] and asked["derived"] is None:
        how = f"simulated on {document['simulation']['rows']:,} of the real rows"
    if loss is None:
        out.append(
            f"The loss on the test set starts at {_number(first['loss'])}. After {G} generations of {name} its mean does not exist: "
            f"{_percent(float(asked['failed'][-1]))} of the runs have no estimate."
        )
    else:
        between = f"; 90 % of single runs end between {_number(low)} and {_number(high)}" if low is not None and high is not None else ""
        out.append(
            f"The loss on the test set, {document['model']['loss']}, starts at {_number(first['loss'])} and is {_number(loss)} after {G} generations "
            f"of {name} ({_signed(loss / first['loss'] - 1)}, {how}{between})."
        )
    out.append(_worse_sentence(document))
    better: list[tuple[float, dict[str, Any]]] = []
    for other in rows[1:]:
        ends = _ending(other)[0]
        if ends is not None and (loss is None or ends < loss):
            better.append((ends, other))
    if better:
        cheapest = min(better, key=lambda pair: (pair[1]["rows_stored"], pair[1]["rows_read"], pair[0]))
        best = min(better, key=lambda pair: pair[0])
        picks = [("The cheapest and the best", best)] if best is cheapest else [("The cheapest", cheapest), ("The best", best)]
        for which, (value, other) in picks:
            out.append(
                f"{which} of the workflows compared that does better is {other['name']}: its loss after {G} generations is {_number(value)} "
                f"({_signed(value / first['loss'] - 1)}). It carries {other['rows_stored']:,} rows over to the last fit "
                f"({_times(other['rows_stored'] / n)} your real ones), which reads {other['rows_read']:,}; {name} carries "
                f"{asked['rows_stored']:,} over and reads {asked['rows_read']:,}."
            )
    else:
        out.append(
            f"None of the workflows compared does better than {name}, which carries {asked['rows_stored']:,} rows over to the last fit and reads {asked['rows_read']:,}."
        )
    out.append(
        "Training on the real rows alone keeps the first loss for ever; a workflow matters where synthetic rows cannot be told apart or are wanted."
    )
    return out


def _worse_sentence(document: dict[str, Any]) -> str:
    settings, asked = document["settings"], document["workflows"][0]
    worse, G, share = asked["worse"], settings["generations"], _percent(settings["worse"])
    exact = asked["simulated_low"] is not None
    if exact and worse["simulated"] is not None:
        at, how, ends = worse["simulated"], "simulated", (worse["simulated_earliest"], worse["simulated_latest"])
    elif exact and (worse["derived"] is None or worse["derived"] <= G) and not asked["failed"][-1]:
        beyond = (
            ""
            if worse["derived"] is None and asked["derived"] is None
            else f", nor within {FAR:,} by the derived curve"
            if worse["derived"] is None
            else ""
        )
        return f"It does not become {share} worse on average within the {G} generations simulated{beyond}."
    elif worse["derived"] is not None:
        at, how, ends = (
            worse["derived"],
            "derived" + ("" if worse["derived"] <= G else ", beyond what was simulated"),
            (worse["derived_earliest"], worse["derived_latest"]),
        )
    elif asked["derived"] is not None:
        return f"It does not become {share} worse on average within {FAR:,} generations, by the derived curve."
    else:
        return f"Whether it becomes {share} worse on average cannot be said: some runs have no estimate."
    early = f"{ends[0]}" if ends[0] is not None else "none"
    late = f"{ends[1]}" if ends[1] is not None else "none seen"
    return f"It is {share} worse on average at generation {at} ({how}; single runs, 90 %: from generation {early} to {late})."


def _ending(row: dict[str, Any]) -> tuple[float | None, float | None, float | None, str]:
    """Loss at the last generation, its band, and how it is known: simulated where all rows were, otherwise derived."""
    if row["simulated_low"] is not None:
        loss, low, high = (float(row[key][-1]) for key in ("simulated", "simulated_low", "simulated_high"))
        return (
            (loss if np.isfinite(loss) else None),
            (low if np.isfinite(low) else None),
            (high if np.isfinite(high) else None),
            "simulated",
        )
    if row["derived"] is not None:
        return float(row["derived"][-1]), float(row["derived_low"][-1]), float(row["derived_high"][-1]), "derived"
    loss = float(row["simulated"][-1])
    return (loss if np.isfinite(loss) else None), None, None, "simulated on a part of the rows"


def _plain(value: Any) -> Any:
    """Lists, numbers and text that JSON holds; null where a number does not exist."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.2g} %"


def _times(value: float) -> str:
    return "as many as" if round(value, 2) == 1 else f"{value:.3g} times"


def _count(value: int, what: str) -> str:
    return f"{value:,} {what}" + ("" if value == 1 else "s")


def _teller(progress: bool) -> Callable[[str], None]:
    """Tell on stderr what is being done: on one line in a terminal, otherwise a line when the work changes."""
    last = [""]

    def tell(text: str) -> None:
        if not progress:
            return
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="\n" if text == "done" else "", file=sys.stderr, flush=True)
        elif text.split(":")[0] != last[0]:
            last[0] = text.split(":")[0]
            print(last[0], file=sys.stderr, flush=True)

    return tell
