"""Risk: saved and loaded, as a table, as a plot; and what importing the package costs."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from fractions import Fraction as F

import numpy as np
import pytest

import collapse
from collapse import Plan, Risk, derive, models, simulate, workflows
from tests.statistics import assert_agree

EXACT = derive(workflows.subsample(4), model=models.Bernoulli(F(1, 5)), n=8, exact=True)
SIMULATED = simulate(
    workflows.augment(4), replications=500, rng=1, quantiles=(0.1, 0.9), covariance=True
)
BROKEN = Risk(
    np.array([1.0, np.nan]),
    np.array([1.0, np.nan]),
    Plan([0, 1], [1, 0.5], [[1, 0], [0.5, 0.5]], [[1, 0], [1, 0.5]], replace=True, name="broken"),
    failed=np.array([0.0, 0.7]),
    levels=np.array([0.5]),
    quantiles=np.array([[1.0, np.inf]]),
    replications=10,
    seed=2**100,
)
FIELDS = ("risk", "ratio", "stderr", "risk_stderr", "failed", "levels", "quantiles")


@pytest.mark.parametrize("risk", [EXACT, SIMULATED, BROKEN, derive(workflows.discard(1))], ids=repr)
def test_save_and_load_bring_back_everything(risk, tmp_path):
    path = risk.save(tmp_path / "risk.json")
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    again = Risk.load(str(path))
    for name in FIELDS:
        one, two = getattr(risk, name), getattr(again, name)
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        np.testing.assert_array_equal(one, two)
    for name in ("model", "n", "replications", "seed", "versions"):
        assert getattr(again, name) == getattr(risk, name)
    assert again.plan.to_json() == risk.plan.to_json()
    assert repr(again) == repr(risk)


def test_tables_that_were_computed_are_saved_and_the_others_are_not(tmp_path):
    assert (Risk.load(EXACT.save(tmp_path / "a")).covariance == EXACT.covariance).all()
    np.testing.assert_array_equal(
        Risk.load(SIMULATED.save(tmp_path / "b")).covariance, SIMULATED.covariance
    )
    lazy = derive(workflows.augment(3))
    with pytest.raises(
        ValueError, match=r"does not hold covariance; .* derive\(plan\)\.covariance"
    ):
        _ = Risk.load(lazy.save(tmp_path / "c")).covariance
    kept = lazy.covariance
    np.testing.assert_array_equal(Risk.load(lazy.save(tmp_path / "d")).covariance, kept)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no", "is not JSON"),
        ("[1]", "holds no saved Risk"),
        ('{"collapse": "plan"}', "holds no saved Risk"),
    ],
)
def test_other_files_are_refused(text, message, tmp_path):
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match=f"{message}.*Risk.load reads what Risk.save wrote"):
        Risk.load(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        Risk.load(tmp_path / "none")


ODD = [
    None,
    True,
    -1,
    0,
    1.5,
    2**70,
    float("nan"),
    "1e99999999",
    "1/0",
    "9" * 5000,
    "x",
    "",
    [],
    {},
    [[1]],
    [None],
    [[1], [1, 2]],
    {"a": 1},
]


def changed(document, rng):
    """A copy of a document with one of its parts, however deep, taken away or replaced by something
    odd.
    """
    document = copy.deepcopy(document)
    spots = []

    def visit(part):
        for key in part if isinstance(part, dict) else range(len(part)):
            spots.append((part, key))
            if isinstance(part[key], (dict, list)):
                visit(part[key])

    visit(document)
    part, key = rng.choice(spots)
    if rng.random() < 0.2:
        del part[key]
    else:
        part[key] = rng.choice(ODD)
    return document


def test_a_changed_file_is_read_or_refused_in_words(tmp_path):
    rng = random.Random(0)
    risks = [
        EXACT,
        SIMULATED,
        BROKEN,
        derive(workflows.reservoir(3)),
        derive(workflows.window(4, 2), exact=True),
    ]
    documents = [json.loads(risk.save(tmp_path / "risk.json").read_text()) for risk in risks]
    path, refusals = tmp_path / "changed.json", []
    for _ in range(2000):
        path.write_text(json.dumps(changed(rng.choice(documents), rng)))
        try:
            assert "generations" in repr(Risk.load(path))
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 1500
    assert max(map(len, refusals)) < 500


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"collapse": "risk", "seed": ' + "9" * 5000 + "}", "\xff", ""]
)
def test_what_no_reader_of_json_takes_is_refused(text, tmp_path):
    (tmp_path / "file").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"is not JSON .*; Risk\.load reads what Risk\.save wrote"):
        Risk.load(tmp_path / "file")


def test_whole_numbers_of_any_length_are_saved_and_loaded(tmp_path):
    plan = Plan([0, 1], [1, 1], [[1, 0], [F(1, 10**5000), 1 - F(1, 10**5000)]])
    risk = derive(plan, exact=True)
    again = Risk.load(risk.save(tmp_path / "risk.json"))
    assert (again.ratio == risk.ratio).all()
    assert again.ratio[1].denominator > 10**5000
    assert (
        Plan.from_json(plan.to_json()).exact_weight()[1].tolist() == plan.exact_weight()[1].tolist()
    )
    memory = workflows.reservoir(3, turnover=F(1, 2) + F(1, 10**5000))
    again = collapse.Reservoir.from_json(memory.to_json())
    assert again.turnover.fractions("turnover")[1] == F(1, 2) + F(1, 10**5000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("size"), "this plan has no 'size'"),
        (lambda d: d.update(size=["1", 0.5]), "size must hold numbers, or fractions as text"),
        (
            lambda d: d.update(size=["1", "1e99999999"]),
            "size must hold fractions such as '5/4'; it holds '1e99999999'",
        ),
        (
            lambda d: d.update(source=[0, 0.5]),
            r"source must be a list of whole numbers; it is \[0, 0\.5\]",
        ),
        (lambda d: d.update(recursion=7), r"this plan was changed since it was saved \("),
        (lambda d: d.update(name=7), r"name must be text \(a str\); it is 7"),
        (
            lambda d: d.update(recipe={"workflow": 1, "parameters": {}}),
            "workflow of a recipe must be text",
        ),
    ],
)
def test_a_changed_plan_is_refused(change, message):
    document = workflows.augment(2).to_json()
    change(document)
    with pytest.raises(ValueError, match=message):
        Plan.from_json(document)


def test_a_table_has_a_row_for_each_generation():
    frame = SIMULATED.to_frame()
    assert list(frame.columns) == [
        "generation",
        "risk",
        "ratio",
        "stderr",
        "risk_stderr",
        "failed",
        "quantile_0.1",
        "quantile_0.9",
    ]
    assert frame["generation"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(frame["ratio"], SIMULATED.ratio)
    assert EXACT.to_frame()["ratio"].tolist() == EXACT.ratio.tolist()


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        ImportError, match=r"Risk\.to_frame needs pandas: pip install 'collapse-companion\[data\]'"
    ):
        EXACT.to_frame()


def test_plot_draws_on_the_given_axes_or_on_new_ones():
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    _, ax = plt.subplots()
    assert SIMULATED.plot(ax) is ax
    assert EXACT.plot(ax) is ax
    assert ax.has_data()
    assert isinstance(SIMULATED.plot(), Axes)
    plt.close("all")


def test_a_derived_risk_has_no_error_and_no_failure():
    for name in ("stderr", "risk_stderr", "failed"):
        assert getattr(EXACT, name).tolist() == [0, 0, 0, 0]
    assert EXACT.generations.tolist() == [1, 2, 3, 4]


def test_worth_is_n_over_the_ratio():
    np.testing.assert_allclose(derive(workflows.discard(4)).worth(1000), [1000, 500, 1000 / 3, 250])
    np.testing.assert_allclose(EXACT.worth(8), 8 / EXACT.ratio.astype(float))


@pytest.mark.parametrize(
    "plan",
    [
        workflows.bootstrap(3),
        workflows.bootstrap(4, F(1, 2)),
        workflows.subsample(4, replace=True),
        Plan([0, 0], [2, 1], [[F(1, 2), F(1, 2)], [0, 1]], [[F(1, 2), 1], [1, 1]]),
        workflows.augment(4),
        workflows.ring(3, 2, F(1, 4)),
        workflows.reservoir(4),
    ],
    ids=lambda plan: plan.name,
)
def test_worth_is_to_a_fit_to_all_rows_even_where_the_first_fit_is_none(plan):
    # in the limit 1 / C_gg; of a model at n the risk of the real data alone, V / n, over that of
    # the workflow
    limit = derive(plan)
    np.testing.assert_allclose(limit.worth(1000), 1000 / limit.risk.astype(float), rtol=1e-12)
    for model, variance in ((models.Bernoulli(0.2), 0.16), (models.Exponential(3), 9.0)):
        at = derive(plan, model=model, n=24)
        np.testing.assert_allclose(at.worth(24), 24 * (variance / 24) / at.risk, rtol=1e-12)
    simulated = simulate(plan, replications=4000, rng=1)
    assert_agree(
        1000 / simulated.worth(1000), simulated.stderr * plan.reference(), limit.risk, detects=0.5
    )
    assert collapse.diagnose(plan).worth == pytest.approx(limit.worth(1000).min())


def test_worth_needs_rows():
    for nonsense in (0, 2.5, "many", None):
        with pytest.raises(ValueError, match=r"n \(rows of real data\) must be a whole number"):
            EXACT.worth(nonsense)


def test_prints_say_what_was_done():
    assert (
        repr(derive(workflows.discard(2)))
        == "<Risk of discard, 2 generations, derived in the Gaussian limit: ratio 2 at the last>"
    )
    assert repr(SIMULATED).startswith(
        "<Risk of augment, 4 generations, 500 replications in the Gaussian limit: ratio 1."
    )
    assert "derived of Binomial(trials=1, p=Fraction(1, 5)) at n = 8" in repr(EXACT)


def test_a_risk_is_frozen():
    with pytest.raises(AttributeError):
        EXACT.risk = None


def in_a_fresh_process(code: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return run.stdout.strip()


HEAVY = ("scipy.special", "scipy.stats", "scipy.linalg", "scipy.optimize", "scipy.integrate")
"""Parts of scipy, which it loads when they are used."""


def test_importing_the_package_loads_numpy_alone():
    heavy = (*HEAVY, "matplotlib", "pandas", "sklearn", "sympy", "collapse.forecasting")
    code = f"import sys, collapse; print([m for m in {heavy} if m in sys.modules])"
    assert in_a_fresh_process(code) == "[]"


def test_importing_the_package_loads_few_modules_beside_numpys():
    # each costs about a millisecond; how long all of them take is a row of the benchmarks
    code = (
        "import sys, numpy; before = set(sys.modules); import collapse;"
        " print(sum(not m.startswith('collapse') for m in set(sys.modules) - before))"
    )
    assert int(in_a_fresh_process(code)) < 110


def test_deriving_a_named_workflow_needs_numpy_alone():
    code = (
        "import sys, collapse; collapse.derive(collapse.workflows.subsample(9));"
        f" print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert in_a_fresh_process(code) == "[]"


def test_the_names_of_the_package_are_those_it_lists():
    assert set(collapse.__all__) <= set(dir(collapse))
    assert collapse.__version__
