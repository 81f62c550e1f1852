"""Figures and numbers of the book, or of a run, for a paper written in LaTeX."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collapse import checks, disk
from collapse.answers import plain
from collapse.publishing.chapters import chapters
from collapse.publishing.figures import manifest
from collapse.publishing.records import records as kept_records
from collapse.publishing.tex import escape, macro, number, spelled
from collapse.risk import versions

EXTRA = "figures for LaTeX need papermill and jupytext: pip install 'collapse-companion[rerun]'."
BUILT = "the figures of the built book need its tools: pip install 'collapse-companion[book]'."
_DIRECTIVE = re.compile(r"^(:{3,}|`{3,})\{bundle\} *(\S+) *\n(.*?)^\1 *$", re.MULTILINE | re.DOTALL)
_SAID = re.compile(r"\{glue:text\}`([^`]+)`")
_TARGET = re.compile(r"(.*?)\s*<([^<>]+)>", re.DOTALL)

HEAD = r"""% {what} Put \input{{{file}}} into a paper.
% Needs: {needs}.
"""
FIT = r"""\providecommand{\collapsefigure}[1]{% as it is, or as wide as a text that is narrower
  \sbox0{\includegraphics{#1}}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
"""


@dataclass(frozen=True)
class _Chapter:
    """A chapter that ran: its notebook with outputs, and the folder of its figures."""

    name: str
    notebook: Any
    folder: Path

    @property
    def prose(self) -> str:
        return "\n\n".join(c.source for c in self.notebook.cells if c.cell_type == "markdown")

    @property
    def glued(self) -> dict[str, Any]:
        """Numbers that its cells hand to its prose, by key."""
        found = {}
        for cell in self.notebook.cells:
            for output in cell.get("outputs", ()):
                note = output.get("metadata", {}).get("scrapbook")
                mime = f"{note['mime_prefix']}text/plain" if note else ""
                if mime in output.get("data", {}):
                    found[note["name"]] = _value(output["data"][mime])
        return found


@dataclass(frozen=True)
class _Number:
    """A number as the prose says it, and the macro that says it in a paper."""

    macro: str
    chapter: str
    key: str
    how: str
    value: Any
    text: str


def figures(
    out: str | os.PathLike[str],
    labels: Sequence[str] = (),
    *,
    run: str | os.PathLike[str] | None = None,
    book: str | os.PathLike[str] = "book",
    build: str | os.PathLike[str] = "_build",
) -> dict[str, Any]:
    """Write figures, captions and numbers as a paper in LaTeX takes them.

    Parameters
    ----------
    out : path
        Folder to write into: each figure as LABEL.pdf, 6.8 inches wide, and LABEL-narrow.pdf, 3.3
        inches wide, with fonts embedded and its origin in the metadata; ``figures.tex`` with a
        figure environment, caption and label for each; ``numbers.tex`` with a macro for each number
        in the prose of their chapters; ``provenance.json``, which says where all of them come from.
    labels : sequence of str, optional
        Figures by label; default all of them.
    run : path, optional
        A run's folder (`collapse.publishing.rerun.rerun`); default the built book.
    book : path, optional
        Folder of the chapters of the built book.
    build : path, optional
        Where the book was built.

    Returns
    -------
    dict
        What ``provenance.json`` holds: by label the `figures`, by macro the `numbers`.

    Raises
    ------
    ValueError
        Where nothing ran there, a chapter has changed since, a file is not as it was written, there
        is no such figure, two numbers would have one macro, or a text cannot be written in LaTeX.
        Nothing is written then.
    ImportError
        Where jupytext or, for the built book, the book's tools are missing.
    """
    chapters = _built(book, build) if run is None else _ran(run)
    asked = checks.several(labels, "labels", "labels of figures, as text")
    found = [drawn for chapter in chapters for drawn in _drawn(chapter)]
    known = {label for _, label, _, _ in found}
    for label in asked:
        checks.require(
            label in known,
            f"there is no figure with the label {checks.brief(label)}; there are:"
            f" {', '.join(sorted(known)) or 'none'}.",
        )
    shown = [drawn for drawn in found if not asked or drawn[1] in asked]
    makers = {chapter.name for chapter, *_ in shown}
    numbers = _numbers([c for c in chapters if not asked or c.name in makers])
    names = {(n.chapter, n.key, n.how): n.macro for n in numbers}
    exported = {label for _, label, _, _ in shown}
    environments, records, pictures = [], {}, {}
    for chapter, label, caption, record in shown:
        told = _caption(caption, chapter.name, names, exported)
        environments.append(_environment(label, told))
        sizes = {"wide": f"{label}.pdf", "narrow": f"{label}-narrow.pdf"}
        for name in sizes.values():
            checks.require(
                name in record["files"],
                f"the figure {label!r} has no {name}: an earlier version or a draft wrote it; run"
                " its chapter again.",
            )
            pictures[name] = (chapter.folder / name).read_bytes()
            checks.require(
                disk.digest(pictures[name]) == record["files"][name],
                f"{chapter.folder / name} is not as it was written; run its chapter again.",
            )
        kept = ("parameters", "seed", "versions", "commit", "uncommitted_changes", "inches")
        records[label] = {
            "chapter": chapter.name,
            "files": {name: record["files"][name] for name in sizes.values()},
            **{key: record.get(key) for key in kept},
        }
    macros = [
        f"\\newcommand{{\\{n.macro}}}{{{number(n.text)}}}"
        f"% {n.chapter}: {n.key}{':' * bool(n.how)}{n.how}\n"
        for n in numbers
    ]
    document = {
        "figures": records,
        "numbers": {
            n.macro: {"chapter": n.chapter, "key": n.key, "format": n.how, "value": n.value}
            | {"text": n.text}
            for n in numbers
        },
        "versions": versions(),
    }
    needs = r"amsmath, graphicx, [T1]{fontenc}, numbers.tex before it, \graphicspath to this folder"
    texts = {
        "figures.tex": HEAD.format(what="Figures by label.", file="figures.tex", needs=needs)
        + FIT
        + "".join(environments),
        "numbers.tex": HEAD.format(
            what="Numbers in the prose.", file="numbers.tex", needs="[T1]{fontenc}"
        )
        + "".join(macros),
        "provenance.json": json.dumps(plain(document), indent=1, ensure_ascii=False) + "\n",
    }
    target = disk.folder(out, "out")
    for name, data in pictures.items():
        (target / name).write_bytes(data)
    for name, text in texts.items():
        disk.write(target / name, text)
    return document


def _ran(run: str | os.PathLike[str]) -> list[_Chapter]:
    """Chapters of a run's folder, each as it was recorded."""
    folder = checks.path(run, "run", "the path of a run's folder")
    nbformat = checks.module("nbformat", EXTRA)
    return [
        _Chapter(name, nbformat.read(folder / f"{name}.ipynb", as_version=4), folder / "figures")
        for name in kept_records(folder)
    ]


def _built(book: str | os.PathLike[str], build: str | os.PathLike[str]) -> list[_Chapter]:
    """Chapters of the book with the outputs that its build keeps."""
    folder = checks.path(build, "build", "the path of the built book")
    checks.require(
        (folder / "figures").is_dir(),
        f"no book has been built in {folder}; build it (make book), or name a run's folder.",
    )
    reader = checks.module("myst_nb.core.read", BUILT)
    cache = checks.module("jupyter_cache", BUILT).get_cache(folder / "execution" / "cache")
    found = []
    for name, path in chapters(checks.path(book, "book")).items():
        if path.suffix != ".md" or not reader.is_myst_markdown_notebook(path.read_text("utf-8")):
            continue
        try:
            _, notebook = cache.merge_match_into_notebook(reader.myst_nb_reader_plugin(str(path)))
        except KeyError:
            raise ValueError(
                f"the chapter {name} has changed since the book was built in {folder}; build it"
                " again (make book)."
            ) from None
        found.append(_Chapter(name, notebook, folder / "figures"))
    return found


def _drawn(chapter: _Chapter) -> Iterator[tuple[_Chapter, str, str, dict[str, Any]]]:
    """Figures that a chapter shows, with captions and records."""
    records = manifest(chapter.folder)
    for _, label, body in _DIRECTIVE.findall(chapter.prose):
        checks.require(
            label in records,
            f"the chapter {chapter.name} shows the figure {label!r}, which is not in"
            f" {chapter.folder}; run it again.",
        )
        yield chapter, label, _body(body), records[label]


def _body(directive: str) -> str:
    """A directive's text without its options."""
    return re.sub(r"\A(:\w+:.*\n)*", "", directive).strip()


def _numbers(chapters: Sequence[_Chapter]) -> list[_Number]:
    """Numbers that the prose of chapters says, each once for each way it is written."""
    said: dict[tuple[str, str], dict[str, Any]] = {}
    for chapter in chapters:
        glued = chapter.glued
        for spoken in _SAID.findall(chapter.prose):
            key, _, how = spoken.partition(":")
            checks.require(
                key in glued,
                f"the prose of chapter {chapter.name} says {key!r}, which none of its cells hands"
                " to it; correct the name.",
            )
            said.setdefault((chapter.name, key), {})[how] = glued[key]
    found: dict[str, _Number] = {}
    for (chapter_name, key), ways in said.items():
        for how, value in ways.items():
            name = macro(key) + spelled(how) * (len(ways) > 1)
            other = found.get(name)
            checks.require(
                other is None,
                f"the numbers {other and other.key!r} and {key!r} would both be \\{name}; give one"
                " of them another name.",
            )
            found[name] = _Number(name, chapter_name, key, how, value, _written(value, how))
    return list(found.values())


def _value(text: str) -> Any:
    """A number from its repr, as outputs hold it."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return float(text) if text in ("inf", "-inf", "nan") else text


def _written(value: Any, how: str) -> str:
    """A number as the prose writes it; text may hold one."""
    return format(float(value) if how[-1:] in tuple("eEfFgG%") else value, how)


def _environment(label: str, caption: str) -> str:
    return rf"""
\begin{{figure*}}[tbp]
  \centering
  \collapsefigure{{{label}.pdf}}% one column of a page: {label}-narrow.pdf in figure
  \caption{{{caption}}}
  \label{{fig:{label}}}
\end{{figure*}}
"""


_TOKENS = {
    "softbreak": "\n",
    "hardbreak": "\n",
    "strong_open": r"\textbf{",
    "strong_close": "}",
    "em_open": r"\emph{",
    "em_close": "}",
    "link_open": "",
    "link_close": "",
}
_POINTERS = {"eq": "equation", "prf:ref": "result", "doc": "chapter", "ref": "section"}


def _caption(
    source: str, chapter: str, names: Mapping[tuple[str, str, str], str], shown: set[str]
) -> str:
    """A caption in LaTeX: its numbers by their macros, its figures by their labels."""
    plugins = {"dollarmath": "dollarmath_plugin", "myst_role": "myst_role_plugin"}
    parser = checks.module("markdown_it", EXTRA).MarkdownIt("commonmark")
    for module, plugin in plugins.items():
        parser.use(getattr(checks.module(f"mdit_py_plugins.{module}", EXTRA), plugin))
    blocks = [token for token in parser.parse(source) if token.type == "inline"]
    return " ".join(
        "".join(_piece(token, chapter, names, shown) for token in block.children)
        for block in blocks
    )


def _piece(
    token: Any, chapter: str, names: Mapping[tuple[str, str, str], str], shown: set[str]
) -> str:
    kind, text = token.type, token.content
    if kind in _TOKENS:
        return _TOKENS[kind]
    if kind in ("text", "text_special"):
        return escape(text)
    if kind == "math_inline":
        return f"${text}$"
    if kind == "code_inline":
        return rf"\texttt{{{escape(text)}}}"
    role = token.meta.get("name", "")
    if role == "glue:text":
        key, _, how = text.partition(":")
        return rf"\{names[chapter, key, how]}{{}}"
    if role.startswith("cite"):
        return rf"\cite{{{text}}}"
    told, target = found.groups() if (found := _TARGET.fullmatch(text)) else ("", text)
    if role == "numref":
        label = target.removeprefix("fig-")
        if label in shown:
            return rf"Figure~\ref{{fig:{label}}}"
        return rf"figure \texttt{{{escape(label)}}} of the companion"
    if role in _POINTERS:
        return escape(told) or rf"{_POINTERS[role]} \texttt{{{escape(target)}}} of the companion"
    raise ValueError(
        f"a caption of chapter {chapter} has {checks.brief(role or kind)}, which cannot be written"
        " in LaTeX; write it in words."
    )
