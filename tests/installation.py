"""An installation as an operator has it: a folder, a configuration, and the real command line in its own processes."""

import asyncio
import csv
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any, cast

from leakwatch.definitions import Definition
from leakwatch.demo import DEFINITION, Mailbox, free_port
from leakwatch.fetch import Source
from leakwatch.match import digest_text
from leakwatch.scan import Detector, shipped, synthesize
from leakwatch.toml import parse
from leakwatch.units import Rate

PATIENCE = 180.0  # seconds: machines that run tests have other things to do as well


@dataclass
class Customer:
    """A customer with one key."""

    name: str
    key: str
    detector: str
    locale: str = "en"

    @property
    def address(self) -> str:
        return f"{self.name}@customers.example"

    @property
    def label(self) -> str:
        return f"key of {self.name}"


def customers(count: int, *, seed: int, prefix: str = "c") -> list[Customer]:
    """Make customers, each with a synthetic key of another kind that shows by itself what it is."""
    chance = Random(seed)
    detectors: Sequence[Detector] = [d for d in shipped() if not d.bare and not d.group and d.form == "as-found"]
    return [
        Customer(f"{prefix}{n}", synthesize(detector, chance), detector.id)
        for n in range(count)
        for detector in [detectors[n % len(detectors)]]
    ]


@dataclass
class Result:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], json.loads(self.out))


@dataclass
class Installation:
    """One operator's folder."""

    folder: Path
    mailbox: Mailbox
    sources: str = ""  # the [[source]] tables, as TOML
    notices: str = 'operator = ["mailto:soc@issuer.example"]'
    email: str = ""  # what else [email] says
    web: str = ""  # what else [web] says
    smtp_port: int | None = None
    database_url: str = "sqlite:///leakwatch.db"
    web_port: int = field(default_factory=free_port)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The daemon's log, line by line."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def define(self, name: str, toml: str) -> None:
        """Put a definition of the operator's own beside the configuration."""
        (self.folder / "sources").mkdir(exist_ok=True)
        (self.folder / "sources" / f"{name}.toml").write_text(toml)

    def configure(self) -> None:
        """Write the configuration."""
        pepper = self.folder / "pepper"
        if not pepper.exists():
            pepper.write_text(secrets.token_hex(32))
        (self.folder / "leakwatch.toml").write_text(
            f"""\
[database]
url = "{self.database_url}"
[matching]
pepper_file = "pepper"
[http]
user_agent = "leakwatch test (test@issuer.example)"
allow_networks = ["127.0.0.0/8"]
[notices]
{self.notices}
[email]
from = "Example AI Security <security@issuer.example>"
smtp = "smtp+insecure://127.0.0.1:{self.smtp_port or self.mailbox.port}"
timeout = "5s"
{self.email}
[web]
listen = "127.0.0.1:{self.web_port}"
{self.web}
[log]
format = "json"
{self.sources}
"""
        )

    async def install(self, registered: Iterable[Customer]) -> None:
        """Do what an operator does before the first start."""
        self.configure()
        done = await self.run("db", "upgrade")
        assert done.status == 0, done.err
        with (self.folder / "customers.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("customer", "email", "locale", "provider", "label", "key_id", "digest"))
            rows.writerows((c.name, c.address, c.locale, "", c.label, "", digest_text(c.key)) for c in registered)
        done = await self.run("keys", "import", "customers.csv")
        assert done.status == 0, done.err

    async def run(self, *arguments: str, stdin: bytes | None = None) -> Result:
        """Run a command to its end."""
        process = await self._start(*arguments, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, err = await process.communicate(stdin)
        return Result(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *, ready: bool = True) -> asyncio.subprocess.Process:
        """Start the daemon and, unless told otherwise, wait until it is at work; its log is appended to."""
        begun = self._watching() if self.log.exists() else 0
        with self.log.open("ab") as log:
            process = await self._start("run", stderr=log)
        if ready:
            await until(lambda: self._watching() > begun or process.returncode is not None, "the daemon is ready")
        return process

    @asynccontextmanager
    async def daemon(self, *, ready: bool = True) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the daemon while the block runs; it must stop in order when it is told to."""
        process = await self.start(ready=ready)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            status = await asyncio.wait_for(process.wait(), 40)
        assert status == 0, self.log.read_text()[-4000:]

    def _watching(self) -> int:
        """How often a daemon has begun to watch."""
        return sum(event["event"] == "watching" for event in self.events)

    async def _start(
        self, *arguments: str, stdin: int | None = asyncio.subprocess.DEVNULL, stderr: Any = None
    ) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "leakwatch", "-c", str(self.folder / "leakwatch.toml"), *arguments),
            cwd=self.folder,
            env={**os.environ, "NO_COLOR": "1"},
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
        self.processes.append(process)
        return process

    def kill(self) -> None:
        """Kill what a test has left running."""
        for process in self.processes:
            if process.returncode is None:
                process.kill()


def mails(mailbox: Mailbox, address: str) -> list[EmailMessage]:
    """The mails that one address was given."""
    return [message_from_bytes(content, policy=policy.default) for _, to, content in mailbox.mails if to == address]


def text_of(mail: EmailMessage) -> str:
    """The plain part of a mail."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


async def until_async(true: Callable[[], Awaitable[bool]], what: str, *, patience: float = PATIENCE) -> None:
    """Wait for something to become true that has to be asked for, and say what did not."""
    deadline = time.monotonic() + patience
    while not await true():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain: {what}"
        await asyncio.sleep(0.05)


async def until(true: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Wait for something to become true, and say what did not."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain: {what}"
        await asyncio.sleep(0.05)


def source_named(name: str, base_url: str = "https://place.example", **more: Any) -> Source:
    """A source whose definition is the demo's, for tests that poll nothing or poll loopback."""
    definition = parse(DEFINITION, Definition, file="demo")
    facts = {"every": 60.0, "rate": Rate(1000, 1.0), "concurrency": 8, "max_bytes": 1_000_000}
    return Source(name=name, definition=definition, base_url=base_url, **{**facts, **more})
