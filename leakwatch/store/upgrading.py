"""How a database gets the schema of this version: by Alembic, which only `leakwatch db` has need of.

Migrations go forward only; going back is restoring the backup from before `leakwatch db upgrade`.
"""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from leakwatch.store import schema
from leakwatch.store.database import Database


async def upgrade(database: Database) -> list[str]:
    """Bring the database to the newest revision in one transaction; return the revisions applied, in order.

    Raises SchemaOutdated for a database that is newer than this version.
    """
    async with database.migrating() as connection:
        return await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> list[str]:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(schema.migrations()).replace("%", "%%"))  # `%` interpolates
    config.set_main_option("path_separator", "newline")
    before = MigrationContext.configure(connection).get_current_revision()
    schema.refuse_newer(before)
    command.upgrade(config, "head")
    return [revision for revision in schema.revisions() if before is None or revision > before]
