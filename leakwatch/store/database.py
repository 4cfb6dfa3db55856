"""The database: one URL, one pool, one way to open a transaction."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any, Final, TypeVar, final

from sqlalchemy import URL, Connection, CursorResult, Executable, Table, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from leakwatch.errors import ConfigError, DatabaseDown, StoreError
from leakwatch.store import drivers

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_BUSY_MILLISECONDS: Final = 10_000
_READ_ONLY: Final = "leakwatch_read_only"
_MIGRATION_LOCK: Final = 0x1EA4_57A1  # any number that nobody else in the database locks
# Primary result codes: busy, locked, no memory, read-only, I/O error, damaged, full, cannot open, protocol, not ours.
_SQLITE_DOWN: Final = frozenset({5, 6, 7, 8, 10, 11, 13, 14, 15, 26})
# Classes of SQLSTATE: connection, authorization, no such database, rolled back, out of resources, operator, system.
_POSTGRES_DOWN: Final = frozenset({"08", "28", "3D", "40", "53", "57", "58"})
_POSTGRES_FULL: Final = "53100"
_POSTGRES_READ_ONLY: Final = "25006"  # what we are connected to has become a replica
_CALM: Final = 3.0  # seconds without a failure after which the database is no longer down
_BATCH: Final = 1000  # values in one IN: SQLite's limit is 32,766, and more is not faster

Item = TypeVar("Item")
Observe = Callable[[DatabaseDown | None], None]
"""Told when the database is down, and why; told None when it works again."""


@final
class Transaction:
    """Work that commits together. Repositories take it; only `Database` makes it."""

    __slots__ = ("_after_commit", "connection")

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._after_commit: list[Callable[[], None]] = []

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run one statement, or one statement for each row of values."""
        return await self.connection.execute(statement, values)

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return the dialect's INSERT, which can say what happens on conflict."""
        if self.connection.dialect.name == "sqlite":
            return sqlite.insert(table)
        return postgresql.insert(table)

    async def analyze(self, table: Table) -> None:
        """Let Postgres know what a table holds that has just been filled: else it reads all of it to find a few rows.

        By itself it looks within a minute or so. SQLite needs no telling.
        """
        if self.connection.dialect.name == "postgresql":
            await self.connection.exec_driver_sql(f"ANALYZE {table.name}")

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call this once the transaction has committed; never if it does not."""
        self._after_commit.append(callback)

    def committed(self) -> None:
        """Run the callbacks. Only `Database` calls this."""
        for callback in self._after_commit:
            callback()


@final
class Database:
    """A pool of connections to SQLite or Postgres.

    What fails because the database is away, locked, full or not as it should be raises DatabaseDown. Any other error
    is the caller's bug: it passes as it is, but for the values that the driver quotes in it.
    """

    def __init__(self, url: str, *, password: str | None = None, observe: Observe = lambda _: None) -> None:
        self.url = parse_url(url, password=password)
        self.failure: DatabaseDown | None = None  # why it is down; None: it is not, as far as we know
        self._failed_at = 0.0  # monotonic
        self._cannot_write = False  # a full disk, a lock: then it is no good sign that it can be read
        self._observe = observe
        options = drivers.options(self.url.get_backend_name())
        self.engine: AsyncEngine = create_async_engine(self.url, hide_parameters=True, **options)
        self._writer: AbstractAsyncContextManager[Any] = nullcontext()
        if self.is_sqlite:
            # SQLite has one writer: waiting here is fair and instant, its own busy handler sleeps and guesses.
            self._writer = asyncio.Lock()
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the one-file database."""
        return self.url.get_backend_name() == "sqlite"

    def __str__(self) -> str:
        shown = self.url.set(drivername=self.url.get_backend_name(), query={})
        return shown.render_as_string(hide_password=True)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that may write; it commits when the block ends and rolls back when it raises."""
        async with self._writer, self._connected(writes=True) as connection, connection.begin():
            tx = Transaction(connection)
            yield tx
        tx.committed()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads: on SQLite it waits for no writer."""
        async with self._connected() as connection:
            await connection.execution_options(**{_READ_ONLY: True})
            async with connection.begin():
                yield Transaction(connection)

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that may change the schema: one process at a time, all of it or nothing."""
        async with self._writer, self._connected(writes=True) as connection:
            # SQLite alters a table by copying it: with foreign keys on, dropping the old one deletes its children.
            await self._pragma(connection, "foreign_keys=OFF")
            try:
                async with connection.begin():
                    await self._alone(connection)
                    yield connection
                    await self._check_references(connection)
            finally:
                await self._pragma(connection, "foreign_keys=ON")

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def _connected(self, *, writes: bool = False) -> AsyncIterator[AsyncConnection]:
        """Take a connection from the pool, and name what goes wrong until it is back. Raises DatabaseDown."""
        try:
            async with AsyncExitStack() as stack:
                try:
                    connection = await stack.enter_async_context(self.engine.connect())
                except (OSError, PoolExhausted) as error:  # no such host, refused, too slow; every connection waits
                    raise self._down(str(error) or type(error).__name__, writes=writes) from error
                yield connection
        except DBAPIError as error:
            said = _without_values(error)
            if _is_down(error):
                raise self._down(said, writes=writes, full=_is_full(error)) from error
            raise
        self._works(writes=writes)

    def _down(self, said: str, *, writes: bool, full: bool = False) -> DatabaseDown:
        """Note that the database is down, tell of it unless that is known, and return the error that says so."""
        if full:
            error = DatabaseDown(f"the disk of the database {self} is full: {said}", mend="make room on it")
        else:
            places = "its folder, the disk and who may write there"
            mend = f"check {places}" if self.is_sqlite else "check that it runs and lets us in"
            error = DatabaseDown(f"the database {self} did not answer: {said}", mend=mend)
        known, self.failure, self._failed_at = self.failure, error, time.monotonic()
        self._cannot_write |= writes
        if known is None:
            self._observe(error)
        return error

    def _works(self, *, writes: bool) -> None:
        """Note that a transaction worked. Beside others that fail that says little: a full disk has room for a few."""
        if self.failure is None or (self._cannot_write and not writes):
            return
        if time.monotonic() - self._failed_at < _CALM:
            return
        self.failure, self._cannot_write = None, False
        self._observe(None)

    async def _pragma(self, connection: AsyncConnection, pragma: str) -> None:
        """Set a pragma outside of any transaction, where alone some of them have effect."""
        if self.is_sqlite:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.execute(f"PRAGMA {pragma}")

    async def _alone(self, connection: AsyncConnection) -> None:
        if not self.is_sqlite:
            await connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))

    async def _check_references(self, connection: AsyncConnection) -> None:
        if not self.is_sqlite:
            return
        dangling = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).mappings().first()
        if dangling is not None:
            message = f"a migration left a row of {dangling['table']} that points at no row of {dangling['parent']}"
            raise StoreError(message, mend="nothing was changed; this is a bug of leakwatch, please report it")


def batches(items: Collection[Item], size: int = _BATCH) -> Iterator[list[Item]]:
    """Cut what goes into one IN into parts that every database takes."""
    ordered = list(items)
    return (ordered[at : at + size] for at in range(0, len(ordered), size))


def parse_url(url: str, *, password: str | None = None) -> URL:
    """Return the URL with the driver we use. Raises ConfigError for one that we cannot use."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # the latter for a port that is none
        message = "the database URL cannot be read"
        raise ConfigError(message, mend="write sqlite:////path/to/file or postgresql://user@host/name") from error
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        message = f"a database of kind {parsed.get_backend_name()!r} is not known"
        raise ConfigError(message, mend="write sqlite:////path/to/file or postgresql://user@host/name")
    parsed = parsed.set(drivername=driver)
    return parsed.set(password=password) if password else parsed


def _is_down(error: DBAPIError) -> bool:
    """Whether the fault is the database's state and not the statement's."""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _SQLITE_DOWN
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state[:2] in _POSTGRES_DOWN or state == _POSTGRES_READ_ONLY


def _is_full(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    return getattr(error.orig, "sqlstate", None) == _POSTGRES_FULL


def _without_values(error: DBAPIError) -> str:
    """Take out of an error the values that Postgres and asyncpg quote; return what is left to say."""
    said = str(error.orig)
    if not (isinstance(error.orig, sqlite3.Error) or _is_down(error)):
        driver = error.orig.__cause__ if error.orig else None
        names = (getattr(driver, name, None) for name in ("sqlstate", "table_name", "column_name", "constraint_name"))
        said = " ".join([type(driver).__name__, *(name for name in names if name)])
    error.args = (said,)
    error.__cause__ = None  # the driver's own error quotes them too
    return said


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred: `_begin_sqlite` says how
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        f"busy_timeout={_BUSY_MILLISECONDS}",
        "foreign_keys=ON",
        "synchronous=FULL",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred BEGIN that turns writer half-way loses updates or fails with "database is locked".
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
