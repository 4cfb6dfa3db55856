"""SQLite's files: every text and blob of every table, a line for each row.

The file is opened in memory. Only tables are read, never a view or a virtual table, and of tables only what is stored:
nothing that a stranger's schema would compute is computed.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

from leakwatch.containers.kinds import sniff
from leakwatch.containers.limits import Cut, Room
from leakwatch.containers.packed import Part

_VERSIONS: Final = slice(18, 20)  # of the header: how the file is written and read
_ROLLBACK: Final = b"\x01\x01"  # not by a write-ahead log, which a file in memory cannot have
_PRAGMAS: Final = ("trusted_schema = OFF", "query_only = ON", "temp_store = MEMORY", "cell_size_check = ON")
_COLUMNS: Final = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 2"  # 2: computed when it is read
_LIMITS: Final = (
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_LENGTH, 100_000_000),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 1_000_000),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
)


def tables(data: bytes, _name: str, room: Room) -> Iterator[Part]:
    """Yield each table, and each blob in one that is a container itself."""
    connection = sqlite3.connect(":memory:")
    try:
        logs = data[_VERSIONS] != _ROLLBACK
        connection.deserialize(data[: _VERSIONS.start] + _ROLLBACK + data[_VERSIONS.stop :] if logs else data)
        connection.text_factory = bytes
        for limit, most in _LIMITS:
            connection.setlimit(limit, most)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0").fetchall()
        for name in (b"sqlite_schema", *(name for (name,) in names)):
            yield from _table(connection, name.decode("utf-8", "replace"), room)
    finally:
        connection.close()


def _table(connection: sqlite3.Connection, name: str, room: Room) -> Iterator[Part]:
    """Yield what stands in a table; what could be read of a broken one."""
    lines: list[bytes] = []
    inner: list[Part] = []
    try:
        columns = [column.decode("utf-8", "replace") for (column,) in connection.execute(_COLUMNS, (name,))]
        chosen = ", ".join(map(_quoted, columns))
        rows = connection.execute(f"SELECT {chosen} FROM {_quoted(name)}")  # noqa: S608 - names cannot be parameters
        for row in rows:
            plain = []
            for column, cell in zip(columns, row, strict=True):
                if isinstance(cell, bytes) and sniff(cell) is None:
                    plain.append(cell)
                elif isinstance(cell, bytes):
                    inner.append(Part(f"{name}/{column}", room.take(cell)))
            lines.append(room.take(b"\t".join(plain) + b"\n"))
            if room.full:
                break
    except (sqlite3.Error, OverflowError):
        room.skip(Cut.BROKEN)
    yield Part(name, b"".join(lines))
    yield from inner


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
