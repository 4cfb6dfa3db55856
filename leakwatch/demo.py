"""The main job, for real, on loopback: a paste site, a mail server, and the daemon between them.

What runs is what an operator runs: `db upgrade`, `keys import` and `run`, each in a process of its own, on SQLite in a
folder that is removed afterwards. Only the site and the mail server are the demo's own.
"""

import asyncio
import base64
import contextlib
import csv
import hashlib
import os
import random
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
from aiohttp import ClientError, ClientSession

from leakwatch.errors import LeakwatchError
from leakwatch.loopback import Mailbox, PasteSite, free_port, free_socket
from leakwatch.scan import Detector, shipped, synthesize

__all__ = ["DEFINITION", "DemoFailed", "Mailbox", "PasteSite", "decoded", "demo", "free_port", "free_socket", "traces"]

HARMLESS: Final = 40  # pastes that hold nothing
START: Final = 60.0  # seconds that the daemon may take to be ready …
PATIENCE: Final = 60.0  # … and, from then on, until every mail must have come
_WINDOW: Final = 12  # characters of a key's secret part that count as a trace of it
_LAST: Final = 4  # the last characters, which a notice shows
DEFINITION: Final = """\
name = "demo-paste"
title = "The demo's paste site"
kind = "html"
every = "1s"
rate = "200/s"

[listing]
url = "{base_url}/recent"
items = "li"

[fields]
id = "a@href"
url = "a@href"
title = "a"

[[sample]]
origin = "constructed"
source = "the demo's own site"
body = '<ul><li><a href="/raw/1">notes</a></li></ul>'
expect = [{ id = "/raw/1", url = "https://site.example/raw/1", title = "notes" }]
"""


class DemoFailed(LeakwatchError):
    """The demo did not show what it is there to show."""

    reason = "demo"


@dataclass
class Leak:
    """A key that gets out, and whose it is."""

    customer: str
    locale: str
    label: str
    detector: str
    key: str
    registered: bool = True
    published: float = 0.0
    mail: EmailMessage | None = None
    mailed: float = 0.0

    @property
    def digest(self) -> str:
        """What the customer sent: the digest, never the key."""
        return "sha256:" + hashlib.sha256(self.key.encode()).hexdigest()

    @property
    def address(self) -> str:
        """Where the customer's notices go."""
        return f"{self.customer.lower().replace('è', 'e')}@customers.example"


async def demo(*, keep: Path | None = None) -> None:
    """Run the main job and print what happens. Raises DemoFailed when it does not happen as promised."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leakwatch-demo-") as made:
        folder = keep or Path(made)
        async with PasteSite().serving() as site, Mailbox().serving() as mailbox:
            for number in range(HARMLESS):
                site.publish(f"notes {number}", f"shopping list {number}\n" + "milk, bread\n" * 20)
            leaks = _leaks()
            port = free_port()
            await _install(folder, site, mailbox, leaks, port)
            async with _daemon(folder) as daemon:
                await _ready(daemon, port)
                _say("leakwatch run is watching; pastes appear now")
                _publish(site, leaks)
                await _mails(leaks, mailbox)
            _report(leaks, mailbox)
            _prove(folder, leaks, mailbox)
    _say(f"done in {time.monotonic() - started:.1f} s")


def traces(key: str, detector: Detector, content: bytes) -> Iterator[str]:
    """Yield the forms in which a key, or enough of it, stands in a file; public prefix and last four are no trace."""
    raw = key.encode()
    whole = [
        ("base64", base64.b64encode(raw).rstrip(b"=")),
        ("hex", raw.hex().encode()),
        ("hex, upper case", raw.hex().upper().encode()),
        ("URL-encoded", quote(key, safe="").encode()),
        ("URL-encoded throughout", "".join(f"%{byte:02X}" for byte in raw).encode()),
        ("reversed", raw[::-1]),
    ]
    yield from (form for form, value in whole if value in content and value != raw)
    # Inside a longer base64 text a key stands at one of three alignments.
    for shift in (1, 2):
        inner = base64.b64encode(b"\0" * shift + raw)[4:-4]
        if inner in content:
            yield f"base64 at {shift}"
    prefix = re.match(detector.prefix, key)
    secret = raw[len(prefix[0]) if prefix else 0 : -_LAST]
    if any(secret[at : at + _WINDOW] in content for at in range(max(1, len(secret) - _WINDOW + 1))):
        yield "plain"


def _leaks() -> list[Leak]:
    """Make keys that nobody has: of a customer each, and one that nobody registered."""
    chance = random.Random(secrets.randbits(64))  # noqa: S311 - synthetic keys protect nothing
    made = {d.id: synthesize(d, chance) for d in shipped() if d.id in ("openai-project", "anthropic-api", "groq")}
    return [
        Leak("Acme", "en", "billing service", "openai-project", made["openai-project"]),
        Leak("Lumière", "fr", "assistant interne", "anthropic-api", made["anthropic-api"]),
        Leak("Nobody", "en", "not a customer's", "groq", made["groq"], registered=False),
    ]


async def _install(folder: Path, site: PasteSite, mailbox: Mailbox, leaks: Sequence[Leak], port: int) -> None:
    """Write what an operator writes, and run what an operator runs before the first start."""
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "sources" / "demo-paste.toml").write_text(DEFINITION)
    (folder / "pepper").touch(0o600)
    (folder / "pepper").write_text(secrets.token_hex(32))
    (folder / "leakwatch.toml").write_text(_configuration(site.url, mailbox.port, port))
    with (folder / "customers.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("customer", "email", "locale", "provider", "label", "key_id", "digest"))
        rows.writerows((k.customer, k.address, k.locale, "", k.label, "", k.digest) for k in leaks if k.registered)
    _say("a paste site and a mail server are up on loopback; the configuration is written")
    await _leakwatch(folder, "db", "upgrade")
    await _leakwatch(folder, "keys", "import", str(folder / "customers.csv"))
    _say("customers are registered, by the digests of their keys alone")


def _configuration(site: str, smtp_port: int, web_port: int) -> str:
    return f"""\
[database]
url = "sqlite:///leakwatch.db"
[matching]
pepper_file = "pepper"
[http]
user_agent = "leakwatch demo (demo@issuer.example)"
allow_networks = ["127.0.0.0/8"]
[notices]
operator = ["mailto:soc@issuer.example"]
[email]
from = "Example AI Security <security@issuer.example>"
smtp = "smtp+insecure://127.0.0.1:{smtp_port}"
[web]
listen = "127.0.0.1:{web_port}"
[log]
format = "json"
[[source]]
use = "demo-paste"
base_url = "{site}"
"""


async def _ready(daemon: asyncio.subprocess.Process, port: int) -> None:
    """Wait until the daemon says that it can do its work."""
    deadline = time.monotonic() + START
    async with ClientSession() as client:
        while time.monotonic() < deadline and daemon.returncode is None:
            with contextlib.suppress(ClientError):
                async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == HTTPStatus.OK:
                        return
            await asyncio.sleep(0.1)
    raise DemoFailed("the daemon did not start")


def _publish(site: PasteSite, leaks: Sequence[Leak]) -> None:
    """Publish the keys as people do."""
    bodies = ("# .env\nAPI_KEY={}\nDEBUG=1\n", "client = Client('{}')\n", "curl -H 'Authorization: Bearer {}'\n")
    for leak, body in zip(leaks, bodies, strict=True):
        site.publish(f"config of {leak.label}", body.format(leak.key))
        leak.published = time.monotonic()


async def _mails(leaks: Sequence[Leak], mailbox: Mailbox) -> None:
    """Wait until every customer has mail, and the next poll has shown that nobody gets a second."""
    owed = {leak.address: leak for leak in leaks if leak.registered}
    deadline = time.monotonic() + PATIENCE
    while not owed.keys() <= {address for _, address, _ in mailbox.mails}:
        if time.monotonic() > deadline:
            missing = ", ".join(owed.keys() - {address for _, address, _ in mailbox.mails})
            raise DemoFailed(f"no mail for {missing} within {PATIENCE:.0f} s")
        await asyncio.sleep(0.02)
    await asyncio.sleep(1.5)
    for leak in owed.values():
        leak.mailed, content = next((at, mail) for at, address, mail in mailbox.mails if address == leak.address)
        leak.mail = message_from_bytes(content, policy=policy.default)


def _report(leaks: Sequence[Leak], mailbox: Mailbox) -> None:
    """Print the first customer's mail as the customer sees it, and when each came."""
    first = leaks[0].mail
    body = first.get_body(("plain",)) if first is not None else None
    if first is None or body is None:
        raise DemoFailed("the notice has no text")
    click.echo()
    for name in ("From", "To", "Subject", "Date", "Message-ID"):
        click.echo(f"    {name}: {first[name]}")
    click.echo("\n" + "".join(f"    {line}".rstrip() + "\n" for line in body.get_content().splitlines()))
    for leak in leaks:
        if leak.mail is not None:
            _say(
                f"{leak.customer} had it {leak.mailed - leak.published:.2f} s after publication: {leak.mail['Subject']}"
            )
    counts = {leak.customer: sum(a == leak.address for _, a, _ in mailbox.mails) for leak in leaks}
    expected = {leak.customer: int(leak.registered) for leak in leaks}
    if counts != expected:
        raise DemoFailed(f"notices per customer are {counts}, and should be {expected}")
    told = sum(address == "soc@issuer.example" for _, address, _ in mailbox.mails)
    _say(f"one notice for each customer, none for the unregistered key; the operator was told ({told})")


def _prove(folder: Path, leaks: Sequence[Leak], mailbox: Mailbox) -> None:
    """Search every file that was written, and every mail, for every key in every form."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    files |= {f"mail {n}": decoded(content) for n, (_, _, content) in enumerate(mailbox.mails, 1)}
    detectors = {d.id: d for d in shipped()}
    found = [
        f"{leak.customer}'s key in {name} ({form})"
        for leak in leaks
        for name, content in files.items()
        for form in traces(leak.key, detectors[leak.detector], content)
    ]
    if found:
        raise DemoFailed("a key was kept: " + "; ".join(found))
    size = sum(map(len, files.values()))
    _say(f"no key in any of {len(files)} files and mails ({size:,} bytes): {', '.join(files)}")


def decoded(mail: bytes) -> bytes:
    """Return a mail with its parts as a reader sees them: transfer encodings must hide nothing from the search."""
    message = message_from_bytes(mail, policy=policy.default)
    parts = [str(p.get_content()) for p in message.walk() if p.get_content_maintype() == "text"]
    return mail + "\n".join(parts).encode()


async def _leakwatch(folder: Path, *arguments: str) -> None:
    """Run a command of the real command line to its end."""
    process = await _started(folder, *arguments, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode:
        raise DemoFailed(f"leakwatch {' '.join(arguments)} failed: {said.decode(errors='replace').strip()}")


@asynccontextmanager
async def _daemon(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon while the block runs, and see that it stops when it is told to."""
    with (folder / "leakwatch.log").open("wb") as log:
        process = await _started(folder, "run", stderr=log)
        try:
            yield process
        except DemoFailed as error:
            tail = (folder / "leakwatch.log").read_text(errors="replace").splitlines()[-20:]
            raise DemoFailed(error.message, mend="\n".join(["its log ends:", *tail])) from error
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            status = await process.wait()
    if status:
        raise DemoFailed(f"the daemon ended with status {status}")


async def _started(folder: Path, *arguments: str, stderr: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "leakwatch", "-c", str(folder / "leakwatch.toml"), *arguments),
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=stderr,
    )


def _say(text: str) -> None:
    click.secho("▸ ", fg="cyan", nl=False)
    click.echo(text)
