from collections.abc import Callable, Sequence
from itertools import count

import pytest

from leakwatch.model import NoticeKind
from leakwatch.store import findings, notices, parcels, registry
from leakwatch.store.database import Database, Transaction
from leakwatch.store.notices import OpenedNotice, Taken
from tests.integration.store.making import after, register, registration, seen


@pytest.fixture
async def ann(database: Database) -> int:
    """A customer with two channels and two keys; the operator has one channel, bob another customer's key."""
    async with database.transaction() as tx:
        hook = ("json://hook.example",)
        await register(tx, [registration("ann", n, locale="fr", channels=hook) for n in (1, 2)])
        await register(tx, [registration("bob", 3)])
        await registry.operator_channels(tx, ["mailto:soc@example.org"])
        owner = await registry.customer_named(tx, "ann")
    assert owner is not None
    return owner.id


def _numbered() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"<{next(numbers)}@example.org>"


_next_id = _numbered()


async def _find(tx: Transaction, document: int = 1, keys: Sequence[int] = (0,)) -> list[int]:
    registered = await registry.keys(tx)
    return [r.finding_id for r in await findings.record(tx, [seen(registered[k].id, document) for k in keys])]


async def _open(
    tx: Transaction, customer_id: int | None, finding_ids: Sequence[int] = (), *, held: str | None = None, at: float = 0
) -> OpenedNotice:
    kind = NoticeKind.FINDING if customer_id is None else NoticeKind.EXPOSURE
    return await notices.open_notice(
        tx,
        kind=kind,
        customer_id=customer_id,
        finding_ids=finding_ids,
        held=held,
        make_message_id=_next_id,
        now=after(at),
    )


async def test_a_notice_has_a_delivery_for_each_channel_with_its_own_message_id(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        found = await _find(tx, keys=(0, 1))
        opened = await _open(tx, ann, [*found, *found])
        owed = [await parcels.parcel(tx, number) for number in opened.delivery_ids]
        exposures = await findings.exposures(tx, found)
    assert {p.channel_url for p in owed if p} == {"mailto:ann@example.org", "json://hook.example"}
    assert len({p.message_id for p in owed if p}) == 2
    for parcel in owed:
        assert parcel is not None
        assert (parcel.state, parcel.thread, parcel.attempts) == ("pending", None, 0)
        assert (parcel.notice.customer, parcel.notice.locale, parcel.notice.kind) == ("ann", "fr", NoticeKind.EXPOSURE)
        assert parcel.notice.created_at == after(0)
        assert parcel.notice.exposures == tuple(exposures)
        assert parcel.sightings == dict.fromkeys(found, 1)


async def test_a_retired_channel_is_told_no_more(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        await registry.operator_channels(tx, [])
        assert (await _open(tx, None)).delivery_ids == ()


async def test_the_operator_hears_whose_keys_were_found(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        opened = await _open(tx, None, await _find(tx, keys=(0, 2)))
        [delivery] = opened.delivery_ids
        parcel = await parcels.parcel(tx, delivery, operator_locale="de")
    assert parcel is not None
    assert (parcel.channel_url, parcel.notice.customer, parcel.notice.locale) == (
        "mailto:soc@example.org",
        "ann, bob",
        "de",
    )
    assert len(parcel.notice.exposures) == 2


async def test_an_alarm_says_its_reason(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        opened = await notices.open_notice(
            tx,
            kind=NoticeKind.ALARM,
            customer_id=None,
            finding_ids=(),
            held=None,
            make_message_id=_next_id,
            now=after(0),
            alarm="blocked",
            detail="403 from pastes",
        )
        parcel = await parcels.parcel(tx, opened.delivery_ids[0])
        assert await parcels.parcel(tx, 12345) is None
    assert parcel is not None
    told = parcel.notice
    assert (told.alarm, told.detail, told.customer, told.locale) == ("blocked", "403 from pastes", "", "en")
    assert told.exposures == ()


async def test_a_notice_names_the_newest_places_and_counts_all(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        [key, *_] = await registry.keys(tx)
        many = [seen(key.id, n, at=n, title=f"paste {n}") for n in range(parcels.PLACES + 5)]
        finding_id = (await findings.record(tx, many))[0].finding_id
        parcel = await parcels.parcel(tx, (await _open(tx, ann, [finding_id])).delivery_ids[0])
    assert parcel is not None
    [exposure] = parcel.notice.exposures
    assert len(exposure.places) == parcels.PLACES
    assert exposure.places[0].title == f"paste {parcels.PLACES + 4}"
    assert parcel.sightings == {finding_id: parcels.PLACES + 5}


async def test_later_notices_answer_the_first_about_the_finding_on_the_same_channel(
    database: Database, ann: int
) -> None:
    async with database.transaction() as tx:
        first_finding, other_finding = await _find(tx, keys=(0, 1))
        first = await _open(tx, ann, [first_finding])
        unrelated = await _open(tx, ann, [other_finding])
        operators = await _open(tx, None, [first_finding])
        later = [await _open(tx, ann, [first_finding]) for _ in range(2)]
        began = {p.channel_url: p.message_id for d in first.delivery_ids if (p := await parcels.parcel(tx, d))}
        for notice in later:
            for delivery in notice.delivery_ids:
                parcel = await parcels.parcel(tx, delivery)
                assert parcel is not None
                assert parcel.thread == began[parcel.channel_url]
        for delivery in (*unrelated.delivery_ids, *operators.delivery_ids):
            parcel = await parcels.parcel(tx, delivery)
            assert parcel is not None
            assert parcel.thread is None


async def test_what_is_held_waits_until_it_is_released(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        held = [await _open(tx, ann, held="observe"), await _open(tx, ann, held="breaker")]
        sent = await _open(tx, ann)
        parcel = await parcels.parcel(tx, held[0].delivery_ids[0])
        assert parcel is not None
        assert parcel.state == "held"
        assert await notices.release(tx, notice_ids=[]) == []
        assert await notices.release(tx, notice_ids=[held[0].notice_id, sent.notice_id]) == [*held[0].delivery_ids]
        assert [n.id for n in await notices.notices(tx, held_only=True)] == [held[1].notice_id]
        assert await notices.release(tx) == [*held[1].delivery_ids]
        assert await notices.release(tx) == []
        assert {d.state for n in await notices.notices(tx) for d in n.deliveries} == {"pending"}


async def test_what_is_held_can_be_dropped_for_good_with_the_reason_in_the_ledger(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        held = [await _open(tx, ann, held="observe"), await _open(tx, ann, held="breaker")]
        sent = await _open(tx, ann)
        both = [held[0].notice_id, sent.notice_id]
        assert await notices.drop(tx, notice_ids=both, why="not a leak", now=after(1)) == 1
        assert [n.id for n in await notices.notices(tx, held_only=True)] == [held[1].notice_id]
        dropped = await notices.one(tx, held[0].notice_id)
        assert dropped is not None
        assert dropped.held == "dropped"
        assert {(d.state, d.reason, d.detail) for d in dropped.deliveries} == {("dropped", "dropped", "not a leak")}
        tries = await notices.attempts(tx, held[0].delivery_ids)
        assert [[(t.reason, t.detail) for t in made] for made in tries.values()] == [[("dropped", "not a leak")]] * len(
            held[0].delivery_ids
        )
        assert await notices.drop(tx, why="again", now=after(1)) == 1
        assert await notices.release(tx) == []
        await registry.add_customer(tx, name="ann", locale="en", channels=["mailto:new@example.org"])
        every = [one.notice_id for one in held]
        assert await notices.readdress(tx, every, make_message_id=lambda: "<9@issuer.example>", now=after(1)) == []


async def test_the_breaker_counts_one_kind_in_its_window(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        for at in (0, 10, 20):
            await _open(tx, ann, at=at, held="breaker" if at else None)
        await _open(tx, None, at=20)
        assert await notices.count_since(tx, after(10), (NoticeKind.EXPOSURE,), held=("breaker",)) == 2
        assert await notices.count_since(tx, after(10), (NoticeKind.EXPOSURE,)) == 0
        assert await notices.count_since(tx, after(21), (NoticeKind.EXPOSURE,)) == 0


async def test_every_try_is_in_the_ledger(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        opened = await _open(tx, ann)
        done, lost = opened.delivery_ids
        await notices.deferred(tx, done, reason="mail_deferred", code=451, detail="later", now=after(1))
        await notices.accepted(tx, [Taken(delivery_id=done, at=after(2), code=250, detail="ok")])
        await notices.dead(tx, lost, reason="mail_refused", code=550, detail="no such user", now=after(3))
        notice = await notices.one(tx, opened.notice_id)
        tries = await notices.attempts(tx, opened.delivery_ids)
    assert notice is not None
    first, second = notice.deliveries
    assert (first.state, first.attempts, first.code, first.reason, first.accepted_at) == (
        "accepted",
        2,
        250,
        None,
        after(2),
    )
    assert (second.state, second.attempts, second.code, second.reason, second.detail) == (
        "dead",
        1,
        550,
        "mail_refused",
        "no such user",
    )
    assert [(a.at, a.reason, a.code) for a in tries[done]] == [(after(1), "mail_deferred", 451), (after(2), None, 250)]
    assert [(a.at, a.reason, a.code) for a in tries[lost]] == [(after(3), "mail_refused", 550)]


@pytest.mark.parametrize("later", [notices.deferred, notices.dead])
async def test_what_was_accepted_stays_so(database: Database, ann: int, later: Callable[..., object]) -> None:
    async with database.transaction() as tx:
        delivery, _ = (await _open(tx, ann)).delivery_ids
        await notices.accepted(tx, [Taken(delivery_id=delivery, at=after(1), code=250, detail=None)])
        await later(tx, delivery, reason="mail_unreachable", code=None, detail="late", now=after(2))  # type: ignore[misc] # either of two
        parcel = await parcels.parcel(tx, delivery)
        tries = await notices.attempts(tx, [delivery])
    assert parcel is not None
    assert parcel.state == "accepted"
    assert len(tries[delivery]) == 2


async def test_only_the_dead_are_revived(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        alive, lost = (await _open(tx, ann)).delivery_ids
        await notices.dead(tx, lost, reason="mail_refused", code=550, detail="", now=after(1))
        assert await notices.revive(tx, [alive, lost, 12345]) == [lost]
        assert await notices.revive(tx, [alive, lost]) == []
        parcel = await parcels.parcel(tx, lost)
    assert parcel is not None
    assert (parcel.state, parcel.attempts) == ("pending", 1)


async def test_notices_are_listed_newest_first(database: Database, ann: int) -> None:
    async with database.transaction() as tx:
        found = await _find(tx)
        first, second = await _open(tx, ann, found), await _open(tx, None, found)
        await notices.dead(tx, second.delivery_ids[0], reason="mail_refused", code=550, detail="", now=after(1))
        listed = await notices.notices(tx)
        assert [n.id for n in await notices.notices(tx, state=notices.DEAD)] == [second.notice_id]
        assert [n.id for n in await notices.notices(tx, limit=1)] == [second.notice_id]
        assert await notices.one(tx, 12345) is None
    assert [(n.id, n.customer, n.kind, n.findings) for n in listed] == [
        (second.notice_id, "", NoticeKind.FINDING, tuple(found)),
        (first.notice_id, "ann", NoticeKind.EXPOSURE, tuple(found)),
    ]
    assert [d.id for d in listed[1].deliveries] == list(first.delivery_ids)
