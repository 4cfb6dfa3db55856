"""What the tests of outages look at: readiness, the log, and who has been told."""

import asyncio
import json
import urllib.request
from collections import Counter
from typing import Any
from urllib.error import HTTPError

from leakwatch.demo import PasteSite
from tests.installation import PATIENCE, Customer, Installation, until

DOWN = "the database is down: waiting for it"
WORKS = "the database works again"


def publish(site: PasteSite, owners: list[Customer]) -> None:
    """Publish each owner's key in a paste of its own."""
    for owner in owners:
        site.publish(f"paste of {owner.name}", f"TOKEN={owner.key}\n")


def told(installation: Installation) -> Counter[str]:
    """How many mails each customer has."""
    return Counter(to for _, to, _ in installation.mailbox.mails if to != "soc@issuer.example")


async def all_told(installation: Installation, owners: list[Customer], *, patience: float = PATIENCE) -> None:
    """Wait until each of these customers has mail."""
    addresses = {owner.address for owner in owners}
    await until(lambda: addresses <= told(installation).keys(), f"{len(owners)} are told", patience=patience)


async def readiness(installation: Installation) -> tuple[int, dict[str, Any]]:
    """What `/readyz` answers: status and checks."""

    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{installation.web_port}/readyz", timeout=15) as answer:
                return answer.status, answer.read()
        except HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()

    status, body = await asyncio.to_thread(ask)
    return status, json.loads(body)["checks"]


async def becomes_ready(installation: Installation) -> None:
    """Wait until `/readyz` says so."""
    for _ in range(100):
        if (await readiness(installation))[0] == 200:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(await readiness(installation))


def outages(installation: Installation) -> list[str]:
    """What the log says of the database, in order."""
    return [event["event"] for event in installation.events if event["event"] in (DOWN, WORKS)]


def reasons(installation: Installation) -> set[str]:
    """Why the log says that the database was down."""
    return {event["detail"] for event in installation.events if event["event"] == DOWN}


def troubles(installation: Installation) -> list[dict[str, Any]]:
    """What else the log warns of."""
    harmless = (DOWN, "key found")
    return [e for e in installation.events if e["level"] in ("warning", "error") and e["event"] not in harmless]
