"""The places we poll: when each is due, from where it goes on, and how it fares."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, literal, or_, select, update

from leakwatch.store.database import Transaction
from leakwatch.store.tables import Instant, source

_LONGEST_WAIT: Final = timedelta(days=2)  # a site may ask for a day


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who polls: true for exactly one of those that ask in the same interval."""

    claimed: bool
    next_poll_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How a source fares."""

    name: str
    next_poll_at: datetime
    polled_at: datetime | None  # the last poll, whatever came of it
    succeeded_at: datetime | None
    failures: int  # in a row
    reason: str | None  # of the last failure; None when the last poll worked
    detail: str | None
    alarmed_at: datetime | None
    polls: int
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """How long a source has failed, and whether the operator knows."""

    failures: int  # in a row
    told: bool


async def ensure(tx: Transaction, names: Iterable[str], now: datetime) -> None:
    """Make a row for each source that has none; a new one is due at once."""
    rows = [{"name": name, "next_poll_at": now} for name in sorted(set(names))]
    if rows:
        await tx.execute(tx.insert(source).on_conflict_do_nothing(), rows)


async def claim(tx: Transaction, name: str, every: float, now: datetime) -> Claim:
    """Take the poll that is due, if one is: the next is due `every` seconds from now.

    One that lies further ahead than any wait could have put it was set by a clock that was wrong: it is due as well.
    """
    furthest = now + timedelta(seconds=every) + _LONGEST_WAIT
    due = source.c.name == name, or_(source.c.next_poll_at <= now, source.c.next_poll_at > furthest)
    moved = update(source).where(*due).values(next_poll_at=now + timedelta(seconds=every))
    taken = (await tx.execute(moved.returning(source.c.next_poll_at))).scalar()
    if taken is not None:
        return Claim(claimed=True, next_poll_at=taken)
    next_poll_at = await tx.execute(select(source.c.next_poll_at).where(source.c.name == name))
    return Claim(claimed=False, next_poll_at=next_poll_at.scalar_one())


async def postpone(tx: Transaction, name: str, next_poll_at: datetime) -> None:
    """See to it that a source is not polled before that moment; a later one stays."""
    at = literal(next_poll_at, Instant())
    later = case((source.c.next_poll_at < at, at), else_=source.c.next_poll_at)
    await tx.execute(update(source).where(source.c.name == name).values(next_poll_at=later))


async def checkpoint(tx: Transaction, name: str) -> bytes | None:
    """Return where the next poll starts, sealed; None before the first."""
    value: bytes | None = (await tx.execute(select(source.c.checkpoint).where(source.c.name == name))).scalar()
    return value


async def polled(tx: Transaction, name: str, *, checkpoint: bytes | None, now: datetime) -> bool:
    """Write down a poll that worked, and return whether the operator knows of failures that are now over.

    A checkpoint of None leaves the one that is there.
    """
    was = await tx.execute(select(source.c.alarmed_at).where(source.c.name == name))
    alarmed_at = was.scalar()
    worked = {"polled_at": now, "succeeded_at": now, "polls": source.c.polls + 1}
    cleared = {"failures": 0, "reason": None, "detail": None, "alarmed_at": None}
    moved = {} if checkpoint is None else {"checkpoint": checkpoint}
    await tx.execute(update(source).where(source.c.name == name).values(**worked, **cleared, **moved))
    return alarmed_at is not None


async def failed(tx: Transaction, name: str, *, reason: str, detail: str, now: datetime) -> Failing:
    """Write down a poll that failed. `postpone` says when the next is due, `alarmed` that the operator was told."""
    failure = {"polled_at": now, "reason": reason, "detail": detail}
    counted = {"polls": source.c.polls + 1, "failures": source.c.failures + 1}
    changed = update(source).where(source.c.name == name).values(**failure, **counted)
    row = (await tx.execute(changed.returning(source.c.failures, source.c.alarmed_at))).one()
    return Failing(failures=row.failures, told=row.alarmed_at is not None)


async def alarmed(tx: Transaction, name: str, at: datetime | None) -> None:
    """Write down since when the operator knows that a source fails; None: knows no more."""
    await tx.execute(update(source).where(source.c.name == name).values(alarmed_at=at))


async def scanned(tx: Transaction, name: str, count: int) -> None:
    """Count documents that were scanned."""
    more = source.c.documents + count
    await tx.execute(update(source).where(source.c.name == name).values(documents=more))


async def overview(tx: Transaction) -> list[SourceState]:
    """Return how each source fares, by name."""
    columns = [source.c[field] for field in SourceState.__dataclass_fields__]
    rows = await tx.execute(select(*columns).order_by(source.c.name))
    return [SourceState(**row) for row in rows.mappings()]
