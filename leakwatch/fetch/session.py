"""One polite way to get a page: bounded in time, size and redirects, and never to an address that is not public."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from leakwatch.addresses import socket_factory
from leakwatch.config import HttpConfig
from leakwatch.errors import BadContent, BadRedirect, FetchError, RateLimited
from leakwatch.fetch.body import ENCODINGS, Body, Broken
from leakwatch.fetch.failures import from_exception, from_status, shown
from leakwatch.fetch.limits import Limits
from leakwatch.fetch.page import Page, Validators
from leakwatch.fetch.source import Source

Observe = Callable[[str, str, int], None]
"""Told of every request: the source, "ok" or the failure's reason, and the bytes of body that came."""

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_CONDITIONS: Final = frozenset({"If-None-Match", "If-Modified-Since"})
_NO_VALIDATORS: Final = Validators()
_LONGEST_VALIDATOR: Final = 512


class Session:
    """Gets pages for all sources, and knows what their hosts asked for. Use it as an async context manager."""

    def __init__(self, http: HttpConfig, *, observe: Observe = lambda _source, _outcome, _size: None) -> None:
        self._http = http
        self._observe = observe
        self._limits = Limits()
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        http = self._http
        self._client = aiohttp.ClientSession(
            # Our limits decide how many connections there are; the connector only refuses addresses.
            connector=aiohttp.TCPConnector(limit=0, socket_factory=socket_factory(http.networks)),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # a proxy would resolve names for us, past the refusal of addresses
            headers={"User-Agent": http.user_agent, "Accept-Encoding": ENCODINGS},
            timeout=aiohttp.ClientTimeout(
                total=http.total_timeout, connect=http.connect_timeout, sock_read=http.read_timeout
            ),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def get(
        self,
        url: str,
        *,
        source: Source,
        validators: Validators = _NO_VALIDATORS,
        max_bytes: int | None = None,
        accept: str = "*/*",
    ) -> Page:
        """Get a page, through redirects within the source's own hosts. Raises FetchError.

        A body over ``max_bytes`` (the source's, unless given) is cut there and says so.
        """
        target = _parse(url, source)
        asks = {"Accept": accept}
        if validators.etag:
            asks["If-None-Match"] = validators.etag
        if validators.last_modified:
            asks["If-Modified-Since"] = validators.last_modified
        for redirects in range(self._http.redirects + 1):
            answer = await self._ask(target, source, asks, max_bytes or source.max_bytes, redirects)
            if isinstance(answer, Page):
                return answer
            target = _follow(target, answer, source)
        message = f"{source.name}: {target.host} redirects more than {self._http.redirects} times"
        raise BadRedirect(message, mend="set base_url to where the site is now, or raise http.redirects")

    async def _ask(self, url: URL, source: Source, asks: Mapping[str, str], cap: int, redirects: int) -> Page | str:
        """Make one request: a page, or where the server sends us instead."""
        host = f"{url.host}:{url.port}"
        async with self._limits.turn(host, source.rate, source.concurrency):
            try:
                answer = await self._exchange(url, source, asks, cap, redirects)
            except FetchError as error:
                if isinstance(error, RateLimited) and error.retry_after:
                    self._limits.pause(host, error.retry_after)
                self._observe(source.name, error.reason, 0)
                raise
            self._observe(source.name, "ok", answer.wire if isinstance(answer, Page) else 0)
            return answer

    async def _exchange(
        self, url: URL, source: Source, asks: Mapping[str, str], cap: int, redirects: int
    ) -> Page | str:
        if self._client is None:
            message = "the session is not open: use it with `async with`"
            raise RuntimeError(message)
        where = f"{source.name}: {url.host}"
        headers = {**source.definition.headers, **asks} if url.origin() in source.home else asks
        try:
            async with self._client.get(url, headers=headers, allow_redirects=False) as response:
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return response.headers["Location"]
                if response.status == HTTPStatus.NOT_MODIFIED and not _CONDITIONS.isdisjoint(asks):
                    return Page(url=str(url), status=response.status, not_modified=True, redirects=redirects)
                if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    raise from_status(response.status, response.headers, where)
                return await _read(response, cap, redirects)
        except FetchError:
            raise
        except Broken as broken:
            message = f"{where} answered with a body that {broken}"
            raise BadContent(message, mend="the site's compression is at fault; ask its operator") from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:  # TimeoutError is an OSError
            # `from None`: the original's text or its request's URL may hold a key, and a traceback would show it.
            raise from_exception(error, self._http, where) from None


async def _read(response: aiohttp.ClientResponse, cap: int, redirects: int) -> Page:
    headers = response.headers
    body = Body(headers.get("Content-Encoding", ""), cap)
    async for chunk in response.content.iter_any():
        if not body.take(chunk):
            response.close()  # the rest is not wanted, and not waited for
            break
    return Page(
        url=str(response.url),
        status=response.status,
        body=body.whole(),
        content_type=headers.get("Content-Type", ""),
        validators=Validators(etag=_usable(headers, "ETag"), last_modified=_usable(headers, "Last-Modified")),
        truncated=body.truncated,
        wire=body.wire,
        redirects=redirects,
    )


def _usable(headers: Mapping[str, str], name: str) -> str:
    """A header that we may send back: what we could not, we must not keep, or every later poll would fail."""
    value = headers.get(name, "")
    return value if value.isascii() and value.isprintable() and len(value) <= _LONGEST_VALIDATOR else ""


def _parse(url: str, source: Source) -> URL:
    try:
        target = URL(url)
        allowed = source.allows(target)
    except ValueError:
        message = f"{source.name}: an address that cannot be read"
        raise BadContent(message, mend="check the definition's url fields and templates") from None
    if not allowed:
        message = f"{source.name}: a document on {shown(target.host)}, which is not one of the source's hosts"
        raise BadRedirect(message, mend="add it to the definition's hosts if it is meant")
    return target


def _follow(origin: URL, location: str, source: Source) -> URL:
    """Return where a redirect leads. Raises BadRedirect if we don't go there."""
    try:
        target = origin.join(URL(location)).with_fragment(None).with_user(None)
        allowed = source.allows(target)
    except ValueError:
        message = f"{source.name}: {origin.host} redirects to an address that cannot be read"
        raise BadRedirect(message, mend="the site is at fault; ask its operator") from None
    if not allowed:
        message = f"{source.name}: {origin.host} redirects to {shown(target.host)}"
        raise BadRedirect(message, mend="if the site moved, change base_url; if documents live there, add it to hosts")
    if origin.scheme == "https" and target.scheme == "http":
        message = f"{source.name}: {origin.host} redirects from https to http"
        raise BadRedirect(message, mend="the site is at fault; or write base_url with http, if that is acceptable")
    return target
