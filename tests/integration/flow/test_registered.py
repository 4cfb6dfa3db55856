"""The sieve follows the registry: what another process registers is known at the next scan."""

from random import Random

from leakwatch.core import DigestSieve
from leakwatch.pepper import Pepper
from leakwatch.registered import Registered
from leakwatch.scan.synthetic import fill
from leakwatch.store import findings, registry
from leakwatch.store.database import Database
from tests.installation import Customer
from tests.integration.flow.conftest import Flow
from tests.integration.flow.test_pipeline import document

BARE = {
    "hex": fill("{hex:32}", Random(1)),
    "uuid": fill("{uuid:4}", Random(2)),
    "alnum": fill("{alnum:40}", Random(3)),
}
OWNERS = [Customer(f"owner-of-{name}", key, "") for name, key in BARE.items()]


async def test_a_key_of_no_marker_is_found_by_its_digest_alone(flow: Flow) -> None:
    await flow.register(*OWNERS)
    await flow.process(document("\n".join(f"x = {owner.key!r}" for owner in OWNERS)))
    async with flow.database.reading() as tx:
        found = await findings.findings(tx)
    assert {f.customer for f in found} == {owner.name for owner in OWNERS}
    assert {f.masked for f in found} == {f"…{owner.key[-4:]}" for owner in OWNERS}


async def test_what_is_imported_while_the_daemon_runs_is_known_at_the_next_scan(flow: Flow) -> None:
    first, later, _ = OWNERS
    await flow.register(first)
    await flow.process(document(later.key, 1))  # nobody's yet: the run is remembered as such
    beside = Database(flow.database.url.render_as_string(hide_password=False))  # as another process has it
    try:
        async with beside.transaction() as tx:
            await registry.register(tx, [flow.registration(later)], flow.digester.stored)
    finally:
        await beside.close()
    await flow.process(document(later.key, 2))
    async with flow.database.reading() as tx:
        assert [f.customer for f in await findings.findings(tx)] == [later.name]


async def test_nothing_is_read_again_while_nothing_is_registered(flow: Flow) -> None:
    await flow.register(OWNERS[0])
    registered = Registered(flow.database, Pepper(b"p" * 32))
    sieve = await registered.refresh()
    nobodys = fill("{hex:32}", Random(9)).encode()
    assert [sieve.find(nobodys, 9).looked for _ in range(2)] == [1, 0]
    assert await registered.refresh() is sieve
    assert sieve.find(nobodys, 9).looked == 0
    await flow.register(OWNERS[1])
    assert await registered.refresh() is sieve
    assert sieve.find(nobodys, 9).looked == 1
    assert passing(sieve) == ["hex", "uuid"]


async def test_a_key_that_is_retired_passes_and_matches_no_more_until_it_is_registered_again(flow: Flow) -> None:
    owner = OWNERS[0]
    await flow.register(owner)
    async with flow.database.transaction() as tx:
        [key] = await registry.keys(tx)
        await registry.retire_keys(tx, [key.id])
    await flow.process(document(owner.key, 1))
    async with flow.database.reading() as tx:
        assert await findings.findings(tx) == []
    await flow.register(owner)
    await flow.process(document(owner.key, 2))
    async with flow.database.reading() as tx:
        assert [f.customer for f in await findings.findings(tx)] == [owner.name]


async def test_the_registry_tells_what_is_new_in_it(flow: Flow) -> None:
    async with flow.database.reading() as tx:
        assert (await registry.version(tx), await registry.newest(tx)) == ("", 0)
        assert [some async for some in registry.digests(tx)] == []
    await flow.register(*OWNERS[:2])
    async with flow.database.reading() as tx:
        before, newest = await registry.version(tx), await registry.newest(tx)
        every = [digest async for some in registry.digests(tx) for digest in some]
    assert every == sorted(every)
    assert len(every) == 2
    await flow.register(OWNERS[2])
    async with flow.database.reading() as tx:
        assert await registry.version(tx) != before
        assert await registry.newest(tx) > newest
        [more] = [digest async for some in registry.digests(tx, after=newest) for digest in some]
    assert more not in every


async def test_a_sieve_that_was_filled_before_anything_was_registered_learns_all_of_it(flow: Flow) -> None:
    registered = Registered(flow.database, Pepper(b"p" * 32))
    await registered.refresh()
    await flow.register(*OWNERS)
    assert passing(await registered.refresh()) == [*BARE]
    assert len(registered.sieve) == 3


def passing(asked: DigestSieve) -> list[str]:
    return [name for name, key in BARE.items() if asked.find(key.encode(), 1).spans]
