from contextlib import suppress
from functools import cache
from time import process_time

import pytest

from leakwatch.errors import TooLarge
from leakwatch.fetch.html import read
from leakwatch.fetch.listing import Facts
from tests.unit.fetch.sites import HTML, source

WHOLE = f"""{HTML}
author = "span.by"
path = "@data-path"
text = "pre"
"""


def facts(text: str, toml: str = HTML) -> list[Facts]:
    return list(read(source("https://paste.example", toml), text))


def test_each_item_has_the_facts_that_selectors_find() -> None:
    page = """
    <ul>
      <li data-path="a/b.env"><a href="/1"> A  <b>title</b>
        &amp; more</a> <span class="by">ada</span><pre>  line 1\n\nline 2\n</pre></li>
      <li><a href="/2">Second</a></li>
      <li></li>
    </ul>"""

    assert facts(page, WHOLE) == [
        {
            "id": "/1",
            "url": "/1",
            "title": "A title & more",
            "author": "ada",
            "path": "a/b.env",
            "text": "  line 1\n\nline 2\n",
        },
        {"id": "/2", "url": "/2", "title": "Second"},
        {},
    ]


def test_the_item_itself_can_be_the_fact() -> None:
    toml = HTML.replace('id = "a@href"', 'id = ".@id"').replace('title = "a"', 'title = "."')

    assert facts('<li id="7">words</li>', toml) == [{"id": "7", "title": "words"}]


def test_an_attribute_with_several_values_is_one_text() -> None:
    toml = HTML.replace('id = "a@href"', 'id = ".@class"')

    assert facts('<li class="a b">x</li>', toml) == [{"id": "a b"}]


def test_an_at_sign_within_a_selector_is_no_attribute() -> None:
    toml = HTML.replace('id = "a@href"', """id = 'a[href*="@"]'""")

    assert facts('<li><a href="/1">no</a><a href="/@2">yes</a></li>', toml)[0]["id"] == "yes"


@pytest.mark.parametrize("text", ["", "words", '{"json": true}', "https://paste.example/looks-like-a-locator", "\x00"])
def test_what_is_no_html_has_no_items(text: str) -> None:
    assert facts(text) == []


@pytest.mark.parametrize(
    "head", ['<?xml version="1.0" encoding="latin-1"?>', "<meta charset=latin-1>", "<!DOCTYPE html>"]
)
def test_what_the_page_says_of_its_encoding_changes_nothing_any_more(head: str) -> None:
    assert facts(f'{head}<html><body><li><a href="/é">naïve “漢”</a></li></body></html>')[0]["title"] == "naïve “漢”"


def test_items_that_are_not_closed_are_items_all_the_same() -> None:
    assert [one["title"] for one in facts("<ul><li><a href=/1>one</a><li><a href='/2'>two</ul><p></b>")] == [
        "one",
        "two",
    ]


@pytest.mark.parametrize("page", ["<a>" * 1_000_000, "x" * 5_000_000 + "<li>"])
def test_more_markup_than_a_listing_has_is_refused_before_it_is_read(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("leakwatch.fetch.html.BeautifulSoup")
    with pytest.raises(TooLarge, match=r"listing\.url"):
        facts(page)


@pytest.mark.parametrize("page", ["<div>" * 90_000, "<ul><li>" * 45_000])
def test_what_is_nested_without_end_is_refused(page: str) -> None:
    with pytest.raises(TooLarge, match="more than 200 deep"):
        facts(page)


def test_items_within_items_are_refused_before_they_take_hours() -> None:
    assert len(facts("<ul><li>" * 90 + "<b>x</b>" * 1_000)) == 90
    with pytest.raises(TooLarge, match=r"items \(li\) stand within one another: let listing\.items match"):
        facts("<ul><li>" * 90 + "<b>x</b>" * 40_000)


def _seconds(page: str) -> float:
    before = process_time()
    with suppress(TooLarge):  # to refuse a page is an answer too, if it comes soon
        facts(page)
    return process_time() - before


@cache
def _honest() -> float:
    return _seconds("<ul>" + "".join(f'<li><a href="/{n}">title</a></li>' for n in range(22_000)))


@pytest.mark.parametrize(
    "page",
    [
        "<li>" * 90_000,
        "<!--" * 90_000,
        "<a " + "b='c' " * 200_000,
        "<p>" + "x" * 3_900_000,
        "<i>" * 90_000,
        ("<?xml" + "x" * 60) * 15_000,
    ],
    ids=["items", "comments", "attributes", "line", "formatting", "declarations"],
)
def test_hostile_markup_costs_no_more_than_a_few_times_what_as_much_honest_markup_does(page: str) -> None:
    assert _seconds(page) < 6 * _honest()
