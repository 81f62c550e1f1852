"""Sphinx extension of the book: what executing its chapters took, by the records that the run left.

The directive {status} shows a table of all chapters, the role {seconds} a chapter's seconds. What
differs from build to build has the class `measured`.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx_external_toc.parsing import parse_toc_yaml

from collapse.publishing.page import Table
from collapse.publishing.records import read_record

HEADS = {"chapter": "", "s": ".0f", "MB": ".0f", "claims": "", "seed": ""}  # to fit a phone


class Status(SphinxDirective):
    """A table of the chapters in the book's order, and the versions that they ran with."""

    def run(self) -> list[nodes.Node]:
        source = Path(self.env.srcdir)
        run, rows, versions = Path(self.config.run_folder), [], {}
        for name in parse_toc_yaml(source / "_toc.yml"):
            chapter = Path(name).name
            if not (run / f"{chapter}.json").is_file():
                continue  # a page without code
            record, told = _record(self.env, chapter), _told(run, chapter)
            own = told.get("claims that held", "none"), told.get("seed", "none")
            measured = record["seconds"], record["memory"] / 1e6
            rows.append((f"{{doc}}`/{name}`", *measured, *own))
            used = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
            versions.setdefault(used, []).append(chapter)
        lines = repr(Table(HEADS, rows)).splitlines()
        for used, chapters in versions.items():
            which = "All chapters" if len(versions) == 1 else ", ".join(chapters)
            lines += ["", f"{which}: {used}."]
        body = nodes.container(classes=["measured"])
        self.state.nested_parse(StringList(lines, str(source)), self.content_offset, body)
        return [body]


class Seconds(SphinxRole):
    """How long a chapter took."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        seconds = f"{_record(self.env, self.text)['seconds']:.0f}"
        return [nodes.inline(self.rawtext, seconds, classes=["measured"])], []


def _record(env: Any, chapter: str) -> dict[str, Any]:
    """What a run recorded of a chapter; the page that tells of it is made anew with it."""
    path = Path(env.config.run_folder, f"{chapter}.json")
    record = read_record(path)
    if record is None:
        raise ExtensionError(
            f"{env.docname} tells of the chapter {chapter!r}, of which no run is recorded in"
            f" {path.parent}; correct the name, or run `python book/build.py`"
        )
    env.note_dependency(str(path))
    return record


def _told(run: Path, chapter: str) -> dict[str, str]:
    """The numbers that a chapter said, by name."""
    path = run / "figures" / f"{chapter}-prose.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return row


def locate_run(app: Sphinx, config: Any) -> None:
    config.run_folder = str(Path(app.srcdir, config.run_folder))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("run_folder", "_build/execution/run", "")
    app.add_directive("status", Status)
    app.add_role("seconds", Seconds())
    app.connect("config-inited", locate_run)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
