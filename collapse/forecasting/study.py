"""What retraining on synthetic data would cost on a table of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import checks, disk, workflows
from collapse.blocks import Store, given
from collapse.checks import brief, check_number, choice, counted, require
from collapse.closed_forms import closed_form
from collapse.comparison import compare
from collapse.derivation import derive
from collapse.forecasting import prose
from collapse.forecasting.answer import (
    WORSE,
    Data,
    First,
    Forecast,
    Ratio,
    Settings,
    Simulation,
    Task,
    Workflow,
)
from collapse.forecasting.common import Array, reached
from collapse.forecasting.estimators import estimator_of
from collapse.forecasting.fitting import Fit, Teaching, check_alone, check_teaching, fit
from collapse.forecasting.generators import generator_of
from collapse.forecasting.law import Law
from collapse.forecasting.lost import NO_SHARE, curves_of
from collapse.forecasting.policies import (
    buys,
    inherited,
    outsider_of,
    plans_of,
    scheduled,
    share_of,
    with_outsider,
)
from collapse.forecasting.reading import file_name
from collapse.forecasting.simulating import (
    BAND,
    Outcomes,
    Plans,
    Runs,
    afford,
    largest_error,
    simulations,
    teller,
)
from collapse.forecasting.table import load, prepare
from collapse.forecasting.whole import fit_rows, rows_of
from collapse.models.adapters.estimator import LABELS
from collapse.plan import Plan
from collapse.publishing import plot
from collapse.reservoir import Reservoir
from collapse.risk import Risk, versions

if TYPE_CHECKING:
    import pandas as pd


COMPARED = (
    "discard",
    "window(k=5)",
    "fixed_real_share(share=1/10)",
    "subsample",
    "augment",
    "fixed_real_share(share=1/2)",
)
"""Workflows that every forecast compares."""
GENERATED = ("discard", "augment", "fixed_real_share(share=1/2)")
"""Those that a forecast of a generator compares, whose runs take longer."""
FAR = 1000
"""Generations up to which the derived curve is followed."""


def forecast(
    data: str | Path | pd.DataFrame,
    target: str | None = None,
    workflow: str | Plan | Reservoir = "augment",
    generations: int | None = None,
    *,
    estimator: Any = None,
    generator: Any = None,
    labels: str = "drawn",
    threshold: float | None = None,
    pool: bool | str | Path | pd.DataFrame | None = None,
    outsider: tuple[float, float] | None = None,
    real_share: float | Fraction | str | Sequence[float | Fraction | str] | None = None,
    task: str | None = None,
    against: str | Plan | Reservoir | Sequence[str | Plan | Reservoir] = COMPARED,
    test_share: float = 0.3,
    test_file: str | Path | pd.DataFrame | None = None,
    exclude: str | Sequence[str] = (),
    na: Any = (),
    encoding: str | None = None,
    worse: float = 0.1,
    budget: float | None = None,
    rng: int | np.random.SeedSequence | np.random.Generator | None = 0,
    workers: int = 1,
    executor: Executor | None = None,
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
    target : str, optional
        Column to predict. With a `generator` it is not needed; where it is given, "tstr" is told.
    workflow : str, Plan or Reservoir
        What each generation is trained on: a name, as `collapse.workflows.named` takes it
        ("augment", "window(k=3)"), or any workflow with one model. What one with several real
        batches does is derived alone, on average over real and test rows.
    generations : int, optional
        Number of fits G, the first one to the real data. Default: 20, or as many as a workflow
        that is given as a Plan or Reservoir has.
    estimator : scikit-learn classifier or regressor, or pipeline, or str, optional
        What is fitted, in place of a regression by maximum likelihood; as text "module:Class" with
        parameters in parentheses, or "path/file.py:name". Its table is handed to it
        untouched, texts and missing values included, but for rows without a target. Nothing is
        derived for it: the forecast is the simulation.
    generator : object or str, optional
        What draws whole rows, so that every column is synthetic: "gaussian-copula", "mixture",
        "kernel-density" or "cart", with parameters as in "mixture(components=3)"; text as for
        `estimator`; or any object with fit and sample, as `collapse.models.from_generator` takes
        it. It is handed a DataFrame of numbers and texts without missing values: a number is
        replaced by its column's median, beside a column that says where. Nothing is derived for
        it: its loss and what is lost are simulated.
    labels : {"drawn", "hard", "soft"}, optional
        What a fit writes on synthetic rows: labels drawn from its predictive distribution; its most
        probable class (self-training); or the probabilities of all classes (distillation). For
        numbers the last two are its mean. With soft labels, and with the mean, every fit by
        maximum likelihood is the first one, exactly.
    threshold : float, optional
        With hard or soft labels of a classifier that is given as `estimator`: rows whose most
        probable class has less than this probability are left out.
    pool : path, pandas.DataFrame or True, optional
        With an `estimator`: unlabelled rows, which synthetic batches label in place of the real
        rows. True: those rows of `data` that have no target. A batch is n rows of it.
    outsider : tuple of float (share, excess), optional
        From generation 2 on this share of the weight is on n rows that an outsider labels afresh,
        neither the real world nor a fit; the rest is as the workflow says. The outsider's law is
        one of the model's family, and `excess` tells how far its loss is above the least there is.
        Derived for many rows, on average over real and test rows: the variance, in which its rows
        count as real ones, plus the square of the share of its bias that a fit has, times `excess`.
    real_share : float, Fraction or str, or a sequence of them, optional
        Short for the workflow fixed_real_share(share=...): the weight of the real rows beside the
        latest synthetic batch. A sequence: one share for each generation from the second on.
    task : {"binary", "multiclass", "counts", "continuous"}, optional
        What the target is. Default: guessed, and said.
    against : str, Plan or Reservoir, or a sequence of them
        Workflows to compare with. Default with a generator: discard, augment, and a fixed real
        share of one half.
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
    budget : float, optional
        Nominal seconds that are spent on simulation, for more precision: replications are chosen by
        a table of costs, not by the clock, so that the same arguments give the same numbers on
        every machine. What is read, fitted and derived is not counted. An estimator's fit counts
        as 20 ms whatever it takes, and the workflow asked for gets 20 runs at least. Default: the
        simulation stops where the standard error of every mean is about 2 % of the width of its
        band, as the first 100 runs tell, or after 5 nominal seconds; up to 500 rows are simulated
        whole, 100 times (20 where no law is known), whatever that costs. A generator's fit, with
        what is measured of it, counts as 6 ms and by the rows and columns that it reads; it gets 8
        runs at least, and 8 nominal seconds by default. What the errors then are is said.
    rng : int, numpy.random.SeedSequence, numpy.random.Generator or None
        Of the split and of all simulations; the same seed gives the same numbers, and the document
        tells it. A Generator is asked for a seed; None is a fresh one.
    workers, executor
        As in `collapse.simulate`: where the simulations run.
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
        - ``model``: ``name``, ``coefficients`` (null for an estimator), ``estimator`` ("maximum
          likelihood", "ridge", "of scikit-learn" or, for a generator, "of whole rows"),
          ``fallback`` (why not maximum likelihood, or null), ``separating`` (the columns
          of the design that separate the classes, or null),
          ``loss`` (its name and unit)
        - ``settings``: ``workflow``, ``generations``, ``real_share``, ``against``, ``worse``,
          ``budget``, ``band``, ``test_share`` (null with a ``test_file``), ``test_file`` (name),
          ``labels``, ``threshold``, ``pool`` (its rows), ``outsider``
        - ``simulation``: ``replications``, ``rows``, ``subsample`` (whether these are fewer than
          n), ``why`` (not all rows, or nothing, or not every workflow was simulated; or null),
          ``error`` (the largest standard error of a mean at the last generation, as a share of its
          band's width)
        - ``first``: ``loss`` of the fit to all real rows on the test set, its ``stderr`` for the
          choice of test rows, and ``kappa``: for many rows the loss rises by (ratio - 1) kappa /
          n; null for ridge. ``constant``: the test loss of the best constant on the real rows
          (mean, or shares of the classes), ``gain``: by how much the model's is less,
          ``gain_stderr`` for the choice of test rows (of a generator null); ``real``: the measures
          of ``lost`` among real rows
        - ``ratio``: of excess risk, for the workflow asked for: ``derived`` with the band of one
          run, ``low`` and ``high``; ``simulated``, ``stderr``, ``simulated_low``,
          ``simulated_high``: experiments in a world in which the first fit is the truth
        - ``workflows``: for each workflow ``name``, ``asked`` (whether it is the one asked for),
          ``ratio``, ``reference`` (for an estimator: the ratio that a regular model would have, for
          many rows), ``worth`` (rows that 1,000 are worth), ``rows_read`` by the last fit and
          ``rows_stored``, carried over to it from earlier generations; ``derived`` test loss with
          the band of one run, ``derived_low`` and ``derived_high``; ``simulated`` with ``stderr``,
          ``simulated_low``, ``simulated_median``, ``simulated_high`` (a subsample's are rescaled to
          n rows, and it has no band), ``failed``: the share of replications without an estimate,
          null where not all rows were simulated; ``lost``: for a generator, by name of a measure
          (`collapse.models.MEASURES`) its ``mean``, ``stderr``, ``low`` and ``high``;
          ``worse``, the generation at which the loss is worse by the share asked for, null where
          there is none or it was not found: ``derived``
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
    model is ridge regression as scikit-learn has it, and the document says so; nothing is derived
    for it, since later generations inherit its bias, and it is simulated on all rows or not at all.
    So it is with hard labels of classes.

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
    needed = str if generator is None else (str, type(None))
    require(
        isinstance(target, needed),
        f"target must be the name of a column, as text; it is {brief(target)}.",
    )
    generator = generator_of(generator)
    if real_share is not None:
        given_shares: Any = real_share
        row = isinstance(given_shares, np.ndarray) and given_shares.ndim == 1
        listed = row or isinstance(real_share, (list, tuple))
        shares = [share_of(share) for share in (given_shares if listed else [real_share])]
        short = f"fixed_real_share(share={', '.join(shares)})"
        if not isinstance(workflow, str) or workflow not in ("augment", "fixed_real_share"):
            raise ValueError(
                "give either real_share, short for"
                f" {short}, or"
                f" workflow={brief(workflow)}; not both."
            )
        workflow, real_share = (scheduled(shares) if listed else short), ", ".join(shares)
    check_number(worse, "worse", 0)
    budget = None if budget is None else float(check_number(budget, "budget", 0))
    estimator = estimator_of(estimator)
    seed, how = checks.seed(rng), Teaching(estimator, choice(labels, "labels", LABELS), threshold)
    against = GENERATED if generator is not None and against is COMPARED else against
    plans, outside = plans_of(workflow, against, generations), outsider_of(outsider)
    bought = [name for name, plan in plans.items() if buys(plan)]
    check_teaching(how, pool, outside, na)
    if generator is not None:
        check_alone(how, pool, outside, task)
    if outside is not None:
        plans = {name: with_outsider(plan, outside[0]) for name, plan in plans.items()}
    store = None if folder is None else Store(disk.folder(folder) / "finished")
    given(executor, workers)
    tell = teller(progress)
    source, test_source = file_name(data), file_name(test_file)
    tell(f"reading {source}")
    frame = load(data, target, encoding)
    test = None if test_file is None else load(test_file, target, encoding, "test_file")
    tell("preparing the design")
    unlabelled = pool if pool is None or pool is True else load(pool, None, encoding, "pool")
    cells: dict[str, Any] = {"na": na, "exclude": exclude, "test": test}
    if generator is None:
        cells |= {"untouched": estimator is not None, "pool": unlabelled}
        table = prepare(frame, str(target), task, test_share, seed, **cells)
    else:
        table = rows_of(frame, target, test_share, seed, **cells)
    tell(f"fitting {counted(len(table.y), 'row')}, {counted(table.X.shape[1], 'column')}")
    found = fit(table, how) if generator is None else fit_rows(table, generator, target)
    require(
        not bought or (found.law is not None and not found.constant_law),
        lambda _: (
            f"{bought[0]} reads several real batches, and the table is one: what more of them would"
            " do is derived, by maximum likelihood and with drawn labels alone; take a workflow"
            " with one."
        ),
    )
    runs = Runs(table, 0, OUTSIDE, ()) if outside else afford(found, plans, budget, seed)
    outcomes, replications = simulations(
        found, runs, plans, seed, tell, folder=store, workers=workers, executor=executor
    )
    asked, *others = plans
    settings = Settings(
        workflow=asked,
        generations=plans[asked].generations,
        real_share=real_share,
        against=tuple(others),
        test_share=float(test_share) if test_file is None else None,
        test_file=None if test_file is None else test_source,
        worse=float(worse),
        budget=budget,
        band=BAND,
        labels=labels,
        threshold=threshold,
        pool=None if table.pool is None else len(table.pool),
        outsider=outside,
    )
    answer = _answer(settings, source, target, seed, plans, found, runs, outcomes, replications)
    tell("done")
    return answer


OUTSIDE = "what an outsider of a stated bias does is derived alone"


def _answer(
    settings: Settings,
    source: str,
    target: str | None,
    seed: int,
    plans: Plans,
    found: Fit,
    runs: Runs,
    outcomes: Outcomes,
    replications: int,
) -> Forecast:
    """Put together what was read, fitted, derived and simulated, and say it."""
    table, first = found.table, _first(found)
    unknown = {name: why for name in plans if isinstance(why := outcomes[name], str)}
    simulated = len(unknown) < len(plans) or isinstance(outcomes.get(None), Risk)
    kept = {name: getattr(table, name) for name in ("features", "columns", "classes", "notes")}
    answer = Forecast(
        seed=seed,
        versions=versions(),
        data=Data(
            source=source,
            target=target,
            rows=table.rows,
            unlabelled=table.unlabelled,
            real_rows=len(table.y),
            test_rows=len(table.y_test),
            rare=tuple(dict(zip(RARE, level, strict=True)) for level in table.rare),
            **kept,
        ),
        task=Task(name=table.task, guessed=table.guessed),
        model=found.model,
        settings=settings,
        simulation=Simulation(
            replications=replications if simulated else 0,
            rows=len(runs.part.y) if simulated else 0,
            subsample=runs.subsample and simulated,
            why=runs.why or "; ".join(dict.fromkeys(unknown.values())) or None,
            error=largest_error(outcomes) if simulated else None,
        ),
        first=first,
        ratio=_ratio(plans[settings.workflow], settings, found, outcomes.get(None)),
        workflows=tuple(
            _row(plan, settings, found, runs, outcomes[name], first.loss, seed)
            for name, plan in plans.items()
        ),
    )
    doubts = prose.warnings(answer, found, runs.subsample, unknown)
    return replace(answer, warnings=doubts, answers=prose.answers(answer))


RARE = ("column", "level", "rows")
"""What is said of a rare level."""


def _first(found: Fit) -> First:
    """The first fit on the test set."""
    m, gain = len(found.each), found.constant - found.each
    stderr = float(found.each.std(ddof=1) / np.sqrt(m)) if m > 1 else None
    if found.kind == "generator":
        return First(loss=found.floor, stderr=stderr, kappa=None, real=found.real)
    return First(
        loss=float(found.each.mean()),
        stderr=stderr,
        kappa=found.law.kappa if found.law else None,
        constant=float(found.constant.mean()),
        gain=float(gain.mean()),
        gain_stderr=float(gain.std(ddof=1) / np.sqrt(m)) if m > 1 else None,
    )


def _course(
    plan: Plan | Reservoir, settings: Settings, found: Fit
) -> tuple[Array, Array, Array] | None:
    """Excess risk of every fit as a multiple of that of a fit to all real rows, its ratio, and what
    an outsider's bias adds to the loss; None where nothing is derived.
    """
    limit, none = derive(plan), np.zeros(plan.generations)
    if found.law is None:
        return None
    if found.constant_law:
        return (none + 1, none + 1, none) if plan.reads_whole_batches else None
    if settings.outsider is None or isinstance(plan, Reservoir):
        return limit.risk, limit.ratio, none
    share, excess = settings.outsider
    bias = excess * inherited(plan, share) ** 2
    risk = limit.risk + bias * found.law.n / found.law.kappa
    return risk, risk / risk[0], bias


def _ratio(
    plan: Plan | Reservoir, settings: Settings, found: Fit, outcome: Risk | str | None
) -> Ratio:
    from scipy.special import gammaincinv  # slow to import

    course = _course(plan, settings, found)
    if found.law is None or course is None:
        return Ratio()
    derived, d = course[1], len(found.law.spread)
    if settings.outsider is not None:
        return Ratio(derived=derived)
    # a run's excess risk is its mean times a chi-squared variate over its degrees of freedom
    low, high = (derived * 2 * gammaincinv(d / 2, level) / d for level in BAND)
    out = Ratio(derived=derived, low=low, high=high)
    if not isinstance(outcome, Risk):
        return out
    bottom, _, top = outcome.quantiles / outcome.risk[0]
    ends = {"simulated_low": bottom, "simulated_high": top}
    return replace(out, simulated=outcome.ratio, stderr=outcome.stderr, **ends)


def _row(
    plan: Plan | Reservoir,
    settings: Settings,
    found: Fit,
    runs: Runs,
    outcome: Risk | str,
    first: float,
    seed: int,
) -> Workflow:
    """What is known of one workflow, and when its loss is worse by the share asked for."""
    law, part, costs, course = found.law, runs.law, compare(plan), _course(plan, settings, found)
    n, bad = len(found.table.y), (1 + settings.worse) * first
    curves: dict[str, Array] = {}
    reach: dict[str, Array] = {}
    banded = settings.outsider is None and not buys(plan)
    unknown = "its rows are drawn" if found.constant_law else f"for {_kind(found)}"
    why: dict[str, str | None] = dict.fromkeys(WORSE, f"not computed: nothing is derived {unknown}")
    why |= dict.fromkeys(WORSE[3:], f"not computed: {outcome}")
    if law is not None and course is not None:
        risk, _, bias = course
        far, named = (risk, False) if found.constant_law else _far(plan)
        curves["derived"] = law.mean(risk) if found.constant_law else law.mean(derive(plan).risk)
        curves["derived"] = curves["derived"] + bias
        reach["derived"] = curves["derived"] if settings.outsider else law.mean(far)
        if banded:
            low, high = law.band(risk, BAND, seed)
            curves |= {"derived_low": low, "derived_high": high}
            low, high = law.band(far, BAND, seed)
            reach |= dict(zip(WORSE[1:3], (high, low), strict=True))
        why |= dict.fromkeys(WORSE[:3], f"not within {len(far):,} generations, for many rows")
        if settings.outsider:
            band = "not computed: the direction of the outsider's bias is not known"
            why |= dict.fromkeys(WORSE[1:3], band)
        elif not banded:
            band = "not computed: where new real rows lead is not known"
            why |= dict.fromkeys(WORSE[1:3], band)
        elif found.constant_law:
            why |= dict.fromkeys(WORSE[:3], "never, since every fit is the first one")
        elif not (reach["derived"] >= bad).any():
            why["derived"] = _never(law, plan if named else None, bad) or why["derived"]
    if isinstance(outcome, Risk) and law is not None and part is not None and runs.subsample:
        # the rise for m rows, as a multiple of the one derived for m rows, times the one derived
        # for n rows
        scale = (law.kappa / law.n) / (part.kappa / part.n)
        curves["simulated"] = law.loss + scale * (outcome.risk - part.loss)
        curves["stderr"] = abs(scale) * outcome.risk_stderr
        why |= dict.fromkeys(WORSE[3:], "not computed: not all rows were simulated")
    elif isinstance(outcome, Risk):
        low, middle, high = outcome.quantiles + found.floor
        mean = outcome.risk + found.floor
        curves |= {"simulated": mean, "stderr": outcome.risk_stderr}
        curves |= {"simulated_low": low, "simulated_median": middle, "simulated_high": high}
        curves["failed"] = outcome.failed
        reach |= dict(zip(WORSE[3:], (mean, high, low), strict=True))
        within = f"not within the {plan.generations:,} generations simulated"
        why |= dict.fromkeys(WORSE[3:], within)
        if outcome.failed.any():
            lost = int(np.argmax(outcome.failed > 0)) + 1
            why["simulated"] = (
                f"{within} as far as there is a mean: from generation {lost} on"
                " some runs have no estimate"
            )
    if found.kind == "generator":
        reach, why = {}, dict.fromkeys(WORSE, NO_SHARE)
    worse = {key: reached(reach[key], bad) if key in reach else None for key in WORSE}
    return Workflow(
        name=plan.name,
        family=plot.family_of(plan.name),
        asked=plan.name == settings.workflow,
        ratio=None if course is None else course[1],
        reference=derive(plan).ratio if found.kind == "estimator" else None,
        worth=None if course is None else 1000 / course[0],
        rows_read=round(float(costs.read[0]) * n),
        rows_stored=round(float(costs.stored[0]) * n),
        worse=worse,
        worse_why={key: None if worse[key] else why[key] for key in WORSE},
        lost={} if isinstance(outcome, str) else curves_of(outcome),
        **curves,
    )


def _kind(found: Fit) -> str:
    return "ridge" if found.kind == "ridge" else "an estimator of scikit-learn"


def _far(plan: Plan | Reservoir) -> tuple[Array, bool]:
    """C of the workflow, as far as the derived curve is followed, and whether it is the workflow
    that its recipe names."""
    G, recipe, C = plan.generations, plan.recipe, np.asarray(derive(plan).risk, np.float64)
    if recipe is None:
        return C, False  # nothing tells how it goes on
    make = workflows.NAMED[recipe.workflow]
    try:
        ten: Any = make(10, **recipe.parameters)
        many = not ten.persistent and ten.batches > 20  # as many as generations squared
        long = make(G if many else max(FAR, G), **recipe.parameters)
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
