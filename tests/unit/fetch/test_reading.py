"""Listings of more than one page, listings of listings, and numbers to walk: what one poll reads, and where it ends."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from leakwatch.errors import BadContent, Blocked, EmptyListing, Gone, RateLimited
from leakwatch.fetch import Poll, Session, Source, Trace, poll
from leakwatch.fetch.listing import Tally
from leakwatch.model import Checkpoint
from tests.unit.fetch.sites import HTML, answer, http_config, site, source

JSON = """
name = "site"
title = "A site"
kind = "json"
[parameters]
board = "g"
[listing]
url = "{base_url}/list?page={page}"
items = "items"
may_be_empty = true
[fields]
id = "id"
url = "id"
"""
NUMBERED = JSON.replace("[fields]", '[listing.pages]\nby = "number"\nmost = 4\n[fields]')
CURSOR = JSON.replace("?page={page}", "").replace(
    "[fields]", '[listing.pages]\nby = "cursor"\nurl = "{base_url}/list?after={cursor}"\ncursor = "next"\n[fields]'
)
LINKED = JSON.replace("?page={page}", "").replace("[fields]", '[listing.pages]\nby = "link"\n[fields]')


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session(http_config()) as opened:
        yield opened


class Numbered:
    """A site with so many items, the newest first, ten on a page."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[str] = []
        self.fails_at: dict[str, int] = {}

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if status := self.fails_at.get(request.path_qs):
            return web.Response(status=status)
        page = int(request.query.get("page") or 1)
        top = self.count - 10 * (page - 1)
        return web.json_response({"items": [{"id": str(n)} for n in range(top, max(0, top - 10), -1)]})


def ids(polled: Poll) -> list[str]:
    return [r.id for r in polled.batch.references]


async def test_pages_are_read_until_what_the_last_poll_saw(session: Session) -> None:
    pastes = Numbered(15)
    async with site(pastes) as url:
        first = await poll(session, source(url, NUMBERED))
        assert ids(first) == [str(n) for n in range(15, 0, -1)]
        pastes.count, pastes.asked = 27, []
        second = await poll(session, source(url, NUMBERED), first.batch.checkpoint)
    assert set(ids(second)) >= {str(n) for n in range(16, 28)}
    assert pastes.asked == ["/list?page=1", "/list?page=2"]
    assert not second.trace.gap
    assert [step.items for step in second.trace.steps] == [10, 10]


async def test_of_an_endless_listing_so_many_pages_are_read_and_a_gap_is_told(session: Session) -> None:
    pastes = Numbered(1000)
    async with site(pastes) as url:
        first = await poll(session, source(url, NUMBERED))
        assert (len(ids(first)), first.trace.gap) == (40, False)  # the backlog of a site is no gap
        pastes.count, pastes.asked = 2000, []
        second = await poll(session, source(url, NUMBERED), first.batch.checkpoint)
    assert len(pastes.asked) == 4
    assert second.trace.gap


async def test_a_first_poll_that_skips_the_backlog_reads_one_page(session: Session) -> None:
    pastes = Numbered(1000)
    async with site(pastes) as url:
        await poll(session, source(url, NUMBERED, backlog="skip"))
    assert pastes.asked == ["/list?page=1"]


async def test_a_page_that_fails_is_looked_for_again(session: Session) -> None:
    pastes = Numbered(5)
    async with site(pastes) as url:
        first = await poll(session, source(url, NUMBERED))
        pastes.count, pastes.fails_at = 28, {"/list?page=2": 500}
        broken = await poll(session, source(url, NUMBERED), first.batch.checkpoint)
        assert broken.trace.listing is not None
        assert broken.trace.listing.notes == ("a further page could not be had (server_fault)",)
        assert ids(broken) == [str(n) for n in range(28, 18, -1)]
        pastes.fails_at = {}
        again = await poll(session, source(url, NUMBERED), broken.batch.checkpoint)
    assert set(ids(again)) >= {str(n) for n in range(6, 29)}


@pytest.mark.parametrize("past_the_end", ["empty", "the last page again", "404"])
async def test_the_last_page_ends_it_whatever_the_site_shows_behind_it(session: Session, past_the_end: str) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.query["page"])
        page = int(request.query["page"])
        if page > 2 and past_the_end == "404":
            return web.Response(status=404)
        shown = 2 if past_the_end == "the last page again" else page
        return web.json_response({"items": [{"id": f"{min(page, shown)}"}] if shown <= 2 else []})

    async with site(handle) as url:
        polled = await poll(session, source(url, NUMBERED))
    assert ids(polled) == ["1", "2"]
    assert asked == ["1", "2", "3"]
    assert polled.trace.listing is not None
    assert polled.trace.listing.notes == ()


def circle(step: Callable[[int], str], total: int = 3) -> Any:
    """A listing whose pages lead round and round: `step` says what page n calls the next one."""

    async def handle(request: web.Request) -> web.Response:
        number = int((request.query.get("after") or "0").rpartition("-")[2])
        return web.json_response({"items": [{"id": str(number % total)}], "next": step(number)})

    return handle


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda n: f"x-{(n + 1) % 3}", id="back to the first"),
        pytest.param(lambda n: f"x-{n}", id="the page itself"),
    ],
)
async def test_cursors_that_go_in_a_circle_end_and_are_told(session: Session, step: Callable[[int], str]) -> None:
    toml = CURSOR.replace('cursor = "next"', 'cursor = "next"\nmost = 100')
    async with site(circle(step)) as url:
        polled = await poll(session, source(url, toml))
    assert len(polled.trace.steps) <= 4
    assert polled.trace.listing is not None
    assert polled.trace.listing.notes == ("the listing's pages go in a circle: the rest was not read",)


async def test_ever_new_cursors_to_ever_new_items_are_bounded(session: Session) -> None:
    async with site(circle(lambda n: f"x-{n + 1}", total=10**9)) as url:
        polled = await poll(session, source(url, CURSOR))
    assert len(polled.trace.steps) == 5


async def test_a_cursor_is_quoted_and_goes_where_the_definition_says(session: Session) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        more = {"next": "a&admin=1#/../?b=é"} if len(asked) == 1 else {}
        return web.json_response({"items": [{"id": str(len(asked))}], **more})

    async with site(handle) as url:
        await poll(session, source(url, CURSOR))
    assert asked == ["/list", "/list?after=a%26admin%3D1%23/../?b%3D%C3%A9"]


async def test_a_link_header_is_followed_within_the_sources_own_hosts(session: Session) -> None:
    asked: list[str] = []
    links = ['</list/2>; rel="next"', '<http://evil.example/3>; rel="next"']

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"items": [{"id": str(len(asked))}]}, headers={"Link": links[len(asked) - 1]})

    async with site(handle) as url:
        polled = await poll(session, source(url, LINKED))
    assert asked == ["/list", "/list/2"]
    assert polled.trace.listing is not None
    assert polled.trace.listing.notes == ("a further page could not be had (bad_redirect)",)


@pytest.mark.parametrize(("order", "pages"), [("oldest_first", 1), ("none", 3)])
async def test_a_listing_can_stand_in_another_order(session: Session, order: str, pages: int) -> None:
    """The oldest above: then the first item of a page says whether the one before it was seen."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.query["page"])
        page = int(request.query["page"])
        return web.json_response({"items": [{"id": str(n)} for n in range(100 - 10 * page, 110 - 10 * page)]})

    toml = NUMBERED.replace("may_be_empty = true", f'may_be_empty = true\norder = "{order}"').replace("4", "3")
    async with site(handle) as url:
        first = await poll(session, source(url, toml))
        asked.clear()
        second = await poll(session, source(url, toml), first.batch.checkpoint)
    assert len(asked) == pages
    assert not second.trace.gap


async def test_a_link_in_the_page_is_followed(session: Session) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        more = '<a class="next" href="/older">older</a>' if len(asked) == 1 else ""
        return web.Response(text=f'<ul><li><a href="/{len(asked)}">x</a></li></ul>{more}', content_type="text/html")

    toml = HTML.replace("[fields]", '[listing.pages]\nby = "link"\ncursor = "a.next@href"\n[fields]')
    async with site(handle) as url:
        await poll(session, source(url, toml))
    assert asked == ["/recent", "/older"]


# --- gaps


async def test_of_a_feed_of_which_little_is_read_every_page_is_and_a_gap_is_told_by_all_that_it_has(
    session: Session,
) -> None:
    numbered = Numbered(30)
    toml = NUMBERED.replace('items = "items"', "items = \"items[?id=='1' || id=='45']\"\nmarks = \"items[].id\"")
    async with site(numbered) as url:
        at = source(url, toml)
        first = await poll(session, at)
        assert (ids(first), first.trace.gap) == (["1"], False)  # it stands on the last page
        numbered.count = 45
        second = await poll(session, at, first.batch.checkpoint)
        assert (ids(second), second.trace.gap) == (["45"], False)
        third = await poll(session, at, second.batch.checkpoint)
        assert (ids(third), third.trace.gap, len(third.trace.steps)) == (["45"], False, 1)
        numbered.count = 900
        fourth = await poll(session, at, third.batch.checkpoint)
        assert (ids(fourth), fourth.trace.gap) == ([], True)


async def test_a_listing_that_shares_nothing_with_the_last_is_a_gap(session: Session) -> None:
    pastes = Numbered(10)
    toml = JSON.replace("?page={page}", "")
    async with site(pastes) as url:
        first = await poll(session, source(url, toml))
        pastes.count = 19
        second = await poll(session, source(url, toml), first.batch.checkpoint)
        assert not second.trace.gap
        pastes.count = 29
        third = await poll(session, source(url, toml), second.batch.checkpoint)
        assert third.trace.gap
        fourth = await poll(session, source(url, toml), third.batch.checkpoint)
        assert not fourth.trace.gap


# --- the event loop


@pytest.mark.parametrize("toml", ["pages", "walk", "sitemaps"])
async def test_items_are_never_read_on_the_event_loop(
    session: Session, monkeypatch: pytest.MonkeyPatch, toml: str
) -> None:
    loops, whole = threading.get_ident(), Tally.page
    threads: set[int] = set()

    def page(tally: Tally, *args: Any) -> list[str]:
        threads.add(threading.get_ident())
        return whole(tally, *args)

    async def handle(request: web.Request) -> web.Response:
        row = f"<loc>http://{request.host}/a.xml</loc>"
        is_index = toml == "sitemaps" and request.path != "/a.xml"
        items = {"pages": '{"items": [{"id": "1"}]}', "walk": "7"}
        sitemap = f"<sitemapindex><sitemap>{row}</sitemap></sitemapindex>"
        return web.Response(text=items.get(toml) or (sitemap if is_index else f"<urlset><url>{row}</url></urlset>"))

    monkeypatch.setattr(Tally, "page", page)
    listings = 'name = "site"\ntitle = "A site"\nkind = "sitemap"\n[listing]\nurl = "{base_url}/sitemap.xml"\n'
    tomls = {"pages": JSON.replace("?page={page}", ""), "walk": WALK, "sitemaps": listings}
    async with site(handle) as url:
        assert ids(await poll(session, source(url, tomls[toml])))
    assert threads
    assert loops not in threads


# --- since


SINCE = (
    JSON.replace("?page={page}", "?from={since}")
    .replace('url = "id"', 'url = "id"\npublished_at = "at"')
    .replace("[fields]", '[listing.since]\nform = "iso"\nfirst = "1h"\noverlap = "60s"\n[fields]')
)


async def test_a_listing_is_asked_for_what_is_new_since_the_last_poll(session: Session) -> None:
    asked: list[str] = []
    items: list[list[dict[str, str]]] = [
        [{"id": "1", "at": "2026-11-23T12:00:00Z"}, {"id": "2", "at": "2026-11-23T12:05:00Z"}],
        [],
        [{"id": "3", "at": "2026-11-23T11:00:00Z"}],
        [],
    ]

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.query["from"])
        return web.json_response({"items": items[len(asked) - 1]}, headers={"ETag": '"same"'})

    checkpoint: Checkpoint | None = None
    async with site(handle) as url:
        for _ in items:
            polled = await poll(session, source(url, SINCE), checkpoint)
            checkpoint = polled.batch.checkpoint
            assert not polled.trace.gap
    assert asked[1:] == ["2026-11-23T12:04:00Z"] * 3  # never back, though a late one came
    assert asked[0].endswith("Z")


@pytest.mark.parametrize(("form", "wanted"), [("epoch", "1795435500"), ("epoch_ms", "1795435500000")])
async def test_since_is_written_as_the_site_wants_it(session: Session, form: str, wanted: str) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.query["from"])
        return web.json_response({"items": [{"id": "2", "at": "2026-11-23T12:05:00Z"}]})

    toml = SINCE.replace('"iso"', f'"{form}"').replace('overlap = "60s"\n', "")
    async with site(handle) as url:
        first = await poll(session, source(url, toml))
        await poll(session, source(url, toml), first.batch.checkpoint)
    assert asked[1] == wanted


async def test_since_can_be_the_greatest_id(session: Session) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.query["from"])
        return web.json_response({"items": [{"id": "9"}, {"id": "10"}]})

    toml = SINCE.replace('form = "iso"\nfirst = "1h"\noverlap = "60s"', 'field = "id"\nform = "value"\nfirst = "0"')
    async with site(handle) as url:
        first = await poll(session, source(url, toml))
        await poll(session, source(url, toml), first.batch.checkpoint)
    assert asked == ["0", "10"]


# --- POST, tokens, parameters


async def test_a_listing_can_be_a_post_whose_values_are_quoted_as_json_wants_it(session: Session) -> None:
    said: list[tuple[str, str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        said.append((request.method, request.content_type, await request.text()))
        return web.json_response({"items": [{"id": "1"}]})

    toml = JSON.replace("?page={page}", "").replace(
        "may_be_empty = true", 'method = "POST"\nbody = \'{"board": "{board}", "n": {"a": 1}}\''
    )
    async with site(handle) as url:
        await poll(session, source(url, toml, parameters={"board": 'a"b\\'}))
    assert [(m, t) for m, t, _ in said] == [("POST", "application/json")]
    assert json.loads(said[0][2]) == {"board": 'a"b\\', "n": {"a": 1}}


async def test_a_form_is_sent_as_one(session: Session) -> None:
    said: list[tuple[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        said.append((request.content_type, dict(await request.post()).get("q", "")))  # type: ignore[arg-type]
        return web.json_response({"items": [{"id": "1"}]})

    toml = JSON.replace("?page={page}", "").replace("may_be_empty = true", 'method = "POST"\nbody = "q={board}&n=1"')
    async with site(handle) as url:
        await poll(session, source(url, toml, parameters={"board": "a&b=é"}))
    assert said == [("application/x-www-form-urlencoded", "a&b=é")]


async def test_a_token_goes_to_the_base_urls_host_and_to_no_other(session: Session) -> None:
    got: dict[str, str] = {}

    async def other(request: web.Request) -> web.Response:
        got["other"] = request.headers.get("Authorization", "")
        return web.json_response({"items": [{"id": "1"}]})

    async def home(request: web.Request) -> web.Response:
        got["home"] = request.headers.get("Authorization", "")
        return web.Response(status=302, headers={"Location": f"{elsewhere}/list"})

    async with site(other) as elsewhere, site(home) as url:
        host = elsewhere.removeprefix("http://")
        toml = f'hosts = ["{host}"]\n{JSON}'.replace(
            "[parameters]", '[token]\nheader = "Authorization"\nform = "Bearer {token}"\n[parameters]'
        )
        watched = source(url, toml, token="made-up")
        await poll(session, watched)
    assert got == {"home": "Bearer made-up", "other": ""}
    assert "made-up" not in repr(watched)


# --- indexes

INDEX = """
name = "site"
title = "A board"
kind = "json"
[index]
url = "{base_url}/threads"
items = "[]"
id = "no"
version = "changed"
most = 2
[listing]
url = "{base_url}/thread/{index}"
items = "posts"
[fields]
id = "id"
text = "text"
[document]
page = "{base_url}/thread/{index}#{id}"
"""


class Board:
    """Threads, each with posts."""

    def __init__(self) -> None:
        self.threads: dict[int, list[str]] = {}
        self.asked: list[str] = []
        self.status: dict[str, int] = {}

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if status := self.status.get(request.path):
            return web.Response(status=status)
        if request.path == "/threads":
            return web.json_response([{"no": n, "changed": len(posts)} for n, posts in self.threads.items()])
        number = int(request.path.rpartition("/")[2])
        posts = [{"id": f"{number}-{n}", "text": text} for n, text in enumerate(self.threads[number])]
        return web.json_response({"posts": posts})


async def test_of_an_index_each_listing_is_read_that_has_something_new(session: Session) -> None:
    board = Board()
    board.threads = {1: ["a"], 2: ["b", "c"]}
    async with site(board) as url:
        first = await poll(session, source(url, INDEX))
        assert [d.reference.id for d in first.batch.documents] == ["1-0", "2-0", "2-1"]
        assert first.batch.documents[0].reference.shown_url == f"{url}/thread/1"
        board.asked = []
        board.threads[2].append("d")
        second = await poll(session, source(url, INDEX), first.batch.checkpoint)
        assert board.asked == ["/threads", "/thread/2"]
        assert [d.text for d in second.batch.documents] == ["b", "c", "d"]
        third = await poll(session, source(url, INDEX), second.batch.checkpoint)
    assert third.batch.documents == ()


async def test_what_one_poll_does_not_take_waits_for_the_next(session: Session) -> None:
    board = Board()
    board.threads = {n: ["x"] for n in range(1, 6)}
    checkpoint: Checkpoint | None = None
    left, read = [], []
    async with site(board) as url:
        for _ in range(3):
            polled = await poll(session, source(url, INDEX), checkpoint)
            checkpoint = polled.batch.checkpoint
            left.append(polled.trace.left)
            read += [d.reference.id for d in polled.batch.documents]
    assert left == [3, 1, 0]
    assert sorted(read) == [f"{n}-0" for n in range(1, 6)]


async def test_where_nothing_tells_what_is_new_each_has_its_turn(session: Session) -> None:
    board = Board()
    board.threads = {n: ["x"] for n in range(1, 4)}
    checkpoint: Checkpoint | None = None
    toml = INDEX.replace('version = "changed"\n', "")
    async with site(board) as url:
        for _ in range(3):
            checkpoint = (await poll(session, source(url, toml), checkpoint)).batch.checkpoint
    asked = [int(path.rpartition("/")[2]) for path in board.asked if path != "/threads"]
    assert asked == [1, 2, 3, 1, 2, 3]


async def test_a_listing_that_is_gone_is_passed_over_and_one_that_fails_is_read_later(session: Session) -> None:
    board = Board()
    board.threads = {1: ["a"], 2: ["b"]}
    board.status = {"/thread/1": 404, "/thread/2": 503}
    async with site(board) as url:
        first = await poll(session, source(url, INDEX))
        assert first.batch.documents == ()
        assert first.trace.left == 1
        board.status, board.asked = {}, []
        second = await poll(session, source(url, INDEX), first.batch.checkpoint)
    assert board.asked == ["/threads", "/thread/2"]
    assert [d.text for d in second.batch.documents] == ["b"]


async def test_an_index_whose_listings_are_all_gone_is_an_error(session: Session) -> None:
    board = Board()
    board.threads = {1: ["a"], 2: ["b"]}
    board.status = {"/thread/1": 404, "/thread/2": 404}
    async with site(board) as url:
        with pytest.raises(EmptyListing, match="none of 2 listings that the index names is there"):
            await poll(session, source(url, INDEX))


async def test_an_index_in_which_nothing_is_found_is_an_error(session: Session) -> None:
    async with site(Board()) as url:
        with pytest.raises(EmptyListing, match=r"index\.items \(\[\]\) found nothing in the index"):
            await poll(session, source(url, INDEX))


async def test_an_index_can_be_of_another_kind(session: Session) -> None:
    feed = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><content>whole</content></entry></feed>'

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/":
            return web.Response(text='<a class="repo" href="/r/one">one</a>', content_type="text/html")
        return web.Response(text=feed if request.path == "/one/atom" else "")

    toml = """
    name = "site"
    title = "Repositories"
    kind = "feed"
    [index]
    url = "{base_url}/"
    kind = "html"
    items = "a.repo"
    id = ".@href"
    cut = "^/r/(.*)$"
    [listing]
    url = "{base_url}/{index}/atom"
    """.replace("    ", "")
    async with site(handle) as url:
        polled = await poll(session, source(url, toml))
    assert [d.text for d in polled.batch.documents] == ["whole"]


# --- walks

WALK = """
name = "site"
title = "Numbers"
kind = "walk"
[listing]
url = "{base_url}/newest"
items = '(\\d+)'
[walk]
first = 3
most = 5
[document]
url = "{base_url}/{id}.json"
page = "{base_url}/item?id={id}"
"""


async def test_numbers_are_walked_from_the_last_one_on(session: Session) -> None:
    top = 100

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=str(top), headers={"ETag": f'"{top}"'})

    async with site(handle) as url:
        watched = source(url, WALK)
        first = await poll(session, watched)
        assert [r.url for r in first.batch.references] == [f"{url}/{n}.json" for n in (98, 99, 100)]
        assert first.batch.references[0].shown_url == f"{url}/item?id=98"
        top = 107
        second = await poll(session, watched, first.batch.checkpoint)
        assert ids(second) == ["101", "102", "103", "104", "105"]
        assert second.trace.left == 2
        third = await poll(session, watched, second.batch.checkpoint)
        assert (ids(third), third.trace.left) == (["106", "107"], 0)
        fourth = await poll(session, watched, third.batch.checkpoint)
        assert ids(fourth) == []


async def test_a_walk_without_a_number_is_an_error(session: Session) -> None:
    async with site(answer("<html>gone fishing</html>")) as url:
        with pytest.raises(EmptyListing, match="found no number"):
            await poll(session, source(url, WALK))


async def test_an_absurd_number_is_none(session: Session) -> None:
    async with site(answer("9" * 5000)) as url:
        with pytest.raises(EmptyListing):
            await poll(session, source(url, WALK))


# --- what a site says of itself


async def test_a_page_that_asks_to_be_left_alone_is_heeded(session: Session) -> None:
    toml = JSON.replace("?page={page}", "").replace("may_be_empty = true", 'wait = "backoff"\nquota = "left"')

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"items": [{"id": "1"}], "backoff": 30, "left": 77})

    async with site(handle) as url:
        polled = await poll(session, source(url, toml))
        assert (polled.trace.quota, polled.trace.interval) == (77, 30.0)
        with pytest.raises(RateLimited):
            await poll(session, source(url, toml))
        neighbour = replace(source(url, toml), name="neighbour")
        assert ids(await poll(session, neighbour)) == ["1"]


@pytest.mark.parametrize(
    ("said", "heeded"),
    [
        ("100000000000000", 86_400.0),
        ("9" * 400, 86_400.0),
        ("\u00b2", None),
        ("\u0663", None),
        ("-5", None),
        ("x", None),
    ],
)
async def test_what_a_page_asks_for_is_bounded_and_a_number(session: Session, said: str, heeded: float | None) -> None:
    toml = JSON.replace("?page={page}", "").replace("may_be_empty = true", 'wait = "backoff"\nquota = "backoff"')
    async with site(answer(json.dumps({"items": [{"id": "1"}], "backoff": said}))) as url:
        assert (await poll(session, source(url, toml))).trace.interval == heeded


async def test_a_short_wait_lies_between_two_pages(session: Session) -> None:
    asked: list[float] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(asyncio.get_running_loop().time())
        return web.json_response({"items": [{"id": request.query["page"]}], "backoff": 1})

    async with site(handle) as url:
        await poll(
            session, source(url, NUMBERED.replace("may_be_empty = true", 'wait = "backoff"').replace("= 4", "= 2"))
        )
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 0.9


@pytest.mark.parametrize(
    ("page", "looks"),
    [
        ("<html><title>Just a moment...</title></html>", "a bot check"),
        ("<html><title>Sign in</title><form><input type=password></form></html>", "a page with a login form"),
        ("<html><body>Solve this CAPTCHA</body></html>", "a bot check"),
        ("YOUR IP: 192.0.2.1 DOES NOT HAVE ACCESS", "a refusal"),
    ],
)
async def test_a_gatekeepers_page_instead_of_the_list_is_blocked(session: Session, page: str, looks: str) -> None:
    async with site(answer(page)) as url:
        with pytest.raises(Blocked, match=f"instead of the listing there is {looks}"):
            await poll(session, source(url))


async def test_a_changed_site_is_told_by_the_selector_that_finds_nothing(session: Session) -> None:
    trace = Trace()
    async with site(answer("<html><article>new look</article></html>")) as url:
        with pytest.raises(EmptyListing, match=r"listing\.items \(li\) found nothing"):
            await poll(session, source(url), None, trace)
    assert trace.text == "<html><article>new look</article></html>"


async def test_what_is_gone_or_nonsense_is_still_told(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with site(handle) as url:
        with pytest.raises(Gone):
            await poll(session, source(url, NUMBERED))
    async with site(answer("[")) as url:
        with pytest.raises(BadContent):
            await poll(session, source(url, NUMBERED))


def test_a_source_says_its_pace() -> None:
    watched: Source = source("http://site.example", every=60.0, fastest=10.0, slowest=600.0)
    assert watched.pace == (10.0, 600.0)
    assert source("http://site.example", every=60.0).pace == (60.0, 60.0)


async def test_a_first_poll_asks_where_to_begin_and_is_told_when_nobody_says() -> None:
    toml = """
name = "site"
title = "A feed of changes"
kind = "json"
[listing]
url = "{base_url}/changes?since={since}"
items = "results"
may_be_empty = true
order = "oldest_first"
[listing.since]
field = "version"
form = "value"
ask = "{base_url}/now"
answer = "seq"
[fields]
id = "id"
version = "seq"
url = "url"
"""
    said: dict[str, object] = {"/now": {"seq": 7}, "/changes": {"results": []}}
    asked: list[str] = []

    async def changes(request: web.Request) -> web.StreamResponse:
        asked.append(request.path_qs)
        return web.json_response(said[request.path])

    async with site(changes) as url, Session(http_config()) as session:
        at = source(url, toml)
        first = await poll(session, at)
        said["/changes"] = {"results": [{"id": "a", "seq": 9, "url": "/a"}]}
        second = await poll(session, at, first.batch.checkpoint)
        await poll(session, at, second.batch.checkpoint)
        assert asked == ["/now", "/changes?since=7", "/changes?since=7", "/changes?since=9"]
        said["/now"] = {}
        with pytest.raises(EmptyListing, match=r"listing\.since\.answer \(seq\) found nothing"):
            await poll(session, at)


# --- what is empty, and what only looks so

ANUBIS = "<!doctype html><html><title>Making sure you&#39;re not a bot!</title><body>Loading…</body></html>"


async def test_a_listing_that_may_be_empty_is_blocked_by_a_gatekeepers_page_all_the_same(session: Session) -> None:
    toml = HTML.replace('items = "li"', 'items = "li"\nmay_be_empty = true')
    async with site(answer(ANUBIS)) as url:
        with pytest.raises(Blocked, match="instead of the listing"):
            await poll(session, source(url, toml))
    async with site(answer("<html><h1>Nothing yet</h1><p>a captcha was solved</p></html>")) as url:
        assert ids(await poll(session, source(url, toml))) == []


REPOSITORIES = """
name = "site"
title = "Repositories"
kind = "html"
[index]
url = "{base_url}/"
items = "a"
id = ".@href"
[listing]
url = "{base_url}/{index}"
items = "li"
may_be_empty = true
[fields]
id = "."
text = "."
"""


async def test_an_index_has_its_own_word_for_whether_it_may_be_empty(session: Session) -> None:
    async with site(answer(ANUBIS)) as url:
        with pytest.raises(Blocked, match="instead of the index"):
            await poll(session, source(url, REPOSITORIES))
    async with site(answer("<html>no repository</html>")) as url:
        with pytest.raises(EmptyListing, match="found nothing in the index"):
            await poll(session, source(url, REPOSITORIES))
        allowed = REPOSITORIES.replace("[listing]", "may_be_empty = true\n[listing]")
        assert ids(await poll(session, source(url, allowed))) == []


async def test_an_index_whose_listings_are_all_empty_is_an_error_unless_they_may_be(session: Session) -> None:
    board = Board()
    board.threads = {1: [], 2: []}
    async with site(board) as url:
        with pytest.raises(EmptyListing, match=r"listing\.items \(posts\) found nothing in any of 2 listings"):
            await poll(session, source(url, INDEX))
        allowed = INDEX.replace('items = "posts"', 'items = "posts"\nmay_be_empty = true')
        first = await poll(session, source(url, allowed))
        board.threads[1].append("a")
        board.threads[2].append("b")
        second = await poll(session, source(url, INDEX), first.batch.checkpoint)
        assert len(second.batch.documents) == 2
        quiet = await poll(session, source(url, INDEX), second.batch.checkpoint)  # none of them has anything new
    assert quiet.batch.documents == ()


async def test_a_gatekeeper_before_each_listing_of_an_index_is_told(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text='<a href="one">one</a>' if request.path == "/" else ANUBIS, content_type="text/html")

    async with site(handle) as url:
        with pytest.raises(Blocked, match="instead of the listing"):
            await poll(session, source(url, REPOSITORIES))


# --- one child that fails


def posts(polled: Poll) -> list[str]:
    return [document.reference.id for document in polled.batch.documents]


@pytest.mark.parametrize("fault", ["refused", "of another kind", "too large"])
async def test_one_listing_of_an_index_that_fails_hides_no_other(session: Session, fault: str) -> None:
    board = Board()
    board.threads = {n: ["x"] for n in range(1, 5)}

    async def handle(request: web.Request) -> web.Response:
        answered = await board(request)
        if request.path != "/thread/1":
            return answered
        return {
            "refused": web.Response(status=403),
            "of another kind": web.Response(text="<html>an error of ours</html>", content_type="text/html"),
            "too large": web.Response(text=" " * 5_000),
        }[fault]

    async with site(handle) as url:
        first = await poll(session, source(url, INDEX, max_bytes=4_000))
        assert posts(first) == ["2-0"]
        assert first.trace.listing is not None
        assert any("a listing could not be read" in note for note in first.trace.listing.notes)
        second = await poll(session, source(url, INDEX, max_bytes=4_000), first.batch.checkpoint)
        assert posts(second) == ["3-0", "4-0"]
        board.asked = []
        board.threads[5] = ["y"]
        third = await poll(session, source(url, INDEX, max_bytes=4_000), second.batch.checkpoint)
        assert board.asked == ["/threads", "/thread/5", "/thread/1"]  # the one that failed comes behind the others
        assert posts(third) == ["5-0"]


async def test_where_each_has_its_turn_one_that_fails_has_had_it(session: Session) -> None:
    board = Board()
    board.threads = {n: ["x"] for n in range(1, 4)}
    board.status = {"/thread/1": 403}
    toml, checkpoint = INDEX.replace('version = "changed"\n', ""), None
    async with site(board) as url:
        for _ in range(3):
            checkpoint = (await poll(session, source(url, toml), checkpoint)).batch.checkpoint
    asked = [int(path.rpartition("/")[2]) for path in board.asked if path != "/threads"]
    assert asked == [1, 2, 3, 1, 2, 3]


async def test_listings_of_which_none_can_be_had_are_an_error(session: Session) -> None:
    board = Board()
    board.threads = {1: ["a"], 2: ["b"]}
    board.status = {"/thread/1": 403, "/thread/2": 403}
    async with site(board) as url:
        with pytest.raises(Blocked):
            await poll(session, source(url, INDEX))


async def test_after_a_host_that_wants_to_rest_no_further_listing_is_asked_for(session: Session) -> None:
    board = Board()
    board.threads = {1: ["a"], 2: ["b"], 3: ["c"]}
    board.status = {"/thread/2": 429}
    async with site(board) as url:
        first = await poll(session, source(url, INDEX.replace("most = 2", "most = 3")))
        assert posts(first) == ["1-0"]
        assert board.asked == ["/threads", "/thread/1", "/thread/2"]
        assert first.trace.left == 2
        board.status = {}
        async with Session(http_config()) as later:
            second = await poll(later, source(url, INDEX.replace("most = 2", "most = 3")), first.batch.checkpoint)
    assert posts(second) == ["2-0", "3-0"]
