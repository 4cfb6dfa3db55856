"""Who watches the watching, against a real database and a site on loopback: what is told, and when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from leakwatch import metrics
from leakwatch.announce import Announcer
from leakwatch.config import HttpConfig, NoticesConfig
from leakwatch.definitions import DocumentPlace
from leakwatch.demo import PasteSite
from leakwatch.fetch import Canary, Session, Source
from leakwatch.match import digest_text
from leakwatch.model import now
from leakwatch.pepper import Pepper
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
def watchman(flow: Flow, session: Session) -> Watchman:
    config = NoticesConfig(operator=["mailto:soc@issuer.example"])
    return Watchman(
        watched=flow.watched,
        database=flow.database,
        engine=flow.engine,
        session=session,
        announcer=Announcer(engine=flow.engine, config=config, domain="issuer.example"),
        pipeline=flow.pipeline,
        pepper=Pepper(b"p" * 32),
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


async def sought(flow: Flow, watchman: Watchman) -> None:
    """Let the watchman look, and the engine do what it asks for."""
    before = (await state(flow, "watched")).canary_at
    flow.engine.serve(watchman.queue())
    async with flow.working():
        await watchman.look()

        async def is_done() -> bool:
            return (await state(flow, "watched")).canary_at != before

        for _ in range(400):
            if await is_done():
                return
            await asyncio.sleep(0.025)
        pytest.fail("nobody looked for the canary")


@pytest.mark.parametrize(("hidden", "listed"), [(0, True), (1, False)], ids=["listed", "listed no more"])
async def test_a_canary_is_found_by_its_listing_while_that_shows_it(
    flow: Flow, watchman: Watchman, site: PasteSite, *, hidden: int, listed: bool
) -> None:
    [owner] = customers(1, seed=61)
    site.publish("canary", f"T = {owner.key}")
    site.publish("newer", "nothing")
    site.hidden = hidden
    source = with_canary(site, owner.key)
    await flow.add(source)
    assert await watchman.find(source) is listed
    await sought(flow, watchman)
    found = await state(flow, "watched")
    assert found.canary is None
    assert found.canary_at is not None
    assert found.documents == 0  # it counts as none
    assert await alarms(flow) == []


async def test_a_canary_whose_text_stands_in_the_listing_is_found_there(
    flow: Flow, watchman: Watchman, site: PasteSite
) -> None:
    [owner] = customers(1, seed=61)
    site.publish(f"T = {owner.key}", "the text is elsewhere")
    plain = with_canary(site, owner.key)
    fields = plain.definition.fields.model_copy(update={"text": "a"})
    source = replace(plain, definition=plain.definition.model_copy(update={"fields": fields}))
    await flow.add(source)
    assert await watchman.find(source) is True


async def test_a_canary_that_is_named_by_its_page_is_read_where_its_text_is(
    flow: Flow, watchman: Watchman, site: PasteSite
) -> None:
    [owner] = customers(1, seed=61)
    site.publish("canary", f"T = {owner.key}")
    site.publish("newer", "nothing")
    site.hidden = 1
    plain = with_canary(site, owner.key, "/show/0")
    place = DocumentPlace(url="{base_url}/raw/{id}", page="{base_url}/show/{id}")
    source = replace(plain, definition=plain.definition.model_copy(update={"document": place}))
    await flow.add(source)
    assert await watchman.find(source) is False


async def test_a_canary_where_a_listing_names_a_place_with_others_in_it_is_read_at_its_own_address(
    flow: Flow, watchman: Watchman, site: PasteSite
) -> None:
    [owner] = customers(1, seed=61)
    site.publish("canary", f"T = {owner.key}")
    plain = with_canary(site, owner.key)
    place = plain.definition.document.model_copy(update={"opens": "git"})
    source = replace(plain, definition=plain.definition.model_copy(update={"document": place}))
    await flow.add(source)
    assert await watchman.find(source) is True


async def test_a_listing_that_cannot_be_read_hides_its_canary(flow: Flow, watchman: Watchman, site: PasteSite) -> None:
    [owner] = customers(1, seed=61)
    site.publish("canary", f"T = {owner.key}")
    site.hidden = 1  # the listing is empty, which a paste site's is not, though the document answers
    await flow.add(with_canary(site, owner.key))
    await sought(flow, watchman)
    [(word, detail)] = await alarms(flow)
    assert word == "canary_lost"
    assert "listing.items" in detail


async def test_a_canary_that_nobody_looks_for_is_told(
    flow: Flow, watchman: Watchman, site: PasteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    [owner] = customers(1, seed=61)
    await flow.add(with_canary(site, owner.key))
    await watchman.look()
    assert await alarms(flow) == []
    monkeypatch.setattr("leakwatch.watchman._UNANSWERED", timedelta(0))
    await watchman.look()
    [(word, detail)] = await alarms(flow)
    assert word == "canary_lost"
    assert "its job does not run" in detail


async def test_a_canary_of_a_source_that_is_watched_no_more_is_not_sought(
    flow: Flow, watchman: Watchman, site: PasteSite
) -> None:
    [owner] = customers(1, seed=61)
    await flow.add(with_canary(site, owner.key))
    await watchman.look()
    flow.watched.clear()
    flow.engine.serve(watchman.queue())
    async with flow.working():
        for _ in range(400):
            async with flow.database.reading() as tx:
                if not await flow.engine.live(tx):
                    break
            await asyncio.sleep(0.025)
    assert (await state(flow, "watched")).canary_at is None
    assert await alarms(flow) == []


@pytest.mark.parametrize(
    ("path", "says"),
    [("/raw/7", "404"), ("/raw/0", "the key is not in it"), ("/none", "404")],
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
    await sought(flow, watchman)
    await watchman.look()
    [(word, detail)] = await alarms(flow)
    assert word == "canary_lost"
    assert says in detail
    found = await state(flow, "watched")
    assert says in (found.canary or "")
    assert owner.key not in detail
