"""Registries of packages, run for real: what is published there is listed, opened and fetched, byte for byte."""

import asyncio
import io
import json
import tarfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leakwatch.config import GitConfig
from leakwatch.definitions import find, load
from leakwatch.demo import free_port
from leakwatch.fetch import Session, Source, fetch, poll
from leakwatch.model import Document, Reference
from leakwatch.units import Rate
from tests.peers.software import PYTHON, needs, run, serving
from tests.unit.fetch.sites import http_config

NODE = Path(__file__).parents[2] / ".peers" / "node" / "node_modules" / "verdaccio" / "bin" / "verdaccio"
SETTINGS = """\
storage: {folder}/storage
auth: {{htpasswd: {{file: {folder}/htpasswd, max_users: 100}}}}
uplinks: {{}}
packages: {{'**': {{access: $all, publish: $all, unpublish: $all}}}}
security: {{api: {{legacy: true}}}}
log: {{type: stdout, format: pretty, level: warn}}
"""


@asynccontextmanager
async def verdaccio(folder: Path) -> AsyncIterator[str]:
    needs(NODE, "npm", what="verdaccio")
    port = free_port()
    (folder / "verdaccio.yaml").write_text(SETTINGS.format(folder=folder))
    listen = ("--listen", f"127.0.0.1:{port}")
    async with serving(folder, port, "node", NODE, "--config", folder / "verdaccio.yaml", *listen):
        yield f"http://127.0.0.1:{port}"


def publish(folder: Path, url: str, version: str, text: str) -> None:
    """Publish a version of a package as its author does."""
    package = folder / f"package-{version}"
    package.mkdir()
    (package / "package.json").write_text(json.dumps({"name": "@ada/tools", "version": version}))
    (package / "settings.js").write_text(text)
    run("npm", "publish", "--registry", url, f"--{url.removeprefix('http:')}/:_authToken=x", cwd=package)


def watched(name: str, url: str) -> Source:
    definition = load(find(name, Path("none")))
    plain = {"every": 60.0, "rate": Rate(1000, 1.0), "concurrency": 4, "max_bytes": 10**7}
    return Source(name=name, definition=definition, base_url=url, **plain)  # type: ignore[arg-type]


async def documents(source: Source, tmp_path: Path) -> dict[str, Document]:
    """Poll, open and fetch until documents are there."""
    async with Session(http_config(), GitConfig(folder=str(tmp_path / "git"))) as session:
        wanted: tuple[Reference, ...] = (await poll(session, source)).batch.references
        found: list[Document] = []
        while wanted:
            fetched = await fetch(session, source, wanted)
            assert fetched.failures == ()
            found += fetched.documents
            wanted = tuple(reference for opened in fetched.opened for reference in opened.references)
    return {document.reference.id: document for document in found}


@pytest.mark.peers
async def test_versions_that_npm_publishes_are_fetched_as_their_tarballs(tmp_path: Path) -> None:
    async with verdaccio(tmp_path) as url:
        for version in ("1.0.0", "1.0.1"):
            await asyncio.to_thread(publish, tmp_path, url, version, f"version {version}")
        found = await documents(watched("verdaccio", url), tmp_path)
    assert set(found) == {"@ada/tools@1.0.0", "@ada/tools@1.0.1"}
    raw = found["@ada/tools@1.0.1"].raw
    assert raw is not None
    assert b"version 1.0.1" in zlib.decompress(raw, 16 + zlib.MAX_WBITS)


@pytest.mark.peers
async def test_files_of_a_python_index_are_fetched(tmp_path: Path) -> None:
    program = PYTHON.with_name("pypi-server")
    needs(program, what="pypiserver")
    packages, port = tmp_path / "packages", free_port()
    packages.mkdir()
    with tarfile.open(packages / "tools-1.0.tar.gz", "w:gz") as archive:
        body = b"Metadata-Version: 2.1\nName: tools\nVersion: 1.0\n"
        info = tarfile.TarInfo("tools-1.0/PKG-INFO")
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    async with serving(
        tmp_path, port, program, "run", "--disable-fallback", "-i", "127.0.0.1", "-p", str(port), packages
    ):
        [document] = (await documents(watched("pypiserver", f"http://127.0.0.1:{port}"), tmp_path)).values()
    assert document.raw == (packages / "tools-1.0.tar.gz").read_bytes()
