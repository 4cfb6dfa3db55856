"""The places we poll: when each is due, from where it goes on, and how it fares."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, case, func, literal, or_, select, update

from leakwatch.errors import Blocked, Gone
from leakwatch.store import settings
from leakwatch.store.database import Transaction
from leakwatch.store.tables import Instant, source, source_error

GAP: Final = "gap"  # the reason word for documents that were missed
_AWAY: Final = 5  # intervals without a poll after which what comes says nothing of the source's own habits
_FADING: Final = 0.98  # of the longest lull, at each news
_SHARE: Final = 0.1  # of a new latency in the smoothed one
_WATCHED: Final = "watched"  # the setting: a JSON list
_LONGEST_WAIT: Final = timedelta(days=2)  # a site may ask for a day
# Statements of every poll are built once: building one takes as long as running it.
_MINE: Final = source.c.name == bindparam("source_name")  # parameters named as columns are are an UPDATE's values
_START: Final = select(source.c.checkpoint, source.c.interval).where(_MINE)
_INTERVAL: Final = select(source.c.interval).where(_MINE)
_DUE: Final = or_(source.c.next_poll_at <= bindparam("at"), source.c.next_poll_at > bindparam("furthest"))
_CLAIM: Final = update(source).where(_MINE, _DUE).returning(source.c.next_poll_at, source.c.waiting)
_WAS: Final = select(source.c.alarmed_at, source.c.polled_at, source.c.news_at, source.c.lull).where(_MINE)
_POLLED: Final = (
    update(source)
    .where(_MINE)
    .values(
        polls=source.c.polls + 1,
        bytes=source.c.bytes + bindparam("wire"),
        news=source.c.news + bindparam("new"),
        gaps=source.c.gaps + bindparam("gap"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who polls: true for exactly one of those that ask in the same interval."""

    claimed: bool
    next_poll_at: datetime
    waiting: int = 0  # jobs that kept it from being polled the last time


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a poll begins with."""

    checkpoint: bytes | None  # sealed; None before the first
    interval: float | None  # seconds between two polls, as learnt


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
    bytes: int  # of listings
    interval: float | None  # seconds between two polls, as learnt
    news_at: datetime | None  # the last poll that found something new
    news: int  # polls that did
    lull: float  # seconds: the longest time without news; it fades
    latency: float | None  # seconds from publication to scan, smoothed
    gaps: int  # polls that shared nothing with the one before
    gap_at: datetime | None
    left: int  # what the last poll left to the next
    missed: int  # documents for which there was no room, that were too large, or that the site does not show
    missed_at: datetime | None
    quota: int | None  # requests left, as far as the site says
    canary_at: datetime | None  # when its canary was last looked for
    canary: str | None  # why it was not found
    fetched: int  # listed documents that were had
    gone: int  # that were not there, looked at twice
    refused: int  # that the site kept from us, as often
    missing: int  # of both, since one was had
    missing_reason: str | None  # why the last of these was: gone, blocked
    waiting: int  # jobs of its documents that keep it from being polled; 0: it is polled
    lfs: int  # files that its repositories point at and do not hold
    submodules: int  # that they point at
    pushed_at: datetime | None  # when the site last told of news by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a poll that worked says of its source."""

    news: int  # documents that were not known
    gap: bool
    left: int
    quota: int | None
    wire: int  # bytes that came
    interval: float  # seconds until the next poll


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """How long a source has failed, and whether the operator knows."""

    failures: int  # in a row
    told: bool
    succeeded_at: datetime | None  # when it last worked


async def ensure(tx: Transaction, names: Iterable[str], now: datetime) -> None:
    """Write down that these sources are watched, and no others. One without a row gets one: it is due at once."""
    every = sorted(set(names))
    await settings.put(tx, _WATCHED, json.dumps(every))
    rows = [{"name": name, "next_poll_at": now} for name in every]
    if rows:
        await tx.execute(tx.insert(source).on_conflict_do_nothing(), rows)


async def watched(tx: Transaction) -> frozenset[str]:
    """Return the names of the sources that are watched; rows stay of those that were."""
    return frozenset(json.loads(await settings.get(tx, _WATCHED) or "[]"))


async def claim(tx: Transaction, name: str, every: float, now: datetime) -> Claim:
    """Take the poll that is due, if one is: the next is due `every` seconds from now.

    One that lies further ahead than any wait could have put it was set by a clock that was wrong: it is due as well.
    """
    following = now + timedelta(seconds=every)
    facts = {"source_name": name, "at": now, "furthest": following + _LONGEST_WAIT, "next_poll_at": following}
    taken = (await tx.execute(_CLAIM, facts)).first()
    if taken is not None:
        return Claim(claimed=True, next_poll_at=taken.next_poll_at, waiting=taken.waiting)
    next_poll_at = await tx.execute(select(source.c.next_poll_at).where(source.c.name == name))
    return Claim(claimed=False, next_poll_at=next_poll_at.scalar_one())


async def interval(tx: Transaction, name: str) -> float | None:
    """Return the seconds between two polls that were learnt, or None."""
    found: float | None = (await tx.execute(_INTERVAL, {"source_name": name})).scalar()
    return found


async def postpone(tx: Transaction, name: str, next_poll_at: datetime) -> None:
    """See to it that a source is not polled before that moment; a later one stays."""
    at = literal(next_poll_at, Instant())
    later = case((source.c.next_poll_at < at, at), else_=source.c.next_poll_at)
    await tx.execute(update(source).where(source.c.name == name).values(next_poll_at=later))


async def start(tx: Transaction, name: str) -> Start:
    """Return what the next poll of a source begins with."""
    row = (await tx.execute(_START, {"source_name": name})).one_or_none()
    return Start(checkpoint=None, interval=None) if row is None else Start(checkpoint=row[0], interval=row[1])


async def polled(
    tx: Transaction, name: str, *, checkpoint: bytes | None, now: datetime, seen: Seen | None = None
) -> bool:
    """Write down a poll that worked, and return whether the operator knows of failures that are now over.

    A checkpoint of None leaves the one that is there.
    """
    was = (await tx.execute(_WAS, {"source_name": name})).one_or_none()
    worked = {"polled_at": now, "succeeded_at": now, "wire": 0, "new": 0, "gap": 0}
    cleared = {"failures": 0, "reason": None, "detail": None, "alarmed_at": None}
    moved = {} if checkpoint is None else {"checkpoint": checkpoint}
    learnt = {} if seen is None or was is None else _learnt(seen, was.polled_at, was.news_at, was.lull, now)
    await tx.execute(_POLLED, {"source_name": name, **worked, **cleared, **moved, **learnt})
    return was is not None and was.alarmed_at is not None


def _learnt(
    seen: Seen, polled_at: datetime | None, news_at: datetime | None, lull: float, now: datetime
) -> dict[str, Any]:
    """What a poll changes of what is known of its source's habits."""
    changed: dict[str, Any] = {
        "interval": seen.interval,
        "left": seen.left,
        "wire": seen.wire,
        "quota": seen.quota,
    }
    if seen.gap:
        changed |= {"gap": 1, "gap_at": now}
    if seen.news:
        changed |= {"new": 1, "news_at": now}
        # Time in which nobody looked says nothing of the source.
        is_watched = polled_at is not None and (now - polled_at).total_seconds() <= _AWAY * seen.interval
        if news_at is not None and is_watched:
            changed["lull"] = max((now - news_at).total_seconds(), lull * _FADING)
    return changed


async def failed(tx: Transaction, name: str, *, reason: str, detail: str, now: datetime) -> Failing:
    """Write down a poll that failed. `postpone` says when the next is due, `alarmed` that the operator was told."""
    failure = {"polled_at": now, "reason": reason, "detail": detail}
    counted = {"polls": source.c.polls + 1, "failures": source.c.failures + 1}
    changed = update(source).where(source.c.name == name).values(**failure, **counted)
    columns = source.c.failures, source.c.alarmed_at, source.c.succeeded_at
    row = (await tx.execute(changed.returning(*columns))).one()
    error = tx.insert(source_error).values(source=name, reason=reason, count=1, last_at=now)
    again = {"count": source_error.c.count + 1, "last_at": now}
    await tx.execute(error.on_conflict_do_update(index_elements=["source", "reason"], set_=again))
    return Failing(failures=row.failures, told=row.alarmed_at is not None, succeeded_at=row.succeeded_at)


async def alarmed(tx: Transaction, name: str, at: datetime | None) -> None:
    """Write down since when the operator knows that a source fails; None: knows no more."""
    await tx.execute(update(source).where(source.c.name == name).values(alarmed_at=at))


async def scanned(tx: Transaction, name: str, count: int, latency: float | None = None) -> None:
    """Count documents that were scanned, and how many seconds after their publication."""
    changed: dict[str, Any] = {"documents": source.c.documents + count}
    if latency is not None:
        smoothed = source.c.latency * (1 - _SHARE) + latency * _SHARE
        changed["latency"] = func.coalesce(smoothed, latency)
    await tx.execute(update(source).where(source.c.name == name).values(**changed))


async def missed(tx: Transaction, name: str, count: int, at: datetime) -> None:
    """Count documents that are known to exist and will not be looked at."""
    counted = {"missed": source.c.missed + count, "missed_at": at}
    await tx.execute(update(source).where(source.c.name == name).values(**counted))


async def pointed(tx: Transaction, name: str, *, lfs: int, submodules: int) -> None:
    """Count what repositories point at, and nobody follows."""
    counted = {"lfs": source.c.lfs + lfs, "submodules": source.c.submodules + submodules}
    await tx.execute(update(source).where(source.c.name == name).values(**counted))


async def pushed(tx: Transaction, name: str, at: datetime) -> None:
    """Write down that a site has told of news."""
    await tx.execute(update(source).where(source.c.name == name).values(pushed_at=at))


async def fetched(tx: Transaction, name: str, *, had: int, gone: int, refused: int) -> int:
    """Count what came of documents that were listed; return how many were missing since one was last had."""
    missing = gone + refused if had else source.c.missing + gone + refused
    counts = {"fetched": source.c.fetched + had, "gone": source.c.gone + gone, "refused": source.c.refused + refused}
    why = {"missing_reason": Blocked.reason if refused else Gone.reason} if gone or refused else {}
    changed = update(source).where(source.c.name == name).values(**counts, **why, missing=missing)
    return int((await tx.execute(changed.returning(source.c.missing))).scalar() or 0)


async def behind(tx: Transaction, name: str, waiting: int) -> None:
    """Write down how many jobs of its documents keep a source from being polled; 0: it is polled."""
    await tx.execute(update(source).where(source.c.name == name).values(waiting=waiting))


async def canary(tx: Transaction, name: str, *, missing: str | None, now: datetime) -> None:
    """Write down that a source's canary was looked for: found, or why not."""
    await tx.execute(update(source).where(source.c.name == name).values(canary_at=now, canary=missing))


async def overview(tx: Transaction) -> list[SourceState]:
    """Return how each source fares, by name."""
    columns = [source.c[field] for field in SourceState.__dataclass_fields__]
    rows = await tx.execute(select(*columns).order_by(source.c.name))
    return [SourceState(**row) for row in rows.mappings()]


async def errors(tx: Transaction, name: str) -> dict[str, int]:
    """Return how often a source's polls have failed, by reason, the most frequent first."""
    query = select(source_error.c.reason, source_error.c["count"]).where(source_error.c.source == name)
    rows = (await tx.execute(query.order_by(source_error.c["count"].desc(), source_error.c.reason))).all()
    return {row.reason: int(row[1]) for row in rows}
