"""The database's disk is full: the daemon waits, says so, and goes on when there is room."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakwatch.demo import PasteSite
from tests.installation import Installation, customers, until
from tests.integration.outage.server import PASSWORD, Ballast, disk, serving
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
from tests.postgres import new_folder


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ballast(
    request: pytest.FixtureRequest, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ballast]:
    """What fills the small disk on which the installation's database lies, of each kind in turn."""
    if request.param == "sqlite":
        with disk(tmp_path / "disk", megabytes=8) as folder:
            installation.database_url = f"sqlite:///{folder}/leakwatch.db"
            yield Ballast(folder)
        return
    monkeypatch.setenv("LEAKWATCH_DATABASE_PASSWORD", PASSWORD)
    data = new_folder()
    data.rmdir()
    with disk(data, megabytes=160), serving(data) as server:
        installation.database_url = server.url
        yield Ballast(data)


async def test_what_is_published_while_the_disk_is_full_ends_in_one_notice_each(
    installation: Installation, site: PasteSite, ballast: Ballast
) -> None:
    owners = customers(40, seed=61)
    installation.notices = 'operator = ["mailto:soc@issuer.example"]\nbreaker = "1000/h"'
    await installation.install(owners)
    async with installation.daemon():
        publish(site, owners[:3])
        await all_told(installation, owners[:3])
        ballast.fill()
        publish(site, owners[3:])
        for n in range(300):  # with titles of which there is too much for what the database has already
            site.publish(f"harmless {n} {'x' * 1900}", "nothing")
        await until(lambda: DOWN in outages(installation), "the log says so")
        status, checks = await readiness(installation)
        assert status == 503, checks
        await asyncio.sleep(5)
        ballast.remove()
        await becomes_ready(installation)
        await all_told(installation, owners)
        await until(lambda: outages(installation)[-1] == WORKS, "the log says that it is over")
    assert any("is full" in reason and "make room" in reason for reason in reasons(installation))
    assert told(installation) == dict.fromkeys((owner.address for owner in owners), 1)
    assert troubles(installation) == []
