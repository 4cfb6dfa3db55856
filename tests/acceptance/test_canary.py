"""No plaintext key leaves memory: not into the database, its WAL, the log, a mail, or any file that was written."""

import asyncio
import base64
import html
import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import quote

import pytest
from aiohttp import web

from leakwatch.demo import Mailbox, decoded, free_socket, traces
from leakwatch.scan import mask, shipped
from leakwatch.scan.synthetic import fill
from tests.installation import Customer, Installation, customers, until

UNMARKED: Final = "ai21"  # a format whose keys have no public prefix
DEFINITION = """\
name = "forge"
title = "A site with everything"
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
author = ".author"
path = ".path"
[[sample]]
origin = "constructed"
source = "this test"
body = '<li><a href="/raw/1">t</a><i class="author">a</i><i class="path">p</i></li>'
expect = [{ id = "/raw/1", title = "t", author = "a", path = "p" }]
"""


class Forge:
    """A site whose listing has titles, authors and paths, and some of whose documents cannot be had."""

    def __init__(self) -> None:
        self.items: list[tuple[str, str, str, str, str | bytes]] = []  # url, title, author, path, text
        self.url = ""
        self.validators: tuple[str, str] = ("", "")  # an ETag and a Last-Modified that nothing keeps from being a key
        self.came_back: set[str] = set()

    async def recent(self, request: web.Request) -> web.Response:
        self.came_back |= {request.headers.get(name, "") for name in ("If-None-Match", "If-Modified-Since")}
        rows = "".join(
            f'<li><a href="{html.escape(url)}">{html.escape(title)}</a><i class="author">{html.escape(author)}</i>'
            f'<i class="path">{html.escape(path)}</i></li>'
            for url, title, author, path, _ in self.items
        )
        etag, modified = self.validators
        headers = {"ETag": f'"{etag}"', "Last-Modified": modified}
        return web.Response(text=rows, content_type="text/html", headers=headers)

    async def document(self, request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        if request.path.startswith("/broken/"):
            return web.Response(status=500)
        if request.path.startswith("/forbidden/"):
            return web.Response(status=403)
        if request.path.startswith("/gone/"):
            return web.Response(status=404)
        found = next(text for url, _, _, _, text in self.items if url.split("?")[0] == request.path)
        return web.Response(body=found) if isinstance(found, bytes) else web.Response(text=found)


@pytest.fixture
async def forge() -> AsyncIterator[Forge]:
    forge = Forge()
    app = web.Application()
    app.router.add_get("/recent", forge.recent)
    app.router.add_get("/{rest:.*}", forge.document)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listening = free_socket()
    await web.SockSite(runner, listening).start()
    forge.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield forge
    await runner.cleanup()


def bare(seed: int) -> list[Customer]:
    """Customers whose keys have no marker: the digest alone tells that they are registered."""
    forms = {"hex": "{hex:32}", "uuid": "{uuid:4}", "alnum": "{alnum:40}"}
    return [Customer(f"bare-{name}", fill(form, Random(seed)), UNMARKED) for name, form in forms.items()]


def plant_bare(forge: Forge, owners: list[Customer]) -> None:
    """Put keys without a marker where a key may stand."""
    body, title, author = (owner.key for owner in owners)
    forge.items += [
        (f"/raw/21?token={body}", "a paste", "ann", "a.env", f'x = "{body}"\n'),
        ("/raw/22", f"my key {title}", "ann", f"b/{title}.env", "nothing here\n"),
        ("/raw/23", "a paste", author, "c.env", f"{author}\n"),
    ]


def plant_disguised(forge: Forge, owners: list[Customer]) -> None:
    """Put keys under a disguise into a body, a title and an address, and into an archive."""
    body, title, address, archive, hidden = (owner.key.encode() for owner in owners)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("dir/.env", b"KEY=" + archive + b"\n")
        file.writestr("k8s.yaml", b"data:\n  key: " + base64.b64encode(hidden) + b"\n")
    forge.items += [
        ("/raw/31", "a paste", "ann", "a.yaml", f"data: {base64.b64encode(body).decode()}\n"),
        ("/raw/32", f"see {base64.b64encode(title).decode()}", "ann", "b.env", "nothing here\n"),
        (f"/raw/33?k={base64.urlsafe_b64encode(address).decode()}", "a paste", "ann", "c.env", "nothing here\n"),
        ("/raw/34", "an archive", "ann", "d.zip", zipped.getvalue()),
    ]


def plant(forge: Forge, owners: list[Customer]) -> None:
    """Put each key in another part of another document, some of them several times over."""
    body, title, author, path, url, gone, broken, forbidden, everywhere, crash = (c.key for c in owners[:10])
    quoted = [quote(key, safe="") for key in (url, gone, broken, forbidden, everywhere)]
    forge.items = [
        ("/raw/1", "a paste", "ann", "a.env", f"KEY={body}\n"),
        ("/raw/2", f"my key {title}", "ann", "b.env", "nothing here\n"),
        ("/raw/3", "a paste", author, "c.env", "nothing here\n"),
        ("/raw/4", "a paste", "ann", f"keys/{path}.txt", "nothing here\n"),
        (f"/raw/5?token={quoted[0]}", "a paste", "ann", "d.env", "nothing here\n"),
        (f"/gone/6?token={quoted[1]}", "deleted since", "ann", "e.env", ""),
        (f"/broken/7?token={quoted[2]}", "tried again for long", "ann", "f.env", ""),
        (f"/forbidden/8?token={quoted[3]}", "given up", "ann", "g.env", ""),
        (f"/raw/9?token={quoted[4]}", everywhere, everywhere, everywhere, f"{everywhere}\n" * 3),
        ("/raw/10", "a paste", "ann", "h.env", f"\0\ufffd {crash}\n"),
    ]


async def test_no_key_is_found_in_anything_that_the_daemon_wrote(
    installation: Installation, forge: Forge, mailbox: Mailbox
) -> None:
    owners = customers(10, seed=7)
    plant(forge, owners)
    stranger, etag, modified = customers(3, seed=8, prefix="stranger")
    forge.validators = etag.key, modified.key
    hidden = [*owners, stranger, etag, modified]
    forge.items.append(("/raw/11", stranger.key, stranger.key, stranger.key, stranger.key))
    installation.define("forge", DEFINITION)
    installation.sources = f'[[source]]\nuse = "forge"\nbase_url = "{forge.url}"'
    await installation.install(owners)

    daemon = await installation.start()
    await until(lambda: {c.address for c in owners} <= {to for _, to, _ in mailbox.mails}, "every customer has mail")
    await asyncio.sleep(1)
    daemon.kill()  # the write-ahead log is searched as a crash leaves it
    await daemon.wait()
    assert {f'"{etag.key}"', modified.key} <= forge.came_back  # so the checkpoint holds them
    found = search(installation.folder, mailbox, hidden)
    assert found == []

    async with installation.daemon():  # and again after an orderly stop, and through the command line
        await asyncio.sleep(2)
    for command in ("findings", "notices", "jobs", "sources"):
        shown = await installation.run(command, "list", "--json")
        assert shown.status == 0, shown.err
        (installation.folder / f"{command}.json").write_text(shown.out + shown.err)
    preview = await installation.run("notices", "preview", "1")
    (installation.folder / "preview.txt").write_text(preview.out + preview.err)
    assert preview.status == 0, preview.err
    assert "Subject: " in preview.out
    assert any(c.key[-4:] in preview.out for c in owners)
    assert search(installation.folder, mailbox, hidden) == []


async def test_no_key_without_a_marker_or_under_a_disguise_is_found_in_anything_that_was_written(
    installation: Installation, forge: Forge, mailbox: Mailbox
) -> None:
    unmarked, disguised = bare(seed=3), customers(5, seed=10)
    owners = [*unmarked, *disguised]
    plant_bare(forge, unmarked)
    plant_disguised(forge, disguised)
    installation.define("forge", DEFINITION)
    installation.sources = f'[[source]]\nuse = "forge"\nbase_url = "{forge.url}"'
    await installation.install(owners)

    daemon = await installation.start()
    await until(lambda: {c.address for c in owners} <= {to for _, to, _ in mailbox.mails}, "every customer has mail")
    daemon.kill()
    await daemon.wait()
    for command in ("findings", "notices", "jobs"):
        shown = await installation.run(command, "list", "--json")
        assert shown.status == 0, shown.err
        (installation.folder / f"{command}.json").write_text(shown.out + shown.err)
    assert search(installation.folder, mailbox, owners) == []


def search(folder: Path, mailbox: Mailbox, owners: list[Customer]) -> list[str]:
    """Return where any key stands, in any form, but for its public prefix and last four characters."""
    detectors = {d.id: d for d in shipped()}
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    files |= {f"mail {n}": decoded(content) for n, (_, _, content) in enumerate(mailbox.mails)}
    assert "leakwatch.db" in files
    assert "daemon.log" in files
    return [
        f"{owner.name} in {name} as {form}"
        for owner in owners
        for name, content in files.items()
        for form in traces(owner.key, detectors[owner.detector], content)
    ]


def test_the_search_itself_finds_a_key_in_every_form() -> None:
    """A canary that cannot sing proves nothing."""
    owner = customers(1, seed=9)[0]
    key = owner.key.encode()
    detector = next(d for d in shipped() if d.id == owner.detector)
    hidden = {
        "plain": b"x" + key + b"y",
        "part": b"x" + key[20:40] + b"y",
        "base64": base64.b64encode(key),
        "base64 at 1": base64.b64encode(b"a" + key + b"b"),
        "base64 at 2": base64.b64encode(b"ab" + key + b"b"),
        "hex": key.hex().encode(),
        "hex, upper case": key.hex().upper().encode(),
        "URL-encoded": "".join(f"%{byte:02X}" for byte in key).encode(),
        "reversed": key[::-1],
    }
    for form, content in hidden.items():
        assert list(traces(owner.key, detector, content)), form
    masked = mask(owner.key, "sk-")
    assert not list(traces(owner.key, detector, masked.encode()))
