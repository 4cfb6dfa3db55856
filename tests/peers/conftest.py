"""Real third-party servers on loopback, each installed by `make test-all` into an environment of its own."""

import asyncio
import base64
import json
import os
import secrets
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leakwatch.demo import Mailbox, free_port
from tests.installation import Installation
from tests.peers.githost import GitHost, serving_git
from tests.peers.listening import listens

PEERS = Path(__file__).parents[2] / ".peers"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox().serving() as mailbox:
        yield mailbox


@pytest.fixture
def installation(tmp_path: Path, mailbox: Mailbox) -> Iterator[Installation]:
    installation = Installation(tmp_path, mailbox)
    yield installation
    installation.kill()


class Bepasty:
    """A bepasty server and its REST API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def upload(self, name: str, text: str) -> str:
        """Publish a paste as its own client does; return where it is."""
        raw = text.encode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/apis/rest/items",
            data=base64.b64encode(raw),
            headers={
                "Content-Type": "text/plain",
                "Content-Filename": name,
                "Content-Range": f"bytes 0-{len(raw) - 1}/{len(raw)}",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            assert answer.status == 201
            location: str = answer.headers["Content-Location"]
        return location.rsplit("/", 1)[-1]

    def items(self) -> dict[str, object]:
        """What the server itself says it has."""
        with urllib.request.urlopen(f"{self.url}/apis/rest/items", timeout=10) as answer:  # noqa: S310 - loopback
            return dict(json.load(answer))


@pytest.fixture
async def git_host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GitHost]:
    async with serving_git(tmp_path_factory.mktemp("git-host")) as host:
        yield host


@pytest.fixture
async def bepasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bepasty]:
    async with serving_bepasty(tmp_path_factory.mktemp("bepasty")) as server:
        yield server


@asynccontextmanager
async def serving_bepasty(folder: Path) -> AsyncIterator[Bepasty]:
    """Run bepasty's own server on a free port until the block ends."""
    program = PEERS / "python" / "bin" / "bepasty-server"
    if not program.exists():
        pytest.skip("bepasty is not installed: run `make test-all`")
    (folder / "data").mkdir()
    config = folder / "bepasty.conf"
    config.write_text(
        f"SITENAME = 'paste.test'\nSECRET_KEY = '{secrets.token_hex(32)}'\nSTORAGE = 'filesystem'\n"
        f"STORAGE_FILESYSTEM_DIRECTORY = '{folder / 'data'}'\nSESSION_COOKIE_SECURE = False\n"
        "DEFAULT_PERMISSIONS = 'read,list,create'\n"
    )
    port = free_port()
    with (folder / "bepasty.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(program), "--host", "127.0.0.1", "--port", str(port)),
            env={**os.environ, "BEPASTY_CONFIG": str(config)},
            stdout=log,
            stderr=log,
        )
    try:
        await listens(port, folder / "bepasty.log")
        yield Bepasty(port)
    finally:
        process.terminate()
        await process.wait()
