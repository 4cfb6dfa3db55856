"""`leakwatch findings`: whose keys are exposed, and where."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from leakwatch.cli.frame import Frame, json_option, show, with_database
from leakwatch.errors import InputError
from leakwatch.model import Exposure, now
from leakwatch.store import answers, findings
from leakwatch.store.database import Database


@click.group("findings")
def group() -> None:
    """Whose keys are exposed, and where."""


@group.command("list")
@click.option("--all", "every", is_flag=True, help="Closed ones too.")
@click.option("--customer", help="Only this customer's.")
@json_option
@with_database
async def list_(_frame: Frame, database: Database, *, every: bool, customer: str | None, as_json: bool) -> None:
    """List findings, newest first."""
    async with database.reading() as tx:
        rows = await findings.findings(tx, open_only=not every, customer_name=customer)
    show([asdict(row) for row in rows], as_json=as_json, empty="no key is known to be exposed")


@group.command("show")
@click.argument("number", type=int)
@json_option
@with_database
async def show_(_frame: Frame, database: Database, *, number: int, as_json: bool) -> None:
    """Show every place where an exposed key was seen, and what its owner answered."""
    async with database.reading() as tx:
        if await findings.one(tx, number) is None:
            raise InputError(f"there is no finding {number}", mend="see `leakwatch findings list --all`")
        [exposure] = await findings.exposures(tx, [number])
        given = await answers.of_finding(tx, number)
    show(list(_places(exposure)), as_json=as_json)
    if given and not as_json:  # the list of findings has the last one for programs
        show([{"answer": g.word, "at": g.at, "notice": g.notice_id, "remark": g.remark} for g in given], as_json=False)


@group.command()
@click.argument("numbers", nargs=-1, required=True, type=int)
@with_database
async def close(_frame: Frame, database: Database, *, numbers: tuple[int, ...]) -> None:
    """Close findings whose keys are revoked. One that is seen again in a new place opens again."""
    async with database.transaction() as tx:
        closed = await findings.close(tx, numbers, now())
    click.echo(f"{closed} closed", err=True)


def _places(exposure: Exposure) -> Iterator[dict[str, Any]]:
    for place in exposure.places:
        position = place.position
        yield {
            "source": place.source,
            "url": place.url,
            "where": f"{position.field} {position.line}:{position.column}",
            "title": place.title,
            "author": place.author,
            "path": place.path,
            "published_at": place.published_at,
            "first_seen_at": place.first_seen_at,
            "last_seen_at": place.last_seen_at,
        }
