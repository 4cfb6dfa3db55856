"""Whether what was found is still there: when each sighting's address is looked at again, and what was seen."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from leakwatch.store.database import Transaction
from leakwatch.store.tables import finding, registered_key, sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A sighting whose address is to be looked at."""

    id: int
    source: str
    url: str
    looks: int  # so far
    since: datetime  # when it was last seen to answer: at the latest look that said something, or when it was found
    field: str  # of the document: where the key stood
    digest: bytes  # of the key, as it is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """What is known of whether a sighting's address still answers."""

    url: str
    source: str
    looks: int
    looked_at: datetime | None
    gone_at: datetime | None

    @property
    def word(self) -> str:
        """How it stands, in one word."""
        return "gone" if self.gone_at else "there" if self.looks else "not looked at"


async def due(tx: Transaction, names: Collection[str], now: datetime, *, limit: int) -> list[Due]:
    """Return sightings of open findings, on these sources, that are to be looked at by now: the longest due first."""
    query = (
        select(
            *(sighting.c[name] for name in ("id", "source", "url", "looks", "field")),
            func.coalesce(sighting.c.looked_at, sighting.c.first_seen_at).label("since"),
            registered_key.c.digest,
        )
        .select_from(sighting.join(finding).join(registered_key))
        .where(sighting.c.look_at <= now, sighting.c.source.in_(names), finding.c.closed_at.is_(None))
        .order_by(sighting.c.look_at, sighting.c.id)
        .limit(limit)
    )
    return [Due(**row) for row in (await tx.execute(query)).mappings()]


async def seen(tx: Transaction, sighting_id: int, *, gone: bool, now: datetime, again: datetime | None) -> None:
    """Write down a look, and when the next is due; None: never. What was gone before keeps since when."""
    since = func.coalesce(sighting.c.gone_at, now) if gone else None
    changed = {"looks": sighting.c.looks + 1, "looked_at": now, "look_at": again, "gone_at": since}
    await tx.execute(update(sighting).where(sighting.c.id == sighting_id).values(**changed))


async def put_off(tx: Transaction, sighting_id: int, again: datetime | None) -> None:
    """Write down that a look said nothing, and when the next is due; None: never."""
    await tx.execute(update(sighting).where(sighting.c.id == sighting_id).values(look_at=again))


async def of_finding(tx: Transaction, finding_id: int) -> list[Still]:
    """Return how each place of a finding stands, newest first."""
    columns = sighting.c.url, sighting.c.source, sighting.c.looks, sighting.c.looked_at, sighting.c.gone_at
    query = select(*columns).where(sighting.c.finding_id == finding_id)
    rows = await tx.execute(query.order_by(sighting.c.first_seen_at.desc(), sighting.c.id.desc()))
    return [Still(**row) for row in rows.mappings()]
