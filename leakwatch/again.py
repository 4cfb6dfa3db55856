"""Whether what was found is still there: the document is read again, ever more seldom, until it is gone.

It is gone when its host says so (404, 410), or when it is read whole and the key is not in it any more: a page that
answers 200 and says "not found" counts. A page that keeps us out (a login, a bot check) and anything that fails say
nothing, and are tried again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, final

import structlog
from yarl import URL

from leakwatch.errors import DatabaseDown, FetchError, Gone, ScanFailed
from leakwatch.fetch import Session, Source, fetch_document
from leakwatch.fetch.gates import is_barred
from leakwatch.fetch.limits import shared
from leakwatch.model import Field, Reference, now
from leakwatch.pipeline import Pipeline
from leakwatch.store import looks
from leakwatch.store.database import Database
from leakwatch.store.looks import Due
from leakwatch.units import left_of_quiet

log: Final = structlog.get_logger(__name__)
_BEAT: Final = 60.0  # seconds between two rounds
_AT_ONCE: Final = 100  # sightings in one round
_HOSTS: Final = 10  # that are looked at side by side
_ROUND: Final = 120.0  # seconds in which a host's have to be done: one with a long crawl-delay holds up no other
_LATER: Final = timedelta(hours=1)  # until what there was no time for
_HOURS: Final = (6.0, 24.0, 72.0, 168.0, 336.0, 720.0)  # until the next look, after the first, second …; then the last
_UNANSWERED: Final = timedelta(hours=6)  # until the next look, at least, where there was no telling
_LONGEST: Final = timedelta(hours=_HOURS[-1])
_HIDDEN: Final = "…"  # in an address that was redacted: nobody can go there
_NO_PAGE: Final = ("file:", "git+")  # what no request can ask for


class Sight(StrEnum):
    """What a look saw."""

    THERE = "there"  # the key is in it; or it answers, and more cannot be said of it
    GONE = "gone"  # the host says so: nothing is looked at again
    CHANGED = "changed"  # it answers, and the key is not in it: gone, but it may come back
    UNKNOWN = "unknown"


@final
class Again:
    """Looks at the places where keys were found."""

    def __init__(
        self, *, watched: Mapping[str, Source], database: Database, session: Session, pipeline: Pipeline
    ) -> None:
        self._watched = watched
        self._database = database
        self._session = session
        self._pipeline = pipeline

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            try:
                await self.look()
            except DatabaseDown:
                log.debug("looking again waits for the database")
            except Exception:  # a finding must not be called public for ever
                log.exception("could not look again")
            await asyncio.sleep(_BEAT)

    async def look(self) -> int:
        """Look at what is due, and return how many there were."""
        at = now()
        awake = [name for name, source in self._watched.items() if not left_of_quiet(source.quiet, at)]
        async with self._database.reading() as tx:
            due = await looks.due(tx, awake, at, limit=_AT_ONCE)
        hosts: dict[str, list[Due]] = defaultdict(list)
        for one in due:
            hosts[_host(one.url)].append(one)
        side_by_side = asyncio.Semaphore(_HOSTS)
        done = await asyncio.gather(*(self._host(d, side_by_side) for d in hosts.values()), return_exceptions=True)
        for error in filter(None, done):
            raise error  # the first will do: what was due is due again
        return len(due)

    async def _host(self, due: Sequence[Due], side_by_side: asyncio.Semaphore) -> None:
        """Look at what is due on one host, one after another, as far as there is time."""
        left = list(due)
        async with side_by_side:
            ends = asyncio.get_running_loop().time() + _ROUND
            for one in due:
                if asyncio.get_running_loop().time() >= ends:
                    break
                await self._look(one, ends)
                left.remove(one)
        async with self._database.transaction() as tx:
            for one in left:  # or they would be the first again, and keep out those on other hosts
                await looks.put_off(tx, one.id, now() + _LATER)

    async def _look(self, one: Due, ends: float) -> None:
        source = self._watched.get(one.source)
        if source is None:
            return
        sight = Sight.UNKNOWN
        if not _is_hidden(one.url):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends):
                    sight = await self._sight(one, source)
        at = now()
        again = at + timedelta(hours=_HOURS[min(one.looks, len(_HOURS) - 1)])
        async with self._database.transaction() as tx:
            if sight is Sight.UNKNOWN:
                await looks.put_off(tx, one.id, None if _is_hidden(one.url) else at + _patience(one, at))
            else:
                is_gone = sight in (Sight.GONE, Sight.CHANGED)
                await looks.seen(tx, one.id, gone=is_gone, now=at, again=None if sight is Sight.GONE else again)
        log.info("looked again", source=one.source, sighting=one.id, sight=sight)

    async def _sight(self, one: Due, source: Source) -> Sight:
        """Read a document again as it was read before, and look for the key in it, by its digest."""
        place = source.text_url(one.url)
        reference = Reference(url=place or one.url, id=one.url)
        try:
            document = await fetch_document(self._session, source, reference)
        except FetchError as error:
            return Sight.GONE if isinstance(error, Gone) else Sight.UNKNOWN
        try:
            looked = await self._pipeline.look(document, one.digest)
        except ScanFailed:
            return Sight.UNKNOWN
        if looked.holds:
            return Sight.THERE
        if looked.truncated or is_barred(document.text):
            return Sight.UNKNOWN
        # Where the text came in a listing, or the key stood beside it, the page that people see need not show it.
        return Sight.CHANGED if place and one.field == Field.TEXT else Sight.THERE


def _patience(one: Due, at: datetime) -> timedelta:
    """How long to wait after a look that said nothing: as long again as nothing has been heard."""
    return min(max(_UNANSWERED, at - one.since), _LONGEST)


def _host(url: str) -> str:
    try:
        return shared(URL(url))
    except ValueError:
        return ""


def _is_hidden(url: str) -> bool:
    return _HIDDEN in url or url.startswith(_NO_PAGE)
