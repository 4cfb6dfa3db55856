"""`leakwatch keys`: customers' keys, by digest alone."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import BinaryIO, Final

import click

from leakwatch.cli.ending import WRONG
from leakwatch.cli.frame import Frame, progress, shown_channel
from leakwatch.cli.stored import with_database
from leakwatch.cli.tables import json_option, show
from leakwatch.errors import InputError
from leakwatch.match import Digester, digest_text, intake
from leakwatch.model import Registration
from leakwatch.notify import languages, tellable
from leakwatch.pepper import Pepper
from leakwatch.scan import Scanner, shipped
from leakwatch.store import registry
from leakwatch.store.database import Database

_BATCH: Final = 20_000  # rows that are imported together: a daemon beside us waits for them, but not for long
_NAMED: Final = 100  # bad rows that are told one by one
_LONGEST: Final = 1 << 20  # bytes of standard input that a key may have


@click.group("keys")
def group() -> None:
    """Customers' keys, by digest alone."""


@group.command()
def digest() -> None:
    """Read a key from standard input and print its digest: what a customer sends instead of the key.

    It is never an argument, since others on the machine can see those. On a terminal it is asked for and not shown.
    """
    if sys.stdin.isatty():
        key = click.prompt("Key (it is not shown)", hide_input=True, err=True)
    else:
        key = sys.stdin.buffer.read(_LONGEST).decode(errors="replace")
    click.echo(digest_text(key))


@group.command("import")
@click.argument("file", type=click.File("rb"))
@with_database
async def import_(frame: Frame, database: Database, *, file: BinaryIO) -> int:
    """Import customers and the digests of their keys, from CSV or JSON lines; `-` is standard input.

    The first line of CSV names the columns: customer, email, locale, provider, label, key_id, digest and, where
    there are any, channels. A row that cannot be used, or in which a key stands itself, is told by its line and the
    others are imported; then the exit status is 1. The same file can be imported again: what is known changes only
    where it differs. A customer whom it gives another address keeps the old one, too: which, is told.
    """
    pepper = Pepper(frame.config.pepper())
    digester = Digester(pepper, frame.config.matching.schemes)
    async with database.transaction() as tx:
        await registry.bind_pepper(tx, pepper.fingerprint)
    locales = ("en", *sorted(languages() - {"en"}))  # the first is for rows that name none
    sieve = Sieve(intake.read(file, locales, tellable=tellable, holds_key=Scanner(shipped()).holds_key))
    told, added, known = Told(), 0, 0
    with progress("keys") as advance:
        while rows := list(islice(sieve, _BATCH)):
            async with database.transaction() as tx:
                done = await registry.register(tx, rows, digester.stored)
            told.note(rows, done.readdressed)
            added, known = added + done.added, known + done.known
            advance(len(rows))
    async with database.transaction() as tx:
        await registry.settle(tx)
    told.tell()
    click.echo(f"{added} added, {known} known before, {sieve.bad} could not be used", err=True)
    return WRONG if sieve.bad else 0


@group.command("list")
@click.option("--customer", help="Only this customer's.")
@json_option
@with_database
async def list_(_frame: Frame, database: Database, *, customer: str | None, as_json: bool) -> None:
    """List the keys that are watched for, by their owners' names for them."""
    async with database.reading() as tx:
        keys = await registry.keys(tx, customer_name=customer)
    show([asdict(key) for key in keys], as_json=as_json, empty="no key is registered: see `leakwatch keys import`")


@group.command()
@click.argument("numbers", nargs=-1, required=True, type=int)
@with_database
async def retire(_frame: Frame, database: Database, *, numbers: tuple[int, ...]) -> None:
    """Watch for keys no more that are not in use, by their numbers in `keys list`."""
    async with database.transaction() as tx:
        retired = await registry.retire_keys(tx, numbers)
    if not retired:
        raise InputError("none of these is a key that is watched for", mend="see `leakwatch keys list`")
    click.echo(f"{retired} retired", err=True)


class Told:
    """Where customers are told after an import: an address that a file has corrected is not taken away by it."""

    def __init__(self) -> None:
        self._named: set[int] = set()  # hashes of customers with a channel: a file may name millions
        self._before: dict[str, set[str]] = {}  # of who is told elsewhere too by now

    def note(self, rows: Iterable[Registration], readdressed: Mapping[str, frozenset[str]]) -> None:
        """Take note of what was imported, and of where its customers were told before."""
        self._named.update(hash((row.customer, url)) for row in rows for url in registry.urls(row))
        for name, urls in readdressed.items():
            self._before.setdefault(name, set()).update(urls)

    def tell(self) -> None:
        """Tell of each channel that the file does not name beside one that it added."""
        kept = [
            (name, url)
            for name, urls in self._before.items()
            for url in sorted(urls)
            if hash((name, url)) not in self._named
        ]
        for name, url in kept[:_NAMED]:
            shown = shown_channel(url)
            remove = shlex.join(
                ["leakwatch", "customers", "remove", name, "--channel", url if url == f"mailto:{shown}" else shown]
            )
            click.echo(f"NOTE: {name} is told at {shown} as well, as before. If that is wrong: {remove}", err=True)
        if len(kept) > _NAMED:
            click.echo(f"NOTE: so are {len(kept) - _NAMED} more: see `leakwatch customers list`", err=True)


class Sieve(Iterator[Registration]):
    """Lets good rows through, and tells the bad ones by their line."""

    def __init__(self, rows: Iterable[Registration | intake.BadRow]) -> None:
        self._rows = iter(rows)
        self.bad = 0

    def __next__(self) -> Registration:
        for row in self._rows:
            if isinstance(row, Registration):
                return row
            self.bad += 1
            if self.bad <= _NAMED:
                click.echo(f"line {row.line}: {row.reason}", err=True)
            elif self.bad == _NAMED + 1:
                click.echo("more rows cannot be used: they are counted, not told", err=True)
        raise StopIteration
