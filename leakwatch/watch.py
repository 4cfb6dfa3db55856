"""The jobs that watch a source: one polls its listing, the other fetches what the listing named.

Both end in the pipeline. What must outlive the process between them is sealed, since a URL or a cursor can hold a key.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from leakwatch import coverage, elsewhere, metrics
from leakwatch.announce import Announcer, Once
from leakwatch.engine import Engine, Job, NewJob, Queue, Retry
from leakwatch.errors import Blocked, FetchError, Gone, JobCrashed, LeakwatchError, NotWatched
from leakwatch.fetch import Poll, Session, Trace, fetch, poll
from leakwatch.fetch.limits import Resting
from leakwatch.fetch.source import Source
from leakwatch.fetch_jobs import FETCH, FetchJobs, sort, too_long, unpack
from leakwatch.frontier import Frontier, Missed, foremost
from leakwatch.model import Batch, Checkpoint, Document, Reference, Via, now
from leakwatch.pepper import Pepper
from leakwatch.pipeline import Outcome, Pipeline
from leakwatch.store import documents, settings, sources
from leakwatch.store.database import Database, Transaction
from leakwatch.store.sources import Seen, Start
from leakwatch.units import left_of_quiet

log: Final = structlog.get_logger(__name__)
POLL: Final = "poll"
_POLLS, _FETCHES = 24, 24  # jobs at once: most of them wait for their turn at a host
_BACKLOG: Final = 1000  # jobs of one source that wait: beyond, it is not polled
_SURE: Final = 1  # looks before the one after which a document counts as missing: at first it may not be there yet
_AWAY: Final = 3600.0  # seconds until work is tried again whose source is not configured
_ORPHANED: Final = "configure it again; what was given up by then: `leakwatch jobs retry`, or `leakwatch jobs drop`"
_MADE_GOOD: Final = "They are looked for in the list of all that there is. "
_HOUR: Final = timedelta(hours=1)
_TOLD: Final = "\n"  # behind the name in a poll's job; it stands in no name


def poll_job(name: str, *, told: bool = False) -> NewJob:
    """Return the job that polls a source, one at a time for each; `told`: by who knows of news, before it is due."""
    payload = f"{name}{_TOLD if told else ''}".encode()
    return NewJob(queue=POLL, payload=payload, lane=name, dedupe_key=f"poll:{name}", priority=5)


class Watch:
    """Polls and fetches, one source or another."""

    def __init__(  # noqa: PLR0913 - the parts, named once in app.py
        self,
        *,
        watched: Mapping[str, Source],
        database: Database,
        engine: Engine,
        session: Session,
        pipeline: Pipeline,
        announcer: Announcer,
        frontier: Frontier,
        pepper: Pepper,
    ) -> None:
        self._watched = watched
        self._database = database
        self._engine = engine
        self._session = session
        self._pipeline = pipeline
        self._announcer = announcer
        self._frontier = frontier
        self._pepper = pepper
        self._jobs = FetchJobs(pepper)

    def queues(self) -> tuple[Queue, Queue]:
        """Return the two kinds of work as the engine serves them."""
        # A poll that fails is tried again when the source is due: only a dead database brings its job back, and none
        # is kept that was given up.
        return (
            Queue(
                name=POLL,
                handler=self.poll,
                concurrency=_POLLS,
                retry=Retry(limit=3),
                bury=self._poll_given_up,
                letters=False,
            ),
            Queue(
                name=FETCH,
                handler=self.fetch,
                concurrency=_FETCHES,
                lane_concurrency=2,
                retry=Retry(base=10.0),
                bury=self._fetch_given_up,
            ),
        )

    async def wake(self, name: str) -> datetime:
        """Enqueue a poll if the source is due, and return when it is due next."""
        source = self._watched[name]
        at = now()
        if left := left_of_quiet(source.quiet, at):
            ends = at + timedelta(seconds=left)
            async with self._database.transaction() as tx:
                await sources.postpone(tx, name, ends)
            return ends
        async with self._database.transaction() as tx:
            learnt = await sources.interval(tx, name)
            fastest, slowest = source.pace
            claim = await sources.claim(tx, name, min(max(learnt or source.every, fastest), slowest), at)
            if claim.claimed:
                waiting = await self._waiting(tx, source)
                if waiting or claim.waiting:
                    await sources.behind(tx, name, waiting)
                await self._engine.enqueue(tx, [] if waiting else [poll_job(name)])
        return claim.next_poll_at

    async def poll(self, job: Job) -> None:
        """Poll a source from its checkpoint, and hand what it yields to the pipeline."""
        name, told, _ = job.payload.decode().partition(_TOLD)
        source = self._watched.get(name)
        if source is None:
            log.info("source is no longer watched", source=name)
            return
        start = await self._start(source)
        checkpoint = self._checkpoint(source, start)
        crashed = job.picks > 1
        try:
            polled = await poll(self._session, source, checkpoint, crashed=crashed)
        except FetchError as error:
            # Where nothing was asked it is no failure that somebody told us.
            await (self._rested if told and isinstance(error, Resting) else self._failed)(job, source, error)
            return
        batch = await self._unseen(source, polled.batch)
        skip = checkpoint is None and source.backlog == "skip"
        cut = [] if skip else [(d.reference, too_long(source)) for d in batch.documents if d.truncated]
        left_alone = _left_alone(source, batch) if skip else ()
        admitted = await self._frontier.admitted(source, () if skip else batch.references)
        if skip:
            batch = Batch(source=batch.source, references=_references(batch))
        elif crashed:
            await self._one_by_one(source, batch.documents)
            batch = Batch(source=batch.source, references=admitted.taken)
        else:
            batch = replace(batch, references=admitted.taken)

        async def settle(tx: Transaction, outcome: Outcome) -> None:
            news = left_alone if skip else outcome.new
            await self._engine.enqueue(tx, self._jobs.several(source, news, alone=crashed))
            missed = Missed(full=admitted.missed, withheld=0 if skip else polled.trace.missed)
            await self._frontier.missed(tx, source, missed)
            await self._engine.enqueue(tx, self._jobs.rescans(source, outcome.failures))
            await self._engine.enqueue(tx, self._jobs.failed(source, cut))
            await self._polled(tx, source, polled, start.interval, len(outcome.new) + len(batch.documents))
            await self._noted(tx, source, polled.trace)
            await self._engine.complete(tx, job)

        outcome = await self._pipeline.process(batch, source, settle)
        metrics.polled(source.name, metrics.OK)
        tell = log.info if batch.documents or outcome.new else log.debug
        tell(
            "polled",
            source=source.name,
            inline=len(batch.documents),
            new=len(outcome.new),
            skipped=skip,
            caught=polled.trace.caught,
        )

    async def fetch(self, job: Job) -> None:
        """Fetch a job's references, and hand the documents to the pipeline; what failed becomes a job of its own."""
        name, references = unpack(job.payload, self._pepper)
        source = self._watched.get(name)
        if source is None:
            message = f"{len(references)} documents wait for source {name}, which is not configured"
            raise NotWatched(message, mend=_ORPHANED, retry_after=_AWAY)
        if job.picks > 1 and len(references) > 1:
            await self._split(job, source, references)
            return
        if left := left_of_quiet(source.quiet, now()):
            await self._put_off(job, source, references, left)
            return
        fetched = await fetch(self._session, source, references)
        # What a listing says of a document is scanned even when the document itself cannot be had.
        bare = [Document(reference=r, text="") for r, _ in fetched.failures if job.attempts == 0]
        what = sort(fetched.failures, job.attempts)
        cut = [(d.reference, too_long(source)) for d in fetched.documents if d.truncated]
        inline = tuple(document for opened in fetched.opened for document in opened.documents)
        named, missed = foremost(source, fetched.opened)
        admitted = await self._frontier.admitted(source, named, leaving=len(references))

        async def settle(tx: Transaction, outcome: Outcome) -> None:
            await self._engine.enqueue(tx, self._jobs.rescans(source, outcome.failures, job.attempts))
            await self._engine.enqueue(tx, self._jobs.failed(source, [*what.failed, *cut], job.attempts))
            await self._engine.enqueue(tx, self._jobs.several(source, outcome.new))
            rested = now() + timedelta(seconds=fetched.wait) if fetched.wait else None  # the host wants to rest
            left = self._jobs.several(source, fetched.left, attempts=job.attempts, run_at=rested)
            await self._engine.enqueue(tx, left)
            await self._frontier.missed(tx, source, replace(missed, full=admitted.missed))
            await elsewhere.tell(tx, source.name, fetched.documents)
            for opened in fetched.opened:
                tx.on_commit(opened.settle)
            await self._engine.enqueue(tx, self._jobs.later(source, what.later, job.attempts))
            missing = (len(what.gone), len(what.refused)) if job.attempts == _SURE else (0, 0)
            await self._fetched(tx, source, len(fetched.documents), *missing)
            await self._engine.complete(tx, job)

        documents = (*fetched.documents, *inline, *bare)
        await self._pipeline.process(Batch(source=name, documents=documents, references=admitted.taken), source, settle)
        log.info(
            "fetched",
            source=name,
            documents=len(fetched.documents),
            failed=len(what.failed),
            later=len(what.later),
            gone=len([r for r in what.gone if r not in what.later]),
        )

    async def _fetched(self, tx: Transaction, source: Source, had: int, gone: int, refused: int) -> None:
        """Count what came of a source's documents, over all its jobs; tell when none of them can be had any more."""
        missing = await sources.fetched(tx, source.name, had=had, gone=gone, refused=refused)
        if missing >= coverage.MISSING and (gone or refused):
            reason = Blocked.reason if refused else Gone.reason
            detail = f"Source {source.name} is not being watched: {coverage.missed(missing, reason)}."
            await self._announcer.alarm(tx, reason, detail, once=Once(f"{source.name} documents {reason}"))

    async def noticed(self, name: str) -> None:
        """Poll a source now: something there has said that it changed."""
        async with self._database.transaction() as tx:
            await self._engine.enqueue(tx, [poll_job(name, told=True)])

    async def _rested(self, job: Job, source: Source, error: FetchError) -> None:
        """Leave a source until it is due again, but no sooner than its host's rest is over."""
        async with self._database.transaction() as tx:
            await sources.postpone(tx, source.name, now() + timedelta(seconds=error.retry_after or 0.0))
            await self._engine.complete(tx, job)

    async def _put_off(self, job: Job, source: Source, references: Sequence[Reference], seconds: float) -> None:
        """Leave a site alone in its quiet hours."""
        ends = now() + timedelta(seconds=seconds)
        async with self._database.transaction() as tx:
            await self._engine.enqueue(tx, [self._jobs.one(source, references, attempts=job.attempts, run_at=ends)])
            await self._engine.complete(tx, job)

    async def _waiting(self, tx: Transaction, source: Source) -> int:
        """Return how many jobs keep a source from being polled that lists faster than it may be fetched; mostly 0.

        One whose frontier is bounded goes on: what it has no room for is counted as missed.
        """
        if source.definition.frontier is not None:
            return 0
        waiting = await self._engine.backlog(tx, FETCH, source.name)
        if waiting < _BACKLOG:
            return 0
        detail = f"Source {source.name}: {waiting} jobs of documents wait to be fetched, so it is not polled. "
        detail += "Raise its rate, if the site allows."
        await self._announcer.alarm(tx, "behind", detail, once=Once(f"{source.name} behind"))
        return waiting

    async def _one_by_one(self, source: Source, inline: Sequence[Document]) -> None:
        """After a crash: scan each inline document by itself. One under which the process dies again is left out."""
        name = f"suspect:{source.name}"
        for document in inline:
            suspect = self._pipeline.identity(source, document.reference)
            async with self._database.transaction() as tx:
                is_guilty = await settings.get(tx, name) == suspect.hex()
                await settings.put(tx, name, suspect.hex())
                if is_guilty:
                    await documents.new(tx, source.name, [suspect], now())
                    detail = f"Source {source.name}: the process died twice under a document in its listing."
                    await self._announcer.alarm(tx, JobCrashed.reason, f"{detail} It was not scanned.")
            if not is_guilty:
                batch = Batch(source=source.name, documents=(document,))
                await self._pipeline.process(batch, source, partial(self._rescan, source))
        async with self._database.transaction() as tx:
            await settings.put(tx, name, "")

    async def _rescan(self, source: Source, tx: Transaction, outcome: Outcome) -> None:
        await self._engine.enqueue(tx, self._jobs.rescans(source, outcome.failures))

    async def _noted(self, tx: Transaction, source: Source, trace: Trace) -> None:
        """Tell of tokens that are not accepted, and of what a listing holds and cannot be used: once a day for each."""
        if faults := self._session.faults(source):
            detail = f"Source {source.name} does without some of its tokens: {'; '.join(faults)}."
            await self._announcer.alarm(tx, "token", detail, once=Once(f"{source.name} token"))
        if trace.listing is None or not trace.listing.notes:
            return
        notes = "; ".join(trace.listing.notes)
        log.warning("listing read in part", source=source.name, notes=notes)
        detail = f"Source {source.name} is read in part: {notes}. See `leakwatch sources test {source.name}`."
        await self._announcer.alarm(tx, "partial", detail, once=Once(f"{source.name} partial"))

    async def _start(self, source: Source) -> Start:
        async with self._database.reading() as tx:
            return await sources.start(tx, source.name)

    def _checkpoint(self, source: Source, start: Start) -> Checkpoint | None:
        """Return where the last poll ended; None before the first, and where that was of another place."""
        sealed = start.checkpoint
        kept = {} if sealed is None else json.loads(self._pepper.open(sealed, "checkpoint"))
        return kept["checkpoint"] if kept.get("whence") == source.whence else None

    async def _polled(self, tx: Transaction, source: Source, polled: Poll, learnt: float | None, news: int) -> None:
        checkpoint, trace, at = polled.batch.checkpoint, polled.trace, now()
        kept = json.dumps({"whence": source.whence, "checkpoint": None if checkpoint is None else dict(checkpoint)})
        sealed = None if checkpoint is None else self._pepper.seal(kept.encode(), "checkpoint")
        items = trace.listing.items if trace.listing else 0
        interval = coverage.paced(source, learnt, news=news, items=items, gap=trace.gap)
        seen = Seen(news=news, gap=trace.gap, left=trace.left, quota=trace.quota, wire=trace.wire, interval=interval)
        recovered = await sources.polled(tx, source.name, checkpoint=sealed, now=at, seen=seen)
        if trace.interval:  # the site says how often it wants to be asked
            await sources.postpone(tx, source.name, at + timedelta(seconds=trace.interval))
        if trace.gap:
            metrics.gap(source.name)
            detail = (
                f"Source {source.name}: a listing had nothing of what the last poll saw, or told us that it is not "
                f"whole, so documents were missed. "
                f"{_MADE_GOOD if source.definition.catchup else ''}"
                f"It is polled every {interval:.0f} s: lower `every` or `fastest`, if the site allows."
            )
            await self._announcer.alarm(tx, sources.GAP, detail, once=Once(f"{source.name} gap"))
        if recovered:
            detail = f"Source {source.name} can be read again."
            await self._announcer.alarm(tx, "recovered", detail, once=Once(f"{source.name} recovered", _HOUR))

    async def _failed(self, job: Job, source: Source, error: FetchError) -> None:
        """Say why a poll failed, and when the next one is; tell the operator when it lasts."""
        at = now()
        async with self._database.transaction() as tx:
            failing = await sources.failed(tx, source.name, reason=error.reason, detail=str(error), now=at)
            due = at + timedelta(seconds=coverage.retried(source, failing.failures, error))
            await sources.postpone(tx, source.name, due)
            if not failing.told and (failing.failures >= coverage.PATIENCE or not error.transient):
                last = f"It last worked at {failing.succeeded_at:%Y-%m-%d %H:%M} UTC. " if failing.succeeded_at else ""
                more = f"{last}Next try at {due:%Y-%m-%d %H:%M:%S} UTC."
                await self._blind(tx, source.name, error, more)
            await self._engine.complete(tx, job)
        metrics.polled(source.name, error.reason)
        log.warning("poll failed", source=source.name, reason=error.reason, detail=str(error), next_try=due.isoformat())

    async def _poll_given_up(self, tx: Transaction, job: Job, error: LeakwatchError) -> None:
        """Tell of a poll that did not even fail as polls do: until it is mended the source is blind."""
        name = job.payload.decode().partition(_TOLD)[0]
        failing = await sources.failed(tx, name, reason=error.reason, detail=str(error), now=now())
        if not failing.told:
            await self._blind(tx, name, error, "See the log.")

    async def _fetch_given_up(self, tx: Transaction, job: Job, error: LeakwatchError) -> None:
        """Tell of documents that nobody has looked at: once a day for each source and reason."""
        name, references = unpack(job.payload, self._pepper)
        detail = f"Source {name}: {len(references)} documents were not scanned, and perhaps more: {error}."
        once = Once(f"{name} {error.reason}")
        await self._announcer.alarm(tx, error.reason, f"{detail} See `leakwatch jobs list`.", once=once)

    async def _blind(self, tx: Transaction, name: str, error: LeakwatchError, more: str) -> None:
        """Tell the operator, once until it is over, that a source is not being watched."""
        await sources.alarmed(tx, name, now())
        detail = f"Source {name} is not being watched: {error}. {more}"
        await self._announcer.alarm(tx, error.reason, detail, once=Once(f"{name} {error.reason}", _HOUR))

    async def _unseen(self, source: Source, batch: Batch) -> Batch:
        """Leave out what earlier batches named: a listing repeats most of itself."""
        identities = {self._pipeline.identity(source, r) for r in _references(batch)}
        if not identities:
            return batch
        async with self._database.reading() as tx:
            known = await documents.known(tx, identities)

        def is_new(reference: Reference) -> bool:
            return self._pipeline.identity(source, reference) not in known

        return Batch(
            source=batch.source,
            documents=tuple(d for d in batch.documents if is_new(d.reference)),
            references=tuple(r for r in batch.references if is_new(r)),
            checkpoint=batch.checkpoint,
        )

    async def _split(self, job: Job, source: Source, references: Sequence[Reference]) -> None:
        """After a crash each document goes alone, so that the one at fault takes no other with it."""
        log.warning("a job crashed: its documents are tried one by one", source=source.name, documents=len(references))
        async with self._database.transaction() as tx:
            await self._engine.enqueue(tx, self._jobs.several(source, references, alone=True))
            await self._engine.complete(tx, job)


def _references(batch: Batch) -> tuple[Reference, ...]:
    return (*batch.references, *(d.reference for d in batch.documents))


def _left_alone(source: Source, batch: Batch) -> tuple[Reference, ...]:
    """What has to be opened even of a backlog that is skipped: of a repository, to know what is there already."""
    if source.definition.kind != "git":
        return ()
    return tuple(replace(reference, via=Via.BACKLOG) for reference in batch.references)
