from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leakwatch.fetch import listing as module
from leakwatch.fetch.listing import Facts, Listing, appearance, gather, moment
from leakwatch.fetch.source import Source
from leakwatch.model import Document, Reference
from tests.unit.fetch.sites import HTML, source

BASE = "https://paste.example"
LISTING = f"{BASE}/recent?page=1"


def gathered(*items: Facts, watched: Source | None = None) -> Listing:
    return gather(watched or source(BASE), items, LISTING)


def reference(*items: Facts, watched: Source | None = None) -> Reference:
    (one,) = gathered(*items, watched=watched).references
    return one


def templated(document: str) -> Source:
    return source(BASE, f"{HTML}[document]\n{document}\n")


@pytest.mark.parametrize(
    ("address", "absolute"),
    [
        ("/raw/1", f"{BASE}/raw/1"),
        ("raw/1", f"{BASE}/raw/1"),
        ("?id=1", f"{BASE}/recent?id=1"),
        ("//paste.example/1", f"{BASE}/1"),
        (f"{BASE}/1#line-3", f"{BASE}/1"),
        ("https://user:password@paste.example/1", f"{BASE}/1"),
        (" /a b ", f"{BASE}/a%20b"),
        ("/%2e%2e/x", f"{BASE}/x"),
        ("http://paste.example/1", "http://paste.example/1"),
    ],
)
def test_an_address_is_made_absolute_without_fragment_and_user(address: str, absolute: str) -> None:
    assert reference({"url": address}).url == absolute


@pytest.mark.parametrize(
    "address",
    [
        "https://other.example/1",
        "https://paste.example.evil.example/1",
        "https://paste.example:8443/1",
        "//evil.example",
    ],
)
def test_an_item_on_a_strangers_host_is_noted_and_left_out(address: str) -> None:
    found = gathered({"id": "1", "url": address}, {"id": "2", "url": "/2"})

    assert [one.id for one in found.references] == ["2"]
    assert found.notes[0].startswith("an item lies on a host that is not the source's")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/plain,x", "file:///etc/passwd", "http://[", ""])
def test_what_is_no_web_address_is_noted_and_left_out(address: str) -> None:
    found = gathered({"id": "1", "url": address})

    assert found.references == ()
    assert found.notes[0].startswith("an item has no address to fetch")


def test_the_definitions_other_hosts_are_allowed() -> None:
    watched = source(BASE, f'hosts = ["raw.example", "cdn.example:8443"]\n{HTML}')

    urls = ["https://raw.example/1", "http://raw.example/2", "https://cdn.example:8443/3"]
    assert [one.url for one in gathered(*({"url": url} for url in urls), watched=watched).references] == urls


def test_a_template_makes_the_address_from_facts_that_are_quoted() -> None:
    watched = templated('url = "{base_url}/raw/{id}"\npage = "{base_url}/{id}"')

    assert reference({"id": "a/b"}, watched=watched).url == f"{BASE}/raw/a/b"
    assert reference({"id": "a?b#c d%"}, watched=watched).url == f"{BASE}/raw/a%3Fb%23c%20d%25"
    assert reference({"id": "7"}, watched=watched).shown_url == f"{BASE}/7"


def test_a_template_can_build_on_the_items_own_address() -> None:
    watched = templated('url = "{url}/+inline"\npage = "{url}"')

    one = reference({"url": "/x?a=1"}, watched=watched)
    assert (one.page, one.id) == (f"{BASE}/x?a=1", f"{BASE}/x?a=1")


def test_a_template_without_a_fact_that_it_needs_makes_no_address() -> None:
    watched = templated('url = "{base_url}/raw/{id}"\npage = "{base_url}/by/{author}"')
    found = gathered({"url": "/1", "id": "1"}, {"url": "/2"}, watched=watched)

    assert [(one.url, one.page) for one in found.references] == [(f"{BASE}/raw/1", "")]
    assert found.notes[0].startswith("an item has no address to fetch, or not all that its template needs")


def test_a_template_cannot_be_led_elsewhere_by_a_fact() -> None:
    watched = templated('url = "{id}"')

    assert gathered({"id": "https://other.example/"}, watched=watched).references == ()


def test_facts_become_the_reference() -> None:
    facts = {
        "id": "7",
        "version": "2",
        "url": "/7",
        "title": "a title",
        "author": "ada",
        "path": "a/b.env",
        "published_at": "2026-11-23T22:44:36Z",
    }
    assert reference(facts) == Reference(
        url=f"{BASE}/7",
        id="7",
        version="2",
        title="a title",
        author="ada",
        path="a/b.env",
        published_at=datetime(2026, 11, 23, 22, 44, 36, tzinfo=UTC),
    )


def test_an_item_with_its_text_is_a_document_wherever_it_lies() -> None:
    found = gathered({"id": "1", "url": "https://other.example/1", "text": "  all of it\n"})

    assert found.documents == (
        Document(reference=Reference(url="https://other.example/1", id="1"), text="  all of it\n"),
    )


def test_of_what_cannot_be_fetched_the_summary_is_taken() -> None:
    found = gathered(
        {"id": "1", "url": "https://other.example/1", "summary": "seen"},
        {"id": "2", "url": "/2", "summary": "not needed"},
        {"title": "neither id nor address", "summary": "seen too"},
    )

    assert [one.text for one in found.documents] == ["seen", "seen too"]
    assert [one.id for one in found.references] == ["2"]
    assert found.documents[1].reference.url == LISTING
    assert len(found.documents[1].reference.id) == 32


def test_a_document_listed_twice_counts_once_but_not_its_versions() -> None:
    found = gathered(
        {"id": "1", "url": "/1", "version": "a"},
        {"id": "1", "url": "/1", "version": "a"},
        {"id": "1", "url": "/1", "version": "b"},
    )

    assert [one.version for one in found.references] == ["a", "b"]
    assert found.notes[0] == "the same document is listed twice"


def test_an_empty_item_is_noted_and_the_others_are_kept() -> None:
    found = gathered({}, {"url": "/1"}, {})

    assert len(found.references) == 1
    assert found.items == 3
    assert found.notes[0] == "an item is empty (2 times)"


def test_a_field_that_was_found_nowhere_is_noted_with_its_selector() -> None:
    found = gathered({"url": "/1", "id": "1"}, {"url": "/2", "id": "2"})

    assert found.hits == {"fields.id": 2, "fields.url": 2, "fields.title": 0}
    assert found.notes == ("fields.title (a) found nothing in any of 2 items",)


def test_a_listing_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ITEMS", 3)

    assert gathered(*({"url": f"/{n}", "title": "t", "id": str(n)} for n in range(3))).notes == ()
    found = gathered(*({"url": f"/{n}", "title": "t", "id": str(n)} for n in range(5)))
    assert (found.items, len(found.references)) == (3, 3)
    assert found.notes == ("the listing has more than 3 items: the rest was not read",)


def test_no_note_repeats_a_strangers_words() -> None:
    found = gathered(
        {"id": "sk-s3cret", "url": "https://sk-s3cret.example/"},
        {"id": "sk-s3cret", "url": "sk-s3cret:x"},
        {"id": "sk-s3cret", "url": "/1"},
        {"id": "sk-s3cret", "url": "/1"},
    )
    assert found.notes
    assert "s3cret" not in " ".join(found.notes)


_ANYTHING = st.text(st.characters(), max_size=40)  # half a surrogate pair too: JSON can hold it


@given(st.dictionaries(st.sampled_from(["id", "url", "title", "published_at", "summary"]), _ANYTHING))
def test_whatever_an_item_says_it_is_used_or_noted(facts: dict[str, str]) -> None:
    found = gathered(facts)

    assert len(found.documents) + len(found.references) == 1 or found.notes
    for one in found.references:
        assert one.url.startswith(("https://paste.example", "http://paste.example"))


def test_half_a_character_in_a_fact_hides_neither_its_item_nor_another() -> None:
    watched = templated('url = "{base_url}/raw/{id}"\npage = "{base_url}/{title}"')
    found = gathered({"id": "1", "title": "\ud800"}, {"id": "\udfff", "author": "\ud800"}, {"id": "3"}, watched=watched)

    assert [one.url for one in found.references] == [f"{BASE}/raw/1", f"{BASE}/raw/%3F", f"{BASE}/raw/3"]
    assert found.references[0].page == f"{BASE}/%3F"


def test_an_item_that_breaks_what_reads_it_is_noted_and_the_others_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = module.absolute

    def breaks(address: str, base: str) -> str:
        if address == "/1":
            raise ZeroDivisionError(address)
        return whole(address, base)

    monkeypatch.setattr(module, "absolute", breaks)
    found = gathered({"id": "1", "url": "/1"}, {"id": "2", "url": "/2"})

    assert [one.id for one in found.references] == ["2"]
    assert found.notes[0] == "an item could not be read (ZeroDivisionError): a bug, please report it"


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-23T22:44:36Z", "2026-11-23T22:44:36+00:00"),
        ("2026-11-23T22:44:36.123456789+01:00", "2026-11-23T21:44:36+00:00"),
        ("2026-11-23 22:44", "2026-11-23T22:44:00+00:00"),
        ("2026-11-23 22:44:36 UTC", "2026-11-23T22:44:36+00:00"),
        ("2026-11-23T22:44:36-0530", "2026-11-24T04:14:36+00:00"),
        ("2026-11-23", "2026-11-23T00:00:00+00:00"),
        ("uploaded 2026-11-23 22:44:36 never downloaded", "2026-11-23T22:44:36+00:00"),
        ("Mon, 23 Nov 2026 22:44:36 GMT", "2026-11-23T22:44:36+00:00"),
        ("Mon, 23 Nov 2026 22:44:36 +0100", "2026-11-23T21:44:36+00:00"),
        ("23 Nov 2026 22:44:36", "2026-11-23T22:44:36+00:00"),
        ("1795473876", "2026-11-23T22:44:36+00:00"),
        ("1795473876.25", "2026-11-23T22:44:36.250000+00:00"),
        ("1795473876500", "2026-11-23T22:44:36.500000+00:00"),
    ],
)
def test_a_time_is_read_in_any_usual_form(text: str, iso: str) -> None:
    assert moment(text) == datetime.fromisoformat(iso)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3 minutes ago", 180),
        ("about 1 hour, 5 mins ago", 3900),
        ("2h ago", 7200),
        ("1 day and 2 hours ago", 93_600),
        ("a month ago", 2_592_000),
        ("Posted 30 sec. ago.", 30),
        ("just now", 0),
        ("less than a minute ago", 0),
    ],
)
def test_a_time_can_be_so_long_ago(text: str, seconds: int) -> None:
    found = moment(text)
    assert found is not None
    assert abs((datetime.now(UTC) - found).total_seconds() - seconds) < 20


_BEYOND = [
    "Fri, 31 Dec 9999 23:59:59 -1200",
    "9999-12-31T23:59:59-12:00",
    "5 \u017f ago",
]


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13-45", "12", "9" * 30, "2026-11-23T99:99:99Z", "ages ago", "999999 years ago", *_BEYOND],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert moment(text) is None


def _mixed(*words: str) -> st.SearchStrategy[str]:
    """What looks like a time, in any order, with anything between."""
    parts = st.sampled_from(words) | st.integers(0, 99999).map(str) | st.text(st.characters(), max_size=3)
    return st.lists(parts, max_size=12).map(" ".join)


_YEARS = st.sampled_from([0, 1, 9999]) | st.integers(0, 9999)  # at the edges a zone leads out of the calendar
_ZONES = st.integers(-9999, 9999).map("{:+05d}".format)
_RFC = st.builds("{0:%a, %d %b} {1:04d} {0:%H:%M:%S} {2}".format, st.datetimes(), _YEARS, _ZONES)
_ISO = st.builds("{1:04d}-{0:%m-%dT%H:%M:%S}{2}".format, st.datetimes(), _YEARS, _ZONES)
_WORDS = _mixed(
    "ago", "min", "\u017f", "\u0663", "\u00b2", "Dec", "GMT", "-1200", ":", ",", "1795473876", "T", "just now"
)


@given(_RFC | _ISO | _WORDS | st.text(st.characters(), max_size=60) | st.integers().map(str) | st.datetimes().map(str))
@example("Fri, 31 Dec 9999 23:59:59 -1200")
def test_a_time_is_always_in_utc_or_none_and_never_an_error(text: str) -> None:
    at = moment(text)
    assert at is None or at.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("", "an empty page"),
        (" \n", "an empty page"),
        ("<form><input type='password'></form>", "a page with a login form"),
        ("<title>Just a moment...</title>", "a bot check"),
        ("<p>Please enable JavaScript</p>", "a page that needs JavaScript"),
        ("<!DOCTYPE html><html></html>", "HTML"),
        ("{}", ""),
        ("words", ""),
    ],
)
def test_a_page_that_is_not_what_we_came_for_is_described(text: str, looks: str) -> None:
    assert appearance(text) == looks


def test_of_a_fact_is_kept_what_the_definition_cuts_out() -> None:
    watched = source(
        BASE, HTML + '[cut]\nid = "urn:([0-9]+)"\ntitle = "^(?:Re: )?(.*)"\n[document]\nurl = "/raw/{id}"\n'
    )
    one = reference({"id": "urn:42;v=1", "url": "/x", "title": "Re: Hello"}, watched=watched)

    assert (one.id, one.url, one.title) == ("42", f"{BASE}/raw/42", "Hello")


def test_a_fact_that_is_not_as_the_cut_says_is_absent_and_told() -> None:
    watched = source(BASE, f'{HTML}[cut]\nid = "urn:([0-9]+)"\nversion = "()"\n')
    found = gathered({"id": "42", "url": "/x", "version": "7"}, watched=watched)

    assert [(one.id, one.version) for one in found.references] == [(f"{BASE}/x", "")]
    assert found.hits["fields.id"] == 0
