"""Sites on loopback that do as a test says, and sources that poll them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from leakwatch.config import HttpConfig
from leakwatch.definitions import Definition
from leakwatch.fetch.source import Source
from leakwatch.toml import parse
from leakwatch.units import Rate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SAMPLE = """
[[sample]]
origin = "constructed"
source = "this test"
body = ""
expect = []
"""

HTML = """
name = "site"
title = "A site"
kind = "html"
[listing]
url = "{base_url}/recent"
items = "li"
[fields]
id = "a@href"
url = "a@href"
title = "a"
"""


def http_config(**settings: Any) -> HttpConfig:
    """The configuration of a session that may reach loopback."""
    loopback = {"user_agent": "leakwatch test (test@issuer.example)", "allow_networks": ["127.0.0.0/8", "::1/128"]}
    return HttpConfig(**{**loopback, **settings})


def definition(toml: str = HTML) -> Definition:
    return parse(toml + SAMPLE, Definition, file="site.toml")


def source(base_url: str, toml: str = HTML, **settings: Any) -> Source:
    """A source on that site, without limits that would slow a test down."""
    plain = {"every": 60.0, "rate": Rate(100_000, 1.0), "concurrency": 8, "max_bytes": 1_000_000, "robots": "ignore"}
    return Source(name="site", definition=definition(toml), base_url=base_url, **{**plain, **settings})


@asynccontextmanager
async def site(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve every path with one handler; yields the base URL."""

    async def handle(request: web.Request) -> web.StreamResponse:  # aiohttp wants a function, not an object
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate for loopback that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(hours=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "site.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@asynccontextmanager
async def raw_site(*pieces: bytes, hold: float = 0.0, reset: bool = False) -> AsyncIterator[str]:
    """Answer every connection with these bytes, and no HTTP server's manners: hold it open, or reset it."""
    connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            await asyncio.sleep(hold)
            if reset:
                writer.transport.abort()
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


def answer(body: str | bytes = "", status: int = 200, **headers: str) -> Handler:
    """A handler that always says the same; ``Retry_After`` becomes ``Retry-After``."""

    async def handle(_request: web.Request) -> web.StreamResponse:
        raw = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=raw, status=status, headers=named)

    return handle
