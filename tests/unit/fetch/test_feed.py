"""Feeds: what RSS and Atom say, what real ones get wrong, and what attacks try."""

from pathlib import Path
from time import process_time

import pytest

from leakwatch.errors import BadContent, Blocked
from leakwatch.fetch.feed import read
from leakwatch.fetch.listing import Facts
from tests.unit.fetch.sites import source

FEED = """
name = "site"
title = "A feed"
kind = "feed"
[listing]
url = "{base_url}"
"""
LINKED = f"""{FEED}
[document]
url = "{{url}}"
"""


def facts(text: str, toml: str = FEED) -> list[Facts]:
    return list(read(source("https://blog.example/feed", toml), text))


def rss(items: str, prologue: str = "") -> str:
    return f'<?xml version="1.0"?>{prologue}<rss version="2.0"><channel><title>t</title>{items}</channel></rss>'


def item(description: str) -> str:
    return f"<item><title>x</title><link>/1</link><description>{description}</description></item>"


def test_rss_1_has_its_items_beside_the_channel() -> None:
    feed = """<?xml version="1.0"?>
    <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
             xmlns:dc="http://purl.org/dc/elements/1.1/">
      <channel rdf:about="https://blog.example/"><title>t</title></channel>
      <item rdf:about="https://blog.example/1"><title>one</title><link>https://blog.example/1</link>
        <dc:creator>ada</dc:creator><dc:date>2026-11-23</dc:date></item>
    </rdf:RDF>"""

    assert facts(feed) == [
        {"url": "https://blog.example/1", "title": "one", "author": "ada", "published_at": "2026-11-23"}
    ]


def test_a_guid_is_a_link_only_where_it_says_so() -> None:
    items = """
    <item><guid>https://blog.example/1</guid></item>
    <item><guid isPermaLink="false">https://blog.example/2</guid></item>
    <item><guid>tag:3</guid></item>"""

    assert facts(rss(items)) == [
        {"id": "https://blog.example/1", "url": "https://blog.example/1"},
        {"id": "https://blog.example/2"},
        {"id": "tag:3"},
    ]


def test_of_another_namespace_only_what_the_definition_names_is_taken() -> None:
    feed = """<rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/" xmlns:a="http://www.w3.org/2005/Atom">
    <channel><item><media:title>not the title</media:title><title>the title</title>
    <a:link rel="self" href="/self"/><link>/1</link></item></channel></rss>"""

    assert facts(feed) == [{"url": "/1", "title": "the title"}]
    assert facts(feed, FEED + '[fields]\ntitle = "media:title"\n')[0]["title"] == "not the title"


def test_everything_that_an_entry_shows_is_in_its_text() -> None:
    feed = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id>
    <summary>in short</summary><content type="text">at length</content></entry></feed>"""

    assert facts(feed)[0]["text"] == "at length\n\nin short"


def test_where_the_definition_names_the_place_no_text_is_taken() -> None:
    feed = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><content>here</content></entry></feed>'

    assert facts(feed)[0]["text"] == "here"
    assert "text" not in facts(feed, LINKED)[0]


def test_markup_attributes_and_comments_in_content_are_kept() -> None:
    feed = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id>
    <content type="xhtml"><div title="one"><!-- two --><script>three</script></div></content></entry></feed>"""

    text = facts(feed)[0]["text"]
    assert all(word in text for word in ("one", "two", "three"))


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("a & b", "a & b"),
        ("?x=1&y=2&copy=3", "?x=1&y=2&copy=3"),
        ("a&nbsp;b &undefined; c &lt;d&gt; &amp; &#233; &#xE9;", "a&nbsp;b &undefined; c <d> & é é"),
        ("<![CDATA[a & b &amp; <c>]]> & d", "a & b &amp; <c> & d"),
        ("a\x01b\x0cc", "a\ufffdb\ufffdc"),
        ("naïve 漢", "naïve 漢"),
    ],
)
def test_what_real_feeds_get_wrong_loses_nothing(written: str, read_as: str) -> None:
    found = facts(rss(item(written) + item("next")))

    assert found[0]["summary"] == read_as
    assert found[1]["summary"] == "next"


@pytest.mark.parametrize("broken", ["<b>unclosed", "</b>closed twice", "a < b", "<1>", "<a b=c>"])
def test_an_entry_that_is_not_well_formed_does_not_hide_the_next(broken: str) -> None:
    assert "next" in [one.get("summary") for one in facts(rss(item(broken) + item("next")))]


def test_leading_blanks_and_a_wrong_encoding_are_forgiven() -> None:
    feed = rss(item("é")).replace("?>", ' encoding="utf-16"?>', 1)
    assert facts(f"\n \ufeff{feed}".replace("\ufeff", ""))[0]["summary"] == "é"


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("", "an empty page"),
        ("{}", ""),
        ("<?xml version='1.0'?><sitemap/>", ""),
        ("&" * 1000, ""),
    ],
)
def test_what_is_no_feed_is_bad_content_and_described(text: str, looks: str) -> None:
    with pytest.raises(BadContent, match="is not a feed") as caught:
        facts(text)
    assert looks in str(caught.value)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("<html><body>Just a moment...</body></html>", "a bot check"),
        ("<!doctype html><html><input type=password></html>", "a page with a login form"),
    ],
)
def test_a_gatekeepers_page_is_blocked(text: str, looks: str) -> None:
    with pytest.raises(Blocked, match=f"instead of the listing there is {looks}"):
        facts(text)


# --- attacks

LAUGHS = "<!DOCTYPE rss [<!ENTITY a0 'lol'>{}]>".format(
    "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text("s3cret")
    return f"file://{path}"


def test_an_external_entity_is_not_read(secret: str) -> None:
    for declared in (f"<!ENTITY x SYSTEM '{secret}'>", f"<!ENTITY % p SYSTEM '{secret}'> %p;"):
        found = facts(rss(item("[&x;]"), f"<!DOCTYPE rss [{declared}]>"))
        assert [one["summary"] for one in found] == ["[&x;]"]


def test_an_external_dtd_and_an_inclusion_are_not_read(secret: str) -> None:
    inclusion = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{secret}" parse="text"/>'
    assert "s3cret" not in str(facts(rss(item(inclusion), f"<!DOCTYPE rss SYSTEM '{secret}'>")))


@pytest.mark.parametrize(
    "feed",
    [
        rss(item("&a9;") + item("next"), LAUGHS),
        rss(item("&a;" * 20_000), f"<!DOCTYPE rss [<!ENTITY a '{'A' * 20_000}'>]>"),
        rss(item("<a>" * 300_000)),
        rss(item("<a>" * 100_000 + "</a>" * 100_000)),
        rss(item("<" * 1_000_000)),
        rss(item("&" * 1_000_000)),
        rss(item("<![CDATA[" * 100_000)),
        rss(item("<a " + "b='c' " * 200_000)),
        rss(item("<a " + " ".join(f"b{n}='c'" for n in range(200_000)) + "/>")),
        rss("".join(f"<a{n} xmlns:n{n}='urn:{n}'>" for n in range(50_000))),
        rss(item("x" * 9_000_000)),
        rss(item("x") * 50_000),
        rss("<?" * 200_000),
        "<!DOCTYPE rss [" + "<!ENTITY x 'y'>" * 100_000,
        "<!--" * 200_000,
    ],
    ids=[
        "billion laughs",
        "quadratic",
        "deep",
        "deep and closed",
        "brackets",
        "ampersands",
        "cdata",
        "one attribute",
        "attributes",
        "namespaces",
        "line",
        "items",
        "instructions",
        "declarations",
        "comments",
    ],
)
def test_an_attack_takes_seconds_at_most_and_expands_nothing(feed: str) -> None:
    before = process_time()
    try:
        found = facts(feed)
    except BadContent:
        found = []
    assert process_time() - before < 10
    assert sum(len(text) for one in found for text in one.values()) < 3 * len(feed)
