"""A site that answers as fast as this machine can: the newest documents in a listing, all from memory.

    python -m benchmarks.site PORT LISTED SIZE RATE

It lists LISTED documents of SIZE bytes each; RATE new ones appear every second. `POST /publish?text=…` adds one of its
own, and a listing that has not changed is "not modified" to who asks.
"""

import asyncio
import json
import sys
import time
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import unquote_plus

import uvloop

_LINE: Final = b"x = 'some text that is no key at all, but code like any other'\n"
_END: Final = b"\r\n\r\n"


class Site:
    """What there is to see."""

    def __init__(self, listed: int, size: int, rate: int) -> None:
        self._listed = listed
        self._rate = rate
        self._document = (_LINE * (size // len(_LINE) + 1))[:size]
        self._own: list[bytes] = []
        self._began = time.monotonic()

    def answer(self, request: bytes) -> bytes:
        """Return the whole answer to a request's head."""
        method, path, _ = request.split(b"\r\n", 1)[0].decode().split(" ", 2)
        if path == "/list":
            return self._list(request)
        if method == "POST":
            self._own.append(unquote_plus(path.partition("text=")[2]).encode())
            return _answer(b"")
        number = path.rpartition("/")[2]
        return _answer(self._own[int(number[1:])] if number.startswith("k") else self._document)

    def _list(self, request: bytes) -> bytes:
        newest = self._listed + int(self._rate * (time.monotonic() - self._began))
        etag = f'"{newest}-{len(self._own)}"'
        if f"If-None-Match: {etag}".encode() in request:
            return _answer(b"", HTTPStatus.NOT_MODIFIED)
        names = [*(f"k{n}" for n in range(len(self._own))), *map(str, range(newest - self._listed, newest))]
        body = json.dumps([{"id": name, "url": f"/raw/{name}"} for name in names]).encode()
        return _answer(body, kind="application/json", etag=etag)


def _answer(body: bytes, status: HTTPStatus = HTTPStatus.OK, *, kind: str = "text/plain", etag: str = "") -> bytes:
    more = f"ETag: {etag}\r\n" if etag else ""
    head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, site: Site) -> None:
        self._site = site
        self._waiting = b""
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (end := self._waiting.find(_END)) >= 0:
            request, self._waiting = self._waiting[:end], self._waiting[end + len(_END) :]
            cast(asyncio.Transport, self._transport).write(self._site.answer(request))  # uvloop's says that it is none


async def _serve(port: int, listed: int, size: int, rate: int) -> None:
    site = Site(listed, size, rate)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(site), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(*(int(argument) for argument in sys.argv[1:5])))
