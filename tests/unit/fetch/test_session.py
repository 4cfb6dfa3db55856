"""The session against real servers on loopback, well-behaved and hostile."""

import asyncio
import gzip
import socket
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from leakwatch.errors import (
    BadContent,
    BadRedirect,
    BadStatus,
    Blocked,
    FetchError,
    ForbiddenAddress,
    Gone,
    RateLimited,
    ServerFault,
    TimedOut,
    Unreachable,
)
from leakwatch.fetch import limits
from leakwatch.fetch.page import Validators
from leakwatch.fetch.redirects import follow
from leakwatch.fetch.session import Session
from leakwatch.units import Rate
from tests.unit.fetch.sites import HTML, answer, http_config, raw_site, self_signed, site, source


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session(http_config()) as opened:
        yield opened


async def failure(url: str, base_url: str = "", **settings: Any) -> FetchError:
    """What a session says that cannot get this."""
    with pytest.raises(FetchError) as caught:
        async with Session(http_config(**settings)) as opened:
            await opened.get(url, source=source(base_url or url))
    return caught.value


# --- what a page is


async def test_a_page_comes_with_all_that_is_known_of_it(session: Session) -> None:
    handler = answer("naïve", Content_Type="text/plain; charset=utf-8", ETag='"1"', Last_Modified="Mon")
    async with site(handler) as url:
        page = await session.get(f"{url}/a", source=source(url))

    assert page.text() == "naïve"
    assert page.url == f"{url}/a"
    assert page.validators == Validators(etag='"1"', last_modified="Mon")
    assert (page.status, page.wire, page.redirects) == (200, 6, 0)
    assert not page.truncated
    assert not page.not_modified


async def test_we_say_who_we_are_and_what_we_take(session: Session) -> None:
    async def echo(request: web.Request) -> web.Response:
        assert request.cookies == {}
        return web.json_response(dict(request.headers), headers={"Set-Cookie": "a=b"})

    async with site(echo) as url:
        watched = source(url, HTML + '[headers]\nX-Site = "1"\naccept = "nothing"\n')
        await session.get(url, source=watched)
        said = (await session.get(url, source=watched, accept="text/html")).text()

    assert '"User-Agent": "leakwatch test (test@issuer.example)"' in said
    assert '"Accept-Encoding": "gzip, deflate"' in said
    assert '"Accept": "text/html"' in said
    assert '"X-Site": "1"' in said


async def test_what_has_not_changed_is_not_sent_again(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        same = request.headers.get("If-None-Match") == '"1"' and request.headers.get("If-Modified-Since") == "Mon"
        return web.Response(status=304 if same else 200)

    async with site(handle) as url:
        first = await session.get(url, source=source(url))
        second = await session.get(url, source=source(url), validators=Validators(etag='"1"', last_modified="Mon"))

    assert not first.not_modified
    assert second.not_modified


async def test_not_modified_without_being_asked_is_a_bad_status(session: Session) -> None:
    async with site(answer(status=304)) as url:
        with pytest.raises(BadStatus, match="304"):
            await session.get(url, source=source(url))


@pytest.mark.parametrize("etag", [b'"caf\xc3\xa9"', b'"' + b"x" * 600 + b'"'])
async def test_a_validator_that_could_not_be_sent_back_is_not_kept(session: Session, etag: bytes) -> None:
    async with raw_site(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: " + etag + b"\r\n\r\n") as url:
        page = await session.get(url, source=source(url))
    assert page.validators.etag == ""


async def test_cookies_are_not_kept(session: Session) -> None:
    seen: list[dict[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(dict(request.cookies))
        return web.Response(headers={"Set-Cookie": "session=1"})

    async with site(handle) as url:
        await session.get(url, source=source(url))
        await session.get(url, source=source(url))
    assert seen == [{}, {}]


async def test_the_environments_proxy_is_not_asked(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with site(answer("direct")) as url:
        assert (await session.get(url, source=source(url))).text() == "direct"


async def test_every_request_is_told_to_who_observes() -> None:
    told: list[tuple[str, str, int]] = []
    async with Session(http_config(), observe=lambda *what: told.append(what)) as opened:
        async with site(answer("12345")) as url:
            await opened.get(url, source=source(url))
        async with site(answer(status=500)) as url:
            with pytest.raises(ServerFault):
                await opened.get(url, source=source(url))
    assert told == [("site", "ok", 5), ("site", "server_fault", 0)]


async def test_a_session_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Session(http_config()).get("http://127.0.0.1:1", source=source("http://127.0.0.1:1"))


# --- statuses


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, Blocked), (404, Gone), (429, RateLimited), (500, ServerFault), (418, BadStatus), (304, BadStatus)],
)
async def test_a_status_becomes_its_error_with_source_and_host(status: int, kind: type[FetchError]) -> None:
    async with site(answer("<p>why</p>", status=status)) as url:
        error = await failure(f"{url}/recent?token=t0ken")

    assert type(error) is kind
    assert str(error).startswith("site: 127.0.0.1 answered")
    assert error.mend


async def test_after_a_429_the_host_is_left_alone_as_long_as_it_asked(session: Session) -> None:
    asked = 0

    async def handle(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=429, headers={"Retry-After": "120"})

    async with site(handle) as url:
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                await session.get(url, source=source(url))
            assert caught.value.retry_after == pytest.approx(120, abs=2)
    assert asked == 1


# --- addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0x7f.1",
        "0.0.0.0",  # noqa: S104 - asked for, not bound
        "[::]",
    ],
)
async def test_loopback_is_refused_in_every_form(host: str) -> None:
    asked = 0

    async def handle(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response()

    async with site(handle) as url:
        error = await failure(f"http://{host}:{URL(url).port}/", allow_networks=[])

    assert isinstance(error, ForbiddenAddress), error
    assert asked == 0
    assert "disguise" in str(error) or "http.allow_networks" in str(error)


async def test_a_name_is_judged_by_the_addresses_that_it_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_arguments: Any, **_named: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = await failure("http://harmless.example/", allow_networks=[])
    assert isinstance(error, ForbiddenAddress), error
    assert "127.0.0.1 (loopback)" in str(error) or "169.254.169.254 (link-local)" in str(error)


async def test_a_refused_address_is_named_though_another_one_failed_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    def resolve(*_arguments: Any, **_named: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = await failure(f"http://harmless.example:{port}/")
    assert isinstance(error, ForbiddenAddress), error
    assert "10.0.0.1 (private)" in str(error)


async def test_a_name_without_an_address_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_arguments: Any, **_named: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = await failure("http://nowhere.example/")
    assert isinstance(error, Unreachable)
    assert "DNS" in error.mend


@pytest.mark.parametrize("url", ["http://a..b.example/", f"http://{'a' * 70}.example/"])
async def test_a_name_that_cannot_be_one_is_an_error_of_ours(url: str) -> None:
    assert isinstance(await failure(url, "http://base.example"), FetchError)


# --- redirects


async def test_a_redirect_within_the_site_is_followed(session: Session) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/old":
            return web.Response(status=301, headers={"Location": "/new#part"})
        return web.Response(text=request.path)

    async with site(handle) as url:
        page = await session.get(f"{url}/old", source=source(url))
    assert (page.text(), page.url, page.redirects) == ("/new", f"{url}/new", 1)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1]/",
        "//other.example/x",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://[broken",
        "http://127.0.0.1:99999/",
    ],
)
async def test_a_redirect_to_elsewhere_is_not_followed(location: str) -> None:
    async with site(answer(status=302, Location=location)) as url:
        error = await failure(url)
    assert isinstance(error, BadRedirect), error
    assert str(error).startswith("site: 127.0.0.1 redirects to ")


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:10.0.0.1]", "[fd00:ec2::254]"])
async def test_a_redirect_is_checked_by_address_even_where_the_host_is_allowed(host: str, session: Session) -> None:
    async with site(answer(status=302, Location=f"http://{host}/latest/")) as url:
        watched = source(url, f'hosts = ["{host}"]\n{HTML}')
        with pytest.raises(ForbiddenAddress, match="allow_networks"):
            await session.get(url, source=watched)


async def test_redirects_are_counted() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"/{int(request.path.strip('/') or 0) + 1}"})

    async with site(handle) as url:
        error = await failure(url, redirects=3)
    assert isinstance(error, BadRedirect)
    assert "more than 3 times" in str(error)


async def test_a_redirect_to_a_named_host_goes_without_the_definitions_headers(session: Session) -> None:
    async def show(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("X-Site", "none"))

    async with site(show) as other:
        location = f"http://localhost:{URL(other).port}/"

        async def send(request: web.Request) -> web.Response:
            assert request.headers["X-Site"] == "1"
            return web.Response(status=302, headers={"Location": location})

        async with site(send) as url:
            watched = source(url, f'hosts = ["localhost:{URL(other).port}"]\n{HTML}[headers]\nX-Site = "1"\n')
            assert (await session.get(url, source=watched)).text() == "none"


def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    watched = source("https://paste.example")
    start = URL("https://paste.example/")

    assert follow(start, "https://paste.example/new", watched) == URL("https://paste.example/new")
    with pytest.raises(BadRedirect, match="https to http"):
        follow(start, "http://paste.example/new", watched)


def test_headers_follow_to_https_of_the_same_site_and_nowhere_else() -> None:
    home = source("http://paste.example").home

    assert URL("https://paste.example/x").origin() in home
    assert URL("http://paste.example:8080/x").origin() not in home
    assert URL("https://raw.paste.example/x").origin() not in home
    assert URL("http://paste.example/x").origin() not in source("https://paste.example").home


async def test_an_address_that_cannot_be_read_is_bad_content(session: Session) -> None:
    with pytest.raises(BadContent, match="cannot be read"):
        await session.get("http://[sk-s3cret", source=source("http://127.0.0.1:1"))


async def test_a_document_elsewhere_is_not_fetched(session: Session) -> None:
    with pytest.raises(BadRedirect, match="hosts"):
        await session.get("http://other.example/1", source=source("http://127.0.0.1:1"))


# --- bodies


async def test_an_endless_body_is_cut_at_the_cap(session: Session) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10**9)})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with site(endless) as url:
        page = await session.get(url, source=source(url), max_bytes=100_000)
    assert page.truncated
    assert page.body == b"x" * 100_000
    assert page.wire < 1_000_000


async def test_a_gzip_bomb_is_cut_at_the_cap(session: Session) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    async with site(answer(bomb, Content_Encoding="gzip")) as url:
        page = await session.get(url, source=source(url, max_bytes=50_000))
    assert page.truncated
    assert len(page.body) == 50_000


async def test_a_compressed_body_is_read(session: Session) -> None:
    async with site(answer(gzip.compress(b"text" * 1000), Content_Encoding="gzip")) as url:
        page = await session.get(url, source=source(url))
    assert page.text() == "text" * 1000
    assert page.wire < 100


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_body_that_is_not_compressed_as_it_says_is_bad_content(encoding: str) -> None:
    async with site(answer("plain", Content_Encoding=encoding)) as url:
        error = await failure(url)
    assert isinstance(error, BadContent), error


async def test_an_empty_body_is_an_empty_text(session: Session) -> None:
    async with site(answer("")) as url:
        assert (await session.get(url, source=source(url))).text() == ""


# --- time


async def test_a_slow_drip_is_ended_by_the_total_time() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    before = monotonic()
    async with site(drip) as url:
        error = await failure(url, total_timeout=0.2)
    assert isinstance(error, TimedOut)
    assert "http.total_timeout" in str(error)
    assert monotonic() - before < 10


async def test_a_server_that_falls_silent_is_ended_by_the_read_time() -> None:
    async with raw_site(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", hold=5) as url:
        error = await failure(url, read_timeout=0.1)
    assert isinstance(error, TimedOut)
    assert "http.read_timeout" in str(error)


async def test_a_server_that_takes_no_connection_is_ended_by_the_connect_time() -> None:
    with socket.socket() as listening:  # a full backlog: the kernel answers nobody
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            error = await failure(f"http://127.0.0.1:{port}/", connect_timeout=0.2)
    assert isinstance(error, TimedOut), error
    assert "http.connect_timeout" in str(error)


# --- broken servers


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = await failure(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert isinstance(error, Unreachable)
    assert "refused the connection" in str(error)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_breaks_off_is_unreachable(said: bytes, reset: bool) -> None:
    async with raw_site(said, reset=reset) as url:
        error = await failure(url)
    assert isinstance(error, Unreachable), error
    assert "broke the connection off" in str(error)


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nonsense", "ssh", "long header", "many headers", "bad length", "bad chunk"],
)
async def test_what_is_no_http_is_named(said: bytes) -> None:
    async with raw_site(said) as url:
        error = await failure(url)
    assert isinstance(error, BadContent | Unreachable), error
    assert str(error).startswith("site: 127.0.0.1 ")


async def test_plain_http_on_a_tls_port_is_unreachable() -> None:
    async with site(answer("plain")) as url:
        error = await failure(url.replace("http:", "https:"))
    assert isinstance(error, Unreachable)
    assert "TLS" in str(error)


async def test_a_certificate_that_nobody_vouches_for_is_unreachable(tmp_path: Path) -> None:
    async with site(answer("private"), tls=self_signed(tmp_path)) as url:
        error = await failure(url)
    assert isinstance(error, Unreachable)
    assert "speaks no TLS that we trust (self-signed certificate)" in str(error)
    assert "CAs and clock" in error.mend


# --- secrets


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 404 sk-s3cret\r\nContent-Length: 8\r\nX: sk-s3cret\r\n\r\nsk-s3cret",
        b"HTTP/1.1 302 Found\r\nLocation: http://sk-s3cret-0123456789.example/sk-s3cret\r\n\r\n",
        b"HTTP/1.1 200 sk-s3cret\r\nBad header sk-s3cret\r\n\r\n",
        b"sk-s3cret",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: sk-s3cret\r\nContent-Length: 9\r\n\r\nsk-s3cret",
        b"HTTP/1.1 429 No\r\nRetry-After: sk-s3cret\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_no_error_shows_what_a_url_or_a_server_says(said: bytes) -> None:
    async with raw_site(said) as url:
        error = await failure(f"{url}/sk-s3cret?key=sk-s3cret#sk-s3cret")
    assert "s3cret" not in "".join(traceback.format_exception(error))


async def test_being_cancelled_passes_and_leaves_the_place(session: Session) -> None:
    async with raw_site(hold=5) as url:
        watched = source(url, concurrency=1)
        waiting = asyncio.create_task(session.get(url, source=watched))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert all(host.active == 0 for host in session._limits._hosts.values())


@pytest.mark.parametrize(("status", "method"), [(303, "GET"), (307, "POST"), (308, "POST")])
async def test_a_post_that_sees_other_goes_on_as_a_get(session: Session, status: int, method: str) -> None:
    asked: list[tuple[str, str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append((request.method, request.headers.get("Content-Type", ""), await request.text()))
        if request.path == "/list":
            return web.Response(status=status, headers={"Location": "/result"})
        return web.Response(text="page")

    async with site(handle) as url:
        await session.get(f"{url}/list", source=source(url), body="a=b")
    form = "application/x-www-form-urlencoded"
    assert asked[0] == ("POST", form, "a=b")
    assert asked[1] == (("POST", form, "a=b") if method == "POST" else ("GET", "", ""))


async def test_two_ports_of_a_host_share_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_is_own", lambda _host: False)  # as if 127.0.0.1 were somebody else's
    left: list[float] = []

    async def handle(_request: web.Request) -> web.Response:
        left.append(monotonic())
        return web.Response(text="page")

    async with Session(http_config()) as session, site(handle) as one, site(handle) as other:
        for url in (one, other):
            await session.get(url, source=source(url, rate=Rate(1, 0.5)))
    assert left[1] - left[0] >= 0.4
