"""Which customers' keys are exposed, and every place where each was seen."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Integer, RowMapping, Select, bindparam, func, select, update

from leakwatch.model import Answer, Exposure, Field, Place, Position
from leakwatch.store.database import Transaction, batches
from leakwatch.store.tables import Id, Instant, customer, finding, registered_key, sighting

# What is read of the key besides; its `key_id` is the provider's name for it, the finding's is ours.
_KEY: Final = (registered_key.c.provider, registered_key.c.label, registered_key.c.key_id.label("provider_key_id"))
FIRST_LOOK: Final = timedelta(hours=1)  # after which it is seen whether a document is still there
_PLAIN: Final = tuple(name for name in Place.__dataclass_fields__ if name not in ("position", "gone_at"))
_ALL: Final = 2**31 - 1  # places of one finding


def _newest() -> Select[Any]:
    """The query for `_places`, which is made once: it takes longer to make than to run."""
    newest = sighting.c.first_seen_at.desc(), sighting.c.id.desc()
    rank = func.row_number().over(partition_by=sighting.c.finding_id, order_by=newest).label("rank")
    of_findings = sighting.c.finding_id.in_(bindparam("findings", expanding=True))
    ranked = select(sighting, rank).where(of_findings).subquery()
    few = select(ranked).where(ranked.c.rank <= bindparam("most", type_=Integer))
    return few.order_by(ranked.c.finding_id, ranked.c.rank)


_PLACES: Final = _newest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSighting:
    """A match as it is to be recorded: redacted, and without the key."""

    key_id: int  # of the registered key
    detector: str
    masked: str
    document: bytes  # the document's identity
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a sighting changed."""

    finding_id: int
    customer_id: int
    new_finding: bool  # this sighting opened the finding, or opened it again
    new_sighting: bool
    seen_at: datetime  # when the sighting's document was seen for the first time, as far as the caller says


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding as it is listed; its places are read with `exposures`."""

    id: int
    customer_id: int
    customer: str
    provider: str
    label: str
    key_id: str  # the provider's, "" when not registered
    detector: str
    masked: str
    first_seen_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    answer: str | None  # its owner's last word
    answered_at: datetime | None
    sightings: int


async def record(tx: Transaction, sightings: Sequence[NewSighting]) -> list[Recorded]:
    """Record sightings, and say of each what it changed.

    A key has one finding, a finding one sighting for each document. A document that was recorded before only moves
    when it was last seen; a closed finding is opened again by a document that is new to it, and by nothing else.
    """
    if not sightings:
        return []
    opened = await _open_findings(tx, sightings)
    owned = await _owned(tx, {s.key_id for s in sightings})
    unseen = await _add_sightings(tx, owned, sightings)
    opened |= await _reopen(tx, {number for number, _ in unseen})
    await _see_again(tx, owned, sightings)
    recorded = []
    for s in sightings:
        number, customer_id = owned[s.key_id]
        is_new = (number, s.document) in unseen
        unseen.discard((number, s.document))
        opens = is_new and number in opened
        opened -= {number} if opens else set()
        recorded.append(
            Recorded(
                finding_id=number,
                customer_id=customer_id,
                new_finding=opens,
                new_sighting=is_new,
                seen_at=s.place.first_seen_at,
            )
        )
    return recorded


async def exposures(tx: Transaction, finding_ids: Collection[int], *, places: int | None = None) -> list[Exposure]:
    """Return findings as a notice tells of them, in order of their ids, each with its newest places first.

    `places` bounds how many of each are read; None reads all.
    """
    found: list[Exposure] = []
    for batch in batches(sorted(set(finding_ids))):
        where = await _places(tx, batch, most=places)
        query = select(finding, *_KEY).join_from(finding, registered_key)
        rows = await tx.execute(query.where(finding.c.id.in_(batch)).order_by(finding.c.id))
        found += [_exposure(row, where[row["id"]]) for row in rows.mappings()]
    return found


async def findings(
    tx: Transaction, *, open_only: bool = False, customer_name: str | None = None, limit: int | None = None
) -> list[Finding]:
    """Return findings, newest first: all, or those that are open, or one customer's."""
    query = _listed().order_by(finding.c.id.desc()).limit(limit)
    if open_only:
        query = query.where(finding.c.closed_at.is_(None))
    if customer_name is not None:
        query = query.where(customer.c.name == customer_name)
    return [_finding(row) for row in (await tx.execute(query)).mappings()]


async def one(tx: Transaction, finding_id: int) -> Finding | None:
    """Return one finding."""
    row = (await tx.execute(_listed().where(finding.c.id == finding_id))).mappings().first()
    return None if row is None else _finding(row)


async def close(tx: Transaction, ids: Collection[int], now: datetime) -> int:
    """Close findings; return how many were open."""
    still_open = finding.c.id.in_(ids), finding.c.closed_at.is_(None)
    return (await tx.execute(update(finding).where(*still_open).values(closed_at=now))).rowcount


async def _open_findings(tx: Transaction, sightings: Sequence[NewSighting]) -> set[int]:
    """Make a finding for each key that has none; return those made."""
    firsts = {s.key_id: s for s in reversed(sightings)}
    rows = [
        {
            "key_id": key_id,
            "detector": s.detector,
            "masked": s.masked,
            "first_seen_at": s.place.first_seen_at,
            "last_seen_at": s.place.last_seen_at,
        }
        for key_id, s in sorted(firsts.items())
    ]
    made = await tx.execute(tx.insert(finding).on_conflict_do_nothing().returning(finding.c.id), rows)
    return set(made.scalars())


async def _owned(tx: Transaction, key_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return the finding and the owner of each key."""
    query = select(finding.c.key_id, finding.c.id, registered_key.c.customer_id)
    owned: dict[int, tuple[int, int]] = {}
    for batch in batches(key_ids):
        rows = await tx.execute(query.join_from(finding, registered_key).where(finding.c.key_id.in_(batch)))
        owned |= {key_id: (number, owner) for key_id, number, owner in rows}
    return owned


async def _add_sightings(
    tx: Transaction, owned: Mapping[int, tuple[int, int]], sightings: Sequence[NewSighting]
) -> set[tuple[int, bytes]]:
    """Add the sightings that are not there; return their findings and documents."""
    firsts = {(owned[s.key_id][0], s.document): s.place for s in reversed(sightings)}
    rows = [
        {"finding_id": number, "document": document, **_columns(place)}
        for (number, document), place in sorted(firsts.items(), key=lambda item: item[0])
    ]
    insert = tx.insert(sighting).on_conflict_do_nothing()
    made = await tx.execute(insert.returning(sighting.c.finding_id, sighting.c.document), rows)
    return {(number, document) for number, document in made}


async def _reopen(tx: Transaction, finding_ids: Collection[int]) -> set[int]:
    reopened: set[int] = set()
    for batch in batches(finding_ids):
        closed = finding.c.id.in_(batch), finding.c.closed_at.is_not(None)
        anew = {"closed_at": None, "answer": None, "answered_at": None}
        changed = update(finding).where(*closed).values(anew).returning(finding.c.id)
        reopened.update((await tx.execute(changed)).scalars())
    return reopened


async def _see_again(tx: Transaction, owned: Mapping[int, tuple[int, int]], sightings: Sequence[NewSighting]) -> None:
    """Move when findings and sightings were last seen, never back."""
    rows = [
        {"number": owned[s.key_id][0], "doc": s.document, "at": s.place.last_seen_at}
        for s in sorted(sightings, key=lambda s: (s.key_id, s.document))
    ]
    at, number = bindparam("at", type_=Instant()), bindparam("number", type_=Id)
    same = finding.c.id == number, finding.c.last_seen_at < at
    await tx.execute(update(finding).where(*same).values(last_seen_at=at), rows)
    seen = sighting.c.finding_id == number, sighting.c.document == bindparam("doc"), sighting.c.last_seen_at < at
    await tx.execute(update(sighting).where(*seen).values(last_seen_at=at), rows)


async def _places(tx: Transaction, finding_ids: Collection[int], *, most: int | None) -> dict[int, list[Place]]:
    asked = {"findings": list(finding_ids), "most": _ALL if most is None else most}
    found: dict[int, list[Place]] = defaultdict(list)
    for row in (await tx.execute(_PLACES, asked)).mappings():
        found[row["finding_id"]].append(_place(row))
    return found


def _columns(place: Place) -> dict[str, Any]:
    at = place.position
    plain = {name: getattr(place, name) for name in _PLAIN}
    look = {"look_at": place.first_seen_at + FIRST_LOOK}
    return {**plain, **look, "field": at.field.value, "line": at.line, "column": at.column}


def _place(row: RowMapping) -> Place:
    position = Position(field=Field(row["field"]), line=row["line"], column=row["column"])
    return Place(**{name: row[name] for name in _PLAIN}, position=position, gone_at=row["gone_at"])


def _exposure(row: RowMapping, places: Sequence[Place]) -> Exposure:
    return Exposure(
        finding_id=row["id"],
        provider=row["provider"],
        detector=row["detector"],
        label=row["label"],
        key_id=row["provider_key_id"],
        masked=row["masked"],
        first_seen_at=row["first_seen_at"],
        places=tuple(places),
        answer=Answer(row["answer"]) if row["answer"] else None,
        answered_at=row["answered_at"],
        closed_at=row["closed_at"],
    )


def _listed() -> Select[Any]:
    seen = select(func.count()).where(sighting.c.finding_id == finding.c.id).scalar_subquery()
    owner = customer.c.id.label("customer_id"), customer.c.name.label("customer")
    query = select(finding, *_KEY, *owner, seen.label("sightings"))
    return query.join_from(finding, registered_key).join(customer)


def _finding(row: RowMapping) -> Finding:
    names = {name: row[name] for name in Finding.__dataclass_fields__ if name != "key_id"}
    return Finding(**names, key_id=row["provider_key_id"])
