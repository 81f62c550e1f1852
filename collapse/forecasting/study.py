"""What retraining on synthetic data would cost on a table of one's own."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse import checks, disk, models, workflows
from collapse.answers import Answer
from collapse.checks import brief, check_number, saved, to_text, whole
from collapse.closed_forms import closed_form
from collapse.comparison import compare
from collapse.derivation import derive
from collapse.forecasting import report
from collapse.forecasting.law import Classes, Counts, Family, Law, Normal, law_of, newton
from collapse.forecasting.separation import separation
from collapse.forecasting.table import Table, load, prepare
from collapse.plan import Plan
from collapse.publishing import plot
from collapse.reservoir import Reservoir
from collapse.risk import Risk, versions
from collapse.simulation import simulate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Plans = dict[str, Plan | Reservoir]

COMPARED = (
    "discard",
    "window(k=5)",
    "fixed_real_share(share=1/10)",
    "subsample",
    "augment",
    "fixed_real_share(share=1/2)",
)
"""Workflows that every forecast compares."""

FORMAT = 2
"""Of the document, as the schema of its file; `Forecast.load` reads 1, too."""

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
"""Rows for each coefficient, or of a level, below which first-order formulas are called
doubtful."""
UNSURE = 0.8
"""Standard deviation of what later generations add to a row's margin, above which they are called
doubtful.

Bands of nine tenths then held 80 % of logistic and Poisson runs or fewer.
"""
SMALL = 1e-12
"""First loss up to which changes are not told in parts of it."""
LONGEST = 5000
"""Most generations."""
UNKNOWN = 20
"""Standard error of a row's margin above which the estimate counts as none: its odds are known to
a factor of e^20."""
GENERATIONS = 20
"""Number of fits where nothing is said."""

COST = {
    "binary": (10e-9, 0.6e-9),
    "multiclass": (40e-9, 1e-9),
    "counts": (20e-9, 0.8e-9),
    "continuous": (1e-9, 0.0),
}
"""Nominal seconds of one fit, for each row and column and for each row and pair of columns."""
FIT_COST = 50e-6
"""Nominal seconds of any fit."""
ROW_COST = 150e-9
"""Nominal seconds for each row that is drawn or read by itself."""
RIDGE_COST = (2e-3, 60e-9)
"""Nominal seconds of one fit of scikit-learn, and for each of its rows, columns and classes."""


@dataclass(frozen=True, eq=False)
class Forecast(Answer):
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

    @property
    def notes(self) -> list[str]:
        """What was done to the data."""
        return list(self.document["data"]["notes"])

    def exceeds(self, limit: float) -> str | None:
        """Say by how much the last generation's test loss exceeds the first by more than a limit.

        Parameters
        ----------
        limit : float
            Largest rise that is allowed, in parts of the first loss: 0.1 for 10 %.

        Returns
        -------
        str or None
            A sentence; None where the limit holds. The loss is the one derived for many rows where
            there is one, else the simulated mean. A limit that cannot be checked counts as
            exceeded, and the sentence says why.

        Raises
        ------
        ValueError
            Where the limit is no number greater than 0.
        """
        check_number(limit, "limit", 0)
        first, asked = self.document["first"]["loss"], self.document["workflows"][0]
        after = f"after {self.document['settings']['generations']:,} generations of {asked['name']}"
        kind = "derived" if asked["derived"] is not None else "simulated"
        if asked[kind] is None:
            why = "nothing was derived or simulated"
        elif asked[kind][-1] is None:
            why = (
                f"its mean does not exist: {_percent(asked['failed'][-1])} of the simulated runs"
                " have no estimate"
            )
        elif first <= SMALL:
            why = (
                f"the first test loss is {_number(first)}, and no share of it tells how much the"
                " loss may rise"
            )
        else:
            rise = asked[kind][-1] / first - 1
            if rise <= limit:
                return None
            how = "derived for many rows" if kind == "derived" else "simulated"
            return (
                f"the test loss {after} is {_percent(rise)} above the first ({how}):"
                f" {_number(asked[kind][-1])} after {_number(first)}; the limit is"
                f" {_percent(limit)}."
            )
        return (
            f"whether the test loss {after} is within {_percent(limit)} of the first cannot be"
            f" told: {why}."
        )

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each generation of each workflow, NaN where a
        test loss was not derived or simulated.
        """
        rows, G = self.document["workflows"], self.document["settings"]["generations"]
        columns = {
            "workflow": [row["name"] for row in rows for _ in range(G)],
            "generation": [*range(1, G + 1)] * len(rows),
        }
        kinds = ("derived", "derived_low", "derived_high", "simulated", "stderr", "failed")
        return columns | {
            kind: np.array([v for row in rows for v in row[kind] or [None] * G], np.float64)
            for kind in kinds
        }

    def plot(self, figure: Figure | None = None) -> Figure:
        """Draw the test loss under the workflow asked for, as the report does.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            Where to draw; a new one by default.

        Raises
        ------
        ValueError
            Where nothing was derived or simulated, or figure is no figure.
        """
        from matplotlib.figure import Figure

        figure = Figure((plot.WIDE, 3.2), layout="constrained") if figure is None else figure
        if not isinstance(figure, Figure):
            raise ValueError(f"figure must be a matplotlib Figure; it is {brief(figure)}.")
        drawings = report.drawings(self.document)
        if "loss" not in drawings:
            raise ValueError("nothing was derived or simulated that a figure could show.")
        drawings["loss"].draw(figure)
        return figure

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return self.document

    def save_html(self, path: str | Path) -> Path:
        """Write the report, and return the path.

        It is one HTML file that needs nothing else, for light and dark, wide and narrow screens.

        Raises
        ------
        ValueError, OSError
            Where the path is that of no file, or the system cannot write there.
        """
        disk.named(path)  # before the report is made, which takes a while
        return disk.write(path, report.html(self.document))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Forecast:
        """Rebuild an answer from its document, this version's or an older one's.

        Raises
        ------
        ValueError
            Where the document is not what `to_json` returned.
        """
        with saved("this Forecast"):
            if document["format"] == 1:  # which gave no reasons, nor compared with a constant
                document["first"] |= dict.fromkeys(("constant", "gain", "gain_stderr"))
                document["model"]["separating"] = None
                document["simulation"]["why"] = None
                document["data"]["rare"] = []
                for row in document["workflows"]:
                    row["worse_why"] = dict.fromkeys(row["worse"])
            answer = cls(document)
            answer.sentences, answer.warnings, answer.notes, repr(answer), answer.exceeds(1)
            return answer

    def __repr__(self) -> str:
        data, settings = self.document["data"], self.document["settings"]
        return (
            f"<Forecast of {data['target']} in {data['source']}: {settings['workflow']},"
            f" {settings['generations']} generations>"
        )


def forecast(
    data: str | Path | pd.DataFrame,
    target: str,
    workflow: str | Plan | Reservoir = "augment",
    generations: int | None = None,
    *,
    real_share: float | Fraction | str | None = None,
    task: str | None = None,
    against: str | Plan | Reservoir | Sequence[str | Plan | Reservoir] = COMPARED,
    test_share: float = 0.3,
    test_file: str | Path | pd.DataFrame | None = None,
    exclude: str | Sequence[str] = (),
    na: Any = (),
    encoding: str | None = None,
    worse: float = 0.1,
    budget: float = 60.0,
    rng: int | np.random.SeedSequence | np.random.Generator | None = 0,
    folder: str | Path | None = None,
    progress: bool | checks.Progress | None = None,
) -> Forecast:
    """Forecast what retraining on synthetic data would cost on a table of your own.

    The table is split into real data and a test set. A regression is fitted to the real data; its
    rows are then labelled anew by the models, generation after generation, as the workflow says.
    The loss on the test set is derived for many rows, and simulated.

    Parameters
    ----------
    data : path or pandas.DataFrame
        A CSV, Excel (.xlsx) or parquet file with a header, packed or not, or the table itself.
    target : str
        Column to predict.
    workflow : str, Plan or Reservoir
        What each generation is trained on: a name, as `collapse.workflows.named` takes it
        ("augment", "window(k=3)"), or any workflow with one real batch and one model.
    generations : int, optional
        Number of fits G, the first one to the real data. Default: 20, or as many as a workflow
        that is given as a Plan or Reservoir has.
    real_share : float, Fraction or str, optional
        Short for the workflow fixed_real_share(share=...): the weight of the real rows beside the
        latest synthetic batch.
    task : {"binary", "multiclass", "counts", "continuous"}, optional
        What the target is. Default: guessed, and said.
    against : str, Plan or Reservoir, or a sequence of them
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
        Nominal seconds of simulation: replications are chosen by a table of costs, not by the
        clock, so that the same arguments give the same numbers on every machine. What is read,
        fitted and derived is not counted.
    rng : int, numpy.random.SeedSequence, numpy.random.Generator or None
        Seed of the split and of all simulations; the same seed gives the same numbers, and the
        document tells it. A Generator is asked for a seed; None is a fresh one.
    folder : path, optional
        Where finished simulations are kept; the same call goes on from there after an interruption.
    progress : callable or bool, optional
        Called as progress(done, total) in replications of all simulations together. True: tell on
        stderr what is being done.

    Returns
    -------
    Forecast
        `document` holds, with lists over the G generations, null where a number does not exist:

        - ``collapse``: "forecast"; ``format``: 2; ``seed``; ``versions``
        - ``data``: ``source``, ``target``, ``rows``, ``unlabelled``, ``real_rows`` n,
          ``test_rows``, ``features``, ``columns`` (of the design), ``classes``, ``rare`` (levels of
          text columns with fewer than 20 real rows: ``column``, ``level``, ``rows``), ``notes``
          (what was done to the data)
        - ``task``: ``name``, ``guessed``
        - ``model``: ``name``, ``coefficients``, ``estimator`` ("maximum likelihood" or "ridge"),
          ``fallback`` (why not maximum likelihood, or null), ``separating`` (the columns of the
          design that separate the classes, or null), ``loss`` (its name and unit)
        - ``settings``: ``workflow``, ``generations``, ``real_share``, ``against``, ``worse``,
          ``budget``, ``band``, ``test_share`` (null with a ``test_file``), ``test_file`` (name)
        - ``simulation``: ``replications``, ``rows``, ``subsample`` (whether these are fewer than
          n), ``why`` (not all rows, or nothing, or not every workflow was simulated; or null)
        - ``first``: ``loss`` of the fit to all real rows on the test set, its ``stderr`` for the
          choice of test rows, and ``kappa``: for many rows the loss rises by (ratio - 1) kappa /
          n; null for ridge. ``constant``: the test loss of the best constant on the real rows
          (mean, or shares of the classes), ``gain``: by how much the model's is less,
          ``gain_stderr`` for the choice of test rows
        - ``ratio``: of excess risk, for the workflow asked for: ``derived`` with the band of one
          run, ``low`` and ``high``; ``simulated``, ``stderr``, ``simulated_low``,
          ``simulated_high``: experiments in a world in which the first fit is the truth
        - ``workflows``: for each workflow ``name``, ``asked`` (whether it is the one asked for),
          ``ratio``, ``worth`` (rows that 1,000 are worth), ``rows_read`` by the last fit and
          ``rows_stored``, carried over to it from earlier generations; ``derived`` test loss with
          the band of one run, ``derived_low`` and ``derived_high``; ``simulated`` with ``stderr``,
          ``simulated_low``, ``simulated_median``, ``simulated_high`` (a subsample's are rescaled to
          n rows, and it has no band), ``failed``: the share of replications without an estimate,
          null where not all rows were simulated; ``worse``, the generation at which the loss is
          worse by the share asked for, null where there is none or it was not found: ``derived``
          and ``simulated`` for the mean, and with ``_earliest`` and ``_latest`` for the upper and
          the lower end of the band; ``worse_why``, with the same keys: in words, why it is null
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
    Whether a maximum-likelihood estimate exists, the fit and its loss are found on all real rows.
    What costs more than the budget to simulate on all of them is simulated on a part, which
    replaces nothing of that; or, where the part has no estimate or a run loses its own, not at all.

    Where no maximum-likelihood estimate exists (separated classes, columns not fewer than rows) the
    model is ridge regression by `collapse.models.from_estimator`, and the document says so; nothing
    is derived for it, since later generations inherit its bias, and it is simulated on all rows or
    not at all.

    Examples
    --------
    >>> import pandas as pd, collapse
    >>> x = np.random.default_rng(1).standard_normal(400)
    >>> table = pd.DataFrame({"x": x, "y": x + np.random.default_rng(2).standard_normal(400)})
    >>> answer = collapse.forecast(table, "y", "discard", 5, against=["augment"])
    >>> rows = answer.document["workflows"]
    >>> answer.document["task"], [round(row["ratio"][-1], 4) for row in rows]
    ({'name': 'continuous', 'guessed': True}, [5.0, 1.4636])
    """
    if not isinstance(target, str):
        raise ValueError(f"target must be the name of a column, as text; it is {brief(target)}.")
    if real_share is not None:
        real_share = _real_share(real_share)
        if not isinstance(workflow, str) or workflow not in ("augment", "fixed_real_share"):
            short = f"real_share, short for fixed_real_share(share={real_share})"
            raise ValueError(f"give either {short}, or workflow={brief(workflow)}; not both.")
        workflow = f"fixed_real_share(share={real_share})"
    check_number(worse, "worse", 0)
    check_number(budget, "budget", 0)
    seed = checks.seed(rng)
    plans = _plans(workflow, against, generations)
    generations = next(iter(plans.values())).generations
    folder = None if folder is None else disk.folder(folder)
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
        "real_share": real_share,
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


def _real_share(share: object) -> str:
    """Return a share as it is written in the name of a workflow."""
    try:
        text = share if isinstance(share, str) else to_text(check_number(share, "real_share"))
        workflows.named(f"fixed_real_share(share={text})", 1)
    except ValueError as error:
        wanted = "a number from 0 to 1, or text such as '1/4'"
        raise ValueError(f"real_share must be {wanted}; it is {brief(share)}.") from error
    return text


def _plans(workflow: object, against: object, generations: int | None) -> Plans:
    """Return the workflows by name, the one asked for first."""
    kinds = (str, Plan, Reservoir)
    others = [against] if isinstance(against, kinds) else against
    if not isinstance(others, Sequence) or isinstance(others, (bytes, bytearray)):
        wanted = "a workflow or a list of them, such as ['discard', 'window(k=3)']"
        raise ValueError(f"against must be {wanted}; it is {brief(against)}.")
    given: list[tuple[str, str | Plan | Reservoir]] = []
    for where, one in chain([("", workflow)], (("against: ", other) for other in others)):
        if not isinstance(one, kinds):
            wanted = "a name such as 'augment' or 'window(k=3)', or a Plan or Reservoir"
            raise ValueError(f"{where}a workflow must be {wanted}; it is {brief(one)}.")
        given.append((where, one))
    if generations is None:
        lengths = [len(np.unique(one.generation)) for _, one in given if not isinstance(one, str)]
        generations = lengths[0] if lengths else GENERATIONS
    generations = whole(generations, "generations", "number of fits", most=LONGEST)
    plans: Plans = {}
    for where, one in given:
        try:
            plan = _plan(one, generations)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from error
        if plan.name in plans and plan.to_json() != plans[plan.name].to_json():
            raise ValueError(
                f"two different workflows are called {plan.name!r}; give one of them another name."
            )
        plans.setdefault(plan.name, plan)
    return plans


def _plan(given: str | Plan | Reservoir, generations: int) -> Plan | Reservoir:
    plan = workflows.named(given, generations) if isinstance(given, str) else given
    labels = len(np.unique(plan.generation))
    if labels != generations:
        raise ValueError(
            f"{plan.name} has {labels} generations, and {generations} are asked for; make all"
            " workflows equally long."
        )
    real = plan.real_sizes()
    if len(real) > 1 or plan.generations != generations:
        raise ValueError(
            f"{plan.name} needs several tables of real data, or several models, and there is one of"
            " each; collapse.derive tells its ratio, which does not depend on the data."
        )
    if real != 1:
        raise ValueError(
            f"{plan.name} has a real batch of {float(real[0]):g} times the"
            " real rows, and there are just these; make its size 1."
        )
    return plan


# --- the study: model, fit and simulations --------------------------------------------------------

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
    """A table with its model: the fit to all rows, its law, and the models to simulate on these
    rows or on a part of them.
    """

    table: Table
    name: str
    loss: str
    each: Array
    """Loss of the first fit to all real rows, on every test row."""
    fallback: str | None
    separating: tuple[str, ...]
    rows: int
    replications: int
    """None are simulated where 0."""
    why: str | None
    """Why not all rows, or nothing, is simulated."""
    observed: Any
    """The model whose real labels are those of the table; None where nothing is simulated."""
    world: Any
    """The model in whose world the first fit is the truth; None for ridge."""
    law: Law | None
    part: Law | None
    """The law for the rows that are simulated."""
    dispersion: float | None = None
    only: tuple[str, ...] | None = None
    """Workflows that are simulated, where not all are."""

    @classmethod
    def of(cls, table: Table, plans: Plans, budget: float, seed: int) -> _Study:
        n, p = table.X.shape
        if p >= n:
            why = (
                f"the design has {p:,} columns for {n:,} rows, so that maximum likelihood has no"
                " single answer"
            )
            return cls._by_ridge(table, plans, budget, why)
        family: Family = Classes(len(table.classes) - 1) if table.classes else Counts()
        if table.task == "continuous":
            theta = np.asarray(np.linalg.lstsq(table.X, table.y)[0], np.float64)
            family = Normal(float(((table.y - table.X @ theta) ** 2).sum() / (n - p)))
            if family.variance <= 1e-20 * float(table.y.var()):
                why = (
                    "the columns predict the target without error, so that there is no noise to"
                    " draw labels with"
                )
                return cls._by_ridge(table, plans, budget, why)
            return cls._by_likelihood(table, plans, budget, seed, family, theta, None)
        start = np.zeros(p * family.outputs)
        if table.task == "counts":
            start[0] = np.log(max(table.y.mean(), 1e-300))
        fitted = newton(family, table.X, table.y, start)
        if fitted is None:
            return cls._by_ridge(table, plans, budget, *_no_estimate(table))
        law = law_of(family, fitted, table.X, table.X_test, table.y_test)
        if law.unsure > UNKNOWN:
            why = (
                f"the labels hardly determine the maximum-likelihood estimate: the {_margin(table)}"
                f" of some real rows has a standard error of {_number(law.unsure)}, as where"
                " classes can all but be told apart without error, or counts are all but zero"
            )
            return cls._by_ridge(table, plans, budget, why)
        return cls._by_likelihood(table, plans, budget, seed, family, fitted, law)

    @classmethod
    def _by_likelihood(
        cls,
        table: Table,
        plans: Plans,
        budget: float,
        seed: int,
        family: Family,
        theta: Array,
        law: Law | None,
    ) -> _Study:
        make, name = MAXIMUM_LIKELIHOOD[table.task]
        X, y, (n, p) = table.X, table.y, table.X.shape
        dispersion = None
        if table.task == "counts":
            mean = np.exp(X @ theta)
            dispersion = float(((y - mean) ** 2 / mean).sum() / (n - p))
        law = own = law or law_of(family, theta, X, table.X_test, table.y_test)
        rows, replications, why = _affordable(table, plans, budget)
        part = _part_of(table, rows, seed)
        more: dict[str, Any] = {"classes": len(table.classes)} if table.task == "multiclass" else {}
        noise = {"sigma": np.sqrt(family.variance)} if isinstance(family, Normal) else {}
        observed = None
        if rows == n or np.linalg.matrix_rank(part.X) == p:
            observed = make(part.X, y=part.y, test=(part.X_test, part.y_test), **more, **noise)
        if observed is None or not np.isfinite(observed.truth).all():
            if rows == n:
                why = (
                    "the real classes are separated but for rounding, so that no run would have an"
                    " estimate for long"
                )
            else:
                why = (
                    f"{why}; the part of {rows:,} rows that it has room for has no"
                    " maximum-likelihood estimate of its own"
                )
            return cls(
                table,
                name,
                LOSSES[table.task],
                law.each,
                None,
                (),
                rows,
                0,
                why,
                None,
                None,
                law,
                law,
                dispersion,
            )
        beta = theta.reshape(-1, p) if table.task == "multiclass" else theta
        world = make(part.X, beta, **noise)
        if rows < n:
            own = law_of(family, observed.truth, part.X, part.X_test, part.y_test)
        return cls(
            table,
            name,
            LOSSES[table.task],
            law.each,
            None,
            (),
            rows,
            replications,
            why,
            observed,
            world,
            law,
            own,
            dispersion,
        )

    @classmethod
    def _by_ridge(
        cls,
        table: Table,
        plans: Plans,
        budget: float,
        fallback: str,
        separating: tuple[str, ...] = (),
    ) -> _Study:
        from sklearn.linear_model import LogisticRegression, Ridge

        estimator = LogisticRegression(C=1.0, max_iter=5000) if table.classes else Ridge(alpha=1.0)
        name = "ridge regression" if not table.classes else "ridge logistic regression"
        name += (
            f" ({type(estimator).__name__}({'C' if table.classes else 'alpha'}=1.0) of scikit-learn"
            " on standardised columns)"
        )
        if table.task == "counts":
            name += " with normal labels in place of counts"
        model = models.from_estimator(
            estimator, table.X[:, 1:], table.y, test=(table.X_test[:, 1:], table.y_test)
        )
        each = _losses_of(model, bool(table.classes))
        loss = LOSSES["continuous" if table.task == "counts" else table.task]
        n = len(table.y)
        # a part of the rows would tell of a fit that shrinks more; rather some workflows on all
        # rows
        rows, replications, why = _affordable(table, plans, budget, ridge=True)
        chosen = list(plans)
        while rows < n and len(chosen) > 1:
            chosen.pop()
            part = {name: plans[name] for name in chosen}
            rows, replications, _ = _affordable(table, part, budget, ridge=True)
        if rows < n:
            chosen, replications = [], 0
        observed = model if chosen else None
        only = tuple(chosen)
        return cls(
            *(table, name, loss, each, fallback, separating, n, replications, why, observed, None),
            *(None, None, None, only),
        )

    @property
    def subsample(self) -> bool:
        return self.rows < len(self.table.y)

    def simulations(
        self, plans: Plans, seed: int, folder: Path | None, tell: _Teller
    ) -> dict[str | None, Risk | str]:
        """Test losses under each workflow, and under None excess risks under the first one; or why
        there are none.

        What a part of the rows can tell is not kept where some run has lost its estimate: with all
        rows it may not have.
        """
        if self.observed is None:
            return {name: str(self.why) for name in plans}
        store = None if folder is None else _Store(folder / "finished", self._key(seed))
        only = plans if self.only is None else self.only
        tasks: list[tuple[str | None, Plan | Reservoir, Any]]
        tasks = [(name, plan, self.observed) for name, plan in plans.items() if name in only]
        if self.world is not None:
            tasks.insert(0, (None, tasks[0][1], self.world))
        out: dict[str | None, Risk | str] = {
            name: str(self.why) for name in plans if name not in only
        }
        total = len(tasks) * self.replications
        for k, (name, plan, model) in enumerate(tasks):
            step = f"simulating {plan.name} ({k + 1} of {len(tasks)})"
            before = k * self.replications

            def told(done: int, each: int, step: str = step, before: int = before) -> None:
                counted = (before + done, total) if done < each else ()
                tell(f"{step}: {done:,} of {each:,} replications", *counted)

            label = f"{'ratio' if name is None else 'loss'} {json.dumps(plan.to_json())}"
            outcome: Risk | str | None = store.get(label) if store else None
            if outcome is None:
                tell(step)
                try:
                    outcome = simulate(
                        plan,
                        model=model,
                        replications=self.replications,
                        rng=seed,
                        quantiles=(BAND[0], 0.5, BAND[1]),
                        progress=told,
                    )
                except (np.linalg.LinAlgError, RuntimeError):
                    outcome = "the fit of some run did not end"
                except ValueError as error:  # it asks for parts of rows, or for less than one
                    outcome = str(error).rstrip(".")
                if store and isinstance(outcome, Risk):
                    store.put(label, outcome)
            lost = self.subsample and isinstance(outcome, Risk) and bool(outcome.failed.any())
            out[name] = LOST if lost else outcome
            tell("", before + self.replications, total)
        return out

    def _key(self, seed: int) -> str:
        parts = (self.replications, seed, versions(), disk.package(), self.name, self.rows)
        digest = hashlib.sha256(repr(parts).encode())
        for values in (self.table.X, self.table.y, self.table.X_test, self.table.y_test):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


LOST = "on the part of the rows that was simulated some runs lost their estimate"


def _no_estimate(table: Table) -> tuple[str, tuple[str, ...]]:
    """Return why there is no maximum-likelihood estimate, and the columns that separate the
    labels."""
    found = separation(table.X, table.y, len(table.classes))
    if found is None:
        what = (
            "some classes can be told apart without error, or all but, by a linear rule"
            " (separation)"
            if table.classes
            else "the counts of some rows are all zero, or all but"
        )
        return (
            (
                "Newton's method finds no maximum-likelihood estimate that double precision"
                f" determines: {what}"
            ),
            (),
        )
    names = tuple(table.columns[j] for j in found.columns)
    one = len(names) == 1
    quoted = [repr(name) for name in names]
    if len(names) > 6:
        quoted[5:] = [f"{len(names) - 5} more"]
    listed = " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
    which = (
        f"column {listed}"
        if one
        else f"columns {listed}{', each by itself,' if found.alone else ' together'}"
    )
    if not table.classes:
        marks = "marks" if one else "mark"
        return (
            (
                f"no maximum-likelihood estimate exists: {which} {marks} rows whose counts are all"
                " zero (separation)"
            ),
            names,
        )
    told = " and ".join(repr(table.classes[k]) for k in found.told)
    apart = f"classes {told}" if len(table.classes) == 2 else f"class {told} from the others"
    return (
        f"no maximum-likelihood estimate exists: {which} {'separates' if one else 'separate'}"
        f" {apart}, which can be " + "told apart without error, ties aside (separation)",
        names,
    )


def _margin(table: Table) -> str:
    return "log mean" if table.task == "counts" else "log-odds"


def _losses_of(model: Any, classified: bool) -> Array:
    """Loss of the first fit of an estimator on each row of the test set."""
    y, predicted = model.test_y, model._predicted(model.truth)
    if classified:
        return np.asarray(
            -np.log(np.maximum(predicted[np.arange(len(y)), model.test_code], 1e-300))
        )
    return np.asarray((y - predicted) ** 2)


def _constant(table: Table, ridge: bool) -> Array:
    """Loss on each row of the test set of the best constant on the real rows: shares of the
    classes, or the mean."""
    y, y_test = table.y, table.y_test
    if table.classes:
        share = np.bincount(y.astype(np.intp), minlength=len(table.classes)) / len(y)
        return np.asarray(-np.log(np.maximum(share[y_test.astype(np.intp)], 1e-300)))
    if table.task == "counts" and not ridge:
        return Counts().deviance(np.full((1, len(y_test)), np.log(max(y.mean(), 1e-300))), y_test)
    return np.asarray((y_test - y.mean()) ** 2)


def _affordable(
    table: Table, plans: Plans, budget: float, ridge: bool = False
) -> tuple[int, int, str | None]:
    """Rows and replications to simulate by the table of costs, and why not all rows.

    Three quarters of the rows, and again, until the fewest replications fit.
    """
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
                by_rows = (
                    0.0 if plan.reads_whole_batches else ROW_COST * (plan.generations * rows + read)
                )
                # the workflow asked for is simulated twice
                seconds += (2 if k == 0 else 1) * (
                    plan.generations * (FIT_COST + rows * q * p * (linear + square * p)) + by_rows
                )
        return seconds

    rows = n
    least = min(n, max(LEAST_ROWS, 0 if ridge else 5 * p * q))
    while rows > least and (
        fewest * cost(rows) > budget or (not ridge and rows * p * (p + 1) / 2 > PRODUCTS)
    ):
        rows = max(rows * 3 // 4, least)
    why = None
    if rows < n and fewest * cost(n) > budget:
        why = (
            f"{fewest} runs of each workflow on all {n:,} real rows take about "
            f"{fewest * cost(n):,.3g} nominal seconds, and the budget is {budget:g}"
        )
    elif rows < n:
        why = (
            f"all {n:,} real rows with the products of {p:,} columns take more than 1 GB of memory"
        )
    return rows, int(np.clip(budget / cost(rows), fewest, most)), why


def _part_of(table: Table, rows: int, seed: int) -> Table:
    """The table, or a part with so many real rows, classes in their shares, and with no more test
    rows.
    """
    if rows == len(table.y):
        return table
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(len(table.y))
    if table.classes:
        order = order[np.argsort(table.y[order], kind="stable")]
    chosen = np.sort(order[(np.arange(rows) * len(order)) // rows])
    test = np.sort(rng.permutation(len(table.y_test))[:rows])
    return replace(
        table,
        X=table.X[chosen],
        y=table.y[chosen],
        X_test=table.X_test[test],
        y_test=table.y_test[test],
    )


def _read(plan: Plan | Reservoir) -> float:
    """Rows read by all fits together, as a multiple of n."""
    return float(plan.rows_read().sum())


class _Store:
    """Simulations that are finished, a file for each."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, label: str) -> Path:
        return (
            self.folder / f"{hashlib.sha256(f'{self.key} {label}'.encode()).hexdigest()[:24]}.json"
        )

    def get(self, label: str) -> Risk | None:
        path = self._path(label)
        if not path.is_file():
            return None
        try:
            return Risk.load(path)
        except ValueError:  # a damaged file is no finished work
            return None

    def put(self, label: str, risk: Risk) -> None:
        risk.save(self._path(label))


# --- the answers ----------------------------------------------------------------------------------


def _document(
    table: Table,
    study: _Study,
    plans: Plans,
    outcomes: dict[str | None, Risk | str],
    settings: dict[str, Any],
    source: str,
    target: str,
    seed: int,
) -> dict[str, Any]:
    simulated = {name: risk for name in plans if isinstance(risk := outcomes[name], Risk)}
    unknown = {name: why for name in plans if isinstance(why := outcomes[name], str)}
    worlds = outcomes.get(None)
    law, m = study.law, len(table.y_test)
    constant = _constant(table, law is None)
    gain = constant - study.each
    first: dict[str, Any] = {
        "loss": float(study.each.mean()),
        "stderr": float(study.each.std(ddof=1) / np.sqrt(m)) if m > 1 else None,
        "kappa": law.kappa if law else None,
        "constant": float(constant.mean()),
        "gain": float(gain.mean()),
        "gain_stderr": float(gain.std(ddof=1) / np.sqrt(m)) if m > 1 else None,
    }
    rows = [
        _row(name, plan, study, outcomes[name], first["loss"], settings, seed, k == 0)
        for k, (name, plan) in enumerate(plans.items())
    ]
    document = {
        "collapse": "forecast",
        "format": FORMAT,
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
            "rare": [
                {"column": column, "level": level, "rows": count}
                for column, level, count in table.rare
            ],
            "notes": list(table.notes),
        },
        "task": {"name": table.task, "guessed": table.guessed},
        "model": {
            "name": study.name,
            "estimator": "maximum likelihood" if study.fallback is None else "ridge",
            "fallback": study.fallback,
            "separating": list(study.separating) or None,
            "coefficients": table.X.shape[1] * max(len(table.classes) - 1, 1),
            "loss": study.loss,
        },
        "settings": settings,
        "simulation": {
            "replications": study.replications if simulated else 0,
            "rows": study.rows if simulated else 0,
            "subsample": study.subsample and bool(simulated),
            "why": study.why or "; ".join(dict.fromkeys(unknown.values())) or None,
        },
        "first": first,
        "ratio": _ratio(
            next(iter(plans.values())), study, worlds if isinstance(worlds, Risk) else None
        ),
        "workflows": rows,
    }
    document["warnings"] = _warnings(document, study, plans, simulated, unknown)
    document["answers"] = _answers(document)
    plain = _plain(document)
    assert isinstance(plain, dict)
    return plain


def _ratio(plan: Plan | Reservoir, study: _Study, simulated: Risk | None) -> dict[str, Any]:
    out: dict[str, Any] = dict.fromkeys(
        ("derived", "low", "high", "simulated", "stderr", "simulated_low", "simulated_high")
    )
    if study.law is None:
        return out
    from scipy.special import gammaincinv

    derived, d = derive(plan).ratio, len(study.law.spread)
    # a run's excess risk is its mean times a chi-squared variate over its degrees of freedom
    low, high = (derived * 2 * gammaincinv(d / 2, level) / d for level in BAND)
    out |= {"derived": derived, "low": low, "high": high}
    if simulated is not None:
        bottom, _, top = simulated.quantiles / simulated.risk[0]
        out |= {
            "simulated": simulated.ratio,
            "stderr": simulated.stderr,
            "simulated_low": bottom,
            "simulated_high": top,
        }
    return out


def _row(
    name: str,
    plan: Plan | Reservoir,
    study: _Study,
    outcome: Risk | str,
    first: float,
    settings: dict[str, Any],
    seed: int,
    asked: bool,
) -> dict[str, Any]:
    law, part, G = study.law, study.part, plan.generations
    costs = compare(plan)
    n, bad = len(study.table.y), (1 + settings["worse"]) * first
    limit = derive(plan)
    row: dict[str, Any] = {"name": name, "family": plot.family_of(name), "asked": asked}
    row |= (
        {"ratio": limit.ratio, "worth": 1000 / limit.risk}
        if law
        else {"ratio": None, "worth": None}
    )
    row |= {
        "rows_read": round(float(costs.read[0]) * n),
        "rows_stored": round(float(costs.stored[0]) * n),
    }
    row |= dict.fromkeys(("derived", "derived_low", "derived_high", "simulated", "stderr"))
    row |= dict.fromkeys(("simulated_low", "simulated_median", "simulated_high", "failed"))
    worse: dict[str, int | None] = dict.fromkeys(WORSE)
    why: dict[str, str | None] = dict.fromkeys(WORSE, "not computed: nothing is derived for ridge")
    if law is not None:
        C = limit.risk
        low, high = law.band(C, BAND, seed)
        row |= {"derived": law.mean(C), "derived_low": low, "derived_high": high}
        far, named = _far(plan)
        low, high = law.band(far, BAND, seed)
        worse |= {
            "derived": _reached(law.mean(far), bad),
            "derived_earliest": _reached(high, bad),
            "derived_latest": _reached(low, bad),
        }
        within = f"not within {len(far):,} generations, for many rows"
        why |= dict.fromkeys(WORSE[:3], within)
        if worse["derived"] is None:
            why["derived"] = _never(law, plan if named else None, bad) or within
    simulated = outcome if isinstance(outcome, Risk) else None
    if simulated is None:
        why |= dict.fromkeys(WORSE[3:], f"not computed: {outcome}")
    elif law is not None and part is not None and study.subsample:
        # the rise for m rows, as a multiple of the one derived for m rows, times the one derived
        # for n rows
        scale = (law.kappa / law.n) / (part.kappa / part.n)
        row |= {
            "simulated": law.loss + scale * (simulated.risk - part.loss),
            "stderr": abs(scale) * simulated.risk_stderr,
        }
        why |= dict.fromkeys(WORSE[3:], "not computed: not all rows were simulated")
    else:
        low, middle, high = simulated.quantiles
        row |= {
            "simulated": simulated.risk,
            "stderr": simulated.risk_stderr,
            "failed": simulated.failed,
        }
        row |= {"simulated_low": low, "simulated_median": middle, "simulated_high": high}
        worse |= {
            "simulated": _reached(simulated.risk, bad),
            "simulated_earliest": _reached(high, bad),
            "simulated_latest": _reached(low, bad),
        }
        within = f"not within the {G:,} generations simulated"
        why |= dict.fromkeys(WORSE[3:], within)
        if simulated.failed.any():
            lost = int(np.argmax(simulated.failed > 0)) + 1
            why["simulated"] = (
                f"{within} as far as there is a mean: from generation {lost} on some runs have no"
                " estimate"
            )
    row["worse"] = worse
    row["worse_why"] = {key: None if worse[key] else why[key] for key in WORSE}
    return row


WORSE = (
    *("derived", "derived_earliest", "derived_latest"),
    *("simulated", "simulated_earliest", "simulated_latest"),
)


def _far(plan: Plan | Reservoir) -> tuple[Array, bool]:
    """C of the workflow, as far as the derived curve is followed, and whether it is the workflow
    that its recipe names."""
    G, recipe, C = plan.generations, plan.recipe, np.asarray(derive(plan).risk, np.float64)
    if recipe is None:
        return C, False  # nothing tells how it goes on
    many = not plan.persistent and plan.batches > 2 * G  # as many batches as generations squared
    try:
        long = workflows.NAMED[recipe.workflow](G if many else max(FAR, G), **recipe.parameters)
    except ValueError:  # a schedule of sizes is as long as it is
        return C, False
    far = np.asarray(derive(long).risk, np.float64)
    same = bool(np.allclose(far[:G], C, rtol=1e-9))
    return (far if same else C), same


def _never(law: Law, plan: Plan | Reservoir | None, bad: float) -> str | None:
    """Say that the derived mean never reaches a loss, where the workflow's closed form proves
    it."""
    if law.kappa <= 0:
        return "never, for many rows: the loss does not rise on average"
    if plan is None:
        return None
    try:
        form = closed_form(plan)
    except ImportError:  # without sympy there is no closed form
        return None
    if form is None or form.bound is None:
        return None
    bound = float(form.bound) * float(derive(plan).risk[0])
    needed = 1 + (bad - law.loss) * law.n / law.kappa
    if bound > needed:
        return None
    return (
        f"never, for many rows: the excess risk is at most {bound:.4g} times that of a fit to all "
        f"real rows, and {needed:.4g} times is needed"
    )


def _reached(values: Array, level: float) -> int | None:
    with np.errstate(invalid="ignore"):
        there = np.flatnonzero(values >= level)
    return int(there[0]) + 1 if len(there) else None


def _warnings(
    document: dict[str, Any],
    study: _Study,
    plans: Plans,
    simulated: dict[str, Risk],
    unknown: dict[str, str],
) -> list[str]:
    data, first, settings = document["data"], document["first"], document["settings"]
    n, m, d = data["real_rows"], data["test_rows"], document["model"]["coefficients"]
    out = list(study.table.cautions)
    if data["rows"] < 50:
        out.append(
            f"{data['rows']} rows are very few: the fit, the test loss on {_count(m, 'row')} and"
            " with them every number here may be far off; take the direction of the answers, not"
            " their size."
        )
    if study.fallback:
        leave = (
            " Where such columns are known only after the target is, leave them out; otherwise"
            " these are the answers."
            if study.separating
            else ""
        )
        out.append(
            f"The model is {study.name}, not maximum likelihood: {study.fallback}. The derived"
            " ratios hold for maximum likelihood only, so none is given; shrinkage adds a bias"
            " that later generations inherit." + leave
        )
    elif n < FEW * d:
        out.append(
            f"There are {n / d:.1f} rows for each of the {d:,} coefficients; the derived curves are"
            f" for many (about {FEW} or more). Where simulated and derived values differ, believe"
            " the simulated ones."
        )
    if data["rare"]:
        named = [
            f"{one['level']!r} of {one['column']!r} ({_count(one['rows'], 'row')})"
            for one in data["rare"]
        ]
        listed = ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
        out.append(
            f"Few real rows have the {'level' if len(named) == 1 else 'levels'} {listed}: what the"
            " model knows of such rows rests on these alone, and what is said of them cannot be"
            " trusted."
        )
    out += _unsure(study, plans, simulated)
    gain, noise = first["gain"], first["gain_stderr"]
    if noise is None or gain <= 2 * noise:
        what = "the classes' shares among" if data["classes"] else "the mean of"
        error = "" if noise is None else f" ± {_number(noise)}"
        out.append(
            f"The model does not beat the constant, {what} the real rows, beyond noise: on the"
            f" {_count(m, 'test row')} its loss is {_number(first['loss'])}, the constant's"
            f" {_number(first['constant'])}; the gain is {_number(gain)}{error} (one standard"
            " error). What retraining adds to such a loss says little; look for columns that tell"
            " more."
        )
    if first["stderr"] is None or first["stderr"] > 0.5 * settings["worse"] * abs(first["loss"]):
        error = (
            "is unknown"
            if first["stderr"] is None
            else f"has a standard error of {_number(first['stderr'])}"
        )
        out.append(
            f"The first test loss, {_number(first['loss'])} on {_count(m, 'row')}, {error}:"
            f" {_percent(settings['worse'])} worse cannot be told from another choice of test rows."
        )
    if study.dispersion is not None and (study.dispersion > 1.5 or study.dispersion < 0.67):
        out.append(
            f"The counts vary {study.dispersion:.1f} times as much as a Poisson law allows: labels"
            f" drawn by the model are {'less' if study.dispersion > 1 else 'more'} noisy than"
            " yours. The rise of the loss holds for the model's labels."
        )
    small = [name for k, name in enumerate(data["classes"]) if int((study.table.y == k).sum()) < 5]
    if small:
        out.append(
            f"Fewer than 5 real rows have the class {', '.join(map(repr, small[:5]))}; what is said"
            " of rare classes cannot be trusted."
        )
    why = document["simulation"]["why"]
    if not simulated:
        out.append(f"Nothing was simulated: {why}.{_remedy(study)}")
    elif study.subsample:
        out.append(
            f"Simulated on a random part of {study.rows:,} of the {n:,} real rows, rescaled to all"
            f" rows: {why}. The first loss and the derived values are of all rows, and are the"
            " answers."
        )
    if simulated and unknown:
        names = {
            why: [name for name in unknown if unknown[name] == why] for why in unknown.values()
        }
        said = "; ".join(f"{', '.join(names[why])}: {why}" for why in names)
        out.append(f"Not simulated, so that only what is derived is known of it: {said}.")
    lost = [
        (row["name"], float(row["failed"][-1]))
        for row in document["workflows"]
        if row["failed"] is not None and row["failed"][-1] > 0
    ]
    if lost:
        said = ", ".join(f"{_percent(share)} under {name}" for name, share in lost)
        out.append(
            f"Some runs have no estimate any more at generation {settings['generations']}: {said}. "
            "Such a run's loss counts as infinite; the mean does not exist, and quantiles may not."
        )
    elif document["workflows"][0]["simulated"] is not None and study.law is not None:
        row = document["workflows"][0]
        rise, theory = (
            float(row["simulated"][-1]) - first["loss"],
            float(row["derived"][-1]) - first["loss"],
        )
        if theory and abs(rise - theory) > 0.25 * abs(theory) + 4 * float(row["stderr"][-1]):
            out.append(
                f"The simulated rise of the loss is {rise / theory:.2g} times the derived one:"
                f" {n:,} rows are not many for this table. Beyond the simulated generations the"
                " derived curve is a guess."
            )
    return out


def _remedy(study: _Study) -> str:
    return (
        " A larger budget simulates them."
        if study.rows < len(study.table.y) or study.law is None
        else ""
    )


def _unsure(study: _Study, plans: Plans, simulated: dict[str, Risk]) -> list[str]:
    """Say which derived curves and bands few rows carry, and whether a simulation stands beside
    them."""
    law = study.law
    if law is None or study.table.task == "continuous":  # for least squares the law is exact
        return []
    moved = {
        name: law.unsure * np.sqrt(max(float(derive(plan).risk[-1]) - 1, 0))
        for name, plan in plans.items()
    }
    doubtful = [name for name in plans if moved[name] > UNSURE]
    beside = [name for name in doubtful if name in simulated and not study.subsample]
    out = []
    for names in ([name for name in doubtful if name not in beside], beside):
        if not names:
            continue
        most = max(moved[name] for name in names)
        out.append(
            f"The derived curve and band under {', '.join(names)} cannot be trusted: the "
            f"{_margin(study.table)} of some real rows has a standard error of {law.unsure:.2g} in "
            "the first fit, since few rows are like them, and later generations move it by "
            f"{most:.2g}. Formulas for many rows need less than about {UNSURE:g}."
            + (" Believe the simulated ones." if names is beside else _remedy(study))
        )
    return out


def _answers(document: dict[str, Any]) -> list[str]:
    settings, first, ratio, rows = (
        document["settings"],
        document["first"],
        document["ratio"],
        document["workflows"],
    )
    asked, G, n = rows[0], settings["generations"], document["data"]["real_rows"]
    name = asked["name"]
    out = []
    simulation = document["simulation"]
    if ratio["derived"] is not None:
        value = float(ratio["derived"][-1])
        said = (
            f"After {G} generations of {name} the excess risk is {value:.2f} times that of the"
            f" first fit, for many rows (90 % of single runs between {ratio['low'][-1]:.2f} and"
            f" {ratio['high'][-1]:.2f}): 1,000 of your rows are then worth"
            f" {asked['worth'][-1]:,.0f}."
        )
        if ratio["simulated"] is not None and np.isfinite(ratio["simulated"][-1]):
            said += (
                f" Simulated with {simulation['rows']:,} rows: {ratio['simulated'][-1]:.2f} ±"
                f" {ratio['stderr'][-1]:.2f}."
            )
        elif ratio["simulated"] is not None:
            said += (
                f" Simulated with {simulation['rows']:,} rows its mean does not exist: some runs"
                " have no estimate."
            )
        out.append(said)
    loss, low, high, how = _ending(asked)
    if loss is not None:
        between = (
            f"; 90 % of single runs end between {_number(low)} and {_number(high)}"
            if low is not None and high is not None
            else ""
        )
        out.append(
            f"The loss on the test set, {document['model']['loss']}, starts at"
            f" {_number(first['loss'])} and is {_number(loss)} after {G} generations of {name}"
            f" ({_signed(loss, first['loss'])}, {how}{between})."
        )
    elif asked["failed"] is not None:
        out.append(
            f"The loss on the test set starts at {_number(first['loss'])}. After {G} generations of"
            f" {name} its mean does not exist: {_percent(float(asked['failed'][-1]))} of the runs"
            " have no estimate."
        )
    else:
        out.append(
            f"The loss on the test set, {document['model']['loss']}, starts at"
            f" {_number(first['loss'])}. What it is after {G} generations of {name} is not known:"
            " nothing can be derived for this model, and nothing was simulated."
        )
        return out
    out.append(_worse_sentence(document))
    better: list[tuple[float, dict[str, Any]]] = []
    for other in rows[1:]:
        ends = _ending(other)[0]
        if ends is not None and (loss is None or ends < loss):
            better.append((ends, other))
    if better:
        cheapest = min(
            better, key=lambda pair: (pair[1]["rows_stored"], pair[1]["rows_read"], pair[0])
        )
        best = min(better, key=lambda pair: pair[0])
        picks = (
            [("The cheapest and the best", best)]
            if best is cheapest
            else [("The cheapest", cheapest), ("The best", best)]
        )
        for which, (value, other) in picks:
            out.append(
                f"{which} of the workflows compared that does better is {other['name']}: its loss"
                f" after {G} generations is {_number(value)} ({_signed(value, first['loss'])}). It"
                f" carries {other['rows_stored']:,} rows over to the last fit"
                f" ({_times(other['rows_stored'] / n)} your real ones), which reads"
                f" {other['rows_read']:,}; {name} carries {asked['rows_stored']:,} over and reads"
                f" {asked['rows_read']:,}."
            )
    elif len(rows) > 1:
        unknown = any(_ending(other)[0] is None for other in rows[1:])
        out.append(
            f"None of the workflows compared {'whose loss is known ' if unknown else ''}does better"
            f" than {name}, which carries {asked['rows_stored']:,} rows over to the last fit and"
            f" reads {asked['rows_read']:,}."
        )
    out.append(
        "Training on the real rows alone keeps the first loss for ever; a workflow matters where"
        " synthetic rows cannot be told apart or are wanted."
    )
    return out


def _worse_sentence(document: dict[str, Any]) -> str:
    settings, asked = document["settings"], document["workflows"][0]
    worse, why, share = asked["worse"], asked["worse_why"], _percent(settings["worse"])
    exact = asked["simulated_low"] is not None
    if exact and worse["simulated"] is not None:
        kind, how = "simulated", "simulated"
    elif worse["derived"] is not None and (not exact or worse["derived"] > settings["generations"]):
        kind, how = "derived", "derived for many rows"
        how += ", beyond what was simulated" if exact else ""
    else:
        reasons = [why["simulated"]] if exact else []
        reasons += (
            [why["derived"]] if asked["derived"] is not None and worse["derived"] is None else []
        )
        text = "; ".join(reasons)
        text = text[3:] if text.startswith("not ") else f": {text}"
        return f"It does not become {share} worse on average{text}."
    early, late = worse[f"{kind}_earliest"], worse[f"{kind}_latest"]
    return (
        f"It is {share} worse on average at generation {worse[kind]:,} ({how}; single runs, 90 %: "
        f"from generation {early or 'none'} to {late or 'none seen'})."
    )


def _ending(row: dict[str, Any]) -> tuple[float | None, float | None, float | None, str]:
    """Loss at the last generation, its band, and how it is known: simulated where all rows were,
    otherwise derived.
    """
    if row["simulated_low"] is not None:
        loss, low, high = (
            float(row[key][-1]) for key in ("simulated", "simulated_low", "simulated_high")
        )
        return (
            (loss if np.isfinite(loss) else None),
            (low if np.isfinite(low) else None),
            (high if np.isfinite(high) else None),
            "simulated",
        )
    if row["derived"] is not None:
        return (
            float(row["derived"][-1]),
            float(row["derived_low"][-1]),
            float(row["derived_high"][-1]),
            "derived for many rows",
        )
    return None, None, None, "not known"


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


def _signed(loss: float, first: float) -> str:
    """Change of a loss, in parts of the first where that has a sense."""
    if first > SMALL:
        return f"{100 * (loss / first - 1):+.2g} %"
    return f"{loss - first:+.2g}"


def _times(value: float) -> str:
    return "as many as" if round(value, 2) == 1 else f"{value:.3g} times"


def _count(value: int, what: str) -> str:
    return f"{value:,} {what}" + ("" if value == 1 else "s")


_Teller = Callable[..., None]
"""Told what is being done, as text, and in a simulation of replications done and their total."""


def _teller(progress: object) -> _Teller:
    """Tell a function of the replications; or stderr of what is being done: on one line in a
    terminal, otherwise a line when the work changes."""
    count, last = checks.progress(progress), [""]
    aloud = isinstance(progress, (bool, np.bool_)) and bool(progress)

    def tell(text: str, *replications: int) -> None:
        if not aloud:
            if replications:
                count(*replications)
        elif not text:
            return
        elif sys.stderr.isatty():
            print(
                f"\r\x1b[K{text}", end="\n" if text == "done" else "", file=sys.stderr, flush=True
            )
        elif text.split(":")[0] != last[0]:
            last[0] = text.split(":")[0]
            print(last[0], file=sys.stderr, flush=True)

    return tell
