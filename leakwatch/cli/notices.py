"""`leakwatch notices`: what is owed, to whom, and what became of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import click

from leakwatch.announce import delivery_key
from leakwatch.app import announcer, composer, links
from leakwatch.cli.frame import Frame, shown_channel
from leakwatch.cli.stored import with_database
from leakwatch.cli.tables import json_option, show, show_object
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import InputError
from leakwatch.model import NoticeKind, now
from leakwatch.notify import clean, event
from leakwatch.scan import Scanner, shipped
from leakwatch.store import answers, bounces, notices, parcels, registry
from leakwatch.store.answers import Given
from leakwatch.store.bounces import Bounce
from leakwatch.store.database import Database, Transaction
from leakwatch.store.notices import DEAD, DROPPED, HELD, PENDING, Attempt, Delivery, NoticeState

_WHY: Final = 500  # characters of the reason for which notices are dropped


@click.group("notices")
def group() -> None:
    """What is owed, to whom, and what became of it."""


@group.command("list")
@click.option("--held", "held", is_flag=True, help="Only what waits to be released.")
@click.option("--dead", "dead", is_flag=True, help="Only what was given up.")
@click.option("--bounced", "bounced", is_flag=True, help="Only what came back.")
@click.option("--limit", default=100, show_default=True, help="So many notices at the most.")
@json_option
@with_database
async def list_(  # noqa: PLR0913 - its options
    _frame: Frame, database: Database, *, held: bool, dead: bool, bounced: bool, limit: int, as_json: bool
) -> None:
    """List notices, newest first, with a row for each channel."""
    async with database.reading() as tx:
        state = DEAD if dead else None
        found = await notices.notices(tx, held_only=held, bounced_only=bounced, state=state, limit=limit)
        due = await _due(tx, database, found)
    rows = [row for notice in found for row in _rows(notice, due)]
    what = "is held" if held else "was given up" if dead else "came back" if bounced else "is owed"
    show(rows, as_json=as_json, empty=f"no notice {what}")


@group.command("show")
@click.argument("number", type=int)
@json_option
@with_database
async def show_(_frame: Frame, database: Database, *, number: int, as_json: bool) -> None:
    """Show all that is known of a notice: every try, what the peer said, what its customer answered."""
    async with database.reading() as tx:
        notice = await _one(tx, number)
        tries = await notices.attempts(tx, [d.id for d in notice.deliveries])
        returned = await bounces.of(tx, [d.id for d in notice.deliveries])
        given = await answers.of_notice(tx, number)
    if as_json:
        show_object(_whole(notice, tries, returned, given))
        return
    show([_head(notice)], as_json=False)
    rows = [
        {"channel": shown_channel(d.channel_url), "message_id": d.message_id, "at": t.at, "code": t.code}
        | {"reason": t.reason or "accepted", "detail": t.detail}
        for d in notice.deliveries
        for t in tries.get(d.id, [])
    ]
    held = f": {notice.held}" if notice.held else ""
    show(rows, as_json=False, empty=f"notice {number} has not been tried{held}")
    back = [
        {"came_back": shown_channel(d.channel_url), "at": b.at, "action": b.action, "status": b.status}
        | {"detail": b.detail}
        for d in notice.deliveries
        for b in returned.get(d.id, [])
    ]
    if back:
        show(back, as_json=False)
    if given:
        show([{"answer": g.word, "at": g.at, "findings": g.findings, "remark": g.remark} for g in given], as_json=False)


@group.command()
@click.argument("number", type=int)
@click.option("--html", "as_html", is_flag=True, help="The HTML part instead of the text.")
@json_option
@with_database
async def preview(frame: Frame, database: Database, *, number: int, as_html: bool, as_json: bool) -> None:
    """Print a notice as its reader sees it."""
    async with database.reading() as tx:
        notice = await _one(tx, number)
        if not notice.deliveries:
            raise InputError(f"notice {number} goes to nobody", mend="its recipient has no channel")
        parcel = await parcels.parcel(tx, notice.deliveries[0].id, operator_locale=frame.config.notices.operator_locale)
    assert parcel is not None  # noqa: S101 - read in the transaction that found the delivery
    if parcel.notice.kind is NoticeKind.EVENT:
        click.echo(event(parcel.notice, parcel.sightings))
        return
    addresses = links(frame.config)
    answering = addresses.shown(number, now()) if addresses and notice.kind.to_customer else None
    message = composer(frame.config, shipped()).compose(parcel.notice, parcel.sightings, answering)
    if as_json:
        show_object(asdict(message))
        return
    click.echo(message.html if as_html else f"Subject: {message.subject}\n\n{message.text}")


@group.command()
@click.argument("customer")
@json_option
@with_database
async def test(frame: Frame, database: Database, *, customer: str, as_json: bool) -> None:
    """Send a customer a harmless notice, on all their channels, to see that it reaches them.

    It says that it is a test. `leakwatch notices show` tells whether it was accepted and confirmed.
    """
    engine = EmbeddedEngine(database)
    async with database.transaction() as tx:
        known = await registry.customer_named(tx, customer)
        if known is None or known.removed_at is not None:
            raise InputError(f"no customer is named {customer}", mend="see `leakwatch customers list`")
        if not known.channels:
            raise InputError(f"{customer} has no channel", mend="see `leakwatch customers add`")
        number = await announcer(frame.config, engine).test(tx, known.id)
    if as_json:
        show_object({"notice": number, "channels": [shown_channel(url) for url in known.channels]})
        return
    channels = ", ".join(map(shown_channel, known.channels))
    click.echo(f"notice {number} goes to {channels}: see `leakwatch notices show {number}`", err=True)


@group.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All that is held.")
@json_option
@with_database
async def release(frame: Frame, database: Database, *, numbers: tuple[int, ...], every: bool, as_json: bool) -> None:
    """Send what was held: by `hold`, by a source that is observed, or by the breaker."""
    _chosen(numbers, every=every)
    engine = EmbeddedEngine(database)
    async with database.transaction() as tx:
        await _are_held(tx, numbers)
        sent = await announcer(frame.config, engine).release(tx, None if every else numbers)
    _counted("released", sent, as_json=as_json)


@group.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--held", "every", is_flag=True, help="All that is held.")
@click.option("--reason", "why", required=True, help="Why: `notices show` tells it.")
@json_option
@with_database
async def drop(  # noqa: PLR0913 - its options
    frame: Frame, database: Database, *, numbers: tuple[int, ...], every: bool, why: str, as_json: bool
) -> None:
    """Never send notices that are held: their customers are not told. It stays in the ledger, with the reason."""
    _chosen(numbers, every=every, option="--held")
    engine, said = EmbeddedEngine(database), clean(Scanner(shipped()).redact(why), _WHY)
    async with database.transaction() as tx:
        await _are_held(tx, numbers)
        dropped = await announcer(frame.config, engine).drop(tx, None if every else numbers, said)
    _counted("dropped", dropped, as_json=as_json)


@group.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All that waits or was given up.")
@json_option
@with_database
async def retry(frame: Frame, database: Database, *, numbers: tuple[int, ...], every: bool, as_json: bool) -> None:
    """Try notices now that were given up, or that wait for their next try.

    One that has reached nobody also goes to the channels that its customer has been given since.
    """
    _chosen(numbers, every=every)
    engine = EmbeddedEngine(database)
    async with database.transaction() as tx:
        found = await notices.notices(tx, limit=None) if every else [await _one(tx, n) for n in numbers]
        tried = await announcer(frame.config, engine).retry(tx, found)
    _counted("tried again", tried, as_json=as_json)


def _counted(what: str, number: int, *, as_json: bool) -> None:
    if as_json:
        show_object({what.replace(" ", "_"): number})
    else:
        click.echo(f"{number} {what}", err=True)


async def _one(tx: Transaction, number: int) -> NoticeState:
    notice = await notices.one(tx, number)
    if notice is None:
        raise InputError(f"there is no notice {number}", mend="see `leakwatch notices list`")
    return notice


async def _are_held(tx: Transaction, numbers: Sequence[int]) -> None:
    """Raise InputError unless at least one of these notices is held; none named: all."""
    found = [await _one(tx, number) for number in numbers]
    if found and all(notice.held in (None, DROPPED) for notice in found):
        raise InputError("none of these is held", mend="see `leakwatch notices list --held`")


async def _due(tx: Transaction, database: Database, found: Sequence[NoticeState]) -> dict[str, datetime]:
    waiting = [delivery_key(d.id) for notice in found for d in notice.deliveries if d.state == PENDING]
    return await EmbeddedEngine(database).due(tx, waiting)


def _rows(notice: NoticeState, due: dict[str, datetime]) -> Iterator[dict[str, Any]]:
    about = {"notice": notice.id, "kind": notice.kind, "customer": notice.customer or "operator", "held": notice.held}
    for d in notice.deliveries or [None]:
        yield {
            **about,
            "channel": shown_channel(d.channel_url) if d else "nobody",
            "state": _state(d) if d else DROPPED if notice.held == DROPPED else HELD if notice.held else DEAD,
            "attempts": d.attempts if d else 0,
            "code": d.code if d else None,
            "reason": d.reason if d else None,
            "next_try": due.get(delivery_key(d.id)) if d else None,
            "reminders": notice.reminders_ended,
            "created_at": notice.created_at,
            "accepted_at": d.accepted_at if d else None,
        }


def _head(notice: NoticeState) -> dict[str, Any]:
    return {
        "notice": notice.id,
        "kind": notice.kind,
        "customer": notice.customer or "operator",
        "findings": notice.findings,
        "alarm": notice.alarm or None,
        "held": notice.held,
        "reminders": notice.reminders_ended or notice.reminders,
        "next_reminder": notice.remind_at,
        "created_at": notice.created_at,
    }


def _state(delivery: Delivery) -> str:
    return delivery.state if delivery.bounced is None else "bounced"


def _whole(
    notice: NoticeState,
    tries: Mapping[int, Sequence[Attempt]],
    returned: Mapping[int, Sequence[Bounce]],
    given: Sequence[Given],
) -> dict[str, Any]:
    """Return a notice for a program; no channel's address but a mail's is shown."""
    deliveries = [
        {
            **asdict(d),
            "channel_url": shown_channel(d.channel_url),
            "tries": [asdict(t) for t in tries.get(d.id, [])],
            "bounces": [asdict(b) for b in returned.get(d.id, [])],
        }
        for d in notice.deliveries
    ]
    return {**asdict(notice), "deliveries": deliveries, "answers": [asdict(g) for g in given]}


def _chosen(numbers: Sequence[int], *, every: bool, option: str = "--all") -> None:
    if bool(numbers) == every:
        raise InputError("which notices?", mend=f"name their numbers, or say {option}")
