"""The whole daemon, as a process, between a loopback site and a loopback mail server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from leakwatch.demo import Mailbox, PasteSite
from tests.installation import Installation


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox().serving() as mailbox:
        yield mailbox


@pytest.fixture
async def site() -> AsyncIterator[PasteSite]:
    async with PasteSite().serving() as site:
        yield site


@pytest.fixture
def installation(tmp_path: Path, mailbox: Mailbox) -> Iterator[Installation]:
    installation = Installation(tmp_path, mailbox)
    yield installation
    installation.kill()
