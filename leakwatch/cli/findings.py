"""`leakwatch findings`: whose keys are exposed, and where."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from email.utils import parseaddr
from typing import Any

import click

from leakwatch.cli.frame import Frame, visible
from leakwatch.cli.stored import with_database
from leakwatch.cli.tables import json_option, show
from leakwatch.config import Config
from leakwatch.errors import DeliveryError, InputError
from leakwatch.fetch import resolve
from leakwatch.model import Exposure, now
from leakwatch.notify import Channels, Postmark, new_message_id
from leakwatch.store import answers, findings, looks, takedowns
from leakwatch.store.database import Database
from leakwatch.store.looks import Still
from leakwatch.store.takedowns import Asked
from leakwatch.takedown import Request, requests


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
        stills = await looks.of_finding(tx, number)
        given = await answers.of_finding(tx, number)
        asked = await takedowns.of_finding(tx, number)
    show(list(_places(exposure, stills)), as_json=as_json)
    if given and not as_json:  # the list of findings has the last one for programs
        show([{"answer": g.word, "at": g.at, "notice": g.notice_id, "remark": g.remark} for g in given], as_json=False)
    if asked and not as_json:
        show([{"asked": a.host, "by": a.address, "at": a.sent_at} for a in asked], as_json=False)


@group.command()
@click.argument("numbers", nargs=-1, required=True, type=int)
@with_database
async def close(_frame: Frame, database: Database, *, numbers: tuple[int, ...]) -> None:
    """Close findings whose keys are revoked. One that is seen again in a new place opens again."""
    async with database.transaction() as tx:
        closed = await findings.close(tx, numbers, now())
    if not closed:
        raise InputError("none of these is a finding that is open", mend="see `leakwatch findings list`")
    click.echo(f"{closed} closed", err=True)


@group.command()
@click.argument("number", type=int)
@click.option("--send", is_flag=True, help="Send it, where the host takes mail. Without it, it is printed only.")
@click.option("--again", is_flag=True, help="Send it to those as well who have been asked about this finding.")
@with_database
async def takedown(frame: Frame, database: Database, *, number: int, send: bool, again: bool) -> None:
    """Write to the hosts on which an exposed key still stands, that they take it down."""
    async with database.reading() as tx:
        if await findings.one(tx, number) is None:
            raise InputError(f"there is no finding {number}", mend="see `leakwatch findings list --all`")
        [exposure] = await findings.exposures(tx, [number])
        stills = await looks.of_finding(tx, number)
        asked = {(one.host, one.address): one.sent_at for one in await takedowns.of_finding(tx, number)}
    config = frame.config
    drafts = requests(exposure, stills, {s.name: s for s in resolve(config)}, config.email.sender)
    if not drafts:
        click.echo("nothing of it is known to be public any more, at an address that can be named", err=True)
    for draft in drafts:
        for line in draft.lines():
            click.echo(visible(line))
        click.echo()
    for draft in drafts:
        if at := asked.get((draft.host, draft.address)):
            known = f"{draft.host} was asked on {at:%Y-%m-%d %H:%M} UTC"
            click.echo(known if again or not send else f"{known}: not sent; --again sends it once more", err=True)
    if send:
        due = [d for d in drafts if d.address and (again or (d.host, d.address) not in asked)]
        await _send(config, database, number, due)


async def _send(config: Config, database: Database, number: int, drafts: Sequence[Request]) -> None:
    """Send each, and write it down. Raises DeliveryError at the end if one was not accepted: it keeps no other."""
    channels = Channels(config.email, config.smtp_password())
    domain = parseaddr(config.email.sender)[1].rpartition("@")[2]
    refused: list[DeliveryError] = []
    try:
        for draft in drafts:
            postmark = Postmark(message_id=new_message_id(domain), date=now())
            to = draft.address.removeprefix("mailto:")
            try:
                await channels.deliver(draft.address, draft.message, postmark, trusted=True)
            except DeliveryError as error:
                refused.append(error)
                click.echo(visible(f"not sent to {to}: {error}"), err=True)
                continue
            async with database.transaction() as tx:
                asked = Asked(
                    host=draft.host, address=draft.address, message_id=postmark.message_id, sent_at=postmark.date
                )
                await takedowns.sent(tx, number, asked)
            click.echo(visible(f"sent to {to}"), err=True)
    finally:
        await channels.close()
    if refused:
        raise refused[0]


def _places(exposure: Exposure, stills: Sequence[Still]) -> Iterator[dict[str, Any]]:
    for place, still in zip(exposure.places, stills, strict=True):  # both newest first
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
            "still": still.word,
            "looked_at": still.looked_at,
        }
