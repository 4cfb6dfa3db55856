"""The schema's version: what the database has, what this leakwatch needs, and how to get there.

There is no alembic.ini: `migrations/` is found like the shipped definitions, in the package or beside it in a
checkout. Migrations go forward only; going back is restoring the backup from before `leakwatch db upgrade`.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from leakwatch.errors import SchemaOutdated
from leakwatch.store.database import Database

_PACKAGE: Final = Path(__file__).parent.parent


def migrations() -> Path:
    """Return the folder of the migrations: in the package, or beside it in a checkout."""
    inside = _PACKAGE / "migrations"
    return inside if inside.is_dir() else _PACKAGE.parent / "migrations"


async def current(database: Database) -> str | None:
    """Return the database's revision, or None where there is no schema at all."""
    async with database.reading() as tx:
        return await tx.connection.run_sync(_current)


async def check(database: Database) -> None:
    """Make sure that the schema is the one that this version needs. Raises SchemaOutdated."""
    script = ScriptDirectory.from_config(_config())
    needed, found = script.get_current_head(), await current(database)
    _refuse_newer(script, found)
    if found != needed:
        has = f"at revision {found}" if found else "without a schema"
        message = f"the database is {has}, this version of leakwatch needs {needed}"
        raise SchemaOutdated(message, mend="run `leakwatch db upgrade`")


async def upgrade(database: Database) -> list[str]:
    """Bring the database to the newest revision in one transaction; return the revisions applied, in order.

    Raises SchemaOutdated for a database that is newer than this version.
    """
    async with database.migrating() as connection:
        return await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> list[str]:
    config = _config()
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    before = _current(connection)
    _refuse_newer(script, before)
    command.upgrade(config, "head")
    return [step.revision for step in script.iterate_revisions("head", before or "base")][::-1]


def _refuse_newer(script: ScriptDirectory, found: str | None) -> None:
    if found is None or any(found == known.revision for known in script.walk_revisions()):
        return
    newest = script.get_current_head()
    message = f"the database is at revision {found}, which is newer than this version of leakwatch ({newest})"
    raise SchemaOutdated(message, mend="run the version that upgraded it, or a later one")


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))  # `%` interpolates
    config.set_main_option("path_separator", "newline")
    return config
