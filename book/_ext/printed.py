"""Sphinx extension of the book: the one document that is printed, for the latex builder, and the
link to it on the site.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_proof.nodes import NODE_TYPES, proof_node

import collapse

FILE = "COLLAPSE_PDF"
"""Names the PDF in the environment, where there is one of this book."""
SHORT = 8  # lines; a folded cell that has more is left out
LINE = 90  # characters of a table's type across the page
ROWS = 16
"""Of a table; one that has more may be broken between pages."""
COMMANDS = re.compile(r"\\(?:begin|end)\{\w+\}|\\[a-zA-Z]+|[\\{}^_&\s]")
"""What of a formula's source takes no room."""
GATHERED = re.compile(r'class="gathered-(\w+)"')
"""Where a page has a list of the book's theorems or figures."""
STYLE = Path(__file__).with_name("printed.tex")


def tex(text: str) -> nodes.raw:
    return nodes.raw("", text, format="latex")


def configure(app: Sphinx, config: Any) -> None:
    """The site holds the PDF and says so in `only`, if it was made of what the site is made of."""
    path = os.environ.get(FILE)
    if path:
        app.tags.add("printed")
        config.html_extra_path = [*config.html_extra_path, path]
    config.latex_documents = [
        (config.root_doc, f"{config.project}.tex", config.html_title, config.author, "manual")
    ]
    config.today = f"Version {collapse.__version__}"  # where the title page has a date
    config.latex_toplevel_sectioning = "chapter"
    config.latex_domain_indices = False
    config.latex_table_style = ["booktabs"]
    config.latex_elements = {
        "papersize": "a4paper",
        "sphinxsetup": "verbatimwithframe=false, VerbatimColor={HTML}{F5F5F5}",
        "extraclassoptions": "openany,oneside",
        "fontpkg": "",
        "fncychap": "",
        "makeindex": "",
        "printindex": "",
        "preamble": STYLE.read_text(encoding="utf-8"),
    }


def divide(app: Sphinx, doctree: nodes.document) -> None:
    """Begin each part of the table of contents with its name; the home page is what stands before
    the first, without numbers.
    """
    if app.builder.format != "latex" or app.env.docname != app.config.root_doc:
        return
    home = next(iter(doctree.findall(nodes.section)))
    title = home.next_node(nodes.title).astext()
    starred = rf"\chapter*{{{title}}}\addcontentsline{{toc}}{{chapter}}{{{title}}}"
    home.insert(1, [tex(starred + r"\markboth{}{}"), *note(app)])
    for section in list(home.findall(nodes.section))[1:]:
        head = section.next_node(nodes.title)
        head.replace_self(nodes.rubric("", "", *head.children))
        section.replace_self(section.children)
    for toctree in list(doctree.findall(addnodes.toctree)):
        wrapper = toctree.parent
        wrapper.parent.insert(wrapper.parent.index(wrapper), tex(rf"\part{{{toctree['caption']}}}"))


def note(app: Sphinx) -> list[nodes.Node]:
    """What the printed book lacks."""
    where = app.config.html_baseurl
    site = nodes.reference("", where, refuri=where) if where else nodes.Text("the site")
    return [
        nodes.paragraph(
            "",
            "",
            nodes.strong("", "The printed book. "),
            nodes.Text("It is made of the same executed chapters as "),
            site,
            nodes.Text(
                f". Code that is folded there is left out here if it has more than {SHORT} lines;"
                " it prepares and draws what is shown. Of explorers the first picture is shown."
                " Proofs and solutions, folded there, are open."
            ),
        )
    ]


class Explorers(SphinxPostTransform):
    """Show the picture of an explorer with what it says, and where it moves."""

    default_priority = 3  # before myst-nb takes one of an output's forms
    formats = ("latex",)

    def run(self, **kwargs: Any) -> None:
        for cell in list(self.document.findall(is_cell)):
            picture = next(iter(cell.findall(nodes.image)), None)
            if picture is None:
                continue
            after = cell.next_node(descend=False, siblings=True)
            if isinstance(after, nodes.container) and "shown-above" in after["classes"]:
                cell.parent.remove(cell)  # the figure that follows is the same picture
                continue
            said = [text.astext() for text in cell.findall(nodes.literal_block)]
            told = re.search(r"<Explorer \w+: (.*)>", " ".join(said), re.DOTALL)
            words = f" {told[1][0].upper()}{told[1][1:]}." if told else ""
            line = nodes.paragraph(
                "",
                "",
                nodes.strong("", "An explorer as it opens."),
                nodes.Text(f"{words} On the site, in this chapter, it moves."),
            )
            below = nodes.container("", line, classes=["explorer"])
            cell.parent.insert(cell.parent.index(cell) + 1, below)


class Printed(SphinxPostTransform):
    """Theorems and proofs in environments of their own; no long code that the site folds."""

    default_priority = 150
    formats = ("latex",)
    kinds: ClassVar = tuple(NODE_TYPES.values())

    def run(self, **kwargs: Any) -> None:
        for place in list(self.document.findall(nodes.raw)):
            name = GATHERED.search(place.astext())
            if name:
                known = self.is_theorem if name[1] == "theorems" else is_figure
                place.replace_self(self.gathered(self.document.findall(known)))
        for cell in list(self.document.findall(is_cell)):
            code = next(iter(cell.children), None)
            folded = "tag_hide-input" in cell["classes"] and is_code(code)
            if folded and len(code.astext().strip().splitlines()) > SHORT:
                cell.remove(code)
        for theorem in list(self.document.findall(self.is_theorem)):
            theorem.replace_self(self.statement(theorem))
        for proof in list(self.document.findall(proof_node)):
            body = nodes.container("", *proof[0].children, classes=["argument"])
            first = body.next_node(nodes.Text)
            first.parent.replace(
                first, [nodes.emphasis("", "Proof."), nodes.Text(first.removeprefix("Proof."))]
            )
            if isinstance(body.children[-1], nodes.paragraph):
                body.children[-1] += tex(r"\hspace*{\fill}$\square$")
            proof.replace_self(body)
        for table in self.document.findall(nodes.table):
            share(table)

    def is_theorem(self, node: nodes.Node) -> bool:
        return isinstance(node, self.kinds)

    def statement(self, theorem: nodes.Element) -> nodes.container:
        """A theorem with the number that it has on the site, and where links to it lead."""
        _, address, name = self.named(theorem)
        title, section = theorem.children
        anchor = tex(rf"\phantomsection\label{{{address}}}")
        head = nodes.paragraph("", "", anchor, nodes.strong("", name), *title.children)
        return nodes.container("", head, *section.children, classes=["statement"])

    def named(self, node: nodes.Element) -> tuple[str, str, str]:
        """Page of a theorem or figure, where links to it lead, and its name with the number that it
        has on the site.
        """
        above = node.parent
        while not above.get("docname"):
            above = above.parent
        page, label = above["docname"], node["ids"][0]
        kind, name = node.get("countertype", "figure"), node.get("realtype", "fig.").title()
        number = ".".join(map(str, self.env.toc_fignumbers[page][kind][label]))
        return page, rf"\detokenize{{{page}:{label}}}", f"{name} {number}"

    def gathered(self, found: Iterable[nodes.Element]) -> nodes.container:
        """A list of theorems with their titles, or of figures with their findings, by chapter."""
        whole, last = nodes.container("", classes=["gathered"]), ""
        for node in found:
            page, address, name = self.named(node)
            if page != last:
                title = nodes.strong("", "", *self.env.titles[page].deepcopy().children)
                whole += [nodes.paragraph("", "", title), nodes.bullet_list()]
            last = page
            if is_figure(node):
                caption = next(iter(node.findall(nodes.caption)))
                said = next(iter(caption.findall(nodes.strong)), caption)
            else:
                said = node.children[0]
            line = nodes.paragraph("", "", tex(rf"\hyperref[{address}]{{{name}}} "))
            line += [child.deepcopy() for child in said.children]
            for inner in line.findall(nodes.Element):
                inner["ids"] = []  # they are where it was copied from
            line += tex(rf" \hspace*{{\fill}}\pageref{{{address}}}")
            whole.children[-1] += nodes.list_item("", line)
        return whole


def share(table: nodes.table) -> None:
    """Give the columns of a table that is wider than the page what their longest words need, and
    the rest by what is in them.
    """
    columns = list(table.findall(nodes.colspec))
    least, most = [0] * len(columns), [0] * len(columns)
    rows = list(table.findall(nodes.row))
    if len(rows) > ROWS:
        table["classes"].append("longtable")
    for row in rows:
        if len(row) == len(columns):
            for k, entry in enumerate(row):
                words = [word for text in entry.findall(nodes.Text) for word in lengths(text)]
                least[k], most[k] = max([least[k], *words]), max(most[k], sum(words) + len(words))
    if sum(most) <= LINE:
        return
    spare = max(0, LINE - sum(least)) / max(1, sum(most) - sum(least))
    for column, low, high in zip(columns, least, most, strict=True):
        column["colwidth"] = round(10 * (low + 2 + spare * (high - low)))
    table["classes"].append("colwidths-given")


def lengths(text: nodes.Text) -> list[int]:
    """Of the words of a text; a formula is one."""
    if isinstance(text.parent, nodes.math):
        return [len(COMMANDS.sub("", text))]
    return [len(word) for word in re.split(r"[\s_]+", text)]


def is_figure(node: nodes.Node) -> bool:
    return isinstance(node, nodes.figure) and "bundle" in node["classes"]


def is_cell(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def is_code(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_source"


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", configure, priority=900)  # when the root is known
    app.connect("doctree-read", divide, priority=900)  # after the table of contents is in it
    app.add_post_transform(Explorers)
    app.add_post_transform(Printed)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
