"""`leakwatch jobs`: work that was given up, and work that waits."""

from dataclasses import asdict

import click

from leakwatch.cli.frame import Frame, json_option, show, with_database
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import InputError
from leakwatch.store.database import Database


@click.group("jobs")
def group() -> None:
    """Work that was given up, and work that waits."""


@group.command("list")
@click.option("--live", is_flag=True, help="What waits or runs, instead of what was given up.")
@click.option("--limit", default=100, show_default=True, help="So many at the most.")
@json_option
@with_database
async def list_(_frame: Frame, database: Database, *, live: bool, limit: int, as_json: bool) -> None:
    """List dead letters, newest first, each with the reason why it was given up."""
    engine = EmbeddedEngine(database)
    async with database.reading() as tx:
        rows = await engine.live(tx, limit=limit) if live else await engine.dead(tx, limit=limit)
    show([asdict(row) for row in rows], as_json=as_json, empty="nothing waits" if live else "nothing was given up")


@group.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All that were given up.")
@with_database
async def retry(_frame: Frame, database: Database, *, numbers: tuple[int, ...], every: bool) -> None:
    """Try again what was given up, with its failures forgotten."""
    if bool(numbers) == every:
        raise InputError("which jobs?", mend="name their numbers, or say --all")
    engine = EmbeddedEngine(database)
    async with database.transaction() as tx:
        if every:
            numbers = tuple(dead.id for dead in await engine.dead(tx, limit=100_000))
        revived = await engine.revive(tx, numbers)
    click.echo(f"{revived} tried again", err=True)
