"""Two servers on loopback: a paste site as simple as they come, and a mail server that keeps what it is given.

The demo runs the daemon between them, and so do the tests.
"""

import asyncio
import html
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class PasteSite:
    """A paste site as simple as they come: a listing of what is recent, and the pastes."""

    def __init__(self) -> None:
        self.pastes: list[tuple[str, str]] = []
        self.gone: set[int] = set()  # numbers of pastes that are listed and not there
        self.hidden = 0  # so many of the oldest are not listed any more
        self.url = ""

    def publish(self, title: str, text: str) -> None:
        """Make a paste public."""
        self.pastes.append((title, text))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["PasteSite"]:
        """Serve on a free port of loopback."""
        app = web.Application()
        app.router.add_get("/recent", self._recent)
        app.router.add_get("/raw/{number}", self._raw)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        listening = free_socket()
        await web.SockSite(runner, listening).start()
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _recent(self, _request: web.Request) -> web.Response:
        newest = reversed(list(enumerate(self.pastes))[self.hidden :])
        rows = "".join(f'<li><a href="/raw/{n}">{html.escape(title)}</a></li>' for n, (title, _) in newest)
        return web.Response(text=f"<!doctype html><ul>{rows}</ul>", content_type="text/html")

    async def _raw(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        if number in self.gone:
            raise web.HTTPNotFound
        return web.Response(text=self.pastes[number][1])


class Mailbox:
    """A mail server on loopback that keeps what it is given (a handler of aiosmtpd)."""

    def __init__(self) -> None:
        self.mails: list[tuple[float, str, bytes]] = []  # when, to whom, the mail as it came
        self.refused: dict[str, str] = {}  # what to answer to whom instead of accepting
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Accept every recipient but the refused."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 welcome"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Accept every mail."""
        self.mails += [(time.monotonic(), address, envelope.content) for address in envelope.rcpt_tos]
        return "250 2.0.0 kept"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Mailbox"]:
        """Serve on a free port of loopback."""
        from aiosmtpd.smtp import SMTP  # noqa: PLC0415 - of the extra `demo`: the daemon does without

        listening = free_socket()
        self.port = listening.getsockname()[1]
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="demo.example", loop=loop), sock=listening)
        try:
            yield self
        finally:
            server.close()


def free_socket(address: str = "127.0.0.1") -> socket.socket:
    """Return a socket that is bound to a free port of loopback."""
    listening = socket.socket()
    listening.bind((address, 0))
    return listening


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with free_socket() as listening:
        return int(listening.getsockname()[1])
