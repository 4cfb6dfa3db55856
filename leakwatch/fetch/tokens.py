"""A site's tokens, each with what it may still ask: of each resource so much until a moment, and when it has to rest.

No request is begun that a token cannot afford. What is under way counts as spent until its answer says otherwise, and
of what is not known yet (a first request, a new period) one request goes ahead and finds out. An App's token is made
when it is to be used, and again before it ends; what its installation may ask goes on. A token that is not accepted
rests, longer each time, and the others do its work. Where a definition knows a limit itself it is kept as well,
whatever the answers say or leave out.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from leakwatch.errors import Blocked, FetchError, RateLimited
from leakwatch.fetch.apps import App, Given
from leakwatch.fetch.limits import PATIENCE, Resting
from leakwatch.fetch.quota import Quota
from leakwatch.units import Rate

_FIRST_REST: Final = 60.0  # seconds, where a site says no more than that it was too much; doubled each time
_LONGEST_REST: Final = 3600.0
_APART: Final = frozenset({"search"})  # first parts of a path under which the second has a limit of its own
_MOST: Final = 50  # resources of a token that are remembered: GitHub has some ten
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
class _Asked:
    """When a token's last requests of one kind were answered, so that there are no more than so many in so long.

    The other side has counted a request when it answers: what is under way could still be counted at any moment.
    """

    moments: list[float] = field(default_factory=list)  # in order; inf: under way
    most: int = 0  # of them that anybody counts

    def wait(self, rate: Rate, now: float) -> float:
        """Seconds until there may be another; inf: until an answer comes."""
        self.most = max(self.most, rate.count)
        return self.moments[-rate.count] + rate.seconds - now if len(self.moments) >= rate.count else 0.0

    def begin(self) -> None:
        self.moments.append(inf)
        del self.moments[: -self.most]

    def end(self, now: float) -> None:
        self.moments[self.moments.index(inf)] = now


class NoToken(Blocked):
    """None of a source's tokens is accepted: nothing was asked of the site."""


@dataclass(slots=True)
class _Token:
    value: str = field(repr=False)
    app: App | None = None  # whose it is; None: it was given to us for good
    good_until: float = inf
    is_being_made: bool = False
    failure: FetchError | None = None  # why it cannot be used, or could not the last time
    rests_until: float = 0.0
    strikes: int = 0  # times in a row that it was too much, or not accepted
    allowances: dict[str, _Allowance] = field(default_factory=dict)
    apart: set[str] = field(default_factory=set)  # resources on which nothing draws but paths that are counted apart
    asked: dict[str, _Asked] = field(default_factory=dict)  # by the beginning of a path, where a rate is to be kept

    def rest(self, now: float, seconds: float | None) -> None:
        """Use it no more for so long, or, where nobody says how long, for longer each time."""
        self.strikes += 1
        backoff = min(_FIRST_REST * 2.0 ** (self.strikes - 1), _LONGEST_REST)
        self.rests_until = max(self.rests_until, now + (seconds or backoff))

    def is_able(self, resource: str, now: float) -> bool:
        if self.is_being_made or self.rests_until > now:
            return False
        return all(allowance.affords(now) for allowance in self.of(resource))

    def pause(self, beginning: str, rate: Rate | None, now: float) -> float:
        """Seconds until a rate lets it ask again; inf: until an answer comes."""
        return self.asked.setdefault(beginning, _Asked()).wait(rate, now) if rate else 0.0

    def of(self, resource: str) -> list[_Allowance]:
        """What a request draws on; one of which that is not known yet could draw on any that is not apart."""
        if known := self.allowances.get(resource):
            return [known]
        others = self.allowances if _is_apart(resource) else self.allowances.keys() - self.apart
        return [*(self.allowances[name] for name in others), _Allowance()]

    def know(self, resource: str, allowance: _Allowance) -> None:
        """Remember what may be asked of a resource. A site that names ever new ones fills nothing."""
        if resource not in self.allowances and len(self.allowances) >= _MOST:
            oldest = next((name for name, one in self.allowances.items() if not one.under_way), "")
            self.allowances.pop(oldest, None)
        self.allowances.setdefault(resource, allowance)


@dataclass(slots=True)
class Known:
    """What is known of a site's tokens, whichever sources have which of them."""

    tokens: dict[str | App, _Token] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)  # by the beginning of a path
    apart: set[str] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def token(self, secret: str | App) -> _Token:
        """Return what is known of a token, or of an App's, from now on."""
        if secret not in self.tokens:
            new = _Token("", secret, good_until=0.0) if isinstance(secret, App) else _Token(secret)
            new.apart = self.apart
            self.tokens[secret] = new
        return self.tokens[secret]


class Tokens:
    """The tokens of one source; what other sources of the site name as well is shared with them."""

    def __init__(
        self,
        values: Sequence[str],
        apps: Sequence[App] = (),
        *,
        patience: float = PATIENCE,
        known: Known | None = None,
    ) -> None:
        known = known or Known()
        self._tokens = [*map(known.token, values), *map(known.token, apps)]
        self._resources = known.resources
        self._apart = known.apart
        self._changed = known.changed
        self._patience = patience

    async def ready(self, path: str, host: str, rate: Rate | None = None) -> None:
        """Wait, before a turn at the host is held, until there is a token to `take`. Raises Resting, NoToken."""
        async with self._changed:
            await self._able(path, host, rate)

    async def take(self, path: str, host: str, rate: Rate | None = None, *, at_once: bool = False) -> "Taken | Unmade":
        """Wait for a token that can afford a request, and charge it; one that has to be made first is not charged yet.

        With `rate` no token makes more such requests; `at_once`: nor is that waited for. Raises Resting where it takes
        too long, NoToken where none is accepted.
        """
        async with self._changed:
            token = await self._able(path, host, rate, at_once=at_once)
            if token.app and asyncio.get_running_loop().time() >= token.good_until:
                token.is_being_made = True
                return Unmade(token=token, app=token.app)
            beginning, resource = self._drawn(path)
            charged = token.of(resource)
            token.know(resource, charged[-1])
            for allowance in charged:
                allowance.take()
            asked = token.asked[beginning] if rate else None
            if asked:
                asked.begin()
            return Taken(token=token, value=token.value, charged=charged, path=path, asked=asked)

    async def _able(self, path: str, host: str, rate: Rate | None, *, at_once: bool = False) -> _Token:
        """Wait for a token that can afford a request, the one with the most."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            beginning, resource = self._drawn(path)
            able = [token for token in self._tokens if token.is_able(resource, now)]
            if able := [token for token in able if token.pause(beginning, rate, now) <= 0]:
                return max(able, key=lambda one: _left(one, resource))
            waits = [_rest(token, resource, now, token.pause(beginning, rate, now)) for token in self._tokens]
            wait = None if None in waits else min(wait for wait in waits if wait is not None)
            if rate and at_once:
                raise self._unable(host, rate.interval if wait is None else wait)
            if wait is not None and wait > self._patience:
                raise self._unable(host, wait)
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def _drawn(self, path: str) -> tuple[str, str]:
        """Return by what beginning a path is known, and on which resource it draws."""
        beginning = _beginning(path)
        return beginning, self._resources.get(beginning, beginning)

    async def settle(self, taken: "Taken", quota: Quota | None, error: FetchError | None = None) -> None:
        """Take down what an answer says of its token."""
        now = asyncio.get_running_loop().time()
        token = taken.token
        if taken.asked:
            taken.asked.end(now)
        if quota is not None and quota.resource:
            self._learn(taken, quota.resource)
        for allowance in taken.charged:
            allowance.heed(quota if allowance is taken.charged[-1] else None, now, worked=error is None)
        # A resource that is spent is no offence, and the period ends it; a rest that is asked for holds for all.
        is_spent = quota is not None and quota.left == 0 and quota.rest is None
        if isinstance(error, RateLimited) and not is_spent:
            token.rest(now, error.retry_after)
        elif error is None:
            token.strikes, token.failure = 0, None
        await self._tell()

    async def refuse(self, taken: "Taken", error: FetchError) -> None:
        """Take down that a token is not accepted: an App's is made anew, if it has worked since it was made."""
        token, now = taken.token, asyncio.get_running_loop().time()
        if token.rests_until > now or token.good_until <= now or token.value != taken.value:
            return  # another request has said so already
        if token.app and token.failure is None:
            token.good_until = 0.0
        else:
            token.rest(now, None)
        token.failure = error
        await self._tell()

    async def made(self, unmade: "Unmade", result: Given | FetchError) -> None:
        """Take down what came of making an App's token."""
        token, now = unmade.token, asyncio.get_running_loop().time()
        token.is_being_made = False
        if isinstance(result, Given):
            token.value, token.good_until = result.value, now + result.seconds
        else:
            token.failure = result
            token.rest(now, result.retry_after)
        await self._tell()

    async def unmade(self) -> Sequence["Unmade"]:
        """Return every App whose token has still to be made, to be tried."""
        now = asyncio.get_running_loop().time()
        idle = [one for one in self._tokens if not (one.value or one.is_being_made or one.rests_until > now)]
        found = [Unmade(token=one, app=one.app) for one in idle if one.app]
        for one in found:
            one.token.is_being_made = True
        return found

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with tokens that are not accepted."""
        plain = [token for token in self._tokens if token.app is None]
        for token in self._tokens:
            if token.failure is not None and token.rests_until > asyncio.get_running_loop().time():
                name = "" if token.app else f"token {plain.index(token) + 1} of token_file: "
                yield f"{name}{token.failure}"

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _unable(self, host: str, wait: float) -> Resting | NoToken:
        failures = [token.failure for token in self._tokens if token.failure is not None]
        if len(failures) < len(self._tokens):
            message = f"{host} has been asked as much as its tokens may for another {wait:.0f} s"
            return Resting(message, mend="it goes on then; more tokens in token_file share it", retry_after=wait)
        first = next((one for one in failures if not one.transient), None)
        if first is None:
            return Resting(failures[0].message, mend=failures[0].mend, retry_after=wait)
        return NoToken(first.message, mend=first.mend, retry_after=wait)

    def _learn(self, taken: "Taken", resource: str) -> None:
        """Know from now on what requests of this kind draw on."""
        beginning = _beginning(taken.path)
        if self._resources.get(beginning) == resource:
            return
        self._resources[beginning] = resource
        if _is_apart(beginning):
            self._apart.add(resource)
        else:
            self._apart.discard(resource)
        for token in self._tokens:
            found = token.allowances.pop(beginning, None)
            known = token.allowances.get(resource)
            if found is not None and known is None:
                token.know(resource, found)
            elif token is taken.token and known is not None and found is taken.charged[-1]:
                taken.charged[-1], others = known, [a for a in taken.charged[:-1] if a is not known]
                taken.charged[:-1] = others
        for allowance in taken.charged[:-1]:  # it did not draw on these after all
            if allowance.left is not None:
                allowance.left += 1


@dataclass(slots=True)
class Taken:
    """A token that was charged with one request."""

    token: _Token
    value: str = field(repr=False)  # the secret itself: for the request's header
    charged: list[_Allowance]  # the one that it is for last
    path: str = field(repr=False)
    asked: _Asked | None = None  # where its answer's moment is taken down


@dataclass(frozen=True, slots=True)
class Unmade:
    """An App whose token has to be made before it can be used."""

    token: _Token
    app: App


def _rest(token: _Token, resource: str, now: float, pause: float) -> float | None:
    """Seconds until a token can do more, whose rate asks for such a pause; None: until an answer comes."""
    if token.is_being_made or pause == inf:
        return None
    spent = [a.reset_at for a in token.of(resource) if a.left is not None and a.left <= 0]
    until = max([token.rests_until, now + pause, *spent])
    return until - now if until > now else None


def _left(token: _Token, resource: str) -> int:
    """How much there is: the token with the most goes first."""
    known = [a.left for a in token.of(resource) if a.left is not None]
    return min(known, default=1_000_000)


def _is_apart(beginning: str) -> bool:
    return beginning.partition("/")[0] in _APART


def _beginning(path: str) -> str:
    parts = path.strip("/").split("/")
    return "/".join(parts[:2] if parts[0] in _APART else parts[:1])
