"""What has been listed before, so that each document is fetched and scanned once."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from leakwatch.store import given
from leakwatch.store.database import Transaction
from leakwatch.store.tables import document


async def known(tx: Transaction, identities: Collection[bytes]) -> set[bytes]:
    """Return those that were listed before."""
    if not identities:
        return set()
    asked = given.table(tx, {"identity": list(identities)})
    query = select(document.c.identity).join_from(asked, document, document.c.identity == asked.c.identity)
    return set((await tx.execute(query)).scalars())


async def new(tx: Transaction, source: str, identities: Collection[bytes], now: datetime) -> set[bytes]:
    """Remember these, and return those that were not listed before: of two transactions one gets each."""
    if not identities:
        return set()
    # In one order everywhere, or two transactions that list the same wait for each other.
    insert = given.insert(tx, document, {"identity": sorted(set(identities))}, source=source, listed_at=now)
    return set((await tx.execute(insert.on_conflict_do_nothing().returning(document.c.identity))).scalars())
