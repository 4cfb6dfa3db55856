"""SQLite, by aiosqlite: each connection has a thread, and what it is to do is handed to it."""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final, Self

import aiosqlite
from aiosqlite.context import contextmanager

_HANDFUL: Final = 100  # rows that are fetched with their statement


class _Cursor(aiosqlite.Cursor):
    """A cursor that has the thread run a statement and fetch its rows in one go.

    aiosqlite goes to the thread for each step, four times for a SELECT, and that costs more than the SELECT.
    """

    _rows: list[Any]  # that came with the statement and were not asked for yet
    _is_whole = True  # whether there are no more than these

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Self:
        """Run a statement."""
        run: Any = self._execute  # which has no types
        self._rows = await run(self._run, sql, parameters or ())
        self._is_whole = len(self._rows) < _HANDFUL
        return self

    def _run(self, sql: str, parameters: Any) -> list[Any]:
        return self._cursor.execute(sql, parameters).fetchmany(_HANDFUL)

    async def fetchone(self) -> Any:
        """Return the next row, or None."""
        return next(iter(await self.fetchmany(1)), None)

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows, fewer than were asked for where fewer are at hand; none at the end."""
        if not self._rows and not self._is_whole:
            return [*await super().fetchmany(size)]
        rows = self._rows[: size or self.arraysize]
        del self._rows[: len(rows)]
        return rows

    async def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        rows, self._rows = self._rows, []
        return rows if self._is_whole else [*rows, *await super().fetchall()]

    async def close(self) -> None:
        """End the statement, unless it has ended with its last row."""
        if not self._is_whole:
            await super().close()


class _Connection(aiosqlite.Connection):
    """A connection with such cursors."""

    @contextmanager
    async def cursor(self) -> aiosqlite.Cursor:
        """Return a cursor: to make one is nothing for the thread."""
        return _Cursor(self, self._conn.cursor())


async def _open(*arguments: Any, **more: Any) -> aiosqlite.Connection:
    """Connect, and when that fails or is cancelled see the connection's thread to its end."""
    opening = _Connection(partial(sqlite3.connect, *arguments, **more), iter_chunk_size=_HANDFUL)
    thread = opening._thread  # noqa: SLF001 - SQLAlchemy reaches for it too
    thread.daemon = True
    try:
        return await opening
    except BaseException:
        # It still has a word for the event loop: if that closed first, the thread would end in a traceback.
        await asyncio.to_thread(thread.join)
        raise


OPTIONS: Final[Mapping[str, Any]] = {"connect_args": {"async_creator_fn": _open, "check_same_thread": False}}
