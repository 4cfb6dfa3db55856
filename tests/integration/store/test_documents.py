import asyncio

import pytest

from leakwatch.store import documents
from leakwatch.store.database import Database
from tests.integration.store.making import after


def _identity(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def test_a_document_is_new_once(database: Database) -> None:
    first, second, third = (_identity(n) for n in range(3))
    async with database.transaction() as tx:
        assert await documents.new(tx, "pastes", [first, second, first], after(0)) == {first, second}
        assert await documents.new(tx, "pastes", {second, third}, after(1)) == {third}
        assert await documents.new(tx, "pastes", [], after(1)) == set()
        assert await documents.known(tx, [first, _identity(9)]) == {first}
        assert await documents.known(tx, []) == set()


async def test_a_batch_of_thousands(database: Database) -> None:
    many = {_identity(n) for n in range(5000)}
    async with database.transaction() as tx:
        assert await documents.new(tx, "pastes", many, after(0)) == many
        assert await documents.new(tx, "pastes", many, after(0)) == set()
        assert await documents.known(tx, many) == many


async def test_each_document_goes_to_one_of_two_workers(database: Database) -> None:
    many = [_identity(n) for n in range(300)]

    async def work(order: int) -> set[bytes]:
        async with database.transaction() as tx:
            return await documents.new(tx, "pastes", many[::order], after(0))

    taken = await asyncio.gather(work(1), work(-1), work(1))
    assert sum(len(t) for t in taken) == len(many)
    assert set().union(*taken) == set(many)


async def test_what_is_rolled_back_was_never_listed(database: Database) -> None:
    async def interrupted() -> None:
        async with database.transaction() as tx:
            await documents.new(tx, "pastes", [_identity(1)], after(0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await interrupted()
    async with database.transaction() as tx:
        assert await documents.new(tx, "pastes", [_identity(1)], after(0)) == {_identity(1)}
