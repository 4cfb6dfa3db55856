"""Postgres crashes, is away for a while and comes back: the daemon waits, says so, and loses nothing."""

import asyncio
import os
from typing import Any

import pytest

from leakwatch.demo import PasteSite
from tests.installation import Installation, customers, mails, until
from tests.integration.outage.server import Server
from tests.integration.outage.watching import (
    DOWN,
    WORKS,
    all_told,
    becomes_ready,
    outages,
    publish,
    readiness,
    told,
    troubles,
)

pytestmark = pytest.mark.postgres
SECONDS = [10, *([60] if os.environ.get("LEAKWATCH_LONG") else [])]


@pytest.mark.parametrize("seconds", SECONDS)
async def test_what_is_published_while_postgres_is_away_ends_in_one_notice_each(
    installation: Installation, site: PasteSite, server: Server, seconds: int
) -> None:
    owners = customers(9, seed=51)
    installation.database_url = server.url
    await installation.install(owners)
    async with installation.daemon():
        publish(site, owners[:3])
        await all_told(installation, owners[:3])
        publish(site, owners[3:6])  # on their way when it crashes
        await asyncio.sleep(1)
        await asyncio.to_thread(server.stop)
        publish(site, owners[6:])
        await until(lambda: DOWN in outages(installation), "the log says so")
        status, checks = await readiness(installation)
        assert status == 503
        assert "did not answer" in checks["database"]
        await asyncio.sleep(seconds)
        assert (await readiness(installation))[0] == 503
        await asyncio.to_thread(server.start)
        await becomes_ready(installation)
        await all_told(installation, owners)
        await asyncio.sleep(3)  # two more polls: nothing is told twice
        listed = await installation.run("jobs", "list", "--json")

    assert listed.rows == []
    assert told(installation) == dict.fromkeys((owner.address for owner in owners), 1)
    assert outages(installation) == [DOWN, WORKS]
    assert troubles(installation) == []


async def test_a_daemon_that_starts_first_waits_for_its_database(
    installation: Installation, site: PasteSite, server: Server
) -> None:
    owners = customers(2, seed=52)
    installation.database_url = server.url
    await installation.install(owners)
    publish(site, owners)
    await asyncio.to_thread(server.stop, "fast")
    async with installation.daemon(ready=False):  # is told to stop before the database is there
        await until(lambda: outages(installation) == [DOWN], "the log says so")
        assert (await readiness(installation))[0] == 503
    async with installation.daemon(ready=False):
        await until(lambda: outages(installation) == [DOWN, DOWN], "the log says so again")
        await asyncio.to_thread(server.start)
        await all_told(installation, owners)
        await becomes_ready(installation)
    assert outages(installation) == [DOWN, DOWN, WORKS]
    assert troubles(installation) == []


async def test_a_mail_that_was_accepted_as_postgres_crashed_is_not_sent_again(
    installation: Installation, site: PasteSite, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process lives and remembers; only its own death could make it a second one."""
    [owner] = customers(1, seed=53)
    accept = installation.mailbox.handle_DATA

    async def crash(of: object, session: object, envelope: Any) -> str:
        if owner.address in envelope.rcpt_tos and not told(installation):
            await asyncio.to_thread(server.stop)
        return await accept(of, session, envelope)

    monkeypatch.setattr(installation.mailbox, "handle_DATA", crash)
    installation.database_url = server.url
    await installation.install([owner])
    publish(site, [owner])
    async with installation.daemon():
        await all_told(installation, [owner])
        await asyncio.sleep(3)
        await asyncio.to_thread(server.start)
        await becomes_ready(installation)
        await until(lambda: _sent(installation) == 2, "both notices are written down as sent")
        await asyncio.sleep(3)
        listed = await installation.run("notices", "list", "--json")
    assert told(installation) == {owner.address: 1}
    assert {row["state"] for row in listed.rows} == {"accepted"}
    assert len(mails(installation.mailbox, "soc@issuer.example")) == 1


async def test_a_postgres_that_crashes_again_and_again_costs_nothing(
    installation: Installation, site: PasteSite, server: Server
) -> None:
    owners = customers(10, seed=54)
    installation.database_url = server.url
    await installation.install(owners)
    async with installation.daemon():
        for n in range(5):
            publish(site, owners[2 * n : 2 * n + 2])
            await asyncio.sleep(0.5 + 0.4 * n)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
        await all_told(installation, owners)
        await becomes_ready(installation)
        listed = await installation.run("jobs", "list", "--json")
    assert listed.rows == []
    assert told(installation) == dict.fromkeys((owner.address for owner in owners), 1)
    assert outages(installation)[-1] == WORKS
    assert troubles(installation) == []


async def test_a_daemon_that_is_told_to_stop_during_an_outage_does(installation: Installation, server: Server) -> None:
    installation.database_url = server.url
    await installation.install([])
    async with installation.daemon():
        await asyncio.to_thread(server.stop)
        await until(lambda: DOWN in outages(installation), "the log says so")
    await asyncio.to_thread(server.start)


def _sent(installation: Installation) -> int:
    return sum(event["event"] == "notice sent" for event in installation.events)
