"""Three hundred sources polled by one daemon: what it takes of the machine, and how many requests each host gets.

The sites are on loopback, thirty addresses with ten sources each, so that the limits of a host are shared. Each
publishes now and then; every document is read; the keys in some of them are nobody's.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from aiohttp import web

from benchmarks.measuring import OURS, Result, Row, cpu_of, pin, rss_of
from leakwatch.demo import DEFINITION, Mailbox, free_socket
from tests.installation import Installation, customers

SOURCES: Final = 300
HOSTS: Final = 30
SECONDS: Final = 600.0
EVERY: Final = 15.0  # seconds between two polls of a source
RATE: Final = 2.0  # requests a second to one host, and as many at once
_PUBLISHED: Final = 10.0  # seconds between two documents of a source


class Sites:
    """All sites, and when each of their hosts was asked."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._keys = [customer.key for customer in customers(20, seed=1)]
        self._active: dict[str, int] = defaultdict(int)
        self._chance = random.Random(5)
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.most = 0  # requests at once to one host

    async def handle(self, request: web.Request) -> web.Response:
        """Answer like a paste site that publishes every few seconds."""
        host = request.host
        self.asked[host].append(time.monotonic())
        self._active[host] += 1
        self.most = max(self.most, self._active[host])
        await asyncio.sleep(0.02)
        self._active[host] -= 1
        return self._answer(request.path)

    def _answer(self, path: str) -> web.Response:
        if path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private\n")
        if path.endswith("/recent"):
            newest = int((time.monotonic() - self._began) / _PUBLISHED)
            name = path.split("/")[1]
            numbers = range(newest, max(-1, newest - 30), -1)
            rows = "".join(f'<li><a href="/{name}/raw/{n}">paste {n}</a></li>' for n in numbers)
            return web.Response(text=f"<ul>{rows}</ul>", content_type="text/html", headers={"ETag": f'"{newest}"'})
        key = f"T={self._chance.choice(self._keys)}\n" if self._chance.random() < 0.05 else ""
        return web.Response(text="x = 1  # a line of text\n" * 80 + key)


@asynccontextmanager
async def _serving(sites: Sites) -> AsyncIterator[list[str]]:
    """Serve the sites, each host on an address of its own; yield where."""
    app = web.Application()
    app.router.add_get("/{path:.*}", sites.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    hosts = []
    for number in range(1, HOSTS + 1):
        listening = free_socket(f"127.0.1.{number}")
        await web.SockSite(runner, listening).start()
        hosts.append(f"127.0.1.{number}:{listening.getsockname()[1]}")
    try:
        yield hosts
    finally:
        await runner.cleanup()


async def sources() -> Result:
    """Poll them all for ten minutes, and look at both ends."""
    sites = Sites()
    with TemporaryDirectory(prefix="leakwatch-bench-") as folder:
        async with _serving(sites) as hosts, Mailbox().serving() as mailbox:
            installation = Installation(Path(folder), mailbox)
            installation.define("demo-paste", DEFINITION)
            installation.sources = "\n".join(
                f'[[source]]\nuse = "demo-paste"\nname = "s{n}"\nbase_url = "http://{hosts[n % HOSTS]}/s{n}"\n'
                f'every = "{EVERY:g}s"\nrate = "{RATE:g}/s"\nconcurrency = 2'
                for n in range(SOURCES)
            )
            await installation.install([])
            async with installation.daemon() as process:
                pin(process.pid, OURS)
                used = cpu_of(process.pid)
                await asyncio.sleep(SECONDS)
                share, memory = (cpu_of(process.pid) - used) / SECONDS, rss_of(process.pid)
                listed = await installation.run("sources", "list", "--json")
    return _result(sites, listed.rows, share, memory)


def _result(sites: Sites, listed: list[dict[str, Any]], share: float, memory: float) -> Result:
    requests = [len(asked) for asked in sites.asked.values()]
    nearest = min(later - earlier for asked in sites.asked.values() for earlier, later in pairwise(asked))
    allowed, due = RATE * SECONDS + 1, SECONDS / EVERY
    polls = median(int(row["polls"]) for row in listed)
    return Result(
        name="sources",
        title="Three hundred sources",
        how=f"{SOURCES} sources on {HOSTS} hosts for {SECONDS:.0f} s on one core, each polled every {EVERY:.0f} s and "
        f"publishing every {_PUBLISHED:.0f} s; each host allows {RATE:g} requests a second, two at once. "
        f"{sum(int(row['documents']) for row in listed):,} documents were scanned; states: "
        f"{', '.join(sorted({str(row['state']) for row in listed}))}.",
        reference="what is allowed, or due",
        bar="no host is asked more than it allows, and no poll is missed that is due",
        rows=(
            Row(
                what="requests to the busiest host", value=max(requests), unit="requests", ratio=max(requests) / allowed
            ),
            Row(what="at once to one host", value=sites.most, unit="at once", ratio=sites.most / 2),
            Row(what="shortest distance at a host", value=nearest, unit="s", ratio=nearest * RATE),
            Row(what="polls of a source, half have more", value=polls, unit="polls", ratio=polls / due),
            Row(what="processor", value=100 * share, unit="% of a core"),
            Row(what="memory", value=memory, unit="MB"),
        ),
    )
