"""The migrations: what they make, that they agree with the models, and that they are safe to run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from leakwatch.errors import SchemaOutdated, StoreError
from leakwatch.store import registry, schema, upgrading
from leakwatch.store.database import Database
from leakwatch.store.tables import metadata
from tests.integration.store.making import register, registration

VERSIONS = sorted((Path(__file__).parents[3] / "migrations/versions").glob("*.py"))
ALL = [path.name.partition("_")[0] for path in VERSIONS]
HEAD, NEXT = ALL[-1], f"{len(ALL) + 1:04}"


@pytest.fixture
async def empty(database: Database) -> Database:
    """A database without a schema."""
    async with database.migrating() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text("DROP TABLE alembic_version"))
    return database


@pytest.fixture
def next_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a leakwatch that has one more migration: what `upgrade` does in it is the test's to write."""
    folder = tmp_path / "migrations with 100% odd name"
    (folder / "versions").mkdir(parents=True)
    for file in ("env.py", *(f"versions/{path.name}" for path in VERSIONS)):
        (folder / file).write_text((schema.migrations() / file).read_text())
    monkeypatch.setattr(schema, "migrations", lambda: folder)
    yield folder / "versions" / f"{NEXT}_next.py"
    monkeypatch.undo()


def _migration(body: str) -> str:
    head = f"import sqlalchemy as sa\nfrom alembic import op\nrevision = '{NEXT}'\ndown_revision = '{HEAD}'\n"
    return f"{head}def upgrade():\n    {body}\n"


def _differences(connection: Connection) -> list[object]:
    return list(
        compare_metadata(MigrationContext.configure(connection, opts={"compare_server_default": True}), metadata)
    )


async def test_the_migrated_schema_is_the_one_of_the_models(database: Database) -> None:
    async with database.reading() as tx:
        assert await tx.connection.run_sync(_differences) == []


def test_files_of_migrations_begin_with_their_revisions_and_are_in_order() -> None:
    script = ScriptDirectory(schema.migrations())
    assert [step.revision for step in script.walk_revisions()][::-1] == schema.revisions()


async def test_a_database_is_upgraded_once(empty: Database) -> None:
    assert await schema.current(empty) is None
    with pytest.raises(SchemaOutdated, match=rf"without a schema.* needs {HEAD}: run `leakwatch db upgrade`"):
        await schema.check(empty)
    assert await upgrading.upgrade(empty) == ALL
    assert await upgrading.upgrade(empty) == []
    assert await schema.current(empty) == HEAD
    await schema.check(empty)


async def test_two_nodes_upgrade_at_once(empty: Database) -> None:
    other = Database(empty.url.render_as_string(hide_password=False))
    done = await asyncio.gather(upgrading.upgrade(empty), upgrading.upgrade(other))
    await other.close()
    assert sorted(done) == [[], ALL]


async def test_an_old_database_is_told_to_upgrade(database: Database, next_migrations: Path) -> None:
    next_migrations.write_text(_migration("pass"))
    with pytest.raises(SchemaOutdated, match=rf"at revision {HEAD}.* needs {NEXT}: run `leakwatch db upgrade`"):
        await schema.check(database)
    assert await upgrading.upgrade(database) == [NEXT]
    await schema.check(database)


async def test_a_newer_database_is_not_touched(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match=rf"9999, which is newer than this version of leakwatch \({HEAD}\)"):
        await schema.check(database)
    with pytest.raises(SchemaOutdated, match="newer"):
        await upgrading.upgrade(database)


async def test_altering_a_table_keeps_what_refers_to_it(database: Database, next_migrations: Path) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", n) for n in range(3)])
    next_migrations.write_text(
        _migration(
            'with op.batch_alter_table("customer", recreate="auto") as table: '
            'table.alter_column("name", new_column_name="called")'
        )
    )
    assert await upgrading.upgrade(database) == [NEXT]
    async with database.reading() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM registered_key"))).scalar() == 3
        assert (await tx.execute(text("SELECT called FROM customer"))).scalar() == "ann"


async def test_a_migration_that_fails_changes_nothing(database: Database, next_migrations: Path) -> None:
    next_migrations.write_text(_migration("op.create_table('half', sa.Column('x', sa.Text)); raise RuntimeError"))
    with pytest.raises(RuntimeError):
        await upgrading.upgrade(database)
    assert await schema.current(database) == HEAD
    async with database.reading() as tx:
        assert "half" not in await tx.connection.run_sync(lambda sync: inspect(sync).get_table_names())


async def test_a_migration_that_leaves_rows_dangling_is_refused(
    sqlite_database: Database, next_migrations: Path
) -> None:
    async with sqlite_database.transaction() as tx:
        await register(tx, [registration("ann", 1)])
    next_migrations.write_text(_migration("op.execute('DELETE FROM customer')"))
    with pytest.raises(StoreError, match="points at no row of customer"):
        await upgrading.upgrade(sqlite_database)
    async with sqlite_database.transaction() as tx:
        assert [c.name for c in await registry.customers(tx)] == ["ann"]
        assert (await tx.execute(text("PRAGMA foreign_keys"))).scalar() == 1


def test_the_migrations_of_a_wheel_are_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_PACKAGE", tmp_path)
    assert schema.migrations() == tmp_path.parent / "migrations"
    (tmp_path / "migrations").mkdir()
    assert schema.migrations() == tmp_path / "migrations"
