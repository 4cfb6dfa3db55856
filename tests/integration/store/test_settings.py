import pytest
from sqlalchemy.exc import StatementError

from leakwatch.store import settings, sources
from leakwatch.store.database import Database
from tests.integration.store.making import after


async def test_a_fact_is_put_and_put_again(database: Database) -> None:
    async with database.transaction() as tx:
        assert await settings.get(tx, "colour") is None
        await settings.put(tx, "colour", "red")
        await settings.put(tx, "colour", "blue")
        assert await settings.get(tx, "colour") == "blue"


async def test_the_first_of_a_fact_holds(database: Database) -> None:
    async with database.transaction() as tx:
        assert await settings.first(tx, "colour", "red") == "red"
        assert await settings.first(tx, "colour", "blue") == "red"


async def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="a moment without a zone"):
        async with database.transaction() as tx:
            await sources.ensure(tx, ["pastes"], after(0).replace(tzinfo=None))


async def test_a_moment_comes_back_with_its_zone(database: Database) -> None:
    async with database.transaction() as tx:
        assert await settings.moment(tx, "told") is None
        await settings.put_moment(tx, "told", after(1.5))
        assert await settings.moment(tx, "told") == after(1.5)
