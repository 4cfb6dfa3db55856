"""Digests and reminders: when they are owed, to whom, and when no more. Time is moved by moving what is stored."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from leakwatch import announce, followup
from leakwatch.announce import Announcer
from leakwatch.config import NoticesConfig
from leakwatch.engine import Job
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.errors import JobFailed
from leakwatch.followup import FOLLOW_UP, FollowUp
from leakwatch.model import Answer, Exposure, NoticeKind, now
from leakwatch.store import answers, findings, notices, parcels, registry, reminders, sources
from leakwatch.store.database import Database
from leakwatch.store.findings import Recorded
from leakwatch.store.notices import NoticeState, Taken
from leakwatch.store.tables import notice, untold
from leakwatch.units import Rate
from tests.integration.smtp.server import eventually
from tests.integration.store.making import register, registration, seen

DAY = timedelta(days=1)
NO_JOB = Job(id=0, queue=FOLLOW_UP, payload=b"", lane="", attempts=0, picks=1)


@dataclass
class House:
    """What follows up, with what it works on."""

    database: Database
    engine: EmbeddedEngine
    announcer: Announcer
    follow_up: FollowUp

    async def seen(self, keys: Sequence[int] = (0,), *, document: int = 1, observe: bool = False) -> list[Recorded]:
        """Record that these of ann's keys, numbered from 0, were seen in a document, and open what that calls for."""
        async with self.database.transaction() as tx:
            await register(tx, [registration("ann", n) for n in range(3)] + [registration("bob", 9)])
            await registry.operator_channels(tx, ["mailto:soc@issuer.example"])
            registered = [k.id for k in await registry.keys(tx)]
            at = (now() - datetime(2026, 1, 1, tzinfo=now().tzinfo)).total_seconds()
            recorded = await findings.record(tx, [seen(registered[k], document=document, at=at) for k in keys])
            await self.announcer.findings(tx, recorded, observe=observe)
        return recorded

    async def arrive(self) -> None:
        """Have every mail that is owed accepted, as the relay does it."""
        async with self.database.transaction() as tx:
            for told in await notices.notices(tx):
                for delivery in told.deliveries:
                    if delivery.state == notices.PENDING:
                        await notices.accepted(tx, [Taken(delivery_id=delivery.id, at=now(), code=250, detail="")])
                        await reminders.start(tx, {delivery.id: now() + DAY})

    async def answer(self, *finding_ids: int, word: Answer = Answer.ACKNOWLEDGED) -> None:
        async with self.database.transaction() as tx:
            await answers.give(tx, notice_id=1, word=word, remark="", finding_ids=finding_ids, now=now())

    async def go_round(self) -> None:
        await self.follow_up.go_round(NO_JOB)

    async def pass_time(self, span: timedelta) -> None:
        """Let all that is due be due so much sooner, and all that was told have been told so much longer ago."""
        async with self.database.transaction() as tx:
            for table, column in ((notice, "remind_at"), (notice, "created_at"), (untold, "due_at")):
                key = table.primary_key.columns[0]
                for row in (await tx.execute(select(key, table.c[column]).where(table.c[column].is_not(None)))).all():
                    await tx.execute(update(table).where(key == row[0]).values({column: row[1] - span}))

    async def told(self, kind: NoticeKind) -> list[NoticeState]:
        async with self.database.reading() as tx:
            return [n for n in reversed(await notices.notices(tx)) if n.kind is kind]

    async def read(self, number: int) -> tuple[tuple[Exposure, ...], dict[int, int]]:
        """What the reader of a notice is told."""
        async with self.database.reading() as tx:
            found = await parcels.told(tx, number)
        assert found is not None
        return found[0].exposures, found[1]

    async def jobs(self) -> list[str]:
        async with self.database.reading() as tx:
            return [job.queue for job in await self.engine.live(tx)]


def built(database: Database, **settings: Any) -> House:
    facts = {"reminders": [1 * 86400.0, 2 * 86400.0], "operator": ["mailto:soc@issuer.example"]}
    config = NoticesConfig.model_validate({**facts, **settings})
    engine = EmbeddedEngine(database, poll=0.05)
    announcer = Announcer(engine=engine, config=config, domain="issuer.example")
    follow_up = FollowUp(database=database, engine=engine, announcer=announcer, config=config)
    return House(database, engine, announcer, follow_up)


@pytest.fixture
def house(database: Database) -> House:
    return built(database)


@pytest.fixture
def sqlite_house(sqlite_database: Database) -> House:
    return built(sqlite_database)


# --- digests


async def test_new_places_within_the_interval_are_told_in_one_digest_at_its_end(house: House) -> None:
    await house.seen((0, 1))
    await house.arrive()
    await house.seen((0,), document=2)
    await house.seen((0, 1), document=3)
    await house.pass_time(timedelta(hours=23))
    await house.go_round()
    assert await house.told(NoticeKind.DIGEST) == []

    await house.pass_time(timedelta(hours=1))
    await house.go_round()
    [digest] = await house.told(NoticeKind.DIGEST)
    assert (digest.customer, digest.findings, digest.held) == ("ann", (1, 2), None)
    exposures, counts = await house.read(digest.id)
    assert [len(e.places) for e in exposures] == [2, 1]  # the new places alone
    assert counts == {1: 2, 2: 1}
    assert "deliver" in await house.jobs()

    await house.go_round()
    assert len(await house.told(NoticeKind.DIGEST)) == 1


async def test_a_place_after_a_long_silence_is_told_at_once(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    await house.arrive()
    await house.pass_time(5 * DAY)
    await house.seen(document=2)
    await house.go_round()
    assert len(await house.told(NoticeKind.DIGEST)) == 1
    await house.seen(document=3)
    await house.go_round()
    assert len(await house.told(NoticeKind.DIGEST)) == 1  # and the next one an interval later


async def test_what_is_told_in_one_notice_needs_no_digest(sqlite_house: House) -> None:
    house = sqlite_house
    async with house.database.transaction() as tx:
        await register(tx, [registration("ann")])
        [key] = await registry.keys(tx)
        recorded = await findings.record(tx, [seen(key.id, document=n) for n in range(3)])
        await house.announcer.findings(tx, recorded, observe=False)
    await house.pass_time(5 * DAY)
    await house.go_round()
    assert await house.told(NoticeKind.DIGEST) == []


@pytest.mark.parametrize("word", [Answer.REVOKED, Answer.FALSE_ALARM])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_who_says_that_a_key_is_revoked_hears_no_more_of_it(house: House, word: Answer, when: str) -> None:
    await house.seen((0, 1))
    await house.arrive()
    if when == "before":
        await house.answer(1, word=word)
    await house.seen((0, 1), document=2)
    if when == "after":
        await house.answer(1, word=word)
    await house.pass_time(DAY)
    await house.go_round()
    [digest] = await house.told(NoticeKind.DIGEST)
    assert digest.findings == (2,)


async def test_who_only_knows_of_it_hears_of_new_places(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    await house.answer(1)
    await house.seen(document=2)
    await house.pass_time(DAY)
    await house.go_round()
    assert len(await house.told(NoticeKind.DIGEST)) == 1


async def test_an_observed_source_tells_nothing_by_a_digest(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    await house.seen(document=2, observe=True)
    await house.pass_time(5 * DAY)
    await house.go_round()
    assert await house.told(NoticeKind.DIGEST) == []


async def test_who_has_not_been_told_of_the_key_gets_no_digest(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen(observe=True)  # held
    await house.seen(document=2)
    await house.pass_time(5 * DAY)
    await house.go_round()
    assert await house.told(NoticeKind.DIGEST) == []
    [exposure] = await house.told(NoticeKind.EXPOSURE)
    [told], _ = await house.read(exposure.id)
    assert len(told.places) == 2  # it names both places once it is released


async def test_a_digest_answers_the_first_mail(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    await house.arrive()
    await house.seen(document=2)
    await house.pass_time(DAY)
    await house.go_round()
    [first], [digest] = await house.told(NoticeKind.EXPOSURE), await house.told(NoticeKind.DIGEST)
    async with house.database.reading() as tx:
        parcel = await parcels.parcel(tx, digest.deliveries[0].id)
    assert parcel is not None
    assert parcel.thread == first.deliveries[0].message_id


async def test_the_breaker_holds_digests_too(sqlite_database: Database) -> None:
    house = built(sqlite_database, breaker=Rate(1, 3600.0))
    await house.seen((0,))
    await house.arrive()
    await house.pass_time(5 * DAY)
    await house.seen((3,))  # bob's, and the one notice of this hour
    await house.seen((0,), document=2)
    await house.go_round()
    [digest] = await house.told(NoticeKind.DIGEST)
    assert digest.held == "breaker"
    assert [n.alarm for n in await house.told(NoticeKind.ALARM)] == ["breaker"]


# --- reminders


async def test_reminders_come_at_growing_intervals_and_end(house: House) -> None:
    await house.seen((0, 1))
    sent = []
    for _ in range(10):
        await house.arrive()
        await house.pass_time(DAY)
        await house.go_round()
        sent.append(len(await house.told(NoticeKind.REMINDER)))
    assert sent == [1, 1, 2, 2, 2, 2, 2, 2, 2, 2]  # after one day, two more days later, and no more
    [first] = await house.told(NoticeKind.EXPOSURE)
    assert (first.reminders, first.remind_at, first.reminders_ended) == (2, None, "exhausted")
    [alarm] = await house.told(NoticeKind.ALARM)
    assert alarm.alarm == "unanswered"
    assert "ann has not answered notice 1, nor 2 reminders of it: 2 findings are open" in alarm.detail


async def test_what_a_customer_never_answered_is_an_alarm_that_names_all_of_it(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen((0,))
    await house.seen((1, 2), document=2)
    await house.seen((3,), document=3)
    for _ in range(6):
        await house.arrive()
        await house.pass_time(DAY)
        await house.go_round()
    details = [alarm.detail for alarm in await house.told(NoticeKind.ALARM)]
    assert sorted(detail.partition(" findings")[0] for detail in details) == [
        "ann has not answered notices 1, 3, nor any reminder of them: 3",
        "bob has not answered notice 5, nor 2 reminders of it: 1",
    ]


async def test_what_a_customer_never_answered_later_that_day_is_an_alarm_too(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen((0,))
    await house.arrive()
    await house.pass_time(timedelta(hours=1))
    await house.seen((1,), document=2)
    for _ in range(130):
        await house.arrive()
        await house.pass_time(timedelta(hours=1))
        await house.go_round()
    details = [alarm.detail for alarm in await house.told(NoticeKind.ALARM)]
    assert [detail.partition(",")[0] for detail in details] == [
        "ann has not answered notice 1",
        "ann has not answered notice 3",
    ]


@pytest.mark.parametrize("how", ["answered", "closed", "retired"])
async def test_an_answer_or_the_operator_ends_reminders(house: House, how: str) -> None:
    await house.seen((0, 1))
    await house.arrive()
    await house.answer(2)
    await house.pass_time(DAY)
    await house.go_round()
    [reminder] = await house.told(NoticeKind.REMINDER)
    assert reminder.findings == (1,)  # of what has not been answered

    await house.arrive()
    if how == "answered":
        await house.answer(1, word=Answer.REVOKED)
    else:
        async with house.database.transaction() as tx:
            [key, *_] = await registry.keys(tx)
            await (findings.close(tx, [1], now()) if how == "closed" else registry.retire_keys(tx, [key.id]))
    await house.pass_time(5 * DAY)
    await house.go_round()
    assert len(await house.told(NoticeKind.REMINDER)) == 1
    [first] = await house.told(NoticeKind.EXPOSURE)
    assert (first.remind_at, first.reminders_ended) == (None, "answered")
    assert await house.told(NoticeKind.ALARM) == []


async def test_what_a_customer_owes_an_answer_to_is_one_reminder(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen((0,))
    await house.seen((1,), document=2)
    await house.seen((3,), document=3)
    await house.arrive()
    await house.pass_time(DAY)
    await house.go_round()
    assert sorted((n.customer, n.findings) for n in await house.told(NoticeKind.REMINDER)) == [
        ("ann", (1, 2)),
        ("bob", (3,)),
    ]


async def test_the_clock_starts_when_a_server_takes_the_notice(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    await house.pass_time(30 * DAY)
    await house.go_round()
    assert await house.told(NoticeKind.REMINDER) == []
    await house.arrive()
    await house.go_round()
    assert await house.told(NoticeKind.REMINDER) == []
    await house.pass_time(DAY)
    await house.go_round()
    assert len(await house.told(NoticeKind.REMINDER)) == 1


async def test_reminders_do_not_pile_up_behind_a_mail_server_that_is_down(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    await house.arrive()
    for _ in range(5):
        await house.pass_time(2 * DAY)
        await house.go_round()
    assert len(await house.told(NoticeKind.REMINDER)) == 1  # the first still waits to be sent
    await house.arrive()
    await house.pass_time(DAY)
    await house.go_round()
    assert len(await house.told(NoticeKind.REMINDER)) == 2


async def test_a_closed_finding_that_opens_again_is_a_new_notice_with_reminders_of_its_own(
    sqlite_house: House,
) -> None:
    house = sqlite_house
    await house.seen()
    await house.arrive()
    await house.answer(1, word=Answer.REVOKED)
    async with house.database.transaction() as tx:
        await findings.close(tx, [1], now())
    await house.seen(document=2)
    await house.arrive()
    await house.pass_time(DAY)
    await house.go_round()
    assert len(await house.told(NoticeKind.EXPOSURE)) == 2
    assert len(await house.told(NoticeKind.REMINDER)) == 1


async def test_hold_holds_what_follows_too(sqlite_database: Database) -> None:
    house = built(sqlite_database)
    await house.seen()
    await house.arrive()
    await house.seen(document=2)
    await house.pass_time(5 * DAY)
    held = built(sqlite_database, hold=True)
    await held.go_round()
    assert await house.told(NoticeKind.REMINDER) == await house.told(NoticeKind.DIGEST) == []
    await house.go_round()
    assert len(await house.told(NoticeKind.DIGEST)) == 1
    assert await house.told(NoticeKind.REMINDER) == []  # nobody gets two mails at once
    await house.arrive()
    await house.pass_time(DAY)
    await house.go_round()
    assert len(await house.told(NoticeKind.REMINDER)) == 1


async def test_no_more_reminders_go_than_the_breaker_lets_through(sqlite_database: Database) -> None:
    house = built(sqlite_database, breaker=Rate(1, 3600.0))
    await house.seen((0,))
    await house.pass_time(DAY)
    await house.seen((3,))
    await house.arrive()
    await house.pass_time(DAY)
    await house.go_round()
    await house.go_round()
    assert len(await house.told(NoticeKind.REMINDER)) == 1
    await house.arrive()
    await house.pass_time(timedelta(hours=2))
    await house.go_round()
    assert len(await house.told(NoticeKind.REMINDER)) == 2
    assert await house.told(NoticeKind.ALARM) == []


# --- the operator


def at_seven(monkeypatch: pytest.MonkeyPatch, hour: int, minute: int = 0, day: int = 2) -> datetime:
    """Make it a time of day."""
    at = datetime(2027, 3, day, hour, minute, tzinfo=UTC)
    monkeypatch.setattr(followup, "now", lambda: at)
    monkeypatch.setattr(announce, "now", lambda: at)
    return at


async def test_a_summary_comes_once_a_day_at_its_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    for day, hour in ((1, 23), (2, 6), (2, 7), (2, 8), (3, 6), (3, 9), (6, 12), (6, 13)):
        at_seven(monkeypatch, hour, day=day)
        await house.seen(document=1)  # makes sure of the operator's channel
        await house.go_round()
        sent.append(len(await house.told(NoticeKind.SUMMARY)))
    assert sent == [0, 0, 1, 1, 1, 2, 3, 3]  # none at the first start; after days away one for all of them


async def test_no_summary_unless_wanted(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    house = built(sqlite_database, summary="")
    for day in (1, 2, 3):
        at_seven(monkeypatch, 12, day=day)
        await house.go_round()
    assert await house.told(NoticeKind.SUMMARY) == []


async def test_a_summary_counts_what_happened_since_the_last_and_how_things_are(house: House) -> None:
    async with house.database.transaction() as tx:
        await registry.operator_channels(tx, ["mailto:soc@issuer.example"])
        await house.announcer.summary(tx)
    await house.pass_time(DAY)
    await house.seen((0, 1))
    await house.arrive()
    await house.answer(1, word=Answer.FALSE_ALARM)
    async with house.database.transaction() as tx:
        [told] = [n.id for n in await notices.notices(tx) if n.kind is NoticeKind.EXPOSURE]
        await house.announcer.stop(tx, told)
    await house.seen((0, 1), document=2)
    await house.seen((3,), document=2, observe=True)
    async with house.database.transaction() as tx:
        await sources.ensure(tx, ["pastes", "good", "blind", "gone", "gone-blind"], now())
        await sources.failed(tx, "pastes", reason="blocked", detail="", now=now())
        await sources.failed(tx, "gone", reason="blocked", detail="", now=now())
        await sources.canary(tx, "gone-blind", missing="not there", now=now())
        await sources.ensure(tx, ["pastes", "good", "blind"], now())  # the others are configured no more
        await sources.canary(tx, "blind", missing="not there", now=now())
        await house.announcer.summary(tx)
        [last, _] = [n for n in await notices.notices(tx) if n.kind is NoticeKind.SUMMARY]
        parcel = await parcels.parcel(tx, last.deliveries[0].id)
    assert parcel is not None
    day = parcel.notice.summary
    assert day is not None
    assert timedelta(hours=23) < day.until - day.since < timedelta(hours=25)
    assert (day.found, day.places, day.sent, day.bounced) == (3, 5, 1, 0)
    assert day.answers == {Answer.FALSE_ALARM: 1}
    assert day.stopped == 1
    assert (day.open, day.unanswered, day.held, day.dead) == (3, 2, 1, 0)
    assert day.waiting == 2  # the operator's own: this one, and the word of the last finding
    assert day.failing == (("pastes", "blocked"),)
    assert day.doubtful == (("blind", "canary_lost"),)


async def test_notices_that_queue_up_are_an_alarm_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.seen()
    await house.go_round()
    assert await house.told(NoticeKind.ALARM) == []
    later = now() + timedelta(minutes=31)
    monkeypatch.setattr(followup, "now", lambda: later)
    for _ in range(2):
        await house.go_round()
    [alarm] = await house.told(NoticeKind.ALARM)
    assert alarm.alarm == "notices_late"
    assert alarm.detail.startswith("2 notices wait to be sent")


async def test_an_alarm_when_nothing_is_accepted_any_more(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    [exposure] = await house.told(NoticeKind.EXPOSURE)
    number = exposure.deliveries[0].id
    facts = {"reason": "mail_unreachable", "code": None, "detail": "", "now": now()}
    for tries in range(6):
        await house.go_round()
        assert bool(await house.told(NoticeKind.ALARM)) == (tries == 5)
        async with house.database.transaction() as tx:
            await notices.deferred(tx, number, **facts)  # type: ignore[arg-type] # as named
    [alarm] = await house.told(NoticeKind.ALARM)
    assert alarm.alarm == "notices_fail"
    assert "None of 5 tries" in alarm.detail
    assert "mail_unreachable" in alarm.detail


async def test_one_that_is_accepted_is_no_reason_for_an_alarm(sqlite_house: House) -> None:
    house = sqlite_house
    await house.seen()
    facts = {"reason": "mail_refused", "code": 550, "detail": "", "now": now()}
    [exposure] = await house.told(NoticeKind.EXPOSURE)
    async with house.database.transaction() as tx:
        for _ in range(9):
            await notices.deferred(tx, exposure.deliveries[0].id, **facts)  # type: ignore[arg-type] # as named
    await house.arrive()
    await house.go_round()
    assert await house.told(NoticeKind.ALARM) == []


async def test_a_test_goes_out_whatever_is_held(sqlite_database: Database) -> None:
    house = built(sqlite_database, hold=True)
    await house.seen()
    async with house.database.transaction() as tx:
        owner = await registry.customer_named(tx, "ann")
        assert owner is not None
        number = await house.announcer.test(tx, owner.id)
    [test] = await house.told(NoticeKind.TEST)
    assert (test.id, test.held, test.customer, test.findings) == (number, None, "ann", ())
    assert [d.state for d in test.deliveries] == ["pending"]
    await house.arrive()
    await house.pass_time(30 * DAY)
    await built(sqlite_database).go_round()
    assert await house.told(NoticeKind.REMINDER) == []


# --- rounds


async def test_rounds_go_on_by_themselves_and_there_is_one(house: House) -> None:
    for _ in range(2):
        async with house.database.transaction() as tx:
            await house.follow_up.begin(tx)
    assert await house.jobs() == [FOLLOW_UP]
    house.engine.serve(house.follow_up.queue())
    house.follow_up._pause = 0.01
    await house.seen()
    await house.arrive()
    await house.pass_time(DAY)
    work = asyncio.create_task(house.engine.run())

    async def reminded() -> bool:
        return bool(await house.told(NoticeKind.REMINDER))

    await eventually(reminded)
    await house.engine.stop(5)
    await work
    assert (await house.jobs()).count(FOLLOW_UP) == 1


async def test_a_round_that_dies_leaves_nothing_half_done(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    await house.seen()
    await house.arrive()
    await house.seen(document=2)
    await house.pass_time(DAY)

    async def dies(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(house.engine, "complete", dies)
    with pytest.raises(OSError):  # noqa: PT011 - ours
        await house.go_round()
    monkeypatch.undo()
    assert await house.told(NoticeKind.REMINDER) == await house.told(NoticeKind.DIGEST) == []
    await house.go_round()
    assert len(await house.told(NoticeKind.DIGEST)) == 1


async def test_a_round_that_is_given_up_is_an_alarm_and_another_follows(sqlite_house: House) -> None:
    house = sqlite_house
    bury = house.follow_up.queue().bury
    assert bury is not None
    async with house.database.transaction() as tx:
        await registry.operator_channels(tx, ["mailto:soc@issuer.example"])
        await bury(tx, NO_JOB, JobFailed("a bug"))
    assert [n.alarm for n in await house.told(NoticeKind.ALARM)] == ["unexpected"]
    assert FOLLOW_UP in await house.jobs()


async def test_more_than_one_round_can_do_is_done_in_the_next_ones(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = sqlite_house
    monkeypatch.setattr(followup, "_MOST", 1)
    await house.seen((0, 3))
    await house.arrive()
    await house.seen((0, 3), document=2)
    await house.pass_time(DAY)
    for rounds in (1, 2):
        await house.go_round()
        assert len(await house.told(NoticeKind.DIGEST)) == rounds


@pytest.mark.parametrize(
    ("settings", "pause"),
    [({}, 60.0), ({"digest": "1s", "reminders": ["2s"]}, 0.2), ({"reminders": [], "digest": "5m"}, 30.0)],
)
def test_rounds_are_as_often_as_the_shortest_interval_needs(settings: dict[str, Any], pause: float) -> None:
    assert built(Database("sqlite://"), **settings).follow_up._pause == pause
