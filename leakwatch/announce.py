"""Findings become notices: who is told, at once or held, and what the operator hears."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from leakwatch import metrics
from leakwatch.config import NoticesConfig
from leakwatch.engine import Engine, NewJob
from leakwatch.errors import ChannelUnusable
from leakwatch.model import Answer, Notice, NoticeKind, now
from leakwatch.notify import ANSWERED, OPENED, defang, new_message_id, policy
from leakwatch.store import answers, notices, reminders, settings, untold
from leakwatch.store.database import Transaction
from leakwatch.store.findings import Recorded
from leakwatch.store.notices import NoticeState

log: Final = structlog.get_logger(__name__)
DELIVER: Final = "deliver"
ELSEWHERE: Final = "elsewhere"  # the lane of deliveries that are no mail
_URGENT: Final = (NoticeKind.EXPOSURE, NoticeKind.DIGEST)  # what counts for the breaker
_REMARK: Final = 500  # characters of a customer's remark in an alarm


def delivery_key(delivery_id: int) -> str:
    """Return the dedupe key of the job that sends a delivery."""
    return f"delivery:{delivery_id}"


def delivery_jobs(delivery_ids: Collection[int], elsewhere: Collection[int] = ()) -> list[NewJob]:
    """Return the jobs that send these deliveries: one each, never two at a time for the same.

    Those that go `elsewhere` than to the mail server share a lane, so that a slow chat holds up no mail.
    """
    return [
        NewJob(
            queue=DELIVER,
            payload=str(number).encode(),
            lane=ELSEWHERE if number in elsewhere else "",
            dedupe_key=delivery_key(number),
        )
        for number in delivery_ids
    ]


@dataclass(frozen=True, slots=True)
class Once:
    """What an alarm is about, so that it is told once in a while and not each time."""

    about: str
    window: timedelta = timedelta(days=1)
    counted: bool = False  # whether the next one says how many were left out


class Announcer:
    """Opens notices in the transaction that records what they tell of."""

    def __init__(self, *, engine: Engine, config: NoticesConfig, domain: str, webhooks: bool = False) -> None:
        self._engine = engine
        self._config = config
        self._domain = domain  # of the Message-IDs
        self._webhooks = webhooks  # whether there are any

    async def findings(self, tx: Transaction, recorded: Sequence[Recorded], *, observe: bool) -> None:
        """Tell each customer of what is new among the recorded sightings, in one notice, and the operator of all.

        New places of what a customer knows of join their next digest; those of an observed source do not.
        """
        owed: dict[int, list[int]] = defaultdict(list)
        for sighting in recorded:
            if sighting.new_finding:
                owed[sighting.customer_id].append(sighting.finding_id)
        if not observe:
            await self._later(tx, recorded)
        if not owed:
            return
        held = await self._held(tx, len(owed), observe=observe)
        for customer_id, finding_ids in owed.items():
            await self._open(tx, NoticeKind.EXPOSURE, customer_id=customer_id, finding_ids=finding_ids, held=held)
        every = [number for numbers in owed.values() for number in numbers]
        await self._open(tx, NoticeKind.FINDING, finding_ids=every)
        await self._events(tx, OPENED, every)

    async def digests(self, tx: Transaction, told: Mapping[int, Mapping[int, datetime]]) -> None:
        """Tell customers in which new places keys were seen that they know of: by finding, since when."""
        held = await self._held(tx, len(told), observe=False) if told else None
        for customer_id, since in told.items():
            await self._open(tx, NoticeKind.DIGEST, customer_id=customer_id, finding_ids=since, held=held)

    async def remind(self, tx: Transaction, customer_id: int, finding_ids: Collection[int]) -> None:
        """Ask a customer again what became of these findings."""
        await self._open(tx, NoticeKind.REMINDER, customer_id=customer_id, finding_ids=finding_ids)

    async def reminders_left(self, tx: Transaction) -> int:
        """Return how many reminders may go now: as many as the breaker lets notices through, and none under `hold`."""
        window = timedelta(seconds=self._config.breaker.seconds)
        recent = await notices.count_since(tx, now() - window, (NoticeKind.REMINDER,))
        return 0 if self._config.hold else max(0, self._config.breaker.count - recent)

    async def test(self, tx: Transaction, customer_id: int) -> int:
        """Send a customer a notice that tells of nothing, on all their channels; return it. Nothing holds it."""
        return await self._open(tx, NoticeKind.TEST, customer_id=customer_id)

    async def summary(self, tx: Transaction) -> None:
        """Tell the operator how the last day was."""
        await self._open(tx, NoticeKind.SUMMARY)

    async def stop(self, tx: Transaction, notice_id: int) -> None:
        """Remind no more of what a notice tells of. It answers nothing."""
        ended = await reminders.stop(tx, notice_id)
        tx.on_commit(partial(log.info, "reminders stopped", notice=notice_id, notices=ended))

    async def answered(
        self, tx: Transaction, notice: Notice, word: Answer, *, finding_ids: Collection[int], remark: str
    ) -> None:
        """Write down what a customer says of findings; the operator is told at once of what may be our mistake."""
        await answers.give(tx, notice_id=notice.id, word=word, remark=remark, finding_ids=finding_ids, now=now())
        tx.on_commit(partial(log.info, "notice answered", notice=notice.id, answer=word.value))
        tx.on_commit(partial(metrics.answered, word))
        await self._events(tx, ANSWERED, finding_ids)
        if word is Answer.FALSE_ALARM:
            await self._doubt(tx, notice, finding_ids, remark)

    async def alarm(self, tx: Transaction, reason: str, detail: str, *, once: Once | None = None) -> None:
        """Tell the operator that something needs a person; what is told once is not told again for a while."""
        if once is not None:
            left_out = await self._left_out(tx, once)
            if left_out is None:
                return
            detail += f" Since the last alarm like this one there were {left_out} more." if left_out else ""
        log.error("alarm", reason=reason, detail=detail)
        await self._open(tx, NoticeKind.ALARM, alarm=reason, detail=detail)

    async def release(self, tx: Transaction, notice_ids: Sequence[int] | None = None) -> int:
        """Send what was held: these notices, or all of them. Returns how many deliveries go out."""
        return await self._send(tx, await notices.release(tx, notice_ids=notice_ids))

    async def drop(self, tx: Transaction, notice_ids: Sequence[int] | None, why: str) -> int:
        """Never send what was held: these notices, or all of them. Returns how many notices."""
        return await notices.drop(tx, notice_ids=notice_ids, why=why, now=now())

    async def retry(self, tx: Transaction, found: Sequence[NoticeState]) -> int:
        """Send now what was given up or waits for its next try, to where its customer is told by now.

        Returns how many deliveries are tried.
        """
        dead = [d.id for notice in found for d in notice.deliveries if d.state == notices.DEAD]
        waiting = [d.id for notice in found for d in notice.deliveries if d.state == notices.PENDING]
        again = await notices.revive(tx, dead)
        again += await notices.readdress(
            tx, [notice.id for notice in found], make_message_id=self._message_id, now=now()
        )
        await self._send(tx, again)
        await self._engine.hurry(tx, [delivery_key(number) for number in waiting])
        return len(again) + len(waiting)

    async def _doubt(self, tx: Transaction, notice: Notice, finding_ids: Collection[int], remark: str) -> None:
        """Tell the operator of what may be our mistake, unless each of these findings was so told of just now."""
        topics = [f"finding {number}" for number in sorted(finding_ids)] or [f"notice {notice.id}"]
        told = [Once(f"{topic} false alarm", timedelta(hours=1)) for topic in topics]
        if not any([await self._left_out(tx, once) is not None for once in told]):  # each is marked, so no generator
            return
        about = ", ".join(map(str, sorted(finding_ids)))
        said = f" They say: “{defang(remark, _REMARK)}”." if remark else ""
        detail = f"{notice.customer} calls a false alarm what notice {notice.id} says (findings: {about}).{said}"
        await self.alarm(tx, Answer.FALSE_ALARM.value, f"{detail} See `leakwatch notices show {notice.id}`.")

    async def _events(self, tx: Transaction, type_: str, finding_ids: Iterable[int]) -> None:
        """Tell the issuer's software, of each finding by itself. Nothing holds it: no customer hears of it."""
        if self._webhooks:
            for number in sorted(finding_ids):
                await self._open(tx, NoticeKind.EVENT, finding_ids=[number], alarm=type_)

    async def _later(self, tx: Transaction, recorded: Sequence[Recorded]) -> None:
        opened = {sighting.finding_id for sighting in recorded if sighting.new_finding}
        since: dict[int, datetime] = {}
        for sighting in recorded:
            if sighting.new_sighting and sighting.finding_id not in opened:
                since[sighting.finding_id] = min(sighting.seen_at, since.get(sighting.finding_id, sighting.seen_at))
        if since:
            await untold.note(tx, since, interval=timedelta(seconds=self._config.digest), now=now())

    def _message_id(self) -> str:
        return new_message_id(self._domain)

    async def _held(self, tx: Transaction, opening: int, *, observe: bool) -> str | None:
        window = timedelta(seconds=self._config.breaker.seconds)
        recent = await notices.count_since(tx, now() - window, _URGENT, held=(policy.BREAKER,))
        held = policy.hold_reason(
            hold=self._config.hold, observe=observe, recent=recent, opening=opening, breaker=self._config.breaker
        )
        if held == policy.BREAKER:
            await self._tell_of_breaker(tx, window)
        return held

    async def _tell_of_breaker(self, tx: Transaction, window: timedelta) -> None:
        """Tell once for each time that it trips, not once for each notice that it holds."""
        detail = (
            f"More than {self._config.breaker} notices to customers: from here on they are held. "
            "Look at them with `leakwatch notices list --held` and send them with `leakwatch notices release`."
        )
        await self.alarm(tx, policy.BREAKER, detail, once=Once("breaker", window))

    async def _send(self, tx: Transaction, delivery_ids: Sequence[int]) -> int:
        """Enqueue the jobs of deliveries; return how many are new."""
        return await self._engine.enqueue(tx, delivery_jobs(delivery_ids, await notices.elsewhere(tx, delivery_ids)))

    async def _left_out(self, tx: Transaction, once: Once) -> int | None:
        """Return how many alarms about the same were left out since the last; None: this one is left out as well."""
        name, counter, at = f"told:{once.about}", f"untold:{once.about}", now()
        told = await settings.moment(tx, name)
        count = int(await settings.get(tx, counter) or 0) if once.counted else 0
        if told is not None and at - once.window < told <= at:  # what was told in the future, was told by a wrong clock
            if once.counted:
                await settings.put(tx, counter, str(count + 1))
            return None
        await settings.put_moment(tx, name, at)
        if count:
            await settings.put(tx, counter, "0")
        return count

    async def _open(  # noqa: PLR0913 - a notice's own facts
        self,
        tx: Transaction,
        kind: NoticeKind,
        *,
        customer_id: int | None = None,
        finding_ids: Collection[int] | Mapping[int, datetime] = (),
        held: str | None = None,
        alarm: str = "",
        detail: str = "",
    ) -> int:
        opened = await notices.open_notice(
            tx,
            kind=kind,
            customer_id=customer_id,
            finding_ids=finding_ids,
            held=held,
            make_message_id=self._message_id,
            now=now(),
            alarm=alarm,
            detail=detail,
        )
        tx.on_commit(partial(metrics.notice_opened, kind, held))
        if kind.to_customer and not opened.delivery_ids:
            detail = f"Notice {opened.notice_id} ({kind}) reaches nobody: its customer has no channel."
            await self.alarm(tx, ChannelUnusable.reason, f"{detail} See `leakwatch customers list`.")
        if held is None:
            await self._send(tx, opened.delivery_ids)
        return opened.notice_id
