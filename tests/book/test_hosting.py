"""What the host runs: the project's own commands, by actions of known content, with no more rights
than they need; and what a release holds.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

import collapse

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
WRITING = {
    ("test", "publish"): {"pages": "write", "id-token": "write"},
    ("release", "release"): {"contents": "write"},
}
"""Rights of the jobs that may change something; all others may read the sources."""


def read(name):
    return yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))


def test_the_host_has_what_is_promised():
    assert set(WORKFLOWS) == {"test", "cold", "canary", "release"}
    # YAML reads the key `on` as true
    assert read("test")[True]["push"] == {"branches": ["main"]}
    assert read("release")[True] == {"push": {"tags": ["v*"]}}
    for name in ("cold", "canary"):  # each week
        (entry,) = read(name)[True]["schedule"]
        assert re.fullmatch(r"\d+ \d+ \* \* \d", entry["cron"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_step_is_a_command_of_the_project_or_a_pinned_action(name):
    known = {*(f"make {target}" for target in TARGETS), ".ci/slow"}
    own = 0
    for job in read(name)["jobs"].values():
        for step in job["steps"]:
            if "run" in step and not re.match(r"sudo apt-get|gh release create", step["run"]):
                assert step["run"] in known
                own += 1
    assert own
    for line in re.findall(r"uses: .*", WORKFLOWS[name].read_text()):
        assert re.fullmatch(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_job_has_no_more_rights_than_it_needs(name):
    workflow = read(name)
    assert workflow["permissions"] == {}
    assert "group" in workflow["concurrency"]
    for job, told in workflow["jobs"].items():
        assert told["permissions"] == WRITING.get((name, job), {"contents": "read"})
        assert told["timeout-minutes"] <= 120
        for step in told["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
                assert (name, job) not in WRITING


def test_what_is_published_was_tested_and_the_canary_publishes_nothing():
    assert "upload" not in WORKFLOWS["canary"].read_text()
    for name, job in WRITING:
        (before,) = [read(name)["jobs"][job]["needs"]]
        commands = [step.get("run") for step in read(name)["jobs"][before]["steps"]]
        uploads = [i for i, step in enumerate(commands) if step is None][1:]
        assert commands.index("make test") < uploads[0]
    condition = read("test")["jobs"]["publish"]["if"]
    assert condition == "github.event_name != 'pull_request' && github.ref == 'refs/heads/main'"


@pytest.fixture
def checkout(tmp_path):
    """A committed copy of what a release needs, with a site."""
    ignored = shutil.ignore_patterns("__pycache__", "*.npz")
    shutil.copytree(ROOT / "collapse", tmp_path / "collapse", ignore=ignored)
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / ".gitignore").write_text("_build/\n")
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "All"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "_build" / "html" / "index.html").write_text("the site")
    (tmp_path / "_build" / "built").touch()
    return tmp_path


def archive(checkout, tag=""):
    command = ["make", "--silent", "--old-file=.venv/made", "archive", f"TAG={tag}"]
    command.append(f"BIN={Path(sys.executable).parent}")
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_an_archive_holds_sources_wheel_and_site_with_their_sums(checkout):
    stem = f"collapse-companion-{collapse.__version__}"
    sums = set()
    for _ in range(2):
        done = archive(checkout, f"v{collapse.__version__}")
        assert done.returncode == 0, done.stderr
        folder = checkout / "_build" / "archive"
        listed = (folder / "SHA256SUMS").read_text()
        told = dict(reversed(line.split("  ")) for line in listed.splitlines())
        assert told.keys() == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
        for name, digest in told.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        sums.add(listed)
    assert len(sums) == 1  # the same bytes each time
    assert len(told) == 3
    with tarfile.open(folder / f"{stem}.tar.gz") as sources:
        assert f"{stem}/collapse/plan.py" in sources.getnames()
    with tarfile.open(folder / f"{stem}-site.tar.gz") as site:
        assert set(site.getnames()) == {f"{stem}-site", f"{stem}-site/index.html"}


def test_an_archive_holds_the_pdf_that_the_site_has(checkout):
    (checkout / "_build" / "html" / "collapse-companion.pdf").write_text("the pages")
    done = archive(checkout)
    assert done.returncode == 0, done.stderr
    name = f"collapse-companion-{collapse.__version__}.pdf"
    folder = checkout / "_build" / "archive"
    assert (folder / name).read_text() == "the pages"
    assert (
        f"{hashlib.sha256(b'the pages').hexdigest()}  {name}" in (folder / "SHA256SUMS").read_text()
    )


def test_an_archive_is_of_the_tagged_version_and_of_a_built_book(checkout):
    done = archive(checkout, "v9.9.9")
    assert done.returncode == 2
    assert f"the tag v9.9.9 is not that of version {collapse.__version__}" in done.stderr
    (checkout / "_build" / "built").unlink()
    done = archive(checkout)
    assert done.returncode == 2
    assert "the book has not been built; run make book first." in done.stderr
    assert not (checkout / "_build" / "archive").exists()
