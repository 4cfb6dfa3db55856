"""A site that is searched as GitHub is: in windows, so many requests a minute, and not always all of it."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.definitions import Search
from leakwatch.errors import BadStatus, Blocked, RateLimited
from leakwatch.fetch import Poll, Session, Source, poll, windows
from leakwatch.fetch.listing import mark
from leakwatch.fetch.searching import Found, Progress, _after, search
from leakwatch.fetch.windows import Window
from tests.unit.fetch.sites import http_config, site, source
from tests.unit.fetch.test_apps import TOKEN as APPS

TOML = """
name = "site"
title = "A site"
kind = "json"
[search]
words = ["one-", "two-", "three-"]
window = "number"
first = "0"
last = "4095"
most = 40
total = "total_count"
partial = "incomplete_results"
requests = 100
[listing]
url = "{base_url}/search?q=%22{word}%22+size:{from}..{to}&per_page=10&page={page}"
items = "items"
[listing.pages]
by = "number"
most = 4
[fields]
id = "id"
url = "url"
"""
AT = datetime(2026, 11, 25, 20, tzinfo=UTC)


@dataclass
class Index:
    """Files by the words in them and their sizes."""

    files: Mapping[str, list[int]]  # the sizes of those that hold a word
    allowed: int = 10_000  # requests, until they are given anew
    partial: frozenset[str] = frozenset()  # words for which it does not look everywhere
    broken: frozenset[str] = frozenset()  # words at which it fails
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        word, first, last = re.fullmatch(r'"(.+)" size:(\d+)\.\.(\d+)', request.query["q"]).groups()  # type: ignore[union-attr]
        page = int(request.query["page"])
        self.asked.append(word)
        if self.allowed <= 0:
            return web.Response(status=429, headers={"Retry-After": "60"})
        self.allowed -= 1
        if word in self.broken:
            return web.json_response({"message": "Validation Failed"}, status=422)
        if page > 4:
            return web.json_response({"message": "Only the first results are available"}, status=422)
        found = [(n, size) for n, size in enumerate(self.files[word]) if int(first) <= size <= int(last)]
        shown = [{"id": f"{word}{n}", "url": f"/{word}{n}"} for n, _ in found[(page - 1) * 10 : page * 10]]
        said = {"total_count": len(found), "incomplete_results": word in self.partial, "items": shown}
        return web.json_response(said)


def spread(count: int) -> list[int]:
    return [n * 37 % 4096 for n in range(count)]


async def passed(index: Index, polls: int, toml: str = TOML, refill: int = 10_000) -> tuple[list[Poll], Source]:
    """Poll so often, each time with what the last poll has left, and as many requests as are given anew."""
    found: list[Poll] = []
    checkpoint: Any = None
    async with site(index.answer) as url:
        at = source(url, toml)
        for _ in range(polls):
            index.allowed = refill
            async with Session(http_config()) as session:
                found.append(await poll(session, at, checkpoint))
            checkpoint = found[-1].batch.checkpoint
    return found, at


def ids(polls: list[Poll]) -> Counter[str]:
    return Counter({reference.id for one in polls for reference in one.batch.references})


async def test_everything_is_found_however_much_there_is_and_no_page_is_asked_for_that_is_not_there() -> None:
    index = Index({"one-": spread(300), "two-": [], "three-": spread(15)})
    [first], _ = await passed(index, 1)
    assert len(ids([first])) == 315
    assert not first.trace.gap
    assert first.trace.left == 0
    assert first.trace.listing is not None
    assert first.trace.listing.notes == ()
    assert Counter(index.asked)["two-"] == 1
    assert Counter(index.asked)["three-"] == 2


async def test_the_next_pass_begins_where_the_turn_is() -> None:
    index = Index({"one-": [1], "two-": [2], "three-": [3]})
    found, _ = await passed(index, 2, TOML.replace("requests = 100", "requests = 2"))
    assert index.asked == ["one-", "two-", "three-", "one-"]
    assert [one.trace.left for one in found] == [1, 0]


@pytest.mark.parametrize("refill", [1, 3])
async def test_what_a_minute_allows_is_enough_in_the_end_and_nothing_is_asked_for_twice(refill: int) -> None:
    index = Index({"one-": spread(100), "two-": [1], "three-": []})
    enough = Index(index.files)
    whole, _ = await passed(enough, 1)
    needed = len(enough.asked)
    found, _ = await passed(index, -(-needed // refill), refill=refill)
    assert ids(found) == ids(whole)
    assert [note for one in found if one.trace.listing for note in one.trace.listing.notes] == []
    assert found[0].trace.left == 3
    assert found[-1].trace.left == 0


async def test_what_is_left_of_another_search_is_forgotten() -> None:
    index = Index({"one-": spread(100), "two-": [], "three-": []})
    async with site(index.answer) as url, Session(http_config()) as session:
        checkpoint = (await poll(session, source(url, TOML.replace("requests = 100", "requests = 3")))).batch.checkpoint
        assert checkpoint is not None
        assert checkpoint["windows"]
        found = await poll(session, source(url, TOML.replace("4095", "40").replace("three-", "one-")), checkpoint)
    assert set(ids([found])) == {f"one-{n}" for n, size in enumerate(spread(100)) if size <= 40}


async def test_a_site_that_lets_nothing_be_asked_is_no_quiet_day() -> None:
    with pytest.raises(RateLimited):
        await passed(Index({}), 1, refill=0)


async def test_what_a_site_did_not_look_through_is_a_gap() -> None:
    index = Index({"one-": [1], "two-": [2], "three-": []}, partial=frozenset({"two-"}))
    [first], _ = await passed(index, 1)
    assert first.trace.gap
    assert len(ids([first])) == 2


async def test_more_of_one_size_than_can_be_paged_through_is_a_gap_and_ends() -> None:
    index = Index({"one-": [7] * 90, "two-": [], "three-": []})
    [first], _ = await passed(index, 1)
    assert first.trace.gap
    assert first.trace.missed == 50
    assert len(ids([first])) == 40
    assert first.trace.left == 0


async def test_what_the_pages_of_a_definition_do_not_reach_is_missed() -> None:
    index = Index({"one-": [7] * 35, "two-": [], "three-": []})
    [first], _ = await passed(index, 1, TOML.replace("most = 4\n", "most = 2\n"))
    assert (len(ids([first])), first.trace.missed, first.trace.gap) == (20, 15, True)


async def test_a_word_that_cannot_be_searched_for_hides_no_other() -> None:
    index = Index({"one-": [1], "two-": [2], "three-": [3]}, broken=frozenset({"one-"}))
    [first], _ = await passed(index, 1)
    assert set(ids([first])) == {"two-0", "three-0"}
    assert first.trace.listing is not None
    assert first.trace.listing.notes == ("a word could not be searched for (bad_status)",)
    with pytest.raises(BadStatus):
        await passed(Index({}, broken=frozenset({"one-", "two-", "three-"})), 1)


async def test_a_word_that_is_new_goes_first_and_one_that_is_gone_is_forgotten() -> None:
    said = Search(words=["a", "b"])
    asked: list[str] = []

    async def ask(facts: Mapping[str, str], _number: int) -> Found:
        asked.append(facts["word"])
        return Found(items=0)

    before = Progress(turns=(mark("b"), mark("gone")), word=mark("gone"), windows=(Window(first=1, last=2),))
    after = await search(said, 1, before, ask, AT)
    assert asked == ["a", "b"]
    assert after.turns == (mark("a"), mark("b"))
    assert (after.word, after.windows) == ("", ())


async def test_where_a_site_does_not_say_how_many_there_are_an_empty_page_ends() -> None:
    pages: list[int] = []

    async def ask(_facts: Mapping[str, str], number: int) -> Found:
        pages.append(number)
        return Found(items=10 if number < 3 else 0)

    await search(Search(words=["a"]), 9, Progress(), ask, AT)
    assert pages == [0, 1, 2, 3]


@given(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1), st.data())
def test_no_more_windows_are_kept_than_a_range_can_be_halved(first: int, last: int, data: st.DataObject) -> None:
    said = Search(words=["a"], window="number", first=str(first), last=str(last), requests=100)
    first, last = min(first, last), max(first, last)
    left: tuple[Window, ...] = (Window(first=first, last=last),)
    for _ in range(90):
        total = data.draw(st.sampled_from((2000, 2000, 2000, 0)))
        following, _, _ = _after(said, 10, left[0], Found(items=0, total=total))
        left = (*following, *left[1:])
        assert len(left) <= 61
        if not left:
            break


async def test_no_token_is_asked_to_search_more_often_than_its_rate_whatever_the_answers_leave_out() -> None:
    index = Index({"one-": spread(400), "two-": [1], "three-": [1]})
    shown = Counter[str]()

    async def answer(request: web.Request) -> web.StreamResponse:
        shown[request.headers["Authorization"]] += 1
        return await index.answer(request)

    toml = TOML.replace("requests = 100", 'requests = 100\nrate = "9/h"') + APPS
    async with site(answer) as url, Session(http_config()) as session:
        at = source(url, toml, token="first\nsecond")
        found = await poll(session, at)
        assert shown == {"Bearer first": 9, "Bearer second": 9}
        assert found.trace.left == 3
        with pytest.raises(RateLimited) as caught:
            await poll(session, at, found.batch.checkpoint)
        assert 3500 < (caught.value.retry_after or 0) <= 3600
        await session.get(f"{url}/search?q=%22one-%22+size:0..1&page=1", source=at)  # what is no search goes on
    assert shown.total() == 19


async def test_a_gatekeeper_is_no_empty_search() -> None:
    async def login(_request: web.Request) -> web.StreamResponse:
        page = '<html><title>Log in</title><form><input type="password"></form></html>'
        return web.Response(text=page, content_type="text/html")

    toml = re.sub('(total|partial) = "[a-z_]+"\n', "", TOML).replace('"json"', '"html"')
    async with site(login) as url, Session(http_config()) as session:
        with pytest.raises(Blocked):
            await poll(session, source(url, toml))


def test_a_window_of_time_ends_now_and_says_so_in_utc() -> None:
    said = Search(words=["a"], window="time", first="7d")
    assert windows.first(said, AT) == {"word": "a", "from": "2026-11-18T20:00:00Z", "to": "2026-11-25T20:00:00Z"}
    assert windows.first(Search(words=["a"]), AT) == {"word": "a"}
    assert windows.whole(Search(words=["a"], window="time", first="90000d"), AT).first == 0


def test_the_first_question_is_what_a_dry_run_shows() -> None:
    assert source("http://site.example", TOML).listing_url == (
        "http://site.example/search?q=%22one-%22+size:0..4095&per_page=10&page=1"
    )


@given(st.integers(0, 10**10), st.integers(0, 10**10))
def test_halves_are_all_of_a_window_and_share_nothing(first: int, span: int) -> None:
    window = Window(first=first, last=first + span)
    match window.halves():
        case ():
            assert span == 0
        case below, above:
            assert (below.first, above.last) == (window.first, window.last)
            assert below.last + 1 == above.first
            assert below.first <= below.last
            assert above.first <= above.last


@given(st.lists(st.builds(Window, first=st.integers(0), last=st.integers(0), page=st.integers(0), seen=st.integers(0))))
def test_what_is_left_is_kept_as_it_was(left: list[Window]) -> None:
    assert list(windows.opened(windows.stored(left))) == left
