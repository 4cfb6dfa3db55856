"""A site's tokens, each with what it may still ask: of each resource so much until a moment, and when it has to rest.

No request is begun that a token cannot afford. What is under way counts as spent until its answer says otherwise, and
of what is not known yet (a first request, a new period) one request goes ahead and finds out.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from leakwatch.errors import FetchError, RateLimited
from leakwatch.fetch.limits import PATIENCE, Resting
from leakwatch.fetch.quota import Quota

_FIRST_REST: Final = 60.0  # seconds, where a site says no more than that it was too much; doubled each time
_LONGEST_REST: Final = 3600.0
_APART: Final = frozenset({"search"})  # first parts of a path under which the second has a limit of its own
_PERIOD: Final = 60.0  # seconds, where a site does not say until when its count holds
_ROUND: Final = 1.0  # seconds by which a moment may be off that was told in whole seconds


@dataclass(slots=True)
class _Allowance:
    """What a token may still ask of one resource."""

    left: int | None = None  # None: not known
    reset_at: float = 0.0
    under_way: int = 0
    is_silent: bool = False  # the site does not say

    def affords(self, now: float) -> bool:
        if self.left is not None and now >= self.reset_at:
            self.left = None  # a new period
        return self.is_silent or (self.under_way == 0 if self.left is None else self.left > 0)

    def take(self) -> None:
        self.under_way += 1
        if self.left is not None:
            self.left -= 1

    def heed(self, quota: Quota | None, now: float, *, worked: bool) -> None:
        """Settle one request by what its answer says."""
        self.under_way -= 1
        if quota is None or quota.left is None:
            self.is_silent = self.is_silent or (worked and quota is not None)
            return
        self.is_silent = False
        reset_at = now + (_PERIOD if quota.reset is None else quota.reset + _ROUND)
        is_same = self.left is not None and abs(reset_at - self.reset_at) <= _ROUND
        told = max(0, quota.left - self.under_way)
        self.left = min(self.left + 1, told) if is_same and self.left is not None else told
        self.reset_at = max(reset_at, self.reset_at) if is_same else reset_at


@dataclass(slots=True)
class _Token:
    value: str = field(repr=False)
    rests_until: float = 0.0
    strikes: int = 0  # times in a row that it was too much
    allowances: dict[str, _Allowance] = field(default_factory=dict)

    def of(self, resource: str) -> list[_Allowance]:
        """What a request draws on; one of which that is not known yet could draw on any."""
        known = self.allowances.get(resource)
        return [known] if known else [*self.allowances.values(), _Allowance()]


class Tokens:
    """The tokens of one source, or of several that name the same."""

    def __init__(self, values: Sequence[str], patience: float = PATIENCE) -> None:
        self._tokens = [_Token(value) for value in values]
        self._resources: dict[str, str] = {}  # by the beginning of a path
        self._patience = patience
        self._changed = asyncio.Condition()

    async def take(self, path: str, host: str) -> "Taken":
        """Wait for a token that can afford a request, and charge it. Raises Resting where that takes too long."""
        clock = asyncio.get_running_loop().time
        async with self._changed:
            while True:
                now = clock()
                resource = self._resources.get(_beginning(path), _beginning(path))
                able = [t for t in self._tokens if t.rests_until <= now and all(a.affords(now) for a in t.of(resource))]
                if able:
                    token = max(able, key=lambda one: _left(one, resource))
                    charged = token.of(resource)
                    token.allowances.setdefault(resource, charged[-1])
                    for allowance in charged:
                        allowance.take()
                    return Taken(token=token, charged=charged, path=path)
                wait = self._wait(resource, now)
                if wait is not None and wait > self._patience:
                    message = f"{host} has been asked as much as its tokens may for another {wait:.0f} s"
                    raise Resting(message, mend="it goes on then; more tokens in token_file share it", retry_after=wait)
                try:
                    await asyncio.wait_for(self._changed.wait(), wait)
                except TimeoutError:
                    continue

    async def settle(self, taken: "Taken", quota: Quota | None, error: FetchError | None = None) -> None:
        """Take down what an answer says of its token."""
        now = asyncio.get_running_loop().time()
        token = taken.token
        if quota is not None and quota.resource:
            self._learn(taken, quota.resource)
        for allowance in taken.charged:
            allowance.heed(quota if allowance is taken.charged[-1] else None, now, worked=error is None)
        # A resource that is spent is no offence, and the period ends it; a rest that is asked for holds for all.
        is_spent = quota is not None and quota.left == 0 and quota.rest is None
        if isinstance(error, RateLimited) and not is_spent:
            token.strikes += 1
            backoff = min(_FIRST_REST * 2.0 ** (token.strikes - 1), _LONGEST_REST)
            token.rests_until = max(token.rests_until, now + (error.retry_after or backoff))
        elif error is None:
            token.strikes = 0
        async with self._changed:
            self._changed.notify_all()

    def _learn(self, taken: "Taken", resource: str) -> None:
        """Know from now on what requests of this kind draw on."""
        beginning = _beginning(taken.path)
        if self._resources.get(beginning) == resource:
            return
        self._resources[beginning] = resource
        for token in self._tokens:
            found = token.allowances.pop(beginning, None)
            known = token.allowances.get(resource)
            if found is not None and known is None:
                token.allowances[resource] = found
            elif token is taken.token and known is not None and found is taken.charged[-1]:
                taken.charged[-1], others = known, [a for a in taken.charged[:-1] if a is not known]
                taken.charged[:-1] = others
        for allowance in taken.charged[:-1]:  # it did not draw on these after all
            if allowance.left is not None:
                allowance.left += 1

    def _wait(self, resource: str, now: float) -> float | None:
        """Seconds until one of the tokens can do more; None: until an answer comes."""
        waits = [_rest(token, resource, now) for token in self._tokens]
        return None if None in waits else min(wait for wait in waits if wait is not None)


@dataclass(slots=True)
class Taken:
    """A token that was charged with one request."""

    token: _Token
    charged: list[_Allowance]  # the one that it is for last
    path: str = field(repr=False)

    @property
    def value(self) -> str:
        """The secret itself: for the request's header."""
        return self.token.value


def _rest(token: _Token, resource: str, now: float) -> float | None:
    spent = [a.reset_at for a in token.of(resource) if a.left is not None and a.left <= 0]
    until = max([token.rests_until, *spent])
    return until - now if until > now else None


def _left(token: _Token, resource: str) -> int:
    """How much there is: the token with the most goes first."""
    known = [a.left for a in token.of(resource) if a.left is not None]
    return min(known, default=1_000_000)


def _beginning(path: str) -> str:
    parts = path.strip("/").split("/")
    return "/".join(parts[:2] if parts[0] in _APART else parts[:1])
