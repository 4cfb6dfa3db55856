"""What follows a notice: digests of new places, reminders until there is an answer, and a word to the operator.

One job goes round for all of it: each round is one transaction, in which what is due becomes notices with their jobs,
and the next round is enqueued. The dates stand in the database, so a process that dies loses none of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from leakwatch.announce import DELIVER, ELSEWHERE, Announcer, Once
from leakwatch.config import NoticesConfig
from leakwatch.engine import Engine, Job, NewJob, Queue, Retry
from leakwatch.errors import LeakwatchError
from leakwatch.model import now
from leakwatch.store import notices, reminders, settings, summary, untold
from leakwatch.store.database import Database, Transaction
from leakwatch.store.reminders import Due

log: Final = structlog.get_logger(__name__)
FOLLOW_UP: Final = "follow-up"
UNANSWERED: Final = "unanswered"  # the reason word of the alarm when reminders are at their end
_ROUND: Final = (0.2, 60.0)  # seconds between two rounds, at least and at most
_SHARE: Final = 10  # rounds within the shortest interval, so that what is due waits no longer than a tenth of it
_MOST: Final = 200  # customers or notices that one round looks at: its transaction stays short
_SUMMARISED: Final = "summarised"  # the setting: when the last summary was due or sent
_FEW: Final = 5  # tries of which none was accepted: fewer may all have gone to one address
_LOOK: Final = "They are tried again by themselves. See `leakwatch notices list`, and that the mail server runs."
_WATCHED: Final = Once("notices late", timedelta(hours=6))
_POSTPONED: Final = timedelta(hours=1)  # until a reminder is looked at again whose notice is still on its way


class FollowUp:
    """Goes round."""

    def __init__(self, *, database: Database, engine: Engine, announcer: Announcer, config: NoticesConfig) -> None:
        self._database = database
        self._engine = engine
        self._announcer = announcer
        self._config = config
        shortest = min([config.digest, *config.reminders])
        self._pause = min(_ROUND[1], max(_ROUND[0], shortest / _SHARE))

    def queue(self) -> Queue:
        """Return the one kind of work. A round that is given up is an alarm, and another follows all the same."""
        retry = Retry(base=1.0, ceiling=60.0)
        return Queue(
            name=FOLLOW_UP, handler=self.go_round, concurrency=1, retry=retry, bury=self._failed, letters=False
        )

    async def begin(self, tx: Transaction) -> None:
        """Make sure that there is a round to come."""
        await self._engine.enqueue(tx, [_round(now())])

    async def go_round(self, job: Job) -> None:
        """Turn what is due into notices, and enqueue the next round: all of it, or nothing."""
        at = now()
        async with self._database.transaction() as tx:
            more = False
            await self._summarise(tx, at)
            await self._watch(tx, at)
            if not self._config.hold:
                digests = await untold.due(tx, at, limit=_MOST)
                await self._announcer.digests(tx, digests)
                more = await self._remind(tx, at) or len(digests) == _MOST
            await self._engine.complete(tx, job)
            pause = _ROUND[0] if more else self._pause
            await self._engine.enqueue(tx, [_round(now() + timedelta(seconds=pause))])

    async def _summarise(self, tx: Transaction, at: datetime) -> None:
        """Tell the operator how the last day was, once it is the time of day for it."""
        if self._config.summary is None:
            return
        due = datetime.combine(at.date(), self._config.summary, UTC)
        due = due if due <= at else due - timedelta(days=1)
        last = await settings.moment(tx, _SUMMARISED)
        if last is None or last < due or last > at:  # the last: by a wrong clock
            await settings.put_moment(tx, _SUMMARISED, at)
        if last is not None and last < due:
            await self._announcer.summary(tx)

    async def _watch(self, tx: Transaction, at: datetime) -> None:
        """Tell the operator when notices queue up, or none at all is accepted any more."""
        before = at - timedelta(seconds=self._config.late_after)
        lanes = ("", ELSEWHERE)
        late = sum([await self._engine.backlog(tx, DELIVER, lane, before=before) for lane in lanes])
        tried, accepted, reason = await summary.outcomes(tx, before)
        if tried >= _FEW and not accepted:
            detail = f"None of {tried} tries to send a notice since {before:%H:%M} UTC was accepted: {reason}. "
            await self._announcer.alarm(tx, "notices_fail", detail + _LOOK, once=_WATCHED)
        elif late:
            detail = (
                f"{late} notices wait to be sent since before {before:%Y-%m-%d %H:%M} UTC ({reason or 'too many'}). "
            )
            await self._announcer.alarm(tx, "notices_late", detail + _LOOK, once=_WATCHED)

    async def _remind(self, tx: Transaction, at: datetime) -> bool:
        """Ask again who has not answered: once for all that is due of a customer. Returns whether more is due."""
        room = min(_MOST, await self._announcer.reminders_left(tx))
        due = await reminders.due(tx, at, limit=room) if room else []
        await reminders.end(tx, [d.notice_id for d in due if not d.findings], reminders.ANSWERED)
        ready = await self._arrived(tx, [d for d in due if d.findings], at)
        asked: dict[int, list[Due]] = defaultdict(list)
        for one in ready:
            if one.reminders < len(self._config.reminders):
                asked[one.customer_id].append(one)
        for customer_id, theirs in asked.items():
            await self._announcer.remind(tx, customer_id, {number for one in theirs for number in one.findings})
            for one in theirs:
                await reminders.reminded(tx, one.notice_id, again_at=at + self._interval(one.reminders + 1))
        await self._exhausted(tx, [d for d in ready if d.reminders >= len(self._config.reminders)])
        return len(due) == _MOST

    async def _arrived(self, tx: Transaction, due: Sequence[Due], at: datetime) -> list[Due]:
        """Leave out, for a while, for whom something still waits: a mail server is down, and it would pile up."""
        waiting = await notices.waiting(tx, {d.customer_id for d in due})
        for one in due:
            if one.customer_id in waiting:
                await reminders.postpone(tx, one.notice_id, at + min(_POSTPONED, self._interval(one.reminders)))
        return [d for d in due if d.customer_id not in waiting]

    async def _exhausted(self, tx: Transaction, due: Sequence[Due]) -> None:
        """Give up, and tell the operator: somebody should call."""
        await reminders.end(tx, [d.notice_id for d in due], reminders.EXHAUSTED)
        silent: dict[int, list[Due]] = defaultdict(list)
        for one in due:
            silent[one.customer_id].append(one)
        for theirs in silent.values():
            name = await notices.recipient(tx, theirs[0].notice_id)
            await self._announcer.alarm(tx, UNANSWERED, _unanswered(name, theirs))

    async def _failed(self, tx: Transaction, _job: Job, error: LeakwatchError) -> None:
        detail = f"Digests and reminders are late: {error}. They are tried again in an hour. See the log."
        await self._announcer.alarm(tx, error.reason, detail, once=Once(FOLLOW_UP))
        await self._engine.enqueue(tx, [_round(now() + timedelta(hours=1))])

    def _interval(self, reminder: int) -> timedelta:
        """Return how long to wait before the n-th reminder, from 0; after the last, before it is given up."""
        return timedelta(seconds=self._config.reminders[min(reminder, len(self._config.reminders) - 1)])


def _unanswered(name: str | None, silent: Sequence[Due]) -> str:
    """Say all of what a customer has not answered: none of it is told again."""
    first, count = silent[0], len({number for one in silent for number in one.findings})
    if len(silent) == 1:
        what = f"notice {first.notice_id}, nor {first.reminders} reminders of it"
    else:
        what = f"notices {', '.join(str(one.notice_id) for one in silent)}, nor any reminder of them"
    detail = (
        f"{name} has not answered {what}: {count} findings are open. They hear no more of it by themselves: call them."
    )
    return f"{detail} See `leakwatch notices show {first.notice_id}`."


def _round(at: datetime) -> NewJob:
    return NewJob(queue=FOLLOW_UP, payload=b"", dedupe_key=FOLLOW_UP, run_at=at)
