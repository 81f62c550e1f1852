"""The `collapse` command."""

import subprocess
import sys
from pathlib import Path

import pytest

import collapse
from collapse.cli import main


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
    assert capsys.readouterr().out.startswith("window(k=3): collapsing (certified).")
    assert main(["compare", "discard", "window(k=3)", "-g", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["generation", "discard", "window(k=3)"]
    assert lines[1].split()[1] == "20"
    assert main(["compare", "discard", "windo"]) == 2
    assert "there is no workflow called 'windo'" in capsys.readouterr().err
