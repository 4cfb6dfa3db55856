"""A host of git, and a session that may reach it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from leakwatch.config import GitConfig
from leakwatch.fetch import Session
from tests.integration.git.host import Host, serving
from tests.unit.fetch.sites import http_config


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    (tmp_path / "host").mkdir()
    async with serving(tmp_path / "host") as host:
        yield host


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with Session(http_config(), GitConfig(folder=str(tmp_path / "mirrors"))) as session:
        yield session
