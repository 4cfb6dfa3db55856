"""What a site tells of its own accord: it names what has changed, and that is fetched at once, not at the next poll.

A push is a hint and nothing more. Who sends it must know the source's push secret. Where what it names is fetched, the
definition says, on the source's own hosts; what is known already stays known, so a push that is sent again does
nothing, and one that names nothing that can be used has the source polled.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Final, final

import structlog

from leakwatch.definitions import Push
from leakwatch.engine import Engine
from leakwatch.errors import BadContent, FetchError
from leakwatch.fetch import kinds
from leakwatch.fetch.listing import Listing, Tally
from leakwatch.fetch.source import Source
from leakwatch.fetch_jobs import FetchJobs
from leakwatch.frontier import Frontier, Missed
from leakwatch.model import Batch, now
from leakwatch.pepper import Pepper
from leakwatch.pipeline import Outcome, Pipeline
from leakwatch.store import sources
from leakwatch.store.database import Transaction
from leakwatch.units import left_of_quiet

log: Final = structlog.get_logger(__name__)
MOST: Final = 262_144  # bytes of a push
_ITEMS: Final = 100  # of one push: what names more has the source polled besides
_APART: Final = 15.0  # seconds between two polls for which pushes ask, at least: no more often than a busy source's
_WAITING: Final = 10_000  # documents of a source, where its definition bounds no frontier
_NO_PUSH: Final = (
    "choose the content type application/json in the site's webhook settings; if it is that, "
    "compare [push] with what it sends"
)


@final
class Pushes:
    """Takes what sites tell, once it is sure who tells it."""

    def __init__(  # noqa: PLR0913 - the parts, named once in app.py
        self,
        *,
        watched: Mapping[str, Source],
        engine: Engine,
        pipeline: Pipeline,
        frontier: Frontier,
        pepper: Pepper,
        noticed: Callable[[str], Awaitable[None]],
    ) -> None:
        """`watched` changes with the configuration; `noticed` has a source polled."""
        self._watched = watched
        self._engine = engine
        self._pipeline = pipeline
        self._jobs = FetchJobs(pepper)
        self._noticed = noticed
        self._frontier = frontier
        self._polled: dict[str, float] = {}  # when a push had a source polled, by its name

    def takes(self, name: str) -> bool:
        """Whether there is a source of that name that takes pushes: not for who asks from outside."""
        source = self._watched.get(name)
        return bool(source and source.definition.push and source.push_secrets)

    def sender(self, name: str, headers: Mapping[str, str], body: bytes | None) -> Source | None:
        """Return the source that a push is for, if who sends it knows one of its secrets.

        Without a body it is told who cannot be let in whatever they send: None as well.
        """
        source = self._watched.get(name)
        push = source.definition.push if source else None
        if source is None or push is None or not self.takes(name):
            return None
        shown = headers.get(push.header, "").encode("utf-8", "surrogateescape")
        if not shown:
            return None
        if push.check != "secret" and body is None:
            return source
        right = [_same(shown, _proof(push, secret, body or b"")) for secret in source.push_secrets]
        if body is not None and any(right) and not right[0]:
            log.info("an older push secret was shown", source=name)  # the site does not know the newest yet
        return source if any(right) else None

    async def take(self, source: Source, text: str) -> int:
        """Take what a push names; return how much of it was new. Raises BadContent for what is no push of its kind."""
        listing = await asyncio.to_thread(read, source, text)
        versioned = [one for one in listing.references if one.version]
        if not versioned or listing.items > _ITEMS or len(versioned) < len(listing.references):
            await self._poll(source)
        admitted = await self._frontier.admitted(source, versioned[:_ITEMS], unbounded=_WAITING)

        async def settle(tx: Transaction, outcome: Outcome) -> None:
            await self._engine.enqueue(tx, self._jobs.several(source, outcome.new))
            await self._frontier.missed(tx, source, Missed(full=admitted.missed))
            await sources.pushed(tx, source.name, now())

        batch = Batch(source=source.name, references=admitted.taken)
        outcome = await self._pipeline.process(batch, source, settle)
        log.info("told", source=source.name, items=listing.items, new=len(outcome.new), missed=admitted.missed)
        return len(outcome.new)

    async def _poll(self, source: Source) -> None:
        """Have a source polled, if it was not just now. In its quiet hours it is left alone, and due after them."""
        at, apart = monotonic(), max(_APART, source.pace[0])
        if not left_of_quiet(source.quiet, now()) and at - self._polled.get(source.name, -apart) >= apart:
            await self._noticed(source.name)
            self._polled[source.name] = at


def read(source: Source, text: str) -> Listing:
    """Read a push as its definition says. Blocks: not for the event loop. Raises BadContent."""
    inner = source.of_push
    tally = Tally(inner)
    try:
        items = kinds.items(inner, text)
    except FetchError:  # whose words are about a listing
        message = f"{source.name}: what was pushed is no JSON of the kind that [push] reads"
        raise BadContent(message, mend=_NO_PUSH) from None
    tally.page(items[: _ITEMS + 1], source.base_url)
    return tally.listing()


def _proof(push: Push, secret: str, body: bytes) -> bytes:
    """What somebody shows who knows a secret."""
    if push.check == "secret":
        return secret.encode()
    return f"{push.prefix}{hmac.digest(secret.encode(), body, hashlib.sha256).hex()}".encode()


def _same(one: bytes, other: bytes) -> bool:
    """Compare in a time that tells neither the secret nor its length."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())
