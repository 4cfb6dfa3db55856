"""Other people's software on loopback, each with one way to publish a text in it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from leakwatch.demo import free_port
from tests.peers.githost import serving_git
from tests.peers.listening import listens

PYTHON = Path(__file__).parents[2] / ".peers" / "python" / "bin" / "python"
LOG = "server.log"


@dataclass
class Software:
    """A running server: where it is, and how something is published there."""

    base_url: str
    publish: Callable[[str, str], Awaitable[None]]  # a title and a text
    more: str = 'every = "1s"'  # of its source's configuration


Serving = Callable[[Path], AbstractAsyncContextManager[Software]]


def run(*command: str | Path, cwd: Path, stdin: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it said; a failure fails the test."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        input=stdin,
        env={**os.environ, "HOME": str(cwd), "USER": "ada", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@asynccontextmanager
async def serving(
    folder: Path, port: int, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[None]:
    """Run a server until the block ends."""
    with (folder / LOG).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=cwd or folder,
            env={**os.environ, "HOME": str(folder), "USER": "ada", **(env or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        await listens(port, folder / LOG)
        yield
    finally:
        process.terminate()
        await process.wait()


def needs(*programs: str | Path, what: str) -> None:
    """Skip a test whose software is not installed."""
    if any(shutil.which(str(program)) is None and not Path(program).exists() for program in programs):
        pytest.skip(f"{what} is not installed: as root, `make test-all`")


@asynccontextmanager
async def fossil(folder: Path) -> AsyncIterator[Software]:
    """A Fossil repository."""
    needs("fossil", what="fossil")
    port, work = free_port(), folder / "work"
    work.mkdir()
    run("fossil", "init", folder / "repository.fossil", cwd=folder)
    run("fossil", "open", folder / "repository.fossil", cwd=work, env={"HOME": str(folder)})

    async def publish(title: str, text: str) -> None:
        (work / f"{title}.env").write_text(text)
        for step in (("add", f"{title}.env"), ("commit", "--no-warnings", "-m", title)):
            await asyncio.to_thread(run, "fossil", *step, cwd=work, env={"HOME": str(folder)})

    command = ("fossil", "server", "--localhost", "--port", str(port), folder / "repository.fossil")
    async with serving(folder, port, *command):
        yield Software(f"http://127.0.0.1:{port}", publish)


@asynccontextmanager
async def mercurial(folder: Path) -> AsyncIterator[Software]:
    """A Mercurial repository, served by `hg serve`."""
    needs("hg", what="mercurial")
    port, work = free_port(), folder / "tools"
    run("hg", "init", work, cwd=folder)

    async def publish(title: str, text: str) -> None:
        (work / f"{title}.env").write_text(text)
        await asyncio.to_thread(run, "hg", "commit", "-q", "-A", "-m", title, "-u", "Ada <ada@dev.example>", cwd=work)

    await publish("first", "nothing")
    async with serving(folder, port, "hg", "serve", "-a", "127.0.0.1", "-p", str(port), cwd=work):
        yield Software(f"http://127.0.0.1:{port}", publish)


TICKET = """
import sys
from trac.env import Environment
from trac.ticket.model import Ticket
ticket = Ticket(Environment(sys.argv[1]))
ticket.populate({"summary": sys.argv[2], "reporter": "ada", "description": sys.stdin.read(), "status": "new"})
ticket.insert()
"""


@asynccontextmanager
async def trac(folder: Path) -> AsyncIterator[Software]:
    """A Trac project."""
    needs(PYTHON, what="Trac")
    port, project, tracd = free_port(), folder / "project", PYTHON.with_name("tracd")
    run(PYTHON.with_name("trac-admin"), project, "initenv", "Tools", "sqlite:db/trac.db", cwd=folder)

    async def publish(title: str, text: str) -> None:
        await asyncio.to_thread(run, PYTHON, "-c", TICKET, project, title, cwd=folder, stdin=text)

    async with serving(folder, port, tracd, "--hostname", "127.0.0.1", "-p", str(port), "-s", project):
        yield Software(f"http://127.0.0.1:{port}", publish)


@asynccontextmanager
async def mediawiki(folder: Path) -> AsyncIterator[Software]:
    """A MediaWiki on SQLite, under PHP's own server."""
    needs("php", "/usr/share/mediawiki/api.php", what="mediawiki")
    port, wiki = free_port(), folder / "wiki"
    shutil.copytree("/usr/share/mediawiki", wiki, ignore=shutil.ignore_patterns("LocalSettings.php"))
    (folder / "data").mkdir()
    install = ("--dbtype", "sqlite", "--dbpath", folder / "data", "--pass", "made-up-for-a-test-1", "--scriptpath", "")
    site = ("--server", f"http://127.0.0.1:{port}", "Tools", "Admin")
    run("php", "maintenance/install.php", *install, *site, cwd=wiki)

    async def publish(title: str, text: str) -> None:
        await asyncio.to_thread(run, "php", "maintenance/edit.php", "-u", "Admin", title, cwd=wiki, stdin=text)

    async with serving(folder, port, "php", "-S", f"127.0.0.1:{port}", cwd=wiki):
        yield Software(f"http://127.0.0.1:{port}", publish)


@asynccontextmanager
async def dokuwiki(folder: Path) -> AsyncIterator[Software]:
    """A DokuWiki, under PHP's own server."""
    needs("php", "/usr/share/dokuwiki/feed.php", what="dokuwiki")
    port, wiki, data = free_port(), folder / "wiki", folder / "data"
    shutil.copytree("/usr/share/dokuwiki", wiki)
    shutil.copytree("/etc/dokuwiki", folder / "conf")
    for file in ("preload.php", "acl.auth.php", "users.auth.php"):
        (folder / "conf" / file).unlink(missing_ok=True)
    for name in (
        "attic",
        "cache",
        "index",
        "locks",
        "log",
        "media",
        "media_attic",
        "media_meta",
        "meta",
        "pages",
        "tmp",
    ):
        (data / name).mkdir(parents=True)
    (wiki / "inc" / "preload.php").write_text(f"<?php define('DOKU_CONF', '{folder}/conf/');\n")
    settings = f"$conf['savedir'] = '{data}'; $conf['useacl'] = 0; $conf['rss_update'] = 1;"
    (folder / "conf" / "local.php").write_text(f"<?php {settings}\n")

    async def publish(title: str, text: str) -> None:
        page = folder / "page.txt"
        page.write_text(text)
        await asyncio.to_thread(run, "php", "bin/dwpage.php", "commit", "-m", title, page, title.lower(), cwd=wiki)

    async with serving(folder, port, "php", "-S", f"127.0.0.1:{port}", cwd=wiki):
        yield Software(f"http://127.0.0.1:{port}", publish)


@asynccontextmanager
async def public_inbox(folder: Path) -> AsyncIterator[Software]:
    """A mailing list in a public-inbox."""
    needs("public-inbox-httpd", what="public-inbox")
    port, address = free_port(), "dev@lists.example"
    mail = {
        "ORIGINAL_RECIPIENT": address,
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_COMMITTER_NAME": "Ada",
        "EMAIL": "a@dev.example",
    }
    run(
        "public-inbox-init", "-V2", "dev", folder / "dev", f"http://127.0.0.1:{port}/dev", address, cwd=folder, env=mail
    )
    configuration = folder / ".public-inbox" / "config"
    run("git", "config", "-f", configuration, "publicinboxmda.spamcheck", "none", cwd=folder)

    async def publish(title: str, text: str) -> None:
        head = f"From: ada@dev.example\nTo: {address}\nSubject: {title}\nMessage-ID: <{title}@dev.example>\n"
        message = f"{head}Date: Mon, 23 Nov 2026 20:00:00 +0000\n\n{text}\n"
        command = ("public-inbox-mda", "--no-precheck")
        await asyncio.to_thread(run, *command, cwd=folder, stdin=message, env=mail)

    await publish("first", "nothing")
    async with serving(folder, port, "public-inbox-httpd", "-l", f"127.0.0.1:{port}", env=mail):
        yield Software(f"http://127.0.0.1:{port}/dev", publish)


@asynccontextmanager
async def cgit_index(folder: Path) -> AsyncIterator[Software]:
    """Two repositories in a cgit: what is published makes a commit in the second."""
    async with serving_git(folder) as host:
        first, second = host.create("site"), host.create("tools")
        first.push({"README": "nothing"}, "First")

        async def publish(title: str, text: str) -> None:
            await asyncio.to_thread(second.push, {f"{title}.env": text}, title)

        yield Software(f"{host.url}/cgit", publish)


@asynccontextmanager
async def gitweb_index(folder: Path) -> AsyncIterator[Software]:
    """The same in a gitweb."""
    async with cgit_index(folder) as software:
        yield Software(software.base_url.replace("/cgit", "/gitweb"), software.publish)


@asynccontextmanager
async def files(folder: Path) -> AsyncIterator[Software]:
    """A folder of this machine."""
    incoming = folder / "incoming"
    incoming.mkdir()

    async def publish(title: str, text: str) -> None:
        (incoming / f"{title}.env").write_text(text)

    # Polled by the clock it would be found in an hour only: the kernel has to tell.
    yield Software(incoming.as_uri(), publish, more='every = "1h"')


@asynccontextmanager
async def sitemap(folder: Path) -> AsyncIterator[Software]:
    """A site of files with the sitemap that MediaWiki's own script makes of it."""
    async with mediawiki(folder) as wiki:

        async def publish(title: str, text: str) -> None:
            await wiki.publish(title, text)
            options = ("--fspath", "sitemaps", "--compress", "no", "--urlpath", "/sitemaps", "--server", wiki.base_url)
            await asyncio.to_thread(
                run, "php", "maintenance/generateSitemap.php", *options, "--identifier", "w", cwd=folder / "wiki"
            )

        await publish("First", "nothing")
        yield Software(f"{wiki.base_url}/sitemaps/sitemap-index-w.xml", publish)


ALL: Mapping[str, Serving] = {
    "cgit-index": cgit_index,
    "dokuwiki": dokuwiki,
    "folder": files,
    "fossil": fossil,
    "gitweb-index": gitweb_index,
    "hgweb": mercurial,
    "mediawiki": mediawiki,
    "public-inbox": public_inbox,
    "sitemap": sitemap,
    "trac": trac,
}


@asynccontextmanager
async def pinnwand(folder: Path, *, capacity: int, refill: int) -> AsyncIterator[tuple[str, Path]]:
    """The software of bpa.st, with its own limit on reading; yields its address and its log."""
    needs(PYTHON, what="pinnwand")
    port, configuration = free_port(), folder / "pinnwand.toml"
    limits = "".join(
        f"[ratelimit.{area}]\ncapacity = {count}\nconsume = 1\nrefill = {speed}\n"
        for area, count, speed in (("read", capacity, refill), ("create", 100, 100), ("delete", 1, 1))
    )
    configuration.write_text(f'database_uri = "sqlite:///{folder}/pinnwand.db"\n{limits}')
    command: Sequence[str | Path] = (PYTHON, "-m", "pinnwand", "--configuration-path", configuration, "http")
    async with serving(folder, port, *command, "--port", str(port), env={"PYTHONUNBUFFERED": "1"}):
        yield f"http://127.0.0.1:{port}", folder / LOG
