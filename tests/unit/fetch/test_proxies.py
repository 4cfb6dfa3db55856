"""Through a proxy: what it is told to connect to, and that it fetches nobody's own network for a page."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from leakwatch.errors import FetchError, ForbiddenAddress, Unreachable
from leakwatch.fetch import Session
from tests.unit.fetch.sites import answer, http_config, self_signed, site, source


class Proxy:
    """A SOCKS5 or HTTP CONNECT proxy that goes where it is told, by address or name, and remembers."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.told: list[str] = []
        self.goes: dict[str, str] = {}  # names that it resolves itself
        self.url = ""
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"{self.scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._tunnel(reader, writer)
        finally:
            writer.transport.abort()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            host, port = await (self._connect if self.scheme == "http" else self._socks)(reader, writer)
            self.told.append(host)
            there = await asyncio.open_connection(self.goes.get(host, host), port)
        except (OSError, asyncio.IncompleteReadError):
            return
        done = b"HTTP/1.1 200 OK\r\n\r\n" if self.scheme == "http" else b"\x05\x00\x00\x01\0\0\0\0\0\0"
        writer.write(done)
        try:
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        finally:
            there[1].transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> tuple[str, int]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = urlsplit(f"//{head.split()[1]}")
        return target.hostname or "", target.port or 0

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        methods = (await reader.readexactly(2))[1]
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, await reader.readexactly(size))
        return host, struct.unpack("!H", await reader.readexactly(2))[0]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def fetched(url: str, proxy: str, **http: Any) -> str | FetchError:
    async with Session(http_config(**http)) as session:
        try:
            return (await session.get(url, source=source(url, proxy=proxy))).text()
        except FetchError as error:
            return error


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_name_is_resolved_here_and_the_proxy_is_told_an_address(scheme: str) -> None:
    async with site(answer("page")) as url, Proxy(scheme).serving() as proxy:
        assert await fetched(url.replace("127.0.0.1", "localhost"), proxy.url) == "page"
    assert proxy.told[0] in ("127.0.0.1", "::1")


async def test_with_socks5h_the_proxy_resolves_as_tor_must() -> None:
    async with site(answer("page")) as url, Proxy("socks5h").serving() as proxy:
        proxy.goes = {"abcdef.onion": "127.0.0.1"}
        assert await fetched(url.replace("127.0.0.1", "abcdef.onion"), proxy.url) == "page"
    assert proxy.told == ["abcdef.onion"]


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "10.1.2.3", "[fd00:ec2::254]"]
)
async def test_an_address_of_a_network_is_refused_before_the_proxy_hears_of_it(scheme: str, host: str) -> None:
    async with Proxy(scheme).serving() as proxy:
        error = await fetched(f"http://{host}:8080/", proxy.url, allow_networks=[])
    assert isinstance(error, ForbiddenAddress), error
    assert proxy.told == []


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1"])
async def test_a_name_that_leads_into_a_network_is_refused_before_the_proxy_hears_of_it(scheme: str, host: str) -> None:
    async with Proxy(scheme).serving() as proxy:
        error = await fetched(f"http://{host}:8080/", proxy.url, allow_networks=[])
    assert isinstance(error, ForbiddenAddress), error
    assert proxy.told == []


async def test_a_certificate_is_checked_for_the_name_though_the_proxy_has_an_address(tmp_path: Path) -> None:
    tls: ssl.SSLContext = self_signed(tmp_path)
    async with site(answer("page"), tls=tls) as url, Proxy("socks5").serving() as proxy:
        error = await fetched(url, proxy.url)
    assert isinstance(error, Unreachable), error
    assert "speaks no TLS that we trust" in error.message
    assert proxy.told == ["127.0.0.1"]


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_is_away_or_refuses_is_told(scheme: str) -> None:
    async with Proxy(scheme).serving() as proxy:
        pass
    error = await fetched("http://127.0.0.1:1/", proxy.url)
    assert isinstance(error, Unreachable), error
    async with Proxy(scheme).serving() as proxy:
        error = await fetched("http://127.0.0.1:1/", proxy.url)  # it cannot connect, and hangs up
    assert isinstance(error, Unreachable), error
    assert "through the proxy" in error.message
    assert "the source's proxy" in error.mend
