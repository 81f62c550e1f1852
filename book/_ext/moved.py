"""Sphinx extension of the book: at the address of a page that went into another one, a page that
sends its readers there, to the same place on it.
"""

from __future__ import annotations

import posixpath
from html import escape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<script>location.replace("{to}" + location.search + location.hash);</script>
<meta http-equiv="refresh" content="0; url={to}">
<link rel="canonical" href="{canonical}">
</head>
<body><p>This page is now part of <a href="{to}">{title}</a>.</p></body>
</html>
"""


def forward(app: Sphinx, exception: Exception | None) -> None:
    """Write a page at each old address."""
    if exception is not None or app.builder.format != "html":
        return
    base = app.config.html_baseurl
    for old, new in app.config.moved_pages.items():
        if old in app.env.found_docs or new not in app.env.found_docs:
            raise ExtensionError(
                f"moved_pages of _config.yml sends {old} to {new}; name a page that is gone, and"
                " one that is there."
            )
        address = app.builder.get_target_uri(new)
        to = posixpath.relpath(address, posixpath.dirname(old))
        canonical = f"{base.rstrip('/')}/{address}" if base else to
        title = escape(app.env.titles[new].astext())
        path = Path(app.outdir, app.builder.get_target_uri(old))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(title=title, to=to, canonical=canonical), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("moved_pages", {}, "html")
    app.connect("build-finished", forward, priority=900)  # when all others have been put right
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
