"""Nothing lost: `kill -9` at any instant, and after the last restart every notice that is owed has been sent."""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from leakwatch.demo import DEFINITION, Mailbox, PasteSite
from tests.installation import Installation, customers, mails, until

ROUNDS = 20
PASTES = 500
KEYS = 50


async def test_kill_9_at_random_moments_loses_no_notice(
    installation: Installation, site: PasteSite, mailbox: Mailbox, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(20261123)
    owners = customers(KEYS, seed=1)
    # 60 documents a second: 500 pastes last for several of the lives below.
    installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"\nrate = "60/s"'
    installation.notices = 'operator = ["mailto:soc@issuer.example"]\nbreaker = "1000/h"'
    installation.define("demo-paste", DEFINITION)
    await installation.install(owners)
    leaks = {chance.randrange(PASTES): None for _ in range(10 * KEYS)}
    at = dict(zip(list(leaks)[:KEYS], owners, strict=True))
    pending = [(n, f"TOKEN={at[n].key}\n" if n in at else f"nothing in number {n}\n") for n in range(PASTES)]

    for life in range(ROUNDS):
        share = len(pending) // (ROUNDS - life)
        for number, text in pending[:share]:
            site.publish(f"paste {number}", text)
        del pending[:share]
        daemon = await installation.start()
        await asyncio.sleep(chance.uniform(0.0, 2.0))
        assert daemon.returncode is None, installation.log.read_text()[-3000:]
        daemon.kill()
        await daemon.wait()

    async with installation.daemon():
        await until(
            lambda: {c.address for c in owners} <= {to for _, to, _ in mailbox.mails}, "every customer has mail"
        )
        await _settled(installation)

    under_work = [
        event for event in installation.events if event["event"].startswith("a process died under these jobs")
    ]
    assert under_work, "no kill has hit work in flight: the rounds prove nothing"
    counts = Counter(to for _, to, _ in mailbox.mails if to != "soc@issuer.example")
    assert counts.keys() == {c.address for c in owners}
    duplicates = {to: count for to, count in counts.items() if count > 1}
    for address in duplicates:
        # Accepted, and then killed before the commit: the one thing that sends a mail twice, under one Message-ID.
        assert len({mail["Message-ID"] for mail in mails(mailbox, address)}) == 1
    for owner in owners:
        assert owner.label in str(mails(mailbox, owner.address)[0].get_body(("plain",)))
    shown = await installation.run("findings", "list", "--json")
    assert len(shown.rows) == KEYS
    dead = await installation.run("jobs", "list", "--json")
    assert dead.rows == []
    record_property("duplicates", len(duplicates))
    sys.stderr.write(f"{ROUNDS} kills, {len(counts)} customers told, {len(duplicates)} of them twice\n")


async def _settled(installation: Installation) -> None:
    """Wait until no document is left to be fetched: a late one must not bring another notice."""
    for _ in range(100):
        waiting = await installation.run("jobs", "list", "--live", "--json")
        if not [row for row in waiting.rows if row["queue"] == "fetch"]:
            return
        await asyncio.sleep(0.2)
    pytest.fail("documents are still waiting to be fetched")
