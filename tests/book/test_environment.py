"""One set of versions: what Binder installs is part of what the book is built with."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import collapse
from collapse.archives import SHA256

ROOT = Path(__file__).resolve().parents[2]


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return {line.removesuffix(" \\") for line in lines if re.match(r"[a-z0-9._-]+==", line)}


def hashed(name):
    blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    return all("--hash=sha256:" in block for block in blocks)


def test_binder_has_the_versions_of_the_book():
    binder = pins("requirements-binder.lock")
    assert len(binder) > 50
    assert {pin.split(" ;")[0] for pin in binder} <= {
        pin.split(" ;")[0] for pin in pins("requirements.lock")
    }


def test_locks_have_hashes_and_name_no_index():
    for name in ("requirements.lock", "requirements-binder.lock"):
        assert hashed(name)
        assert not re.search(
            r"https?://|--(extra-)?index-url|--find-links", (ROOT / name).read_text()
        )


def test_binder_installs_the_lock_and_opens_chapters_as_notebooks():
    assert "- -r requirements-binder.lock" in (ROOT / "environment.yml").read_text()
    script = ROOT / "postBuild"
    assert "jupytext-config set-default-viewer" in script.read_text()
    assert script.stat().st_mode & 0o111


def test_the_wheel_has_the_packages_version_data_and_types(tmp_path):
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        str(tmp_path),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    assert wheel.name.startswith(f"collapse_companion-{collapse.__version__}-")
    names = zipfile.ZipFile(wheel).namelist()
    for path in (
        "py.typed",
        "explorers/collapse.js",
        "explorers/formulas.js",
        *(f"data/{name}" for name in SHA256),
    ):
        assert f"collapse/{path}" in names
