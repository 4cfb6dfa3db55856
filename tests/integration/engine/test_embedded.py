"""The embedded engine when leases are lost and the database is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url, select
from structlog.testing import capture_logs

from leakwatch import metrics
from leakwatch.engine import Job, NewJob, Queue, Retry
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import Blocked, DatabaseDown, LeakwatchError, ServerFault
from leakwatch.model import now
from leakwatch.store import jobs, tables
from leakwatch.store.database import Database, Transaction
from tests.integration.engine.conftest import until


@asynccontextmanager
async def running(engine: EmbeddedEngine, grace: float = 5.0) -> AsyncIterator[None]:
    task = asyncio.create_task(engine.run())
    try:
        yield
    finally:
        await engine.stop(grace)
        await asyncio.wait_for(task, 10)


async def enqueue(database: Database, *new: NewJob) -> None:
    async with database.transaction() as tx:
        await EmbeddedEngine(database).enqueue(tx, new)


async def counts(database: Database) -> dict[tuple[str, str], int]:
    async with database.reading() as tx:
        return await jobs.counts(tx)


async def is_empty(database: Database) -> bool:
    return not await counts(database)


async def claimed(database: Database, owner: str, *, seconds: float) -> list[dict[str, Any]]:
    """Claim everything as another process would, with a lease of so many seconds."""
    async with database.transaction() as tx:
        ids = [job.id for job in await jobs.waiting(tx, "q", now=now(), full=(), limit=100)]
        return await jobs.claim(tx, ids, owner=owner, until=now() + timedelta(seconds=seconds))


def reason(engine: EmbeddedEngine) -> str | None:
    return None if engine.failure is None else engine.failure.reason


class Outage:
    """A database that is away for a while."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried = 0
        self.over = True
        for name in ("transaction", "reading"):
            monkeypatch.setattr(database, name, partial(self._open, getattr(database, name)))

    def _open(self, real: Any) -> AbstractAsyncContextManager[Any]:
        self.tried += 1
        if not self.over:
            raise DatabaseDown("the database did not answer")
        opened: AbstractAsyncContextManager[Any] = real()
        return opened


async def test_an_expired_lease_is_anybodys_and_one_that_lasts_is_not(database: Database) -> None:
    done: list[Job] = []

    async def handle(job: Job) -> None:
        done.append(job)

    await enqueue(database, NewJob(queue="q", payload=b"expired"))
    await claimed(database, "elsewhere:1:1", seconds=-1)
    await enqueue(database, NewJob(queue="q", payload=b"held"))
    await claimed(database, "elsewhere:2:2", seconds=60)
    engine = EmbeddedEngine(database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle))
    async with running(engine):
        await until(lambda: bool(done))
        await asyncio.sleep(0.1)
    assert [(job.payload, job.picks) for job in done] == [(b"expired", 2)]
    assert await counts(database) == {("q", "running"): 1}


async def test_what_has_crashed_twice_lets_all_others_go_first_at_every_start(database: Database) -> None:
    done: list[bytes] = []

    async def handle(job: Job) -> None:
        done.append(job.payload)

    await enqueue(database, NewJob(queue="q", payload=b"suspect"))
    for process in ("gone:1:1", "gone:2:2"):
        await claimed(database, process, seconds=60)
        async with database.transaction() as tx:
            assert await jobs.release(tx, [process]) == 1
    await enqueue(database, *(NewJob(queue="q", payload=f"{n}".encode()) for n in range(3)))
    engine = EmbeddedEngine(database, poll=0.02, caution=0.5)
    engine.serve(Queue(name="q", handler=handle, concurrency=1))
    async with running(engine):
        await until(lambda: len(done) == 4)
    assert done == [b"0", b"1", b"2", b"suspect"]


async def test_leases_are_renewed_while_a_handler_runs(database: Database) -> None:
    began: list[Job] = []

    async def handle(job: Job) -> None:
        began.append(job)
        await asyncio.sleep(0.6)

    engines = [EmbeddedEngine(database, poll=0.02) for _ in range(2)]
    for engine in engines:
        engine.serve(Queue(name="q", handler=handle, lease=0.3))
    await enqueue(database, NewJob(queue="q", payload=b""))
    async with running(engines[0]), running(engines[1]):
        await until(partial(is_empty, database))
    assert len(began) == 1


async def test_who_has_lost_a_job_changes_nothing_by_failing_late(database: Database) -> None:
    release = asyncio.Event()

    async def handle(job: Job) -> None:
        await release.wait()
        raise ServerFault("late")

    await enqueue(database, NewJob(queue="q", payload=b""))
    engine = EmbeddedEngine(database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle))
    async with running(engine):
        await until(lambda: bool(engine._running.held))
        async with database.transaction() as tx:
            await jobs.release(tx, [engine._running.owner])
        # It is ready again, yet not taken a second time by the engine in which it still runs.
        await asyncio.sleep(0.1)
        [row] = await claimed(database, "elsewhere:1:1", seconds=60)
        release.set()
        await until(lambda: not engine._running.held)
        async with database.reading() as tx:
            [live] = await engine.live(tx)
    assert row["picks"] == 2
    assert (live.state, live.attempts, live.reason) == ("running", 0, None)


async def test_an_outage_is_told_once_and_loses_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    outage, done, release = Outage(database, monkeypatch), list[bytes](), asyncio.Event()

    async def handle(job: Job) -> None:
        await release.wait()
        done.append(job.payload)

    engine = EmbeddedEngine(database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle, concurrency=1))
    await enqueue(database, NewJob(queue="q", payload=b"1"), NewJob(queue="q", payload=b"2"))
    with capture_logs() as said:
        async with running(engine):
            await until(lambda: bool(engine._running.held))
            outage.over, outage.tried = False, 0
            release.set()  # it ends while the database is away
            await until(lambda: outage.tried >= 3)
            assert reason(engine) == "database_down"
            before = engine.progressed_at
            await until(lambda: engine.progressed_at > before)  # the loop lives: no reason to restart us
            outage.over = True
            await until(partial(is_empty, database))
            assert reason(engine) is None
    assert done == [b"1", b"2"]
    events = [line["event"] for line in said]
    assert events.count("the engine cannot work, and tries again") == 1
    assert events.count("the engine works again") == 1


async def test_an_error_that_nobody_foresaw_does_not_end_the_loop(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = jobs.waiting, [True]

    async def waiting(*args: Any, **options: Any) -> Any:
        if broken:
            broken.pop()
            raise LookupError("sk-" + "synthetic")
        return await real(*args, **options)

    monkeypatch.setattr(jobs, "waiting", waiting)
    engine = EmbeddedEngine(sqlite_database, poll=0.02)

    async def handle(job: Job) -> None: ...

    engine.serve(Queue(name="q", handler=handle))
    await enqueue(sqlite_database, NewJob(queue="q", payload=b""))
    with capture_logs() as said:
        async with running(engine):
            await until(partial(is_empty, sqlite_database))
    [told] = [line for line in said if line["event"] == "the engine cannot work, and tries again"]
    assert (told["reason"], told["detail"].split(":")[0]) == (
        "unexpected",
        "LookupError in test_an_error_that_nobody_foresaw_does_not_end_the_loop.<locals>.waiting",
    )


async def test_a_burial_waits_for_the_database_too(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    outage, told = Outage(sqlite_database, monkeypatch), list[str]()

    async def handle(job: Job) -> None:
        outage.over = False
        raise Blocked("no")

    async def bury(tx: Transaction, job: Job, error: LeakwatchError) -> None:
        told.append(error.reason)

    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle, bury=bury))
    await enqueue(sqlite_database, NewJob(queue="q", payload=b""))
    async with running(engine):
        await until(lambda: reason(engine) == "database_down")
        assert told == []
        outage.over = True
        await until(lambda: bool(told))
    assert await counts(sqlite_database) == {("q", "dead"): 1}
    assert told == ["blocked"]


async def test_renewing_goes_on_after_it_has_failed(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real, errors = jobs.extend, [LookupError("a bug"), DatabaseDown("away")]

    async def extend(*args: Any, **options: Any) -> None:
        if errors:
            raise errors.pop()
        await real(*args, **options)

    monkeypatch.setattr(jobs, "extend", extend)
    release = asyncio.Event()

    async def handle(job: Job) -> None:
        await release.wait()

    async def leased_until() -> datetime:
        async with sqlite_database.reading() as tx:
            [moment] = (await tx.execute(select(tables.job.c.leased_until))).scalars()
        assert isinstance(moment, datetime)
        return moment

    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle, lease=0.15))
    await enqueue(sqlite_database, NewJob(queue="q", payload=b""))
    with capture_logs() as said:
        async with running(engine):
            await until(lambda: bool(engine._running.held))
            first = await leased_until()
            await until(lambda: not errors)

            async def renewed() -> bool:
                return await leased_until() > first

            await until(renewed)
            release.set()
    assert [line["event"] for line in said if line["log_level"] == "error"] == ["leases are not renewed"]


async def test_stopping_while_the_database_is_away_does_not_hang(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage, began = Outage(sqlite_database, monkeypatch), asyncio.Event()

    async def handle(job: Job) -> None:
        began.set()
        await asyncio.sleep(60)

    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle))
    await enqueue(sqlite_database, NewJob(queue="q", payload=b""))
    task = asyncio.create_task(engine.run())
    await began.wait()
    outage.over = False
    start = time.monotonic()
    await engine.stop(0.05)
    await task
    assert time.monotonic() - start < 2
    outage.over = True
    assert await counts(sqlite_database) == {("q", "running"): 1}  # left to the next start


async def test_a_handler_that_does_not_end_is_abandoned(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.engine.embedded._UNWINDING", 0.05)
    release = asyncio.Event()

    async def handle(job: Job) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle))
    await enqueue(sqlite_database, NewJob(queue="q", payload=b""))
    task = asyncio.create_task(engine.run())
    await until(lambda: bool(engine._running.held))
    [stubborn] = engine._running.tasks
    with capture_logs() as said:
        await engine.stop(0.05)
        await asyncio.wait_for(task, 2)
    assert {"event": "jobs do not stop: they are left to the next start", "jobs": 1, "log_level": "error"} in said
    release.set()
    await stubborn
    assert await counts(sqlite_database) == {("q", "running"): 1}


async def test_a_handler_that_cancels_itself_has_failed(sqlite_database: Database) -> None:
    async def handle(job: Job) -> None:
        raise asyncio.CancelledError

    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle, retry=Retry(limit=1)))
    await enqueue(sqlite_database, NewJob(queue="q", payload=b""))

    async def dead() -> bool:
        return await counts(sqlite_database) == {("q", "dead"): 1}

    async with running(engine):
        await until(dead)


async def test_an_engine_that_is_cancelled_takes_its_handlers_along(sqlite_database: Database) -> None:
    ended = asyncio.Event()

    async def handle(job: Job) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle))
    await enqueue(sqlite_database, NewJob(queue="q", payload=b""))
    task = asyncio.create_task(engine.run())
    await until(lambda: bool(engine._running.held))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert not engine.running


async def test_jobs_are_counted_for_prometheus(sqlite_database: Database) -> None:
    async def handle(job: Job) -> None: ...

    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    engine.serve(Queue(name="counted", handler=handle, lease=0.06))
    later = now() + timedelta(hours=1)
    await enqueue(
        sqlite_database, NewJob(queue="counted", payload=b"", run_at=later), NewJob(queue="counted", payload=b"")
    )
    value = metrics.REGISTRY.get_sample_value
    ready = {"queue": "counted", "state": "ready"}
    done = {"queue": "counted", "outcome": "ok"}
    async with running(engine):
        # The jobs that wait are counted on a round of their own, which may come before the first job has ended.
        await until(lambda: value("leakwatch_jobs_done_total", done) == 1)
        await until(lambda: value("leakwatch_jobs", ready) == 1)
        assert value("leakwatch_job_seconds_count", {"queue": "counted"}) == 1


@pytest.mark.postgres
async def test_a_postgres_that_drops_every_connection_is_waited_for(
    postgres_database: Database, postgres_url: str
) -> None:
    done: list[bytes] = []

    async def handle(job: Job) -> None:
        done.append(job.payload)

    engine = EmbeddedEngine(postgres_database, poll=0.02)
    engine.serve(Queue(name="q", handler=handle))
    url = make_url(postgres_url)
    admin = await asyncpg.connect(url.set(database="postgres").render_as_string(hide_password=False))
    name = url.database
    async with running(engine):
        await enqueue(postgres_database, NewJob(queue="q", payload=b"before"))
        await until(lambda: done == [b"before"])
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await until(lambda: engine.failure is not None)
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await until(lambda: engine.failure is None)
        await enqueue(postgres_database, NewJob(queue="q", payload=b"after"))
        await until(lambda: done == [b"before", b"after"])
    await admin.close()
