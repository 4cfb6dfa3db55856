"""When customers who have not answered are asked again, and when no more.

A reminder is owed for a notice of an exposed key as long as one of its findings is neither answered nor closed. The
first one counts from the moment at which a mail server, or another peer, took the notice.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, update

from leakwatch.model import NoticeKind
from leakwatch.store.database import Transaction, batches
from leakwatch.store.notices import PENDING, WITHDRAWN
from leakwatch.store.tables import Instant, delivery, finding, notice, notice_finding

ANSWERED: Final = "answered"  # all its findings are answered, or closed
STOPPED: Final = "stopped"  # its reader wants no more
EXHAUSTED: Final = "exhausted"  # there was no answer to any
_START: Final = (
    update(notice)
    .where(
        notice.c.id == select(delivery.c.notice_id).where(delivery.c.id == bindparam("number")).scalar_subquery(),
        notice.c.kind == NoticeKind.EXPOSURE.value,
        notice.c.reminders == 0,
        notice.c.remind_at.is_(None),
        notice.c.reminders_ended.is_(None),
    )
    .values(remind_at=bindparam("first", type_=Instant()))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A notice whose customer is to be asked again."""

    notice_id: int
    customer_id: int
    reminders: int  # so far
    findings: tuple[int, ...]  # those neither answered nor closed; none: there is nothing left to ask


async def start(tx: Transaction, first_at: Mapping[int, datetime]) -> None:
    """Remind from a moment on of what deliveries told, by their ids, unless that has begun or has ended."""
    await tx.execute(_START, [{"number": number, "first": at} for number, at in sorted(first_at.items())])


async def due(tx: Transaction, now: datetime, *, limit: int) -> list[Due]:
    """Return whom to ask again now, the longest due first."""
    columns = notice.c.id, notice.c.customer_id, notice.c.reminders
    query = select(*columns).where(notice.c.remind_at <= now).order_by(notice.c.remind_at, notice.c.id).limit(limit)
    rows = (await tx.execute(query)).all()
    left: dict[int, list[int]] = defaultdict(list)
    for batch in batches([row[0] for row in rows]):
        links = select(notice_finding.c.notice_id, notice_finding.c.finding_id).join_from(notice_finding, finding)
        silent = finding.c.answer.is_(None), finding.c.closed_at.is_(None)
        for number, finding_id in await tx.execute(links.where(notice_finding.c.notice_id.in_(batch), *silent)):
            left[number].append(finding_id)
    return [
        Due(notice_id=number, customer_id=owner, reminders=sent, findings=tuple(left[number]))
        for number, owner, sent in rows
    ]


async def reminded(tx: Transaction, notice_id: int, *, again_at: datetime) -> None:
    """Write down that a reminder went out, and when the next one is due, or it is given up."""
    changed = {"reminders": notice.c.reminders + 1, "remind_at": again_at}
    await tx.execute(update(notice).where(notice.c.id == notice_id).values(changed))


async def postpone(tx: Transaction, notice_id: int, at: datetime) -> None:
    """Look at a notice again later."""
    await tx.execute(update(notice).where(notice.c.id == notice_id).values(remind_at=at))


async def end(tx: Transaction, notice_ids: Collection[int], why: str) -> None:
    """Remind no more of these notices."""
    for batch in batches(notice_ids):
        await tx.execute(update(notice).where(notice.c.id.in_(batch)).values(remind_at=None, reminders_ended=why))


async def stop(tx: Transaction, notice_id: int) -> int:
    """Remind no more of what a notice tells of, nor send the reminders that wait; return of how many notices."""
    about = select(notice_finding.c.finding_id).where(notice_finding.c.notice_id == notice_id)
    same = select(notice_finding.c.notice_id).where(notice_finding.c.finding_id.in_(about))
    alive = notice.c.kind == NoticeKind.EXPOSURE.value, notice.c.id.in_(same), notice.c.reminders_ended.is_(None)
    ended = await tx.execute(update(notice).where(*alive).values(remind_at=None, reminders_ended=STOPPED))
    reminders = select(notice.c.id).where(notice.c.kind == NoticeKind.REMINDER.value, notice.c.id.in_(same))
    waiting = delivery.c.notice_id.in_(reminders), delivery.c.state == PENDING
    await tx.execute(update(delivery).where(*waiting).values(state=WITHDRAWN))
    return ended.rowcount
