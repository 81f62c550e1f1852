"""Sphinx extension of the book: the {bundle} directive, and pages that ask no other host for
anything.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from jupyter_cache import get_cache
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from PIL import Image
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from collapse.publishing import figures

LOGGER = logging.getLogger(__name__)
EMPTY_HEADER = re.compile(r"<th[^>]*>\s*(?:<p>\s*</p>)?\s*</th>")  # the corner of a table
DOWNLOADS = ("png", "pdf", "svg", "csv", "json")
HEAVY = 150_000  # bytes
NARROW_SCREEN = 600  # px; below it the 3.3 inch variant is shown
FORMULA = re.compile(
    r'(\(?)(<span class="math notranslate'
    r' nohighlight">[^<]*</span>)((?:[,.;:?!)\u201d]|-th|\u2019s)*)'
)
SHARED = re.compile(r'<(style|script)[^>]* data-collapse="(\w+)">.*?</\1>\n?', re.DOTALL)


class bundle_image(nodes.General, nodes.Element):
    """The picture of a bundle: wide and narrow, light and dark."""


class bundle_downloads(nodes.General, nodes.Element):
    """Links to the files of a bundle."""


class Bundle(SphinxDirective):
    """Show a figure that `collapse.publishing.figures.write` wrote, numbered as `fig-<label>`, with
    its caption and its downloads.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        label = self.arguments[0]
        if not self.options.get("alt"):
            raise self.error(
                f"the figure {label!r} has no :alt: text; say what is to be seen for those who"
                " cannot see it"
            )
        if not self.content:
            raise self.error(
                f"the figure {label!r} has no caption; give the finding first, then n,"
                " replications, seed"
            )
        record_path = Path(self.config.bundle_folder, f"{label}.json")
        if not record_path.is_file():
            LOGGER.warning(
                "no figure bundle %r for chapter %s: no cell of it calls"
                " collapse.publishing.figures.write(%r, ...); available: %s",
                label,
                self.env.docname,
                label,
                ", ".join(sorted(path.stem for path in record_path.parent.glob("*.json")))
                or "none",
                location=self.get_location(),
            )
            return []
        self.env.note_dependency(str(record_path))
        record = json.loads(record_path.read_text(encoding="utf-8"))

        figure = nodes.figure(classes=["bundle"])
        self.set_source_info(figure)
        figure += bundle_image(label=label, alt=self.options["alt"], inches=record["inches"])
        body = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, body)
        if not body.children or not isinstance(body[0], nodes.paragraph):
            raise self.error(f"the caption of the figure {label!r} must begin with a paragraph")
        caption = nodes.caption("", "", *body[0].children)
        caption.source, caption.line = body[0].source, body[0].line
        figure += caption
        legend = nodes.legend()
        legend += body.children[1:]
        legend += bundle_downloads(label=label)
        figure += legend
        self.options["name"] = f"fig-{label}"
        self.add_name(figure)
        return [figure]


def _site_root(translator: Any) -> str:
    here = translator.builder.get_target_uri(translator.builder.current_docname)
    return posixpath.relpath(".", posixpath.dirname(here) or ".") + "/figures"


def visit_image_html(self: Any, node: bundle_image) -> None:
    address, label, alt = _site_root(self), node["label"], escape(node["alt"], quote=True)
    for theme, suffix in (("light", ""), ("dark", "-dark")):
        (width, height), (narrow_width, narrow_height) = (
            [round(96 * inches) for inches in node["inches"][kind]] for kind in ("wide", "narrow")
        )
        self.body.append(
            f'<picture class="bundle-{theme}"><source media="(max-width: {NARROW_SCREEN}px)"'
            f' srcset="{address}/{label}-narrow{suffix}.png" width="{narrow_width}"'
            f' height="{narrow_height}"><img class="dark-light" src="{address}/{label}{suffix}.png"'
            f' alt="{alt}" width="{width}" height="{height}" loading="lazy"></picture>\n'
        )


def visit_downloads_html(self: Any, node: bundle_downloads) -> None:
    address, label = _site_root(self), node["label"]
    links = " ".join(
        f'<a href="{address}/{label}.{kind}" download>{kind.upper()}</a>' for kind in DOWNLOADS
    )
    self.body.append(f'<p class="bundle-downloads">Download {links}</p>\n')


def visit_image_latex(self: Any, node: bundle_image) -> None:
    self.body.append(
        f"\n\\noindent\\includegraphics[width=\\linewidth,height=0.75\\textheight,keepaspectratio]{{{node['label']}.pdf}}\n"
    )


def visit_image_text(self: Any, node: bundle_image) -> None:
    self.add_text(f"[{node['alt']}]")


def skip(self: Any, node: nodes.Element) -> None:
    raise nodes.SkipNode


def depart(self: Any, node: nodes.Element) -> None:
    """Nothing is left open."""


def refuse_unexecuted(app: Sphinx, docname: str, source: list[str]) -> None:
    """The build reads outputs and never makes them: what it would execute here, no one would time,
    record or name when it fails.
    """
    if is_myst_markdown_notebook(source[0]):
        path = app.env.doc2path(docname)
        try:
            get_cache(app.config.nb_execution_cache_path).match_cache_notebook(
                read_myst_markdown_notebook(source[0], path=path)
            )
        except KeyError:
            raise ExtensionError(
                f"{docname} has not been executed as it stands; run `python book/build.py`"
            ) from None


def mend(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Put right what other extensions write: names that hide the text they stand for, roles that
    are no longer in use, one id many times.
    """
    body = EMPTY_HEADER.sub("<td></td>", context.get("body", ""))
    for wrong, right in (
        (' aria-label="Toggle hidden content"', ""),
        ('role="doc-biblioentry"', 'role="listitem"'),
        (' id="proof-content"', ""),
        (
            '<div class="proof admonition" id="proof">\n<p>Proof. ',
            '<div class="proof admonition argument">\n<p><strong>Proof.</strong> ',
        ),
    ):
        body = body.replace(wrong, right)
    # what several explorers of a page share stands there once
    seen: set[str] = set()
    body = SHARED.sub(lambda m: "" if m[2] in seen else seen.add(m[2]) or m[0], body)
    # to a browser a formula is a box, and it may break the line between the box and the comma
    # behind it
    context["body"] = FORMULA.sub(
        lambda m: f'<span class="tied">{m[0]}</span>' if m[1] or m[3] else m[0], body
    )


def add_projector_button(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """At the top of each page, a switch to larger type without side bars."""
    context["header_buttons"].append(
        {
            "type": "javascript",
            "javascript": "toggleProjector()",
            "tooltip": "Projector view",
            "icon": "fas fa-display",
            "label": "projector-button",
            "classes": "pst-navbar-icon",
        }
    )


def locate_bundles(app: Sphinx, config: Any) -> None:
    config.bundle_folder = str(Path(app.srcdir, config.bundle_folder))


def copy_file(source: Path, target: Path) -> None:
    """Copy a figure's file; a heavy picture with a palette of 256 colours, close to its own, at a
    third of the weight.
    """
    if source.suffix == ".png" and source.stat().st_size > HEAVY:
        with Image.open(source) as picture:
            picture.convert("RGB").quantize(
                256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
            ).save(target, optimize=True, dpi=picture.info["dpi"])
    else:
        shutil.copyfile(source, target)


def copy_bundles(app: Sphinx, exception: Exception | None) -> None:
    """Put the bundles that pages show at their stable addresses, with a manifest of them."""
    if exception is not None or app.builder.format not in ("html", "latex"):
        return
    shown: dict[str, str] = {}
    for docname in sorted(app.env.found_docs):
        for node in app.env.get_doctree(docname).findall(bundle_image):
            if shown.setdefault(node["label"], docname) != docname:
                LOGGER.warning(
                    "the figure bundle %r is shown by %s and by %s; refer to it with {numref}",
                    node["label"],
                    shown[node["label"]],
                    docname,
                )
    source = Path(app.config.bundle_folder)
    records = {
        label: record for label, record in figures.manifest(source).items() if label in shown
    }
    if app.builder.format == "latex":
        for label in shown:
            shutil.copyfile(source / f"{label}.pdf", Path(app.outdir) / f"{label}.pdf")
        return
    target = Path(app.outdir) / "figures"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for label, record in records.items():
        for name in (*record["files"], f"{label}.json"):
            copy_file(source / name, target / name)
        record["page"] = app.builder.get_target_uri(shown[label])
    (target / "manifest.json").write_text(
        json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("bundle_folder", "_build/figures", "env")
    app.add_directive("bundle", Bundle)
    app.add_node(
        bundle_image,
        html=(visit_image_html, depart),
        latex=(visit_image_latex, depart),
        text=(visit_image_text, depart),
        man=(skip, depart),
        texinfo=(skip, depart),
    )
    app.add_node(
        bundle_downloads,
        html=(visit_downloads_html, depart),
        latex=(skip, depart),
        text=(skip, depart),
        man=(skip, depart),
        texinfo=(skip, depart),
    )
    app.connect("config-inited", locate_bundles)
    app.connect("source-read", refuse_unexecuted)
    app.connect("html-page-context", mend)
    app.connect("html-page-context", add_projector_button, priority=900)  # after the theme's own
    app.connect("build-finished", copy_bundles)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
