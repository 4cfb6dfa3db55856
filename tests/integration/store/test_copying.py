"""Moving an installation: every row of every table, from any kind to any, and never over somebody's work."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import (
    URL,
    Column,
    Float,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from leakwatch.errors import StoreError, WrongPepper
from leakwatch.store import copying, registry, schema, upgrading
from leakwatch.store.copying import copy, holders
from leakwatch.store.database import Database, Transaction
from leakwatch.store.tables import Id, Instant, customer, job, metadata, registered_key
from tests.integration.store.making import after, register, registration

FINGERPRINT = "f" * 32
ROWS = 30  # in each table
WORDS = ("", " ", "Zoë & fils", "日本語", "🔑\N{ZERO WIDTH JOINER}", "'; DROP --", "a\tb\r\nc", r"\N", "x" * 5000)
BYTES = (b"", b"\0", bytes(range(256)), b"\\x00", b"%s" * 999)
MOMENTS = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 2, 28, 1, 2, 3, 4, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def target_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'target.db'}"


@pytest.fixture
def empty_postgres_url(postgres_server: URL, tmp_path: Path) -> Iterator[str]:
    name = f"leakwatch_copy_{tmp_path.name}"[:60]

    async def administer(statement: str) -> None:
        connection = await asyncpg.connect(postgres_server.render_as_string(hide_password=False))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    asyncio.run(administer(f'CREATE DATABASE "{name}"'))
    yield postgres_server.set(database=name).render_as_string(hide_password=False)
    asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def target(target_url: str) -> AsyncIterator[Database]:
    """A database of each kind in turn that has no schema yet; the source is `database`, of each kind as well."""
    opened = Database(target_url)
    yield opened
    await opened.close()


@pytest.fixture
async def full(database: Database) -> Database:
    """A source that has in every column what a database could stumble over."""
    chance = random.Random(7)
    async with database.transaction() as tx:
        await registry.bind_pepper(tx, FINGERPRINT)
        for table in metadata.sorted_tables:
            await tx.execute(insert(table), [_row(table, n, chance) for n in range(1, ROWS + 1)])
        await copying._count_on(tx)
    return database


def _row(table: Table, number: int, chance: random.Random) -> dict[str, Any]:
    unique = {c.name for u in table.constraints if isinstance(u, UniqueConstraint) for c in u.columns}
    unique |= {c.name for c in table.columns if c.unique or c.primary_key}
    return {c.name: _value(c, number, chance, unique=c.name in unique) for c in table.columns}


def _value(column: Column[Any], number: int, chance: random.Random, *, unique: bool) -> Any:  # noqa: PLR0911 - types
    """A value that the column's type allows, an odd one where possible; unique ones are told apart by the number."""
    if column.foreign_keys or (column.type is Id and column.primary_key):
        return number
    if column.nullable and chance.random() < 0.3:
        return None
    if isinstance(column.type, Instant):
        return chance.choice(MOMENTS)
    if isinstance(column.type, LargeBinary):
        return number.to_bytes(column.type.length, "big") if column.type.length else chance.choice(BYTES)
    if isinstance(column.type, Float):
        return chance.choice((0.0, 1e-9, 60.25, 1.7e308, -1.5))
    if isinstance(column.type, Integer):  # BigInteger is one
        wide = type(column.type) is not Integer
        return chance.choice((0, -1, 2**63 - 1 if wide else 2**31 - 1))
    return chance.choice(WORDS) + (str(number) if unique else "")


async def _rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    async with database.reading() as tx:
        every = {t: await tx.execute(select(t).order_by(*t.primary_key)) for t in metadata.sorted_tables}
        return {t.name: [tuple(r) for r in rows if r[0] != "copy"] for t, rows in every.items()}


async def _copy(source: Database, target: Database) -> dict[str, int]:
    done = await copy(source, target, fingerprint=FINGERPRINT, advance=lambda _: None)
    return {copied.table: copied.rows for copied in done}


async def test_every_row_arrives_as_it_was(full: Database, target: Database) -> None:
    counted: list[int] = []
    done = await copy(full, target, fingerprint=FINGERPRINT, advance=counted.append)
    assert await _rows(target) == await _rows(full)
    assert {c.table: c.rows for c in done} == {t.name: ROWS + (t.name == "setting") for t in metadata.sorted_tables}
    assert sum(counted) == sum(c.rows for c in done)
    assert len({c.digest for c in done}) == len(done)
    await schema.check(target)


async def test_what_is_added_afterwards_is_numbered_on(full: Database, target: Database) -> None:
    await _copy(full, target)
    async with target.transaction() as tx:
        await register(tx, [registration("somebody new", 1 << 200)])
        assert (await tx.execute(select(func.max(customer.c.id)))).scalar() == ROWS + 1
        assert (await tx.execute(select(func.max(registered_key.c.id)))).scalar() == ROWS + 1


async def test_an_empty_installation_is_copied_too(database: Database, target: Database) -> None:
    counts = await _copy(database, target)
    assert counts.pop("setting") == 1  # the pepper that it is bound to
    assert set(counts.values()) == {0}
    async with target.transaction() as tx:
        await register(tx, [registration("ann")])
        assert (await tx.execute(select(customer.c.id))).scalar() == 1


async def test_a_copy_is_brought_up_to_date(full: Database, target: Database) -> None:
    await _copy(full, target)
    async with full.transaction() as tx:
        await tx.execute(update(customer).where(customer.c.id == 1).values(name="renamed"))
        await tx.execute(delete(job).where(job.c.id == 2))
        await register(tx, [registration("somebody new", 1 << 200)])
    await _copy(full, target)
    assert await _rows(target) == await _rows(full)
    await _copy(full, target)  # and again, with nothing new
    assert await _rows(target) == await _rows(full)


async def test_it_goes_there_and_back(full: Database, target: Database, tmp_path: Path) -> None:
    await _copy(full, target)
    back = Database(f"sqlite:///{tmp_path / 'back.db'}")
    await _copy(target, back)
    assert await _rows(back) == await _rows(full)
    await back.close()


async def test_a_copy_that_has_been_worked_on_is_not_overwritten(full: Database, target: Database) -> None:
    await _copy(full, target)
    async with target.transaction() as tx:
        await register(tx, [registration("somebody new", 1 << 200)])
    before = await _rows(target)
    with pytest.raises(StoreError, match="has been worked on since it was copied: it is not overwritten"):
        await _copy(full, target)
    assert await _rows(target) == before


async def test_a_database_that_is_no_copy_is_not_overwritten(full: Database, target: Database) -> None:
    await upgrading.upgrade(target)
    async with target.transaction() as tx:
        await register(tx, [registration("ann")])
    before = await _rows(target)
    with pytest.raises(StoreError, match="is not empty: it is not overwritten"):
        await _copy(full, target)
    assert await _rows(target) == before


async def test_the_copy_of_another_installation_is_not_overwritten(
    full: Database, target: Database, tmp_path: Path
) -> None:
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    await upgrading.upgrade(other)
    async with other.transaction() as tx:
        await register(tx, [registration("somebody else")])
    await copy(other, target, fingerprint="another", advance=lambda _: None)
    await other.close()
    with pytest.raises(WrongPepper):
        await _copy(full, target)


async def test_under_another_pepper_nothing_is_copied(full: Database, target: Database) -> None:
    with pytest.raises(WrongPepper):
        await copy(full, target, fingerprint="another", advance=lambda _: None)
    assert not any((await _rows(target)).values())


async def test_a_copy_that_differs_is_taken_back(
    full: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = copying._write

    async def forgets_one(tx: Transaction, table: Table, rows: Sequence[Any]) -> None:
        await write(tx, table, rows[:-1] if table is job else rows)

    with monkeypatch.context() as patched:
        patched.setattr(copying, "_write", forgets_one)
        with pytest.raises(StoreError, match=r"not the same in job \(30 rows, 29 copied\)"):
            await _copy(full, target)
    assert not any((await _rows(target)).values())
    await _copy(full, target)
    assert await _rows(target) == await _rows(full)


async def test_what_a_database_does_not_take_is_named_and_taken_back(
    full: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with full.transaction() as tx:
        await tx.execute(update(customer).where(customer.c.id == 3).values(created_at=after(1)))

    async def doubled(tx: Transaction, table: Table, rows: Sequence[Any]) -> None:
        await write(tx, table, [*rows, *rows[:1]] if table is customer else rows)

    write = copying._write
    monkeypatch.setattr(copying, "_write", doubled)
    with pytest.raises(Exception, match=r"customer could not be copied: UniqueViolationError 23505|UNIQUE|unique"):
        await _copy(full, target)
    assert not any((await _rows(target)).values())


async def test_two_databases_that_differ_have_different_digests(full: Database, target: Database) -> None:
    before = {c.table: c for c in await copy(full, target, fingerprint=FINGERPRINT, advance=lambda _: None)}
    async with full.transaction() as tx:
        swapped = update(customer).where(customer.c.id.in_([4, 5])).values(locale="xx-" + customer.c.locale)
        await tx.execute(swapped)
    after_ = {c.table: c for c in await copy(full, target, fingerprint=FINGERPRINT, advance=lambda _: None)}
    assert {name for name in before if before[name] != after_[name]} == {"customer"}
    assert before["customer"].rows == after_["customer"].rows


async def test_memory_stays_flat(sqlite_database: Database, target: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held at once is a batch and not the table: five times the rows need no more."""
    monkeypatch.setattr(copying, "_ROWS", 200)
    words = {"customer_id": 1, "scheme": "s", "provider": "p", "key_id": "", "created_at": after(0)}
    peaks = []
    for rows in (2_000, 10_000):
        async with sqlite_database.transaction() as tx:
            await registry.bind_pepper(tx, FINGERPRINT)
            await register(tx, [registration("ann", 1 << 200)])
            await tx.execute(delete(registered_key))
            keys = [{**words, "label": f"{n:0200}", "digest": n.to_bytes(32, "big")} for n in range(rows)]
            await tx.execute(insert(registered_key), keys)
            del keys
        tracemalloc.start()
        await _copy(sqlite_database, target)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 500_000, peaks


async def test_who_holds_a_lease(database: Database) -> None:
    facts = {"queue": "q", "payload": b"", "lane": "", "priority": 0, "attempts": 0, "picks": 1, "created_at": after(0)}
    running = {**facts, "state": "running", "run_at": after(0)}
    async with database.transaction() as tx:
        await tx.execute(
            insert(job),
            [
                {**running, "owner": "alive", "leased_until": after(10)},
                {**running, "owner": "alive", "leased_until": after(11)},
                {**running, "owner": "silent", "leased_until": after(5)},
            ],
        )
        await tx.execute(insert(job), [{**facts, "state": "ready", "run_at": after(0), "picks": 0}])
        assert await holders(tx, after(7)) == {"alive"}
        assert await holders(tx, after(20)) == set()
