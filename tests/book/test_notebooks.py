"""Notebooks for download: plain Markdown, and the outputs of their cells."""

import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest

from .conftest import SITE

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
from notebooks import notebook

NOTEBOOKS = sorted((SITE / "_sources" / "book").glob("*.ipynb"))
RAW = re.compile(  # what Jupyter would show as it is written
    r"\{[\w:-]+\}`|^\s*(?:`{3,}|:{3,})\{|^:::|^\([\w-]+\)=$|^:\w+: |\\\(|\\\[(?=\n)|\{glue",
    re.MULTILINE,
)


def markdown(made):
    for cell in made.cells:
        if cell.cell_type == "markdown":
            yield cell.source
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            yield from (data[kind] for kind in ("text/markdown", "text/plain") if kind in data)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_plain_and_has_its_outputs(path):
    made = nbformat.read(path, as_version=4)
    nbformat.validate(made)
    for text in markdown(made):
        assert not RAW.findall(text), RAW.search(text)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    for cell in code:
        ast.parse(cell.source)
        for output in cell.outputs:
            assert output.output_type != "error"
            assert not [kind for kind in output.get("data", ()) if "papermill" in kind]
    numbers = [cell.execution_count for cell in code]
    assert numbers == sorted(numbers)
    assert any(cell.outputs for cell in code)
    heads = [re.match(r"# \S", cell.source) for cell in made.cells if cell.cell_type == "markdown"]
    assert heads[0]


def test_there_is_one_for_each_page_with_code(site):
    names = {path.stem for path in NOTEBOOKS}
    assert len(names) > 20
    sources = Path(__file__).resolve().parents[2] / "book"
    assert names == {
        path.stem for path in sources.glob("*.md") if "kernelspec:" in path.read_text("utf-8")[:400]
    }


PAGE = r"""<article><h1>Title<a class="headerlink" href="#t">#</a></h1>
<p>A <em>word</em>, <code>x_1</code> and <span class="math">\(a_1 &lt; b\)</span>: 2 * 3,
<a class="reference" href="other.html#thm">Theorem 2</a>.</p>
<div class="proof theorem admonition"><p class="admonition-title">Theorem 1 (One)</p>
<p>Let</p><div class="math notranslate nohighlight" id="e"><span class="eqno">(1)</span>\[
x = 1
\]</div></div>
<ul><li><p>one</p></li><li><p>two</p></li></ul>
<table><tr><th>k</th><td><span class="math">\(|k| &lt; 2\)</span></td></tr></table>
<div class="cell"><div class="cell_input"><pre>1 + 1</pre></div></div>
<p>After.</p></article>"""


def test_what_becomes_of_a_page(tmp_path):
    cells = [
        nbformat.v4.new_code_cell("import x", metadata={"tags": ["remove-cell"]}),
        nbformat.v4.new_code_cell("1 + 1", execution_count=2),
    ]
    output = nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=2)
    cells[1].outputs = [output]
    executed = nbformat.v4.new_notebook(cells=cells)
    made = notebook(PAGE, executed, lambda target: f"https://books.example/{target}", tmp_path)
    said, hidden, code, after = made.cells
    assert said.source.split("\n\n") == [
        "# Title",
        r"A *word*, `x_1` and $a_1 < b$: 2 \* 3, [Theorem 2](https://books.example/other.html#thm).",
        "> **Theorem 1 (One)**\n>\n> Let\n>\n> $$\n> x = 1\n> $$",
        "- one\n- two",
        "<table>\n<tr><th>k</th><td>$|k| &lt; 2$</td></tr>\n</table>",
    ]
    assert [hidden.source, code.source, code.outputs] == ["import x", "1 + 1", [output]]
    assert after.source == "After."
    nowhere = notebook(PAGE, executed, lambda target: None, tmp_path)
    assert "3, Theorem 2." in nowhere.cells[0].source
