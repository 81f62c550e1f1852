"""Sphinx extension of the book: what guides its readers: minutes that are counted, long code that
is folded, reading paths, previews of what links lead to, lists of results, figures and names.
"""

from __future__ import annotations

import json
import posixpath
import shutil
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.nodes import make_refnode

LONG = 12
"""Lines of code above which a cell is folded, unless it is tagged `shown`."""
SECONDS = {"word": 60 / 238, "formula": 4.0, "display": 15.0, "line of code": 3.0}
"""What is read of a page, and how long each takes. 238 words a minute: Brysbaert (2019), prose
read silently by adults. What is folded is not counted; of what cells print the tables are."""


class reading_minutes(nodes.Inline, nodes.Element):
    """Minutes that a page takes, put in when all pages have been read."""


class reading_paths(nodes.General, nodes.Element):
    """The paths through the book, put in when all pages have been read."""


class Minutes(SphinxRole):
    """{minutes}`origin`: how long that page takes; `here` is the page itself."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        here = self.env.docname
        page = here if self.text == "here" else posixpath.join(posixpath.dirname(here), self.text)
        return [reading_minutes(page=page)], []


class Paths(SphinxDirective):
    """List the reading paths of the configuration, and the whole book."""

    def run(self) -> list[nodes.Node]:
        return [reading_paths()]


def fold(app: Sphinx, doctree: nodes.document) -> None:
    """Fold parameters and long code, then count what is left to read."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code" or cell.get("hide_mode"):
            continue
        lines = sum(len(block.astext().splitlines()) for block in _source(cell))
        parameters = "tag_parameters" in cell["classes"]
        if lines and (parameters or (lines > LONG and "tag_shown" not in cell["classes"])):
            what = "parameters" if parameters else "code cell {type}"
            cell.update_all_atts({"hide_mode": "input"})
            cell["prompt_show"], cell["prompt_hide"] = f"Show {what}", f"Hide {what}"
    tally: Counter[str] = Counter()
    _count(doctree, tally)
    seconds = sum(SECONDS[kind] * count for kind, count in tally.items())
    app.env.metadata[app.env.docname]["minutes"] = max(1, round(seconds / 60))


def _source(cell: nodes.Element) -> list[nodes.literal_block]:
    """Code of a cell, without what it prints."""
    first = cell.children[0] if cell.children else None
    if not isinstance(first, nodes.container) or first.get("nb_element") != "cell_code_source":
        return []
    return list(first.findall(nodes.literal_block))


def _count(node: nodes.Node, tally: Counter[str]) -> None:
    if isinstance(node, nodes.Text):
        tally["word"] += len(node.astext().split())
    elif isinstance(node, nodes.math):
        tally["formula"] += 1
    elif isinstance(node, nodes.math_block):
        tally["display"] += 1
    elif isinstance(node, nodes.literal_block):
        tally["line of code"] += len(node.astext().splitlines())
    elif not isinstance(node, nodes.Element) or isinstance(node, (nodes.raw, nodes.Invisible)):
        return
    elif node.get("nb_element") == "cell_code":
        if not node.get("hide_mode"):
            for block in _source(node):
                _count(block, tally)
        for table in node.findall(nodes.table):
            _count(table, tally)
    elif node.get("design_component") != "dropdown":
        for child in node.children:
            _count(child, tally)


def routes(app: Sphinx) -> dict[str, list[str]]:
    """Pages of each path, in order; the last path has all chapters."""
    known, given = order(app), app.config.reading_paths
    missing = {page for pages in given.values() for page in pages} - set(known)
    if missing:
        raise ExtensionError(
            f"reading_paths of _config.yml name {', '.join(sorted(missing))}, which _toc.yml does"
            " not list; name pages as it does."
        )
    return {**given, "The whole book": [page for page in known if page != app.config.root_doc]}


def order(app: Sphinx) -> list[str]:
    """All pages, as the table of contents has them."""

    def within(page: str) -> list[str]:
        parts = app.env.toctree_includes.get(page, [])
        return [page, *(found for part in parts for found in within(part))]

    return within(app.config.root_doc)


def took(app: Sphinx, *pages: str) -> int:
    return sum(app.env.metadata[page]["minutes"] for page in pages)


def resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put in minutes and paths, now that all pages are known."""
    for node in list(doctree.findall(reading_minutes)):
        if node["page"] not in app.env.metadata:
            raise ExtensionError(
                f"{docname} asks for the minutes of {node['page']}, and there is no such page; name"
                " one that lies beside it."
            )
        node.replace_self(nodes.Text(str(took(app, node["page"]))))
    for node in list(doctree.findall(reading_paths)):
        node.replace_self(_listed(app, docname))


def _listed(app: Sphinx, docname: str) -> nodes.Node:
    """The paths as a list; of the whole book only where it begins."""
    items = nodes.bullet_list(classes=["reading-paths"])
    for name, pages in routes(app).items():
        time = took(app, *pages)
        said = f"{time} minutes" if time < 100 else f"{round(time / 60)} hours"
        line = nodes.paragraph("", "", nodes.strong("", name), nodes.Text(f", {said}: "))
        whole = name == "The whole book"
        for page in pages[:1] if whole else pages:
            if page != pages[0]:
                line += nodes.Text(", then ")
            title = nodes.Text(app.env.titles[page].astext())
            line += make_refnode(app.builder, docname, page, "", title)
        line += nodes.Text(", and on by the arrow at each page's foot." if whole else ".")
        items += nodes.list_item("", line)
    return items


def add_foot(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """At a page's foot the next page of each path that it is on, and the licence."""
    to = context["pathto"]
    context["theme_extra_footer"] = (
        f'<p>Text and code: <a rel="license" href="{to("LICENSE.txt", 1)}">MIT licence</a></p>'
    )
    lines = []
    for name, pages in routes(app).items() if doctree is not None else ():
        if pagename not in pages:
            continue
        at = pages.index(pagename)
        step = f"<strong>{escape(name)}</strong>, {at + 1} of {len(pages)}: "
        if at + 1 == len(pages):
            lines.append(step + "you are at its end.")
            continue
        title, minutes = escape(app.env.titles[pages[at + 1]].astext()), took(app, pages[at + 1])
        lines.append(f'{step}next <a href="{to(pages[at + 1])}">{title}</a> ({minutes} min)')
    if lines:
        context["body"] += (
            '<nav class="next-steps" aria-label="Reading paths"><ul>'
            f"{''.join(f'<li>{line}</li>' for line in lines)}</ul></nav>\n"
        )


def gather(app: Sphinx, exception: Exception | None) -> None:
    """Collect what links lead to, for previews of it and for the lists of results and figures."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    shutil.copyfile(Path(app.srcdir, "LICENSE"), out / "LICENSE.txt")
    previews: dict[str, str] = {}
    lists: dict[str, list[str]] = {"theorems": [], "figures": []}
    api = f"{posixpath.dirname(app.config.root_doc)}/api/"
    for page in order(app):
        address = app.builder.get_target_uri(page)
        article = BeautifulSoup((out / address).read_text(encoding="utf-8"), "html.parser").article
        title = escape(app.env.titles[page].astext())
        results = article.select("div.proof[id]:not(.argument)")
        figures = article.select("figure.bundle[id]")
        for part in (*results, *article.select("div.citation[id], div.math[id]")):
            previews[f"{address}#{part['id']}"] = _bare(part)
        beside = posixpath.basename(address)
        for name, parts, line in (("theorems", results, _result), ("figures", figures, _figure)):
            if parts:
                entries = "".join(line(part, f"{beside}#{part['id']}") for part in parts)
                head = f'<h3><a href="{beside}">{title}</a></h3>'
                lists[name].append(f"{head}\n<ul>{entries}</ul>\n")
        if page.startswith(api):
            name = page.removeprefix(api)
            entries = "".join(
                f'<li><a href="api/{beside}#{part["id"]}">'
                f"<code>{part['id'].removeprefix('collapse.')}</code></a></li>\n"
                for part in article.select("dl.py > dt.sig[id]")
                if not part.find_parent("dd")
            )
            lists[f"names-{name}"] = [f'<ul class="names">{entries}</ul>\n']
    text = json.dumps(previews, ensure_ascii=False, separators=(",", ":"))
    (out / "_static" / "previews.js").write_text(f"window.collapsePreviews = {text};\n", "utf-8")
    for page in order(app):
        path = out / app.builder.get_target_uri(page)
        body = found = path.read_text(encoding="utf-8")
        for name, sections in lists.items():
            body = body.replace(f'<div class="gathered-{name}"></div>', "".join(sections))
        if body != found:
            path.write_text(body, encoding="utf-8")


def _bare(part: Any) -> str:
    """What a preview shows: no links in it, no names that the page has already."""
    copy = BeautifulSoup(str(part), "html.parser")
    for unwanted in copy.select(".headerlink, .fn-bracket, .label"):
        unwanted.decompose()
    for link in copy.select("a"):
        link.unwrap()
    for named in copy.select("[id], [role]"):
        named.attrs.pop("id", None)
        named.attrs.pop("role", None)
    return str(copy)


def _result(part: Any, address: str) -> str:
    number, *words = _unlinked(part.select_one(".admonition-title")).contents
    before, _, after = "".join(map(str, words)).strip().removeprefix("(").rpartition(")")
    name = before + after  # a tag may end behind the last bracket
    return f'<li><a href="{address}">{number.get_text(strip=True)}</a> {name}</li>'


def _figure(part: Any, address: str) -> str:
    number = part.select_one(".caption-number").get_text(strip=True)
    finding = part.select_one(".caption-text > strong") or part.select_one(".caption-text")
    return f'<li><a href="{address}">{number}</a> {_unlinked(finding).decode_contents()}</li>'


def _unlinked(part: Any) -> Any:
    """The part, whose links led to places on its own page, without them."""
    for link in part.select("a"):
        link.unwrap()
    return part


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("reading_paths", {}, "env")
    app.add_role("minutes", Minutes())
    app.add_directive("paths", Paths)
    app.add_node(reading_minutes)
    app.add_node(reading_paths)
    app.connect("doctree-read", fold)
    app.connect("doctree-resolved", resolve)
    app.connect("html-page-context", add_foot, priority=950)
    app.connect("build-finished", gather, priority=400)  # before icons and frames are put right
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
