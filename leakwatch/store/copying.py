"""A copy of a whole installation in another database: SQLite to Postgres, or any to any.

All of it is one transaction on either side: the target has the whole copy or what it had before. A copy carries a mark,
the digest of what was copied, by which it is known again: one that nobody has worked on since may be replaced by a
newer one, anything else is never overwritten.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import Row, Select, Table, delete, exists, func, insert, select, text

from leakwatch.errors import StoreError
from leakwatch.store import jobs, registry, schema, settings, upgrading
from leakwatch.store.database import Database, Transaction
from leakwatch.store.tables import job, metadata, setting

_TABLES: Final = tuple(metadata.sorted_tables)  # what is referred to goes first
_MARK: Final = "copy"  # the setting that marks a copy: not copied itself
_ROWS: Final = 5_000  # held in memory at once
_DIGEST: Final = 16  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a table holds, after it was read back from the target."""

    table: str
    rows: int
    digest: str  # of all rows, whatever their order


async def copy(source: Database, target: Database, *, fingerprint: str, advance: Callable[[int], None]) -> list[Copied]:
    """Make the target a copy of the source, and return what every table holds in both.

    `fingerprint` is the pepper's; `advance` is told of each batch of rows that was copied. Raises WrongPepper for
    databases of another pepper, StoreError for a target that is neither empty nor an untouched copy.
    """
    await schema.check(source)
    await upgrading.upgrade(target)
    async with source.transaction() as tx:
        await registry.bind_pepper(tx, fingerprint)
    async with source.reading() as old, target.transaction() as new:
        await _freeze(old)
        await _clear(new, target, fingerprint)
        wanted = [await _copy(old, new, table, advance) for table in _TABLES]
        await _count_on(new)
        for table in _TABLES:
            await new.analyze(table)
        found = [await _held(new, table) for table in _TABLES]
        _compare(wanted, found)
        await settings.put(new, _MARK, _mark(found))
    return found


async def holders(tx: Transaction, now: datetime) -> set[str]:
    """Return the processes that hold a lease which has not run out."""
    query = select(job.c.owner).where(job.c.state == jobs.RUNNING, job.c.leased_until > now).distinct()
    return set((await tx.execute(query)).scalars())


class _Sum:
    """Count and digest of rows that come in any order: the sum of the rows' own digests."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, rows: Iterable[Row[Any]]) -> None:
        """Add rows. Both databases give the same plain values, so that their repr is the same."""
        for row in rows:
            digest = blake2b(repr(tuple(row)).encode(errors="surrogatepass"), digest_size=_DIGEST).digest()
            self._sum += int.from_bytes(digest, "big")
            self.rows += 1

    def of(self, table: Table) -> Copied:
        """Return the result, under the table's name."""
        return Copied(table=table.name, rows=self.rows, digest=f"{self._sum % 256**_DIGEST:0{2 * _DIGEST}x}")


async def _freeze(tx: Transaction) -> None:
    """Have every table read as of one moment, as SQLite does anyway."""
    if _is_postgres(tx):
        await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


async def _clear(tx: Transaction, target: Database, fingerprint: str) -> None:
    """Empty a target that may be overwritten; raise StoreError for any other."""
    if await _is_empty(tx):
        return
    await registry.bind_pepper(tx, fingerprint)
    mark = await settings.get(tx, _MARK)
    if mark is None or mark != _mark([await _held(tx, table) for table in _TABLES]):
        why = "is not empty" if mark is None else "has been worked on since it was copied"
        raise StoreError(f"the database {target} {why}: it is not overwritten", mend="name a new, empty one")
    for table in reversed(_TABLES):
        await tx.execute(delete(table))


async def _is_empty(tx: Transaction) -> bool:
    for table in _TABLES:
        if (await tx.execute(select(exists(select(table))))).scalar():
            return False
    return True


async def _copy(old: Transaction, new: Transaction, table: Table, advance: Callable[[int], None]) -> Copied:
    """Copy a table in batches, so that memory stays flat."""
    summed = _Sum()
    async for rows in _read(old, table):
        await _write(new, table, rows)
        summed.add(rows)
        advance(len(rows))
    return summed.of(table)


async def _held(tx: Transaction, table: Table) -> Copied:
    summed = _Sum()
    async for rows in _read(tx, table):
        summed.add(rows)
    return summed.of(table)


async def _read(tx: Transaction, table: Table) -> AsyncIterator[Sequence[Row[Any]]]:
    async with tx.connection.stream(_rows(table)) as result:
        async for rows in result.partitions(_ROWS):
            yield rows


def _rows(table: Table) -> Select[Any]:
    query = select(table).order_by(*table.primary_key)
    return query.where(setting.c.name != _MARK) if table is setting else query


async def _write(tx: Transaction, table: Table, rows: Sequence[Row[Any]]) -> None:
    if not _is_postgres(tx):
        await tx.execute(insert(table), [row._asdict() for row in rows])
        return
    driver: Any = (await tx.connection.get_raw_connection()).driver_connection
    try:
        await driver.copy_records_to_table(table.name, records=map(tuple, rows), columns=table.columns.keys())
    except (PostgresError, InterfaceError, OSError) as error:  # not SQLAlchemy's, which would know what it means
        said = f"{type(error).__name__} {getattr(error, 'sqlstate', None) or ''}".strip()
        raise StoreError(f"{table.name} could not be copied: {said}", mend="the target is as it was") from None


async def _count_on(tx: Transaction) -> None:
    """Have new rows numbered after those that were copied. SQLite does so by itself."""
    if not _is_postgres(tx):
        return
    for table in _TABLES:
        if table.autoincrement_column is not None:
            last = select(func.max(table.autoincrement_column)).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, table.autoincrement_column.name)
            await tx.execute(select(func.setval(sequence, func.coalesce(last, 1), last.is_not(None))))


def _compare(wanted: Sequence[Copied], found: Sequence[Copied]) -> None:
    wrong = [f"{w.table} ({w.rows:,} rows, {f.rows:,} copied)" for w, f in zip(wanted, found, strict=True) if w != f]
    if wrong:
        message = f"the copy is not the same in {', '.join(wrong)}"
        raise StoreError(message, mend="the target is as it was; this is a bug of leakwatch, please report it")


def _mark(held: Sequence[Copied]) -> str:
    return blake2b(repr([(c.table, c.digest) for c in held]).encode(), digest_size=_DIGEST).hexdigest()


def _is_postgres(tx: Transaction) -> bool:
    return tx.connection.dialect.name == "postgresql"
