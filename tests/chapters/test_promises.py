"""Every sentence of a chapter that has a number or a bound is held by a test, or says why not.

What counts. Of a chapter's prose (code cells, displays, proofs and the options of directives left
out, headings and questions too) every sentence counts that has
- a number typed in the text, in digits or as half, twice, double ...; glued numbers are computed,
  and the number of a fit, a batch or an exercise is its name, as are the minutes of a lesson;
- maths that is a constant, or has a decimal fraction or an inequality in it;
- a bounding word: never, always, for every, at most, at least, bounded, below, cannot ...
Every labelled theorem, proposition, lemma and corollary counts as one, with all of its sentences.

Each is covered by an entry of `promises/CHAPTER.toml`: `says`, a part of the sentence word for
word, or `label`; and `test`, the names of tests that hold it (`test_x.py::test_y`, from `tests`
down), or `reason`, one of REASONS, with details after a colon where they help.
"""

import ast
import functools
import re
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

TESTS = Path(__file__).parents[1]
BOOK = TESTS.parent / "book"
PROMISES = Path(__file__).parent / "promises"

NO_CHAPTERS = {"api", "bibliography"}
CHAPTERS = sorted({path.stem for path in BOOK.glob("*.md")} - NO_CHAPTERS)

REASONS = {
    "definition": "says what a word, a symbol or a workflow means",
    "setting": "says what is chosen: parameters, sizes, a case that is looked at",
    "condition": "says when a statement holds, or what a theorem assumes",
    "computed": "reads off what the page computes and glues, or shows",
    "history": "says what others did; the source is cited",
    "data": "a fact of a data file, with its source",
    "argument": "a step of an argument given in full beside it, whose end has a test",
    "advice": "says what to do, or asks",
    "figure": "says where to look in a picture",
    "language": "no quantity: a figure of speech",
    "elsewhere": "repeats a statement of another chapter, which is named",
}

RESULTS = {"prf:theorem", "prf:proposition", "prf:lemma", "prf:corollary"}
SILENT = {"code-cell", "math", "prf:proof", "toctree", "bibliography"}
DIRECTIVE = re.compile(r"\{([\w:-]+)\}")
LABEL = re.compile(r"^:label: (\S+)$", re.MULTILINE)
OPTIONS = re.compile(r"\A(?::[\w-]+:.*\n)+")
END = re.compile(r"(?<!\*\*\d\.)(?<=[.?!])[*)]*\s+(?=[A-Z{$*(\\`])|\n")

ROLES = re.compile(r"\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)|<[^>\s][^>]*>")
NAMES = re.compile(
    r"\*\*\d+\.\*\*|^\| \d+\u2013\d+ \||\bA\d\b|\*\*Minutes\*\* \d+\."
    r"|\b(?:[Ff]its?|[Bb]atch(?:es)?|[Gg]enerations?|[Rr]ounds?|[Pp]arts?|[Ee]xercises?"
    r"|[Qq]uestions?|[Ss]teps?|[Cc]hapters?) \d+(?:(?: to |, | and )\d+)*"
)
MATHS = re.compile(r"\$([^$]+)\$")
CLAIM = re.compile(r"\d\.\d|[<>]|\\(?:le|ge|leq|geq|ll|gg)\b")
COMMANDS = re.compile(
    r"\\(?:[td]?frac|pi|sqrt|log|exp|varphi|gamma|zeta|approx|infty|cdot|pm|dots|quad|[,;:! %])"
)  # what a constant may be written with
WORDS = re.compile(
    r"\b(?:half|halves|halved|twice|thrice|doubl\w+|thirds?|quarters?|per cent|tenfold"
    r"|never|always|at most|at least|(?:un)?bounded|exceeds?|cannot|whatever|for every?(?:one)?\b"
    r"|however (?:many|long|large|small|few)|no more than|no less than|every \$n\$|any \$n\$"
    r"|(?:above|below)(?! [a-z]+ (?:is|are)\b)(?![.,;:)*]|$))",
    re.IGNORECASE | re.MULTILINE,
)


def parser():
    markdown = MarkdownIt().use(front_matter_plugin).use(colon_fence_plugin)
    return markdown.use(dollarmath_plugin, allow_labels=True)


def blocks(text, result=None):
    """Paragraphs of MyST source, each with the label of the result that it belongs to."""
    heading = False
    for token in parser().parse(text):
        if token.type in ("heading_open", "heading_close"):
            heading = token.type == "heading_open"
        elif token.type == "inline" and not heading:
            yield result, token.content
        elif token.type in ("fence", "colon_fence"):
            kind = DIRECTIVE.match(token.info.strip())
            if kind and kind[1] not in SILENT:
                label = LABEL.search(token.content) if kind[1] in RESULTS else None
                inner = label[1] if label else result
                yield inner, ""  # so that a result of displays alone is seen
                yield from blocks(OPTIONS.sub("", token.content), inner)


def is_constant(maths):
    """A number and nothing else, such as \\pi^2/6."""
    rest = COMMANDS.sub("", maths)
    return bool(re.search(r"\d|\\pi|\\varphi", maths)) and not re.search(r"[A-Za-z\\]", rest)


def counts(sentence):
    """Whether a sentence has a number or a bound; a question asserts nothing."""
    if sentence.rstrip(" *)").endswith("?"):
        return False
    text = NAMES.sub("", ROLES.sub("", sentence))
    maths = MATHS.findall(text)
    if any(is_constant(piece) or CLAIM.search(piece) for piece in maths):
        return True
    return bool(re.search(r"\d", MATHS.sub("", text)) or WORDS.search(text))


def sentences(text):
    """What needs an entry: sentences outside of results, and labels of results."""
    found, labels = [], []
    for label, paragraph in blocks(text):
        if label:
            labels.append(label)
        else:
            found += [piece.strip() for piece in END.split(paragraph) if counts(piece)]
    return found, list(dict.fromkeys(labels))


@functools.cache
def page(chapter):
    return (BOOK / f"{chapter}.md").read_text(encoding="utf-8")


@functools.cache
def promises(chapter):
    path = PROMISES / f"{chapter}.toml"
    assert path.exists(), f"promises/{path.name} is missing: say what holds each sentence"
    return tomllib.loads(path.read_text(encoding="utf-8"))["promise"]


@functools.cache
def functions_of(file):
    """Names of the test functions of a file, those in classes as Class::test."""
    names = set()
    for node in ast.parse((TESTS / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (part for part in node.body if isinstance(part, ast.FunctionDef))
            names |= {f"{node.name}::{part.name}" for part in inner}
    return {name for name in names if name.split("::")[-1].startswith("test_")}


def named(entry):
    tests = entry.get("test", [])
    return [tests] if isinstance(tests, str) else tests


def uncovered(text, entries):
    """Sentences and labels of a page that no entry covers."""
    found, labels = sentences(text)
    fragments = [entry["says"] for entry in entries if "says" in entry]
    known = {entry["label"] for entry in entries if "label" in entry}
    left = [piece for piece in found if not any(part in piece for part in fragments)]
    return left + [label for label in labels if label not in known]


def test_every_page_has_its_promises():
    written = {path.stem for path in PROMISES.glob("*.toml")}
    lacking, without = set(CHAPTERS) - written, written - set(CHAPTERS)
    assert not lacking, f"write promises/CHAPTER.toml for {', '.join(sorted(lacking))}"
    assert not without, f"no chapter is called {', '.join(sorted(without))}: take its promises away"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_sentence_with_a_number_or_a_bound_has_a_check(chapter):
    left = uncovered(page(chapter), promises(chapter))
    lacks = f"of chapter {chapter} has no check: name one or give a reason"
    assert not left, "\n".join(f"{piece!r} {lacks}" for piece in left)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_entry_is_about_the_chapter(chapter):
    found, labels = sentences(page(chapter))
    for entry in promises(chapter):
        assert len({"says", "label"} & set(entry)) == 1, entry
        if "label" in entry:
            assert entry["label"] in labels, f"no result of {chapter} is {entry['label']}"
        else:
            part = entry["says"]
            assert counts(part), f"{part!r}: quote the number or the bound with it"
            said = any(part in piece for piece in found)
            assert said, f"{chapter} does not say {part!r} any more"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_entry_names_tests_that_exist_or_a_reason(chapter):
    for entry in promises(chapter):
        assert len({"test", "reason"} & set(entry)) == 1, entry
        assert not set(entry) - {"says", "label", "test", "reason"}, entry
        if "reason" in entry:
            kind = entry["reason"].partition(":")[0]
            assert kind in REASONS, f"{kind!r} is no reason; there are {', '.join(REASONS)}"
        for name in named(entry):
            file, _, function = name.partition("::")
            assert (TESTS / file).is_file(), f"no file tests/{file}"
            assert function in functions_of(file), f"tests/{file} has no {function}"


def test_a_result_needs_a_test():
    """Theorems are held by tests, whatever their proofs say."""
    for chapter in CHAPTERS:
        bare = [e["label"] for e in promises(chapter) if "label" in e and "test" not in e]
        assert not bare, f"{chapter}: results without a test"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The ratio is 2.", True),
        ("It costs {glue:text}`costs:.1f` per fit, seed {glue:text}`seed`.", False),
        ("The ratio is $\\tfrac23$.", True),
        ("The ratio is $n / g$.", False),
        ("It ends near $0.69\\, n$.", True),
        ("For $w < u$ it converges.", True),
        ("Augment never does.", True),
        ("It stays below the limit.", True),
        ("The argument is given below.", False),
        ("Half of the rows are real.", True),
        ("Fit 1 is made to the real data by `window(5)`.", False),
        ("See {prf:ref}`thm-2` and [there](page-3.html).", False),
        ("It holds for every $n$.", True),
        ("It holds for every family.", True),
        ("| 0\u20134 | The opening picture | |", False),
        ("It stays there for ever.", True),
        ("Rows are drawn anew.", False),
        ("Is it ever below 2?", False),
    ],
)
def test_what_counts(sentence, expected):
    assert counts(sentence) is expected


PAGE = """---
kernelspec: 3
---

# A page in 4 parts

One sentence says 5. Another says nothing, and `code 6` neither.

```{code-cell} ipython3
seven = 7
```

$$
x = 8
$$

:::{bundle} name
:alt: Nine is 9.

**A caption has 10.** It goes on.
:::

````{prf:theorem} Name
:label: thm-name

It never fails.

$$ x \\le 11 $$
````

::::{dropdown} The full argument
:::{prf:proof}
It is 12.
:::
::::

::::{dropdown} Solution
It is 13.
::::
"""


def test_what_is_prose():
    found, labels = sentences(PAGE)
    assert found == ["One sentence says 5.", "**A caption has 10.", "It is 13."]
    assert labels == ["thm-name"]


@pytest.mark.parametrize("lacking", ["says 5", "caption has 10", "is 13", "thm-name"])
def test_what_lacks_an_entry_is_named(lacking):
    keys = {"says 5": "says", "caption has 10": "says", "is 13": "says", "thm-name": "label"}
    entries = [{key: part} for part, key in keys.items() if part != lacking]
    (left,) = uncovered(PAGE, entries)
    assert lacking in left
