"""Another process holds SQLite's lock: the daemon waits, says so, and goes on when it is let go."""

import asyncio
import sqlite3

from leakwatch.demo import PasteSite
from tests.installation import Installation, customers, until
from tests.integration.outage.watching import (
    DOWN,
    WORKS,
    all_told,
    becomes_ready,
    outages,
    publish,
    readiness,
    reasons,
    told,
    troubles,
)

LOCKED = 15.0  # seconds: longer than a transaction waits


async def test_what_is_published_while_sqlite_is_locked_ends_in_one_notice_each(
    installation: Installation, site: PasteSite
) -> None:
    owners = customers(6, seed=71)
    await installation.install(owners)
    async with installation.daemon():
        publish(site, owners[:3])
        await all_told(installation, owners[:3])
        other = sqlite3.connect(installation.folder / "leakwatch.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        publish(site, owners[3:])
        await asyncio.sleep(LOCKED)
        assert outages(installation) == [DOWN]
        status, checks = await readiness(installation)
        assert (status, "locked" in checks["database"]) == (503, True), checks
        other.execute("ROLLBACK")
        other.close()
        await all_told(installation, owners)
        await becomes_ready(installation)
        await until(lambda: outages(installation) == [DOWN, WORKS], "the log says that it is over")
    assert all("locked" in reason for reason in reasons(installation))
    assert told(installation) == dict.fromkeys((owner.address for owner in owners), 1)
    assert troubles(installation) == []
