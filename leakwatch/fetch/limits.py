"""Politeness: what all sources on one host share."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from leakwatch.errors import RateLimited
from leakwatch.units import Rate

PATIENCE: Final = 5.0  # seconds that a request waits for a host that asked us to pause
_REMEMBERED: Final = 1024  # hosts, before those at rest are forgotten


class _Host:
    """One host: who is there, who waits, and when the next request may start."""

    __slots__ = ("active", "began_at", "limit", "next_at", "paused_until", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.active = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.next_at = 0.0
        self.began_at = float("-inf")  # when the last request really began: later than planned, if we were busy
        self.paused_until = 0.0

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


class Limits:
    """Distance between requests, requests at once, and pauses, for each host.

    A host is "name:port". A request keeps the distance that its own source asks for; how many there are at once is up
    to the most modest of the host's sources.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str, rate: Rate, concurrency: int) -> AsyncIterator[None]:
        """Hold one of the host's places, from when a request may start. Raises RateLimited during a long pause."""
        place = self._place(host, concurrency)
        self._bear(host, place)
        await place.enter()
        try:
            await self._wait(host, place, rate.interval)
            yield
        finally:
            place.leave()

    def pause(self, host: str, seconds: float) -> None:
        """Start no request for so many seconds to a host on which a turn is held."""
        place = self._hosts[host]
        place.paused_until = max(place.paused_until, asyncio.get_running_loop().time() + seconds)

    async def _wait(self, host: str, place: _Host, interval: float) -> None:
        clock = asyncio.get_running_loop().time
        start = max(place.next_at, clock())
        place.next_at = start + interval
        while (wait := max(start, place.paused_until, place.began_at + interval) - clock()) > 0:
            self._bear(host, place)
            await asyncio.sleep(wait)
        self._bear(host, place)
        place.began_at = clock()

    def _bear(self, host: str, place: _Host) -> None:
        """Raise RateLimited if the host's pause is longer than we wait."""
        left = place.paused_until - asyncio.get_running_loop().time()
        if left > self._patience:
            message = f"{host.rpartition(':')[0]} asked us to wait another {left:.0f} s"
            raise RateLimited(message, mend="it is tried again then", retry_after=left)

    def _place(self, host: str, concurrency: int) -> _Host:
        place = self._hosts.get(host)
        if place is None:
            if len(self._hosts) >= _REMEMBERED:
                now = asyncio.get_running_loop().time()
                self._hosts = {name: one for name, one in self._hosts.items() if not one.at_rest(now)}
            place = self._hosts[host] = _Host(concurrency)
        place.limit = min(place.limit, concurrency)
        return place
