"""One polite way to get a page: bounded in time, size and redirects, and never to an address that is not public."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from types import SimpleNamespace, TracebackType
from typing import Final, Self

import aiohttp
import structlog
from multidict import CIMultiDict
from yarl import URL

from leakwatch.addresses import socket_factory
from leakwatch.config import GitConfig, HttpConfig
from leakwatch.errors import BadContent, BadRedirect, Blocked, FetchError, RateLimited, Unreachable
from leakwatch.fetch import apps, quota, redirects, robots
from leakwatch.fetch.answer import read, says_limit, tags, unchanged
from leakwatch.fetch.body import ENCODINGS, Broken
from leakwatch.fetch.failures import LONGEST_PAUSE, from_exception, from_status
from leakwatch.fetch.git import Git
from leakwatch.fetch.limits import PATIENCE, Limits, Resting, Turn, shared
from leakwatch.fetch.page import Page, Validators
from leakwatch.fetch.proxies import PROXY_ERRORS, connector
from leakwatch.fetch.quota import Quota
from leakwatch.fetch.redirects import Onward
from leakwatch.fetch.robots import Robots, keeps_out
from leakwatch.fetch.source import Source
from leakwatch.fetch.tokens import Known, NoToken, Taken, Tokens, Unmade
from leakwatch.model import Reference, Via, now
from leakwatch.units import Rate

log: Final = structlog.get_logger(__name__)
Observe = Callable[[str, str, int], None]
"""Told of every request: the source, "ok" or the failure's reason, and the bytes of body that came."""

_CONDITIONS: Final = frozenset({"If-None-Match", "If-Modified-Since"})
_NO_VALIDATORS: Final = Validators()
_TYPE: Final = "Content-Type"
_JSON: Final = "application/json"
_ANSWER: Final = 100_000  # bytes of an answer with a token
_FORM: Final = "application/x-www-form-urlencoded"


class Session:
    """Gets pages for all sources, and knows what their hosts asked for. Use it as an async context manager."""

    def __init__(
        self,
        http: HttpConfig,
        git: GitConfig | None = None,
        *,
        observe: Observe = lambda _source, _outcome, _size: None,
    ) -> None:
        self._http = http
        self.git = Git(git or GitConfig(), http, self._git_turn)
        self._observe = observe
        self._limits = Limits()
        self._clients: dict[tuple[str, str], aiohttp.ClientSession] = {}  # by proxy and password; "": directly
        self._resting: dict[str, float] = {}  # until when a source is paused, by name
        self._is_open = False
        self._known: dict[str, Known] = {}  # of the tokens of a site, by its base URL
        self.robots = Robots(http.user_agent, self._robots_txt)

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    def _client(self, source: Source) -> aiohttp.ClientSession:
        """Return the client that goes this way."""
        if not self._is_open:
            message = "the session is not open: use it with `async with`"
            raise RuntimeError(message)
        way = source.proxy, source.proxy_password
        if way not in self._clients:
            self._clients[way] = self._made(*way)
        return self._clients[way]

    def _made(self, proxy: str, password: str) -> aiohttp.ClientSession:
        http = self._http
        # Our limits decide how many connections there are; the connector only refuses addresses.
        direct = partial(aiohttp.TCPConnector, limit=0, socket_factory=socket_factory(http.networks))
        return aiohttp.ClientSession(
            connector=connector(proxy, http.networks, password) if proxy else direct(),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # a proxy would resolve names for us, past the refusal of addresses
            headers={"User-Agent": http.user_agent, "Accept-Encoding": ENCODINGS},
            trace_configs=[_departures()],
            timeout=aiohttp.ClientTimeout(
                total=http.total_timeout, connect=http.connect_timeout, sock_read=http.read_timeout
            ),
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self.git.close()
        await self.robots.close()
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def get(  # noqa: PLR0913 - what there is to say of a request
        self,
        url: str,
        *,
        source: Source,
        validators: Validators = _NO_VALIDATORS,
        max_bytes: int | None = None,
        accept: str = "*/*",
        body: str | None = None,
        rate: Rate | None = None,
    ) -> Page:
        """Get a page, through redirects within the source's own hosts, if robots.txt allows. Raises FetchError.

        A body over ``max_bytes`` (the source's, unless given) is cut there and says so. With ``body`` it is a POST;
        with ``rate`` no token makes more of them.
        """
        await self._rest(source)
        asks = {"Accept": accept}
        if body is not None:
            asks[_TYPE] = _JSON if body.lstrip()[:1] in ("{", "[") else _FORM
        if validators.etag:
            asks["If-None-Match"] = validators.etag
        if validators.last_modified:
            asks["If-Modified-Since"] = validators.last_modified
        ask = _Ask(asks, max_bytes or source.max_bytes, body, rate=rate)
        return await self._through(redirects.parse(url, source), source, ask)

    async def _robots_txt(self, url: URL, source: Source) -> Page:
        """Get a robots.txt, for which no leave is needed."""
        return await self._through(url, source, _Ask({"Accept": "text/plain, */*;q=0.5"}, robots.MOST_BYTES, free=True))

    async def _through(self, target: URL, source: Source, ask: "_Ask") -> Page:
        """Follow redirects to a page."""
        most = robots.REDIRECTS if ask.free else self._http.redirects
        for number in range(most + 1):
            answer = await self._turn(target, source, replace(ask, redirects=number))
            if isinstance(answer, Page):
                return answer
            target = redirects.follow(target, answer.location, source, anywhere=ask.free)
            ask = ask.as_get() if answer.is_get else ask
        message = f"{source.name}: {target.host} redirects more than {most} times"
        raise BadRedirect(message, mend="set base_url to where the site is now, or raise http.redirects")

    async def _turn(self, url: URL, source: Source, ask: "_Ask") -> Page | Onward:
        """Make one request when it is its turn: a page, or where the server sends us instead."""
        host = shared(url)
        rate = source.rate
        if not ask.free:
            delay = await self.robots.check(url, source)
            rate = Rate(1, delay) if delay > rate.interval else rate
        pool = self._pool(source) if url.origin() in source.home else None
        if pool:  # whoever waits for a token holds up nobody else at the host
            await pool.ready(source.path_of(url), str(url.host), ask.rate)
        async with self._limits.turn(host, rate, source.concurrency) as turn:
            try:
                answer = await (
                    self._charged(pool, url, source, ask, turn) if pool else self._exchange(url, source, ask, turn)
                )
            except FetchError as error:
                if pool is None and isinstance(error, RateLimited) and error.retry_after:
                    self._limits.pause(host, error.retry_after)
                if not isinstance(error, Resting | NoToken):
                    self._observe(source.name, error.reason, 0)
                raise
            if pool is None and isinstance(answer, Page) and answer.quota.pause:
                self._limits.pause(host, answer.quota.pause)
            self._observe(source.name, "ok", answer.wire if isinstance(answer, Page) else 0)
            return answer

    def _pool(self, source: Source) -> Tokens | None:
        """Return the source's tokens: whoever names the same ones shares what they may ask."""
        if not source.is_known_there:
            return None
        return Tokens(source.tokens, source.apps, known=self._known.setdefault(_site(source), Known()))

    def faults(self, source: Source) -> tuple[str, ...]:
        """Say which of a source's tokens are not accepted now, and why."""
        pool = self._pool(source)
        return tuple(pool.faults()) if pool else ()

    async def prove(self, source: Source) -> None:
        """Have a token made for each of a source's Apps that has none: `faults` says which have failed."""
        pool = self._pool(source)
        if pool is None:
            return
        for unmade in await pool.unmade():
            async with self._limits.turn(shared(URL(source.base_url)), source.rate, source.concurrency) as turn:
                await self._make(pool, unmade, source, turn)

    async def _charged(self, pool: Tokens, url: URL, source: Source, ask: "_Ask", turn: Turn) -> Page | Onward:
        """Make one request with a token that can afford it, and with another one if that is not accepted.

        The token is taken last, when the request may leave: while it waited, its token could be told to rest.
        """
        while True:
            taken = await self._taken(pool, url, source, ask, turn)
            told, failure = _Told(), None
            try:
                return await self._exchange(url, source, replace(ask, secret=taken.value, told=told), turn)
            except FetchError as error:
                failure = error
                if told.status != HTTPStatus.UNAUTHORIZED:
                    raise
            finally:
                await pool.settle(taken, told.quota, failure)
            self._observe(source.name, failure.reason, 0)
            mend = "make another one and write it into token_file; then send SIGHUP"
            await pool.refuse(taken, Blocked(f"{url.host} does not accept the token (401)", mend=mend))
            await turn.again()

    async def _taken(self, pool: Tokens, url: URL, source: Source, ask: "_Ask", turn: Turn) -> Taken:
        """Take a token that can afford a request, after it was made if need be. Raises Resting, NoToken."""
        while True:
            try:
                taken = await pool.take(source.path_of(url), str(url.host), ask.rate, at_once=True)
            except FetchError:
                turn.end()  # nothing leaves
                raise
            if isinstance(taken, Taken):
                return taken
            await self._make(pool, taken, source, turn)
            await turn.again()

    async def _make(self, pool: Tokens, unmade: Unmade, source: Source, turn: Turn) -> None:
        """Have an App's token made, with a request before the turn's own. It is a login: no robots.txt speaks of it."""
        result: apps.Given | FetchError = Unreachable(f"{unmade.app}: nobody waited for its token")
        told, url = _Told(), URL(source.app_url(unmade.app))
        try:
            proof = await asyncio.to_thread(unmade.app.proof, now())
            ask = _Ask({"Accept": _JSON}, _ANSWER, body="", secret=proof, told=told)
            answer = await self._exchange(url, source, ask, turn)
            if isinstance(answer, Onward):
                message = f"{unmade.app}: {url.host} leads elsewhere"
                raise BadRedirect(message, mend="set base_url to where the site's REST API is now")
            result = apps.given(unmade.app, answer.text())
            self._observe(source.name, "ok", answer.wire)
        except FetchError as error:
            result = apps.refused(unmade.app, error, told.status)
            log.warning("an App gives no token", source=source.name, app=unmade.app.id, reason=result.reason)
            self._observe(source.name, error.reason, 0)
        finally:
            await pool.made(unmade, result)

    async def locate(self, source: Source, reference: Reference) -> Reference:
        """Return a reference with all that can be said of where it stands. Raises FetchError."""
        return await self.git.locate(source, reference) if reference.via is Via.OBJECT else reference

    @asynccontextmanager
    async def _git_turn(self, url: str, source: Source) -> AsyncIterator[None]:
        """Have git wait for its turn at a host, as one request."""
        parts = URL(url)
        if not parts.host:  # a folder
            yield
            return
        host = shared(parts)
        async with self._limits.turn(host, source.rate, source.concurrency) as turn:
            turn.sent()  # git does not say when; the others need not wait until it has come back
            try:
                yield
            except FetchError as error:
                if isinstance(error, RateLimited) and error.retry_after:
                    self._limits.pause(host, error.retry_after)
                self._observe(source.name, error.reason, 0)
                raise
            self._observe(source.name, "ok", 0)

    def pause(self, source: Source, seconds: float) -> None:
        """Ask nothing for a source for so many seconds: a page of it said so. It says nothing of others on its host."""
        self._resting[source.name] = asyncio.get_running_loop().time() + min(seconds, LONGEST_PAUSE)

    async def _rest(self, source: Source) -> None:
        """Wait while a source is paused. Raises Resting where that is long."""
        left = self._resting.get(source.name, 0.0) - asyncio.get_running_loop().time()
        if left > PATIENCE:
            message = f"{source.name}: its pages asked us to wait another {left:.0f} s"
            raise Resting(message, mend="it is tried again then", retry_after=left)
        if left > 0:
            await asyncio.sleep(left)

    async def _exchange(self, url: URL, source: Source, ask: "_Ask", turn: Turn) -> Page | Onward:
        where = f"{source.name}: {url.host}"
        headers = CIMultiDict(source.headers_with(ask.secret) if url.origin() in source.home else {})
        headers.update(ask.headers)
        method = "GET" if ask.body is None else "POST"
        data = None if ask.body is None else ask.body.encode()
        client = self._client(source)
        try:
            async with client.request(
                method, url, headers=headers, data=data, allow_redirects=False, trace_request_ctx=turn
            ) as response:
                said = quota.read(response.headers)
                if ask.told is not None:
                    ask.told.quota, ask.told.status = said, response.status
                if response.status in redirects.STATUSES and "Location" in response.headers:
                    return Onward(status=response.status, location=response.headers["Location"])
                if response.status == HTTPStatus.NOT_MODIFIED and not _CONDITIONS.isdisjoint(ask.headers):
                    return unchanged(response, ask.redirects)
                if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    limited = response.status == HTTPStatus.FORBIDDEN and await says_limit(response)
                    spent = said.pause if said.left == 0 else None
                    raise from_status(response.status, response.headers, where, spent=spent, limited=limited)
                if source.robots == "obey" and keeps_out(tags(response), self.robots.agent):
                    mend = 'ask the site\'s operator; if they agree, set robots = "ignore" for this source'
                    raise Blocked(f"{where} tells {self.robots.agent} by X-Robots-Tag to stay away", mend=mend)
                return await read(response, ask.cap, ask.redirects)
        except FetchError:
            raise
        except Broken as broken:
            message = f"{where} answered with a body that {broken}"
            raise BadContent(message, mend="the site's compression is at fault; ask its operator") from None
        except PROXY_ERRORS as error:
            message = f"{where} cannot be reached through the proxy ({type(error).__name__})"
            raise Unreachable(message, mend="check the source's proxy; it is tried again") from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:  # TimeoutError is an OSError
            # `from None`: the original's text or its request's URL may hold a key, and a traceback would show it.
            raise from_exception(error, self._http, where) from None


def _site(source: Source) -> str:
    """Return by what the site whose API a source asks is known, however its address is written."""
    return str(URL(source.base_url)).rstrip("/")


def _departures() -> aiohttp.TraceConfig:
    """Tell each request's turn when it leaves."""

    async def sent(_client: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
        context.trace_request_ctx.sent()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(sent)
    return trace


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request, as far as it does not depend on where it goes."""

    headers: Mapping[str, str] = field(repr=False)
    cap: int  # bytes of the body
    body: str | None = field(default=None, repr=False)  # of a POST
    free: bool = False  # robots.txt is not asked
    secret: str = field(default="", repr=False)  # the token to show to the base URL's host
    told: "_Told | None" = None  # where what the answer says of the token is put
    redirects: int = 0  # so far
    rate: Rate | None = None  # that each token keeps to

    def as_get(self) -> "_Ask":
        """Return the request for what a POST leads to."""
        return replace(self, headers={k: v for k, v in self.headers.items() if k != _TYPE}, body=None)


@dataclass(slots=True)
class _Told:
    """What an answer says of how much may be asked, whatever else it says."""

    quota: Quota | None = None
    status: int = 0
