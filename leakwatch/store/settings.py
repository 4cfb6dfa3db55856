"""Facts about the installation itself, each by its name."""

from datetime import datetime

from sqlalchemy import select

from leakwatch.store.database import Transaction
from leakwatch.store.tables import setting


async def get(tx: Transaction, name: str) -> str | None:
    """Return a fact, or None where it was never put."""
    value: str | None = (await tx.execute(select(setting.c.value).where(setting.c.name == name))).scalar()
    return value


async def put(tx: Transaction, name: str, value: str) -> None:
    """Put a fact in the place of what was there."""
    insert = tx.insert(setting).values(name=name, value=value)
    await tx.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


async def first(tx: Transaction, name: str, value: str) -> str:
    """Put a fact unless there is one already, and return the one that holds."""
    await tx.execute(tx.insert(setting).values(name=name, value=value).on_conflict_do_nothing())
    return await get(tx, name) or value


async def moment(tx: Transaction, name: str) -> datetime | None:
    """Return a fact that is a moment, or None where it was never put."""
    value = await get(tx, name)
    return None if value is None else datetime.fromisoformat(value)


async def put_moment(tx: Transaction, name: str, at: datetime) -> None:
    """Put a moment in the place of what was there."""
    await put(tx, name, at.isoformat())
