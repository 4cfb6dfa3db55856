"""Whoever owns a database is told once that it is down and once that it works again; what fails between is raised."""

import sqlite3
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from leakwatch.errors import DatabaseDown
from leakwatch.store import settings
from leakwatch.store.database import Database

Told = list[DatabaseDown | None]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
async def watched(sqlite_url: str, told: Told, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr("leakwatch.store.database._BUSY_MILLISECONDS", 5)
    monkeypatch.setattr("leakwatch.store.database._CALM", 0.0)
    database = Database(sqlite_url, observe=told.append)
    yield database
    await database.close()


@pytest.fixture
def lock(watched: Database) -> Iterator[sqlite3.Connection]:
    """Another process, which holds the lock until it rolls back."""
    other = sqlite3.connect(str(watched.url.database), isolation_level=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


async def _write(database: Database) -> None:
    async with database.transaction() as tx:
        await settings.put(tx, "colour", "red")


async def _fill(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("PRAGMA max_page_count = 1"))
        await settings.put(tx, "much", "x" * 1_000_000)


async def _read(database: Database) -> None:
    async with database.reading() as tx:
        await settings.get(tx, "colour")


async def test_it_is_told_once_that_it_is_down_and_once_that_it_works(
    watched: Database, told: Told, lock: sqlite3.Connection
) -> None:
    for _ in range(3):
        with pytest.raises(DatabaseDown, match="locked"):
            await _write(watched)
    assert len(told) == 1
    lock.execute("ROLLBACK")
    await _write(watched)
    await _write(watched)
    assert [error and error.reason for error in told] == ["database_down", None]
    assert watched.failure is None


async def test_that_it_can_be_read_does_not_say_that_it_can_be_written(
    watched: Database, told: Told, lock: sqlite3.Connection
) -> None:
    with pytest.raises(DatabaseDown):
        await _write(watched)
    await _read(watched)
    assert watched.failure is not None
    lock.execute("ROLLBACK")
    await _read(watched)
    assert len(told) == 1
    await _write(watched)
    assert len(told) == 2


async def test_one_that_works_beside_others_that_fail_does_not_end_an_outage(
    watched: Database, told: Told, lock: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.store.database._CALM", 3600.0)
    with pytest.raises(DatabaseDown):
        await _write(watched)
    lock.execute("ROLLBACK")
    await _write(watched)
    assert watched.failure is not None
    monkeypatch.setattr("leakwatch.store.database._CALM", 0.0)
    await _write(watched)
    assert watched.failure is None


async def test_a_bug_is_no_outage(watched: Database, told: Told) -> None:
    with pytest.raises(DBAPIError, match="no such table"):
        async with watched.reading() as tx:
            await tx.execute(text("SELECT * FROM no_such_table"))
    assert told == []


async def test_a_full_file_is_named_as_such(sqlite_url: str, told: Told) -> None:
    database = Database(sqlite_url, observe=told.append)
    with pytest.raises(DatabaseDown, match=r"the disk of the database sqlite:///.* is full: .*: make room on it"):
        await _fill(database)
    await database.close()
    assert [error and error.mend for error in told] == ["make room on it"]


@pytest.mark.postgres
async def test_a_pool_whose_connections_all_wait_is_down(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(postgres_url)
    await database.close()
    database.engine = create_async_engine(database.url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with database.reading():
        with pytest.raises(DatabaseDown, match="limit"):
            await _read(database)
    await _read(database)
    await database.close()
