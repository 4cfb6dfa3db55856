"""`leakwatch jobs`: work that was given up, and work that waits."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click

from leakwatch.cli.frame import Frame
from leakwatch.cli.stored import with_database
from leakwatch.cli.tables import json_option, show, show_object
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import InputError
from leakwatch.fetch_jobs import FETCH, unpack
from leakwatch.pepper import Pepper
from leakwatch.scan import Scanner, shipped
from leakwatch.store.database import Database, Transaction

_MOST: Final = 100_000  # dead letters that one command takes


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
    engine = EmbeddedEngine(database)
    async with database.transaction() as tx:
        revived = await engine.revive(tx, await _chosen(tx, engine, numbers, every=every, option="--all"))
    _counted(revived, "tried again", every=every)


@group.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--dead", "every", is_flag=True, help="All that were given up.")
@with_database
async def drop(_frame: Frame, database: Database, *, numbers: tuple[int, ...], every: bool) -> None:
    """Delete what was given up, for good: what it is about is not looked at any more."""
    engine = EmbeddedEngine(database)
    async with database.transaction() as tx:
        dropped = await engine.drop(tx, await _chosen(tx, engine, numbers, every=every, option="--dead"))
    _counted(dropped, "dropped", every=every)


@group.command("show")
@click.argument("number", type=int)
@json_option
@with_database
async def show_(frame: Frame, database: Database, *, number: int, as_json: bool) -> None:
    """Show what a job is about: the addresses that it was to fetch, with keys in them masked."""
    async with database.reading() as tx:
        job = await EmbeddedEngine(database).one(tx, number)
    if job is None:
        raise InputError(f"there is no job {number}", mend="see `leakwatch jobs list`, also with --live")
    facts, documents = asdict(job), list[dict[str, str]]()
    payload = facts.pop("payload")
    if job.queue == FETCH:
        redact = Scanner(shipped()).redact
        _, references = unpack(payload, Pepper(frame.config.pepper()))
        documents = [{"address": redact(r.page or r.url), "title": redact(r.title)} for r in references]
    else:
        facts["about"] = payload.decode().strip()  # a source's name, a delivery's number
    if as_json:
        show_object({**facts, "documents": documents})
        return
    show([facts], as_json=False)
    if documents:
        show(documents, as_json=False)


async def _chosen(
    tx: Transaction, engine: EmbeddedEngine, numbers: Sequence[int], *, every: bool, option: str
) -> Sequence[int]:
    if bool(numbers) == every:
        raise InputError("which jobs?", mend=f"name their numbers, or say {option}")
    return [dead.id for dead in await engine.dead(tx, limit=_MOST)] if every else numbers


def _counted(count: int, what: str, *, every: bool) -> None:
    if not (count or every):
        raise InputError("none of these is a job that was given up", mend="see `leakwatch jobs list`")
    click.echo(f"{count} {what}", err=True)
