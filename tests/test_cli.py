"""The `collapse` command."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import collapse
from collapse.cli import main
from collapse.finite import least_share


def test_derive_prints_fractions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "subsample", "-g", "3", "--exact"]) == 0
    assert capsys.readouterr().out.split() == ["generation", "ratio", "1", "1", "2", "7/4", "3", "25/12"]


def test_simulate_writes_what_risk_load_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "risk.json"
    assert main(["simulate", "augment", "-g", "4", "-r", "100", "--seed", "3", "-o", str(path)]) == 0
    expected = collapse.simulate(collapse.workflows.augment(4), replications=100, rng=3)
    assert collapse.Risk.load(path).ratio.tolist() == expected.ratio.tolist()
    assert "generation ratio stderr" in capsys.readouterr().out


def test_wrong_arguments_have_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "augment", "-g", "0"]) == 2
    assert "generations (number of fits) must be a whole number, at least 1; it is 0." in capsys.readouterr().err


def test_the_module_is_the_command() -> None:
    run = subprocess.run([sys.executable, "-m", "collapse", "derive", "discard", "-g", "2"], capture_output=True, text=True, check=True)
    assert run.stdout == "generation ratio\n1 1.0\n2 2.0\n"


def test_a_workflow_is_named_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "fixed_real_share(share=1/2)", "-g", "3", "--exact"]) == 0
    assert capsys.readouterr().out.split()[2:] == ["1", "1", "2", "5/4", "3", "21/16"]
    assert main(["derive", "windo"]) == 2
    assert "there is no workflow called 'windo'; there are discard, augment" in capsys.readouterr().err


def test_a_verdict_and_a_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "window(k=3)", "-g", "20"]) == 0
    assert capsys.readouterr().out.startswith("window(k=3): collapsing for many rows (certified).")
    assert main(["compare", "discard", "window(k=3)", "-g", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["generation", "discard", "window(k=3)"]
    assert lines[1].split()[1] == "20"
    assert main(["compare", "discard", "windo"]) == 2
    assert "there is no workflow called 'windo'" in capsys.readouterr().err


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """A small feature file: 240 real rows of three overlapping classes, five features of which two are of use."""
    rng = np.random.default_rng(5)
    y = np.arange(360) % 3
    X = rng.normal(size=(360, 5)) * [3, 1, 1, 0.1, 0.1]
    X[:, 0] += 1.5 * (y == 1)
    X[:, 1] += y == 2
    path = tmp_path / "mine.npz"
    np.savez(path, X_train=X[:240], y_train=y[:240], X_test=X[240:], y_test=y[240:])
    return path


def test_features_of_ones_own_are_simulated(features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "discard", "-g", "4", "-r", "20", "--seed", "3", "--features", str(features)]
    assert main([*arguments, "--components", "2", "-o", str(tmp_path / "risk.json")]) == 0
    told = capsys.readouterr()
    assert "<mine: 240 real rows and 120 to test on, 2 features, 3 classes>" in told.err
    data = collapse.datasets.read_features(features).whitened().part(components=2)
    expected = collapse.simulate(collapse.workflows.discard(4), model=data.model(), replications=20, rng=3)
    assert collapse.Risk.load(tmp_path / "risk.json").risk.tolist() == expected.risk.tolist()
    head, *lines = told.out.splitlines()
    assert head == "generation test_loss rise stderr separated"
    assert [float(line.split()[1]) for line in lines] == pytest.approx(expected.risk.tolist(), abs=1e-6)
    assert [float(line.split()[2]) for line in lines] == pytest.approx((expected.risk - expected.risk[0]).tolist(), abs=1e-6)
    assert expected.risk[3] > expected.risk[0]
    assert main(arguments) == 0  # all five
    assert "5 features" in capsys.readouterr().err


def test_features_that_cannot_be_simulated_get_one_sentence(features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        assert main(["simulate", "augment", "-g", "3", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        return line

    assert told("--components", "2") == "collapse: --components chooses among the features of a file; name it with --features FILE.npz."
    assert "there is no file nowhere.npz" in told("--features", "nowhere.npz")
    assert "mine has 5 features; components asks for 6." in told("--features", str(features), "--components", "6")
    separated = tmp_path / "separated.npz"
    np.savez(separated, X_train=np.arange(-10.0, 10)[:, None], y_train=np.arange(20) // 10, X_test=[[0.0]], y_test=[1])
    assert "with 1 of the features kept the real classes are separated" in told("--features", str(separated))


def test_a_verdict_at_n(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "augment", "--model", "exponential", "-n", "10"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith("augment: bounded for Gamma(shape=1, mean=1) at n = 10 (certified). The ratio rises to 1.728")
    assert main(["diagnose", "discard", "-g", "20", "-m", "bernoulli(p=1/5)", "-n", "20", "--below", "3"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "p=Fraction(1, 5)" in words
    assert f"need {100 * least_share(20, -1, below=3):.3g} % of the weight to keep the ratio below 3 for ever, at this n" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "exponential"], "n (rows of real data) is needed"),
        (["-n", "10"], "n was given without a model"),
        (["-m", "nonsense", "-n", "10"], "there is no model called 'nonsense'; there are Normal, Bernoulli"),
        (["-m", "Bernoulli(q=1)", "-n", "10"], "Bernoulli cannot be made with these parameters"),
        (["-m", "Bernoulli(p=2)", "-n", "10"], "p must be a number, between 0 and 1"),
        (["-m", "x y", "-n", "10"], "'x y' is no model"),
        (["-m", "median", "-n", "10"], "a verdict at n rests on the exact risk at n"),
        (["--below", "1"], "below (a bound on the ratio) must be a number greater than 1"),
    ],
)
def test_a_verdict_at_n_that_cannot_be_given(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "augment", *arguments]) == 2
    assert words in capsys.readouterr().err
