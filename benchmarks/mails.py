"""Notices on their way out: mails a second to Postfix's smtp-sink, a burst of ten thousand, from finding to mail."""

import asyncio
import random
import time
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
import aiosmtplib
from sqlalchemy import text

from benchmarks.daemon import p99, watching
from benchmarks.measuring import OURS, Result, Row, cpu_of, pin, pinned, rss_of, serving, versions
from leakwatch.announce import Announcer
from leakwatch.config import load
from leakwatch.demo import Mailbox, free_port
from leakwatch.engine.embedded import EmbeddedEngine
from leakwatch.model import NoticeKind, now
from leakwatch.store import findings, notices, registry
from leakwatch.store.database import Database
from leakwatch.store.notices import Delivery
from tests.installation import Installation, customers
from tests.integration.store.making import register, registration, seen

SINK: Final = Path("/usr/sbin/smtp-sink")
MAILS: Final = 3_000  # in each run
CONNECTIONS: Final = (1, 2, 4)
BAR: Final = 150.0  # mails a second on one connection
SLOW: Final = (1, 8)  # connections to a server that takes a second for each mail
BURST: Final = 10_000
_ACCEPTED: Final = (
    "SELECT count(*) FROM delivery JOIN notice ON notice.id = notice_id WHERE state = 'accepted' AND kind = 'exposure'"
)
SINGLE: Final = 100  # findings, one after the other


async def mails() -> list[Result]:
    """Measure what the relay sends, how that grows with connections, and how soon one mail is gone."""
    if not SINK.exists():
        message = f"{SINK} is missing: apt-get install postfix"
        raise RuntimeError(message)
    return [await _rates(), await _burst(), await _one_by_one()]


@asynccontextmanager
async def _sending(connections: int, *options: str) -> AsyncIterator[tuple[Installation, Database, int]]:
    """An installation whose mail server is smtp-sink on the other core; the daemon is not running yet."""
    port = free_port()
    with TemporaryDirectory(prefix="leakwatch-bench-") as folder, serving(_sink(port, *options)):
        await _listens(port)
        installation = Installation(Path(folder), Mailbox(), smtp_port=port)
        installation.notices = 'operator = []\nbreaker = "1000000/h"'
        installation.email = f"connections = {connections}"
        await installation.install([])
        database = Database(f"sqlite:///{folder}/leakwatch.db")
        try:
            yield installation, database, port
        finally:
            await database.close()


def _sink(port: int, *options: str) -> list[str]:
    user = ("-u", "nobody") if Path("/proc/self").stat().st_uid == 0 else ()
    return [str(SINK), *user, *options, f"127.0.0.1:{port}", "100"]


async def _listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def _owe(installation: Installation, database: Database, first: int, count: int) -> None:
    """Record a finding of each of so many customers, as the pipeline does it: one notice is owed to each."""
    engine = EmbeddedEngine(database)
    config = load(installation.folder / "leakwatch.toml").notices
    announcer = Announcer(engine=engine, config=config, domain="issuer.example")
    async with database.transaction() as tx:
        await register(tx, [registration(f"c{n}", n) for n in range(first, first + count)])
        keys = [
            key for key in await registry.keys(tx) if key.label in {f"key {n}" for n in range(first, first + count)}
        ]
        sightings = [seen(key.id, key.id, now().timestamp()) for key in keys]
        await announcer.findings(tx, await findings.record(tx, sightings), observe=False)


async def _told(database: Database) -> list[tuple[datetime, Delivery]]:
    """When each notice of an exposed key was owed, and its delivery."""
    async with database.reading() as tx:
        found = await notices.notices(tx, limit=None)
    return [(n.created_at, d) for n in found if n.kind is NoticeKind.EXPOSURE for d in n.deliveries]


async def _accepted(database: Database, count: int, patience: float = 600.0) -> list[tuple[datetime, Delivery]]:
    async with asyncio.timeout(patience):
        while True:
            async with database.reading() as tx:
                accepted = (await tx.execute(text(_ACCEPTED))).scalar_one()
            if accepted >= count:
                return await _told(database)
            await asyncio.sleep(1)


async def _rate(connections: int, count: int, *options: str) -> tuple[float, float]:
    """Return mails a second, from the first to the last, and the seconds of CPU that each took."""
    async with _sending(connections, *options) as (installation, database, _):
        await _owe(installation, database, 0, count)
        async with installation.daemon() as process:
            pin(process.pid, OURS)
            used = cpu_of(process.pid)
            told = await _accepted(database, count)
            used = cpu_of(process.pid) - used
    at = sorted(delivery.accepted_at for _, delivery in told if delivery.accepted_at)
    return (count - 1) / (at[-1] - at[0]).total_seconds(), used / count


async def _alone(content: bytes, count: int) -> float:
    """Return how many mails a second aiosmtplib sends over one connection that has nothing else to do."""
    port = free_port()
    with serving(_sink(port)), pinned(OURS):
        await _listens(port)
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as server:
            began = time.perf_counter()
            for number in range(count):
                await server.sendmail("security@issuer.example", [f"c{number}@example.org"], content)
            return count / (time.perf_counter() - began)


async def _rates() -> Result:
    sample = await _sample()
    alone = await _alone(sample, MAILS)
    rows = [Row(what="aiosmtplib alone, one connection", value=alone, unit="mails/s", ratio=1.0)]
    for connections in CONNECTIONS:
        rate, cpu = await _rate(connections, MAILS)
        what = f"leakwatch, {connections} connection{'s' if connections > 1 else ''}"
        note = f"{1000 * cpu:.1f} ms of CPU each, with the start"
        rows.append(Row(what=what, value=rate, unit="mails/s", ratio=rate / alone, note=note))
    for connections in SLOW:
        rate, _ = await _rate(connections, 15 * connections, "-w", "1")
        what = f"leakwatch, {connections} connection{'s' if connections > 1 else ''}, a second for each mail"
        rows.append(Row(what=what, value=rate, unit="mails/s", ratio=rate / alone))
    return Result(
        name="mails",
        title="Mails a second",
        how=f"{MAILS:,} notices to as many customers, owed in SQLite when the daemon starts: read, written in both "
        "forms, sent and settled, on one core; smtp-sink on the other. aiosmtplib alone sends one of them as often "
        f"({len(sample):,} bytes), and does nothing else. Then a server that takes a second for each mail.",
        reference="aiosmtplib alone",
        bar="≥ 150 mails a second on one connection, more with more of them as far as the core goes",
        rows=tuple(rows),
        falls_short="" if rows[1].value >= BAR else "Short by what others took of the same cores meanwhile, or more.",
        versions=versions("aiosmtplib", "uvloop", "SQLAlchemy"),
    )


async def _sample() -> bytes:
    """Return a mail as it travels."""
    mailbox = Mailbox()
    with TemporaryDirectory(prefix="leakwatch-bench-") as folder:
        async with mailbox.serving():
            installation = Installation(Path(folder), mailbox)
            await installation.install([])
            database = Database(f"sqlite:///{folder}/leakwatch.db")
            await _owe(installation, database, 0, 1)
            async with installation.daemon():
                await _accepted(database, 1)
            await database.close()
    return next(content for _, to, content in mailbox.mails if to == "c0@example.org")


async def _burst() -> Result:
    async with _sending(4) as (installation, database, _):
        await _owe(installation, database, 0, BURST)
        async with installation.daemon() as process:
            pin(process.pid, OURS)
            await _accepted(database, BURST // 10)
            early = rss_of(process.pid)
            told = await _accepted(database, BURST)
            late = rss_of(process.pid)
    at = sorted(delivery.accepted_at for _, delivery in told if delivery.accepted_at)
    most = max(delivery.attempts for _, delivery in told)
    tries = "one try" if most == 1 else f"{most} tries"
    return Result(
        name="burst",
        title="A burst of ten thousand notices",
        how=f"{BURST:,} notices owed at once, 4 connections to smtp-sink, SQLite, one core. {len(at):,} were accepted, "
        f"each after {tries} at the most, in {(at[-1] - at[0]).total_seconds():.0f} s.",
        reference="after a tenth",
        bar="all accepted, memory flat",
        rows=(
            Row(what="memory after a tenth", value=early, unit="MB", ratio=1.0),
            Row(what="memory at the end", value=late, unit="MB", ratio=late / early),
        ),
    )


async def _one_by_one() -> Result:
    owners, chance = customers(SINGLE, seed=6), random.Random(6)
    async with watching(owners, every="1s", listed=1) as (installation, url, _), aiohttp.ClientSession() as session:
        for owner in owners:
            await asyncio.sleep(chance.uniform(0.2, 0.6))
            posted = urllib.parse.quote_plus(f"TOKEN={owner.key}")
            (await session.post(f"{url}/publish?text={posted}")).close()
        database = Database(f"sqlite:///{installation.folder}/leakwatch.db")
        told = await _accepted(database, SINGLE)
        await database.close()
    took = [(d.accepted_at - owed).total_seconds() for owed, d in told if d.accepted_at]
    return Result(
        name="finding-to-mail",
        title="From a recorded finding to the accepted mail",
        how=f"{SINGLE} keys published one after the other on a site that is polled every second, with nothing else to "
        "do; from the moment at which a notice is owed to that of the server's acceptance. SQLite, one core.",
        reference="the bar",
        bar="99 of 100 within a second",
        rows=(
            Row(what="half of all", value=median(took), unit="s", ratio=median(took)),
            Row(what="99 of 100", value=p99(took), unit="s", ratio=p99(took)),
        ),
    )
