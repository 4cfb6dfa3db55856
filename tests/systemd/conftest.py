"""The machine with leakwatch installed, between a paste site and a mail server on the loopback that it shares."""

import asyncio
import csv
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from io import StringIO

import pytest

from leakwatch.demo import DEFINITION, Mailbox, PasteSite, free_port
from leakwatch.match import digest_text
from tests.installation import Customer
from tests.systemd.machine import CHECKOUT, Machine, booted

UNIT = "leakwatch.service"
CONFIG = "/etc/leakwatch/leakwatch.toml"


@dataclass
class World:
    """What is around the daemon; it lives in a thread of its own."""

    site: PasteSite = field(default_factory=PasteSite)
    mailbox: Mailbox = field(default_factory=Mailbox)
    _up: threading.Event = field(default_factory=threading.Event)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.AbstractEventLoop | None = None

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.site.serving())
            await stack.enter_async_context(self.mailbox.serving())
            self._up.set()
            await self._stop.wait()

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="world")
        thread.start()
        assert self._up.wait(10)
        return thread

    def stop(self, thread: threading.Thread) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self._stop.set)
        thread.join(10)


@dataclass
class Service:
    """leakwatch on the machine, as its administrator drives it."""

    machine: Machine
    world: World
    installing: str  # what `make install` said
    port: int = field(default_factory=free_port)

    def configure(self, *more: str) -> None:
        """Write a configuration in which the paste site is a source, and more TOML."""
        text = f"""\
[database]
url = "sqlite:////var/lib/leakwatch/leakwatch.db"
[matching]
pepper_file = "${{CREDENTIALS_DIRECTORY}}/pepper"
[http]
user_agent = "leakwatch test (test@issuer.example)"
allow_networks = ["127.0.0.0/8"]
[email]
from = "Example AI Security <security@issuer.example>"
smtp = "smtp+insecure://127.0.0.1:{self.world.mailbox.port}"
[web]
listen = "127.0.0.1:{self.port}"
[[source]]
use = "demo-paste"
base_url = "{self.world.site.url}"
"""
        self.machine.path(CONFIG).write_text("\n".join([text, *more]))
        self.machine.path("/etc/leakwatch/sources/demo-paste.toml").write_text(DEFINITION)

    def systemctl(self, *arguments: str) -> str:
        return self.machine.done("systemctl", *arguments, UNIT)

    def show(self, name: str) -> str:
        return self.machine.done("systemctl", "show", "--value", f"--property={name}", UNIT).strip()

    def journal(self) -> str:
        return self.machine.done("journalctl", "--unit", UNIT, "--output=cat", "--no-pager")

    def leakwatch(self, *arguments: str) -> str:
        return self.machine.done("leakwatch", *arguments)

    def register(self, customers: Sequence[Customer]) -> None:
        """Import keys from a file that only root may read, as an administrator would."""
        text = StringIO()
        rows = csv.writer(text)
        rows.writerow(("customer", "email", "locale", "provider", "label", "key_id", "digest"))
        rows.writerows((c.name, c.address, c.locale, "", c.label, "", digest_text(c.key)) for c in customers)
        file = self.machine.path("/root/customers.csv")
        file.touch(mode=0o600)
        file.write_text(text.getvalue())
        self.leakwatch("keys", "import", "/root/customers.csv")

    def is_told(self, customer: Customer) -> bool:
        return any(to == customer.address for _, to, _ in self.world.mailbox.mails)

    def until(self, true: Callable[[], bool], what: str, patience: float = 30.0) -> None:
        """Wait for something to become true, and show the journal if it does not."""
        deadline = time.monotonic() + patience
        while not true():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {patience:.0f} s in vain: {what}\n{self.journal()[-6000:]}")
            time.sleep(0.2)

    def start(self) -> None:
        """Have it run, with the configuration and a schema of its own."""
        self.configure()
        self.leakwatch("db", "upgrade")
        self.systemctl("restart")

    def owners(self, folder: str) -> dict[str, str]:
        """Who owns each file in a folder of the machine, and with which mode."""
        listed = self.machine.done("find", folder, "-printf", '["%P", "%u:%g %m"]\\n')
        return dict(json.loads(line) for line in listed.splitlines())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    thread = world.start()
    yield world
    world.stop(thread)


@pytest.fixture(scope="module")
def installed(world: World) -> Iterator[Service]:
    """The machine after `make install`."""
    with booted() as machine:
        machine.done("touch", str(CHECKOUT / ".venv/demo.stamp"))  # the wheel is built with what runs this test
        said = machine.done("make", "--directory", str(CHECKOUT), "install", timeout=180)
        yield Service(machine, world, said)


@pytest.fixture
def service(installed: Service) -> Service:
    """The daemon, running as it should."""
    if installed.machine.run("systemctl", "is-active", UNIT).returncode != 0:
        installed.start()
    return installed
