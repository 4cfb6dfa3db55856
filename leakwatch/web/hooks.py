"""Where sites tell what has changed there: `/hooks/NAME`, for a source whose push secret they know.

Nobody else learns anything: not which sources there are, nor which of them take pushes.
"""

import asyncio
from http import HTTPStatus
from typing import Final, final

import structlog
from aiohttp import web

from leakwatch import metrics
from leakwatch.errors import Blocked, DatabaseDown, FetchError
from leakwatch.fetch.source import Source
from leakwatch.pushes import MOST, Pushes
from leakwatch.web.limits import Limiter, Networks, client

log: Final = structlog.get_logger(__name__)
PATH: Final = "/hooks/{source}"
_BURST: Final = 60  # requests of one client at once …
_INTERVAL: Final = 1.0  # … and then one in so many seconds
_PATIENCE: Final = 10.0  # seconds that a body may take


@final
class Hooks:
    """Lets pushes in, or not."""

    def __init__(self, pushes: Pushes, proxies: Networks) -> None:
        """`proxies` are believed about who asks."""
        self._pushes = pushes
        self._proxies = proxies
        self._limiter = Limiter(burst=_BURST, interval=_INTERVAL)

    def routes(self) -> list[web.RouteDef]:
        """Return what is served, and how."""
        return [web.post(PATH, self._told)]

    async def _told(self, request: web.Request) -> web.Response:
        wait = self._limiter.wait(client(request, self._proxies))
        if wait:
            return _said(HTTPStatus.TOO_MANY_REQUESTS, **{"Retry-After": str(int(wait) + 1)})
        name = request.match_info["source"]
        asked = self._pushes.sender(name, request.headers, None)
        if asked is None:  # before a byte of the body is read
            return self._refused(name)
        # Who has only shown a signature is nobody yet, and is told no more than who comes to no source at all.
        is_sure = asked.definition.push is not None and asked.definition.push.check == "secret"
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await _body(request)
        except TimeoutError:
            return _said(HTTPStatus.REQUEST_TIMEOUT) if is_sure else self._refused(name)
        if body is None:
            return _said(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) if is_sure else self._refused(name)
        source = self._pushes.sender(name, request.headers, body)
        return self._refused(name) if source is None else await self._taken(source, body)

    def _refused(self, name: str) -> web.Response:
        """Let nobody in; of a source that takes pushes it is counted, for an operator who waits for them in vain."""
        if self._pushes.takes(name):
            metrics.told(name, Blocked.reason)
        return _said(HTTPStatus.FORBIDDEN)

    async def _taken(self, source: Source, body: bytes) -> web.Response:
        try:
            await self._pushes.take(source, body.decode("utf-8", "replace"))
        except FetchError as error:
            log.warning("a push could not be read", source=source.name, reason=error.reason, detail=str(error))
            metrics.told(source.name, error.reason)
            return _said(HTTPStatus.UNPROCESSABLE_ENTITY)
        except DatabaseDown as error:
            metrics.told(source.name, error.reason)
            return _said(HTTPStatus.SERVICE_UNAVAILABLE)
        metrics.told(source.name, metrics.OK)
        return _said(HTTPStatus.ACCEPTED)


async def _body(request: web.Request) -> bytes | None:
    """Return a body, or None where it is longer than a push is."""
    if (request.content_length or 0) > MOST:
        return None
    body = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MOST:
            return None
    return bytes(body)


def _said(status: HTTPStatus, **headers: str) -> web.Response:
    return web.Response(status=status, text=f"{status.phrase}\n", headers=headers)
