"""Sphinx extension of the book: the finished site, put right: it holds and loads what its pages
use, and has the landmarks that they lack.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pydata_sphinx_theme
from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# What the theme's templates write around each page
FRAME = (
    # two thousand icons, as outlines; `subset_icons` puts a font of those in use in their place
    (re.compile(r'\s*<script src="[^"]*/fontawesome\.js[^"]*"></script>'), ""),
    (re.compile(r'<(i|span) class="((?:[\w-]+ )?fa[\w-]* )'), r'<\1 aria-hidden="true" class="\2'),
    # the list whose entries follow the scrolling; by a name that is not there the script takes all
    # links of the page, and fails at some
    (re.compile(r'data-bs-target="\.bd-toc-nav"'), 'data-bs-target="#pst-page-toc-nav"'),
    # the reader's theme before the first picture is fetched: else in the dark those of the light
    # come too
    (
        re.compile(r'localStorage\.getItem\("theme"\) \|\| "auto"'),
        (
            'localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ?'
            ' "dark" : "light")'
        ),
    ),
    # a landmark, so that the title in it is in one
    (re.compile(r'(<div id="pst-primary-sidebar")'), r'\1 role="navigation" aria-label="Book"'),
    # in the list of pages, what opens the pages within one
    (
        re.compile(r'<summary>(<span class="toctree-toggle")'),
        r'<summary aria-label="Pages within">\1',
    ),
    # a name that agrees with what is written on the button
    (re.compile(r'(<button class="btn search-button-field[^>]*) aria-label="Search"'), r"\1"),
)

ICON = re.compile(r"\bfa-[a-z0-9-]+")
ICON_RULE = re.compile(r'(?:\.fa-[a-z0-9-]+:before,?)+\{content:"\\([0-9a-f]+)"\}')
FONT_FACE = re.compile(r"@font-face\{[^}]*webfonts/[^}]*\}")
SOLID = (
    "@font-face{font-display:block;font-family:Font Awesome\\ 6"
    " Free;font-style:normal;font-weight:900;"
    "src:url(../vendor/fontawesome/webfonts/fa-solid-900.woff)"
    ' format("woff")}'
)


def subset_icons(app: Sphinx) -> None:
    """Show icons by a font of the glyphs in use, in place of the theme's script that holds the
    outlines of two thousand.
    """
    theme = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
    static = Path(app.outdir) / "_static"
    name = Path("styles", "pydata-sphinx-theme.css")

    used: set[str] = set()
    for page in Path(app.outdir).rglob("*.html"):
        used.update(ICON.findall(page.read_text(encoding="utf-8")))
    scripts = [path for path in static.rglob("*.js") if path.name != "fontawesome.js"]
    used.update(*(ICON.findall(path.read_text(encoding="utf-8")) for path in scripts))
    style = (theme / name).read_text(encoding="utf-8")
    glyphs = {rule[1] for rule in ICON_RULE.finditer(style) if used & set(ICON.findall(rule[0]))}
    style = ICON_RULE.sub(lambda rule: rule[0] if rule[1] in glyphs else "", style)
    style = SOLID + FONT_FACE.sub("", style)
    (static / name).write_text(style, encoding="utf-8")
    # and those that styles show without a class
    for path in static.rglob("*.css"):
        glyphs.update(
            re.findall(r'content:"\\([ef][0-9a-f]{3})"', path.read_text(encoding="utf-8"))
        )

    fonts = static / "vendor" / "fontawesome" / "webfonts"
    shutil.rmtree(fonts, ignore_errors=True)
    fonts.mkdir(parents=True)
    options = subset.Options(flavor="woff", layout_features=[])
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[int(glyph, 16) for glyph in glyphs])
    with TTFont(theme / "vendor" / "fontawesome" / "webfonts" / "fa-solid-900.ttf") as font:
        missing = {glyph for glyph in glyphs if int(glyph, 16) not in font.getBestCmap()}
        if missing:
            raise ExtensionError(
                "pages use icons that are not among the solid ones of Font Awesome:"
                f" {', '.join(sorted(missing))}"
            )
        subsetter.subset(font)
        subset.save_font(font, str(fonts / "fa-solid-900.woff"), options)
    for path in static.rglob("fontawesome.js*"):
        path.unlink()


def mend_frames(app: Sphinx) -> None:
    """Put right what stands around each page's own text."""
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for wrong, right in FRAME:
            text = wrong.sub(right, text)
        page.write_text(text, encoding="utf-8")


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        mend_frames(app)
        subset_icons(app)


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("searching")
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
