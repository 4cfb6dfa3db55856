"""Who watches the watching: judges each source again and again, tells of those that are not watched, seeks canaries.

Judging depends on neither schedule nor engine: a source that these forget is found to be overdue here. A canary is
sought by a job like any other, on the way of any other document:

::

    job ─▶ listing, from its beginning ─▶ its reference there ─▶ fetch ─▶ scan ─▶ match
              └─▶ not listed any more: its own address ───────────┘

A job that never runs is told, too: somebody asked for it, and nothing came of it.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, final

import structlog

from leakwatch import coverage, metrics
from leakwatch.announce import Announcer, Once
from leakwatch.coverage import Judged, State
from leakwatch.engine import Engine, Job, NewJob, Queue, Retry
from leakwatch.errors import CanaryLost, DatabaseDown, FetchError, LeakwatchError, ScanFailed
from leakwatch.fetch import Session, Source, fetch_document, poll
from leakwatch.match import parse_digest
from leakwatch.model import Document, Reference, Via, now
from leakwatch.pepper import Pepper
from leakwatch.pipeline import Pipeline
from leakwatch.store import sources
from leakwatch.store.database import Database, Transaction
from leakwatch.store.sources import SourceState
from leakwatch.units import left_of_quiet

log: Final = structlog.get_logger(__name__)
_BEAT: Final = 30.0  # seconds between two looks
CANARY: Final = "canary"
_MISSING: Final = 900.0  # seconds until a canary is looked for again that was not found
_UNANSWERED: Final = timedelta(minutes=15)  # after which a job that seeks a canary should have run
_AT_ONCE: Final = 4  # canaries
_TOLD: Final = (State.OVERDUE, State.QUIET)  # the other states are told by whoever finds them


@final
class Watchman:
    """Looks at all sources, whoever polls them."""

    def __init__(  # noqa: PLR0913 - the parts, named once in app.py
        self,
        *,
        watched: Mapping[str, Source],
        database: Database,
        engine: Engine,
        session: Session,
        announcer: Announcer,
        pipeline: Pipeline,
        pepper: Pepper,
    ) -> None:
        self._watched = watched
        self._database = database
        self._engine = engine
        self._session = session
        self._announcer = announcer
        self._pipeline = pipeline
        self._pepper = pepper
        self._asked: dict[str, datetime] = {}  # since when a source's canary is sought

    def queue(self) -> Queue:
        """Return the search for canaries as the engine serves it."""
        return Queue(
            name=CANARY,
            handler=self.seek,
            concurrency=_AT_ONCE,
            retry=Retry(limit=3),
            bury=self._given_up,
            letters=False,
        )

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
                await self._ask(source, at)
            else:
                self._asked.pop(name, None)

    async def _tell(self, name: str, found: Judged) -> None:
        detail = f"Source {name}: {found.why}."
        async with self._database.transaction() as tx:
            await self._announcer.alarm(tx, found.state, detail, once=Once(f"{name} {found.state}"))

    async def _ask(self, source: Source, at: datetime) -> None:
        """Have a source's canary sought; tell when that was asked for long ago and nobody has done it."""
        since = self._asked.setdefault(source.name, at)
        async with self._database.transaction() as tx:
            job = NewJob(
                queue=CANARY, payload=source.name.encode(), lane=source.name, dedupe_key=f"canary:{source.name}"
            )
            await self._engine.enqueue(tx, [job])
        if at - since > _UNANSWERED:
            message = "nobody has looked for it: its job does not run"
            await self._settle(source.name, CanaryLost(message, mend="see `leakwatch jobs list --live`, and the log"))

    async def seek(self, job: Job) -> None:
        """Look for a source's canary, and tell when it is not found."""
        name = job.payload.decode()
        source = self._watched.get(name)
        missing: LeakwatchError | None = None
        if source is None or source.canary is None:
            async with self._database.transaction() as tx:
                await self._engine.complete(tx, job)
            return
        try:
            listed = await self.find(source)
            log.info("canary found", source=name, listed=listed)
        except (FetchError, ScanFailed, CanaryLost) as error:
            missing = error
            log.warning("canary not found", source=name, reason=error.reason)
        await self._settle(name, missing, job)

    async def find(self, source: Source) -> bool:
        """Find a source's canary and match its key; return whether its listing named it.

        Raises FetchError, ScanFailed, CanaryLost.
        """
        canary = source.canary
        assert canary is not None  # noqa: S101 - asked only where there is one
        batch = (await poll(self._session, source)).batch
        listing: list[Document | Reference] = [*batch.documents, *batch.references]
        listed = next((one for one in listing if _is_at(one, canary.url)), None)
        unlisted = Reference(url=source.text_url(canary.url) or canary.url, id=canary.url)
        one = unlisted if listed is None or _opens(listed) else listed
        document = one if isinstance(one, Document) else await fetch_document(self._session, source, one)
        _, digest = parse_digest(canary.digest)
        looked = await self._pipeline.look(document, self._pepper.hmac(digest))
        if not looked.holds:
            message = "the document was read, and the key is not in it"
            raise CanaryLost(message, mend="look at it: was it changed, or does the site show something else to us?")
        return listed is not None

    async def _settle(self, name: str, missing: LeakwatchError | None, job: Job | None = None) -> None:
        async with self._database.transaction() as tx:
            await self._note(tx, name, missing)
            if job is not None:
                await self._engine.complete(tx, job)

    async def _given_up(self, tx: Transaction, job: Job, error: LeakwatchError) -> None:
        await self._note(tx, job.payload.decode(), error)

    async def _note(self, tx: Transaction, name: str, missing: LeakwatchError | None) -> None:
        """Write down whether a canary was found, and tell of one that was not."""
        await sources.canary(tx, name, missing=str(missing) if missing else None, now=now())
        if missing:
            detail = f"Source {name}: its canary was not found: {missing}"
            await self._announcer.alarm(tx, CanaryLost.reason, detail, once=Once(f"{name} canary"))


def _is_at(one: Document | Reference, url: str) -> bool:
    """Whether a document is fetched or shown at an address."""
    reference = one.reference if isinstance(one, Document) else one
    return url in (reference.url, reference.page)


def _opens(one: Document | Reference) -> bool:
    """Whether what a listing names is no document but holds some."""
    return isinstance(one, Reference) and one.via is not Via.PAGE


def _is_due(source: Source, state: SourceState, at: datetime) -> bool:
    if source.canary is None or left_of_quiet(source.quiet, at):
        return False
    every = min(source.canary.every, _MISSING) if state.canary else source.canary.every
    return state.canary_at is None or at - state.canary_at >= timedelta(seconds=every)


def _shown(found: Judged, state: SourceState) -> tuple[str, int | None, float | None]:
    succeeded = state.succeeded_at.timestamp() if state.succeeded_at else None
    return found.state, state.quota, succeeded
