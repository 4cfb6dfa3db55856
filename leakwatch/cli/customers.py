"""`leakwatch customers`: who is told, and where."""

from dataclasses import asdict

import click

from leakwatch.cli.frame import Frame, shown_channel
from leakwatch.cli.stored import with_database
from leakwatch.cli.tables import json_option, show
from leakwatch.errors import InputError
from leakwatch.match import intake
from leakwatch.notify import languages, tellable
from leakwatch.scan import Scanner, shipped
from leakwatch.store import registry
from leakwatch.store.database import Database, Transaction


@click.group("customers")
def group() -> None:
    """Who is told, and where."""


@group.command("list")
@json_option
@with_database
async def list_(_frame: Frame, database: Database, *, as_json: bool) -> None:
    """List customers with their channels, keys and open findings."""
    async with database.reading() as tx:
        customers = await registry.customers(tx)
    rows = [{**asdict(c), "channels": [shown_channel(url) for url in c.channels]} for c in customers]
    show(rows, as_json=as_json, empty="no customer is registered: see `leakwatch keys import`")


@group.command("show")
@click.argument("name")
@json_option
@with_database
async def show_(_frame: Frame, database: Database, *, name: str, as_json: bool) -> None:
    """Show one customer's keys. `leakwatch findings list --customer` shows which are exposed."""
    async with database.reading() as tx:
        if await registry.customer_named(tx, name) is None:
            raise InputError(f"no customer is named {name}", mend="see `leakwatch customers list`")
        keys = await registry.keys(tx, customer_name=name)
    show([asdict(key) for key in keys], as_json=as_json, empty="no key")


@group.command()
@click.argument("name")
@click.option("--channel", "channels", multiple=True, required=True, help="mailto:user@host or an Apprise URL.")
@click.option("--locale", default="en", show_default=True, help="The language of their notices.")
@with_database
async def add(_frame: Frame, database: Database, *, name: str, channels: tuple[str, ...], locale: str) -> None:
    """Add a customer, or channels to one. Their keys come with `leakwatch keys import`."""
    if Scanner(shipped()).holds_key(name):
        raise InputError("the name holds a key", mend="name the customer, and have the key revoked")
    checked = [intake.channel(url, tellable) for url in channels]
    spoken = intake.locale(locale, languages())
    async with database.transaction() as tx:
        await registry.add_customer(tx, name=name, locale=spoken, channels=checked)
    click.echo(f"{name} is told on {', '.join(map(shown_channel, checked))}", err=True)


@group.command()
@click.argument("name")
@click.option("--channel", help="Only this channel, whole or as `customers list` shows it.")
@with_database
async def remove(_frame: Frame, database: Database, *, name: str, channel: str | None) -> None:
    """Remove a customer: their keys match no more, and nobody is told."""
    async with database.transaction() as tx:
        if channel is not None:
            await registry.retire_channel(tx, name, await _channel(tx, name, channel))
            click.echo(f"{name} is told there no more", err=True)
            return
        if not await registry.remove_customer(tx, name):
            raise InputError(f"no customer is named {name}", mend="see `leakwatch customers list`")
    click.echo(f"{name} is removed", err=True)


async def _channel(tx: Transaction, name: str, said: str) -> str:
    """Return the one channel of a customer that is meant. Raises InputError."""
    customer = await registry.customer_named(tx, name)
    channels = customer.channels if customer else ()
    meant = [url for url in channels if url == said] or [url for url in channels if shown_channel(url) == said]
    if not meant:
        raise InputError(f"{name} has no such channel", mend="see `leakwatch customers list`")
    if len(meant) > 1:
        raise InputError(f"{name} has several such channels", mend="write its whole URL")
    return meant[0]
