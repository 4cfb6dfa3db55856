"""What the operator is told once a day: what happened since the last time, and how things are."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, func, or_, select

from leakwatch.errors import CanaryLost
from leakwatch.model import Answer, NoticeKind, Summary
from leakwatch.store import sources
from leakwatch.store.database import Transaction
from leakwatch.store.notices import DEAD, IS_HELD, PENDING
from leakwatch.store.reminders import STOPPED
from leakwatch.store.tables import answer, attempt, bounce, delivery, finding, notice, notice_finding, sighting, source

_DAY: Final = timedelta(days=1)
_SOURCES: Final = 20  # that are named


async def read(tx: Transaction, until: datetime) -> Summary:
    """Return what happened from the summary before that moment, or a day before it, and how things are now."""
    since = await _last(tx, until) or until - _DAY
    to_customers = delivery.join(notice)
    theirs = notice.c.customer_id.is_not(None)
    return Summary(
        since=since,
        until=until,
        found=await _count(tx, finding, _within(finding.c.first_seen_at, since, until)),
        places=await _count(tx, sighting, _within(sighting.c.first_seen_at, since, until)),
        sent=await _count(tx, to_customers, theirs, _within(delivery.c.accepted_at, since, until)),
        answers=await _answers(tx, since, until),
        bounced=await _count(tx, bounce, bounce.c.action == "failed", _within(bounce.c.at, since, until)),
        open=await _count(tx, finding, finding.c.closed_at.is_(None)),
        unanswered=await _count(tx, finding, finding.c.closed_at.is_(None), finding.c.answer.is_(None)),
        stopped=await _stopped(tx),
        held=await _count(tx, notice, IS_HELD),
        waiting=await _count(tx, delivery, delivery.c.state == PENDING),
        dead=await _count(tx, delivery, delivery.c.state == DEAD),
        failing=await _failing(tx),
        doubtful=await _doubtful(tx, since),
    )


async def outcomes(tx: Transaction, since: datetime) -> tuple[int, int, str]:
    """Return how many tries were made since, how many were accepted, and the commonest reason of the others."""
    query = select(attempt.c.reason, func.count()).where(attempt.c.at >= since).group_by(attempt.c.reason)
    counts: dict[str | None, int] = dict((await tx.execute(query)).all())
    accepted = counts.pop(None, 0)
    reasons = sorted(counts, key=lambda reason: -counts[reason])
    return accepted + sum(counts.values()), accepted, reasons[0] or "" if reasons else ""


async def _last(tx: Transaction, before: datetime) -> datetime | None:
    earlier = notice.c.kind == NoticeKind.SUMMARY.value, notice.c.created_at < before
    at: datetime | None = (await tx.execute(select(func.max(notice.c.created_at)).where(*earlier))).scalar()
    return at


async def _count(tx: Transaction, what: FromClause, *wanted: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(what).where(*wanted)
    count: int = (await tx.execute(query)).scalar_one()
    return count


async def _answers(tx: Transaction, since: datetime, until: datetime) -> dict[Answer, int]:
    query = select(answer.c.word, func.count()).where(_within(answer.c.at, since, until)).group_by(answer.c.word)
    return {Answer(word): count for word, count in await tx.execute(query)}


async def _stopped(tx: Transaction) -> int:
    """Count the notices that somebody wanted no more reminders of, and nobody has answered whole."""
    silent = select(finding.c.id).where(finding.c.closed_at.is_(None), finding.c.answer.is_(None))
    about = select(notice_finding.c.notice_id).where(notice_finding.c.finding_id.in_(silent))
    return await _count(tx, notice, notice.c.reminders_ended == STOPPED, notice.c.id.in_(about))


async def _failing(tx: Transaction) -> tuple[tuple[str, str], ...]:
    query = select(source.c.name, source.c.reason).where(source.c.failures > 0)
    return await _watched(tx, query)


async def _doubtful(tx: Transaction, since: datetime) -> tuple[tuple[str, str], ...]:
    blind, gap = source.c.canary.is_not(None), source.c.gap_at >= since
    query = select(source.c.name, case((blind, CanaryLost.reason), else_=sources.GAP)).where(source.c.failures == 0)
    return await _watched(tx, query.where(or_(blind, gap)))


async def _watched(tx: Transaction, query: Select[Any]) -> tuple[tuple[str, str], ...]:
    """Return the first of these sources that are still watched, each with its reason."""
    watched = await sources.watched(tx)
    rows = await tx.execute(query.order_by(source.c.name))
    return tuple(islice(((name, reason or "") for name, reason in rows if name in watched), _SOURCES))


def _within(column: Any, since: datetime, until: datetime) -> ColumnElement[bool]:
    return and_(column >= since, column < until)
