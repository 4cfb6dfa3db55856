import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from leakwatch.announce import Announcer, delivery_jobs
from leakwatch.config import Config
from leakwatch.engine import Job, Retry
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import (
    ChannelFailed,
    ChannelUnusable,
    DeliveryError,
    JobCrashed,
    LeakwatchError,
    MailDeferred,
    MailRefused,
    MailUnreachable,
)
from leakwatch.model import Answer, Message, NoticeKind, now
from leakwatch.notify import Accepted, Channels, Composer, Issuer, Links, Postmark, Returns, new_message_id
from leakwatch.relay import Relay
from leakwatch.scan import Scanner, shipped
from leakwatch.signing import Signer
from leakwatch.store import findings, notices, parcels, registry
from leakwatch.store.database import Database
from tests.installation import customers
from tests.integration.smtp.server import Mailbox, eventually, free_port, serving
from tests.integration.store.making import register, registration, seen

SCANNER = Scanner(shipped())
COMPOSER = Composer(Issuer(name="Issuer", sender="s@issuer.example", reply_to="s@issuer.example"), {})


@dataclass
class Sent:
    """What a channel was asked to send."""

    url: str
    message: Any
    postmark: Postmark
    trusted: bool

    @property
    def message_id(self) -> str:
        return self.postmark.message_id

    @property
    def in_reply_to(self) -> str | None:
        return self.postmark.in_reply_to


@dataclass
class Scripted:
    """Channels that answer as they are told, then accept."""

    answers: list[DeliveryError | Accepted] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    async def deliver(self, channel_url: str, message: Message | str, postmark: Postmark, *, trusted: bool) -> Accepted:
        self.sent.append(Sent(channel_url, message, postmark, trusted))
        answer = self.answers.pop(0) if self.answers else Accepted(code=250, detail="queued")
        if isinstance(answer, DeliveryError):
            raise answer
        return answer


@dataclass
class House:
    """A relay with what it works on."""

    database: Database
    channels: Any
    engine: EmbeddedEngine
    relay: Relay
    announcer: Announcer

    async def owe(self, *, kind: NoticeKind = NoticeKind.EXPOSURE, held: str | None = None, locale: str = "en") -> int:
        """Owe one notice on one channel, with its job, and return the delivery."""
        async with self.database.transaction() as tx:
            await register(tx, [registration("acme", locale=locale)])
            await registry.operator_channels(tx, ["mailto:soc@issuer.example"])
            (key,) = await registry.keys(tx)
            (recorded, *_) = await findings.record(tx, [seen(key.id)])
            customer = recorded.customer_id if kind.to_customer else None
            opened = await notices.open_notice(
                tx,
                kind=kind,
                customer_id=customer,
                finding_ids=[recorded.finding_id],
                held=held,
                make_message_id=lambda: new_message_id("issuer.example"),
                now=now(),
            )
            await self.engine.enqueue(tx, delivery_jobs(opened.delivery_ids))
        (delivery_id,) = opened.delivery_ids
        return delivery_id

    async def handle(self, delivery_id: int, *, attempts: int = 0, locale: str = "en") -> None:
        relay = built(self.database, self.channels, operator_locale=locale).relay if locale != "en" else self.relay
        await relay.handle(job(delivery_id, attempts), retry=Retry(limit=3))

    async def bury(self, delivery_id: int, error: LeakwatchError) -> None:
        async with self.database.transaction() as tx:
            await self.relay.bury(tx, job(delivery_id), error)

    async def alarms(self) -> list[notices.NoticeState]:
        async with self.database.reading() as tx:
            return [n for n in reversed(await notices.notices(tx)) if n.kind is NoticeKind.ALARM]

    async def state(self, delivery_id: int) -> notices.Delivery:
        async with self.database.reading() as tx:
            (found,) = [d for n in await notices.notices(tx) for d in n.deliveries if d.id == delivery_id]
        return found

    async def tried(self, delivery_id: int) -> list[tuple[str | None, int | None]]:
        async with self.database.reading() as tx:
            made = await notices.attempts(tx, [delivery_id])
        return [(a.reason, a.code) for a in made.get(delivery_id, [])]


@pytest.fixture
def house(database: Database) -> House:
    return built(database, Scripted())


@pytest.fixture
def sqlite_house(sqlite_database: Database) -> House:
    return built(sqlite_database, Scripted())


async def test_a_delivery_is_sent_and_settled(house: House) -> None:
    number = await house.owe()
    await house.handle(number)
    state = await house.state(number)
    assert (state.state, state.code, state.detail, state.attempts) == ("accepted", 250, "queued", 1)
    assert await house.tried(number) == [(None, 250)]
    (sent,) = house.channels.sent
    assert sent.url == "mailto:acme@example.org"
    assert sent.message_id == state.message_id
    assert not sent.trusted
    assert "key 0" in sent.message.subject


async def test_what_is_not_owed_is_not_sent(sqlite_house: House) -> None:
    house = sqlite_house
    held = await house.owe(held="hold")
    await house.handle(held)
    await house.handle(4711)
    assert not house.channels.sent
    assert (await house.state(held)).state == "held"


async def test_a_delivery_is_not_sent_twice(sqlite_house: House) -> None:
    house = sqlite_house
    number = await house.owe()
    await house.handle(number)
    await house.handle(number)  # its process died before the job was settled
    assert len(house.channels.sent) == 1


async def test_a_failure_is_written_down_and_raised(house: House) -> None:
    house.channels.answers = [MailDeferred("busy", mend="later", code=450)]
    number = await house.owe()
    with pytest.raises(MailDeferred):
        await house.handle(number)
    state = await house.state(number)
    assert (state.state, state.reason, state.code, state.detail) == ("pending", "mail_deferred", 450, "busy: later")
    await house.handle(number, attempts=1)
    assert await house.tried(number) == [("mail_deferred", 450), (None, 250)]
    first, second = house.channels.sent
    assert first.message_id == second.message_id


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(MailRefused("no such user", code=550), 0), (MailUnreachable("still down"), 2), (ChannelUnusable("no"), 0)],
)
async def test_the_last_try_is_written_down_once(house: House, error: DeliveryError, attempts: int) -> None:
    house.channels.answers = [error]
    number = await house.owe()
    with pytest.raises(DeliveryError):
        await house.handle(number, attempts=attempts)
    assert await house.tried(number) == []
    async with house.database.transaction() as tx:
        await house.relay.bury(tx, job(number, attempts), error)
    state = await house.state(number)
    assert (state.state, state.reason, state.code) == ("dead", error.reason, error.code)
    assert await house.tried(number) == [(error.reason, error.code)]


async def test_a_delivery_under_which_the_process_died_is_buried(sqlite_house: House) -> None:
    house = sqlite_house
    number = await house.owe()
    async with house.database.transaction() as tx:
        await house.relay.bury(tx, job(number), JobCrashed("three times"))
    assert (await house.state(number)).reason == "crashed"


async def test_the_operator_is_trusted_and_told_in_their_language(sqlite_house: House) -> None:
    house = sqlite_house
    number = await house.owe(kind=NoticeKind.FINDING)
    await house.handle(number, locale="fr")
    (sent,) = house.channels.sent
    assert sent.trusted
    assert sent.url == "mailto:soc@issuer.example"
    assert sent.message.subject.startswith("Clé exposée : acme")


async def test_the_customer_is_told_in_theirs(sqlite_house: House) -> None:
    house = sqlite_house
    await house.handle(await house.owe(locale="fr-CA"))
    assert "publique" in house.channels.sent[0].message.subject


async def test_a_customer_gets_a_link_and_the_operator_none(sqlite_house: House) -> None:
    links = Links("https://leakwatch.issuer.example", Signer([b"s" * 32]), valid=60.0)
    house = built(sqlite_house.database, Scripted(), links)
    number = await house.owe()
    await house.handle(number)
    await house.handle(await house.owe(kind=NoticeKind.FINDING))
    to_customer, to_operator = house.channels.sent
    [token] = re.findall(r"https://leakwatch\.issuer\.example/a/([\w-]+)\n", to_customer.message.text)
    opened = links.notice(token)
    assert opened is not None
    assert opened.number == 1
    assert "/a/" not in to_operator.message.text + to_operator.message.html


async def test_a_reminder_goes_out_with_an_end_and_the_first_is_due_from_acceptance_on(sqlite_house: House) -> None:
    links = Links("https://leakwatch.issuer.example", Signer([b"s" * 32]), valid=60.0)
    house = built(sqlite_house.database, Scripted(), links, reminders_after=[3600.0])
    number = await house.owe()
    await house.handle(number)
    async with house.database.reading() as tx:
        [first] = await notices.notices(tx)
    assert first.remind_at is not None
    assert timedelta(minutes=59) < first.remind_at - now() <= timedelta(hours=1)
    await house.handle(await house.owe(kind=NoticeKind.REMINDER))
    exposure, reminder = house.channels.sent
    assert exposure.postmark.stop == ""
    assert links.stopped(reminder.postmark.stop.rpartition("/")[2]) is not None
    assert reminder.postmark.stop in reminder.message.text
    assert not reminder.trusted


async def test_each_mail_has_a_return_path_of_its_own(sqlite_house: House) -> None:
    returns = Returns("bounces@issuer.example", Signer([b"s" * 32]))
    house = built(sqlite_house.database, Scripted(), returns=returns)
    numbers = [await house.owe(), await house.owe(kind=NoticeKind.FINDING)]
    for number in numbers:
        await house.handle(number)
    assert [returns.delivery(sent.postmark.return_path) for sent in house.channels.sent] == numbers


async def test_a_reminder_of_what_was_answered_meanwhile_is_withdrawn(house: House) -> None:
    number = await house.owe(kind=NoticeKind.REMINDER)
    async with house.database.transaction() as tx:
        await findings.close(tx, [1], now())
    await house.handle(number)
    assert house.channels.sent == []
    assert (await house.state(number)).state == "withdrawn"
    await house.handle(number)
    assert house.channels.sent == []


async def test_a_later_notice_answers_the_first(sqlite_house: House) -> None:
    house = sqlite_house
    first = await house.owe()
    again = await house.owe()
    await house.handle(first)
    await house.handle(again)
    one, other = house.channels.sent
    assert one.in_reply_to is None
    assert other.in_reply_to == one.message_id


async def test_a_settlement_that_fails_leaves_all_as_it_was(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = sqlite_house
    number = await house.owe()

    async def broken(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(house.engine, "complete", broken)
    with pytest.raises(OSError, match="full"):
        await house.handle(number)
    assert (await house.state(number)).state == "pending"  # it is sent again, under the same Message-ID


async def test_the_engine_retries_until_the_server_is_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakwatch.relay._BASE", 0.01)
    house.channels.answers = [MailUnreachable("down"), MailUnreachable("down"), MailDeferred("busy", code=451)]
    number = await house.owe()
    async with working(house):
        await eventually(lambda: reached(house, number, "accepted"))
    tried = await house.tried(number)
    assert tried == [("mail_unreachable", None), ("mail_unreachable", None), ("mail_deferred", 451), (None, 250)]
    async with house.database.reading() as tx:
        assert await house.engine.dead(tx) == []
        assert await house.engine.live(tx) == []


@pytest.mark.parametrize("last", [True, False])
async def test_a_key_in_what_the_peer_says_is_stored_masked(sqlite_house: House, last: bool) -> None:
    house, [customer] = sqlite_house, customers(1, seed=50)
    said = f"could not relay: {customer.key}"
    house.channels.answers = [MailRefused(said, code=550) if last else MailDeferred(said, code=450)]
    number = await house.owe()
    async with working(house):
        await eventually(lambda: was_tried(house, number))
    async with house.database.reading() as tx:
        tries = (await notices.attempts(tx, [number]))[number]
        told = [n.detail for n in await notices.notices(tx)]
    assert "could not relay: " in str(tries[0].detail)
    assert customer.key not in repr((tries, told, await house.state(number)))


async def test_a_key_in_an_acceptance_is_stored_masked(sqlite_house: House) -> None:
    house, [customer] = sqlite_house, customers(1, seed=51)
    house.channels.answers = [Accepted(code=250, detail=f"queued as {customer.key}")]
    number = await house.owe()
    await house.handle(number)
    detail = str((await house.state(number)).detail)
    assert detail.startswith("queued as ")
    assert customer.key not in detail


async def test_what_is_refused_is_given_up_and_the_operator_told(house: House) -> None:
    house.channels.answers = [MailRefused("550 no such user", code=550)]
    number = await house.owe()
    async with working(house):
        await eventually(lambda: reached(house, number, "dead"))
        await eventually(lambda: len(house.channels.sent) == 2)
    state = await house.state(number)
    assert (state.reason, state.code) == ("mail_refused", 550)
    told = house.channels.sent[1]
    assert told.url == "mailto:soc@issuer.example"
    assert told.message.subject == "A customer could not be told of an exposed key"
    assert "acme does not get notice of an exposed key" in " ".join(told.message.text.split())
    async with house.database.reading() as tx:
        assert await house.engine.dead(tx) == []  # the ledger of notices is where it is seen and retried


async def test_what_is_given_up_for_one_reason_is_an_alarm_an_hour_and_the_next_counts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [await house.owe() for _ in range(7)]
    for number in numbers[:5]:
        await house.bury(number, MailRefused("550 relaying denied", code=550))
    assert [alarm.alarm for alarm in await house.alarms()] == ["mail_refused"]
    await house.bury(numbers[5], ChannelUnusable("gone"))
    assert [alarm.alarm for alarm in await house.alarms()] == ["mail_refused", "channel_unusable"]
    later = now() + timedelta(minutes=61)
    monkeypatch.setattr("leakwatch.announce.now", lambda: later)
    for n in range(2):
        await house.bury(numbers[6], MailRefused("550 relaying denied", code=550))
        assert len(await house.alarms()) == 3, n
    assert (await house.alarms())[2].detail.endswith("Since the last alarm like this one there were 4 more.")
    assert "more" not in (await house.alarms())[0].detail


async def test_the_issuers_software_is_told_of_each_finding_and_of_its_answer(house: House) -> None:
    house = built(house.database, Scripted(), webhooks=True)
    async with house.database.transaction() as tx:
        await register(tx, [registration("acme", n) for n in range(2)])
        await registry.operator_channels(tx, ["mailto:soc@issuer.example", "webhook:tickets"])
        recorded = await findings.record(tx, [seen(key.id) for key in await registry.keys(tx)])
        await house.announcer.findings(tx, recorded, observe=True)
        told = await parcels.told(tx, 1)
        assert told is not None
        await house.announcer.answered(tx, told[0], Answer.REVOKED, finding_ids=[2], remark="")
    async with working(house):
        await eventually(lambda: len(house.channels.sent) == 4)
    sent = {s.url: [e for e in house.channels.sent if e.url == s.url] for s in house.channels.sent}
    assert len(sent["mailto:soc@issuer.example"]) == 1  # one notice for people, one event each for programs
    events = [json.loads(str(e.message)) for e in sorted(sent["webhook:tickets"], key=lambda e: e.postmark.date)]
    assert sorted((e["type"], e["data"]["id"]) for e in events) == [
        ("finding.answered", 2),
        ("finding.opened", 1),
        ("finding.opened", 2),
    ]
    assert all(e.trusted for e in house.channels.sent)
    assert len({e.message_id for e in house.channels.sent}) == 4


async def test_software_that_is_not_told_is_an_alarm_once(sqlite_house: House) -> None:
    house = sqlite_house
    house.channels.answers = [ChannelUnusable("nobody listens there", code=410) for _ in range(2)]
    async with house.database.transaction() as tx:
        await register(tx, [registration("acme", n) for n in range(2)])
        await registry.operator_channels(tx, ["mailto:soc@issuer.example", "webhook:tickets"])
        recorded = await findings.record(tx, [seen(key.id) for key in await registry.keys(tx)])
        await built(house.database, Scripted(), webhooks=True).announcer._events(tx, "finding.opened", [1, 2])
        assert recorded
    async with working(house):
        await eventually(lambda: len(house.channels.sent) == 3)
    assert house.channels.sent[2].message.subject == "leakwatch needs you: webhook"


async def test_what_does_not_reach_the_operator_makes_no_more_of_it(sqlite_house: House) -> None:
    house = sqlite_house
    house.channels.answers = [MailRefused("550 no such user", code=550)]
    number = await house.owe(kind=NoticeKind.FINDING)
    async with working(house):
        await eventually(lambda: reached(house, number, "dead"))
    async with house.database.reading() as tx:
        assert [n.kind for n in await notices.notices(tx)] == [NoticeKind.FINDING]


async def test_a_mail_server_that_comes_up_gets_what_was_owed(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.relay._BASE", 0.05)
    port, box = free_port(), Mailbox(greylist=True)
    settings = config(smtp=f"smtp+insecure://127.0.0.1:{port}")
    channels = Channels(settings.email, None)
    house = built(sqlite_database, channels)
    number = await house.owe()

    async def down() -> bool:
        return bool(await house.tried(number))

    async with working(house):
        await eventually(down)
        async with serving(box, port=port):
            await eventually(lambda: reached(house, number, "accepted"))
            await channels.close()
    reasons = [reason for reason, _ in await house.tried(number)]
    assert reasons[0] == "mail_unreachable"
    assert reasons[-2:] == ["mail_deferred", None]
    ((_, recipients, mail),) = box.received
    assert recipients == ["acme@example.org"]
    assert mail["Message-ID"] == (await house.state(number)).message_id


async def test_a_delivery_that_is_asked_to_wait_is_given_up_in_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.relay._BASE", 0.01)
    asked = ChannelFailed("not now", code=503, retry_after=86_400.0)
    house.channels.answers = [MailUnreachable("down"), asked]
    number = await house.owe()
    async with working(house, retry_for="1h"):
        await eventually(lambda: reached(house, number, "dead"))
    assert await house.tried(number) == [("mail_unreachable", None), ("channel_failed", 503)]
    assert (await house.state(number)).attempts == 2


async def test_a_delivery_is_tried_for_as_long_as_the_configuration_says_from_when_its_job_was_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.relay._BASE", 0.01)
    monkeypatch.setattr("leakwatch.relay._CEILING", 0.1)
    house.channels.answers = [MailUnreachable("down") for _ in range(1000)]
    number = await house.owe()
    async with working(house, retry_for="3s"):
        await eventually(lambda: reached(house, number, "dead"))
    tried = await house.state(number)
    assert tried.attempts > 2
    async with house.database.transaction() as tx:
        assert await house.announcer.retry(tx, await notices.notices(tx, state="dead")) == 1
    async with working(house, retry_for="3s"):  # it has as long again
        await eventually(lambda: reached(house, number, "dead"))
    assert (await house.state(number)).attempts > tried.attempts + 2


def test_the_queue_follows_the_configuration() -> None:
    house = built(Database("sqlite://"), Scripted())
    queue = house.relay.queue(config(connections=7, retry_for="1h"))
    assert queue.name == "deliver"
    assert queue.concurrency > 7
    assert queue.retry.span == 3600.0
    assert queue.bury is not None


def built(
    database: Database, channels: Any, links: Links | None = None, *, webhooks: bool = False, **more: Any
) -> House:
    engine = EmbeddedEngine(database, poll=0.05)
    announcer = Announcer(engine=engine, config=config().notices, domain="issuer.example", webhooks=webhooks)
    relay = Relay(
        database=database,
        engine=engine,
        composer=COMPOSER,
        channels=channels,
        announcer=announcer,
        redact=SCANNER.redact,
        links=links,
        **more,
    )
    return House(database=database, channels=channels, engine=engine, relay=relay, announcer=announcer)


def job(delivery_id: int, attempts: int = 0) -> Job:
    return Job(id=1, queue="deliver", payload=str(delivery_id).encode(), lane="", attempts=attempts, picks=1)


def config(smtp: str = "smtps://mail.issuer.example", connections: int = 2, retry_for: str = "3d") -> Config:
    return Config.model_validate(
        {
            "database": {"url": "sqlite://"},
            "http": {"user_agent": "test (+https://issuer.example)"},
            "email": {"from": "s@issuer.example", "smtp": smtp, "connections": connections},
            "notices": {"retry_for": retry_for},
        }
    )


async def was_tried(house: House, delivery_id: int) -> bool:
    return bool(await house.tried(delivery_id))


async def reached(house: House, delivery_id: int, state: str) -> bool:
    return (await house.state(delivery_id)).state == state


@asynccontextmanager
async def working(house: House, retry_for: str = "3d") -> AsyncIterator[None]:
    """Run an engine."""
    house = built(house.database, house.channels)
    house.engine.serve(house.relay.queue(config(retry_for=retry_for)))
    running = asyncio.create_task(house.engine.run())
    try:
        yield
    finally:
        await house.engine.stop(5)
        await running
