"""The whole daemon, as a process, on a database that fails it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from leakwatch.demo import DEFINITION, Mailbox, PasteSite
from tests.installation import Installation
from tests.integration.outage.server import PASSWORD, Server, serving
from tests.postgres import new_folder


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox().serving() as mailbox:
        yield mailbox


@pytest.fixture
async def site() -> AsyncIterator[PasteSite]:
    """A paste site with something on it: an empty listing is trouble, and these tests look for that."""
    async with PasteSite().serving() as site:
        site.publish("first", "nothing")
        yield site


@pytest.fixture
def installation(tmp_path: Path, mailbox: Mailbox, site: PasteSite) -> Iterator[Installation]:
    """An installation that watches the site, not installed yet."""
    installation = Installation(tmp_path, mailbox)
    installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"'
    installation.define("demo-paste", DEFINITION)
    yield installation
    installation.kill()


@pytest.fixture(scope="session")
def outage_server() -> Iterator[Server]:
    with serving(new_folder()) as server:
        yield server


@pytest.fixture
def server(outage_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A Postgres that runs when the test begins, and may be stopped."""
    monkeypatch.setenv("LEAKWATCH_DATABASE_PASSWORD", PASSWORD)
    yield outage_server
    outage_server.renew()
