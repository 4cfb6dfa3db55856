"""Politeness: what all sources on one host share."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from time import monotonic  # uvloop's own clock stands still within a round of its loop, and moves by milliseconds
from typing import Final

from yarl import URL

from leakwatch.errors import RateLimited
from leakwatch.units import Rate

PATIENCE: Final = 5.0  # seconds that a request waits for a host that asked us to pause
_TICK: Final = 0.001  # seconds: of less uvloop makes nothing, and who waits so would keep the loop busy
_REMEMBERED: Final = 1024  # hosts, before those at rest are forgotten


class Resting(RateLimited):
    """A host wants to rest for longer than we wait: nothing was asked of it."""


class Turn:
    """A request's turn at a host. Whoever makes the request says when it has left."""

    __slots__ = ("_host", "_interval", "is_next")

    def __init__(self, host: "_Host", interval: float) -> None:
        self._host = host
        self._interval = interval
        self.is_next = False

    async def come(self) -> None:
        """Be the next whose request leaves: the others wait until it has."""
        await self._host.leaving.acquire()
        self.is_next = True

    async def again(self) -> None:
        """Come once more: another request had to be made before the turn's own, if it has left at all."""
        if not self.is_next:
            await self.come()
        while (wait := self._host.wait(self._interval)) > 0:  # noqa: ASYNC110 - the moment moves when the host pauses
            await asyncio.sleep(wait)

    def sent(self) -> None:
        """Take down that the request leaves now: the distance to the next one is counted from here.

        It may be said again: a connection that turns out to be dead makes a request leave twice.
        """
        now = monotonic()
        self._host.sent_at = now
        self._host.next_at = now + self._interval
        self._pass()

    def end(self) -> None:
        """Let the next one go, if the request never left."""
        self._pass()

    def _pass(self) -> None:
        if self.is_next:
            self.is_next = False
            self._host.leaving.release()


class _Host:
    """One host: who is there, who waits, and when the next request may leave."""

    __slots__ = ("active", "leaving", "limit", "next_at", "paused_until", "sent_at", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.active = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.leaving = asyncio.Lock()  # held from when a request's time has come until it has left
        self.next_at = 0.0
        self.sent_at = float("-inf")  # when the last request left
        self.paused_until = 0.0

    def wait(self, interval: float) -> float:
        """Seconds until a request that keeps such a distance may leave."""
        now = monotonic()
        return max(self.next_at, self.paused_until, self.sent_at + interval) - now

    def at_rest(self, now: float) -> bool:
        return not self.active and not self.waiting and max(self.next_at, self.paused_until) <= now

    async def enter(self) -> None:
        """Wait for one of the host's places, first come first served, and take it."""
        while self.active >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.wake()  # the turn was ours, and somebody else can have it
                raise
        self.active += 1

    def leave(self) -> None:
        self.active -= 1
        self.wake()

    def wake(self) -> None:
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def shared(url: URL) -> str:
    """Return by what name an address's host shares its limits: whatever the scheme and port, it is one machine.

    On this machine each port is a host by itself: what runs there is the operator's own, and several.
    """
    host = (url.host or "").rstrip(".")
    return f"{host}:{url.port}" if _is_own(host) else host


def _is_own(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Limits:
    """Distance between requests, requests at once, and pauses, for each host.

    A host is what `shared` says. A request keeps the distance that its own source asks for, counted from when the one
    before it left, not from when that was planned: a connection that takes long to make, or a busy moment of ours,
    would let the two come together. How many there are at once is up to the most modest of the host's sources.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str, rate: Rate, concurrency: int) -> AsyncIterator[Turn]:
        """Hold one of the host's places, from when a request may start. Raises RateLimited during a long pause.

        Until the request has left (`Turn.sent`), or its turn ends, no other to that host starts.
        """
        place = self._place(host, concurrency)
        self._bear(host, place)
        await place.enter()
        turn, is_begun = Turn(place, rate.interval), False
        try:
            await turn.come()
            await self._wait(host, place, rate.interval)
            is_begun = True
            yield turn
        finally:
            if is_begun and turn.is_next:
                turn.sent()  # nobody has said when: at the latest it was now
            turn.end()
            place.leave()

    def pause(self, host: str, seconds: float) -> None:
        """Start no request for so many seconds to a host on which a turn is held."""
        place = self._hosts[host]
        place.paused_until = max(place.paused_until, monotonic() + seconds)

    async def _wait(self, host: str, place: _Host, interval: float) -> None:
        while (wait := place.wait(interval)) > 0:
            self._bear(host, place)
            await asyncio.sleep(max(wait, _TICK))
        self._bear(host, place)

    def _bear(self, host: str, place: _Host) -> None:
        """Raise RateLimited if the host's pause is longer than we wait."""
        left = place.paused_until - monotonic()
        if left > self._patience:
            message = f"{host} asked us to wait another {left:.0f} s"
            raise Resting(message, mend="it is tried again then", retry_after=left)

    def _place(self, host: str, concurrency: int) -> _Host:
        place = self._hosts.get(host)
        if place is None:
            if len(self._hosts) >= _REMEMBERED:
                now = monotonic()
                self._hosts = {name: one for name, one in self._hosts.items() if not one.at_rest(now)}
            place = self._hosts[host] = _Host(concurrency)
        place.limit = min(place.limit, concurrency)
        return place
