"""The schema's version: what the database has, and what this leakwatch needs.

There is no alembic.ini: `migrations/` is found like the shipped definitions, in the package or beside it in a
checkout. A migration's file begins with its revision, and they are in order, so that a daemon need not read them.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from leakwatch.errors import SchemaOutdated
from leakwatch.store.database import Database

_PACKAGE: Final = Path(__file__).parent.parent
_TABLE: Final = "alembic_version"


def migrations() -> Path:
    """Return the folder of the migrations: in the package, or beside it in a checkout."""
    inside = _PACKAGE / "migrations"
    return inside if inside.is_dir() else _PACKAGE.parent / "migrations"


def revisions() -> list[str]:
    """Return the revisions that this version knows, in order; it needs the last."""
    return sorted(path.name.partition("_")[0] for path in (migrations() / "versions").glob("*_*.py"))


async def current(database: Database) -> str | None:
    """Return the database's revision, or None where there is no schema at all."""
    async with database.reading() as tx:
        return await tx.connection.run_sync(_current)


async def check(database: Database) -> None:
    """Make sure that the schema is the one that this version needs. Raises SchemaOutdated."""
    found, needed = await current(database), revisions()[-1]
    refuse_newer(found)
    if found != needed:
        has = f"at revision {found}" if found else "without a schema"
        message = f"the database is {has}, this version of leakwatch needs {needed}"
        raise SchemaOutdated(message, mend="run `leakwatch db upgrade`")


def refuse_newer(found: str | None) -> None:
    """Refuse a revision that this version does not know. Raises SchemaOutdated."""
    known = revisions()
    if found is None or found in known:
        return
    message = f"the database is at revision {found}, which is newer than this version of leakwatch ({known[-1]})"
    raise SchemaOutdated(message, mend="run the version that upgraded it, or a later one")


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar()  # noqa: S608 - a name of our own
