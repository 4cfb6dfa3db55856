"""Repositories, servers and surroundings that want to harm us, and what git is kept from doing."""

import asyncio
import socket
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from leakwatch.config import GitConfig
from leakwatch.errors import BadContent, Blocked, FetchError, ForbiddenAddress, RateLimited, TimedOut, TooLarge
from leakwatch.fetch import Session, fetch, poll
from leakwatch.git.place import judged
from leakwatch.model import Reference, Via
from tests.installation import until_async
from tests.integration.git.host import Host, Repository, git
from tests.integration.git.test_git import TOML, opened, texts, watched
from tests.unit.fetch.sites import Handler, http_config, site, source
from tests.unit.fetch.test_proxies import Proxy


async def opening(session: Session, repository: Repository) -> FetchError:
    """Open a repository that cannot be opened, and return why."""
    named = Reference(url=repository.url, id=repository.url, via=Via.GIT)
    [(_, error)] = (await fetch(session, watched(repository), [named])).failures
    return error


def plant(repository: Repository, entries: bytes) -> None:
    """Put a commit with a tree of one's own making into a repository, past all that git would object to."""
    bare = repository.bare
    made = ("hash-object", "-w", "--literally", "--stdin", "-t")
    tree = git(bare, *made, "tree", stdin=entries)
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", tree, "-m", "planted"))


async def test_a_tree_that_holds_itself_ten_thousand_million_times_is_read_once(host: Host, session: Session) -> None:
    bomb = host.create("bomb")
    blob = git(bomb.bare, "hash-object", "-w", "--stdin", stdin=b"at the bottom")
    kind, mode, inside = "blob", "100644", blob
    for _ in range(10):
        lines = "".join(f"{mode} {kind} {inside}\t{n}\n" for n in range(10))
        inside, kind, mode = git(bomb.bare, "mktree", stdin=lines.encode()), "tree", "40000"
    git(bomb.bare, "update-ref", "refs/heads/main", git(bomb.bare, "commit-tree", inside, "-m", "bomb"))
    at = watched(bomb)
    found = await opened(session, at)
    assert len(found) == 2
    assert "at the bottom" in (await texts(session, at, found)).values()
    [blob_there] = [r for r in found if not r.version]
    assert (await session.locate(at, blob_there)).title.endswith("bomb")


@pytest.mark.parametrize("name", [b"..", b".git", b"a/../../../../../tmp/x"])
async def test_a_path_that_leads_out_is_refused_when_it_arrives(host: Host, session: Session, name: bytes) -> None:
    evil = host.create("evil")
    blob = git(evil.bare, "hash-object", "-w", "--stdin", stdin=b"x")
    plant(evil, b"100644 " + name + b"\0" + bytes.fromhex(blob))
    assert isinstance(await opening(session, evil), BadContent)


async def test_links_submodules_and_lfs_are_texts_and_nobody_follows_them(host: Host, session: Session) -> None:
    other, evil = host.create("other"), host.create("evil")
    module = other.commit({"a": "not to be fetched"})
    other.push()
    evil.git("update-index", "--add", "--cacheinfo", f"160000,{module},other")
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    (evil.work / "link").symlink_to("/etc/passwd")
    evil.commit({".gitmodules": f'[submodule "other"]\npath = other\nurl = {other.url}\n', "weights": lfs})
    evil.push()
    asked = len(host.requests)
    at = watched(evil)
    found = await texts(session, at, await opened(session, at))
    assert (found["link"], found["weights"]) == ("/etc/passwd", lfs)
    assert "not to be fetched" not in found.values()
    assert all("other" not in request.path for request in host.requests[asked:])


async def test_nothing_of_the_machine_the_user_or_the_repository_commands_git(
    host: Host, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    command = f"touch {ran}"
    tools = host.create("tools")
    tools.commit({"a.env": "x"})
    tools.push()
    home = tmp_path / "home"
    home.mkdir()
    hook = tmp_path / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\n{command}\n")
    hook.chmod(0o755)
    settings = (
        f'[core]\n\thooksPath = {hook.parent}\n\tfsmonitor = "{command}"\n\tsshCommand = "{command}"\n'
        f'[credential]\n\thelper = "!{command}"\n[url "ext::sh -c {command.replace(" ", "% ")} "]\n\tinsteadOf = http\n'
        f'[uploadpack]\n\tpackObjectsHook = "{command};"\n'
    )
    (home / ".gitconfig").write_text(settings)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.hooksPath'='/nowhere'")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", command)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with (tools.work / ".git" / "config").open("a") as config:
        config.write(settings)
    assert (await texts(session, watched(tools), await opened(session, watched(tools))))["a.env"] == "x"
    local = source(tools.work.as_uri(), TOML)
    assert (await texts(session, local, await opened(session, local)))["a.env"] == "x"
    assert not ran.exists()


async def test_a_repository_that_brings_more_than_it_may_is_cut_off(host: Host, tmp_path: Path) -> None:
    large = host.create("large")
    large.commit({f"{n}.bin": Random(n).randbytes(500_000) for n in range(8)})
    large.push()
    config = GitConfig(folder=str(tmp_path / "m"), max_bytes=1_000_000, budget=50_000_000)
    async with Session(http_config(), config) as session:
        error = await opening(session, large)
        assert isinstance(error, TooLarge), error


def answering(status: int, **headers: str) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def test_nobody_is_asked_for_a_password_and_a_limit_is_a_limit(session: Session) -> None:
    for answer, kind in (
        (answering(401, WWW_Authenticate='Basic realm="x"'), Blocked),
        (answering(403), Blocked),
        (answering(429), RateLimited),
    ):
        async with site(answer) as url:
            with pytest.raises(kind):
                await poll(session, source(f"{url}/x.git", TOML))


def gits(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder:
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-advertisement"})
    await response.prepare(request)
    for _ in range(600):
        await response.write(b"001e# service=git-upload-pack\n"[:1])
        await asyncio.sleep(0.1)
    return response


async def test_a_server_that_never_ends_is_left_and_no_process_stays(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    async with site(dripping) as url, Session(http_config(), GitConfig(folder=str(folder), timeout=1.0)) as session:
        with pytest.raises(TimedOut):
            await poll(session, source(f"{url}/x.git", TOML))
    assert gits(folder) == []


async def test_who_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    async with site(dripping) as url, Session(http_config(), GitConfig(folder=str(folder))) as session:
        task = asyncio.create_task(poll(session, source(f"{url}/x.git", TOML)))

        async def runs() -> bool:
            return len(gits(folder)) > 1  # git, and what it started

        await until_async(runs, "git runs")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        async def ended() -> bool:
            return not gits(folder)

        await until_async(ended, "git has ended")


async def test_a_private_address_is_refused_as_a_literal_and_by_name(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Session(http_config(allow_networks=[]), GitConfig(folder=str(tmp_path / "m"))) as session:
        for url in (host.url, host.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(ForbiddenAddress):
                await poll(session, source(f"{url}/x.git", TOML))
    assert host.requests == []


async def test_git_goes_to_the_address_that_was_judged_whatever_the_name_says_later(
    host: Host, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = host.create("tools")
    tools.commit({"a.env": "x"})
    tools.push()
    loop = asyncio.get_running_loop()
    whole = loop.getaddrinfo

    async def resolve(name: str, port: int, **how: int) -> object:
        if name != "git.example":
            return await whole(name, port, **how)
        addresses = ("10.0.0.1", "127.0.0.1")  # the first is refused
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
    at = source(tools.url.replace("127.0.0.1", "git.example"), TOML)
    assert len((await poll(session, at)).batch.references) == 1
    assert host.requests[0].host.startswith("git.example:")


@pytest.mark.parametrize(
    ("url", "proxy", "kind"),
    [
        ("ext::sh -c id", "", BadContent),
        ("ssh://host/x", "", BadContent),
        ("http://user@host/x", "", BadContent),
        ("http://[fe80::1]/x", "", ForbiddenAddress),
        ("http://127.0.0.1/x", "http://proxy:3128", ForbiddenAddress),
    ],
)
async def test_what_git_may_not_be_told_is_refused(url: str, proxy: str, kind: type[FetchError]) -> None:
    with pytest.raises(kind):
        await judged(url, allowed=http_config().networks, proxy=proxy, name="site")


async def test_tor_resolves_for_itself_and_git_is_told_the_way() -> None:
    place = await judged("http://code.onion/x", allowed=(), proxy="socks5h://127.0.0.1:9050", name="site")
    assert place.config == {"http.proxy": "socks5h://127.0.0.1:9050"}


async def test_git_logs_in_to_a_proxy(session: Session, host: Host) -> None:
    tools = host.create("tools")
    tools.commit({"a": "text"})
    tools.push()
    async with Proxy("socks5").serving() as proxy:
        way: dict[str, Any] = {"proxy": proxy.url.replace("//", "//ada%40issuer@"), "proxy_password": "pass:wo/rd"}
        polled = await poll(session, source(tools.url, TOML, **way))
    assert len(polled.batch.references) == 1
    assert set(proxy.logins) == {b"ada@issuer:pass:wo/rd"}


async def test_nothing_shows_a_proxys_password_that_git_is_told() -> None:
    way = {"proxy": "socks5h://ada%40issuer@127.0.0.1:9050", "password": "pass:wo/rd"}
    place = await judged("http://code.onion/x", allowed=(), **way, name="site")
    assert place.config == {"http.proxy": "socks5h://ada%40issuer:pass%3Awo%2Frd@127.0.0.1:9050"}
    assert "wo%2Frd" not in repr(place)
    assert place.protocols == "http"


async def test_very_many_refs_are_read_without_their_pull_requests(
    host: Host, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.git.mirror._MOST_REFS", 2)
    tools = host.create("tools")
    first = tools.commit({"a.env": "x"})
    for number in range(3):
        tools.commit({f"{number}.txt": f"pull {number}"})
        tools.git("update-ref", f"refs/pull/{number}/head", "HEAD")
        tools.git("reset", "--quiet", "--hard", first)
    tools.push()
    assert {r.path for r in await opened(session, watched(tools))} == {"", "a.env"}
