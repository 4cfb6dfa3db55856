"""Queries of the job table: each is one step of a job's life.

::

    insert ──▶ ready ──claim──▶ running ──settle──▶ (deleted)
                 ▲                 │
                 ├───── retry ─────┤   failed, to be tried again
                 ├──── release ────┤   handed back, or its process is gone
                 └─ revive ─ dead ◀┘   bury

A step out of ``running`` compares the lease (owner and pick) before it swaps the state: a process that has lost a
job to another changes nothing by settling it late.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    CompoundSelect,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    select,
    union_all,
    update,
)

from leakwatch.store.database import Transaction, batches
from leakwatch.store.tables import job

READY: Final = "ready"
RUNNING: Final = "running"
DEAD: Final = "dead"

_FREE: Final[Mapping[str, Any]] = {"state": READY, "owner": None, "leased_until": None}
# Parameters are not named as columns are: SQLAlchemy keeps those names for the values of an UPDATE.
_HELD: Final = and_(
    job.c.id == bindparam("job_id"), job.c.owner == bindparam("job_owner"), job.c.picks == bindparam("job_picks")
)
_EXPIRED: Final = and_(
    job.c.state == RUNNING, job.c.leased_until < bindparam("at"), job.c.id.not_in(bindparam("held", expanding=True))
)
# Statements of every turn are built once: building one takes as long as running it.
_WAITING: Final = (
    select(job.c.id, job.c.lane, job.c.picks)
    .where(
        job.c.state == READY,
        job.c.queue == bindparam("of_queue"),
        job.c.run_at <= bindparam("at"),
        job.c.lane.not_in(bindparam("full", expanding=True)),
    )
    .order_by(job.c.priority, job.c.run_at, job.c.id)
    .limit(bindparam("most"))
)
_CLAIM: Final = (
    update(job)
    # Not `state == READY`: SQLite would go through all that is ready instead of to these rows.
    .where(job.c.id.in_(bindparam("ids", expanding=True)), job.c.owner.is_(None), job.c.died_at.is_(None))
    .values(state=RUNNING, owner=bindparam("by"), leased_until=bindparam("until"), picks=job.c.picks + 1)
    .returning(job.c.id, job.c.queue, job.c.payload, job.c.lane, job.c.attempts, job.c.picks, job.c.created_at)
)
_EXTEND: Final = (
    update(job)
    .where(job.c.id.in_(bindparam("ids", expanding=True)), job.c.owner == bindparam("by"))
    .values(leased_until=bindparam("until"))
)
_BACKLOG: Final = select(func.count()).where(
    job.c.state.in_((READY, RUNNING)), job.c.queue == bindparam("of_queue"), job.c.lane == bindparam("of_lane")
)
_SETTLE: Final = delete(job).where(_HELD)
_RELEASE_EXPIRED: Final = update(job).where(_EXPIRED).values(_FREE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job that could be claimed."""

    id: int
    lane: str
    picks: int  # more than 0: a process died under it


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One claim of one job, by which it is settled."""

    job_id: int
    job_owner: str
    job_picks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a job's last failure leaves in its row."""

    attempts: int  # failures so far, this one included
    at: datetime  # when it is tried again, or when it was given up
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A job that runs or waits, as it is shown."""

    id: int
    queue: str
    lane: str
    state: str
    attempts: int
    run_at: datetime
    reason: str | None  # of its last failure
    detail: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A job with what it is about, whatever its state."""

    id: int
    queue: str
    lane: str
    state: str
    attempts: int
    reason: str | None  # of its last failure
    detail: str | None
    created_at: datetime
    died_at: datetime | None
    payload: bytes  # sealed where it could hold a key


async def insert(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Add jobs; return the ids of those that were new by their dedupe key, in no order."""
    statement = tx.insert(job).on_conflict_do_nothing(index_elements=[job.c.dedupe_key]).returning(job.c.id)
    return list((await tx.execute(statement, rows)).scalars())


async def queues_due(tx: Transaction, queues: Iterable[str], *, now: datetime, held: Collection[int]) -> set[str]:
    """Return those queues that have a job to claim, or one whose lease has run out and that is not held here."""
    return set((await tx.execute(_due(tuple(queues)), {"at": now, "held": [*held]})).scalars())


@cache
def _due(queues: tuple[str, ...]) -> CompoundSelect[str]:
    """One look at the first job of each queue, however many wait."""
    expired = select(job.c.queue).where(_EXPIRED, job.c.queue.in_(queues))
    return union_all(*map(_is_due, queues), expired)


def _is_due(queue: str) -> Select[str]:
    waits = exists().where(job.c.state == READY, job.c.queue == queue, job.c.run_at <= bindparam("at"))
    return select(literal(queue)).where(waits)


async def waiting(tx: Transaction, queue: str, *, now: datetime, full: Collection[str], limit: int) -> list[Waiting]:
    """Return what a queue does next in lanes that are not full: by priority, then the one due longest."""
    facts = {"of_queue": queue, "at": now, "full": [*full], "most": limit}
    return [Waiting(id=number, lane=lane, picks=picks) for number, lane, picks in await tx.execute(_WAITING, facts)]


async def claim(tx: Transaction, ids: Collection[int], *, owner: str, until: datetime) -> list[dict[str, Any]]:
    """Take jobs under a lease; return the facts of those that nobody else took, in no order."""
    taken = await tx.execute(_CLAIM, {"ids": [*ids], "by": owner, "until": until})
    return [dict(row) for row in taken.mappings()]


async def extend(tx: Transaction, ids: Collection[int], *, owner: str, until: datetime) -> None:
    """Renew the leases that this owner still has."""
    await tx.execute(_EXTEND, {"ids": [*ids], "by": owner, "until": until})


async def settle(tx: Transaction, leases: Sequence[Lease]) -> None:
    """Delete jobs that are done."""
    await tx.execute(_SETTLE, [asdict(lease) for lease in leases])


async def retry(tx: Transaction, failures: Sequence[tuple[Lease, Failure]]) -> None:
    """Have jobs wait for their next try."""
    rows = [asdict(lease) | _facts(failure) | {"run_at": failure.at} for lease, failure in failures]
    await tx.execute(update(job).where(_HELD).values({**_FREE, "picks": 0}), rows)


async def hand_back(tx: Transaction, leases: Sequence[Lease]) -> None:
    """Make jobs ready as they were before they were claimed."""
    await tx.execute(update(job).where(_HELD).values({**_FREE, "picks": job.c.picks - 1}), [asdict(x) for x in leases])


async def bury(tx: Transaction, lease: Lease, failure: Failure) -> bool:
    """Make a job a dead letter; return whether it still was this lease's to bury."""
    statement = update(job).where(_HELD).values(_dead(failure))
    return (await tx.execute(statement, asdict(lease))).rowcount == 1


async def bury_new(tx: Transaction, job_id: int, failure: Failure) -> None:
    """Make a job a dead letter that this transaction has only just added."""
    await tx.execute(update(job).where(job.c.id == job_id).values(_dead(failure)))


async def owners(tx: Transaction) -> set[str]:
    """Return who holds a lease."""
    return set((await tx.execute(select(job.c.owner).where(job.c.state == RUNNING).distinct())).scalars())


async def release(tx: Transaction, owners: Collection[str]) -> int:
    """Make ready what owners hold that are gone; the picks stay, each was a crash. Returns how many."""
    gone = and_(job.c.state == RUNNING, job.c.owner.in_(owners))
    return (await tx.execute(update(job).where(gone).values(_FREE))).rowcount


async def release_expired(tx: Transaction, *, now: datetime, held: Collection[int]) -> int:
    """Make ready what has outlived its lease and is not among those held here. Returns how many."""
    return (await tx.execute(_RELEASE_EXPIRED, {"at": now, "held": [*held]})).rowcount


async def mistrust(tx: Transaction, later: datetime) -> None:
    """Have what processes, not just one, have died under wait until then: all others go first."""
    crashed = and_(job.c.state == READY, job.c.picks > 1, job.c.run_at < later)
    await tx.execute(update(job).where(crashed).values(run_at=later))


async def due(tx: Transaction, dedupe_keys: Collection[str]) -> dict[str, datetime]:
    """Return when the live jobs with these keys are done next."""
    query = select(job.c.dedupe_key, job.c.run_at).where(job.c.dedupe_key.in_(dedupe_keys))
    return {row[0]: row[1] for row in await tx.execute(query)}


async def dead(tx: Transaction, *, limit: int) -> list[dict[str, Any]]:
    """Return the facts of dead letters, newest first."""
    names = ("id", "queue", "lane", "attempts", "reason", "detail", "created_at", "died_at")
    query = select(*(job.c[name] for name in names)).where(job.c.state == DEAD)
    newest = query.order_by(job.c.died_at.desc(), job.c.id.desc()).limit(limit)
    return [dict(row) for row in (await tx.execute(newest)).mappings()]


async def one(tx: Transaction, job_id: int) -> Kept | None:
    """Return a job with its payload."""
    query = select(*(job.c[name] for name in Kept.__annotations__)).where(job.c.id == job_id)
    row = (await tx.execute(query)).mappings().first()
    return None if row is None else Kept(**row)


async def live(tx: Transaction, *, limit: int) -> list[Live]:
    """Return the jobs that run or wait, the next one first."""
    columns = (job.c[name] for name in Live.__annotations__)
    query = select(*columns).where(job.c.state != DEAD).order_by(job.c.run_at, job.c.id).limit(limit)
    return [Live(**row) for row in (await tx.execute(query)).mappings()]


async def drop(tx: Transaction, ids: Collection[int]) -> int:
    """Delete dead letters that somebody else keeps, or that nobody wants; return how many."""
    dropped = 0
    for batch in batches(ids):
        dropped += (await tx.execute(delete(job).where(job.c.id.in_(batch), job.c.state == DEAD))).rowcount
    return dropped


async def hurry(tx: Transaction, dedupe_keys: Collection[str], *, now: datetime) -> int:
    """Let jobs with these keys wait no longer; return how many waited."""
    waiting = and_(job.c.dedupe_key.in_(dedupe_keys), job.c.state == READY, job.c.run_at > now)
    return (await tx.execute(update(job).where(waiting).values(run_at=now))).rowcount


async def revive(tx: Transaction, ids: Collection[int], *, now: datetime) -> int:
    """Make dead letters ready, their failures forgotten; without their keys, which others may hold by now."""
    fresh = {
        **_FREE,
        "attempts": 0,
        "picks": 0,
        "run_at": now,
        "died_at": None,
        "reason": None,
        "detail": None,
    }
    revived = 0
    for batch in batches(ids):
        wanted = and_(job.c.id.in_(batch), job.c.state == DEAD)
        revived += (await tx.execute(update(job).where(wanted).values(fresh))).rowcount
    return revived


async def backlog(tx: Transaction, queue: str, lane: str, *, before: datetime | None = None) -> int:
    """Return how many jobs of a lane wait or run: all, or those that were added before a moment."""
    query = _BACKLOG if before is None else _BACKLOG.where(job.c.created_at < before)
    count: int = (await tx.execute(query, {"of_queue": queue, "of_lane": lane})).scalar_one()
    return count


async def documents(tx: Transaction, queue: str) -> dict[str, int]:
    """Return how many documents wait in a queue or are being worked on, by lane."""
    mine = and_(job.c.state.in_((READY, RUNNING)), job.c.queue == queue)
    query = select(job.c.lane, func.sum(job.c.size)).where(mine).group_by(job.c.lane)
    return {row[0]: int(row[1]) for row in await tx.execute(query)}


async def counts(tx: Transaction) -> dict[tuple[str, str], int]:
    """Return how many jobs there are, by queue and state."""
    query = select(job.c.queue, job.c.state, func.count()).group_by(job.c.queue, job.c.state)
    return {(row[0], row[1]): row[2] for row in await tx.execute(query)}


def _facts(failure: Failure) -> dict[str, Any]:
    return {"attempts": failure.attempts, "reason": failure.reason, "detail": failure.detail}


def _dead(failure: Failure) -> dict[str, Any]:
    return {**_FREE, **_facts(failure), "state": DEAD, "died_at": failure.at, "dedupe_key": None, "picks": 0}
