"""Whether what was found is still there: its address is looked at again, ever more seldom, until it is gone.

"Gone" is what the host says so of (404, 410). Anything else that fails says nothing, and is tried again.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, final

import structlog

from leakwatch.errors import DatabaseDown, FetchError, Gone
from leakwatch.fetch import Session, Source
from leakwatch.model import now
from leakwatch.store import looks
from leakwatch.store.database import Database
from leakwatch.store.looks import Due

log: Final = structlog.get_logger(__name__)
_BEAT: Final = 60.0  # seconds between two rounds
_AT_ONCE: Final = 20  # sightings in one round
_BYTES: Final = 65_536  # of a page: that it answers is all that is asked
_HOURS: Final = (6.0, 24.0, 72.0, 168.0, 336.0, 720.0)  # until the next look, after the first, second …; then the last
_UNANSWERED: Final = timedelta(hours=6)
_HIDDEN: Final = "…"  # in an address that was redacted: nobody can go there
_FOLDER: Final = "file:"


@final
class Again:
    """Looks at the places where keys were found."""

    def __init__(self, *, watched: Mapping[str, Source], database: Database, session: Session) -> None:
        self._watched = watched
        self._database = database
        self._session = session

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
        async with self._database.reading() as tx:
            due = await looks.due(tx, list(self._watched), now(), limit=_AT_ONCE)
        for one in due:
            await self._look(one)
        return len(due)

    async def _look(self, one: Due) -> None:
        source = self._watched.get(one.source)
        if source is None:
            return
        gone = await self._is_gone(one, source)
        at = now()
        again = at + timedelta(hours=_HOURS[min(one.looks, len(_HOURS) - 1)])
        async with self._database.transaction() as tx:
            if gone is None:
                await looks.put_off(tx, one.id, None if _is_hidden(one.url) else at + _UNANSWERED)
            else:
                await looks.seen(tx, one.id, gone=gone, now=at, again=None if gone else again)
        log.info("looked again", source=one.source, sighting=one.id, gone=gone)

    async def _is_gone(self, one: Due, source: Source) -> bool | None:
        """Whether a document is gone; None: that cannot be said."""
        if _is_hidden(one.url):
            return None
        try:
            await self._session.get(one.url, source=source, max_bytes=_BYTES)
        except Gone:
            return True
        except FetchError:
            return None
        return False


def _is_hidden(url: str) -> bool:
    return _HIDDEN in url or url.startswith(_FOLDER)
