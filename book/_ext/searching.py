"""Sphinx extension of the book: what its search reads. A file holds each section's title and its
text: prose, captions, names, formulas as one would type them; no code, no output, no TeX. The
page's own script, `search.js`, ranks them, without a server.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

SIGNS = {
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "to": "→", "infty": "∞", "sum": "∑",
    "prod": "∏", "int": "∫", "sqrt": "√", "cdot": "·", "times": "\u00d7", "pm": "±", "approx": "≈",
    "sim": "\u223c", "in": "∈", "dots": "…", "mid": "|", "ell": "\u2113", "partial": "∂",
    "propto": "∝",
}  # fmt: skip
GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
    "mu", "nu", "xi", "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi",
    "psi", "omega",
)  # fmt: skip
SIGNS |= {name: chr(0x3B1 + place) for place, name in enumerate(GREEK)}
SIGNS |= {name.title(): chr(0x391 + place) for place, name in enumerate(GREEK)}
SIGNS |= {"varepsilon": "ε", "varphi": "φ", "vartheta": "θ"}
NAMES = {"log", "ln", "exp", "min", "max", "sup", "inf", "sin", "cos", "sinh", "cosh", "tan"}
RAISED = str.maketrans("0123456789-+n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ")
OVER = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*(?:\{([^{}]*)\}|(\w))")
UNREAD = re.compile(r"<(script|style|noscript|pre|svg)\b.*?</\1>", re.DOTALL)
LEFT_OUT = {
    "cell", "headerlink", "bundle-downloads", "colophon", "next-steps", "eqno",
    "prev-next-area", "section-number",
}  # fmt: skip
VOID = {"br", "hr", "img", "input", "source", "wbr", "link", "meta", "col"}


def typed(tex: str) -> str:
    """A formula as one would type it.

    >>> typed(r"\\tfrac{\\pi^2}{6} \\approx 1.64")
    'π²/6 ≈ 1.64'
    """
    tex = re.sub(r"\\(?:begin|end)\{\w+\*?\}|\\label\{[^}]*\}|[&$]|\\\\", " ", tex)
    tex = re.sub(r"\\[dt]?frac\s*(\d)\s*(\d)", r"\1/\2", tex)
    tex = re.sub(r"\\(?:text|operatorname|math\w+|bar|hat|tilde|boldsymbol)\b\s*\{", "{", tex)
    while (
        told := re.sub(r"\\[dt]?frac\s*\{([^{}]*)\}\s*(?:\{([^{}]*)\}|(\w))", _over, tex)
    ) != tex:
        tex = told
    tex = re.sub(r"\^\{?([\d+-]+|n)\}?", lambda raised: raised[1].translate(RAISED), tex)
    tex = re.sub(r"\\([A-Za-z]+)", _named, tex)
    tex = re.sub(r"\\.|[{}_^~]", "", tex)
    return " ".join(tex.split())


def _over(parts: re.Match[str]) -> str:
    above, below = parts[1], parts[2] or parts[3]
    sides = (f"({side})" if re.search(r"[\s+-]", side.strip()) else side for side in (above, below))
    return "/".join(sides)


def _named(name: re.Match[str]) -> str:
    return SIGNS.get(name[1], f"{name[1]} " if name[1] in NAMES else "")


class Sections(HTMLParser):
    """What a page says, section by section: `found` holds an id, a title and a text of each, in
    pieces. A name of the package is a section too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str], list[str]]] = [("", [], [])]
        self.open: list[tuple[str, str, int]] = []  # tag, what it is, the section around it
        self.at = 0
        self.taught: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            self.take(" ")
            return
        told = dict(attributes)
        classes = set((told.get("class") or "").split())
        kind = ""
        if classes & LEFT_OUT or told.get("role") == "navigation":
            kind = "unread"
        elif "chapter-header" in classes:
            kind = "taught"
        elif "math" in classes:
            kind = "math"
        elif tag in ("h1", "h2", "h3"):
            kind = "title"
        elif tag == "dt" and "sig" in classes:
            kind = "unread"
        self.open.append((tag, kind, self.at))
        name = told.get("id") or ""
        if tag == "section" and len(self.found) == 1 and not self.found[0][1]:
            return  # that of the page's own title
        if name and (tag == "section" or kind == "unread"):
            self.found.append((name, [name] if kind else [], []))
            self.at = len(self.found) - 1
        elif tag not in ("a", "span", "em", "strong", "code", "sub", "sup", "i", "b", "mark"):
            self.take(" ")

    def handle_endtag(self, tag: str) -> None:
        while self.open:
            was, _, around = self.open.pop()
            if was in ("section", "dl"):
                self.at = around
            if was == tag:
                break

    def handle_data(self, data: str) -> None:
        self.take(data)

    def take(self, data: str) -> None:
        kinds = {kind for _, kind, _ in self.open}
        if "unread" in kinds:
            return
        if "math" in kinds:
            data = typed(re.sub(r"\\[()\[\]]", " ", data))
        if "taught" in kinds:
            self.taught.append(data)
            return
        _, title, text = self.found[self.at]
        (title if "title" in kinds else text).append(data)


def read(html: str) -> list[Any]:
    """What a page says that it teaches; and its sections: id, title and text of each, the first of
    them that of the page.
    """
    main = re.search(r"<article[^>]*>(.*)</article>", html, re.DOTALL)
    if main is None:
        return []
    reader = Sections()
    reader.feed(UNREAD.sub(" ", main[1]))
    parts = ((name, *map(_flat, both)) for name, *both in reader.found)
    sections = [[name, title, text] for name, title, text in parts if title]
    teaches = re.match(r"You will learn (.*?)\. From the paper", _flat(reader.taught))
    return [teaches[1] if teaches else "", *sections]


def _flat(pieces: list[str]) -> str:
    return " ".join("".join(pieces).split())


def gather(app: Sphinx, exception: Exception | None) -> None:
    """Write what a search reads, and leave out what Sphinx would have it read."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = {name: app.builder.get_target_uri(name) for name in sorted(app.env.found_docs)}
    sections = {
        address: read((out / address).read_text(encoding="utf-8"))
        for address in pages.values()
        if (out / address).is_file()
    }
    text = json.dumps(sections, ensure_ascii=False, separators=(",", ":"))
    (out / "_static" / "sections.js").write_text(f"window.collapseSections = {text};\n", "utf-8")
    page = out / "search.html"
    html = page.read_text(encoding="utf-8")
    html = html.replace("_static/searchtools.js", "_static/sections.js")
    html = html.replace("searchindex.js", "_static/search.js")
    page.write_text(html, encoding="utf-8")
    for name in ("searchindex.js", "_static/searchtools.js"):
        (out / name).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", gather, priority=250)  # while formulas still are TeX
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
