"""The job that sends one delivery and settles it.

Sent at least once: the delivery is marked only after the server's acceptance, in the transaction that completes its
job. Dying between the two sends it again, under the same Message-ID.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from leakwatch import metrics
from leakwatch.announce import DELIVER, Announcer, Once
from leakwatch.config import Config
from leakwatch.engine import Engine, Job, Queue, Retry
from leakwatch.engine.failures import judge
from leakwatch.errors import ChannelUnusable, DatabaseDown, DeliveryError, LeakwatchError
from leakwatch.model import Message, NoticeKind, now
from leakwatch.notify import Accepted, Channels, Composer, Links, Postmark, Returns, event, policy
from leakwatch.store import notices, parcels, reminders
from leakwatch.store.database import Database, Transaction
from leakwatch.store.notices import Taken
from leakwatch.store.parcels import Parcel
from leakwatch.together import Together

log: Final = structlog.get_logger(__name__)
_BASE: Final = 5.0  # seconds before the second try
_CEILING: Final = 3600.0  # seconds between two tries, at most
_AGAIN: Final = 1.0  # seconds until a database is tried again that is down
_FEW: Final = 10  # keys of a notice that is written at once: about a millisecond
_CHATS: Final = 8  # deliveries at once that go elsewhere than to the mail server
_FLOOD: Final = timedelta(hours=1)  # between two alarms of deliveries given up for one reason
_AHEAD: Final = 64  # deliveries in hand besides: read, written and settled together, while others are sent


class Relay:
    """Sends what is owed, one delivery at a time."""

    def __init__(  # noqa: PLR0913 - the parts, named once in app.py
        self,
        *,
        database: Database,
        engine: Engine,
        composer: Composer,
        channels: Channels,
        announcer: Announcer,
        redact: Callable[[str], str],
        links: Links | None = None,
        returns: Returns | None = None,
        reminders_after: Sequence[float] = (),
        operator_locale: str = "en",
    ) -> None:
        """Without `links` a notice can be answered by a reply alone; `reminders_after` are seconds."""
        self._database = database
        self._engine = engine
        self._composer = composer
        self._channels = channels
        self._announcer = announcer
        self._redact = redact
        self._links = links
        self._returns = returns
        self._reminders = reminders_after
        self._locale = operator_locale
        self._parcel = Together(self._parcels)
        self._settle = Together(self._settled)

    def queue(self, config: Config) -> Queue:
        """Return the queue of deliveries: tried for as long as the configuration says, then given up."""
        retry = Retry(base=_BASE, ceiling=_CEILING, limit=sys.maxsize, span=config.notices.retry_for)
        return Queue(
            name=DELIVER,
            handler=partial(self.handle, retry=retry),
            concurrency=2 * config.email.connections + _CHATS + _AHEAD,
            lane_concurrency=_CHATS,
            retry=retry,
            bury=self.bury,
            letters=False,  # the ledger keeps them
        )

    async def handle(self, job: Job, *, retry: Retry) -> None:
        """Send the delivery that a job names. Raises DeliveryError when it was not accepted."""
        parcel = await self._parcel(_number(job))
        if parcel is None or parcel.state != notices.PENDING:
            return  # sent by a try whose job was not settled, held again, or gone with its customer
        if policy.is_moot(parcel.notice):
            await self._withdraw(parcel, job)
            return
        if parcel.retired:
            raise ChannelUnusable(
                "the channel was retired before the notice went out", mend="`leakwatch notices retry`"
            )
        scheme = parcel.channel_url.partition(":")[0].lower()
        try:
            accepted = await self._send(parcel)
        except DeliveryError as error:
            metrics.delivered(scheme, error.reason)
            verdict = judge(error, attempts=job.attempts + 1, retry=retry, at=now(), since=job.created_at)
            if not verdict.given_up:
                await self._deferred(parcel, error)  # the last try is written down by `bury`
            raise
        said = self._redact(accepted.detail)
        taken = Taken(delivery_id=parcel.delivery_id, at=now(), code=accepted.code, detail=said)
        await self._settle((taken, job))
        metrics.delivered(scheme, metrics.OK)
        log.info("notice sent", delivery=parcel.delivery_id, code=accepted.code, detail=said)

    async def bury(self, tx: Transaction, job: Job, error: LeakwatchError) -> None:
        """Mark a delivery dead, in the transaction that gives its job up."""
        number = _number(job)
        code = error.code if isinstance(error, DeliveryError) else None
        said = self._redact(str(error))
        await notices.dead(tx, number, reason=error.reason, code=code, detail=said, now=now())
        log.error("notice given up", delivery=number, reason=error.reason, code=code, detail=said)
        customer, kind = await notices.addressee(tx, number)
        if customer is not None:
            what = "a test" if kind is NoticeKind.TEST else "notice of an exposed key"
            detail = f"{customer} does not get {what}: {error.reason}: {said}"
            once = Once(f"{error.reason} given up", _FLOOD, counted=True)  # one mistake of ours may refuse them all
            await self._announcer.alarm(tx, error.reason, f"{detail}. See `leakwatch notices list --dead`.", once=once)
        elif kind is NoticeKind.EVENT:  # what does not reach people must not make them more of the same
            detail = f"Your software is not told of a finding: {said}. See `leakwatch notices list --dead`."
            await self._announcer.alarm(tx, "webhook", detail, once=Once("webhook given up"))

    async def _send(self, parcel: Parcel) -> Accepted:
        """Compose and send, outside any transaction."""
        at, told = now(), parcel.notice  # now, not when it was opened: it may have been held since
        answering = self._links.answering(told.id, at) if self._links and told.kind.to_customer else None
        content: Message | str
        if told.kind is NoticeKind.EVENT:
            content = event(told, parcel.sightings)
        elif len(told.exposures) > _FEW:
            content = await asyncio.to_thread(self._composer.compose, told, parcel.sightings, answering)
        else:  # a thread would take longer to hand it over than we to write it
            content = self._composer.compose(told, parcel.sightings, answering)
        postmark = Postmark(
            message_id=parcel.message_id,
            in_reply_to=parcel.thread,
            date=at,
            return_path=self._returns.address(parcel.delivery_id) if self._returns else "",
            stop=answering.stop if answering and told.kind is NoticeKind.REMINDER else "",
        )
        return await self._channels.deliver(parcel.channel_url, content, postmark, trusted=not told.kind.to_customer)

    async def _parcels(self, delivery_ids: Sequence[int]) -> list[Parcel | None]:
        """Read what it takes to send these deliveries."""
        async with self._database.reading() as tx:
            found = await parcels.parcels(tx, delivery_ids, operator_locale=self._locale)
        return [found.get(number) for number in delivery_ids]

    async def _settled(self, done: Sequence[tuple[Taken, Job]]) -> list[None]:
        """Write down what servers took, however long the database is down: else it would be sent again."""
        taken = [one for one, _ in done]
        while True:
            with suppress(DatabaseDown):
                async with self._database.transaction() as tx:
                    await notices.accepted(tx, taken)
                    if self._reminders:
                        first = timedelta(seconds=self._reminders[0])
                        await reminders.start(tx, {one.delivery_id: one.at + first for one in taken})
                    await self._engine.complete(tx, *(job for _, job in done))
                return [None] * len(done)
            await asyncio.sleep(_AGAIN)

    async def _withdraw(self, parcel: Parcel, job: Job) -> None:
        async with self._database.transaction() as tx:
            await notices.withdrawn(tx, parcel.delivery_id)
            await self._engine.complete(tx, job)
        log.info("notice withdrawn: what it asks has been answered", delivery=parcel.delivery_id)

    async def _deferred(self, parcel: Parcel, error: DeliveryError) -> None:
        """Write down a try that is followed by another."""
        reason, code, detail = error.reason, error.code, self._redact(str(error))
        async with self._database.transaction() as tx:
            await notices.deferred(tx, parcel.delivery_id, reason=reason, code=code, detail=detail, now=now())
        tried = parcel.attempts + 1
        log.warning("notice deferred", delivery=parcel.delivery_id, tried=tried, reason=reason, detail=detail)


def _number(job: Job) -> int:
    return int(job.payload)
