"""The whole daemon on loopback: documents a second, from publication to mail, and what it costs to wait."""

import asyncio
import random
import sys
import time
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
import uvloop

from benchmarks.measuring import OURS, Result, Row, cpu_of, pin, rss_of, serving, versions
from leakwatch.demo import Mailbox, free_port
from tests.installation import Customer, Installation, customers

DOCUMENTS: Final = 10_000  # in the listing whose documents are fetched
SIZE: Final = 2_000  # bytes of a document
LOAD: Final = 750  # documents a second while the time to mail is taken: half of the bar
LEAKS: Final = 100
IDLE: Final = 60.0  # seconds
_WHY_IDLE: Final = """\
It falls short by what the polls themselves cost: fifty a minute are asked, read and written down, some ten milliseconds
each; between them next to nothing runs."""
SOURCES: Final = 50
_CONNECTIONS: Final = 64
_DEFINITION: Final = """\
name = "bench"
title = "The yardsticks' site"
kind = "json"
every = "{every}"
rate = "100000/s"
concurrency = {connections}

[listing]
url = "{{base_url}}/list"
items = "@"

[fields]
id = "id"
url = "url"

[[sample]]
origin = "constructed"
source = "the yardsticks' own site"
body = '[{{"id": "1", "url": "/raw/1"}}]'
expect = [{{ id = "1", url = "https://site.example/raw/1" }}]
"""


@asynccontextmanager
async def watching(
    registered: list[Customer], *, every: str, listed: int, rate: int = 0, sources: int = 1
) -> AsyncIterator[tuple[Installation, str, int]]:
    """Run the daemon on our core, and the site on the other: the installation, the site's URL, the daemon's process."""
    port = free_port()
    with TemporaryDirectory(prefix="leakwatch-bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.site", str(port), str(listed), str(SIZE), str(rate)]
        with serving(command):
            async with Mailbox().serving() as mailbox:
                installation = Installation(Path(folder), mailbox)
                installation.notices = 'operator = ["mailto:soc@issuer.example"]\nbreaker = "100000/h"'
                installation.define("bench", _DEFINITION.format(every=every, connections=_CONNECTIONS))
                url = f"http://127.0.0.1:{port}"
                installation.sources = "\n".join(
                    f'[[source]]\nuse = "bench"\nname = "bench{n}"\nbase_url = "{url}"' for n in range(sources)
                )
                await installation.install(registered)
                async with installation.daemon() as process:
                    pin(process.pid, OURS)
                    yield installation, url, process.pid


async def throughput() -> Result:
    """Fetch, scan and commit what one listing names; beside it, what aiohttp alone takes to fetch the same."""
    began = time.perf_counter()
    async with watching(customers(10, seed=1), every="600s", listed=DOCUMENTS) as (installation, url, process):
        used = cpu_of(process)
        await _until(lambda: _done(installation) >= DOCUMENTS)
        used, took = cpu_of(process) - used, time.perf_counter() - began
        limit = await asyncio.to_thread(_fetch_alone, url)
    ours = DOCUMENTS / used
    return Result(
        name="throughput",
        title="Documents a second through the whole daemon",
        how=f"A listing of {DOCUMENTS:,} documents of {SIZE:,} bytes, SQLite, the daemon on one core and the site on "
        f"another, over {_CONNECTIONS} connections. Fetched, scanned, looked up and committed, in {took:.1f} s with "
        "the start. Per second of the daemon's CPU.",
        reference="aiohttp alone",
        bar="≥ 1,500 documents a second and core",
        rows=(
            Row(what="the whole daemon", value=ours, unit="documents/s", ratio=ours / limit),
            Row(what="aiohttp alone, the same documents", value=limit, unit="documents/s", ratio=1.0),
        ),
        versions=versions("aiohttp", "uvloop", "SQLAlchemy"),
    )


def _fetch_alone(url: str) -> float:
    """Return how many documents a second of CPU aiohttp fetches that does nothing else with them."""

    async def fetch() -> None:
        left = iter(range(DOCUMENTS))
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

            async def work() -> None:
                for number in left:
                    async with session.get(f"{url}/raw/{number}") as answer:
                        await answer.read()

            async with asyncio.TaskGroup() as group:
                for _ in range(_CONNECTIONS):
                    group.create_task(work())

    began = time.thread_time()
    uvloop.run(fetch())
    return DOCUMENTS / (time.thread_time() - began)


async def latency() -> Result:
    """Publish keys at random moments under half of the load that the bar asks for, and see when their mails come."""
    owners = customers(LEAKS, seed=2)
    async with watching(owners, every="1s", listed=3 * LOAD, rate=LOAD) as (installation, url, process):
        await _until(lambda: _done(installation) >= 3 * LOAD)
        published: dict[str, float] = {}
        used, began = cpu_of(process), time.perf_counter()
        async with aiohttp.ClientSession() as session:
            chance = random.Random(3)
            for owner in owners:
                await asyncio.sleep(chance.uniform(0.0, 0.3))
                text = urllib.parse.quote_plus(f"TOKEN={owner.key}")
                published[owner.address] = time.monotonic()
                (await session.post(f"{url}/publish?text={text}")).close()
        await _until(lambda: published.keys() <= {to for _, to, _ in installation.mailbox.mails})
        busy = (cpu_of(process) - used) / (time.perf_counter() - began)
        took = [at - published[to] for at, to, _ in installation.mailbox.mails if to in published]
    return Result(
        name="latency",
        title="From publication to accepted mail",
        how=f"{LEAKS} keys published at random moments on a site that is polled every second, among {LOAD} harmless "
        f"documents a second; SQLite, one core, of which the daemon used {busy:.0%}.",
        reference="the poll interval",
        bar="99 of 100 within the poll interval + 1 s, at half of the load of the bar above",
        rows=(
            Row(what="half of all", value=median(took), unit="s", ratio=median(took)),
            Row(what="99 of 100", value=p99(took), unit="s", ratio=p99(took)),
        ),
    )


def p99(values: list[float]) -> float:
    """Return what 99 of 100 do not exceed."""
    return quantiles(values, n=100, method="inclusive")[98]


async def idle() -> Result:
    """Watch many sources on which nothing happens."""
    async with watching([], every="60s", listed=100, sources=SOURCES) as (installation, _, process):
        await _until(lambda: _done(installation) >= 100 * SOURCES)
        await asyncio.sleep(5)
        used, began = cpu_of(process), time.perf_counter()
        await asyncio.sleep(IDLE)
        share = (cpu_of(process) - used) / (time.perf_counter() - began)
        memory = rss_of(process)
    return Result(
        name="idle",
        title="What it costs to wait",
        how=f"{SOURCES} sources, each polled once a minute, on which nothing is new, for {IDLE:.0f} s.",
        reference="the bar",
        bar="< 1 % of a core, < 150 MB",
        rows=(
            Row(what="processor", value=100 * share, unit="% of a core", ratio=share / 0.01),
            Row(what="memory", value=memory, unit="MB", ratio=memory / 150),
        ),
        falls_short=_WHY_IDLE if share > 0.01 or memory > 150 else "",
    )


def _done(installation: Installation) -> int:
    """How many documents the daemon says that it has fetched."""
    return sum(event.get("documents", 0) for event in installation.events if event["event"] == "fetched")


async def _until(true: Callable[[], bool], patience: float = 300.0) -> None:
    deadline = time.monotonic() + patience
    while not true():
        if time.monotonic() > deadline:
            message = "the daemon did not finish what it was given"
            raise TimeoutError(message)
        await asyncio.sleep(0.2)


YARDSTICKS: Final[dict[str, Callable[[], Awaitable[Result]]]] = {
    "throughput": throughput,
    "latency": latency,
    "idle": idle,
}
