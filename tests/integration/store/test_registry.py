import asyncio
from collections.abc import Iterable

import pytest
from sqlalchemy import event, text

from leakwatch.errors import WrongPepper
from leakwatch.model import RegisteredKey
from leakwatch.store import findings, registry
from leakwatch.store.database import Database
from leakwatch.store.registry import Registered
from tests.integration.store.making import after, digest, register, registration, seen


async def test_a_key_is_found_by_its_digest(database: Database) -> None:
    async with database.transaction() as tx:
        done = await register(tx, [registration("ann", 1, key_id="k1"), registration("bob", 2)])
    assert done == Registered(added=2, known=0)
    async with database.reading() as tx:
        found = await registry.lookup(tx, [digest(1), digest(3)])
        assert await registry.lookup(tx, []) == {}
    [key] = found.pop(digest(1))
    assert key == RegisteredKey(id=key.id, customer_id=key.customer_id, provider="acme", label="key 1", key_id="k1")
    assert found == {}


async def test_one_digest_may_have_several_owners(database: Database) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1), registration("bob", 1)])
        found = await registry.lookup(tx, {digest(1)})
        owners = {c.id for c in await registry.customers(tx)}
    assert {key.customer_id for key in found[digest(1)]} == owners
    assert len(owners) == 2


async def test_lookups_and_registrations_of_many_keys(database: Database) -> None:
    rows = [registration(f"c{n % 7}", n) for n in range(2500)]
    async with database.transaction() as tx:
        assert await register(tx, rows) == Registered(added=2500, known=0)
    async with database.transaction() as tx:
        assert await register(tx, [*rows, registration("new", 9999)]) == Registered(added=1, known=2500)
        found = await registry.lookup(tx, [digest(n) for n in range(3000)])
    assert found.keys() == {digest(n) for n in range(2500)}


async def test_registering_again_changes_what_differs(database: Database) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1)])
        again = registration("ann", 1, label="renamed", key_id="k9", locale="fr", channels=("json://hook.example",))
        before = {"ann": frozenset({"mailto:ann@example.org"})}
        assert await register(tx, [again]) == Registered(added=0, known=1, readdressed=before)
        [key] = await registry.keys(tx)
        [ann] = await registry.customers(tx)
    assert (key.label, key.key_id, key.customer) == ("renamed", "k9", "ann")
    assert (ann.locale, ann.channels, ann.keys) == ("fr", ("mailto:ann@example.org", "json://hook.example"), 1)


async def test_registering_nothing(database: Database) -> None:
    async with database.transaction() as tx:
        assert await register(tx, []) == Registered(added=0, known=0)
        await registry.add_customer(tx, name="ann", locale="en", channels=[])
        [ann] = await registry.customers(tx)
    assert (ann.name, ann.channels, ann.keys) == ("ann", (), 0)


async def test_of_two_rows_for_one_key_the_last_holds(database: Database) -> None:
    rows = [registration("ann", 1), registration("ann", 1, label="later")]
    async with database.transaction() as tx:
        assert await register(tx, rows) == Registered(added=1, known=0)
        [key] = await registry.keys(tx)
    assert key.label == "later"


async def test_a_retired_key_matches_no_more_until_it_is_registered_again(database: Database) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1), registration("ann", 2)])
        first, second = await registry.keys(tx, customer_name="ann")
        assert await registry.retire_keys(tx, [first.id, 12345]) == 1
        assert await registry.retire_keys(tx, [first.id]) == 0
        assert (await registry.lookup(tx, [digest(1), digest(2)])).keys() == {digest(2)}
        assert [k.id for k in await registry.keys(tx)] == [second.id]
        assert await register(tx, [registration("ann", 1)]) == Registered(added=0, known=1)
        [[revived]] = (await registry.lookup(tx, [digest(1)])).values()
    assert revived.id == first.id


async def test_a_removed_customer_has_neither_keys_nor_channels(database: Database) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1), registration("bob", 1)])
        assert await registry.remove_customer(tx, "ann")
        assert not await registry.remove_customer(tx, "ann")
        assert not await registry.remove_customer(tx, "nobody")
        [bob] = await registry.customers(tx)
        [[key]] = (await registry.lookup(tx, [digest(1)])).values()
        ann = await registry.customer_named(tx, "ann")
    assert bob.name == "bob"
    assert key.customer_id == bob.id
    assert ann is not None
    assert ann.removed_at is not None
    assert (ann.keys, ann.channels) == (0, ())


async def test_a_removed_customer_comes_back_as_they_were_known(database: Database) -> None:
    async with database.transaction() as tx:
        number = await registry.add_customer(tx, name="ann", locale="fr", channels=["mailto:a@example.org"])
        await registry.remove_customer(tx, "ann")
        again = await registry.add_customer(tx, name="ann", locale="de", channels=["mailto:a@example.org"] * 2)
        [ann] = await registry.customers(tx)
        assert await registry.customer_named(tx, "bob") is None
    assert (ann.id, again) == (number, number)
    assert (ann.locale, ann.channels, ann.removed_at) == ("de", ("mailto:a@example.org",), None)


async def test_a_customer_shows_open_findings(database: Database) -> None:
    async with database.transaction() as tx:
        await register(tx, [registration("ann", 1), registration("ann", 2), registration("bob", 3)])
        ids = [k.id for k in await registry.keys(tx)]
        recorded = await findings.record(tx, [seen(ids[0]), seen(ids[1]), seen(ids[2])])
        await findings.close(tx, [recorded[0].finding_id], after(1))
        counts = {c.name: (c.keys, c.open_findings) for c in await registry.customers(tx)}
    assert counts == {"ann": (2, 1), "bob": (1, 1)}


async def test_customers_are_read_in_as_many_queries_for_one_as_for_fifty(database: Database) -> None:
    statements: list[str] = []
    engine = database.engine.sync_engine
    async with database.transaction() as tx:
        await register(tx, [registration(f"c{n}", n) for n in range(50)])
        event.listen(engine, "before_cursor_execute", lambda *context: statements.append(context[2]))
        assert len(await registry.customers(tx)) == 50
    assert len(statements) == 4


async def test_the_operators_channels_follow_the_configuration(database: Database) -> None:
    async def live() -> list[str]:
        async with database.reading() as tx:
            return sorted(await registry.operator_urls(tx))

    for urls in (["mailto:a@x", "mailto:b@x"], ["mailto:b@x", "json://c", "json://c"], ["mailto:a@x"], []):
        async with database.transaction() as tx:
            await registry.operator_channels(tx, urls)
        assert await live() == sorted(set(urls))


async def test_the_registry_is_bound_to_the_first_pepper(database: Database) -> None:
    async with database.transaction() as tx:
        await registry.bind_pepper(tx, "mistaken")
        await registry.bind_pepper(tx, "one")  # nothing has been keyed yet
        await register(tx, [registration("acme")])
        await registry.bind_pepper(tx, "one")
        with pytest.raises(WrongPepper, match="start with the pepper"):
            await registry.bind_pepper(tx, "mistaken")


async def test_two_imports_at_once_register_every_key_once(database: Database) -> None:
    async def run(numbers: Iterable[int]) -> Registered:
        async with database.transaction() as tx:
            return await register(tx, [registration(f"c{n % 3}", n) for n in numbers])

    done = await asyncio.gather(run(range(200)), run(reversed(range(200))), run(range(200)))
    assert sum(d.added for d in done) == 200
    async with database.reading() as tx:
        assert len(await registry.keys(tx)) == 200


async def test_postgres_knows_how_many_keys_there_are_as_soon_as_they_are_imported(postgres_database: Database) -> None:
    """Until it does, it reads all of them to find a few."""
    async with postgres_database.transaction() as tx:
        await register(tx, [registration(f"c{n % 7}", n) for n in range(2_000)])
        await registry.settle(tx)
        known = await tx.execute(text("SELECT reltuples FROM pg_class WHERE relname = 'registered_key'"))
        assert known.scalar() == 2_000
