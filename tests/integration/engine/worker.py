"""A process that does jobs until it is killed: what it begins and ends, it says on standard output."""

import asyncio
import os
import signal
import sys

from leakwatch.engine import Job, Queue, Retry
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.store.database import Database


async def _handle(job: Job) -> None:
    _say("began", job)
    if job.payload == b"poison":
        await asyncio.sleep(0.05)  # while others run beside it
        os.kill(os.getpid(), signal.SIGKILL)
    if job.payload == b"slow":
        await asyncio.sleep(3600)
    if job.payload == b"innocent":
        await asyncio.sleep(0.3)
    _say("ended", job)


def _say(what: str, job: Job) -> None:
    sys.stdout.write(f"{what} {job.payload.decode()} {job.id} {job.picks}\n")
    sys.stdout.flush()


async def _main(url: str) -> None:
    engine = EmbeddedEngine(Database(url), poll=0.05, caution=0.3)
    engine.serve(Queue(name="q", handler=_handle, retry=Retry(crashes=3)))
    await engine.run()


asyncio.run(_main(sys.argv[1]))
