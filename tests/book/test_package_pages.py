"""The pages on the package, one for each of its rooms."""

import re

import pytest

import collapse
from collapse import models, workflows

from .test_pages import CHAPTERS, soup

ROOMS = [page for page in CHAPTERS if page.startswith("book/api/")]
LONGEST = 160_000  # characters of HTML


def signatures(page):
    return {sign["id"] for sign in soup(page).select("article dl.py > dt.sig[id]")}


def test_every_public_name_is_on_one_page():
    places = [name for page in ROOMS for name in signatures(page)]
    assert len(places) == len(set(places))
    rooms = {"workflows", "models", "datasets"}
    public = {f"collapse.{name}" for name in set(collapse.__all__) - rooms}
    public |= {f"collapse.models.{name}" for name in models.__all__}
    public |= {f"collapse.workflows.{name}" for name in workflows.NAMED}
    assert public <= set(places)


@pytest.mark.parametrize("page", ROOMS)
def test_no_page_is_endless_and_the_index_lists_its_names(site, page):
    assert (site / page).stat().st_size < LONGEST
    listed = {link["href"] for link in soup("book/api.html").select("ul.names a")}
    outer = {
        sign["id"]
        for sign in soup(page).select("article dl.py > dt.sig[id]")
        if not sign.find_parent("dd")
    }
    here = page.removeprefix("book/")
    assert {f"{here}#{name}" for name in outer} <= listed
    assert soup("book/api.html").select_one(f'article a[href="{here}"]')


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ("collapse.derive", "answers"),
        ("collapse.Plan.replace", "plans"),  # what belongs to a class goes where the class is
        ("collapse.models.Bernoulli", "families"),
        ("collapse.explorers.record.Control", "explorers"),
    ],
)
def test_an_address_of_before_leads_to_where_the_name_is(site, visit, old, now):
    reader = visit(site.as_uri(), f"book/api.html#{old}")
    reader.tab.goto(reader.address)
    reader.tab.wait_for_url(re.compile(rf"/api/{now}\.html#{re.escape(old)}$"))
    assert old in signatures(f"book/api/{now}.html")
