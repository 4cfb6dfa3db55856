"""What becomes of jobs whose process is killed: `kill -9` of a real one."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import leakwatch
from leakwatch.engine import Job, NewJob, Queue
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.store import jobs
from leakwatch.store.database import Database
from tests.integration.engine.conftest import Serving, until

_WORKER = Path(__file__).with_name("worker.py")
_ROOT = Path(leakwatch.__file__).parent.parent


@asynccontextmanager
async def working(url: str) -> AsyncIterator[Process]:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(_WORKER), url, stdout=PIPE, env=environment)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def said(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def enqueue(database: Database, *payloads: bytes) -> None:
    async with database.transaction() as tx:
        await EmbeddedEngine(database).enqueue(tx, [NewJob(queue="q", payload=payload) for payload in payloads])


async def test_a_job_whose_process_was_killed_is_done_at_once_by_the_next(
    database: Database, database_url: str, serving: Serving
) -> None:
    await enqueue(database, b"slow")
    async with working(database_url) as process:
        assert (await said(process)).startswith("began slow")
        process.kill()
        await process.wait()
    done: list[Job] = []

    async def handle(job: Job) -> None:
        done.append(job)

    async with serving(Queue(name="q", handler=handle, lease=3600.0)):
        await until(lambda: bool(done), seconds=2.0)
    assert [(job.payload, job.attempts, job.picks) for job in done] == [(b"slow", 0, 2)]


async def test_a_job_that_kills_its_process_is_given_up_and_takes_no_other_with_it(
    database: Database, database_url: str
) -> None:
    await enqueue(database, b"innocent", b"poison", b"innocent")
    lines: list[str] = []
    for _ in range(3):
        async with working(database_url) as process:
            while line := await said(process):
                lines.append(line)
    async with working(database_url) as process:

        async def only_the_dead_is_left() -> bool:
            async with database.reading() as tx:
                return await jobs.counts(tx) == {("q", "dead"): 1}

        await until(only_the_dead_is_left, seconds=30)
        process.kill()
        lines += (await process.communicate())[0].decode().splitlines()
    assert [line for line in lines if "poison" in line] == [f"began poison 2 {picks}" for picks in (1, 2, 3)]
    assert sorted(line.split()[2] for line in lines if line.startswith("ended")) == ["1", "3"]
    async with database.reading() as tx:
        [letter] = await EmbeddedEngine(database).dead(tx)
    assert (letter.reason, letter.id) == ("crashed", 2)


async def test_two_processes_do_every_job_once(database: Database, database_url: str) -> None:
    async with working(database_url) as one, working(database_url) as other:
        await enqueue(database, *[b"quick"] * 60)

        async def all_done() -> bool:
            async with database.reading() as tx:
                return not await jobs.counts(tx)

        await until(all_done, seconds=30)
        one.kill()
        other.kill()
        lines = [line for process in (one, other) for line in (await process.communicate())[0].decode().split("\n")]
    ended = [line.split()[2] for line in lines if line.startswith("ended")]
    assert len(ended) == len(set(ended)) == 60
