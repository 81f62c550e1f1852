"""Sphinx extension of the book: the notebooks that readers download. They hold the page's text as
plain Markdown, its figures, and the outputs of its cells.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import nbformat
from bs4 import BeautifulSoup, NavigableString, Tag
from jupyter_cache import get_cache
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SKIPPED = (
    ".headerlink, .bundle-downloads, .next-steps, .bundle-dark, .eqno, script, style, noscript,"
    " button"
)
HIDDEN = {"remove-cell", "remove_cell"}
SIGNS = re.compile(r"([\\`*_\[\]<>$])")
ROLE = re.compile(r"\{[\w:-]+\}`|^(?:`{3,}|:{3,})\{", re.MULTILINE)
MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*"}
BLOCKS = re.compile(
    "^(p|h[1-6]|ul|ol|li|dl|dt|dd|table|pre|blockquote|figure|figcaption|details|summary|section"
    "|article|div|nav|hr)$"
)


class Page:
    """What a page says, as Markdown; `address` makes of a link's target a full address, or says
    that there is none.
    """

    def __init__(self, address: Callable[[str], str | None], figures: Path) -> None:
        self.address, self.figures = address, figures
        self.attachments: dict[str, dict[str, str]] = {}

    def words(self, part: Any) -> str:
        """Running text."""
        if isinstance(part, NavigableString):
            return (
                SIGNS.sub(r"\\\1", re.sub(r"\s+", " ", part))
                if type(part) is NavigableString
                else ""
            )
        if "math" in part.get("class", ()):
            return "$" + " ".join(_tex(part).split()) + "$"
        if part.name == "code":
            return f"`{' '.join(part.get_text().split())}`"
        if part.name == "picture":
            return self.picture(part)
        if part.name == "br":
            return "\n"
        inner = "".join(map(self.words, part.children))
        if part.name in MARKS and inner.strip():
            return MARKS[part.name] + inner.strip() + MARKS[part.name]
        target = self.address(part["href"]) if part.name == "a" and part.get("href") else None
        return f"[{inner}]({target})" if target else inner

    def picture(self, part: Tag) -> str:
        image = part.find("img")
        assert isinstance(image, Tag)
        name = Path(str(image["src"])).name
        data = base64.b64encode((self.figures / name).read_bytes()).decode()
        self.attachments[name] = {"image/png": data}
        return f"![{SIGNS.sub(' ', str(image.get('alt', '')))}](attachment:{name})"

    def blocks(self, part: Tag) -> list[str]:
        """The paragraphs of a part, and what stands between them."""
        found: list[str] = []
        running = ""
        for child in part.children:
            if isinstance(child, Tag) and (BLOCKS.match(child.name) or child.name == "picture"):
                found += [running, *self.block(child)]
                running = ""
            else:
                running += self.words(child)
        return [text.strip() for text in (*found, running) if text.strip()]

    def block(self, part: Tag) -> list[str]:
        classes = part.get("class") or ()
        if "math" in classes:
            return [f"$$\n{_tex(part)}\n$$"]
        if part.name in ("p", "picture", "dt", "summary") or part.name[1:].isdigit():
            text = self.words(part).strip()
            if "admonition-title" in classes or part.name == "summary":
                text = f"**{text.replace('**', '')}**"
            level = int(part.name[1]) if part.name[1:].isdigit() else 0
            return ["#" * level + " " * bool(level) + text]
        if part.name in ("ul", "ol"):
            items = part.find_all("li", recursive=False)
            heads = ["- " if part.name == "ul" else f"{i}. " for i in range(1, len(items) + 1)]
            return [
                "\n".join(
                    head + "\n\n".join(self.blocks(item)).replace("\n", "\n" + " " * len(head))
                    for head, item in zip(heads, items, strict=True)
                )
            ]
        if part.name == "pre":
            return [f"```\n{part.get_text().rstrip()}\n```"]
        if part.name == "table":
            return [self.table(part)]
        inside = self.blocks(part)
        if part.name in ("blockquote", "details") or "admonition" in classes:
            return ["\n".join(f"> {line}".rstrip() for line in "\n\n".join(inside).split("\n"))]
        return inside

    def table(self, part: Tag) -> str:
        """A table in HTML, which Markdown leaves as it is: its formulas may hold any sign."""
        lines = []
        for row in part.find_all("tr"):
            cells = [
                f"<{cell.name}>{self.cell(cell).strip()}</{cell.name}>"
                for cell in row.find_all(["td", "th"], recursive=False)
            ]
            lines.append(f"<tr>{''.join(cells)}</tr>")
        return "\n".join(["<table>", *lines, "</table>"])

    def cell(self, part: Any) -> str:
        if isinstance(part, NavigableString):
            return re.sub(r"\s+", " ", part).replace("&", "&amp;").replace("<", "&lt;")
        if "math" in part.get("class", ()):
            return "$" + _tex(part).replace("&", "&amp;").replace("<", "&lt;") + "$"
        inner = "".join(map(self.cell, part.children))
        return f"<{part.name}>{inner}</{part.name}>" if part.name in ("code", *MARKS) else inner


def _tex(part: Tag) -> str:
    return part.get_text().strip().removeprefix("\\(").removeprefix("\\[")[:-2].strip()


def notebook(
    page: str, executed: Any, address: Callable[[str], str | None], figures: Path
) -> nbformat.NotebookNode:
    """The page (its HTML), with the code and the outputs of its executed cells."""
    article = BeautifulSoup(page, "html.parser").article
    assert article is not None
    for unwanted in article.select(SKIPPED):
        unwanted.decompose()
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    shown = article.select("div.cell")
    seen = [cell for cell in code if not HIDDEN & set(cell.metadata.get("tags", ()))]
    if len(shown) != len(seen):
        raise ExtensionError(f"a page shows {len(shown)} cells of {len(seen)}")
    printed = [cell.select_one("div.cell_output") for cell in shown]
    for number, cell in enumerate(shown):
        cell.replace_with(marker := BeautifulSoup("", "html.parser").new_tag("pre"))
        marker["data-cell"] = str(number)
    made = nbformat.v4.new_notebook(metadata=executed.metadata)
    queue = list(code)
    said: list[str] = []
    text = Page(address, figures)

    def write() -> None:
        if said:
            made.cells.append(nbformat.v4.new_markdown_cell("\n\n".join(said)))
            if text.attachments:
                made.cells[-1].attachments = dict(text.attachments)
            said.clear()
            text.attachments.clear()

    def give(cell: Any) -> None:
        outputs = [deepcopy(out) for out in cell.outputs if not _kept_elsewhere(out)]
        for out in outputs:
            if ROLE.search(out.get("data", {}).get("text/markdown", "")):
                # what it refers to is known where the page was made
                page_says = printed[next(i for i, one in enumerate(seen) if one is cell)]
                assert page_says is not None
                plain = "\n\n".join(text.blocks(page_says))
                out.data = nbformat.from_dict({"text/markdown": plain, "text/plain": plain})
        new = nbformat.v4.new_code_cell(
            cell.source, outputs=outputs, execution_count=cell.execution_count
        )
        new.metadata["tags"] = list(cell.metadata.get("tags", ()))
        made.cells.append(new)

    def walk(part: Tag) -> None:
        for child in part.find_all(True, recursive=False):
            if child.get("data-cell") is not None:
                write()
                wanted = seen[int(str(child["data-cell"]))]
                while queue:
                    cell = queue.pop(0)
                    give(cell)
                    if cell is wanted:
                        break
            elif child.find(attrs={"data-cell": True}):
                walk(child)
            elif BLOCKS.match(child.name):
                said.extend(text.block(child))

    walk(article)
    write()
    for cell in queue:
        give(cell)
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
    return made


def _kept_elsewhere(output: Any) -> bool:
    """Whether an output is a number for the prose, which holds it already."""
    return any(kind.startswith("application/papermill") for kind in output.get("data", ()))


def write_all(app: Sphinx, exception: Exception | None) -> None:
    """Put the notebooks where the pages' buttons point."""
    if exception is not None or app.builder.format != "html":
        return
    out, base = Path(app.outdir), app.config.html_baseurl
    cache = get_cache(app.config.nb_execution_cache_path)
    for name in sorted(app.env.found_docs):
        source = app.env.doc2path(name)
        written = Path(source).read_text(encoding="utf-8")
        if not is_myst_markdown_notebook(written):
            continue
        record = cache.match_cache_notebook(read_myst_markdown_notebook(written, path=source))
        page = app.builder.get_target_uri(name)

        def address(target: str, page: str = page) -> str | None:
            if target.startswith(("https:", "http:")):
                return target
            return urljoin(urljoin(base.rstrip("/") + "/", page), target) if base else None

        made = notebook(
            (out / page).read_text(encoding="utf-8"),
            cache.get_cache_bundle(record.pk).nb,
            address,
            Path(app.config.bundle_folder),
        )
        nbformat.write(made, out / "_sources" / f"{name}.ipynb")


def setup(app: Sphinx) -> dict[str, Any]:
    # before the formulas are set, and their TeX is gone
    app.connect("build-finished", write_all, priority=200)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
