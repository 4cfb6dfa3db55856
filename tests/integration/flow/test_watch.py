"""The jobs that watch a source, against a real site on loopback: what is remembered, tried again, and given up."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from aiohttp import web

from leakwatch import coverage
from leakwatch.coverage import State
from leakwatch.demo import PasteSite, free_port
from leakwatch.engine import Dead, Job, NewJob
from leakwatch.errors import ScanFailed
from leakwatch.fetch import Session, Source
from leakwatch.model import Checkpoint, Document, Reference, now
from leakwatch.scan import Scanner, Sieve
from leakwatch.store import findings, notices, settings, sources
from leakwatch.store.sources import SourceState
from leakwatch.store.tables import source as table
from leakwatch.watch import poll_job
from tests.installation import customers, source_named, until_async
from tests.integration.flow.conftest import Flow
from tests.unit.fetch.sites import answer
from tests.unit.fetch.sites import site as serving
from tests.unit.fetch.sites import source as listed


async def state(flow: Flow, name: str) -> SourceState:
    async with flow.database.reading() as tx:
        return next(s for s in await sources.overview(tx) if s.name == name)


async def dead(flow: Flow) -> list[Dead]:
    async with flow.database.reading() as tx:
        return await flow.engine.dead(tx)


async def alarms(flow: Flow) -> list[str]:
    async with flow.database.reading() as tx:
        return [n.alarm for n in await notices.notices(tx) if n.kind == "alarm"][::-1]


async def begins(flow: Flow, source: Source) -> Checkpoint | None:
    async with flow.database.reading() as tx:
        return flow.watch._checkpoint(source, await sources.start(tx, source.name))


@pytest.fixture
async def running(flow: Flow) -> AsyncIterator[None]:
    async with flow.working():
        yield


async def poll_once(flow: Flow, source: Source, *, until_documents: int | None = None) -> None:
    """Poll a source and wait until nothing is left to do but deliveries and what waits for a later try."""
    polls = (await state(flow, source.name)).polls
    async with flow.database.transaction() as tx:
        await flow.engine.enqueue(tx, [poll_job(source.name)])

    async def settled() -> bool:
        async with flow.database.reading() as tx:
            live = await flow.engine.live(tx)
        waiting = [job for job in live if job.queue != "deliver" and job.run_at <= now()]
        at = await state(flow, source.name)
        return at.polls > polls and not waiting and (until_documents is None or at.documents >= until_documents)

    await until_async(settled, "the poll is done")


@pytest.mark.usefixtures("running")
async def test_a_poll_fetches_what_is_new_and_only_that(flow: Flow, site: PasteSite) -> None:
    [owner] = customers(1, seed=31)
    await flow.register(owner)
    source = source_named("site", site.url)
    await flow.add(source)
    site.publish("one", "nothing")
    site.publish("two", owner.key)
    await poll_once(flow, source, until_documents=2)
    site.publish("three", "nothing")
    await poll_once(flow, source, until_documents=3)

    assert (await state(flow, "site")).documents == 3
    async with flow.database.reading() as tx:
        assert len(await findings.findings(tx)) == 1
    assert await dead(flow) == []


@pytest.mark.usefixtures("running")
async def test_the_checkpoint_is_sealed(flow: Flow, site: PasteSite) -> None:
    source = source_named("site", site.url)
    await flow.add(source)
    site.publish("one", "nothing")
    await poll_once(flow, source)
    async with flow.database.reading() as tx:
        sealed = (await sources.start(tx, "site")).checkpoint
    assert sealed is not None
    assert b"{" not in sealed[:1]
    assert b"basis" not in sealed


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("backlog", ["scan", "skip"])
async def test_a_source_that_is_led_elsewhere_begins_anew(
    flow: Flow, site: PasteSite, backlog: Literal["scan", "skip"]
) -> None:
    source = source_named("site", site.url, backlog=backlog)
    await flow.add(source)
    site.publish("here", "nothing")
    await poll_once(flow, source)
    async with PasteSite().serving() as other:
        other.publish("there", "nothing")  # under the same id
        moved = replace(source, base_url=other.url)
        await flow.add(moved)
        assert await begins(flow, source) is not None
        assert await begins(flow, moved) is None
        assert await begins(flow, replace(source, parameters={"board": "b"})) is None
        await poll_once(flow, moved, until_documents=2 if backlog == "scan" else 0)
        assert await begins(flow, moved) is not None
    assert (await state(flow, "site")).documents == (2 if backlog == "scan" else 0)


def test_the_same_id_of_another_place_is_another_document(flow: Flow) -> None:
    reference = Reference(url="https://a.example/7", id="7", version="1")
    places = [
        source_named("s", "https://a.example"),
        source_named("s", "https://b.example"),
        source_named("s", "https://a.example", parameters={"board": "b"}),
        source_named("s", "https://a.example", parameters={"board": "g"}),
        source_named("t", "https://a.example"),
    ]
    assert len({flow.pipeline.identity(place, reference) for place in places}) == len(places)
    same = source_named("s", "https://a.example/", every=1.0)
    assert flow.pipeline.identity(same, reference) == flow.pipeline.identity(places[0], reference)


@pytest.mark.usefixtures("running")
async def test_a_backlog_that_is_skipped_is_remembered_and_not_fetched(flow: Flow, site: PasteSite) -> None:
    source = source_named("site", site.url, backlog="skip")
    await flow.add(source)
    site.publish("old", "nothing")
    await poll_once(flow, source)
    assert (await state(flow, "site")).documents == 0
    site.publish("new", "nothing")
    await poll_once(flow, source, until_documents=1)
    assert (await state(flow, "site")).documents == 1


@pytest.mark.usefixtures("running")
async def test_a_document_whose_scan_raises_is_tried_again_by_itself(
    flow: Flow, site: PasteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Scanner.scan

    def breaks(scanner: Scanner, document: Document, sieve: Sieve) -> object:
        if "poison" in document.text:
            raise MemoryError
        return whole(scanner, document, sieve)

    monkeypatch.setattr(Scanner, "scan", breaks)
    source = source_named("site", site.url)
    await flow.add(source)
    site.publish("poison", "poison")
    site.publish("good", "nothing")
    await poll_once(flow, source)
    async with flow.database.reading() as tx:
        [waiting] = [job for job in await flow.engine.live(tx) if job.queue == "fetch"]
    assert (waiting.attempts, waiting.reason) == (1, ScanFailed.reason)
    assert "MemoryError" in (waiting.detail or "")


@pytest.mark.usefixtures("running")
async def test_a_document_longer_than_the_cap_is_scanned_as_far_and_told(flow: Flow, site: PasteSite) -> None:
    [owner] = customers(1, seed=32)
    await flow.register(owner)
    source = source_named("site", site.url, max_bytes=2000)
    await flow.add(source)
    site.publish("long", owner.key + "\n" + "x" * 5000)
    await poll_once(flow, source, until_documents=1)
    [letter] = await dead(flow)
    assert (letter.queue, letter.reason) == ("fetch", "too_large")
    async with flow.database.reading() as tx:
        assert len(await findings.findings(tx)) == 1


@pytest.mark.usefixtures("running")
async def test_a_page_of_a_list_that_is_longer_than_the_cap_is_told_too(flow: Flow) -> None:
    [owner] = customers(1, seed=35)
    await flow.register(owner)
    toml = 'name = "site"\ntitle = "A list"\nkind = "urls"\nurls = ["/page"]\n'
    async with serving(answer(f"{owner.key}\n" + "x" * 5000)) as url:
        await flow.add(listed(url, toml, max_bytes=2000))
        await poll_once(flow, flow.watched["site"], until_documents=1)
    [letter] = await dead(flow)
    assert (letter.queue, letter.reason) == ("fetch", "too_large")
    async with flow.database.reading() as tx:
        assert len(await findings.findings(tx)) == 1


async def test_after_a_crash_each_document_goes_alone(flow: Flow, site: PasteSite) -> None:
    source = source_named("site", site.url)
    await flow.add(source)
    for number in range(3):
        site.publish(str(number), "nothing")
    async with flow.database.transaction() as tx:
        await flow.engine.enqueue(tx, [poll_job("site")])
    await flow.watch.poll(Job(id=0, queue="poll", payload=b"site", lane="site", attempts=0, picks=2))
    async with flow.database.reading() as tx:
        alone = [job for job in await flow.engine.live(tx) if job.queue == "fetch"]
    assert len(alone) == 3


@pytest.mark.usefixtures("running")
async def test_a_source_that_cannot_be_reached_is_told_of_once_and_when_it_is_back(flow: Flow, site: PasteSite) -> None:
    site.publish("one", "nothing")
    nowhere = source_named("site", f"http://127.0.0.1:{free_port()}")
    await flow.add(nowhere)
    for _ in range(5):
        await poll_once(flow, nowhere)
    failing = await state(flow, "site")
    assert (failing.failures, failing.reason) == (5, "unreachable")
    assert failing.next_poll_at > now()
    assert await alarms(flow) == ["unreachable"]
    back = source_named("site", site.url)
    await flow.add(back)
    await poll_once(flow, back)
    assert (await state(flow, "site")).reason is None
    assert await alarms(flow) == ["unreachable", "recovered"]


@pytest.mark.usefixtures("running")
async def test_a_poll_that_breaks_unforeseen_is_an_alarm(
    flow: Flow, site: PasteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_named("site", site.url)
    await flow.add(source)

    async def breaks(*_: object, **__: object) -> None:
        raise KeyError

    monkeypatch.setattr(Session, "get", breaks)
    async with flow.database.transaction() as tx:
        await flow.engine.enqueue(tx, [poll_job("site")])

    async def told() -> bool:
        return bool(await alarms(flow))

    await until_async(told, "the operator is told")
    assert (await state(flow, "site")).reason == "unexpected"
    assert await dead(flow) == []  # it is polled when it is due: there is nothing to revive


async def test_a_source_wakes_once_for_each_slot(flow: Flow, site: PasteSite) -> None:
    await flow.add(source_named("site", site.url, every=60.0))
    first = await flow.watch.wake("site")
    second = await flow.watch.wake("site")
    async with flow.database.reading() as tx:
        live = await flow.engine.live(tx)
    assert first == second > now()
    assert [job.queue for job in live] == ["poll"]


@pytest.mark.usefixtures("running")
async def test_a_document_that_is_not_there_is_looked_for_twice_more_and_then_let_go(
    flow: Flow, site: PasteSite
) -> None:
    source = source_named("site", site.url)
    await flow.add(source)
    site.publish("soon gone", "nothing")
    site.gone.add(0)
    await poll_once(flow, source)
    async with flow.database.reading() as tx:
        [waiting] = [job for job in await flow.engine.live(tx) if job.queue == "fetch"]
    assert (waiting.attempts, waiting.reason) == (1, None)
    assert 30 < (waiting.run_at - now()).total_seconds() <= 60
    assert (await state(flow, "site")).documents == 0  # what was not had was not scanned
    assert await dead(flow) == []


async def test_documents_of_a_source_that_is_away_wait_for_it(flow: Flow, site: PasteSite) -> None:
    [owner] = customers(1, seed=33)
    await flow.register(owner)
    source = source_named("site", site.url)
    await flow.add(source)
    site.publish("a leak", owner.key)
    await flow.watch.poll(Job(id=0, queue="poll", payload=b"site", lane="site", attempts=0, picks=1))
    del flow.watched["site"]

    async def waits() -> bool:
        async with flow.database.reading() as tx:
            return any(job.reason == "not_watched" for job in await flow.engine.live(tx))

    async with flow.working():
        await until_async(waits, "the document waits")
    assert await dead(flow) == []


async def test_after_a_crash_inline_documents_are_scanned_and_the_one_at_fault_is_told_of(flow: Flow) -> None:
    owner, poison = customers(2, seed=34)
    await flow.register(owner, poison)
    source = source_named("site", "http://127.0.0.1:9")
    await flow.add(source)
    inline = tuple(
        Document(reference=Reference(url=f"https://elsewhere.example/{n}", id=str(n)), text=c.key)
        for n, c in enumerate((poison, owner))
    )
    suspect = flow.pipeline.identity(source, inline[0].reference)
    async with flow.database.transaction() as tx:
        await settings.put(tx, "suspect:site", suspect.hex())  # the process died while it was scanned
    await flow.watch._one_by_one(source, inline)
    async with flow.database.reading() as tx:
        assert [f.customer for f in await findings.findings(tx)] == [owner.name]
    assert await alarms(flow) == ["crashed"]


async def test_a_source_that_lists_faster_than_it_may_be_fetched_is_not_polled_until_it_is_caught_up_with(
    flow: Flow, site: PasteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.watch._BACKLOG", 2)
    await flow.add(source_named("site", site.url))
    async with flow.database.transaction() as tx:
        await flow.engine.enqueue(tx, [NewJob(queue="fetch", payload=b"", lane="site") for _ in range(2)])
    await flow.watch.wake("site")
    async with flow.database.reading() as tx:
        assert [job.queue for job in await flow.engine.live(tx)].count("poll") == 0
    assert await alarms(flow) == ["behind"]
    at = await state(flow, "site")
    assert coverage.judge(flow.watched["site"], at, now()).state == State.BEHIND
    monkeypatch.setattr("leakwatch.watch._BACKLOG", 3)
    async with flow.database.transaction() as tx:
        await tx.execute(table.update().values(next_poll_at=now()))
    await flow.watch.wake("site")
    assert (await state(flow, "site")).waiting == 0


@pytest.mark.parametrize(("status", "reason", "found"), [(404, "gone", State.BLIND), (403, "blocked", State.BLOCKED)])
async def test_a_source_none_of_whose_documents_can_be_had_is_told_however_few_one_job_holds(
    flow: Flow, status: int, reason: str, found: State
) -> None:
    served: set[str] = set()

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text="nothing") if request.path in served else web.Response(status=status)

    async def look(*names: str, attempts: int) -> None:
        references = [Reference(url=f"{url}/{name}", id=name) for name in names]
        payload = flow.watch._jobs.one(source, references).payload
        await flow.watch.fetch(Job(id=0, queue="fetch", payload=payload, lane="site", attempts=attempts, picks=1))

    async with serving(handle) as url:
        source = source_named("site", url, robots="ignore")
        await flow.add(source)
        for attempts in (0, 1, 2):
            await look("a", "b", attempts=attempts)
            await look("c", "d", attempts=attempts)
        assert (await state(flow, "site")).missing == 4  # each once, however often it was looked for
        assert await alarms(flow) == []
        await look("e", attempts=1)
        await look("f", attempts=1)
        at = await state(flow, "site")
        assert (at.fetched, at.gone + at.refused, at.missing) == (0, 6, 6)
        assert coverage.judge(source, at, now()).state == found
        assert await alarms(flow) == [reason]
        served.add("/g")
        await look("g", attempts=0)
    at = await state(flow, "site")
    assert (at.fetched, at.missing) == (1, 0)
    assert coverage.judge(source, at, now()).state in (State.OK, State.NEW)


async def test_a_clock_that_was_wrong_does_not_keep_a_source_from_being_polled(flow: Flow, site: PasteSite) -> None:
    await flow.add(source_named("site", site.url))
    async with flow.database.transaction() as tx:
        await sources.postpone(tx, "site", now() + timedelta(days=3650))
    assert await flow.watch.wake("site") < now() + timedelta(minutes=2)


@pytest.mark.usefixtures("running")
async def test_what_is_no_longer_watched_is_let_go(flow: Flow) -> None:
    async with flow.database.transaction() as tx:
        await flow.engine.enqueue(tx, [poll_job("gone")])

    async def done() -> bool:
        async with flow.database.reading() as tx:
            return not await flow.engine.live(tx)

    await until_async(done, "the job is done")
    assert await dead(flow) == []


async def test_in_its_quiet_hours_a_source_is_left_alone(flow: Flow, site: PasteSite) -> None:
    at = now()
    begins, ends = at - timedelta(hours=1), at + timedelta(hours=2)
    source = source_named("site", site.url, quiet=f"{begins:%H:%M}-{ends:%H:%M}")
    await flow.add(source)
    due = await flow.watch.wake("site")
    assert timedelta(hours=1, minutes=58) < due - at <= timedelta(hours=2)
    async with flow.database.reading() as tx:
        assert await flow.engine.live(tx) == []
    async with flow.database.transaction() as tx:
        job = flow.watch._jobs.one(source, [Reference(url=f"{site.url}/raw/0", id="0")])
        await flow.engine.enqueue(tx, [job])
    async with flow.working():

        async def put_off() -> bool:
            async with flow.database.reading() as tx:
                return [job.run_at > now() for job in await flow.engine.live(tx)] == [True]

        await until_async(put_off, "the document waits for the morning")
    assert (await state(flow, "site")).documents == 0


@pytest.mark.usefixtures("running")
async def test_a_gap_is_counted_told_once_and_tightens_the_interval(flow: Flow, site: PasteSite) -> None:
    source = source_named("site", site.url, every=60.0, fastest=10.0)
    await flow.add(source)
    for number in range(4):
        site.publish(f"old {number}", "x")
    await poll_once(flow, source, until_documents=4)
    before = site.pastes
    site.pastes = [("gone", "x")] * 4 + [("new", f"{n}") for n in range(4)]
    site.hidden = 4
    await poll_once(flow, source)
    found = await state(flow, "site")
    assert found.gaps == 1
    assert found.interval == 15.0  # 30 after the first poll, in which all was new
    assert "gap" in await alarms(flow)
    assert len(before) == 4


@pytest.mark.usefixtures("running")
async def test_what_has_changed_there_is_polled_at_once(flow: Flow, site: PasteSite) -> None:
    source = source_named("site", site.url, every=86_400.0)
    await flow.add(source)
    site.publish("one", "x")
    await flow.watch.noticed("site")

    async def polled() -> bool:
        return (await state(flow, "site")).polls == 1

    await until_async(polled, "it is polled though it is not due")
