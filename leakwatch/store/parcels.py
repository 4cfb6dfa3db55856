"""All that it takes to send what is owed, read in one go for as many deliveries as go out together."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, Select, bindparam, func, or_, select

from leakwatch.model import Exposure, Notice, NoticeKind, Summary
from leakwatch.store import findings, summary
from leakwatch.store.database import Transaction
from leakwatch.store.notices import ACCEPTED, PENDING
from leakwatch.store.tables import (
    channel,
    customer,
    delivery,
    finding,
    notice,
    notice_finding,
    registered_key,
    sighting,
)

PLACES: Final = 20  # of one finding that a notice names, at most
_OF_NOTICE: Final = (notice.c.kind, notice.c.alarm, notice.c.detail, notice.c.created_at, notice.c.customer_id)


def _beginnings() -> Select[Any]:
    """The query for `_threads`, which is made once: it takes longer to make than to run."""
    own, other, first = delivery.alias("own"), notice_finding.alias("other"), delivery.alias("first")
    began: Select[Any] = (
        select(own.c.id.label("delivery_id"), func.min(first.c.id).label("first_id"))
        .join_from(own, notice_finding, notice_finding.c.notice_id == own.c.notice_id)
        .join(other, other.c.finding_id == notice_finding.c.finding_id)
        .join(first, (first.c.notice_id == other.c.notice_id) & (first.c.channel_id == own.c.channel_id))
        .where(own.c.id.in_(bindparam("deliveries", expanding=True)), first.c.state.in_((PENDING, ACCEPTED)))
        .group_by(own.c.id)
    )
    threads = began.subquery()
    query = select(threads.c.delivery_id, delivery.c.message_id).join_from(
        threads, delivery, delivery.c.id == threads.c.first_id
    )
    return query.where(threads.c.first_id != threads.c.delivery_id)


_THREADS: Final = _beginnings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """All that it takes to send one delivery."""

    delivery_id: int
    state: str  # only what is pending is sent
    channel_url: str
    message_id: str
    thread: str | None  # the Message-ID that this one answers: the first about one of its findings on this channel
    attempts: int  # so far
    retired: bool  # nobody is told on this channel any more
    notice: Notice
    sightings: dict[int, int]  # by finding: how many in all, where the notice names the newest `PLACES`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a notice tells of."""

    exposures: tuple[Exposure, ...]
    sightings: dict[int, int]
    owners: str  # of what it tells the operator of
    summary: Summary | None


async def parcels(tx: Transaction, delivery_ids: Collection[int], *, operator_locale: str = "en") -> dict[int, Parcel]:
    """Return all that it takes to send these deliveries, by their ids; what is gone is left out."""
    columns = [delivery.c[name] for name in ("id", "state", "message_id", "attempts", "notice_id", "channel_id")]
    query = select(*columns, channel.c.url, channel.c.retired_at, *_OF_NOTICE, customer.c.name, customer.c.locale)
    query = query.join_from(delivery, channel).join(notice).outerjoin(customer).where(delivery.c.id.in_(delivery_ids))
    rows = (await tx.execute(query)).mappings().all()
    what = await _told(tx, rows)
    threads = await _threads(tx, [row["id"] for row in rows])
    return {
        row["id"]: Parcel(
            delivery_id=row["id"],
            state=row["state"],
            channel_url=row["url"],
            message_id=row["message_id"],
            thread=threads.get(row["id"]),
            attempts=row["attempts"],
            retired=row["retired_at"] is not None,
            notice=_notice(row, what[row["notice_id"]], operator_locale),
            sightings=what[row["notice_id"]].sightings,
        )
        for row in rows
    }


async def parcel(tx: Transaction, delivery_id: int, *, operator_locale: str = "en") -> Parcel | None:
    """Return all that it takes to send a delivery."""
    return (await parcels(tx, [delivery_id], operator_locale=operator_locale)).get(delivery_id)


async def told(tx: Transaction, notice_id: int, *, operator_locale: str = "en") -> tuple[Notice, dict[int, int]] | None:
    """Return a notice as its recipients read it, and how many places each of its findings has."""
    query = select(notice.c.id.label("notice_id"), *_OF_NOTICE, customer.c.name, customer.c.locale)
    query = query.outerjoin_from(notice, customer).where(notice.c.id == notice_id)
    row = (await tx.execute(query)).mappings().first()
    if row is None:
        return None
    what = (await _told(tx, [row]))[notice_id]
    return _notice(row, what, operator_locale), what.sightings


def _notice(row: RowMapping, what: _Told, operator_locale: str) -> Notice:
    return Notice(
        id=row["notice_id"],
        kind=NoticeKind(row["kind"]),
        customer=row["name"] or what.owners,
        locale=row["locale"] or operator_locale,
        created_at=row["created_at"],
        exposures=what.exposures,
        alarm=row["alarm"] or "",
        detail=row["detail"] or "",
        summary=what.summary,
    )


async def _told(tx: Transaction, rows: Collection[RowMapping]) -> dict[int, _Told]:
    """Return what each notice tells of: its findings in order, those of a digest with their new places alone."""
    notice_ids = {row["notice_id"] for row in rows}
    links = select(notice_finding).where(notice_finding.c.notice_id.in_(notice_ids))
    since: dict[int, dict[int, datetime | None]] = {number: {} for number in notice_ids}
    for row in (await tx.execute(links.order_by(notice_finding.c.finding_id))).mappings():
        since[row["notice_id"]][row["finding_id"]] = row["since"]
    every = {number for links in since.values() for number in links}
    found = {e.finding_id: e for e in await findings.exposures(tx, every, places=PLACES)} if every else {}
    counts = await _sightings(tx, notice_ids) if every else {}
    owners = await _owners(tx, {row["notice_id"] for row in rows if row["customer_id"] is None})
    days = {row["notice_id"]: row["created_at"] for row in rows if row["kind"] == NoticeKind.SUMMARY}
    return {
        number: _Told(
            exposures=tuple(_newer(found[finding_id], from_) for finding_id, from_ in links.items()),
            sightings=counts.get(number, {}),
            owners=", ".join(owners.get(number, ())),
            summary=await summary.read(tx, days[number]) if number in days else None,
        )
        for number, links in since.items()
    }


def _newer(exposure: Exposure, since: datetime | None) -> Exposure:
    if since is None:
        return exposure
    return replace(exposure, places=tuple(p for p in exposure.places if p.first_seen_at >= since))


async def _sightings(tx: Transaction, notice_ids: Collection[int]) -> dict[int, dict[int, int]]:
    """Count the places that each notice tells of, by finding."""
    link = notice_finding.c
    query = select(link.notice_id, link.finding_id, func.count()).group_by(link.notice_id, link.finding_id)
    query = query.join_from(notice_finding, sighting, sighting.c.finding_id == link.finding_id)
    wanted = link.notice_id.in_(notice_ids), or_(link.since.is_(None), sighting.c.first_seen_at >= link.since)
    counted: dict[int, dict[int, int]] = defaultdict(dict)
    for notice_id, finding_id, count in await tx.execute(query.where(*wanted)):
        counted[notice_id][finding_id] = count
    return counted


async def _threads(tx: Transaction, delivery_ids: Collection[int]) -> dict[int, str]:
    """Return the Message-ID that began the thread of each delivery, unless it is the delivery's own."""
    return dict((await tx.execute(_THREADS, {"deliveries": list(delivery_ids)})).all())


async def _owners(tx: Transaction, notice_ids: Collection[int]) -> dict[int, list[str]]:
    """Return the names of the customers whose findings the operator's notices tell of."""
    names: dict[int, list[str]] = defaultdict(list)
    if not notice_ids:
        return names
    query = select(notice_finding.c.notice_id, customer.c.name).distinct()
    query = query.join_from(notice_finding, finding).join(registered_key).join(customer)
    for notice_id, name in await tx.execute(
        query.where(notice_finding.c.notice_id.in_(notice_ids)).order_by(customer.c.name)
    ):
        names[notice_id].append(name)
    return names
