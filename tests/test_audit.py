"""Audits of logged losses: the law behind them, what they say, how often they are wrong."""

import io
import json
import sys

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import collapse
from collapse import datasets, derive, workflows
from collapse.auditing import power
from collapse.auditing.courses import LINEAR, course_of, law_of, plan_of, unknowns
from collapse.auditing.laws import Unknowns
from collapse.auditing.worlds import consistent
from collapse.cli import main
from tests.logged import KINDS, N, losses

LANGUAGE = {
    "greedy": [27.440037, 29.136207, 29.121463, 29.075002, 29.081574],
    "temperature": [27.440037, 28.076363, 28.238925, 28.299173, 28.347266],
    "top_p": [27.440037, 28.300225, 28.585799, 28.68889, 28.74519],
    "diverse beam search": [27.440037, 28.818752, 28.708246, 28.752332, 28.839558],
}
"""Perplexities of a language model by decoding rule, which book/audit.md quotes with its source."""
FEW = {"against": ["discard", "augment"], "replications": 100}


def law(workflow: str, G: int, nu: float, *, floor: bool = False, linear: float = 0.0):
    at = np.arange(1, G + 1)
    course = course_of(plan_of(workflow, G, "workflow"), at)
    unknown = Unknowns(np.array([nu]), np.array([linear]), np.zeros(1))
    return law_of(course, unknown, np.ones(G), floor)


@pytest.mark.parametrize("workflow", ["discard", "augment", "fixed_real_share(share=1/4)"])
def test_losses_of_a_chain_have_the_covariance_of_squares(workflow: str) -> None:
    """A plain loop over d = 6 directions that count unequally, and a test set that stays."""
    rng, G, S, kappa = np.random.default_rng(7), 5, 120_000, 0.5
    H = np.array([3.0, 2.0, 1.0, 1.0, 0.5, 0.5])
    J, rows, n = 1.3 * H, 500, 100
    C = derive(workflows.named(workflow, G)).covariance
    u = np.linalg.cholesky(C) @ rng.standard_normal((S, len(H), G, 1))
    u = u[..., 0]
    noise = rng.standard_normal((S, len(H))) * np.sqrt(J / rows)
    loss = 0.5 * np.einsum("d,sdg->sg", H, u * u) / n
    loss += np.einsum("sd,sdg->sg", noise, u) / np.sqrt(n)
    kappa, nu = H.sum() / 2, H.sum() ** 2 / (H**2).sum()
    mean = kappa / n * np.diag(C)
    spread = 2 * (kappa / n) ** 2 * C**2 / nu + J.sum() * C / (n * rows)
    root = np.sqrt(np.diag(spread))
    assert np.allclose(loss.mean(0), mean, atol=5 * (root / np.sqrt(S)).max())
    assert np.allclose(
        np.cov(loss.T) / np.outer(root, root), spread / np.outer(root, root), atol=0.05
    )


@pytest.mark.parametrize("floor", [True, False])
def test_the_likelihood_is_that_of_a_normal_vector(floor: bool) -> None:
    """The most likely scale, and the integral over the floor, by quadrature and optimisation."""
    of = law("augment", 5, 6.0, floor=floor, linear=0.5)
    C = of.C
    spread = 2 / 6 * (C * C + 0.5 * C) + 1e-12 * np.eye(5)
    seen = 0.02 * of.draw(0, (1, 2), np.random.default_rng(3))[0] + (0 if floor else 0.3)

    def likelihood(scale: float) -> float:
        if floor:
            return stats.multivariate_normal(scale * of.mean, scale**2 * spread).logpdf(seen).sum()

        def at(level: float) -> float:
            where = stats.multivariate_normal(scale * of.mean + level, scale**2 * spread)
            return np.exp(where.logpdf(seen).sum() - 40)

        return np.log(integrate.quad(at, 0.2, 0.4, points=[0.29, 0.3, 0.31])[0]) + 40

    found, scale = (part[0, 0, -1] for part in of.fit(seen[None]))
    best = optimize.minimize_scalar(
        lambda log: -likelihood(np.exp(log)), bounds=(np.log(0.004), np.log(0.1)), method="bounded"
    )
    assert scale == pytest.approx(np.exp(best.x), rel=1e-3)
    other = 1.7 * scale  # differences, since constants are left out
    y = seen - (0 if floor else seen.mean())
    assert likelihood(scale) > likelihood(other)
    assert np.isfinite(found)
    assert np.allclose(of.fit(y[None])[1], of.fit(seen[None])[1])


@pytest.mark.parametrize(("workflow", "nu"), [("discard", 1), ("augment", 8), ("window(k=3)", 40)])
def test_what_is_true_is_seldom_rejected_at_any_time(workflow: str, nu: int) -> None:
    """Of 20 chains that obey the workflow, at 10 per cent: more than 6 once in four hundred."""
    drawn = law(workflow, 6, nu).draw(0, (20, 1), np.random.default_rng(nu))
    answers = [collapse.audit(0.3 + 0.01 * one, workflow, **FEW) for one in drawn]
    assert sum(answer.p_value <= 0.1 for answer in answers) <= 6
    assert sum(min(answer.anytime) <= 0.1 for answer in answers) <= 6
    held = [answer.scale_low <= 0.01 <= answer.scale_high for answer in answers]
    assert sum(held) >= 16


def test_intervals_of_least_squares_chains_hold_kappa() -> None:
    """Three of each kind; tests/slow has a hundred."""
    held = []
    for k, kind in enumerate(KINDS):
        for one in losses(kind, 3, 8, k):
            low, high = collapse.audit(one, kind.workflow, N, **FEW).kappa_interval
            held.append(low <= kind.coefficients / 2 <= high)
    assert sum(held) >= 21


def test_what_is_false_is_rejected_and_named() -> None:
    steady = law("discard", 12, 20).draw(0, (3,) * 2, np.random.default_rng(1))[0]
    answer = collapse.audit(2 + 0.01 * steady, "augment", **FEW)
    assert answer.p_value < 0.05
    assert answer.pace > 2
    assert "not what augment would give" in str(answer)
    assert "stops early" in str(answer)
    assert "discard" in answer.compatible
    bias = 2 + 0.001 * np.arange(1, 15.0) ** 2
    assert collapse.audit(bias, "discard", **FEW).oddity == "a bias that adds up"


def test_a_known_kappa_tests_the_size_of_the_rise() -> None:
    steady = 0.4 + 0.05 * law("discard", 10, 30).draw(0, (1, 4), np.random.default_rng(5))[0]
    assert collapse.audit(steady, "discard", 100, kappa=5.0, **FEW).p_value > 0.05
    answer = collapse.audit(steady, "discard", 100, kappa=1.0, against="augment")
    assert answer.p_value < 0.05
    assert answer.pace == pytest.approx(5, rel=0.3)


def test_units_order_and_seed_change_nothing() -> None:
    runs = 0.5 + 0.02 * law("discard", 6, 5).draw(0, (1, 3), np.random.default_rng(2))[0]
    plain = collapse.audit(runs, "discard", **FEW)
    assert collapse.audit(runs, "discard", **FEW).p_value == plain.p_value
    for same in (
        collapse.audit(runs[::-1], "discard", **FEW),
        collapse.audit(np.exp(runs), "discard", metric="perplexity", **FEW),
        collapse.audit(-runs, "discard", metric="log-likelihood", **FEW),
        collapse.audit(1 - runs, "discard", metric="accuracy", **FEW),
    ):
        assert same.p_value == pytest.approx(plain.p_value, abs=1e-9)
        assert same.scale == pytest.approx(plain.scale)
    far = collapse.audit(7 + 10 * runs, "discard", **FEW)
    assert far.scale == pytest.approx(10 * plain.scale)
    assert far.loss == pytest.approx(7 + 10 * plain.loss)
    assert any("accuracy" in text.lower() for text in same.warnings)


def test_errors_of_logging_are_allowed_for() -> None:
    """A wiggle that no quadratic form of the fits makes is forgiven where the log is said to be
    noisy."""
    wiggle = 0.02 * np.array([1, -1, -1, 1, 1, -1, 1, -1])
    seen = 0.5 + 0.02 * np.arange(1, 9) + wiggle
    quiet = collapse.audit(seen, "discard", **FEW)
    noisy = collapse.audit(seen, "discard", stderr=np.full(8, 0.02), **FEW)
    assert noisy.p_value > quiet.p_value
    assert noisy.scale_high > noisy.scale > noisy.scale_low > 0


def test_generation_one_may_be_missing() -> None:
    drawn = 1 + 0.02 * law("discard", 9, 10).draw(0, (1, 4), np.random.default_rng(4))[0]
    answer = collapse.audit(drawn[:, 1:], "discard", generations=range(2, 10), **FEW)
    assert answer.p_value > 0.05
    assert answer.scale_low < 0.02 < answer.scale_high


def test_a_horizon_beyond_what_is_foreseen_changes_no_forecast() -> None:
    seen = 0.5 + 0.02 * law("discard", 6, 10).draw(0, (1, 2), np.random.default_rng(6))[0]
    near, far = (
        collapse.audit(seen, "discard", at=10, horizon=horizon, **FEW) for horizon in (6, 16)
    )
    assert far.loss == pytest.approx(near.loss, rel=0.02)
    assert [row.ratio for row in far.table] == [row.ratio for row in near.table]
    assert far.table[0].ratio == pytest.approx(10)


def test_the_published_normal_chains() -> None:
    """Means over about a hundred runs of a hundred rows; kappa of a squared error is 1."""
    found = {}
    for workflow in ("discard", "augment"):
        seen = datasets.published("normal, n = 316", workflow)
        found[workflow] = collapse.audit(
            seen["squared_error"],
            workflow,
            316,
            generations=seen["generation"],
            averaged=int(seen["runs"][0]),
            floor=0,
            **FEW,
        )
        assert found[workflow].p_value > 0.05
        low, high = found[workflow].kappa_interval
        assert low < 1 < high
        other = next(row for row in found[workflow].table if row.name != workflow)
        assert other.p_value < 0.05


def test_a_hundred_generations_of_a_hundred_rows_leave_the_law_of_many() -> None:
    """The log follows the law at n, and an audit by that of many rows finds too small a kappa."""
    seen = datasets.published("normal, n = 100", "discard")
    exact = 1 - (1 - 1 / 100) ** seen["generation"]
    errors = seen["squared_error_stderr"]
    assert (abs(seen["squared_error"] - exact) < 5 * errors).all()
    assert abs(seen["squared_error"][-1] - 1) > 2.5 * errors[-1]
    more = {"generations": seen["generation"], "averaged": 100, "floor": 0, "at": 120}
    answer = collapse.audit(seen["squared_error"], "discard", 100, **more, **FEW)
    assert answer.kappa_interval[1] < 1


def test_losses_of_augment_share_what_early_batches_did() -> None:
    C, h = derive(workflows.augment(20)).covariance, np.cumsum(1 / np.arange(1, 21.0) ** 2)
    of_losses = C**2 / np.outer(np.diag(C), np.diag(C))
    assert np.allclose(of_losses, np.minimum.outer(h, h) / np.maximum.outer(h, h))


def test_no_p_value_is_below_the_doubt() -> None:
    answer = collapse.audit(2 + np.arange(1, 31.0), "augment", **FEW)
    assert 0.01 < answer.p_value < 0.021
    assert 0.01 < answer.anytime.min() < 0.021


@pytest.mark.parametrize("decoding", LANGUAGE)
def test_the_language_models_perplexities(decoding: str) -> None:
    """What the chapter says of them: discard is contradicted by all four; sampling is compatible
    with half real text and with augment, search with neither."""
    against = ["discard", "augment"]
    half = "fixed_real_share(share=1/2)"
    answer = collapse.audit(LANGUAGE[decoding], half, metric="perplexity", against=against)
    sampled = decoding in {"temperature", "top_p"}
    assert set(answer.compatible) == ({half, "augment"} if sampled else set())
    assert any("1 run of 5 generations" in text for text in answer.warnings)
    asked = collapse.audit(LANGUAGE[decoding], "discard", metric="perplexity", against=half)
    assert asked.p_value < 0.05  # over all worlds, not over five


def test_power_grows_with_runs_and_generations() -> None:
    few, many = (power("discard", "augment", 8, runs=R, nu=3, rng=1) for R in (1, 4))
    assert (few[:2] == 0).all()
    assert many[-1] > few[-1] + 0.1
    assert few[-1] > few[3]
    short = power("window(k=3)", "window(k=4)", 4, nu=3, rng=1)
    assert short[-1] < 0.3  # one short run cannot tell


def test_files_standard_input_and_status(tmp_path, monkeypatch, capsys) -> None:
    rows = ["run,generation,perplexity"]
    logged = law("discard", 6, 10).draw(0, (1, 2), np.random.default_rng(8))[0]
    for run, values in enumerate(np.exp(0.5 + 0.02 * logged)):
        rows += [f"{run},{g + 1},{value}" for g, value in enumerate(values)]
    path = tmp_path / "losses.csv"
    path.write_text("\n".join(rows))
    common = ["--workflow", "discard", "--against", "augment"]
    assert main(["audit", str(path), *common, "--json", "--folder", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    saved = collapse.Audit.load(tmp_path / "audit.json")
    assert shown["p_value"] == saved.p_value
    assert shown["metric"] == "perplexity"
    page = (tmp_path / "audit.html").read_text("utf-8")
    assert saved.answers[0].split(":")[0] in page
    monkeypatch.setattr(sys, "stdin", io.StringIO(path.read_text()))
    assert main(["audit", "-", *common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["p_value"] == saved.p_value
    wrong = ["--workflow", "fixed_real_share(share=1/2)", "--fail-below", "0.05"]
    steep = tmp_path / "steep.csv"
    steep.write_text("loss\n" + "\n".join(str(0.5 + 0.1 * g) for g in range(1, 13)))
    assert main(["audit", str(steep), *wrong]) == 1
    assert main(["audit", str(steep), "--workflow", "discard", "--fail-below", "0.05"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("generation,value\n1,2\n", "must be a CSV file whose header"),
        ("loss\n1\n2\nthree\n", "row 4 has no number under loss"),
        ("loss,generation\n1,1\n2,1\n3,2\n", "generation 1 stands twice"),
        ("run,generation,loss\na,1,1\na,2,2\na,3,3\nb,1,1\n", "same generations"),
        ("loss\n1\n2\n", "at least 3 generations"),
        ("loss\n1\n1\n1\n1\n", "all the same"),
        ("perplexity\n1\n0\n3\n", "greater than 0"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, text: str, said: str) -> None:
    path = tmp_path / "losses.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as found:
        collapse.audit(path, "discard")
    assert str(found.value).count("\n") == 0


def test_a_picture_and_a_table() -> None:
    answer = collapse.audit([0.5, 0.52, 0.55, 0.56, 0.6], "discard", **FEW)
    frame = answer.to_frame()
    assert list(frame["workflow"]) == [row.name for row in answer.table]
    ax = answer.plot()
    assert len(ax.lines) + len(ax.collections) >= 2
    assert "nan" not in str(answer)


def test_a_workflow_not_asked_for_is_judged_in_few_worlds() -> None:
    """A largest p-value over fewer worlds is no larger: it may reject too often."""
    at = np.arange(1, 6)
    course = course_of(plan_of("discard", 5, "workflow"), at)
    of = law_of(course, unknowns(LINEAR, np.zeros(1), 1), np.ones(5), False)
    seen = 0.02 * of.draw(4, (1, 1), np.random.default_rng(2))[0]
    everywhere = consistent(of, seen, 100, np.random.SeedSequence(1))
    few = consistent(of, seen, 100, np.random.SeedSequence(1), 5)
    assert len(few) <= 5 < len(everywhere)
    assert {world.index for world in few} <= {world.index for world in everywhere}
