"""What a gap swallowed is found by the numbers of a list of everything, which is asked seldom: three are kept of it."""

import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.errors import BadContent, EmptyListing, FetchError
from leakwatch.fetch import Poll, Session, Source, poll
from leakwatch.fetch.catchup import Known, newer
from leakwatch.fetch.page import Page
from leakwatch.model import Checkpoint, Via
from tests.unit.fetch.sites import http_config, site, source

TOML = """
name = "site"
title = "A registry"
kind = "json"
[listing]
url = "{base_url}/recent"
items = "@"
[fields]
id = "name"
version = "serial"
[document]
url = "{base_url}/release/{id}"
opens = "listing"
[open]
items = "files"
[open.fields]
url = "url"
[catchup]
url = "{base_url}/all"
accept = "application/special+json"
items = "projects"
id = "name"
serial = "serial"
newest = '"meta": ?\\{"serial": ?([0-9]+)'
every = "1h"
most = 4
document = { url = "{base_url}/release/{id}", page = "{base_url}/of/{id}", opens = "listing" }
"""
HOUR = 3600


class Registry:
    """A registry with a window of the last three changes, and a list of all that there is."""

    def __init__(self) -> None:
        self.serials: dict[str, int] = {f"old{n}": n + 1 for n in range(50)}
        self.serial = 50
        self.asked: list[tuple[str, str]] = []
        self.broken: str | None = None

    def release(self, *names: str) -> None:
        for name in names:
            self.serial += 1
            self.serials[name] = self.serial

    def all_of_it(self) -> str:
        projects = [{"name": name, "serial": serial, "x": [{"y": "]}"}]} for name, serial in self.serials.items()]
        return json.dumps({"meta": {"serial": self.serial}, "odd": [1, {}], "projects": projects, "after": 1})

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers["Accept"]))
        if request.path == "/all":
            return web.Response(text=self.all_of_it() if self.broken is None else self.broken)
        recent = sorted(self.serials.items(), key=lambda one: -one[1])[:3]
        return web.json_response([{"name": name, "serial": str(serial)} for name, serial in recent])


class Watch:
    """Polls a registry as the daemon does, with a clock of its own."""

    def __init__(self, session: Session, source: Source, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session, self.source, self.registry = session, source, registry
        self.checkpoint: Checkpoint | None = None
        self.now = 1_800_000_000
        monkeypatch.setattr("leakwatch.fetch.catchup.time", lambda: self.now)

    async def poll(self, later: int = 60) -> Poll:
        self.now += later
        self.registry.asked.clear()
        polled = await poll(self.session, self.source, self.checkpoint)
        if polled.batch.checkpoint is not None:
            self.checkpoint = polled.batch.checkpoint
        return polled

    async def caught(self, later: int = 60) -> list[str]:
        polled = await self.poll(later)
        return [one.id for one in polled.batch.references][3:]

    @property
    def lists(self) -> int:
        return [path for path, _ in self.registry.asked].count("/all")


@asynccontextmanager
async def watching(monkeypatch: pytest.MonkeyPatch, toml: str = TOML) -> AsyncIterator[Watch]:
    registry = Registry()
    async with Session(http_config()) as session, site(registry.answer) as url:
        yield Watch(session, source(url, toml), registry, monkeypatch)


async def test_what_a_gap_swallowed_is_found_and_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(monkeypatch) as watch:
        assert await watch.caught() == []
        watch.registry.release("a")
        assert await watch.caught(HOUR) == []
        watch.registry.release("b", "c", "d", "e", "f")
        polled = await watch.poll(HOUR)
        assert polled.trace.gap
        assert polled.trace.caught == 4
        found = {one.id: one for one in polled.batch.references[3:]}
        assert list(found) == ["a", "b", "c", "d"]  # as the definition has it, four at a time, the older ones first
        assert (found["b"].version, found["b"].via) == ("52", Via.LISTING)
        assert found["b"].url == f"{watch.source.base_url}/release/b"
        assert found["b"].page == f"{watch.source.base_url}/of/b"
        assert ("/all", "application/special+json") in watch.registry.asked
        assert await watch.caught() == []  # asked at most so often
        assert watch.lists == 0
        assert await watch.caught(HOUR) == ["e", "f"]
        assert await watch.caught(HOUR) == []
        assert watch.checkpoint is not None
        assert len(json.dumps(dict(watch.checkpoint))) < 500


async def test_while_nothing_is_missed_only_the_head_is_read_and_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(monkeypatch) as watch:
        watch.registry.serials |= {f"filler{n}": 1 for n in range(5000)}
        sizes = []
        for _ in range(6):
            watch.registry.release("a")
            polled = await watch.poll(HOUR // 2)
            assert polled.trace.caught is None
            sizes.append(watch.lists)
        assert sizes == [1, 0, 1, 0, 1, 0]
        assert Known.of(watch.checkpoint) == Known(mark=53, newest=55, asked=watch.now - HOUR // 2, behind=False)


async def test_a_feed_may_lag_behind_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark is that of the time before: what the list had and the feed had not yet is not thought to be seen."""
    async with watching(monkeypatch) as watch:
        await watch.poll()
        watch.registry.release("late")  # the list says so at once; the feed would only later
        await watch.poll(HOUR)
        watch.registry.release("b", "c", "d")
        assert "late" in await watch.caught(HOUR)


async def test_a_gap_waits_for_its_turn_and_survives_a_feed_that_does_not_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with watching(monkeypatch) as watch:
        await watch.poll(HOUR)
        watch.registry.release("a", "b", "c", "d")
        polled = await watch.poll()
        assert polled.trace.gap
        assert watch.lists == 0
        assert Known.of(watch.checkpoint).behind
        assert not (await watch.poll()).trace.gap
        assert await watch.caught(HOUR) == ["a", "b", "c", "d"]
        assert not Known.of(watch.checkpoint).behind


@pytest.mark.parametrize(
    "broken", ["<html>", '{"meta": {"serial": 1}}', '{"meta": {"serial": 1}, "projects": [', "[]", ""]
)
async def test_a_list_that_cannot_be_read_spoils_no_poll_and_is_told(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    async with watching(monkeypatch) as watch:
        await watch.poll()
        watch.registry.release("a", "b", "c", "d")
        watch.registry.broken = broken
        polled = await watch.poll(HOUR)
        assert [one.id for one in polled.batch.references] == ["d", "c", "b"]
        assert polled.trace.listing is not None
        assert any("gaps are made good" in note for note in polled.trace.listing.notes)
        watch.registry.broken = None
        assert await watch.caught() == []
        assert await watch.caught(HOUR) == ["a", "b", "c", "d"]


async def test_a_process_that_dies_under_a_poll_does_not_read_the_list_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with watching(monkeypatch) as watch:
        await watch.poll()
        watch.registry.release("a", "b", "c", "d")
        watch.now += HOUR
        watch.registry.asked.clear()
        polled = await poll(watch.session, watch.source, watch.checkpoint, crashed=True)
        assert (polled.trace.gap, watch.lists) == (True, 0)
        watch.checkpoint = polled.batch.checkpoint
        assert await watch.caught() == []
        assert await watch.caught(HOUR) == ["a", "b", "c", "d"]


async def test_a_list_that_is_too_large_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(monkeypatch, TOML.replace("most = 4", "most = 4\nmax_bytes = 2000")) as watch:
        await watch.poll()
        watch.registry.release("a", "b", "c", "d")
        polled = await watch.poll(HOUR)
        assert polled.trace.listing is not None
        assert any("too_large" in note or "too-large" in note for note in polled.trace.listing.notes)


async def test_a_gap_before_anything_is_known_cannot_be_made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(monkeypatch) as watch:
        watch.registry.broken = "none"
        await watch.poll()
        watch.registry.broken = None
        watch.registry.release("a", "b", "c", "d")
        polled = await watch.poll(HOUR)
        assert (polled.trace.gap, polled.trace.caught) == (True, None)
        assert Known.of(watch.checkpoint) == Known(mark=0, newest=54, asked=watch.now, behind=False)


NAMES = st.text(max_size=5)
PROJECTS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "serial": st.integers(0, 99) | st.none() | st.text("0a", max_size=3)})
)
OTHERS = st.dictionaries(
    NAMES.filter(lambda name: name != "projects"), st.recursive(st.text(max_size=3), st.lists), max_size=3
)


@given(PROJECTS, OTHERS, st.integers(0, 99), st.sampled_from([None, 2]))
def test_the_list_is_read_item_by_item_as_a_whole_would_be(
    projects: list[dict[str, Any]], others: dict[str, Any], mark: int, indent: int | None
) -> None:
    body = json.dumps({**others, "projects": projects, "z": 1}, indent=indent)
    usable = [(p["serial"], p["name"]) for p in projects if p["name"] and str(p["serial"]).isdigit()]
    at = source("https://site.example", TOML)
    page = Page(url="https://site.example/all", status=200, body=body.encode())
    if not usable:
        with pytest.raises(EmptyListing):
            newer(at, page, mark)
        return
    new = sorted((int(serial), name) for serial, name in usable if int(serial) > mark)
    assert newer(at, page, mark) == (new[: 4 + 1], max([mark, *(serial for serial, _ in new)]))


@pytest.mark.parametrize(
    "body",
    [
        '{{"projects": [{{"name": "a", "serial": 1, "x": [{}1]}}]}}',
        '{{"x": [{}1], "projects": [{{"name": "a", "serial": 1}}]}}',
        '{{"projects": [[{}1]]}}',
    ],
)
def test_one_value_that_would_fill_memory_is_not_decoded(body: str) -> None:
    page = Page(url="https://site.example/all", status=200, body=body.format("{}," * 1_000_000).encode())
    tracemalloc.start()
    try:
        with pytest.raises(BadContent):
            newer(source("https://site.example", TOML), page, 0)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(page.body)  # decoded it would be twenty times as much
    finally:
        tracemalloc.stop()


def test_of_a_list_in_which_all_is_new_no_more_is_kept_than_one_poll_takes() -> None:
    rows = ",".join(f'{{"name": "n{n}", "serial": {n}}}' for n in range(3000, 0, -1))
    page = Page(url="https://site.example/all", status=200, body=f'{{"projects": [{rows}]}}'.encode())
    new, greatest = newer(source("https://site.example", TOML), page, 7)
    assert [number for number, _ in new] == [8, 9, 10, 11, 12]
    assert greatest == 3000


@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.text('{}[]":,projects 01', max_size=80).map(str.encode)
)
def test_anything_may_come_in_its_place(body: bytes) -> None:
    page = Page(url="https://site.example/all", status=200, body=body)
    try:
        newer(source("https://site.example", TOML), page, 0)
    except FetchError as error:
        assert isinstance(error, BadContent | EmptyListing)  # noqa: PT017 - either, and nothing else
