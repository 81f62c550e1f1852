"""Credit: what the book cites, where that can be found, and what claims of novelty rest on."""

import re
from collections import Counter
from pathlib import Path

import pytest
from pybtex.database import parse_file

BOOK = Path(__file__).parents[2] / "book"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("*.md"))}
ENTRIES = parse_file(BOOK / "references.bib").entries

CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")


def cited(text):
    return [key.strip() for keys in CITATION.findall(text) for key in keys.split(",")]


CITED = {key: page for page, text in PAGES.items() for key in cited(text)}

# what can have been read of a work, in the words of the note that ends its entry
READ = re.compile(
    r"(?:^|\. )Read: (?:bibliographic data only|summaries by others"
    r"|(?:full text|abstracts?|introduction|opening)(?:(?:, | and )?[a-z0-9 ]+)*)$"
)
WITHOUT = ("No DOI. ", "DOI not checked. ")  # why a classic may lack an address

# a sentence that claims to be first
NOVEL = re.compile(
    r"as far as we know|we know of no|to our knowledge|\bnovel\b"
    r"|(?:is|are|result|formulas?) new(?: here)?[ .,;:)](?!in every)",
    re.IGNORECASE,
)
SEARCHED = re.compile(r"\{ref\}`what was searched <(search-[a-z]+)>`")
LISTED = re.compile(r"^\((search-[a-z]+)\)=\n(.+)$", flags=re.MULTILINE)
SEARCHES = dict(LISTED.findall(PAGES["bibliography"]))
CHAPTERS = {page: text for page, text in PAGES.items() if page != "bibliography"}


def claims():
    lines = [(page, line) for page, text in CHAPTERS.items() for line in text.splitlines()]
    return [(page, line) for page, line in lines if NOVEL.search(line)]


def test_every_citation_resolves_and_every_entry_is_cited():
    assert len(ENTRIES) > 60
    assert not {key: page for key, page in CITED.items() if key not in ENTRIES}
    assert not set(ENTRIES) - set(CITED)


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_says_where_it_is_and_what_was_read(key):
    fields = ENTRIES[key].fields
    note = fields.get("note", "")
    assert READ.search(note), f"{key}: the note has to end with what was read, as others do"
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,9}/\S+", fields["doi"])
    if "eprint" in fields:
        assert fields["archiveprefix"] == "arXiv"
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields["eprint"])
    addresses = {"doi", "eprint", "isbn", "url"} & set(fields)
    classic = int(fields["year"]) <= 2000 and note.startswith(WITHOUT)
    assert addresses or classic, f"{key}: no DOI, arXiv number, ISBN or address"


@pytest.mark.parametrize("field", ["doi", "eprint", "title"])
def test_no_work_is_listed_twice(field):
    values = (entry.fields[field].lower() for entry in ENTRIES.values() if field in entry.fields)
    counts = Counter(values)
    assert counts
    assert not [value for value, count in counts.items() if count > 1]


def test_a_claim_of_novelty_tells_what_was_searched():
    assert len(claims()) >= 4
    bare = [(page, line[:100]) for page, line in claims() if not SEARCHED.search(line)]
    assert not bare, "link to the bibliography's list of searches, or credit the source"


def test_searches_are_dated_listed_and_used():
    assert re.search(r"searches were made in [A-Z][a-z]+ 20\d\d", PAGES["bibliography"])
    used = {name for _, line in claims() for name in SEARCHED.findall(line)}
    assert used == set(SEARCHES)
    for name, text in SEARCHES.items():
        assert "Queries: " in text, name
        nearest = text.partition("Nearest: ")[2]
        assert CITATION.search(nearest), f"{name}: name the nearest work that was found"


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("The closed form is new here.", True),
        ("As far as we know, nobody has it.", True),
        ("These formulas are new, and short.", True),
        ("We know of no earlier source.", True),
        ("The draws are new in every generation.", False),
        ("A new model is one class.", False),
    ],
)
def test_what_counts_as_a_claim_of_novelty(sentence, found):
    assert bool(NOVEL.search(sentence)) is found


def test_theorems_that_the_package_names_are_in_the_book():
    label = re.compile(r"^:label: (\S+)$", re.MULTILINE)
    labels = {found for text in PAGES.values() for found in label.findall(text)}
    sources = [
        path.read_text(encoding="utf-8") for path in (BOOK.parent / "collapse").rglob("*.py")
    ]
    named = {found for text in sources for found in re.findall(r"\bthm(?:-[a-z]+)+", text)}
    assert len(named) > 20
    assert not named - labels
