"""`leakwatch db`: the schema, and the move to another database."""

from dataclasses import asdict
from pathlib import Path

import click
from pydantic import ValidationError

from leakwatch.cli.frame import Frame, progress, run
from leakwatch.cli.stored import with_database
from leakwatch.cli.tables import json_option, show
from leakwatch.config import Config, DatabaseConfig
from leakwatch.engine import processes
from leakwatch.errors import InputError, StoreError
from leakwatch.model import now
from leakwatch.pepper import Pepper
from leakwatch.store import copying, schema, upgrading
from leakwatch.store.database import Database
from leakwatch.store.opening import connect


@click.group("db")
def group() -> None:
    """The database: its schema, and the move to another one."""


@group.command()
@click.pass_obj
def upgrade(frame: Frame) -> None:
    """Bring the database to the schema of this version; a new one is made."""

    async def work() -> list[str]:
        database = connect(frame.config)
        try:
            return await upgrading.upgrade(database)
        finally:
            await database.close()

    for revision in run(work()):
        click.echo(f"applied {revision}", err=True)
    click.echo("the schema is up to date", err=True)


@group.command()
@click.pass_obj
def check(frame: Frame) -> None:
    """Say whether the database has the schema of this version."""

    async def work() -> None:
        database = connect(frame.config)
        try:
            await schema.check(database)
        finally:
            await database.close()

    run(work())
    click.echo("the schema is up to date")


@group.command()
@click.option("--to", "url", required=True, metavar="URL", help="The other database, written as in the configuration.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds its password.  [default: LEAKWATCH_DATABASE_PASSWORD]",
)
@json_option
@with_database
async def copy(frame: Frame, database: Database, *, url: str, password_file: Path | None, as_json: bool) -> None:
    """Copy everything into another database, and check that it is the same: SQLite to Postgres, or any to any.

    Stop the daemon first. The other database gets its schema here; it must be empty, or a copy made earlier on which
    nobody has worked since: that one is brought up to date. When it is done, name it in the configuration and start.
    """
    await _refuse_at_work(database)
    target = connect(_elsewhere(frame.config, url, password_file))
    try:
        fingerprint = Pepper(frame.config.pepper()).fingerprint
        with progress("rows") as advance:
            copied = await copying.copy(database, target, fingerprint=fingerprint, advance=advance)
    finally:
        await target.close()
    show([asdict(table) for table in copied], as_json=as_json)
    click.echo(f"{sum(table.rows for table in copied):,} rows are in {target}, and the same as here", err=True)


async def _refuse_at_work(database: Database) -> None:
    """Raise StoreError while a daemon holds jobs; one that was killed holds none, whatever the database says."""
    async with database.reading() as tx:
        alive = [owner for owner in await copying.holders(tx, now()) if not processes.is_gone(owner)]
    if alive:
        raise StoreError("a daemon is at work on the database", mend="stop it first: what it does now would be missing")


def _elsewhere(config: Config, url: str, password_file: Path | None) -> Config:
    """The same configuration with another database."""
    file = None if password_file is None else str(password_file.absolute())
    try:
        return config.model_copy(update={"database": DatabaseConfig(url=url, password_file=file)})
    except ValidationError as error:
        raise InputError(f"--to: {error.errors()[0]['msg']}") from None  # the error itself would show the password
