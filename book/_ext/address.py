"""Sphinx extension of the book: what follows from its public address, and nothing where it has
none; and how to cite it.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

BUTTONS = ("use_repository_button", "use_edit_page_button", "use_issues_button")
PREVIEW = "_static/fan.png"
DESCRIPTION = 200
"""Characters of a page's first words that a preview shows."""


class Citation(SphinxDirective):
    """Show as BibTeX what CITATION.cff says of the book."""

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir, "CITATION.cff")
        self.env.note_dependency(str(path))
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        authors = " and ".join(_bibtex_name(author) for author in told["authors"])
        fields = {
            "author": authors,
            "title": f"{{{told['title']}}}",
            "year": self.config.copyright.rpartition(", ")[2],
            "version": told["version"],
            "url": told.get("url") or told.get("repository-code"),
        }
        lines = [f"  {key} = {{{value}}}" for key, value in fields.items() if value]
        text = f"@{told['type']}{{{self.config.project},\n" + ",\n".join(lines) + "\n}"
        return [nodes.literal_block(text, text, language="bibtex", classes=["citation-bibtex"])]


def _bibtex_name(author: dict[str, str]) -> str:
    if "name" in author:  # of many, or of an institution: not to be taken apart
        return f"{{{author['name']}}}"
    return f"{author['family-names']}, {author['given-names']}"


def configure(app: Sphinx, config: Any) -> None:
    """Turn on the buttons that lead to the repository, and what pages say of it in `only`."""
    if config.html_theme_options.get("repository_url"):
        config.html_theme_options.update(dict.fromkeys(BUTTONS, True))
        app.tags.add("published")
    else:
        # by these the theme knows that there is nothing to link to
        config.html_context.update(github_url="", github_user=None, github_repo=None)


def add_preview(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Say what a link to the page shows elsewhere; a picture there needs a full address."""
    # of the font of brands the site has no part
    for button in context.get("header_buttons", ()):
        if button.get("icon", "").startswith("fab "):
            button["icon"] = "fas fa-code-branch"
        for inner in button.get("buttons", ()):
            if inner.get("icon", "").startswith("fab "):
                inner["icon"] = "fas fa-code-branch"
    if not app.config.html_baseurl or doctree is None:
        return
    paragraph = next(iter(doctree.findall(nodes.paragraph)), None)
    words = "" if paragraph is None else " ".join(paragraph.astext().split())
    cut = words if len(words) <= DESCRIPTION else words[:DESCRIPTION].rsplit(" ", 1)[0] + " …"
    told = {
        "og:type": "article",
        "og:site_name": app.config.html_title or app.config.project,
        "og:title": nodes.Text(context["title"]).astext(),
        "og:description": cut,
        "og:url": context["pageurl"],
        "og:image": app.config.html_baseurl.rstrip("/") + "/" + PREVIEW,
        "twitter:card": "summary_large_image",
    }
    context["metatags"] += "".join(
        f'\n    <meta {"name" if key.startswith("twitter") else "property"}="{key}"'
        f' content="{escape(text, quote=True)}" />'
        for key, text in told.items()
    )


def write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    """List the pages for search engines."""
    base = app.config.html_baseurl
    if exception is not None or app.builder.format != "html" or not base:
        return
    pages = [app.builder.get_target_uri(name) for name in sorted(app.env.found_docs)]
    lines = [f"  <url><loc>{escape(base.rstrip('/') + '/' + page)}</loc></url>\n" for page in pages]
    Path(app.outdir, "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{''.join(lines)}</urlset>\n",
        encoding="utf-8",
    )


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("citation", Citation)
    app.connect("config-inited", configure)
    app.connect("html-page-context", add_preview, priority=900)  # after the theme's own
    app.connect("build-finished", write_sitemap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
