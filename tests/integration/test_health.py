"""How the daemon fares: the line for people, and what the watchdog lives on."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from leakwatch import health as module
from leakwatch.demo import free_port
from leakwatch.engine import NewJob
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.health import Health, attend
from leakwatch.model import now
from leakwatch.store import findings, registry, sources
from leakwatch.store.database import Database
from leakwatch.supervisor import Supervisor
from tests.integration.store.making import register, registration, seen
from tests.notified import Systemd

WATCHED = ("pastes", "forge")
BEAT = 0.05


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(str(tmp_path / "notify"))
    systemd.environment |= {"WATCHDOG_USEC": str(int(3 * BEAT * 1e6)), "WATCHDOG_PID": str(os.getpid())}
    yield systemd
    systemd.socket.close()


@pytest.fixture
def engine(database: Database) -> EmbeddedEngine:
    return EmbeddedEngine(database, poll=0.02)


@pytest.fixture
def health(database: Database, engine: EmbeddedEngine) -> Health:
    return Health(database=database, engine=engine, watched=WATCHED)


async def test_the_line_counts_what_matters(database: Database, engine: EmbeddedEngine, health: Health) -> None:
    assert await health.line() == "watching 2 sources, 0 jobs waiting, nothing found yet"

    async with database.transaction() as tx:
        await sources.ensure(tx, [*WATCHED, "gone"], now())
        for name in ("forge", "gone"):  # one that is no longer watched does not count
            await sources.failed(tx, name, reason="blocked", detail="", now=now())
        await engine.enqueue(tx, [NewJob(queue="poll", payload=b"")])
        await register(tx, [registration("acme")])
        [key] = await registry.keys(tx)
        await findings.record(tx, [seen(key.id)])
        await tx.execute(
            text("UPDATE finding SET first_seen_at = :at"),
            {"at": now() - timedelta(minutes=5, seconds=30)},
        )
    assert await health.line() == "watching 2 sources, 1 failing, 1 job waiting, last find 5 min ago"

    health.refused = "config"
    assert (await health.line()).startswith("new configuration refused (config), see the log; watching")


@pytest.mark.parametrize(
    ("seconds", "said"), [(3, "just now"), (61, "1 min ago"), (7300, "2 h ago"), (259_300, "3 d ago")]
)
def test_an_age_is_said_in_one_unit(seconds: float, said: str) -> None:
    assert module._ago(now() - timedelta(seconds=seconds)) == said


async def test_systemd_hears_ready_when_the_engine_works_and_then_signs_of_life(
    engine: EmbeddedEngine, health: Health, systemd: Systemd
) -> None:
    async with attended(health, systemd):
        await asyncio.sleep(2 * BEAT)
        assert systemd.heard_nothing()  # everything is there, but no turn was taken
        assert await health.engine() == "the engine does not run"
        async with running(engine):
            assert await heard(systemd) == {"READY": "1"}
            assert await heard(systemd) == {"WATCHDOG": "1"}
            assert (await heard(systemd))["STATUS"].startswith("watching 2 sources")
            assert await health.engine() is None


async def test_an_engine_that_hangs_gets_no_more_signs_of_life(
    engine: EmbeddedEngine, health: Health, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)

    async def hang() -> None:
        await asyncio.Event().wait()

    with capture_logs() as logged:
        async with running(engine), attended(health, systemd):
            assert await heard(systemd) == {"READY": "1"}
            monkeypatch.setattr(engine, "_turn", hang)
            await asyncio.sleep(0.4)
            while not systemd.heard_nothing():  # what was said before
                pass
            after = [await heard(systemd) for _ in range(3)]

    assert [set(told) for told in after] == [{"STATUS"}] * 3  # the event loop goes on, and says how it fares
    assert "the engine's loop hangs: the watchdog is not fed" in {event["event"] for event in logged}


@pytest.mark.parametrize("why", ["nobody listens", "nobody answers"])
async def test_a_database_that_is_away_is_no_reason_to_die(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER", 0.3)
    async with silent_server() as port:
        database = Database(f"postgresql://leakwatch@127.0.0.1:{port if why == 'nobody answers' else free_port()}/x")
        engine = EmbeddedEngine(database)
        engine.progressed_at = time.monotonic() - 60
        health = Health(database=database, engine=engine, watched=WATCHED)

        assert not await health.is_stuck()
        assert (await health.line()).startswith("cannot work: ")
        assert "did not answer" in str(await health.database()) or "gave no answer" in str(await health.database())
        await database.close()


async def test_an_engine_that_does_not_come_round_on_a_database_that_answers_is_stuck(
    engine: EmbeddedEngine, health: Health
) -> None:
    engine.progressed_at = time.monotonic() - 60
    assert await health.is_stuck()

    engine.progressed_at = time.monotonic()
    assert not await health.is_stuck()


async def test_a_status_that_cannot_be_made_keeps_nobody_from_feeding_the_watchdog(
    sqlite_database: Database, systemd: Systemd
) -> None:
    engine = EmbeddedEngine(sqlite_database, poll=0.02)
    health = Health(database=sqlite_database, engine=engine, watched=WATCHED)
    async with sqlite_database.transaction() as tx:
        await tx.execute(text("ALTER TABLE source RENAME TO elsewhere"))
    with capture_logs() as logged:
        async with running(engine), attended(health, systemd):
            told = [await heard(systemd) for _ in range(3)]

    assert told == [{"READY": "1"}, {"WATCHDOG": "1"}, {"WATCHDOG": "1"}]
    assert "systemd was not told" in {event["event"] for event in logged}


async def test_without_systemd_nobody_attends(health: Health) -> None:
    await attend(Supervisor({}), health)


async def heard(systemd: Systemd) -> dict[str, str]:
    return await asyncio.to_thread(systemd.heard)


@asynccontextmanager
async def attended(health: Health, systemd: Systemd) -> AsyncIterator[None]:
    attending = asyncio.create_task(attend(Supervisor(systemd.environment), health))
    try:
        yield
    finally:
        attending.cancel()
        await asyncio.wait([attending])


@asynccontextmanager
async def running(engine: EmbeddedEngine) -> AsyncIterator[None]:
    work = asyncio.create_task(engine.run())
    try:
        yield
    finally:
        work.cancel()  # one that hangs does not stop otherwise
        await asyncio.wait([work])


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """A server that accepts and never says a word."""
    over = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
