"""The `collapse` command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import collapse
from collapse.cli import main
from collapse.derivation.finite import at_most, least_share


def test_derive_prints_fractions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "subsample", "-g", "3", "--exact"]) == 0
    assert capsys.readouterr().out.split() == [
        "generation",
        "ratio",
        "1",
        "1",
        "2",
        "7/4",
        "3",
        "25/12",
    ]


def test_simulate_writes_what_risk_load_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "risk.json"
    assert (
        main(["simulate", "augment", "-g", "4", "-r", "100", "--seed", "3", "-o", str(path)]) == 0
    )
    expected = collapse.simulate(collapse.workflows.augment(4), replications=100, rng=3)
    assert collapse.Risk.load(path).ratio.tolist() == expected.ratio.tolist()
    assert "generation ratio stderr" in capsys.readouterr().out


def test_simulate_tells_what_a_model_has_lost(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["simulate", "discard", "-g", "3", "-r", "50", "-n", "20", "--measure", "support"]
    asked += ["-m", "Multinomial(p=(0.5, 0.3, 0.2))", "--measure", "entropy"]
    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "generation ratio stderr support stderr entropy stderr"
    known = collapse.simulate(
        collapse.workflows.discard(3),
        model=collapse.models.Multinomial((0.5, 0.3, 0.2)),
        n=20,
        replications=50,
        rng=0,
        measures=("support", "entropy"),
    ).measures
    assert [float(line.split()[3]) for line in lines[1:]] == known["support"].mean.tolist()
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["measures"]
    assert told["entropy"]["mean"] == known["entropy"].mean.tolist()
    assert main([*asked, "--measure", "colour"]) == 2
    assert "must be one of variance, entropy, support, rare" in capsys.readouterr().err


def test_simulate_behind_a_gate(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["simulate", "discard", "-g", "4", "-r", "60", "--json"]
    discard = collapse.workflows.discard(4)
    for text, gate in (("1/2", 0.5), ("2", 2.0), ("inf", np.inf)):
        assert main([*asked, "--gate", text]) == 0
        told = json.loads(capsys.readouterr().out)
        known = collapse.simulate(discard, gate=gate, replications=60, rng=0)
        assert told["ratio"] == known.ratio.tolist()
        assert told["gate"] == ("inf" if text == "inf" else gate)
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["gate"] is None
    for text, message in (
        ("half", "--gate must be a number such as 1/2, or inf; it is 'half'."),
        ("1/0", "--gate must be a number such as 1/2, or inf; it is '1/0'."),
        ("-1", "gate must be a positive number"),
    ):
        assert main([*asked, f"--gate={text}"]) == 2
        assert message in capsys.readouterr().err


def test_wrong_arguments_have_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "augment", "-g", "0"]) == 2
    assert (
        "generations (number of fits) must be a whole number, at least 1; it is 0."
        in capsys.readouterr().err
    )


def test_the_module_is_the_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "collapse", "derive", "discard", "-g", "2"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "generation ratio\n1 1.0\n2 2.0\n"


def test_a_workflow_is_named_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "fixed_real_share(share=1/2)", "-g", "3", "--exact"]) == 0
    assert capsys.readouterr().out.split()[2:] == ["1", "1", "2", "5/4", "3", "21/16"]
    assert main(["derive", "windo"]) == 2
    assert (
        "there is no workflow called 'windo'; there are discard, augment" in capsys.readouterr().err
    )


def test_a_verdict_and_a_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "window(k=3)", "-g", "20"]) == 0
    assert capsys.readouterr().out.startswith("window(k=3): collapsing for many rows (certified).")
    assert main(["compare", "discard", "window(k=3)", "-g", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["generation", "discard", "window(k=3)"]
    assert lines[1].split()[1] == "20"
    assert main(["compare", "discard", "windo"]) == 2
    assert "there is no workflow called 'windo'" in capsys.readouterr().err


def read_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The one JSON object of standard output, which holds nothing else, and no NaN."""
    answer = json.loads(
        capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    assert isinstance(answer, dict)
    return answer


def test_answers_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "subsample", "-g", "3", "--exact", "--json"]) == 0
    answer = read_json(capsys)
    assert answer["workflow"] == "subsample"
    assert answer["generation"] == [1, 2, 3]
    assert answer["ratio"] == ["1", "7/4", "25/12"]
    assert answer["model"] is answer["n"] is answer["seed"] is None
    assert main(["simulate", "discard", "-g", "2", "-r", "1", "--seed", "4", "--json"]) == 0
    answer = read_json(capsys)
    expected = collapse.simulate(collapse.workflows.discard(2), replications=1, rng=4)
    assert (answer["ratio"], answer["replications"], answer["seed"]) == (
        expected.ratio.tolist(),
        1,
        4,
    )
    assert answer["risk_stderr"] == [None, None]  # one replication tells nothing of its spread
    assert main(["diagnose", "discard", "-g", "9", "--json"]) == 0
    answer = read_json(capsys)
    assert (answer["verdict"], answer["ratio"], answer["limit"], answer["doubles"]) == (
        "collapsing",
        9.0,
        None,
        2,
    )
    assert main(["compare", "discard", "augment", "-g", "9", "--json"]) == 0
    answer = read_json(capsys)
    assert (answer["generation"], answer["workflows"], answer["real"]) == (
        9,
        ["discard", "augment"],
        [1.0, 1.0],
    )
    assert answer["ratio"] == pytest.approx([9, sum(1 / g**2 for g in range(1, 10))])


def test_a_forecast_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = tmp_path / "mine.csv", tmp_path / "out"
    path.write_text("x,y\n" + "".join(f"{k % 7},{k % 5 + k % 3}\n" for k in range(60)))
    options = ["--budget", "0.01", "--against", "augment", "--folder", str(folder), "--json"]
    assert main(["forecast", str(path), "--target", "y", "-g", "2", *options]) == 0
    answer = read_json(capsys)
    assert answer.pop("schema") == 3
    assert answer == collapse.Forecast.load(folder / "forecast.json").document
    assert answer["settings"]["generations"] == 2


def test_features_as_json(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["simulate", "discard", "-g", "2", "-r", "5", "--features", str(features), "--json"])
        == 0
    )
    answer = read_json(capsys)
    assert (answer["n"], answer["replications"], answer["failed"]) == (240, 5, [0.0, 0.0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["simulate", "augment", "-r", "0"],
            (
                "replications (repetitions of the experiment) must be a whole number, at least 1;"
                " it is 0."
            ),
        ),
        (
            ["simulate", "augment", "-r", "-1"],
            (
                "replications (repetitions of the experiment) must be a whole number, at least 1;"
                " it is -1."
            ),
        ),
        (
            ["simulate", "augment", "--workers", "0"],
            "workers (processes) must be a whole number, at least 1; it is 0.",
        ),
        (["simulate", "augment", "--seed", "-1"], "; it is -1."),
        (["diagnose", "augment", "-g", "0"], "must be a whole number, at least 1; it is 0."),
        (["compare", "augment", "-g", "-3"], "must be a whole number, at least 1; it is -3."),
        (
            ["rerun", "--workers", "0"],
            "workers (chapters run at a time) must be a whole number, at least 1; it is 0.",
        ),
        (["derive", "augment(size=1/2, size=3)"], "is no workflow (size is given twice)"),
        (
            ["rerun", "-p", "seed=1", "-p", "seed=2"],
            "parameter 'seed' was given twice, as 1 and 2; give it once.",
        ),
        (
            ["derive", "augment", "-o", "nowhere/risk.json"],
            "nowhere/risk.json cannot be read or written: No such file or directory.",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_two(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert text in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_a_folder_that_cannot_be_written_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> int:
        raise OSError(28, "No space left on device", "risk.json")

    monkeypatch.setattr(Path, "write_text", full)
    assert main(["derive", "augment", "-o", "risk.json"]) == 2
    told = capsys.readouterr()
    assert told.err == "collapse: risk.json cannot be read or written: No space left on device.\n"
    assert told.out == ""


def test_the_version_is_the_packages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"collapse {collapse.__version__}\n"


def test_every_record_of_the_version_is_the_packages() -> None:
    root = Path(collapse.__file__).parent.parent
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(), re.MULTILINE)
    told = re.findall(r"^## ([0-9.]+)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cited
    assert cited[1] == told[0] == collapse.__version__
    written = (root / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in written
    assert f'"{collapse.__version__}"' not in written


def test_a_checkout_that_nobody_installed_answers() -> None:
    # isolated from what is installed under the package's name: its record of installation is hidden
    code = (
        "import sys; from importlib import metadata; find = metadata.version\ndef version(name):\n "
        "   if name.startswith('collapse'): raise metadata.PackageNotFoundError(name)\n    return"
        " find(name)\nmetadata.version = version; from collapse.cli import main;"
        " sys.exit(main(['derive', 'discard', '-g', '2', '--json']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["versions"]["collapse-companion"] == collapse.__version__


def test_fractions_of_any_length_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "augment", "-g", "6000", "--exact"]) == 0
    top, bottom = capsys.readouterr().out.split()[-1].split("/")
    assert min(len(top), len(bottom)) > 4300
    # the leading digits tell the value
    leading = int(top[:20]) / int(bottom[:20]) * 10.0 ** (len(top) - len(bottom))
    assert leading == pytest.approx(sum(1 / g**2 for g in range(1, 6001)))


@pytest.mark.skipif(os.name != "posix", reason="a pipe that is closed early is another thing there")
def test_a_reader_who_leaves_early_ends_it_quietly() -> None:
    command = [sys.executable, "-m", "collapse", "derive", "augment", "-g", "20000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == "generation ratio\n"
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 141


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """A small feature file: 240 real rows of three overlapping classes, five features of which two
    are of use.
    """
    rng = np.random.default_rng(5)
    y = np.arange(360) % 3
    X = rng.normal(size=(360, 5)) * [3, 1, 1, 0.1, 0.1]
    X[:, 0] += 1.5 * (y == 1)
    X[:, 1] += y == 2
    path = tmp_path / "mine.npz"
    np.savez(path, X_train=X[:240], y_train=y[:240], X_test=X[240:], y_test=y[240:])
    return path


def test_features_of_ones_own_are_simulated(
    features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "simulate",
        "discard",
        "-g",
        "4",
        "-r",
        "20",
        "--seed",
        "3",
        "--features",
        str(features),
    ]
    assert main([*arguments, "--components", "2", "-o", str(tmp_path / "risk.json")]) == 0
    told = capsys.readouterr()
    assert "<mine: 240 real rows and 120 to test on, 2 features, 3 classes>" in told.err
    data = collapse.datasets.read_features(features).whitened().part(components=2)
    expected = collapse.simulate(
        collapse.workflows.discard(4), model=data.model(), replications=20, rng=3
    )
    assert collapse.Risk.load(tmp_path / "risk.json").risk.tolist() == expected.risk.tolist()
    head, *lines = told.out.splitlines()
    assert head == "generation test_loss rise stderr separated"
    assert [float(line.split()[1]) for line in lines] == pytest.approx(
        expected.risk.tolist(), abs=1e-6
    )
    assert [float(line.split()[2]) for line in lines] == pytest.approx(
        (expected.risk - expected.risk[0]).tolist(), abs=1e-6
    )
    assert expected.risk[3] > expected.risk[0]
    assert main(arguments) == 0  # all five
    assert "5 features" in capsys.readouterr().err


def test_features_that_cannot_be_simulated_get_one_sentence(
    features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> str:
        assert main(["simulate", "augment", "-g", "3", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        return line

    assert (
        told("--components", "2")
        == "collapse: --components chooses among the features of a file; name it with --features"
        " FILE.npz."
    )
    assert "there is no file nowhere.npz" in told("--features", "nowhere.npz")
    assert "components (features of mine to keep) can be 5 at most; it is 6." in told(
        "--features", str(features), "--components", "6"
    )
    separated = tmp_path / "separated.npz"
    np.savez(
        separated,
        X_train=np.arange(-10.0, 10)[:, None],
        y_train=np.arange(20) // 10,
        X_test=[[0.0]],
        y_test=[1],
    )
    assert "with 1 of the features kept the real classes are separated" in told(
        "--features", str(separated)
    )


def test_features_of_hopeless_sizes_are_refused(
    features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(features) as stored:
        given = dict(stored)
    path = tmp_path / "odd.npz"
    column = np.array([1e9, 1, 1, 1, 1])
    for scale, told in [
        (1e200, "must lie between 1e-100 and 1e+100; divide each feature by"),
        (1e307, "must lie between 1e-100 and 1e+100; divide each feature by"),
        (1e-300, "must lie between 1e-100 and 1e+100; divide each feature by"),
        (column, "4 of 5 components that vary would be lost; divide each feature by"),
    ]:
        X = {name: given[name] * scale for name in ("X_train", "X_test")}
        np.savez(path, **(given | X))
        assert main(["simulate", "discard", "-g", "2", "-r", "2", "--features", str(path)]) == 2
        assert told in capsys.readouterr().err
    np.savez(path, **(given | {"X_train": np.full((240, 5), 0.1)}))
    assert main(["simulate", "discard", "-g", "2", "-r", "2", "--features", str(path)]) == 2
    assert "no feature varies over the real rows" in capsys.readouterr().err


def test_a_damaged_header_of_features_is_refused(
    features: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = features.read_bytes()
    at = sound.index(b"{'descr'")
    for broken in (b"{'descr': (((", b'{\'descr\': """', b"{'descr': [[[", b"  {\n {\n\t"):
        features.write_bytes(sound[:at] + broken + sound[at + len(broken) :])
        assert main(["simulate", "discard", "-g", "2", "--features", str(features)]) == 2
        assert "is not an .npz file of plain numbers" in capsys.readouterr().err


def test_a_name_that_is_empty_is_no_missing_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # as an unset variable of the shell gives it
    data = tmp_path / "data.csv"
    data.write_text("x,y\n" + "".join(f"{i % 7},{i % 2}\n" for i in range(60)))
    for arguments in (
        ["derive", "augment", "-g", "2", "-o", ""],
        ["simulate", "augment", "-g", "2", "--features", ""],
        ["forecast", str(data), "--target", "y", "--folder", ""],
    ):
        assert main(arguments) == 2
        told = capsys.readouterr()
        assert "it is ''" in told.err
        assert told.out == ""


@pytest.mark.skipif(os.name != "posix", reason="pipes have names in /dev there")
def test_an_answer_is_written_into_a_pipe() -> None:
    command = [
        sys.executable,
        "-m",
        "collapse",
        "derive",
        "augment",
        "-g",
        "2",
        "-o",
        "/dev/stderr",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    document, _ = json.JSONDecoder().raw_decode(run.stderr)
    assert document["ratio"] == [1.0, 1.25]
    assert run.stdout == "generation ratio\n1 1.0\n2 1.25\n"


@pytest.mark.skipif(os.name != "posix", reason="a shell closes it so")
def test_an_output_that_is_closed_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "risk.json"
    command = f"exec '{sys.executable}' -m collapse derive augment -g 2 -o '{path}' >&-"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert run.stderr == f"written to {path}\n"
    assert collapse.Risk.load(path).ratio.tolist() == [1.0, 1.25]


def test_a_verdict_at_n(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "augment", "--model", "exponential", "-n", "10"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith(
        "augment: bounded for Gamma(shape=1, mean=1) at n = 10 (certified). The ratio rises to"
        " 1.728"
    )
    assert (
        main(
            [
                "diagnose",
                "discard",
                "-g",
                "20",
                "-m",
                "bernoulli(p=1/5)",
                "-n",
                "20",
                "--below",
                "3",
            ]
        )
        == 0
    )
    words = " ".join(capsys.readouterr().out.split())
    assert "p=Fraction(1, 5)" in words
    need = at_most(100 * least_share(20, -1, below=3), 3)
    told = f"need {need} % of the weight to keep the ratio below 3 for ever, at this n"
    assert told in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "exponential"], "n (rows of real data) is needed"),
        (["-n", "10"], "n was given without a model"),
        (
            ["-m", "nonsense", "-n", "10"],
            "there is no model called 'nonsense'; there are Normal, Bernoulli",
        ),
        (["-m", "Bernoulli(q=1)", "-n", "10"], "Bernoulli cannot be made with these parameters"),
        (["-m", "Bernoulli(p=2)", "-n", "10"], "p must be a number, between 0 and 1"),
        (["-m", "x y", "-n", "10"], "there is no model called 'x y'"),
        (["-m", "median", "-n", "10"], "a verdict at n rests on the exact risk at n"),
        (["--below", "1"], "below (a bound on the ratio) must be a number greater than 1"),
    ],
)
def test_a_verdict_at_n_that_cannot_be_given(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", "augment", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_what_diverges_is_told_from_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    def found(*arguments: str) -> Any:
        assert main(["diagnose", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert found("discard")["supremum"] == "inf"
    assert found("discard", "-m", "exponential", "-n", "20")["exponent"] == "inf"
    evidence = found("subsample", "-g", "30", "-m", "exponential", "-n", "40")
    assert evidence["verdict"] == "bounded"
    assert evidence["supremum"] is None
