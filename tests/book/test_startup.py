"""What Binder does, done here: the environment installed, a chapter opened as a notebook and run,
an explorer moved.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = (
    "book",
    "collapse",
    "LICENSE",
    "README.md",
    "environment.yml",
    "postBuild",
    "pyproject.toml",
    "requirements-binder.lock",
)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the files that Binder starts from, where it may write what it likes."""
    for name in CHECKOUT:
        source, target = ROOT / name, tmp_path / "checkout" / name
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__", "_figures")
            )
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(source, target)
    return tmp_path / "checkout"


@pytest.fixture
def environment(checkout, tmp_path):
    """Variables under which the programs of a fresh environment run, made as environment.yml and
    postBuild say.
    """
    described = yaml.safe_load((checkout / "environment.yml").read_text())["dependencies"]
    python = next(
        line for line in described if isinstance(line, str) and line.startswith("python=")
    )
    assert sys.version_info[:2] >= tuple(map(int, python.removeprefix("python=").split(".")))
    venv = tmp_path / "venv"
    kept_out = ("PYTHON", "JUPYTER", "IPYTHON", "COLLAPSE", "VIRTUAL_ENV")
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(kept_out)
    } | {
        "PATH": os.pathsep.join([str(venv / "bin"), os.environ["PATH"]]),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    variables |= {
        f"JUPYTER_{name}_DIR": str(tmp_path / name.lower())
        for name in ("CONFIG", "DATA", "RUNTIME")
    }
    variables["IPYTHONDIR"] = str(tmp_path / "ipython")

    def run(*command):
        done = subprocess.run(
            command, cwd=checkout, env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.fail(
                f"{' '.join(command)} failed; it needs the package registry, or pip's"
                f" cache:\n{(done.stdout + done.stderr)[-3000:]}"
            )

    run(sys.executable, "-m", "venv", str(venv))
    requirements = next(line["pip"] for line in described if isinstance(line, dict))
    # compiled when imported: most of it never is
    run(
        "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        *(word for line in requirements for word in line.split()),
    )
    run("bash", "postBuild")
    return variables


@pytest.fixture
def lab(checkout, environment, tmp_path):
    """Address of a running JupyterLab, with its token."""
    command = [
        "jupyter",
        "lab",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
    ]
    with (tmp_path / "lab.log").open("w+") as log:
        server = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while not (records := list((tmp_path / "runtime").glob("jpserver-*.json"))):
                if server.poll() is not None:
                    pytest.fail(
                        f"JupyterLab did not start:\n{(tmp_path / 'lab.log').read_text()[-3000:]}"
                    )
                time.sleep(0.2)
            record = json.loads(records[0].read_text())
            yield lambda page: f"{record['url']}{page}?token={record['token']}"
        finally:
            server.terminate()
            server.wait(timeout=30)


def test_a_chapter_runs_where_binder_opens_it(site, lab, browser):
    tab = browser.new_page(viewport={"width": 1400, "height": 1000})
    tab.set_default_timeout(60_000)
    tab.goto(lab("lab/tree/book/origin.md"))  # as test_publish.py has it of the launch button
    notebook = tab.locator(".jp-NotebookPanel")  # not the editor of its text
    notebook.wait_for()
    expect(tab.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
    tab.get_by_role("menuitem", name="Run", exact=True).click()
    tab.get_by_text("Run All Cells", exact=True).click()
    slider = notebook.locator(".collapse-explorer input[type=range]:visible").first
    slider.wait_for(timeout=180_000)
    expect(tab.locator("#jp-main-statusbar")).to_contain_text(
        "| Idle", timeout=180_000
    )  # cells that still run move the page
    figure = notebook.locator(".collapse-explorer svg").first
    before, value = figure.inner_html(), slider.input_value()
    for _ in range(5):  # on a busy machine the page may still move, and the handle be missed
        box = slider.bounding_box()
        slider.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
        tab.mouse.down()
        slider.hover(position={"x": 0.8 * box["width"], "y": box["height"] / 2})
        tab.mouse.up()
        if slider.input_value() != value:
            break
    assert slider.input_value() != value
    expect(figure).not_to_have_js_property("innerHTML", before)
    assert (
        notebook.locator(
            ".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']"
        ).count()
        == 0
    )
    tab.close()
