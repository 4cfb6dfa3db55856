"""Known findings that were seen in new places, of which their owners hear in their next digest."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select

from leakwatch.model import Answer, NoticeKind
from leakwatch.store.database import Transaction, batches
from leakwatch.store.tables import finding, notice, notice_finding, registered_key, untold

_DONE: Final = (Answer.REVOKED, Answer.FALSE_ALARM)  # who has said so hears no more of that key
_TELLING: Final = (NoticeKind.EXPOSURE, NoticeKind.DIGEST)


async def note(tx: Transaction, since: Mapping[int, datetime], *, interval: timedelta, now: datetime) -> None:
    """Have new places of findings told in their owners' next digests, `interval` after what these were told last.

    `since` says, by finding, when the first of the new places was seen.
    """
    owners = await _owners(tx, since.keys())
    due = await _due(tx, set(owners.values()), interval, now)
    rows = [{"finding_id": n, "since": since[n], "due_at": due[owner]} for n, owner in sorted(owners.items())]
    if rows:
        await tx.execute(tx.insert(untold).on_conflict_do_nothing(index_elements=["finding_id"]), rows)


async def due(tx: Transaction, now: datetime, *, limit: int) -> dict[int, dict[int, datetime]]:
    """Return what is to be told now: by customer, all that they have not heard of, with since when.

    What need not be told is forgotten: of findings that are closed or answered for good, and of those whose owner has
    not been told of the finding itself, which will name all places once it is released.
    """
    mine = registered_key.c.customer_id
    owed = select(untold, mine).join_from(untold, finding).join(registered_key)
    customers = owed.with_only_columns(mine).where(untold.c.due_at <= now).distinct().order_by(mine).limit(limit)
    rows = (await tx.execute(owed.where(mine.in_(customers)))).mappings().all()
    wanted = await _wanted(tx, {row["finding_id"] for row in rows})
    told: dict[int, dict[int, datetime]] = defaultdict(dict)
    for row in rows:
        if row["finding_id"] in wanted:
            told[row["customer_id"]][row["finding_id"]] = row["since"]
    for batch in batches([row["finding_id"] for row in rows]):
        await tx.execute(delete(untold).where(untold.c.finding_id.in_(batch)))
    return dict(told)


async def _owners(tx: Transaction, finding_ids: Collection[int]) -> dict[int, int]:
    """Return the customers who want to hear more of these findings, by finding."""
    owners: dict[int, int] = {}
    query = select(finding.c.id, registered_key.c.customer_id).join_from(finding, registered_key)
    for batch in batches(finding_ids):
        owners |= dict((await tx.execute(query.where(finding.c.id.in_(batch), _is_wanted()))).all())
    return owners


async def _due(
    tx: Transaction, customer_ids: Collection[int], interval: timedelta, now: datetime
) -> dict[int, datetime]:
    """Return when each customer's next digest is: when the one is that waits, or one interval after the last word."""
    due: dict[int, datetime] = {}
    mine = registered_key.c.customer_id
    waiting = select(mine, func.min(untold.c.due_at)).join_from(untold, finding).join(registered_key).group_by(mine)
    last: Select[tuple[int, datetime]] = (
        select(notice.c.customer_id, func.max(notice.c.created_at))
        .where(notice.c.kind.in_(_TELLING))
        .group_by(notice.c.customer_id)
    )
    for batch in batches(customer_ids):
        told = {owner: at + interval for owner, at in await tx.execute(last.where(notice.c.customer_id.in_(batch)))}
        due |= {owner: max(now, told.get(owner, now)) for owner in batch}
        due |= dict((await tx.execute(waiting.where(mine.in_(batch)))).all())
    return due


async def _wanted(tx: Transaction, finding_ids: Collection[int]) -> set[int]:
    """Return those of which their owners know and want to know more."""
    wanted: set[int] = set()
    told = select(notice_finding.c.finding_id).join_from(notice_finding, notice)
    told = told.where(notice.c.held.is_(None), notice.c.kind.in_(_TELLING))
    for batch in batches(finding_ids):
        query = select(finding.c.id).where(finding.c.id.in_(batch), finding.c.id.in_(told), _is_wanted())
        wanted.update((await tx.execute(query)).scalars())
    return wanted


def _is_wanted() -> ColumnElement[bool]:
    return and_(finding.c.closed_at.is_(None), or_(finding.c.answer.is_(None), finding.c.answer.not_in(_DONE)))
