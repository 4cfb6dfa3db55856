"""Mail that came back."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, insert, select

from leakwatch.store.database import Transaction, batches
from leakwatch.store.tables import bounce, channel, customer, delivery, notice

FAILED: Final = "failed"
_MOST: Final = 20  # of one delivery that are kept: a report may be forged, and sent without end


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """One report that a mail did not arrive."""

    at: datetime
    action: str  # failed, or delayed
    status: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """Whose mail it was."""

    notice_id: int
    customer: str | None  # None: the operator's
    channel_url: str


async def add(  # noqa: PLR0913 - a report's own facts
    tx: Transaction, delivery_id: int, *, action: str, status: str, detail: str, now: datetime
) -> Returned | None:
    """Write down a report, and return whose mail it was; None: it is known, or the delivery is gone."""
    query = select(notice.c.id, customer.c.name, channel.c.url).join_from(delivery, notice).join(channel)
    row = (await tx.execute(query.outerjoin(customer).where(delivery.c.id == delivery_id))).first()
    if row is None or await _is_known(tx, delivery_id, action, status):
        return None
    facts = {"delivery_id": delivery_id, "at": now, "action": action, "status": status, "detail": detail}
    await tx.execute(insert(bounce).values(**facts))
    return Returned(notice_id=row[0], customer=row[1], channel_url=row[2])


async def of(tx: Transaction, delivery_ids: Collection[int]) -> dict[int, list[Bounce]]:
    """Return what came back of these deliveries, oldest first."""
    found: dict[int, list[Bounce]] = defaultdict(list)
    columns = bounce.c.delivery_id, bounce.c.at, bounce.c.action, bounce.c.status, bounce.c.detail
    for batch in batches(delivery_ids):
        query = select(*columns).where(bounce.c.delivery_id.in_(batch)).order_by(bounce.c.id)
        for number, at, action, status, detail in await tx.execute(query):
            found[number].append(Bounce(at=at, action=action, status=status, detail=detail))
    return dict(found)


async def _is_known(tx: Transaction, delivery_id: int, action: str, status: str) -> bool:
    """Whether a report says what another has said; a mailbox may be read twice."""
    mine = bounce.c.delivery_id == delivery_id
    count: int = (await tx.execute(select(func.count()).select_from(bounce).where(mine))).scalar_one()
    same = select(bounce.c.id).where(mine, bounce.c.action == action, bounce.c.status == status).limit(1)
    return count >= _MOST or (await tx.execute(same)).first() is not None
