"""robots.txt: what is obeyed, what counts as none, and how often it is asked for."""

from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from leakwatch.errors import Blocked, FetchError, ForbiddenAddress, RateLimited, ServerFault, Unreachable
from leakwatch.fetch import Session
from leakwatch.fetch.robots import _delay, keeps_out, product
from tests.unit.fetch.sites import HTML, http_config, raw_site, site, source


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session(http_config()) as opened:
        yield opened


class Site:
    """A site with a robots.txt, and pages at every other path."""

    def __init__(self, robots: str = "", status: int = 200, **headers: str) -> None:
        self.robots, self.status, self.headers = robots, status, headers
        self.asked: list[str] = []
        self.tags: list[str] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/robots.txt":
            return web.Response(text=self.robots, status=self.status, headers=self.headers)
        response = web.Response(text="page")
        for tag in self.tags:
            response.headers.add("X-Robots-Tag", tag)
        return response


async def got(session: Session, shown: Site, path: str = "/recent", **settings: Any) -> FetchError | None:
    async with site(shown) as url:
        try:
            await session.get(f"{url}{path}", source=source(url, **{"robots": "obey", **settings}))
        except FetchError as error:
            return error
    return None


@pytest.mark.parametrize(
    ("robots", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /", "/recent", False),
        ("User-agent: *\nDisallow: /private", "/recent", True),
        ("User-agent: *\nDisallow: /\nAllow: /recent", "/recent", True),
        ("User-agent: leakwatch\nDisallow: /recent\n\nUser-agent: *\nAllow: /", "/recent", False),
        ("User-agent: leakwatch\nAllow: /\n\nUser-agent: *\nDisallow: /", "/recent", True),
        ("User-agent: *\nDisallow: /*?page=", "/recent?page=2", False),
        ("", "/recent", True),
        ("<html>no such page, but 200</html>", "/recent", True),
        ("\x00\xff" * 300, "/recent", True),
    ],
)
async def test_what_a_robots_txt_disallows_is_not_fetched(
    session: Session, robots: str, path: str, allowed: bool
) -> None:
    shown = Site(robots)
    error = await got(session, shown, path)
    assert (error is None) == allowed, error
    assert ("/recent" in shown.asked) == allowed
    if error is not None:
        assert isinstance(error, Blocked)
        assert "the robots.txt of 127.0.0.1 keeps leakwatch from" in error.message
        assert 'robots = "ignore"' in error.mend


async def test_the_operators_own_site_is_not_asked(session: Session) -> None:
    shown = Site("User-agent: *\nDisallow: /")
    assert await got(session, shown, robots="ignore") is None
    assert shown.asked == ["/recent"]


@pytest.mark.parametrize("status", [404, 401, 403, 410, 418])
async def test_no_robots_txt_is_no_rule(session: Session, status: int) -> None:
    assert await got(session, Site("User-agent: *\nDisallow: /", status)) is None


@pytest.mark.parametrize(("status", "kind"), [(500, ServerFault), (503, ServerFault), (429, RateLimited)])
async def test_one_that_cannot_be_had_now_forbids_all_for_now(
    session: Session, status: int, kind: type[FetchError]
) -> None:
    shown = Site("", status)
    error = await got(session, shown)
    assert isinstance(error, kind), error
    assert "the robots.txt of 127.0.0.1 cannot be read" in error.message
    assert error.transient
    assert shown.asked == ["/robots.txt"]


async def test_a_site_that_is_not_there_is_told_as_that(session: Session) -> None:
    async with raw_site(reset=True) as url:
        with pytest.raises(Unreachable):
            await session.get(url, source=source(url, robots="obey"))


async def test_a_redirect_is_followed_at_home_and_elsewhere(session: Session) -> None:
    asked: list[str] = []

    async def rules(request: web.Request) -> web.Response:
        asked.append(f"there {request.path} {request.headers.get('X-Own', '')}".strip())
        return web.Response(text="User-agent: *\nDisallow: /recent")

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        where = {"/robots.txt": "/rules", "/rules": f"{there}/theirs"}.get(request.path)
        return web.Response(status=301, headers={"Location": where}) if where else web.Response(text="page")

    async with site(rules) as there, site(handle) as url:
        own = 'headers = { X-Own = "ours" }\n' + HTML
        with pytest.raises(Blocked, match="keeps leakwatch from"):
            await session.get(f"{url}/recent", source=source(url, own, robots="obey"))
    assert asked == ["/robots.txt", "/rules", "there /theirs"]  # and nothing of ours goes there


@pytest.mark.parametrize("hops", [5, 6])
async def test_redirects_are_followed_five_times_and_no_page_is_fetched_where_they_go_on(
    session: Session, hops: int
) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/recent":
            return web.Response(text="page")
        done = int(request.query.get("n", "0"))
        if done == hops:
            return web.Response(text="User-agent: *\nAllow: /")
        return web.Response(status=302, headers={"Location": f"/robots.txt?n={done + 1}"})

    async with site(handle) as url:
        watched = source(url, robots="obey")
        if hops == 5:
            assert (await session.get(f"{url}/recent", source=watched)).status == 200
            return
        with pytest.raises(ServerFault, match=r"the robots.txt of 127\.0\.0\.1 cannot be read") as caught:
            await session.get(f"{url}/recent", source=watched)
    assert caught.value.transient


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("http://10.0.0.1/robots.txt", ForbiddenAddress),
        ("http://169.254.169.254/latest", ForbiddenAddress),
        ("file:///etc/passwd", ServerFault),
        ("http://[", ServerFault),
    ],
)
async def test_a_redirect_goes_to_no_address_that_is_not_public(
    session: Session, location: str, kind: type[FetchError]
) -> None:
    shown = Site("", 302, Location=location)
    assert isinstance(await got(session, shown), kind)
    assert shown.asked == ["/robots.txt"]


async def test_a_redirect_to_what_is_disallowed_is_not_followed(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private")
        assert request.path == "/recent"
        return web.Response(status=302, headers={"Location": "/private/list"})

    async with site(handle) as url:
        with pytest.raises(Blocked):
            await session.get(f"{url}/recent", source=source(url, robots="obey"))


async def test_it_is_asked_for_once_for_many_pages_and_sources(session: Session) -> None:
    shown = Site("User-agent: *\nDisallow: /private")
    async with site(shown) as url:
        for name in ("a", "b"):
            for path in range(5):
                await session.get(f"{url}/{name}/{path}", source=source(url, robots="obey"))
    assert shown.asked.count("/robots.txt") == 1


async def test_a_bomb_or_a_long_one_is_read_to_its_cap(session: Session) -> None:
    shown = Site("User-agent: *\nDisallow: /recent\n" + "#" * 2_000_000)
    assert isinstance(await got(session, shown), Blocked)


async def test_a_crawl_delay_is_kept_between_requests(session: Session) -> None:
    shown = Site("User-agent: *\nCrawl-delay: 0.3")
    async with site(shown) as url:
        watched = source(url, robots="obey")
        await session.get(f"{url}/1", source=watched)
        began = monotonic()
        await session.get(f"{url}/2", source=watched)
        await session.get(f"{url}/3", source=watched)
    assert monotonic() - began >= 0.55


@pytest.mark.parametrize(
    ("robots", "seconds"),
    [
        ("Crawl-delay: 7", 7.0),
        ("Request-rate: 1/10", 10.0),
        ("Crawl-delay: 1e300", 3600.0),
        ("Crawl-delay: nan", 0.0),
        ("Crawl-delay: -5", 0.0),
        ("Crawl-delay: inf", 0.0),
        ("Disallow: /x", 0.0),
    ],
)
def test_a_delay_is_bounded(robots: str, seconds: float) -> None:
    assert _delay(Protego.parse(f"User-agent: *\n{robots}"), "leakwatch") == seconds


@given(st.text(max_size=300))
def test_no_robots_txt_breaks_its_reader(text: str) -> None:
    found = Protego.parse(text)
    assert found.can_fetch("https://site.example/recent", "leakwatch") in (True, False)
    assert 0 <= _delay(found, "leakwatch") <= 3600


@pytest.mark.parametrize(
    ("tags", "out"),
    [
        (["leakwatch: noindex"], True),
        (["otherbot: noindex", "Leakwatch: nofollow, none"], True),
        (["noindex"], False),  # about search results, of which we have none
        (["otherbot: none"], False),
        (["leakwatch: nofollow"], False),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], False),
    ],
)
async def test_a_page_that_sends_us_away_by_name_is_blocked(session: Session, tags: list[str], out: bool) -> None:
    assert keeps_out(tags, "leakwatch") == out
    shown = Site()
    shown.tags = tags
    error = await got(session, shown)
    assert isinstance(error, Blocked) == out
    assert await got(session, shown, robots="ignore") is None


def test_we_are_known_by_the_first_word_of_what_we_say() -> None:
    assert product("leakwatch (+https://issuer.example; a@b.example)") == "leakwatch"
    assert product("Acme-Watch/2.1 (a@b.example)") == "Acme-Watch"
    assert product("") == ""
