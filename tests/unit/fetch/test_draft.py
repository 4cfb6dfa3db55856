"""Drafts of definitions: what a page seems to be, and that what is drafted reads it."""

import json
import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.definitions import Definition
from leakwatch.errors import EmptyListing
from leakwatch.fetch import Source, parse
from leakwatch.fetch.draft import draft
from leakwatch.fetch.recording import quoted, sample
from leakwatch.toml import parse as parse_toml
from leakwatch.units import Rate

URL = "https://paste.example/recent"
NAV = '<nav><a href="/">home</a><a href="/about">about</a><a href="/login">login</a><a href="/faq">faq</a></nav>'
BLANK = '[[sample]]\norigin = "constructed"\nsource = "x"\nbody = ""\nexpect = []\n'


def drafted(text: str, url: str = URL) -> tuple[str, Source]:
    """The kind, and a source that reads the page by the draft."""
    found = draft(text, url)
    definition = parse_toml(f"{found.toml('paste')}\n{BLANK}", Definition, file="paste.toml")
    facts = {"every": 60.0, "rate": Rate(1, 1.0), "concurrency": 1, "max_bytes": 10**7}
    return found.kind, Source(name="paste", definition=definition, base_url=definition.base_url, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rows",
    [
        '<table class="list">{}</table>|<tr><td><a href="/aB3x{n}">paste {n}</a></td><td>text</td></tr>',
        '<ul class="recent">{}</ul>|<li class="item"><span>x</span><a class="t" href="/p/{n}">paste {n}</a></li>',
        "<div>{}</div>|<article><a href='/p/{n}'>paste {n}</a><time datetime='2026-11-2{n}'>x</time></article>",
        '<div class="all">{}</div>|<a href="/{n}">paste {n}</a>',
    ],
    ids=["table", "list", "articles", "bare links"],
)
def test_the_items_of_a_page_are_found(rows: str) -> None:
    around, row = rows.split("|")
    page = f"<html><body>{NAV}{around.format(''.join(row.format(n=n) for n in range(1, 7)))}</body></html>"
    kind, source = drafted(page)
    listing = parse(source, page, URL)
    assert kind == "html"
    assert [r.title for r in listing.references] == [f"paste {n}" for n in range(1, 7)]
    if "datetime" in row:
        assert all(r.published_at for r in listing.references)


def test_a_json_answer_is_read_by_the_names_of_its_fields() -> None:
    body = json.dumps({"meta": {"n": 2}, "data": {"pastes": [
        {"id": 7, "web_url": "/p/7", "title": "one", "user": {"name": "ada"}, "created_at": "2026-11-23T00:00:00Z"},
        {"id": 8, "web_url": "/p/8", "title": "two", "user": {"name": "ada"}, "created_at": "2026-11-23T00:00:00Z"},
    ]}})  # fmt: skip
    kind, source = drafted(body)
    found = parse(source, body, URL).references
    assert kind == "json"
    assert [(r.id, r.title, r.author) for r in found] == [("7", "one", "ada"), ("8", "two", "ada")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<rss><channel><item><link>https://paste.example/1</link></item></channel></rss>", "feed"),
        ('<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id></entry></feed>', "feed"),
        ('<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"></urlset>', "sitemap"),
        ('<html><link rel="alternate" type="application/rss+xml" href="/rss"><p>nothing else</p></html>', "feed"),
    ],
)
def test_feeds_and_sitemaps_are_known_by_their_root(body: str, kind: str) -> None:
    assert draft(body, URL).kind == kind


def test_a_feed_that_a_page_names_is_told() -> None:
    links = "".join(f'<li><a href="/p/{n}">paste {n}</a></li>' for n in range(5))
    page = f'<html><link rel="alternate" type="application/atom+xml" href="/atom"><ul>{links}</ul></html>'
    assert "leakwatch sources new https://paste.example/atom" in draft(page, URL).toml("paste")


@pytest.mark.parametrize("body", ["", "{}", "[1, 2]", "<html><p>hello</p></html>", "{" * 5000, "<" * 200_000])
def test_what_is_no_listing_is_told(body: str) -> None:
    with pytest.raises(EmptyListing, match=r"nothing at paste\.example looks like a listing"):
        draft(body, URL)


@given(st.text(max_size=200))
def test_any_text_can_stand_in_a_definition(text: str) -> None:
    assert tomllib.loads(f"a = {quoted(text)}")["a"] in (text, text.replace("\r\n", "\n"))


def test_a_recording_is_a_sample_that_holds_and_no_key() -> None:
    page = "<ul>" + "".join(f'<li><a href="/p/{n}">paste {n} SECRET</a></li>' for n in range(7)) + "</ul>"
    _, source = drafted(page)
    text = sample(source, page, lambda t: t.replace("SECRET", "…"), day=date(2026, 11, 25), url="GET /recent")
    assert "SECRET" not in text
    [recorded] = tomllib.loads(text)["sample"]
    assert recorded["origin"] == "recorded"
    assert [one["id"] for one in recorded["expect"]] == [f"/p/{n}" for n in range(7)]
    assert recorded["expect"][0]["title"] == "paste 0 …"
