"""The configured database, opened: by the daemon for as long as it lives, by a command for one piece of work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from leakwatch.config import Config
from leakwatch.store import schema
from leakwatch.store.database import Database, Observe


def connect(config: Config, observe: Observe = lambda _: None) -> Database:
    """Return the configured database, not yet opened; `observe` is told when it is down, and when it works again."""
    return Database(config.database.url, password=config.database_password(), observe=observe)


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Database]:
    """Open the configured database for one piece of work. Raises SchemaOutdated when it is not of this version."""
    database = connect(config)
    try:
        await schema.check(database)
        yield database
    finally:
        await database.close()
