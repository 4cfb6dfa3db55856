"""Who watches the watching: judges each source again and again, tells of those that are not watched, seeks canaries.

It depends on neither schedule nor engine: a source that these forget is found to be overdue here.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Final, final

import structlog

from leakwatch import coverage, metrics
from leakwatch.announce import Announcer, Once
from leakwatch.coverage import Judged, State
from leakwatch.errors import CanaryLost, DatabaseDown, LeakwatchError
from leakwatch.fetch import Session, Source
from leakwatch.match import Digester, Found, match, parse_digest
from leakwatch.model import Document, Reference, RegisteredKey, now
from leakwatch.scan import Scanner
from leakwatch.store import sources
from leakwatch.store.database import Database
from leakwatch.store.sources import SourceState
from leakwatch.units import left_of_quiet

log: Final = structlog.get_logger(__name__)
_BEAT: Final = 30.0  # seconds between two looks
_MISSING: Final = 900.0  # seconds until a canary is looked for again that was not found
_TOLD: Final = (State.OVERDUE, State.QUIET)  # the other states are told by whoever finds them


@final
class Watchman:
    """Looks at all sources, whoever polls them."""

    def __init__(  # noqa: PLR0913 - the parts, named once in app.py
        self,
        *,
        watched: Mapping[str, Source],
        database: Database,
        session: Session,
        announcer: Announcer,
        scanner: Scanner,
        digester: Digester,
        executor: Executor,
    ) -> None:
        self._watched = watched
        self._database = database
        self._session = session
        self._announcer = announcer
        self._scanner = scanner
        self._digester = digester
        self._executor = executor

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            try:
                await self.look()
            except DatabaseDown:
                log.debug("the watchman waits for the database")
            except Exception:  # without it nobody would tell of a source that is forgotten
                log.exception("the watchman could not look")
            await asyncio.sleep(_BEAT)

    async def look(self) -> None:
        """Judge every source, tell of what nobody else tells, and look for the canaries that are due."""
        at = now()
        async with self._database.reading() as tx:
            states = {s.name: s for s in await sources.overview(tx) if s.name in self._watched}
        judged = {name: coverage.judge(self._watched[name], state, at) for name, state in states.items()}
        metrics.sources_judged({name: _shown(judged[name], states[name]) for name in states})
        for name, found in judged.items():
            if found.state in _TOLD:
                await self._tell(name, found)
        for name, state in states.items():
            source = self._watched.get(name)
            if source is not None and _is_due(source, state, at):
                await self._seek(source)

    async def _tell(self, name: str, found: Judged) -> None:
        detail = f"Source {name}: {found.why}."
        async with self._database.transaction() as tx:
            await self._announcer.alarm(tx, found.state, detail, once=Once(f"{name} {found.state}"))

    async def _seek(self, source: Source) -> None:
        """Look for a source's canary, and tell when it is not found, or found again."""
        try:
            await self.find(source)
            missing = None
        except LeakwatchError as error:
            missing = error
        async with self._database.transaction() as tx:
            await sources.canary(tx, source.name, missing=str(missing) if missing else None, now=now())
            if missing:
                detail = f"Source {source.name}: its canary was not found: {missing}"
                await self._announcer.alarm(tx, CanaryLost.reason, detail, once=Once(f"{source.name} canary"))
        log.info("canary", source=source.name, reason=missing.reason if missing else None)

    async def find(self, source: Source) -> None:
        """Read a source's canary as any document, and match its key. Raises FetchError, CanaryLost."""
        canary = source.canary
        assert canary is not None  # noqa: S101 - asked only where there is one
        page = await self._session.get(canary.url, source=source)
        document = Document(reference=Reference(url=canary.url, id=canary.url), text=page.text())
        found = await asyncio.get_running_loop().run_in_executor(self._executor, self._scan, document)
        _, digest = parse_digest(canary.digest)
        wanted = self._digester.stored(digest)

        async def lookup(digests: Collection[bytes]) -> Mapping[bytes, Sequence[RegisteredKey]]:
            return {wanted: [_CANARY]} if wanted in digests else {}

        if not await match(found, lookup):
            message = f"the document was read, and the key is not in it ({len(found)} others are)"
            raise CanaryLost(message, mend="look at it: was it changed, or does the site show something else to us?")

    def _scan(self, document: Document) -> list[Found]:
        return [self._digester.found(document.reference, c) for c in self._scanner.scan(document).candidates]


_CANARY: Final = RegisteredKey(id=0, customer_id=0, provider="", label="canary", key_id="")


def _is_due(source: Source, state: SourceState, at: datetime) -> bool:
    if source.canary is None or left_of_quiet(source.quiet, at):
        return False
    every = min(source.canary.every, _MISSING) if state.canary else source.canary.every
    return state.canary_at is None or at - state.canary_at >= timedelta(seconds=every)


def _shown(found: Judged, state: SourceState) -> tuple[str, int | None, float | None]:
    succeeded = state.succeeded_at.timestamp() if state.succeeded_at else None
    return found.state, state.quota, succeeded
