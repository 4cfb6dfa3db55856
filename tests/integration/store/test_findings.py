import asyncio
from dataclasses import replace

import pytest

from leakwatch.model import Place
from leakwatch.store import findings, registry
from leakwatch.store.database import Database
from leakwatch.store.findings import Recorded
from tests.integration.store.making import after, place, register, registration, seen


@pytest.fixture
async def key_ids(database: Database) -> list[int]:
    """The keys of ann, ann and bob."""
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1), registration("ann", 2), registration("bob", 3)])
        return [k.id for k in await registry.keys(tx)]


async def test_a_key_has_one_finding_and_a_document_one_sighting(database: Database, key_ids: list[int]) -> None:
    async with database.transaction() as tx:
        first, same, other, bobs = await findings.record(
            tx, [seen(key_ids[0], 1), seen(key_ids[0], 1), seen(key_ids[0], 2), seen(key_ids[2], 1)]
        )
        assert await findings.record(tx, []) == []
    assert (first.new_finding, first.new_sighting) == (True, True)
    assert (same.new_finding, same.new_sighting) == (False, False)
    assert (other.new_finding, other.new_sighting) == (False, True)
    assert (bobs.new_finding, bobs.new_sighting) == (True, True)
    assert first.finding_id == same.finding_id == other.finding_id != bobs.finding_id
    assert first.customer_id != bobs.customer_id


async def test_a_document_seen_again_only_moves_when_it_was_last_seen(database: Database, key_ids: list[int]) -> None:
    async with database.transaction() as tx:
        [before] = await findings.record(tx, [seen(key_ids[0], 1, at=10)])
        [again] = await findings.record(tx, [seen(key_ids[0], 1, at=20, url="https://moved.example")])
        await findings.record(tx, [seen(key_ids[0], 1, at=5)])  # a slow worker's: never back
        [exposure] = await findings.exposures(tx, [before.finding_id])
        finding = await findings.one(tx, before.finding_id)
    assert again == replace(before, new_finding=False, new_sighting=False, seen_at=after(20))
    assert exposure.places == (place(10, last_seen_at=after(20)),)
    assert finding is not None
    assert (finding.first_seen_at, finding.last_seen_at, finding.sightings) == (after(10), after(20), 1)


async def test_a_closed_finding_is_opened_by_a_new_document_only(database: Database, key_ids: list[int]) -> None:
    async with database.transaction() as tx:
        [recorded] = await findings.record(tx, [seen(key_ids[0], 1)])
        number = recorded.finding_id
        assert await findings.close(tx, [number], after(1)) == 1
        assert await findings.close(tx, [number], after(2)) == 0
        [old] = await findings.record(tx, [seen(key_ids[0], 1, at=3)])
        assert not old.new_finding
        closed = await findings.one(tx, number)
        assert closed is not None
        assert closed.closed_at == after(1)
        [again, new, newer] = await findings.record(tx, [seen(key_ids[0], n, at=4) for n in (1, 2, 3)])
        opened = await findings.one(tx, number)
    assert [r.new_finding for r in (again, new, newer)] == [False, True, False]
    assert opened is not None
    assert opened.closed_at is None


async def test_exposures_hold_only_their_own_places_newest_first(database: Database, key_ids: list[int]) -> None:
    async with database.transaction() as tx:
        many = [seen(key_ids[0], n, at=n, title=f"paste {n}") for n in range(5)]
        recorded = await findings.record(tx, [*many, seen(key_ids[1], 9, title="other")])
        ids = {r.finding_id for r in recorded}
        first, second = await findings.exposures(tx, ids, places=3)
        [whole] = await findings.exposures(tx, [first.finding_id])
    assert [p.title for p in first.places] == ["paste 4", "paste 3", "paste 2"]
    assert [p.title for p in second.places] == ["other"]
    assert len(whole.places) == 5
    assert (first.provider, first.label, first.masked) == ("acme", "key 1", "ak-…wxyz")


async def test_a_place_comes_back_as_it_went_in(database: Database, key_ids: list[int]) -> None:
    there: Place = place(4, author="a", path="p/q", published_at=after(-60))
    async with database.transaction() as tx:
        sighting = seen(key_ids[0], 1, at=4, author="a", path="p/q", published_at=after(-60))
        [recorded] = await findings.record(tx, [sighting])
    async with database.reading() as tx:
        [exposure] = await findings.exposures(tx, [recorded.finding_id])
    assert exposure.places == (there,)


async def test_findings_are_listed_by_owner_and_state(database: Database, key_ids: list[int]) -> None:
    async with database.transaction() as tx:
        recorded = await findings.record(tx, [seen(number) for number in key_ids])
        await findings.close(tx, [recorded[0].finding_id], after(1))
        every = await findings.findings(tx)
        assert [f.id for f in every] == [r.finding_id for r in reversed(recorded)]
        assert [f.customer for f in await findings.findings(tx, customer_name="bob")] == ["bob"]
        assert [f.id for f in await findings.findings(tx, open_only=True)] == [f.id for f in every[:2]]
        assert len(await findings.findings(tx, limit=1)) == 1
        assert await findings.one(tx, 12345) is None


async def test_two_workers_open_one_finding(database: Database, key_ids: list[int]) -> None:
    async def see(document: int) -> list[Recorded]:
        async with database.transaction() as tx:
            return await findings.record(tx, [seen(number, document) for number in key_ids])

    recorded = [r for done in await asyncio.gather(*(see(n) for n in range(4))) for r in done]
    assert sum(r.new_finding for r in recorded) == len(key_ids)
    assert all(r.new_sighting for r in recorded)


async def test_more_findings_at_once_than_a_statement_takes(sqlite_database: Database) -> None:
    many = 33_000  # values; SQLite takes 32,766
    async with sqlite_database.transaction() as tx:
        await register(tx, [registration("ann", n) for n in range(many)])
        recorded = await findings.record(tx, [seen(k.id) for k in await registry.keys(tx)])
        exposures = await findings.exposures(tx, [r.finding_id for r in recorded], places=1)
    assert len(exposures) == sum(r.new_finding for r in recorded) == many
