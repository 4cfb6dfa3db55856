"""Polls and fetches against sites on loopback."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from leakwatch.errors import BadContent, Blocked, EmptyListing, FetchError, Gone, RateLimited, TooLarge, Unreachable
from leakwatch.fetch import Session, Source, Trace, fetch, kinds, poll
from leakwatch.fetch.listing import Facts
from leakwatch.fetch.page import Page
from leakwatch.model import Reference, Via
from tests.unit.fetch.sites import HTML, answer, http_config, site, source

JSON = HTML.replace('"html"', '"json"').replace('"li"', '"pastes"').replace("a@href", "id").replace('"a"', '"id"')
FEED = 'name = "site"\ntitle = "A feed"\nkind = "feed"\n[listing]\nurl = "{base_url}"\n'
LIST = "<ul>" + "".join(f'<li><a href="/{n}">paste {n}</a></li>' for n in range(3)) + "</ul>"


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session(http_config()) as opened:
        yield opened


async def polled(session: Session, body: str | bytes, toml: str = HTML, **headers: str) -> Trace | FetchError:
    """The trace of a poll of a listing with that body, or the error."""
    trace = Trace()
    async with site(answer(body, 200, **headers)) as url:
        try:
            await poll(session, source(url, toml, max_bytes=10_000), None, trace)
        except FetchError as error:
            return error
    return trace


async def test_a_listing_becomes_a_batch(session: Session) -> None:
    async with site(answer(LIST, ETag='"1"', Content_Type="text/html; charset=utf-8")) as url:
        result = await poll(session, source(url))

    assert result.batch.source == "site"
    assert [one.url for one in result.batch.references] == [f"{url}/{n}" for n in range(3)]
    assert [one.title for one in result.batch.references] == ["paste 0", "paste 1", "paste 2"]
    assert result.batch.documents == ()
    assert result.batch.checkpoint is not None
    assert result.batch.checkpoint["etag"] == '"1"'


async def test_the_trace_tells_what_was_met(session: Session) -> None:
    async with site(answer(LIST, Content_Type="text/html; charset=latin-1")) as url:
        trace = (await poll(session, source(url))).trace

    assert (trace.url, trace.status, trace.redirects) == (f"{url}/recent", 200, 0)
    assert (trace.wire, trace.size) == (len(LIST), len(LIST))
    assert (trace.content_type, trace.charset) == ("text/html; charset=latin-1", "iso8859-1")
    assert trace.seconds > 0
    assert trace.listing is not None
    assert trace.listing.hits == {"fields.id": 3, "fields.url": 3, "fields.title": 3}


async def test_a_listing_that_has_not_changed_is_an_empty_batch_and_no_error(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304)
        return web.Response(text=LIST, headers={"ETag": '"1"'})

    async with site(handle) as url:
        first = await poll(session, source(url))
        second = await poll(session, source(url), first.batch.checkpoint)

    assert second.trace.status == 304
    assert second.batch.references == ()
    assert second.batch.checkpoint is None  # stays as it is


async def test_a_site_whose_not_modified_cannot_be_believed_is_not_asked(session: Session) -> None:
    asked: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.headers.get("If-None-Match"))
        return web.Response(text=LIST, headers={"ETag": '"1"'})

    toml = HTML.replace('items = "li"', 'items = "li"\nconditional = false')
    async with site(handle) as url:
        first = await poll(session, source(url, toml))
        await poll(session, source(url, toml), first.batch.checkpoint)
    assert asked == [None, None]


@pytest.mark.parametrize(
    "changed", [HTML.replace('"li"', '"ul li"'), HTML.replace("/recent", "/new"), f'hosts = ["b.example"]\n{HTML}']
)
async def test_a_changed_definition_reads_the_same_page_again(session: Session, changed: str) -> None:
    async with site(answer(LIST, ETag='"1"')) as url:
        checkpoint = (await poll(session, source(url))).batch.checkpoint
    asked: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.headers.get("If-None-Match"))
        return web.Response(text=LIST)

    async with site(handle) as url:
        await poll(session, source(url, changed), checkpoint)
    assert asked == [None]


async def test_documents_that_come_with_the_listing_are_in_the_batch(session: Session) -> None:
    feed = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><content>whole</content></entry>
    <entry><id>2</id><link href="/2"/></entry></feed>"""
    async with site(answer(feed)) as url:
        batch = (await poll(session, source(url, FEED))).batch

    assert [one.text for one in batch.documents] == ["whole"]
    assert [one.url for one in batch.references] == [f"{url}/2"]


@pytest.mark.parametrize(
    ("body", "toml", "says"),
    [
        ("", HTML, "listing.items (li) found nothing in the listing, which looks like an empty page"),
        ("<p>nothing</p>", HTML, "listing.items (li) found nothing in the listing"),
        ("<form><input type=password></form>", HTML, "which looks like a page with a login form"),
        ('{"pastes": []}', JSON, "listing.items (pastes) found nothing"),
        ("<rss/>", FEED, "the feed's reader found nothing"),
    ],
)
async def test_a_listing_in_which_nothing_is_found_is_an_error(
    session: Session, body: str, toml: str, says: str
) -> None:
    error = await polled(session, body, toml)

    assert isinstance(error, EmptyListing), error
    assert says in str(error)
    assert "leakwatch sources test site" in error.mend


async def test_a_listing_that_may_be_empty_may_be(session: Session) -> None:
    toml = HTML.replace('items = "li"', 'items = "li"\nmay_be_empty = true')

    trace = await polled(session, "<ul></ul>", toml)
    assert isinstance(trace, Trace), trace
    assert trace.listing is not None
    assert trace.listing.items == 0


async def test_items_of_which_none_can_be_used_are_an_error_even_then(session: Session) -> None:
    toml = HTML.replace('items = "li"', 'items = "li"\nmay_be_empty = true')
    error = await polled(session, "<li>no link</li>" * 3, toml)

    assert isinstance(error, EmptyListing)
    assert "none of the listing's 3 items can be used" in str(error)
    assert "fields.url (a@href) found nothing in any of 3 items" in str(error)


async def test_a_poll_that_fails_has_filled_its_trace(session: Session) -> None:
    trace = Trace()
    async with site(answer("<li>no link</li>")) as url:
        with pytest.raises(EmptyListing):
            await poll(session, source(url), None, trace)

    assert trace.status == 200
    assert trace.listing is not None
    assert trace.listing.hits["fields.url"] == 0


async def test_a_listing_over_the_cap_is_too_large(session: Session) -> None:
    error = await polled(session, LIST + " " * 10_000)
    assert isinstance(error, TooLarge)
    assert "max_bytes" in error.mend


@pytest.mark.parametrize(
    ("body", "toml"),
    [("<html></html>", JSON), ("[" * 9000, JSON), ("<html></html>", FEED), ("\xff\xfe", FEED)],
    ids=["html for json", "deep json", "html for a feed", "noise"],
)
async def test_a_listing_of_another_kind_is_bad_content(session: Session, body: str, toml: str) -> None:
    error = await polled(session, body.encode("latin-1"), toml)
    assert isinstance(error, BadContent), error


async def test_invalid_utf_8_in_a_listing_hides_nothing_else(session: Session) -> None:
    body = b'<li><a href="/1">\xff\xfe\x80 title</a></li>'
    trace = await polled(session, body, Content_Type="text/html; charset=utf-8")

    assert isinstance(trace, Trace)
    assert trace.listing is not None
    assert trace.listing.references[0].title == "��� title"


async def test_addresses_are_relative_to_where_the_listing_was_found(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/recent":
            return web.Response(status=302, headers={"Location": "/deep/er/list"})
        return web.Response(text='<li><a href="one">x</a></li>', content_type="text/html")

    async with site(handle) as url:
        batch = (await poll(session, source(url))).batch
    assert batch.references[0].url == f"{url}/deep/er/one"


async def test_parsing_is_done_off_the_event_loop(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def items(source: Source, text: str) -> list[Facts]:
        threads.append(threading.get_ident())
        return real(source, text)

    real = kinds.items
    monkeypatch.setattr(kinds, "items", items)
    async with site(answer(LIST)) as url:
        await poll(session, source(url))

    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_what_is_nested_too_deeply_is_bad_content(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_source: Source, _text: str) -> Iterator[Facts]:
        raise RecursionError

    monkeypatch.setattr(kinds, "READERS", {"html": (read, "*/*")})
    error = await polled(session, LIST)
    assert isinstance(error, BadContent)
    assert "nested too deeply" in str(error)


# --- fetch


def references(url: str, *paths: str) -> list[Reference]:
    return [Reference(url=f"{url}/{path}", id=path) for path in paths]


async def pastes(request: web.Request) -> web.Response:
    match request.path:
        case "/gone":
            return web.Response(status=404)
        case "/blocked":
            return web.Response(status=403)
        case "/later":
            return web.Response(status=429, headers={"Retry-After": "600"})
        case "/drop":
            assert request.transport is not None
            request.transport.abort()
    return web.Response(text=f"text of {request.path}")


async def test_references_become_documents_in_their_order(session: Session) -> None:
    async with site(pastes) as url:
        wanted = references(url, *map(str, range(30)))
        fetched = await fetch(session, source(url), wanted)

    assert [one.reference for one in fetched.documents] == wanted
    assert fetched.documents[7].text == "text of /7"
    assert fetched.failures == ()


async def test_one_that_fails_loses_no_other(session: Session) -> None:
    async with site(pastes) as url:
        elsewhere = Reference(url="http://other.example/1", id="elsewhere")
        wanted = [*references(url, "1", "gone", "2", "blocked", "drop", "3"), elsewhere]
        fetched = await fetch(session, source(url), wanted)

    assert [one.reference.id for one in fetched.documents] == ["1", "2", "3"]
    failures = {reference.id: type(error) for reference, error in fetched.failures}
    assert failures["gone"] is Gone
    assert failures["blocked"] is Blocked
    assert failures["drop"] is Unreachable
    assert len(failures) == 4


GATE = "<html><title>Just a moment...</title><h1>Checking your browser</h1></html>"
LOG = "10:00:01 captcha failed\n10:00:02 access denied\n"


async def test_a_gatekeepers_page_is_no_document_and_what_speaks_of_one_is(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        page, kind = {
            "/gate": (GATE, "text/html"),
            "/log": (LOG, "text/plain"),
            "/log.html": (LOG, "text/html"),
            "/source": (GATE, "text/plain"),  # somebody's own page, shown as it is written
        }[request.path]
        return web.Response(text=page, content_type=kind)

    async with site(handle) as url:
        fetched = await fetch(session, source(url), references(url, "log", "gate", "log.html", "source"))
    assert [one.reference.id for one in fetched.documents] == ["log", "log.html", "source"]
    [(gate, error)] = fetched.failures
    assert (gate.id, type(error)) == ("gate", Blocked)


async def test_a_gatekeepers_page_in_place_of_one_that_names_documents_is_blocked(session: Session) -> None:
    fields = '[open.fields]\nid = "a@href"\nurl = "a@href"\n'
    opens = f'[open]\nkind = "html"\nitems = "li"\n{fields}[document]\nopens = "listing"\n'
    async with site(answer(GATE, Content_Type="text/html")) as url:
        wanted = [Reference(url=f"{url}/1", id="1", via=Via.LISTING)]
        [(_, error)] = (await fetch(session, source(url, HTML + opens), wanted)).failures
    assert isinstance(error, Blocked)


async def test_after_a_429_the_rest_is_told_to_wait_without_a_request(session: Session) -> None:
    async with site(pastes) as url:
        fetched = await fetch(session, source(url, concurrency=1), references(url, "1", "later", "2", "3"))

    assert [one.reference.id for one in fetched.documents] == ["1"]
    [(later, error)] = fetched.failures
    assert (later.id, type(error)) == ("later", RateLimited)
    assert [reference.id for reference in fetched.left] == ["2", "3"]
    assert fetched.wait == pytest.approx(error.retry_after, abs=5)


async def test_a_document_over_the_cap_is_cut_and_says_so(session: Session) -> None:
    async with site(answer("x" * 5000)) as url:
        (one,) = (await fetch(session, source(url, max_bytes=1000), references(url, "1"))).documents
    assert one.truncated
    assert one.text == "x" * 1000


async def test_a_page_that_names_documents_is_not_read_in_part(session: Session) -> None:
    opens = '[open]\nkind = "html"\nitems = "li"\n[open.fields]\nurl = "a@href"\n[document]\nopens = "listing"\n'
    async with site(answer(LIST)) as url:
        wanted = [Reference(url=f"{url}/1", id="1", via=Via.LISTING)]
        found = [await fetch(session, source(url, HTML + opens, max_bytes=size), wanted) for size in (50, 1000)]
    assert [len(opened.references) for one in found for opened in one.opened] == [3]
    [(_, error)] = found[0].failures
    assert isinstance(error, TooLarge)


async def test_a_long_document_is_read_whole(session: Session) -> None:
    async with site(answer("é" * 400_000)) as url:
        (one,) = (await fetch(session, source(url), references(url, "1"))).documents
    assert not one.truncated
    assert one.text == "é" * 400_000


async def test_what_nobody_foresaw_is_a_failure_of_that_one_document(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = session.get

    async def odd(url: str, *, source: Source, **more: Any) -> Page:
        if url.endswith("/2"):
            message = "a bug about sk-s3cret"
            raise KeyError(message)
        return await get(url, source=source, **more)

    monkeypatch.setattr(session, "get", odd)
    async with site(pastes) as url:
        fetched = await fetch(session, source(url), references(url, "1", "2", "3"))

    assert [one.reference.id for one in fetched.documents] == ["1", "3"]
    ((_, error),) = fetched.failures
    assert isinstance(error, Unreachable)
    assert "KeyError" in str(error)
    assert "s3cret" not in str(error)


async def test_no_more_are_fetched_at_once_than_the_source_allows(session: Session) -> None:
    active = most = 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.005)
        active -= 1
        return web.Response()

    async with site(slow) as url:
        watched = source(url, concurrency=3)
        await asyncio.gather(*(fetch(session, watched, references(url, *map(str, range(9)))) for _ in range(3)))
    assert most == 3


async def test_being_cancelled_passes(session: Session) -> None:
    started = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        started.set()
        await asyncio.sleep(10)
        return web.Response()

    async with site(slow) as url:
        task = asyncio.create_task(fetch(session, source(url), references(url, "1", "2")))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_nothing_to_fetch_is_nothing_fetched(session: Session) -> None:
    fetched = await fetch(session, source("http://127.0.0.1:1"), [])
    assert (fetched.documents, fetched.failures) == ((), ())
