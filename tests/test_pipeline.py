"""The command in a pipeline: quiet, standard input, settings, completion, schema, exit status."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import collapse
from collapse.answers import SCHEMA
from collapse.cli import _parsers, completion, main, settings
from collapse.cli.options import COMMANDS
from collapse.cli.schema import DESCRIBED, of_command

PAGE = Path(__file__).parents[1] / "book" / "api" / "commands.md"
TABLE = "x,y\n" + "".join(f"{k % 7},{k % 5 + k % 3}\n" for k in range(60))
LOSSES = "loss\n0.50\n0.53\n0.57\n0.60\n0.64\n0.66\n"
FORECAST = ["--target", "y", "-g", "2", "--budget", "0.01", "--against", "augment"]
JSON: dict[str, list[str]] = {
    "derive": ["derive", "subsample", "-g", "3", "--exact"],
    "simulate": ["simulate", "discard", "-g", "2", "-r", "1"],
    "sweep": ["sweep", "grid.toml", "--folder", "kept"],
    "cache": ["cache", "--folder", "kept"],
    "diagnose": ["diagnose", "discard", "-g", "20"],
    "compare": ["compare", "discard", "window(k=3)", "-g", "9"],
    "plan-for": ["plan-for", "--ratio", "1.5"],
    "forecast": ["forecast", "mine.csv", *FORECAST, "--folder", "out"],
    "audit": ["audit", "losses.csv", "--workflow", "augment"],
}
MORE = {
    "derive at n": ["derive", "all_to_all(models=2)", "-g", "3"],
    "cache cleared": ["cache", "--folder", "kept", "--clear"],
    "diagnose at n": ["diagnose", "augment", "-m", "exponential", "-n", "10"],
    "diagnose a typed end": ["diagnose", "reservoir", "-g", "9"],
    "plan-for at n": ["plan-for", "--ratio", "2", "-g", "9", "-m", "exponential", "-n", "20"],
}


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text(TABLE)
    Path("losses.csv").write_text(LOSSES)
    Path("grid.toml").write_text(
        'workflow = ["augment", "discard"]\ngenerations = 2\nreplications = 20\n'
    )
    assert main(["sweep", "grid.toml", "--folder", "kept", "--quiet"]) == 0
    return tmp_path


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def feed(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return feed


def test_every_command_that_answers_in_json_is_described() -> None:
    answering = {
        name
        for name, (_, _, arguments) in COMMANDS.items()
        if any("--json" in flags for flags, _ in arguments)
    }
    assert answering == {*DESCRIBED} == {*JSON}


@pytest.mark.parametrize("name", [*JSON, *MORE])
def test_what_a_command_prints_is_what_its_schema_says(
    name: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (JSON | MORE)[name]
    schema = of_command(arguments[0])
    jsonschema.Draft202012Validator.check_schema(schema)
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["collapse"], answer["schema"]) == (arguments[0], SCHEMA)
    jsonschema.validate(answer, schema)
    described = schema["properties"].keys() | (
        {"entries", "removed", "bytes"} if arguments[0] == "cache" else {"format"}
    )
    assert answer.keys() <= described
    for key in schema["required"]:  # the schema is one that an answer can break
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({k: v for k, v in answer.items() if k != key}, schema)
    assert main(["schema", arguments[0]]) == 0
    assert json.loads(capsys.readouterr().out) == schema


def test_a_schema_refuses_values_of_another_kind(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([*JSON["audit"], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    for wrong in ({"p_value": "small"}, {"horizon": 1.5}, {"workflow": None}, {"table": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(answer | wrong, of_command("audit"))


@pytest.mark.parametrize("name", [name for name in JSON if name != "forecast"])
def test_quiet_commands_print_nothing_and_do_the_same(
    name: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([*JSON[name], "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main([*JSON[name], "-q", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["collapse"] == name
    assert printed.err == ""


def test_a_quiet_gate_still_says_why_it_fails(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    flags = ["--fail-over", "0.0001%", "--quiet"]
    assert main([*JSON["forecast"], *flags]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert Path("out/report.html").is_file()
    assert re.fullmatch(r"collapse: the test loss after 2 generations .*\n", printed.err)
    assert main(["derive", "augment", "-g", "0", "--quiet"]) == 2
    assert "generations" in capsys.readouterr().err


def test_a_table_and_losses_come_from_standard_input(
    there: Path, stdin: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    stdin(TABLE)
    assert main(["forecast", "-", *FORECAST, "--folder", "out", "--json", "-q"]) == 0
    answer = json.loads(capsys.readouterr().out)
    expected = collapse.forecast("mine.csv", "y", generations=2, budget=0.01, against="augment")
    assert answer["workflows"] == expected.document["workflows"]
    assert answer["data"]["source"] == "-"
    audits = []
    for source in ("losses.csv", "-"):
        stdin(LOSSES)
        assert main(["audit", source, "--workflow", "augment", "--json"]) == 0
        audits.append(json.loads(capsys.readouterr().out))
    assert audits[0] == audits[1]


SETTINGS = """
generations = 12   # of every command
quiet = false

[audit]
losses = "losses.csv"
workflow = "augment"
against = ["discard", "window(k=3)"]
seed = 4

[derive]
workflow = "subsample"
exact = true

[compare]
workflows = ["discard", "augment"]

[plan-for]
ratio = 1.5
"""


def test_a_file_of_settings_says_what_flags_say(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("all.toml").write_text(SETTINGS)
    capsys.readouterr()

    def same(by_file: list[str], by_flags: list[str]) -> None:
        printed = []
        for arguments in (by_file, by_flags):
            assert main(arguments) == 0
            printed.append(capsys.readouterr())
        assert printed[0] == printed[1]
        assert printed[0].out

    use = ["--settings", "all.toml"]
    same(["derive", *use], ["derive", "subsample", "-g", "12", "--exact"])
    same(["derive", "--settings=all.toml", "-g", "3"], ["derive", "subsample", "-g3", "--exact"])
    same(["derive", "augment", "--sett", "all.toml"], ["derive", "augment", "-g12", "--exact"])
    same(["compare", *use, "--json"], ["compare", "discard", "augment", "-g", "12", "--json"])
    same(["compare", "subsample", *use], ["compare", "subsample", "-g", "12"])
    same(["plan-for", *use], ["plan-for", "--ratio", "1.5", "-g", "12"])
    Path("audit.toml").write_text(SETTINGS.replace("generations = 12", ""))
    flags = ["audit", "losses.csv", "--workflow", "augment", "--seed", "4"]
    against = ["--against", "discard", "--against", "window(k=3)"]
    same(["audit", "--settings", "audit.toml"], [*flags, *against])
    # what is given replaces a list, and does not go on with it
    one = ["--against", "discard"]
    same(["audit", "--settings", "audit.toml", *one], [*flags, *one])


def test_one_file_has_a_table_for_each_of_two_commands(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rows.csv").write_text(TABLE)
    Path("two.toml").write_text(
        'generations = 3\n[forecast]\ndata = "rows.csv"\ntarget = "y"\nbudget = 0.01\n'
        'against = ["discard"]\n[plan-for]\nratio = 1.5\n'
    )
    capsys.readouterr()
    assert main(["forecast", "--settings", "two.toml", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["generations"] == 3
    assert main(["plan-for", "--settings", "two.toml", "--json", "-q"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ratio"], told["generations"]) == (1.5, 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("generations = ", "--settings wrong.toml is not TOML"),
        ("gen = 3", "collapse derive takes no 'gen'; it takes exact, generations, output"),
        ("exact = 1", "exact must be true or false; it is 1."),
        ("generations = [3, 4]", "generations must be one value; it is [3, 4]."),
        ("generations = 2024-01-01", "generations must be text, a number, true or false"),
        ("json = true", "takes no 'json'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    text: str, told: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.toml").write_text(text)
    assert main(["derive", "augment", "--settings", "wrong.toml"]) == 2
    assert told in capsys.readouterr().err


def test_settings_that_are_not_there_or_of_the_wrong_type(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["derive", "augment", "--settings", "none.toml"]) == 2
    assert "none.toml cannot be read" in capsys.readouterr().err
    Path("wrong.toml").write_text('generations = "many"')
    with pytest.raises(SystemExit) as ended:
        main(["derive", "augment", "--settings", "wrong.toml"])
    assert ended.value.code == 2
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_every_flag_has_a_name_in_a_file() -> None:
    for name, parser in _parsers()[1].items():
        flags = {flag for action in parser._actions for flag in action.option_strings}
        named = settings.named(parser)
        assert all(f"--{key}" in flags or len(key) == 1 or key == named[key].dest for key in named)
        assert name == "rerun" or "settings" not in named


def complete(script: str, line: list[str]) -> list[str]:
    """What bash would offer for the last word of a line."""
    words = " ".join(map(shlex.quote, line))
    code = f"{script}\nCOMP_WORDS=({words})\nCOMP_CWORD={len(line) - 1}\n_collapse\n"
    code += 'printf "%s\\n" "${COMPREPLY[@]}"'
    run = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_bash_completes_commands_flags_and_choices() -> None:
    script = completion.script("bash", _parsers()[1])
    assert complete(script, ["collapse", "pl"]) == ["plan-for"]
    assert complete(script, ["collapse", ""]) == [*COMMANDS]
    assert complete(script, ["collapse", "plan-for", "--ra"]) == ["--ratio"]
    assert complete(script, ["collapse", "plan-for", "--cost", "s"]) == ["stored"]
    assert complete(script, ["collapse", "audit", "--ra"]) == []
    assert complete(script, ["collapse", "audit", "losses.csv", "--qu"]) == ["--quiet"]


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_completion_is_printed_and_names_every_flag(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name, parser in _parsers()[1].items():
        assert name in script
        for action in parser._actions:
            for flag in action.option_strings:
                assert (flag if shell != "fish" else flag.lstrip("-")) in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def gates() -> list[list[str]]:
    """The commands of the example for a pipeline in the book."""
    text = PAGE.read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text[text.index("## In a pipeline") :], re.DOTALL)
    lines = re.findall(r"(?:run: |- )?(?:\S+ \| )?collapse ((?:[^\n\\]|\\\n)+)", block)
    return [shlex.split(line.replace("\\\n", " ")) for line in lines]


def test_the_example_of_a_pipeline_gates_on_the_exit_status(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = gates()
    assert [command[0] for command in commands] == ["forecast", "audit"]
    forecast, audit = commands
    audit[audit.index("-")] = "losses.csv"
    Path("rows.csv").write_text(TABLE.replace("x,y", "x,price"))
    cheap = ["--budget", "0.01", "-g", "2"]
    assert main([*forecast, *cheap]) == 0
    walk = np.linspace(0.5, 0.7, 12)
    Path("losses.csv").write_text("loss\n" + "".join(f"{loss}\n" for loss in walk))
    assert main(audit) == 1
    Path("losses.csv").write_text(LOSSES.replace("loss", "nothing"))
    assert main(audit) == 2
    risk = collapse.derive(collapse.workflows.augment(12)).risk
    noise = np.random.default_rng(3).normal(0, 0.001, 12)
    Path("losses.csv").write_text(
        "loss\n" + "".join(f"{loss}\n" for loss in 0.4 + 0.01 * risk + noise)
    )
    assert main(audit) == 0
    capsys.readouterr()


def test_a_closed_pipe_and_files_work_together(there: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m collapse"
    line = f"cat losses.csv | {command} audit - --workflow augment -q --json | head -c 20"
    environment = os.environ | {"PYTHONPATH": str(PAGE.parents[2])}
    run = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.startswith('{\n "collapse": "aud')
    assert run.stderr == ""
