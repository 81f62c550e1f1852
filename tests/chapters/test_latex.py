"""What chapters say can be said in a paper: each number has a name of its own in the whole book,
and each caption is one in LaTeX.
"""

import re
from pathlib import Path

import nbformat

from collapse.publishing import latex, rerun

ROOT = Path(__file__).resolve().parents[2]


def test_all_numbers_have_names_and_all_captions_are_latex(tmp_path: Path) -> None:
    chapters = []
    for name, path in rerun.chapters(ROOT / "book").items():
        prose = re.sub(r"(?ms)^```\{code-cell\}.*?^```$", "", path.read_text(encoding="utf-8"))
        outputs = [
            nbformat.v4.new_output(
                "display_data",
                {"text/plain": "1.0"},
                metadata={"scrapbook": {"name": said.split(":")[0], "mime_prefix": ""}},
            )
            for said in latex._SAID.findall(prose)
        ]
        cells = [
            nbformat.v4.new_code_cell("", outputs=outputs),
            nbformat.v4.new_markdown_cell(prose),
        ]
        chapters.append(latex._Chapter(name, nbformat.v4.new_notebook(cells=cells), tmp_path))
    numbers = latex._numbers(chapters)
    names = {(n.chapter, n.key, n.how): n.macro for n in numbers}
    assert len(set(names.values())) == len(names) > 500
    captions = 0
    for chapter in chapters:
        for _, label, body in latex._DIRECTIVE.findall(chapter.prose):
            told = latex._caption(latex._body(body), chapter.name, names, set())
            assert len(told) > 30, label
            assert re.sub(r"\\[{}]", "", told).count("{") == re.sub(r"\\[{}]", "", told).count("}")
            assert not re.search(r"(?<!\\)[#&]|\*\*|\{glue|alt:", told), label
            captions += 1
    assert captions > 70
