"""The embedded engine: durable work in the application's own database, for one node.

One loop takes turns. A turn is one transaction, which settles what has ended and claims what is due; handlers run
beside it as tasks, and a second loop renews their leases. The job table is the truth: a process that is killed loses
nothing but its leases, which the next one to start takes over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, final

import structlog

from leakwatch import metrics
from leakwatch.engine import failures, processes
from leakwatch.engine.failures import Verdict
from leakwatch.engine.fairness import Room, is_suspect
from leakwatch.engine.protocol import Dead, Job, NewJob, Queue, Retry
from leakwatch.engine.running import End, Run, Running
from leakwatch.errors import DatabaseDown, LeakwatchError
from leakwatch.model import now
from leakwatch.store import jobs
from leakwatch.store.database import Database, Transaction
from leakwatch.store.jobs import Kept, Live

log: Final = structlog.get_logger(__name__)
_BACKOFF: Final = (0.1, 5.0)  # seconds between turns while the database is away: the first time, at most
_UNWINDING: Final = 5.0  # seconds that cancelled handlers have to end
_TICK: Final = 0.001  # seconds: timers go by another clock than moments do


@final
class EmbeddedEngine:
    """See `leakwatch.engine.Engine`. A job that names no lane is limited by its queue alone."""

    def __init__(self, database: Database, *, poll: float = 1.0, caution: float = 5.0) -> None:
        self._database = database
        self._poll = poll  # seconds after which we see what another process has enqueued
        self._caution = timedelta(
            seconds=caution
        )  # from our start until a job is done that has crashed again and again
        self._queues: dict[str, Queue] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._running = Running(processes.this(), self._wake.set)
        self._woken = False  # the loop is, by what we have done ourselves, rather than by its own clock
        self._abandoned = False  # handlers that do not even end when they are cancelled
        self._failed_turns = 0  # in a row
        self._expiry_due_at = now()
        self.running = False
        self.failure: LeakwatchError | None = None  # why the last turn failed; None: it did not
        self.progressed_at = time.monotonic()  # when the loop last came round, for a watchdog

    def serve(self, queue: Queue) -> None:
        """Have this queue's jobs done by this process once `run` is called."""
        self._queues[queue.name] = queue

    async def enqueue(self, tx: Transaction, jobs_: Sequence[NewJob]) -> int:
        """Add jobs in the caller's transaction; return how many were new (by dedupe key)."""
        at, rows, added = now(), [], 0
        for new in jobs_:
            verdict = self._verdict(new, at)
            if verdict is not None and verdict.given_up:
                added += await self._enqueue_dead(tx, new, verdict, at)
            else:
                rows.append(_row(new, verdict, at))
        if rows:
            added += len(await jobs.insert(tx, rows))
            tx.on_commit(partial(self._wake_at, min(row["run_at"] for row in rows)))
        return added

    async def complete(self, tx: Transaction, *jobs_: Job) -> None:
        """Settle jobs in the transaction of their own effects. A handler that does not is settled when it returns."""
        await jobs.settle(tx, [self._running.lease(job) for job in jobs_])
        for run in map(self._running.of, jobs_):
            if run is not None:
                tx.on_commit(run.complete)

    async def run(self) -> None:
        """Do jobs until `stop`. What is no job's own error (the database is away) is told once, and waited out."""
        self.running = True
        upkeep = asyncio.create_task(self._upkeep(), name="engine upkeep")
        step = self._take_over
        try:
            while not self._is_finished():
                works = await self._works(step)
                self.progressed_at = time.monotonic()
                if works:
                    step = self._turn
                    await self._rest()
        finally:
            self.running = False
            self._running.stopping = True
            await _end([upkeep, *self._running.tasks])
            self._stopped.set()

    async def stop(self, grace: float) -> None:
        """Claim nothing more, give running jobs that many seconds, then cancel them and hand them back."""
        self._stopping.set()
        self._wake.set()
        if not self.running or await _happens(self._stopped, grace):
            return
        self._running.stopping = True
        for task in self._running.tasks:
            task.cancel()
        if not await _happens(self._stopped, _UNWINDING):
            log.error("jobs do not stop: they are left to the next start", jobs=len(self._running.tasks))
            self._abandoned = True
            self._wake.set()

    async def due(self, tx: Transaction, dedupe_keys: Sequence[str]) -> dict[str, datetime]:
        """Return when each live job with one of these keys is done next: for showing, not for deciding."""
        return await jobs.due(tx, dedupe_keys)

    async def live(self, tx: Transaction, *, limit: int = 100) -> list[Live]:
        """Return the jobs that run or wait, the next one first."""
        return await jobs.live(tx, limit=limit)

    async def hurry(self, tx: Transaction, dedupe_keys: Sequence[str]) -> int:
        """Have live jobs with these keys done now, whatever they wait for; return how many wait no more."""
        tx.on_commit(self._wake.set)
        return await jobs.hurry(tx, dedupe_keys, now=now())

    async def backlog(self, tx: Transaction, queue: str, lane: str, *, before: datetime | None = None) -> int:
        """Return how many jobs of a lane wait or run: all, or those that were added before a moment."""
        return await jobs.backlog(tx, queue, lane, before=before)

    async def waiting(self, tx: Transaction, queue: str) -> dict[str, int]:
        """Return the sizes of a queue's jobs that wait or run, added up for each lane."""
        return await jobs.documents(tx, queue)

    async def dead(self, tx: Transaction, *, limit: int = 100) -> list[Dead]:
        """Return the dead letters, newest first."""
        return [Dead(**facts) for facts in await jobs.dead(tx, limit=limit)]

    async def one(self, tx: Transaction, job_id: int) -> Kept | None:
        """Return a job with its payload, whatever its state."""
        return await jobs.one(tx, job_id)

    async def revive(self, tx: Transaction, ids: Sequence[int]) -> int:
        """Make dead letters live again, with their failures forgotten; return how many.

        They come back without their dedupe keys: another job may have been made under one since.
        """
        tx.on_commit(self._wake.set)
        return await jobs.revive(tx, ids, now=now())

    async def drop(self, tx: Transaction, ids: Sequence[int]) -> int:
        """Delete dead letters, for good; return how many."""
        return await jobs.drop(tx, ids)

    # Adding

    def _verdict(self, new: NewJob, at: datetime) -> Verdict | None:
        if new.failed is None:
            return None
        served = self._queues.get(new.queue)
        retry = Retry() if served is None else served.retry
        return failures.judge(new.failed, attempts=new.attempts + 1, retry=retry, at=at)

    async def _enqueue_dead(self, tx: Transaction, new: NewJob, verdict: Verdict, at: datetime) -> int:
        """Add a job that was given up before it was ever ready."""
        added = await jobs.insert(tx, [_row(new, verdict, at)])
        for number in added:
            await jobs.bury_new(tx, number, verdict.failure)
            job = Job(id=number, queue=new.queue, payload=new.payload, lane=new.lane, attempts=new.attempts, picks=0)
            await self._tell(tx, job, verdict)
        return len(added)

    async def _tell(self, tx: Transaction, job: Job, verdict: Verdict) -> None:
        """Let whoever waits for a job know, in this transaction, that it has become a dead letter."""
        queue = self._queues.get(job.queue)
        if queue is not None and queue.bury is not None:
            await queue.bury(tx, replace(job, attempts=verdict.failure.attempts), verdict.error)
        if queue is not None and not queue.letters:
            await jobs.drop(tx, [job.id])

    def _wake_at(self, moment: datetime) -> None:
        delay = (moment - now()).total_seconds()
        if delay <= 0:
            self._wake.set()
        else:
            asyncio.get_running_loop().call_later(delay + _TICK, self._wake.set)

    # The loop

    async def _works(self, step: Callable[[], Awaitable[None]]) -> bool:
        """Take a step. When it fails say so the first time, and wait: longer each time."""
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - whatever it is, jobs must not lie there with nobody to do them
            await self._failing(error)
            return False
        if self.failure is not None:
            tell = log.debug if isinstance(self.failure, DatabaseDown) else log.info
            tell("the engine works again", failed_turns=self._failed_turns)
        self.failure, self._failed_turns = None, 0
        return True

    async def _failing(self, error: Exception) -> None:
        why = failures.named(error)
        if self.failure is None or self.failure.reason != why.reason:
            unforeseen = None if why is error else error
            tell = log.debug if isinstance(why, DatabaseDown) else log.error  # the database's owner tells of that
            tell("the engine cannot work, and tries again", reason=why.reason, detail=str(why), exc_info=unforeseen)
        self.failure = why
        self._failed_turns += 1
        if self._stopping.is_set():
            await asyncio.sleep(_BACKOFF[0])
        else:
            await _happens(self._stopping, min(_BACKOFF[1], _BACKOFF[0] * 2.0 ** min(self._failed_turns, 10)))

    async def _rest(self) -> None:
        """Wait until there may be something to do."""
        if not self._is_finished():
            self._woken = await _happens(self._wake, self._poll)
            await asyncio.sleep(0)  # what ends together is settled together
            self._wake.clear()

    def _is_finished(self) -> bool:
        """Whether we were told to stop and nothing is left that we could still settle."""
        if not self._stopping.is_set():
            return False
        return self._abandoned or not (self._running.tasks or (self._running.held and self.failure is None))

    async def _take_over(self) -> None:
        """Free the jobs of processes of this host that are gone, so that they are done at once."""
        async with self._database.transaction() as tx:
            gone = {owner for owner in await jobs.owners(tx) if processes.is_gone(owner)}
            released = await jobs.release(tx, gone) if gone else 0
            await jobs.mistrust(tx, now() + self._caution)
        if released:
            log.warning("a process died under these jobs: they are done again", jobs=released)

    async def _turn(self) -> None:
        """Settle what has ended, claim what is due, and start it."""
        for run, verdict in self._running.dead():
            await self._bury(run, verdict)
        ended, at, claimed = self._running.ended(), now(), list[tuple[Queue, Job]]()
        if not ended and not self._woken and not await self._is_due(at):
            return
        async with self._database.transaction() as tx:
            await self._settle(tx, ended)
            if not self._stopping.is_set():
                await self._release_expired(tx, at)
                for queue in await self._due(tx, at):
                    claimed += await self._claim(tx, queue, at, claimed)
        self._running.settled(ended)
        for queue, job in claimed:
            self._running.start(queue, job)

    async def _is_due(self, at: datetime) -> bool:
        if self._stopping.is_set():
            return False
        async with self._database.reading() as tx:
            return bool(await self._due(tx, at))

    async def _due(self, tx: Transaction, at: datetime) -> list[Queue]:
        """The queues in which there is something to claim: of most there is nothing."""
        names = await jobs.queues_due(tx, self._queues, now=at, held=self._running.held)
        return [queue for name, queue in self._queues.items() if name in names]

    # Claiming

    async def _release_expired(self, tx: Transaction, at: datetime) -> None:
        """Free what another process has not renewed: it was killed on another host, or hangs."""
        if at >= self._expiry_due_at:
            self._expiry_due_at = at + timedelta(seconds=self._poll)
            if await jobs.release_expired(tx, now=at, held=self._running.held):
                await jobs.mistrust(tx, at + self._caution)

    async def _claim(
        self, tx: Transaction, queue: Queue, at: datetime, earlier: Sequence[tuple[Queue, Job]]
    ) -> list[tuple[Queue, Job]]:
        """Lease what a queue has room for; `earlier` is what this turn has leased already."""
        room = Room(queue, (run.job.lane for run in self._running.now(queue)))
        running = {run.job.id for run in self._running.now()}
        claimed: list[tuple[Queue, Job]] = []
        most, full = 2 * queue.concurrency, None
        while room.left and room.full != full:  # a lane that has filled up may have hidden others behind it
            full = room.full
            waiting = await jobs.waiting(tx, queue.name, now=at, full=full, limit=most)
            suspects = (is_suspect(q, job.picks - 1) for q, job in (*earlier, *claimed))
            taken = room.take(waiting, running=running, cautious=self._running.has_suspect() or any(suspects))
            claimed += [(queue, job) for job in await self._lease(tx, queue, [t.id for t in taken], at)]
            if len(waiting) < most:
                break
        return claimed

    async def _lease(self, tx: Transaction, queue: Queue, ids: Sequence[int], at: datetime) -> list[Job]:
        if not ids:
            return []
        until = at + timedelta(seconds=queue.lease)
        rows = await jobs.claim(tx, ids, owner=self._running.owner, until=until)
        return sorted((Job(**row) for row in rows), key=lambda job: ids.index(job.id))

    async def _upkeep(self) -> None:
        """Renew the leases of what runs, and count what there is."""
        while True:
            await asyncio.sleep(min((queue.lease for queue in self._queues.values()), default=30.0) / 3)
            try:
                await self._renew()
                async with self._database.reading() as tx:
                    metrics.jobs_counted(await jobs.counts(tx))
            except DatabaseDown:
                continue  # the other loop tells of it
            except Exception:  # without renewal every job would be done twice
                log.exception("leases are not renewed")

    async def _renew(self) -> None:
        if not self._running.held:
            return
        async with self._database.transaction() as tx:
            for queue in self._queues.values():
                if ids := [run.job.id for run in self._running.now(queue)]:
                    until = now() + timedelta(seconds=queue.lease)
                    await jobs.extend(tx, ids, owner=self._running.owner, until=until)

    # Settling

    async def _settle(self, tx: Transaction, ended: Sequence[Run]) -> None:
        if done := [run.lease for run in ended if run.end is End.DONE]:
            await jobs.settle(tx, done)
        if back := [run.lease for run in ended if run.end is End.BACK]:
            await jobs.hand_back(tx, back)
        if again := [(run.lease, run.verdict.failure) for run in ended if run.verdict]:
            await jobs.retry(tx, again)
            tx.on_commit(partial(self._wake_at, min(failure.at for _, failure in again)))

    async def _bury(self, run: Run, verdict: Verdict) -> None:
        """Make a job a dead letter. As long as whoever waits for it cannot be told, it lives on."""
        try:
            async with self._database.transaction() as tx:
                if await jobs.bury(tx, run.lease, verdict.failure):
                    await self._tell(tx, run.job, verdict)
        except DatabaseDown:
            raise
        except Exception:  # a bug in what is told must not stop all other jobs
            log.exception("a dead letter could not be told of", queue=run.job.queue, job=run.job.id)
            later = now() + timedelta(seconds=run.queue.retry.ceiling)
            run.end = replace(verdict, given_up=False, failure=replace(verdict.failure, at=later))
        else:
            self._running.settled([run])


def _row(new: NewJob, verdict: Verdict | None, at: datetime) -> dict[str, Any]:
    """A new job as the table has it; one that has just failed waits for its next try."""
    row = {
        "queue": new.queue,
        "payload": new.payload,
        "lane": new.lane,
        "dedupe_key": new.dedupe_key,
        "priority": new.priority,
        "state": jobs.READY,
        "run_at": new.run_at or at,
        "size": new.size,
        "attempts": new.attempts,
        "picks": 0,
        "created_at": at,
        "reason": None,
        "detail": None,
    }
    if verdict is not None:
        failure = verdict.failure
        row |= {"attempts": failure.attempts, "reason": failure.reason, "detail": failure.detail}
        row["run_at"] = max(new.run_at or at, failure.at)
    return row


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, so long at most; return whether it has happened."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait a moment for them to end."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=100 * _TICK)
