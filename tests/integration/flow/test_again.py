"""Whether what was found is still there: looked at again, ever more seldom, until it is gone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from leakwatch.again import Again
from leakwatch.config import HttpConfig
from leakwatch.definitions import DocumentPlace
from leakwatch.demo import PasteSite
from leakwatch.fetch import Session, Source
from leakwatch.model import Document, Reference, now
from leakwatch.store import findings, looks
from leakwatch.store.findings import FIRST_LOOK
from leakwatch.store.looks import Still
from leakwatch.store.tables import sighting
from leakwatch.units import Rate
from tests.installation import customers, source_named
from tests.integration.flow.conftest import Flow


@pytest.fixture
async def again(flow: Flow) -> AsyncIterator[Again]:
    http = HttpConfig(user_agent="leakwatch (a@b.example)", allow_networks=["127.0.0.0/8"])
    async with Session(http) as session:
        yield Again(watched=flow.watched, database=flow.database, session=session, pipeline=flow.pipeline)


[OWNER] = customers(1, seed=63)
LEAK = f"T = {OWNER.key}"


async def found(flow: Flow, site: PasteSite, *urls: str, source: Source | None = None) -> int:
    """Let a key be found at these addresses; return its finding."""
    owner = OWNER
    await flow.register(owner)
    source = source or source_named("site", site.url)
    await flow.add(source)
    documents = [Document(reference=Reference(url=url, id=url), text=f"T = {owner.key}") for url in urls]
    await flow.process(*documents, source=source)
    async with flow.database.reading() as tx:
        [one] = await findings.findings(tx)
    return one.id


async def make_due(flow: Flow) -> None:
    async with flow.database.transaction() as tx:
        await tx.execute(sighting.update().where(sighting.c.look_at.is_not(None)).values(look_at=now()))


async def stills(flow: Flow, finding: int) -> list[Still]:
    async with flow.database.reading() as tx:
        return await looks.of_finding(tx, finding)


async def next_look(flow: Flow) -> list[timedelta | None]:
    async with flow.database.reading() as tx:
        rows = await tx.execute(sighting.select())
        return [None if row.look_at is None else row.look_at - now() for row in rows]


async def test_it_is_looked_at_after_an_hour_and_then_ever_more_seldom(
    flow: Flow, site: PasteSite, again: Again
) -> None:
    site.publish("a leak", LEAK)
    finding = await found(flow, site, f"{site.url}/raw/0")
    assert await again.look() == 0
    [first] = await next_look(flow)
    assert first is not None
    assert timedelta(0) < first <= FIRST_LOOK
    spans = []
    for _ in range(4):
        await make_due(flow)
        assert await again.look() == 1
        spans += await next_look(flow)
    assert [round(span.total_seconds() / 3600) for span in spans if span] == [6, 24, 72, 168]
    [still] = await stills(flow, finding)
    assert (still.word, still.looks, still.gone_at) == ("there", 4, None)


async def test_what_is_gone_is_said_to_be_and_not_looked_at_again(flow: Flow, site: PasteSite, again: Again) -> None:
    site.publish("a leak", LEAK)
    finding = await found(flow, site, f"{site.url}/raw/0")
    assert [s.word for s in await stills(flow, finding)] == ["not looked at"]
    site.gone.add(0)
    await make_due(flow)
    await again.look()
    [still] = await stills(flow, finding)
    assert still.word == "gone"
    async with flow.database.reading() as tx:
        [told] = await findings.exposures(tx, [finding])
    assert told.places[0].gone_at == still.gone_at
    assert await next_look(flow) == [None]


LOGIN = '<html><title>Sign in</title><form><input type="password"></form></html>'


@pytest.mark.parametrize(
    ("text", "word", "looks_more"),
    [
        (f"again: {OWNER.key}", "there", True),
        ("the owner has taken the key out", "gone", True),
        ("<html><h1>Sorry, this paste has expired</h1></html>", "gone", True),
        ("", "gone", True),
        (LOGIN, "not looked at", True),
        ("<html>Just a moment… are you human?</html>", "not looked at", True),
        (f"{LOGIN}{OWNER.key}", "there", True),
    ],
    ids=["there", "taken out", "soft 404", "empty", "login", "bot check", "login beside the key"],
)
async def test_a_page_that_answers_counts_by_whether_the_key_is_in_it(
    flow: Flow, site: PasteSite, again: Again, text: str, word: str, *, looks_more: bool
) -> None:
    site.publish("a leak", text)
    finding = await found(flow, site, f"{site.url}/raw/0")
    await make_due(flow)
    await again.look()
    [still] = await stills(flow, finding)
    assert still.word == word
    assert (await next_look(flow) != [None]) is looks_more


async def test_what_was_gone_and_comes_back_is_there_again(flow: Flow, site: PasteSite, again: Again) -> None:
    site.publish("a leak", "maintenance")
    finding = await found(flow, site, f"{site.url}/raw/0")
    await make_due(flow)
    await again.look()
    [gone] = await stills(flow, finding)
    await make_due(flow)
    await again.look()
    [still] = await stills(flow, finding)
    assert gone.word == still.word == "gone"
    assert still.gone_at == gone.gone_at
    site.pastes[0] = ("a leak", LEAK)
    await make_due(flow)
    await again.look()
    assert [s.word for s in await stills(flow, finding)] == ["there"]


async def test_a_page_is_told_from_the_text_behind_it(flow: Flow, site: PasteSite, again: Again) -> None:
    """The page that people see shows the key in pieces; the text is where it was found."""
    plain = source_named("site", site.url)
    place = DocumentPlace(url="{base_url}/raw/{id}", page="{base_url}/show/{id}")
    source = replace(plain, definition=plain.definition.model_copy(update={"document": place}))
    site.publish("a leak", LEAK)
    finding = await found(flow, site, f"{site.url}/show/0", source=source)
    await make_due(flow)
    await again.look()
    assert [s.word for s in await stills(flow, finding)] == ["there"]
    site.pastes[0] = ("a leak", "taken out")
    await make_due(flow)
    await again.look()
    assert [s.word for s in await stills(flow, finding)] == ["gone"]


async def test_where_the_text_came_in_the_listing_an_answer_is_all_that_is_known(
    flow: Flow, site: PasteSite, again: Again
) -> None:
    plain = source_named("site", site.url)
    fields = plain.definition.fields.model_copy(update={"text": "p"})
    source = replace(plain, definition=plain.definition.model_copy(update={"fields": fields}))
    site.publish("a leak", "<p>another form of it</p>")
    finding = await found(flow, site, f"{site.url}/raw/0", source=source)
    await make_due(flow)
    await again.look()
    assert [s.word for s in await stills(flow, finding)] == ["there"]


async def test_where_a_place_was_opened_an_answer_is_all_that_is_known(
    flow: Flow, site: PasteSite, again: Again
) -> None:
    """The page at which a person looks at a file of a repository need not show it."""
    plain = source_named("site", site.url)
    place = DocumentPlace(url="{base_url}/raw/{id}", opens="git")
    source = replace(plain, definition=plain.definition.model_copy(update={"document": place}))
    site.publish("a leak", "the file is loaded by a script")
    finding = await found(flow, site, f"{site.url}/raw/0", source=source)
    await make_due(flow)
    await again.look()
    assert [s.word for s in await stills(flow, finding)] == ["there"]


async def test_a_document_that_is_longer_than_is_read_is_not_said_to_be_gone(
    flow: Flow, site: PasteSite, again: Again
) -> None:
    site.publish("a leak", "x" * 5000 + LEAK)
    finding = await found(
        flow, site, f"{site.url}/raw/0", source=replace(source_named("site", site.url), max_bytes=1000)
    )
    await make_due(flow)
    await again.look()
    assert [s.word for s in await stills(flow, finding)] == ["not looked at"]


async def test_in_its_quiet_hours_a_source_is_not_looked_at(flow: Flow, site: PasteSite, again: Again) -> None:
    site.publish("a leak", LEAK)
    begins, ends = now() - timedelta(hours=1), now() + timedelta(hours=2)
    quiet = source_named("site", site.url, quiet=f"{begins:%H:%M}-{ends:%H:%M}")
    await found(flow, site, f"{site.url}/raw/0", source=quiet)
    await make_due(flow)
    assert await again.look() == 0
    await flow.add(replace(quiet, quiet=""))
    assert await again.look() == 1


async def test_a_site_that_is_away_says_nothing(flow: Flow, site: PasteSite, again: Again) -> None:
    finding = await found(flow, site, "http://127.0.0.1:1/raw/0")
    await make_due(flow)
    await again.look()
    [still] = await stills(flow, finding)
    assert (still.word, still.looks) == ("not looked at", 0)
    [later] = await next_look(flow)
    assert later is not None


async def test_a_host_that_wants_to_rest_says_nothing(flow: Flow, site: PasteSite, again: Again) -> None:
    site.publish("a leak", LEAK)
    finding = await found(flow, site, f"{site.url}/raw/0")
    await again._session.get(f"{site.url}/raw/0", source=flow.watched["site"])
    again._session.pause(flow.watched["site"], 3600)
    await make_due(flow)
    await again.look()
    [still] = await stills(flow, finding)
    assert (still.word, still.looks) == ("not looked at", 0)


async def test_an_address_that_was_redacted_and_a_file_are_not_looked_at(
    flow: Flow, site: PasteSite, again: Again
) -> None:
    await found(flow, site, f"{site.url}/raw/…", "file:///srv/x", "git+https://git.example/x")
    await make_due(flow)
    await again.look()
    assert await next_look(flow) == [None, None, None]


async def test_neither_what_is_closed_nor_what_is_no_longer_watched_is_looked_at(
    flow: Flow, site: PasteSite, again: Again
) -> None:
    site.publish("a leak", LEAK)
    finding = await found(flow, site, f"{site.url}/raw/0")
    await make_due(flow)
    source = flow.watched.pop("site")
    assert await again.look() == 0
    flow.watched["site"] = source
    async with flow.database.transaction() as tx:
        await findings.close(tx, [finding], now())
    assert await again.look() == 0


async def test_what_says_nothing_for_long_is_looked_at_ever_more_seldom(
    flow: Flow, site: PasteSite, again: Again
) -> None:
    await found(flow, site, "http://127.0.0.1:1/raw/0")
    spans = []
    for silent in (0, 10, 24 * 10, 24 * 90):
        async with flow.database.transaction() as tx:
            await tx.execute(sighting.update().values(look_at=now(), first_seen_at=now() - timedelta(hours=silent)))
        await again.look()
        spans += await next_look(flow)
    assert [round(span.total_seconds() / 3600) for span in spans if span] == [6, 10, 240, 720]


async def test_a_host_that_makes_us_wait_holds_up_no_other_and_not_the_round(
    flow: Flow, site: PasteSite, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.again._ROUND", 2.0)
    async with PasteSite().serving() as slow:
        address = slow.url
        for _ in range(3):
            site.publish("a leak", LEAK)
            slow.publish("a leak", LEAK)
        await flow.add(source_named("slow", address, rate=Rate(1, 600.0), robots="ignore"))
        finding = await found(flow, site, *(f"{site.url}/raw/{n}" for n in range(3)))
        await flow.process(
            *(Document(reference=Reference(url=f"{address}/raw/{n}", id=str(n)), text=LEAK) for n in range(3)),
            source=flow.watched["slow"],
        )
        await make_due(flow)
        assert await again.look() == 6
    words = {still.url: still.word for still in await stills(flow, finding)}
    assert [words[f"{site.url}/raw/{n}"] for n in range(3)] == ["there"] * 3
    assert sorted(words[f"{address}/raw/{n}"] for n in range(3)) == ["not looked at", "not looked at", "there"]
    assert all(span and span > timedelta(minutes=50) for span in await next_look(flow))  # none is in the way of others
