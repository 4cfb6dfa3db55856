import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import NoResultFound

from leakwatch.store import sources
from leakwatch.store.database import Database
from leakwatch.store.sources import Claim, Seen, SourceState, Start
from tests.integration.store.making import after

UNKNOWN: dict[str, Any] = {
    "bytes": 0,
    "interval": None,
    "news_at": None,
    "news": 0,
    "lull": 0.0,
    "latency": None,
    "gaps": 0,
    "gap_at": None,
    "left": 0,
    "missed": 0,
    "missed_at": None,
    "quota": None,
    "canary_at": None,
    "canary": None,
    "fetched": 0,
    "gone": 0,
    "refused": 0,
    "missing": 0,
    "missing_reason": None,
    "waiting": 0,
    "lfs": 0,
    "submodules": 0,
    "pushed_at": None,
}


def seen(news: int, **more: Any) -> Seen:
    return Seen(**{"news": news, "gap": False, "left": 0, "quota": None, "wire": 10, "interval": 60.0, **more})


@pytest.fixture
async def name(database: Database) -> str:
    async with database.transaction() as tx:
        await sources.ensure(tx, ["pastes", "other"], after(0))
    return "pastes"


async def _state(database: Database, name: str) -> SourceState:
    async with database.reading() as tx:
        [state] = [s for s in await sources.overview(tx) if s.name == name]
    return state


async def test_a_new_source_is_due_and_an_old_one_is_left_alone(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        await sources.ensure(tx, [], after(9))
        await sources.ensure(tx, {"third", name}, after(9))
        states = {s.name: s.next_poll_at for s in await sources.overview(tx)}
    assert states == {"other": after(0), "pastes": after(0), "third": after(9)}


async def test_a_poll_is_claimed_once_an_interval(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        assert await sources.claim(tx, name, 60, after(5)) == Claim(claimed=True, next_poll_at=after(65))
        assert await sources.claim(tx, name, 60, after(64.9)) == Claim(claimed=False, next_poll_at=after(65))
        assert await sources.claim(tx, name, 60, after(65)) == Claim(claimed=True, next_poll_at=after(125))
        with pytest.raises(NoResultFound):
            await sources.claim(tx, "nobody's", 60, after(0))


async def test_of_several_nodes_one_claims(database: Database, name: str) -> None:
    async def node() -> bool:
        async with database.transaction() as tx:
            return (await sources.claim(tx, name, 60, after(1))).claimed

    assert sorted(await asyncio.gather(*(node() for _ in range(5)))) == [False] * 4 + [True]


async def test_a_poll_is_put_off_but_never_brought_forward(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        await sources.postpone(tx, name, after(100))
        await sources.postpone(tx, name, after(50))
    assert (await _state(database, name)).next_poll_at == after(100)


async def test_a_checkpoint_stays_until_the_next(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        assert await sources.start(tx, name) == Start(checkpoint=None, interval=None)
        await sources.polled(tx, name, checkpoint=b"sealed", now=after(1))
        await sources.polled(tx, name, checkpoint=None, now=after(2))
        assert (await sources.start(tx, name)).checkpoint == b"sealed"
        await sources.polled(tx, name, checkpoint=b"next", now=after(3))
        assert (await sources.start(tx, name)).checkpoint == b"next"


async def test_failures_are_counted_until_a_poll_works(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        assert not await sources.polled(tx, name, checkpoint=None, now=after(1))
        first = await sources.failed(tx, name, reason="blocked", detail="403", now=after(2))
        assert (first.failures, first.told) == (1, False)
        await sources.alarmed(tx, name, after(3))
        second = await sources.failed(tx, name, reason="timed_out", detail="20 s", now=after(3))
        assert (second.failures, second.told) == (2, True)
    failing = await _state(database, name)
    assert (failing.failures, failing.reason, failing.detail) == (2, "timed_out", "20 s")
    assert (failing.polled_at, failing.succeeded_at, failing.alarmed_at) == (after(3), after(1), after(3))
    async with database.transaction() as tx:
        assert await sources.polled(tx, name, checkpoint=None, now=after(4))
        assert not await sources.polled(tx, name, checkpoint=None, now=after(5))
        await sources.scanned(tx, name, 7)
        await sources.scanned(tx, name, 5)
    assert await _state(database, name) == SourceState(
        name=name,
        next_poll_at=after(0),
        polled_at=after(5),
        succeeded_at=after(5),
        failures=0,
        reason=None,
        detail=None,
        alarmed_at=None,
        polls=5,
        documents=12,
        **UNKNOWN,
    )


async def test_a_source_is_learnt_from_its_polls(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        assert await sources.interval(tx, name) is None
        for at, news in ((0, 3), (60, 0), (120, 0), (180, 1), (240, 1)):
            await sources.polled(tx, name, checkpoint=None, now=after(at), seen=seen(news))
        await sources.polled(tx, name, checkpoint=None, now=after(300), seen=seen(0, gap=True, left=2, quota=7))
        assert await sources.interval(tx, name) == (await sources.start(tx, name)).interval == 60.0
    state = await _state(database, name)
    assert (state.news, state.news_at, state.bytes) == (3, after(240), 60)
    assert state.lull == pytest.approx(180 * 0.98)  # the longest, faded by one news
    assert (state.gaps, state.gap_at, state.left, state.quota) == (1, after(300), 2, 7)


async def test_time_in_which_nobody_looked_is_no_lull(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        await sources.polled(tx, name, checkpoint=None, now=after(0), seen=seen(1))
        await sources.polled(tx, name, checkpoint=None, now=after(90_000), seen=seen(1))
    assert (await _state(database, name)).lull == 0.0


async def test_latency_is_smoothed_and_canaries_are_kept(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        await sources.scanned(tx, name, 1, 100.0)
        await sources.scanned(tx, name, 1, 200.0)
        await sources.scanned(tx, name, 1)
        await sources.canary(tx, name, missing="gone", now=after(1))
    state = await _state(database, name)
    assert state.latency == pytest.approx(110.0)
    assert (state.canary, state.canary_at) == ("gone", after(1))


async def test_failures_are_counted_by_reason(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        for reason in ("blocked", "timed_out", "timed_out"):
            await sources.failed(tx, name, reason=reason, detail="", now=after(1))
        assert await sources.errors(tx, name) == {"timed_out": 2, "blocked": 1}
        assert await sources.errors(tx, "other") == {}
