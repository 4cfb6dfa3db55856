"""Who watches the watching, against a real database and a site on loopback: what is told, and when."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from leakwatch import metrics
from leakwatch.announce import Announcer
from leakwatch.config import HttpConfig, NoticesConfig
from leakwatch.demo import PasteSite
from leakwatch.fetch import Canary, Session, Source
from leakwatch.match import digest_text
from leakwatch.model import now
from leakwatch.scan import Scanner
from leakwatch.store import sources
from leakwatch.store.sources import Seen, SourceState
from leakwatch.store.tables import notice
from leakwatch.store.tables import source as source_table
from leakwatch.watchman import Watchman
from tests.installation import customers, source_named
from tests.integration.flow.conftest import Flow


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    http = HttpConfig(user_agent="leakwatch (a@b.example)", allow_networks=["127.0.0.0/8"])
    async with Session(http) as session:
        yield session


@pytest.fixture
def watchman(flow: Flow, session: Session, scanner: Scanner, executor: ThreadPoolExecutor) -> Watchman:
    config = NoticesConfig(operator=["mailto:soc@issuer.example"])
    return Watchman(
        watched=flow.watched,
        database=flow.database,
        session=session,
        announcer=Announcer(engine=flow.engine, config=config, domain="issuer.example"),
        scanner=scanner,
        digester=flow.digester,
        executor=executor,
    )


async def alarms(flow: Flow) -> list[tuple[str, str]]:
    """Word and paragraph of each alarm, oldest first."""
    query = select(notice.c.alarm, notice.c.detail).where(notice.c.kind == "alarm").order_by(notice.c.id)
    async with flow.database.reading() as tx:
        return [(row.alarm, row.detail) for row in await tx.execute(query)]


async def state(flow: Flow, name: str) -> SourceState:
    async with flow.database.reading() as tx:
        return next(s for s in await sources.overview(tx) if s.name == name)


async def test_a_source_that_nobody_polls_is_told_once(flow: Flow, watchman: Watchman) -> None:
    await flow.add(source_named("forgotten"))
    await watchman.look()
    assert await alarms(flow) == []
    async with flow.database.transaction() as tx:
        await tx.execute(update(source_table).values(next_poll_at=now() - timedelta(hours=2)))
    for _ in range(2):
        await watchman.look()
    [(word, detail)] = await alarms(flow)
    assert word == "overdue"
    assert "Source forgotten: it was due" in detail


async def test_a_source_that_falls_silent_for_much_longer_than_ever_is_told(flow: Flow, watchman: Watchman) -> None:
    await flow.add(source_named("silent"))
    begin = now() - timedelta(days=2)
    async with flow.database.transaction() as tx:
        for number in range(12):
            at = begin + timedelta(minutes=number)
            seen = Seen(news=1, gap=False, left=0, quota=9, wire=1, interval=60.0)
            await sources.polled(tx, "silent", checkpoint=None, now=at, seen=seen)
        await sources.postpone(tx, "silent", now() + timedelta(minutes=1))
    await watchman.look()
    [(word, detail)] = await alarms(flow)
    assert word == "quiet"
    assert "nothing new for" in detail


async def test_states_are_metrics(flow: Flow, watchman: Watchman) -> None:
    await flow.add(source_named("shown"))
    async with flow.database.transaction() as tx:
        seen = Seen(news=1, gap=False, left=0, quota=9, wire=1, interval=60.0)
        await sources.polled(tx, "shown", checkpoint=None, now=now(), seen=seen)
    await watchman.look()
    value = metrics.REGISTRY.get_sample_value
    assert value("leakwatch_source_state", {"source": "shown", "state": "ok"}) == 1
    assert value("leakwatch_source_quota", {"source": "shown"}) == 9
    flow.watched.clear()
    await watchman.look()
    assert value("leakwatch_source_state", {"source": "shown", "state": "ok"}) is None


def with_canary(site: PasteSite, key: str, path: str = "/raw/0") -> Source:
    canary = Canary(url=f"{site.url}{path}", digest=digest_text(key), every=3600.0)
    return source_named("watched", site.url, canary=canary)


async def test_a_canary_is_found_and_matched_as_any_document(flow: Flow, watchman: Watchman, site: PasteSite) -> None:
    [owner] = customers(1, seed=61)
    site.publish("canary", f"T = {owner.key}")
    await flow.add(with_canary(site, owner.key))
    await watchman.look()
    found = await state(flow, "watched")
    assert found.canary is None
    assert found.canary_at is not None
    assert await alarms(flow) == []


@pytest.mark.parametrize(
    ("path", "says"),
    [("/raw/7", "404"), ("/raw/0", "the key is not in it (0 others are)"), ("/none", "404")],
)
async def test_a_canary_that_is_not_found_is_told_once_and_looked_for_again(
    flow: Flow, watchman: Watchman, site: PasteSite, path: str, says: str
) -> None:
    [owner] = customers(1, seed=62)
    site.publish("canary", "nothing here")
    source = with_canary(site, owner.key, path)
    site.gone.add(7)
    site.pastes += [("x", "x")] * 7
    await flow.add(source)
    await watchman.look()
    await watchman.look()
    [(word, detail)] = await alarms(flow)
    assert word == "canary_lost"
    assert says in detail
    found = await state(flow, "watched")
    assert says in (found.canary or "")
    assert owner.key not in detail
