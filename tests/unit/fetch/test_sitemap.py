"""Sitemaps, and indexes of sitemaps."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from leakwatch.errors import BadContent, ServerFault
from leakwatch.fetch import Session, poll
from leakwatch.fetch.sitemap import read
from tests.unit.fetch.sites import http_config, site, source

TOML = 'name = "site"\ntitle = "A site"\nkind = "sitemap"\n[listing]\nurl = "{base_url}/sitemap.xml"\n'
NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session(http_config()) as opened:
        yield opened


def urlset(*entries: tuple[str, str]) -> str:
    rows = "".join(f"<url><loc> {loc} </loc><lastmod>{at}</lastmod></url>" for loc, at in entries)
    return f"<?xml version='1.0'?><urlset {NS}>{rows}</urlset>"


def index(*entries: tuple[str, str]) -> str:
    rows = "".join(f"<sitemap><loc>{loc}</loc><lastmod>{at}</lastmod></sitemap>" for loc, at in entries)
    return f"<sitemapindex {NS}>{rows}</sitemapindex>"


def test_a_page_has_its_address_and_its_date() -> None:
    [facts] = read(source("https://s.example", TOML), urlset(("https://s.example/a", "2026-11-23")))
    assert facts == {
        "id": "https://s.example/a",
        "url": "https://s.example/a",
        "version": "2026-11-23",
        "published_at": "2026-11-23",
    }


@pytest.mark.parametrize("text", ["", "<rss/>", "{}", "<html></html>"])
def test_what_is_no_sitemap_is_bad_content(text: str) -> None:
    with pytest.raises(BadContent, match="is not a sitemap"):
        list(read(source("https://s.example", TOML), text))


async def test_of_an_index_the_sitemaps_are_read_that_have_changed(session: Session) -> None:
    maps = {"/1.xml": ("2026-01-01", ["a"]), "/2.xml": ("2026-02-01", ["b"])}
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        base = f"http://{request.host}"
        if request.path == "/sitemap.xml":
            return web.Response(text=index(*((f"{base}{name}", at) for name, (at, _) in maps.items())))
        return web.Response(text=urlset(*((f"{base}/{page}", "2026") for page in maps[request.path][1])))

    async with site(handle) as url:
        first = await poll(session, source(url, TOML))
        assert {r.url for r in first.batch.references} == {f"{url}/a", f"{url}/b"}
        assert asked == ["/sitemap.xml", "/2.xml", "/1.xml"]  # the newest first
        asked.clear()
        maps["/2.xml"] = ("2026-03-01", ["b", "c"])
        second = await poll(session, source(url, TOML), first.batch.checkpoint)
        assert asked == ["/sitemap.xml", "/2.xml"]
        assert {r.url for r in second.batch.references} == {f"{url}/b", f"{url}/c"}
        third = await poll(session, source(url, TOML), second.batch.checkpoint)
        assert third.batch.references == ()


async def test_an_index_of_indexes_is_not_followed_further(session: Session) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=index((f"http://{request.host}/{len(asked)}.xml", "2026")))

    async with site(handle) as url:
        polled = await poll(session, source(url, TOML))
    assert len(asked) == 2
    assert polled.batch.references == ()


async def test_one_sitemap_of_an_index_that_fails_hides_no_other(session: Session) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        base = f"http://{request.host}"
        match request.path:
            case "/sitemap.xml":
                return web.Response(text=index(*((f"{base}/{n}.xml", f"2026-0{n}-01") for n in range(1, 5))))
            case "/4.xml":
                return web.Response(status=503)
            case "/3.xml":
                return web.Response(text="<html>an error of ours</html>")
        return web.Response(text=urlset((f"{base}{request.path}/a", "2026")))

    async with site(handle) as url:
        first = await poll(session, source(url, TOML))
        assert {r.url for r in first.batch.references} == {f"{url}/2.xml/a", f"{url}/1.xml/a"}
        assert first.trace.listing is not None
        assert len(first.trace.listing.notes) == 2
        asked.clear()
        with pytest.raises(ServerFault):  # none of those that are left
            await poll(session, source(url, TOML), first.batch.checkpoint)
        assert asked == ["/sitemap.xml", "/4.xml", "/3.xml"]
