"""Which hosts were asked to take a finding's documents down, and when."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from leakwatch.store.database import Transaction
from leakwatch.store.tables import takedown


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that went out."""

    host: str
    address: str  # mailto:…
    message_id: str
    sent_at: datetime


async def sent(tx: Transaction, finding_id: int, asked: Asked) -> None:
    """Write down a request that was accepted."""
    values = {
        "finding_id": finding_id,
        "host": asked.host,
        "address": asked.address,
        "message_id": asked.message_id,
        "sent_at": asked.sent_at,
    }
    await tx.execute(insert(takedown).values(**values))


async def of_finding(tx: Transaction, finding_id: int) -> list[Asked]:
    """Return the requests about a finding, oldest first."""
    columns = (takedown.c[name] for name in ("host", "address", "message_id", "sent_at"))
    query = select(*columns).where(takedown.c.finding_id == finding_id).order_by(takedown.c.id)
    return [Asked(**row) for row in (await tx.execute(query)).mappings()]
