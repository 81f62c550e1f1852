"""Risk: saved and loaded, as a table, as a plot; and what importing the package costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction as F

import numpy as np
import pytest

import collapse
from collapse import Plan, Risk, derive, models, simulate, workflows
from tests.statistics import assert_agree

EXACT = derive(workflows.subsample(4), model=models.Bernoulli(F(1, 5)), n=8, exact=True)
SIMULATED = simulate(workflows.augment(4), replications=500, rng=1, quantiles=(0.1, 0.9), covariance=True)
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
    np.testing.assert_array_equal(Risk.load(SIMULATED.save(tmp_path / "b")).covariance, SIMULATED.covariance)
    lazy = derive(workflows.augment(3))
    with pytest.raises(ValueError, match=r"does not hold covariance; .* derive\(plan\)\.covariance"):
        _ = Risk.load(lazy.save(tmp_path / "c")).covariance
    kept = lazy.covariance
    np.testing.assert_array_equal(Risk.load(lazy.save(tmp_path / "d")).covariance, kept)


@pytest.mark.parametrize(
    ("text", "message"), [("no", "is not JSON"), ("[1]", "holds no saved Risk"), ('{"collapse": "plan"}', "holds no saved Risk")]
)
def test_other_files_are_refused(text, message, tmp_path):
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match=f"{message}.*Risk.load reads what Risk.save wrote"):
        Risk.load(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        Risk.load(tmp_path / "none")


def test_a_table_has_a_row_for_each_generation():
    frame = SIMULATED.to_frame()
    assert list(frame.columns) == ["generation", "risk", "ratio", "stderr", "risk_stderr", "failed", "quantile_0.1", "quantile_0.9"]
    assert frame["generation"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(frame["ratio"], SIMULATED.ratio)
    assert EXACT.to_frame()["ratio"].tolist() == EXACT.ratio.tolist()


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"Risk\.to_frame needs pandas: pip install 'collapse-companion\[data\]'"):
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
    # in the limit 1 / C_gg; of a model at n the risk of the real data alone, V / n, over that of the workflow
    limit = derive(plan)
    np.testing.assert_allclose(limit.worth(1000), 1000 / limit.risk.astype(float), rtol=1e-12)
    for model, variance in ((models.Bernoulli(0.2), 0.16), (models.Exponential(3), 9.0)):
        at = derive(plan, model=model, n=24)
        np.testing.assert_allclose(at.worth(24), 24 * (variance / 24) / at.risk, rtol=1e-12)
    simulated = simulate(plan, replications=4000, rng=1)
    assert_agree(1000 / simulated.worth(1000), simulated.stderr * plan.reference(), limit.risk, detects=0.5)
    assert collapse.diagnose(plan).worth == pytest.approx(limit.worth(1000).min())


def test_worth_needs_rows():
    for nonsense in (0, 2.5, "many", None):
        with pytest.raises(ValueError, match=r"n \(rows of real data\) must be a whole number"):
            EXACT.worth(nonsense)


def test_prints_say_what_was_done():
    assert repr(derive(workflows.discard(2))) == "<Risk of discard, 2 generations, derived in the Gaussian limit: ratio 2 at the last>"
    assert repr(SIMULATED).startswith("<Risk of augment, 4 generations, 500 replications in the Gaussian limit: ratio 1.")
    assert "derived of Binomial(trials=1, p=Fraction(1, 5)) at n = 8" in repr(EXACT)


def test_a_risk_is_frozen():
    with pytest.raises(AttributeError):
        EXACT.risk = None


def in_a_fresh_process(code: str, **environment: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment)
    return run.stdout.strip()


def test_importing_the_package_loads_numpy_alone():
    code = "import sys, collapse; print({m.split('.')[0] for m in sys.modules} & {'numpy', 'scipy', 'matplotlib', 'pandas', 'sklearn'})"
    assert in_a_fresh_process(code) == "{'numpy'}"


def test_deriving_a_named_workflow_needs_numpy_alone():
    code = "import sys, collapse; collapse.derive(collapse.workflows.subsample(9)); print('scipy' in sys.modules)"
    assert in_a_fresh_process(code) == "False"


def test_importing_the_package_adds_less_than_a_tenth_of_a_second_to_numpys_time(tmp_path):
    # CPU time and the best of several: other processes cannot slow it; with bytecode at hand, as where the package is installed
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    code = "import numpy, time; t = time.process_time(); import collapse; print(time.process_time() - t)"
    assert min(float(in_a_fresh_process(code, **bytecode)) for _ in range(6)) < 0.1


def test_the_names_of_the_package_are_those_it_lists():
    assert set(collapse.__all__) <= set(dir(collapse))
    assert collapse.__version__
