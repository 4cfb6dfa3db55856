"""From a batch to what is recorded and owed, on a real database with the real stages."""

from random import Random

import pytest

from leakwatch.announce import Announcer, delivery_key
from leakwatch.config import NoticesConfig
from leakwatch.model import Batch, Document, Reference, now
from leakwatch.pipeline import Outcome
from leakwatch.scan import Scanner, Sieve
from leakwatch.scan.synthetic import fill
from leakwatch.store import findings, notices, registry, sources
from leakwatch.store.database import Transaction
from leakwatch.units import Rate
from tests.installation import Customer, customers, source_named
from tests.integration.flow.conftest import SOURCE, Flow, nothing_else


def document(text: str, number: int = 1, *, title: str = "", author: str = "") -> Document:
    url = f"https://place.example/{number}"
    return Document(reference=Reference(url=url, id=str(number), title=title, author=author), text=text)


async def test_a_registered_key_becomes_a_sighting_a_finding_and_a_notice(flow: Flow) -> None:
    [owner] = customers(1, seed=1)
    await flow.register(owner)
    await flow.process(document(f"first line\n  key={owner.key}\n", title="a paste", author="ann"))

    async with flow.database.reading() as tx:
        [finding] = await findings.findings(tx)
        [exposure] = await findings.exposures(tx, [finding.id])
        owed = await notices.notices(tx)
    assert (finding.customer, finding.label, finding.masked[-4:]) == (owner.name, owner.label, owner.key[-4:])
    [place] = exposure.places
    assert (place.url, place.title, place.author) == ("https://place.example/1", "a paste", "ann")
    assert (place.position.line, place.position.column) == (2, 7)
    assert {(n.kind, n.customer) for n in owed} == {("exposure", owner.name), ("finding", "")}
    assert {d.channel_url for n in owed for d in n.deliveries} == {
        f"mailto:{owner.address}",
        "mailto:soc@issuer.example",
    }


async def test_what_nobody_registered_leaves_no_trace_but_a_count(flow: Flow) -> None:
    [stranger] = customers(1, seed=2)
    await flow.process(document(stranger.key, title=stranger.key))

    async with flow.database.reading() as tx:
        assert await findings.findings(tx) == []
        assert await notices.notices(tx) == []
        [state] = await sources.overview(tx)
    assert state.documents == 1


async def test_ten_keys_of_one_customer_in_one_paste_are_one_notice(flow: Flow) -> None:
    ten = [Customer("acme", c.key, c.detector) for c in customers(10, seed=3)]
    await flow.register(*ten)
    await flow.process(document("\n".join(c.key for c in ten)))

    async with flow.database.reading() as tx:
        assert len(await findings.findings(tx)) == 10
        [exposure] = [n for n in await notices.notices(tx) if n.kind == "exposure"]
    assert len(exposure.findings) == 10


async def test_a_digest_with_two_owners_is_told_to_both(flow: Flow) -> None:
    [one] = customers(1, seed=4)
    other = Customer("other", one.key, one.detector)
    await flow.register(one, other)
    await flow.process(document(one.key))

    async with flow.database.reading() as tx:
        told = {n.customer for n in await notices.notices(tx) if n.kind == "exposure"}
    assert told == {one.name, other.name}


async def test_a_second_place_is_another_sighting_and_no_second_notice(flow: Flow) -> None:
    [owner] = customers(1, seed=5)
    await flow.register(owner)
    await flow.process(document(owner.key, 1))
    await flow.process(document(owner.key, 2))
    await flow.process(document(owner.key, 2))  # a document that is scanned again is the same sighting

    async with flow.database.reading() as tx:
        [finding] = await findings.findings(tx)
        owed = [n for n in await notices.notices(tx) if n.kind == "exposure"]
    assert finding.sightings == 2
    assert len(owed) == 1


async def test_keys_in_what_surrounds_a_document_are_found_and_stored_redacted(flow: Flow) -> None:
    owners = customers(4, seed=6)
    await flow.register(*owners)
    url, title, author, path = (c.key for c in owners)
    reference = Reference(url=f"https://place.example/?k={url}", id="1", title=title, author=author, path=path)
    await flow.process(Document(reference=reference, text=""))

    async with flow.database.reading() as tx:
        found = await findings.findings(tx)
        exposures = await findings.exposures(tx, [f.id for f in found])
    assert {f.customer for f in found} == {c.name for c in owners}
    stored = repr(exposures)
    assert [c.name for c in owners if c.key[8:-8] in stored] == []
    assert title[-4:] in exposures[0].places[0].title


async def test_of_what_surrounds_a_document_only_the_beginning_is_redacted_and_half_a_key_never_shown(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    [owner] = customers(1, seed=16)
    await flow.register(owner)
    whole, longest = Scanner.redact, 0

    def measured(scanner: Scanner, text: str, sieve: Sieve | None = None) -> str:
        nonlocal longest
        longest = max(longest, len(text))
        return whole(scanner, text, sieve)

    monkeypatch.setattr(Scanner, "redact", measured)
    half = len(owner.key) // 2
    monkeypatch.setattr("leakwatch.pipeline._EXAMINED", 3 * len(owner.key) + 3 + half)
    monkeypatch.setattr("leakwatch.pipeline._HALF", len(owner.key))
    many = Reference(url="https://place.example/1", id="1", title=" ".join([owner.key] * 9_000), author="x" * 900_000)
    await flow.process(Document(reference=many, text=owner.key))
    async with flow.database.reading() as tx:
        [finding] = await findings.findings(tx)
        [exposure] = await findings.exposures(tx, [finding.id])
    [place] = exposure.places
    assert longest == 3 * len(owner.key) + 3 + half
    assert owner.key[10:half] not in place.title
    assert place.author.startswith("x" * half)


@pytest.mark.parametrize(("provider", "detector"), [("Moonshot AI", "moonshot"), ("", "sk-alnum48")])
async def test_a_key_that_many_providers_could_have_made_is_named_by_whose_it_was_registered_as(
    flow: Flow, provider: str, detector: str
) -> None:
    owner = Customer("acme", fill("sk-{alnum:48}", Random(11)), "moonshot")
    async with flow.database.transaction() as tx:
        await registry.register(tx, [flow.registration(owner)._replace(provider=provider)], flow.digester.stored)
    await flow.process(document(f"the key is {owner.key}"))

    async with flow.database.reading() as tx:
        [finding] = await findings.findings(tx)
        [exposure] = await findings.exposures(tx, [finding.id])
    assert exposure.detector == detector


@pytest.mark.parametrize(
    "flow", [NoticesConfig(hold=True), NoticesConfig(breaker=Rate(1, 3600.0))], indirect=True, ids=["hold", "breaker"]
)
async def test_what_is_held_has_no_job(flow: Flow) -> None:
    owners = customers(2, seed=7)
    await flow.register(*owners)
    await flow.process(*(document(c.key, n) for n, c in enumerate(owners)))

    async with flow.database.reading() as tx:
        exposures = [n for n in await notices.notices(tx) if n.kind == "exposure"]
        jobs = await flow.engine.live(tx, limit=10)
    assert {n.held for n in exposures} <= {"hold", "breaker"}
    assert {d.state for n in exposures for d in n.deliveries} == {"held"}
    assert jobs == []


async def test_an_observed_source_holds_what_it_finds(flow: Flow) -> None:
    [owner] = customers(1, seed=8)
    await flow.register(owner)
    await flow.process(document(owner.key), source=source_named("place", observe=True))

    async with flow.database.reading() as tx:
        [notice] = [n for n in await notices.notices(tx) if n.kind == "exposure"]
    assert notice.held == "observe"


async def test_a_document_that_breaks_its_scan_takes_no_other_with_it(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    [owner] = customers(1, seed=9)
    await flow.register(owner)
    whole = Scanner.scan

    def breaks(scanner: Scanner, one: Document, sieve: Sieve) -> object:
        if one.reference.id == "1":
            raise ValueError(owner.key)
        return whole(scanner, one, sieve)

    monkeypatch.setattr(Scanner, "scan", breaks)
    outcome = await flow.process(document("poison", 1), document(owner.key, 2))

    [(reference, error)] = outcome.failures
    assert (reference.id, error.reason) == ("1", "scan_failed")
    assert owner.key not in str(error)
    assert "ValueError" in str(error)
    assert len(outcome.matches) == 1


async def test_nothing_is_recorded_when_what_else_commits_fails(flow: Flow) -> None:
    [owner] = customers(1, seed=10)
    await flow.register(owner)

    async def fails(_tx: Transaction, _outcome: Outcome) -> None:
        raise RuntimeError

    batch = Batch(source="place", documents=(document(owner.key),), references=(Reference(url="https://x/2", id="2"),))
    with pytest.raises(RuntimeError):
        await flow.pipeline.process(batch, SOURCE, fails)

    async with flow.database.reading() as tx:
        assert await findings.findings(tx) == []
    outcome = await flow.pipeline.process(batch, SOURCE, nothing_else)
    assert [r.id for r in outcome.new] == ["2"]


async def test_a_reference_is_new_once(flow: Flow) -> None:
    batch = Batch(
        source="place",
        references=(Reference(url="https://x/1", id="1"), Reference(url="https://x/1", id="1", version="b")),
    )
    first = await flow.pipeline.process(batch, SOURCE, nothing_else)
    again = await flow.pipeline.process(batch, SOURCE, nothing_else)
    assert len(first.new) == 2
    assert again.new == ()


async def test_a_notice_that_reached_nobody_goes_to_the_channel_that_its_customer_has_by_now(flow: Flow) -> None:
    [owner] = customers(1, seed=11)
    await flow.register(owner)
    await flow.process(document(owner.key))
    async with flow.database.transaction() as tx:
        [wrong] = [d for n in await notices.notices(tx) if n.kind == "exposure" for d in n.deliveries]
        await notices.dead(tx, wrong.id, reason="mail_refused", code=550, detail="no such user", now=now())
        assert await registry.retire_channel(tx, owner.name, f"mailto:{owner.address}")
        await registry.add_customer(tx, name=owner.name, locale="en", channels=["mailto:right@customers.example"])

    announcer = Announcer(engine=flow.engine, config=NoticesConfig(), domain="issuer.example")
    for tried in (1, 1):  # asking twice owes it once
        async with flow.database.transaction() as tx:
            exposures = [n for n in await notices.notices(tx) if n.kind == "exposure"]
            assert await announcer.retry(tx, exposures) == tried
    async with flow.database.reading() as tx:
        [notice] = [n for n in await notices.notices(tx) if n.kind == "exposure"]
        due = await flow.engine.due(tx, [delivery_key(d.id) for d in notice.deliveries])
    states = {d.channel_url: d.state for d in notice.deliveries}
    assert states == {f"mailto:{owner.address}": "dead", "mailto:right@customers.example": "pending"}
    assert delivery_key(notice.deliveries[1].id) in due
    assert not await _retired_again(flow, owner.name)


async def _retired_again(flow: Flow, name: str) -> bool:
    async with flow.database.transaction() as tx:
        return await registry.retire_channel(tx, name, "mailto:nobody@customers.example")


async def test_a_key_that_is_registered_again_is_told_of_anew(flow: Flow) -> None:
    [owner] = customers(1, seed=12)
    await flow.register(owner)
    await flow.process(document(owner.key, 1))
    async with flow.database.transaction() as tx:
        assert await registry.remove_customer(tx, owner.name)
        assert await findings.findings(tx, open_only=True) == []
    await flow.register(owner)
    await flow.process(document(owner.key, 2))
    async with flow.database.reading() as tx:
        assert len([n for n in await notices.notices(tx) if n.kind == "exposure"]) == 2


@pytest.mark.parametrize(
    "flow", [NoticesConfig(operator=["mailto:soc@issuer.example"], breaker=Rate(1, 3600.0))], indirect=True
)
async def test_what_an_observed_source_holds_does_not_trip_the_breaker(flow: Flow) -> None:
    owners = customers(4, seed=13)
    await flow.register(*owners)
    for number, owner in enumerate(owners[:3]):
        await flow.process(document(owner.key, number), source=source_named("place", observe=True))
    await flow.process(document(owners[3].key, 9))
    async with flow.database.reading() as tx:
        held = {n.customer: n.held for n in await notices.notices(tx) if n.kind == "exposure"}
    assert held[owners[3].name] is None


async def test_a_customer_without_a_channel_is_an_alarm(flow: Flow) -> None:
    [owner] = customers(1, seed=14)
    await flow.register(owner)
    async with flow.database.transaction() as tx:
        await registry.retire_channel(tx, owner.name, f"mailto:{owner.address}")
    await flow.process(document(owner.key))
    async with flow.database.reading() as tx:
        assert [n.alarm for n in await notices.notices(tx) if n.kind == "alarm"] == ["channel_unusable"]
