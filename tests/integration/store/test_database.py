import asyncio
import sqlite3
import traceback
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from leakwatch.errors import ConfigError, DatabaseDown
from leakwatch.store import documents, findings, registry
from leakwatch.store.database import Database, batches, parse_url
from tests.integration.store.making import after, register, registration, seen

VALUE = "what nobody may read"
counter = Table("counter", MetaData(), Column("name", Text, primary_key=True), Column("count", Integer))

NUMBERS = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 WHERE :rows > 0 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) SELECT i FROM n"
)


@pytest.fixture
async def counting(database: Database) -> Database:
    async with database.migrating() as connection:
        await connection.run_sync(counter.create)
    async with database.transaction() as tx:
        await tx.execute(insert(counter).values(name="a", count=0))
    return database


async def _count(database: Database) -> int:
    async with database.reading() as tx:
        count: int = (await tx.execute(select(counter.c.count))).scalar_one()
    return count


async def _increment(database: Database) -> None:
    """Read, then write: what loses updates where the write lock comes late."""
    async with database.transaction() as tx:
        row = select(counter.c.count).with_for_update()
        count = (await tx.execute(row)).scalar_one()
        await tx.execute(update(counter).values(count=count + 1))


async def test_concurrent_writers_lose_no_update(counting: Database) -> None:
    other = Database(counting.url.render_as_string(hide_password=False))  # another process has a lock of its own

    async def writer(database: Database) -> None:
        for _ in range(30):
            await _increment(database)

    try:
        await asyncio.gather(writer(counting), writer(counting), writer(other))
    finally:
        await other.close()
    assert await _count(counting) == 90


async def test_a_reader_waits_for_no_writer_and_sees_what_is_committed(counting: Database) -> None:
    async with counting.transaction() as tx:
        await tx.execute(update(counter).values(count=7))
        assert await asyncio.wait_for(_count(counting), 5) == 0
    assert await _count(counting) == 7


async def test_a_block_that_raises_changes_nothing(counting: Database) -> None:
    committed: list[str] = []

    async def fail() -> None:
        async with counting.transaction() as tx:
            tx.on_commit(lambda: committed.append("failed"))
            await tx.execute(update(counter).values(count=7))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with counting.transaction() as tx:
        tx.on_commit(lambda: committed.append("worked"))
        assert committed == []
    assert committed == ["worked"]
    assert await _count(counting) == 0


async def test_a_cancelled_task_leaves_no_lock(counting: Database) -> None:
    """Cancelled at whatever instant, a writer holds up no other and leaves no half of its work."""
    for step in range(40):
        task = asyncio.create_task(_increment(counting))
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    before = await _count(counting)
    await asyncio.wait_for(_increment(counting), 5)
    assert await _count(counting) == before + 1


async def test_a_writer_cancelled_in_its_block_rolls_back(counting: Database) -> None:
    written = asyncio.Event()

    async def write() -> None:
        async with counting.transaction() as tx:
            await tx.execute(update(counter).values(count=7))
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await written.wait()
    task.cancel()
    await asyncio.wait([task])
    await asyncio.wait_for(_increment(counting), 5)
    assert await _count(counting) == 1


async def test_a_generator_closed_in_its_block_rolls_back(counting: Database) -> None:
    opened = counting.transaction().gen  # what `async with` drives
    tx = await anext(opened)
    await tx.execute(update(counter).values(count=7))
    await opened.aclose()
    await asyncio.wait_for(_increment(counting), 5)
    assert await _count(counting) == 1


async def test_errors_tell_no_values(counting: Database) -> None:
    async def insert_twice() -> None:
        async with counting.transaction() as tx:
            for _ in range(2):
                await tx.execute(insert(counter).values(name=VALUE, count=1))

    with pytest.raises(DBAPIError) as caught:
        await insert_twice()
    assert VALUE not in "".join(traceback.format_exception(caught.value))
    assert "counter" in str(caught.value)


async def test_a_drivers_refusal_tells_no_values(database: Database) -> None:
    async def store_nonsense() -> None:
        async with database.transaction() as tx:
            await tx.execute(text("SELECT CAST(:value AS TEXT)"), {"value": f"{VALUE}\ud800"})

    with pytest.raises((DBAPIError, UnicodeEncodeError)) as caught:
        await store_nonsense()
    assert VALUE not in "".join(traceback.format_exception(caught.value))


async def test_a_bug_in_a_statement_is_no_outage(database: Database) -> None:
    with pytest.raises(DBAPIError):
        async with database.reading() as tx:
            await tx.execute(text("SELECT * FROM no_such_table"))


async def test_words_that_no_database_holds_are_stored_all_the_same(database: Database) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1)])
        [key] = await registry.keys(tx)
        [recorded] = await findings.record(tx, [seen(key.id, title="NUL \0 half \ud83d pair")])
        [exposure] = await findings.exposures(tx, [recorded.finding_id])
    assert exposure.places[0].title == "NUL \N{REPLACEMENT CHARACTER} half \N{REPLACEMENT CHARACTER} pair"


@pytest.mark.parametrize("path", ["missing/leakwatch.db", "."])
async def test_a_file_that_cannot_be_opened(tmp_path: Path, path: str) -> None:
    database = Database(f"sqlite:///{tmp_path / path}")
    with pytest.raises(DatabaseDown, match=r"sqlite:///.*unable to open.*check its folder"):
        async with database.transaction():
            pass
    await database.close()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "leakwatch.db"
    path.write_bytes(b"not at all" * 500)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(DatabaseDown, match="not a database"):
        async with database.reading():
            pass
    await database.close()


async def test_a_file_that_cannot_be_written(sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    database = Database(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(DatabaseDown, match="readonly"):
        async with database.transaction() as tx:
            await documents.new(tx, "pastes", [b"1" * 16], after(0))
    await database.close()


async def test_a_file_that_somebody_else_has_locked(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakwatch.store.database._BUSY_MILLISECONDS", 20)
    other = sqlite3.connect(str(sqlite_database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseDown, match="locked"):
        async with sqlite_database.transaction():
            pass
    other.execute("ROLLBACK")
    other.close()
    async with sqlite_database.transaction() as tx:
        await documents.new(tx, "pastes", [b"1" * 16], after(0))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://somebody@127.0.0.1:1/leakwatch",
        "postgresql://somebody@/leakwatch?host=/no/such/folder",
        "postgresql://somebody@no.such.host.invalid/leakwatch",
    ],
)
async def test_a_server_that_is_not_there(url: str) -> None:
    database = Database(url, password="secret")
    with pytest.raises(DatabaseDown, match="check that it runs") as caught:
        async with database.reading():
            pass
    assert "secret" not in str(caught.value)
    await database.close()


@pytest.mark.postgres
async def test_a_server_that_goes_away_and_comes_back(postgres_database: Database) -> None:
    terminate = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseDown, match="terminating connection"):
        async with postgres_database.transaction() as tx:
            await tx.execute(terminate)
    async with postgres_database.transaction() as tx:
        assert await documents.new(tx, "pastes", [b"1" * 16], after(0))


@pytest.mark.postgres
async def test_a_database_that_does_not_exist(postgres_database: Database) -> None:
    url = postgres_database.url.set(database="no_such_database").render_as_string(hide_password=False)
    missing = Database(url)
    with pytest.raises(DatabaseDown, match='database "no_such_database" does not exist'):
        async with missing.transaction():
            pass
    await missing.close()


@pytest.mark.parametrize("url", ["mysql://u@h/x", "not a url", "sqlite+nonsense"])
def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigError, match="write sqlite:////path"):
        parse_url(url)


def test_a_password_goes_into_the_url_and_into_nothing_else() -> None:
    database = Database("postgresql://u@h:5433/x?password=secret", password="geheim")
    assert database.url.password == "geheim"
    assert str(database) == "postgresql://u:***@h:5433/x"
    assert "geheim" not in repr(database.url)


def test_batches() -> None:
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 1000])
async def test_all_rows_come_at_once_or_in_parts(database: Database, rows: int) -> None:
    """The driver's own cursor takes the first of them with the statement."""
    query = NUMBERS.bindparams(rows=rows)
    async with database.reading() as tx:
        whole = list((await tx.execute(query)).scalars())
        async with tx.connection.stream_scalars(query) as found:
            parts = [number async for some in found.partitions(70) for number in some]
    assert whole == parts == list(range(1, rows + 1))


async def test_a_stream_may_be_left_before_its_end(database: Database) -> None:
    query = NUMBERS.bindparams(rows=1000)
    async with database.reading() as tx, tx.connection.stream_scalars(query) as found:
        assert await anext(aiter(found)) == 1
    async with database.transaction() as tx:
        assert (await tx.execute(text("SELECT 2"))).scalar() == 2
