"""Messages that are owed, to whom, and what became of each: the ledger of what was sent."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, func, insert, or_, select, update

from leakwatch.model import NoticeKind
from leakwatch.store.database import Transaction, batches
from leakwatch.store.tables import Instant, attempt, bounce, channel, customer, delivery, notice, notice_finding

_DELIVERY: Final = (
    *(delivery.c[name] for name in ("id", "message_id", "state", "attempts", "code", "reason", "detail")),
    *(delivery.c.created_at, delivery.c.accepted_at, channel.c.url.label("channel_url")),
)
# What was accepted stays so: it may have been tried twice, under a lease that ran out.
_ACCEPT: Final = (
    update(delivery)
    .where(delivery.c.id == bindparam("number"), delivery.c.state != "accepted")
    .values(
        state="accepted",
        attempts=delivery.c.attempts + 1,
        accepted_at=bindparam("when", type_=Instant()),
        reason=None,
        code=bindparam("reply"),
        detail=bindparam("said"),
    )
)
HELD, PENDING, ACCEPTED, DEAD, WITHDRAWN = "held", "pending", "accepted", "dead", "withdrawn"
DROPPED: Final = "dropped"  # by the operator: the word for such a delivery, and for why its notice is not sent
IS_HELD: Final = and_(notice.c.held.is_not(None), notice.c.held != DROPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedNotice:
    """A notice that is now owed. Its deliveries are to be sent unless it is held; none: nobody can be told."""

    notice_id: int
    delivery_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A delivery that its peer has taken."""

    delivery_id: int
    at: datetime
    code: int | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a delivery."""

    at: datetime
    reason: str | None  # None: accepted
    code: int | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notice on one channel, and how it fares."""

    id: int
    channel_url: str
    message_id: str
    state: str  # held, pending, accepted, dead, withdrawn, dropped
    attempts: int
    code: int | None
    reason: str | None
    detail: str | None
    created_at: datetime
    accepted_at: datetime | None
    bounced: str | None  # the status with which it came back for good, "" for none; None: it did not


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeState:
    """A notice as it is listed."""

    id: int
    kind: NoticeKind
    customer: str  # "": to the operator
    alarm: str
    detail: str
    created_at: datetime
    held: str | None
    remind_at: datetime | None
    reminders: int
    reminders_ended: str | None
    findings: tuple[int, ...]
    deliveries: tuple[Delivery, ...]


async def open_notice(  # noqa: PLR0913 - a notice's own facts
    tx: Transaction,
    *,
    kind: NoticeKind,
    customer_id: int | None,
    finding_ids: Iterable[int] | Mapping[int, datetime],
    held: str | None,
    make_message_id: Callable[[], str],
    now: datetime,
    alarm: str = "",
    detail: str = "",
) -> OpenedNotice:
    """Owe a message to a customer, or to the operator (None): one delivery for each of their channels.

    Findings that come with a moment are told of as far as they were seen since.
    """
    facts = {"kind": kind.value, "customer_id": customer_id, "held": held, "created_at": now}
    values = {**facts, "alarm": alarm or None, "detail": detail or None}
    made = await tx.execute(insert(notice).values(**values).returning(notice.c.id))
    notice_id: int = made.scalar_one()
    since = finding_ids if isinstance(finding_ids, Mapping) else dict.fromkeys(finding_ids)
    told = [{"notice_id": notice_id, "finding_id": number, "since": since[number]} for number in sorted(since)]
    if told:
        await tx.execute(insert(notice_finding), told)
    state = PENDING if held is None else HELD
    channels = await _channels(tx, customer_id, kind)
    rows = [_delivery(notice_id, channel_id, state, make_message_id(), now) for channel_id in channels]
    return OpenedNotice(notice_id=notice_id, delivery_ids=await _deliveries(tx, rows))


async def count_since(
    tx: Transaction, since: datetime, kinds: Collection[NoticeKind], *, held: Collection[str] = ()
) -> int:
    """Count the notices of these kinds that were opened since and went out, or are held for one of these reasons."""
    counted = or_(notice.c.held.is_(None), notice.c.held.in_(held))
    query = select(func.count()).where(notice.c.created_at >= since, notice.c.kind.in_(kinds), counted)
    count: int = (await tx.execute(query)).scalar_one()
    return count


async def release(tx: Transaction, *, notice_ids: Collection[int] | None = None) -> list[int]:
    """Let held notices go, these or all; return the deliveries that are now to be sent."""
    released = await _held_no_more(tx, notice_ids, None)
    return await _settle_held(tx, released, {"state": PENDING})


async def drop(tx: Transaction, *, notice_ids: Collection[int] | None = None, why: str, now: datetime) -> int:
    """Never send held notices, these or all, and write down why with each of their deliveries; return how many."""
    dropped = await _held_no_more(tx, notice_ids, DROPPED)
    said = {"reason": DROPPED, "detail": why}
    deliveries = await _settle_held(tx, dropped, {"state": DROPPED, **said})
    if deliveries:
        await tx.execute(insert(attempt), [{"delivery_id": number, "at": now, **said} for number in deliveries])
    return len(dropped)


async def addressee(tx: Transaction, delivery_id: int) -> tuple[str | None, NoticeKind]:
    """Return the name of the customer to whom a delivery goes (None: to the operator), and what kind of notice."""
    query = select(customer.c.name, notice.c.kind).join_from(delivery, notice).outerjoin(customer)
    name, kind = (await tx.execute(query.where(delivery.c.id == delivery_id))).one()
    return name, NoticeKind(kind)


async def recipient(tx: Transaction, notice_id: int) -> str | None:
    """Return the name of the customer to whom a notice goes; None: to the operator."""
    query = select(customer.c.name).join_from(notice, customer).where(notice.c.id == notice_id)
    name: str | None = (await tx.execute(query)).scalar()
    return name


async def elsewhere(tx: Transaction, delivery_ids: Collection[int]) -> set[int]:
    """Return those of these deliveries that go by other ways than mail."""
    found: set[int] = set()
    query = select(delivery.c.id).join_from(delivery, channel).where(~channel.c.url.istartswith("mailto:"))
    for batch in batches(delivery_ids):
        found.update((await tx.execute(query.where(delivery.c.id.in_(batch)))).scalars())
    return found


async def waiting(tx: Transaction, customer_ids: Collection[int]) -> set[int]:
    """Return those of these customers for whom something is still to be sent."""
    found: set[int] = set()
    owed = select(notice.c.customer_id).distinct().join_from(delivery, notice).where(delivery.c.state == PENDING)
    for batch in batches(customer_ids):
        found.update((await tx.execute(owed.where(notice.c.customer_id.in_(batch)))).scalars())
    return found


async def accepted(tx: Transaction, taken: Sequence[Taken]) -> None:
    """Write down that the peers took deliveries: they are done, whatever else was said of them."""
    await tx.execute(
        insert(attempt),
        [{"delivery_id": t.delivery_id, "at": t.at, "code": t.code, "detail": t.detail} for t in taken],
    )
    rows = [{"number": t.delivery_id, "when": t.at, "said": t.detail, "reply": t.code} for t in taken]
    await tx.execute(_ACCEPT, rows)


async def deferred(  # noqa: PLR0913 - an attempt's own facts
    tx: Transaction, delivery_id: int, *, reason: str, code: int | None, detail: str | None, now: datetime
) -> None:
    """Write down a try that failed and will be made again."""
    await _tried(tx, delivery_id, {}, reason=reason, code=code, detail=detail, now=now)


async def dead(  # noqa: PLR0913 - an attempt's own facts
    tx: Transaction, delivery_id: int, *, reason: str, code: int | None, detail: str | None, now: datetime
) -> None:
    """Write down the try after which a delivery was given up."""
    await _tried(tx, delivery_id, {"state": DEAD}, reason=reason, code=code, detail=detail, now=now)


async def withdrawn(tx: Transaction, delivery_id: int) -> None:
    """Mark a delivery that is owed no longer: what it would say has been answered."""
    pending = delivery.c.id == delivery_id, delivery.c.state == PENDING
    await tx.execute(update(delivery).where(*pending).values(state=WITHDRAWN))


async def revive(tx: Transaction, delivery_ids: Collection[int]) -> list[int]:
    """Give dead deliveries another chance, on channels that are still used; return those that are now to be sent."""
    revived: list[int] = []
    retired = select(channel.c.id).where(channel.c.retired_at.is_not(None))
    for batch in batches(delivery_ids):
        given_up = delivery.c.id.in_(batch), delivery.c.state == DEAD, delivery.c.channel_id.not_in(retired)
        changed = update(delivery).where(*given_up).values(state=PENDING).returning(delivery.c.id)
        revived += (await tx.execute(changed)).scalars()
    return sorted(revived)


async def readdress(
    tx: Transaction, notice_ids: Collection[int], *, make_message_id: Callable[[], str], now: datetime
) -> list[int]:
    """Owe customers' notices that reached nobody on the channels that their customers have by now as well.

    What came back for good reached nobody. Returns the new deliveries, which are to be sent.
    """
    back = select(bounce.c.delivery_id).where(bounce.c.action == "failed")
    arrived = and_(delivery.c.state == ACCEPTED, delivery.c.id.not_in(back))
    reached = select(delivery.c.notice_id).where(or_(arrived, delivery.c.state == HELD))
    known = select(delivery.c.id).where(delivery.c.notice_id == notice.c.id, delivery.c.channel_id == channel.c.id)
    live = select(notice.c.id, channel.c.id).join(channel, channel.c.customer_id == notice.c.customer_id)
    added: list[int] = []
    for batch in batches(notice_ids):
        going = notice.c.held.is_(None), notice.c.id.not_in(reached)
        wanted = notice.c.id.in_(batch), *going, channel.c.retired_at.is_(None), ~known.exists()
        rows = [
            _delivery(notice_id, channel_id, PENDING, make_message_id(), now)
            for notice_id, channel_id in (await tx.execute(live.where(*wanted)))
        ]
        added += await _deliveries(tx, rows)
    return sorted(added)


async def notices(
    tx: Transaction,
    *,
    held_only: bool = False,
    bounced_only: bool = False,
    state: str | None = None,
    limit: int | None = 100,
) -> list[NoticeState]:
    """Return notices, newest first: all, or those that are held, came back, or have a delivery in a state."""
    query = _listed().order_by(notice.c.id.desc()).limit(limit)
    if held_only:
        query = query.where(IS_HELD)
    if bounced_only:
        query = query.where(notice.c.id.in_(select(delivery.c.notice_id).join_from(delivery, bounce)))
    if state is not None:
        query = query.where(notice.c.id.in_(select(delivery.c.notice_id).where(delivery.c.state == state)))
    return await _states(tx, query)


async def one(tx: Transaction, notice_id: int) -> NoticeState | None:
    """Return one notice."""
    return next(iter(await _states(tx, _listed().where(notice.c.id == notice_id))), None)


async def attempts(tx: Transaction, delivery_ids: Collection[int]) -> dict[int, list[Attempt]]:
    """Return every try of these deliveries, oldest first."""
    made: dict[int, list[Attempt]] = defaultdict(list)
    columns = attempt.c.delivery_id, attempt.c.at, attempt.c.reason, attempt.c.code, attempt.c.detail
    for batch in batches(delivery_ids):
        query = select(*columns).where(attempt.c.delivery_id.in_(batch)).order_by(attempt.c.id)
        for number, at, reason, code, detail in await tx.execute(query):
            made[number].append(Attempt(at=at, reason=reason, code=code, detail=detail))
    return dict(made)


async def _channels(tx: Transaction, customer_id: int | None, kind: NoticeKind) -> Sequence[int]:
    """Return the live channels of a customer, or those of the operator's that are for people, or for programs."""
    query = select(channel.c.id).where(channel.c.retired_at.is_(None)).order_by(channel.c.id)
    if customer_id is None:
        is_webhook = channel.c.url.startswith("webhook:")
        query = query.where(channel.c.customer_id.is_(None), is_webhook if kind is NoticeKind.EVENT else ~is_webhook)
    else:
        query = query.where(channel.c.customer_id == customer_id)
    return (await tx.execute(query)).scalars().all()


def _delivery(notice_id: int, channel_id: int, state: str, message_id: str, now: datetime) -> dict[str, Any]:
    facts = {"notice_id": notice_id, "channel_id": channel_id, "state": state}
    return {**facts, "message_id": message_id, "created_at": now}


async def _deliveries(tx: Transaction, rows: list[dict[str, Any]]) -> tuple[int, ...]:
    if not rows:
        return ()
    made = await tx.execute(insert(delivery).returning(delivery.c.id), rows)
    return tuple(sorted(made.scalars()))


async def _held_no_more(tx: Transaction, notice_ids: Collection[int] | None, word: str | None) -> Sequence[int]:
    """Put another word for why held notices are not sent, or none; return which they were."""
    wanted = IS_HELD if notice_ids is None else and_(IS_HELD, notice.c.id.in_(notice_ids))
    changed = update(notice).where(wanted).values(held=word).returning(notice.c.id)
    return (await tx.execute(changed)).scalars().all()


async def _settle_held(tx: Transaction, notice_ids: Collection[int], values: dict[str, Any]) -> list[int]:
    """Change the held deliveries of these notices; return them."""
    settled: list[int] = []
    for batch in batches(notice_ids):
        held = delivery.c.notice_id.in_(batch), delivery.c.state == HELD
        changed = update(delivery).where(*held).values(**values).returning(delivery.c.id)
        settled += (await tx.execute(changed)).scalars()
    return sorted(settled)


async def _tried(  # noqa: PLR0913 - an attempt's own facts
    tx: Transaction,
    delivery_id: int,
    changed: dict[str, Any],
    *,
    reason: str | None,
    code: int | None,
    detail: str | None,
    now: datetime,
) -> None:
    said = {"reason": reason, "code": code, "detail": detail}
    await tx.execute(insert(attempt).values(delivery_id=delivery_id, at=now, **said))
    counted = update(delivery).values(attempts=delivery.c.attempts + 1, **changed, **said)
    # What was accepted stays so, even if another try, begun under a lease that ran out, says otherwise later.
    undone = delivery.c.id == delivery_id, delivery.c.state != ACCEPTED
    await tx.execute(counted.where(*undone))


def _listed() -> Select[Any]:
    return select(notice, customer.c.name.label("customer")).outerjoin_from(notice, customer)


async def _states(tx: Transaction, query: Select[Any]) -> list[NoticeState]:
    """Read notices with their findings and deliveries: three queries for each thousand."""
    rows = (await tx.execute(query)).mappings().all()
    told: dict[int, list[int]] = defaultdict(list)
    sent: dict[int, list[Delivery]] = defaultdict(list)
    for batch in batches([row["id"] for row in rows]):
        links = select(notice_finding.c.notice_id, notice_finding.c.finding_id).order_by(notice_finding.c.finding_id)
        for number, finding_id in await tx.execute(links.where(notice_finding.c.notice_id.in_(batch))):
            told[number].append(finding_id)
        every = select(*_DELIVERY, delivery.c.notice_id).join_from(delivery, channel).order_by(delivery.c.id)
        back = func.max(bounce.c.status).label("bounced")
        failed = (bounce.c.delivery_id == delivery.c.id) & (bounce.c.action == "failed")
        every = every.add_columns(select(back).where(failed).scalar_subquery().label("bounced"))
        for row in (await tx.execute(every.where(delivery.c.notice_id.in_(batch)))).mappings():
            sent[row["notice_id"]].append(Delivery(**{n: row[n] for n in Delivery.__dataclass_fields__}))
    return [
        NoticeState(
            id=row["id"],
            kind=NoticeKind(row["kind"]),
            customer=row["customer"] or "",
            alarm=row["alarm"] or "",
            detail=row["detail"] or "",
            created_at=row["created_at"],
            held=row["held"],
            remind_at=row["remind_at"],
            reminders=row["reminders"],
            reminders_ended=row["reminders_ended"],
            findings=tuple(told[row["id"]]),
            deliveries=tuple(sent[row["id"]]),
        )
        for row in rows
    ]
