"""An engine of each kind, running, on a database of each kind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from leakwatch.engine import Engine, Queue
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.store.database import Database

Make = Callable[[Database], Engine]
Serving = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture(params=["embedded"])
def make_engine(request: pytest.FixtureRequest) -> Make:
    """Makes an engine on a database: the kinds that keep the protocol."""
    kinds: dict[str, Make] = {"embedded": lambda database: EmbeddedEngine(database, poll=0.05)}
    return kinds[request.param]


@pytest.fixture
def serving(make_engine: Make, database: Database) -> Serving:
    """Runs an engine that serves these queues for as long as the block lasts."""

    @asynccontextmanager
    async def serve(*queues: Queue, grace: float = 5.0) -> AsyncIterator[Engine]:
        engine = make_engine(database)
        for queue in queues:
            engine.serve(queue)
        running = asyncio.create_task(engine.run())
        try:
            yield engine
        finally:
            await engine.stop(grace)
            await running

    return serve


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 10.0) -> None:
    """Wait for a condition; fail when it does not come true."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.005)
