"""robots.txt (RFC 9309), read by Protego, and kept for each origin as long as the RFC allows.

==================================  ====================================================================
answer                              what we do
==================================  ====================================================================
2xx                                 obey it, as far as it names us or everybody
4xx but 429                         there are no rules
redirect                            follow it, five times at most, to other hosts too: what is there are the rules
429, 5xx, no answer, or a redirect  nothing may be fetched: the error is a poll's own, and passes with it
that leads nowhere
==================================  ====================================================================
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from protego import Protego
from yarl import URL

from leakwatch.errors import BadContent, BadRedirect, BadStatus, Blocked, FetchError, Gone, RateLimited, ServerFault
from leakwatch.fetch.failures import shown
from leakwatch.fetch.page import Page
from leakwatch.fetch.source import Source

MOST_BYTES: Final = 512_000  # what the RFC wants read at least
_KEPT: Final = 86_400.0  # seconds; the RFC's "should not use the cached version for more than 24 hours"
_KEPT_FAILURE: Final = 300.0  # seconds until a robots.txt is asked for again that could not be had
_LONGEST_DELAY: Final = 3600.0  # seconds between two requests that a robots.txt may ask of us
_REMEMBERED: Final = 1024  # origins
REDIRECTS: Final = 5  # that are followed: what the RFC wants at least
_NONE: Final = (Gone, Blocked, BadStatus, BadContent)
_KEEP_OUT: Final = frozenset({"none", "noindex", "noai"})

Ask = Callable[[URL, Source], Awaitable[Page]]
"""Gets a page without asking for leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an origin's robots.txt says to us."""

    found: Protego | None  # None: there is none
    agent: str
    delay: float  # seconds between two requests; 0: it does not say

    def allow(self, url: URL) -> bool:
        """Whether we may fetch that address."""
        return self.found is None or self.found.can_fetch(str(url), self.agent)


@dataclass(slots=True)
class _Kept:
    rules: "asyncio.Task[Rules]"
    until: float


class Robots:
    """The robots.txt of every origin that is fetched from."""

    def __init__(self, user_agent: str, ask: Ask) -> None:
        self.agent = product(user_agent)
        self._ask = ask
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def check(self, url: URL, source: Source) -> float:
        """Return the seconds that must lie between two requests. Raises Blocked for what is disallowed, FetchError."""
        if source.robots == "ignore":
            return 0.0
        rules = await self.rules(url, source)
        if not rules.allow(url):
            message = f"{source.name}: the robots.txt of {shown(url.host)} keeps {self.agent} from what it would fetch"
            mend = 'ask its operator; if the site is yours or they agree, set robots = "ignore" for this source'
            raise Blocked(message, mend=mend)
        return rules.delay

    async def rules(self, url: URL, source: Source) -> Rules:
        """Return an origin's rules, fetched at most once a day. Raises FetchError where they cannot be had."""
        key = str(url.origin()), source.proxy
        kept = self._kept.get(key)
        if kept is None or kept.until <= monotonic():
            if len(self._kept) >= _REMEMBERED:
                self._kept = {name: one for name, one in self._kept.items() if one.until > monotonic()}
            task = asyncio.create_task(self._fetched(url.origin() / "robots.txt", source), name="robots.txt")
            task.add_done_callback(_retrieved)
            kept = self._kept[key] = _Kept(task, monotonic() + _KEPT)
        try:
            return await asyncio.shield(kept.rules)
        except FetchError as error:
            wait = max(_KEPT_FAILURE, error.retry_after or 0.0)
            kept.until = min(kept.until, monotonic() + wait)
            raise _told(error, source, url) from None

    async def _fetched(self, url: URL, source: Source) -> Rules:
        try:
            page = await self._ask(url, source)
        except _NONE:
            return Rules(found=None, agent=self.agent, delay=0.0)
        except BadRedirect as error:  # its rules are somewhere: until they can be read they may be any
            raise ServerFault(error.message, mend="ask the site's operator") from None
        found = await asyncio.to_thread(lambda: Protego.parse(page.text()))
        return Rules(found=found, agent=self.agent, delay=_delay(found, self.agent))

    async def close(self) -> None:
        """Forget everything."""
        for kept in self._kept.values():
            kept.rules.cancel()
        self._kept.clear()


def product(user_agent: str) -> str:
    """Return the name by which robots.txt files know us: the first word of what we say we are."""
    return (user_agent.split() or [""])[0].partition("/")[0]


def keeps_out(tags: Sequence[str], agent: str) -> bool:
    """Whether one of a page's X-Robots-Tags names us and tells us to stay away.

    One that names nobody is about showing a page in search results, which we do not.
    """
    for value in tags:
        name, colon, directives = value.partition(":")
        words = {word.strip().lower() for word in directives.split(",")}
        if colon and name.strip().lower() == agent.lower() and words & _KEEP_OUT:
            return True
    return False


def _delay(found: Protego, agent: str) -> float:
    delay = found.crawl_delay(agent) or 0.0
    rate = found.request_rate(agent)
    spread = rate.seconds / rate.requests if rate and rate.requests else 0.0
    longest = max(delay, spread)
    return min(longest, _LONGEST_DELAY) if longest > 0 else 0.0  # a delay that is no number is none


def _told(error: FetchError, source: Source, url: URL) -> FetchError:
    """The error for who wanted a page: of a site that is not there there is nothing more to say."""
    if not isinstance(error, RateLimited | ServerFault):
        return type(error)(error.message, mend=error.mend, retry_after=error.retry_after)
    message = f"{source.name}: the robots.txt of {shown(url.host)} cannot be read: {error.message}"
    mend = "until it can, nothing may be fetched; it is tried again"
    return type(error)(message, mend=mend, retry_after=error.retry_after)


def _retrieved(task: "asyncio.Task[Rules]") -> None:
    if not task.cancelled():
        task.exception()  # whoever waited has been told
