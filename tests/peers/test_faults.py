"""What real servers and what stands between do wrong, and what leakwatch makes of it."""

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from leakwatch.demo import DEFINITION, Mailbox
from leakwatch.errors import FetchError
from leakwatch.fetch import Session
from tests.installation import Installation, customers, mails, until
from tests.peers.faults import UNPACKED, mitmproxy, nginx
from tests.unit.fetch.sites import http_config, source

pytestmark = [pytest.mark.peers, pytest.mark.timeout(120)]
QUICK = {"connect_timeout": 2.0, "read_timeout": 1.0, "total_timeout": 2.0}


@asynccontextmanager
async def getting() -> AsyncIterator[Session]:
    async with Session(http_config(**QUICK)) as session:
        yield session


async def failure(session: Session, base: str, path: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await session.get(f"{base}{path}", source=source(base, robots="ignore"))
    return caught.value


async def test_each_fault_of_an_nginx_has_its_reason(tmp_path: Path) -> None:
    expected = {
        "/403": ("blocked", False),
        "/none": ("gone", False),
        "/410": ("gone", False),
        "/500": ("server_fault", True),
        "/502": ("server_fault", True),
        "/silence": ("unreachable", True),
        "/circle": ("bad_redirect", False),
        "/away": ("bad_redirect", False),
        "/file": ("bad_redirect", False),
        "/no-gzip": ("bad_content", False),
        "/slow": ("timed_out", True),
    }
    async with nginx(tmp_path) as (url, _), getting() as session:
        met = {path: await failure(session, url, path) for path in expected}
    assert {path: (error.reason, error.transient) for path, error in met.items()} == expected
    asked = (tmp_path / "access.log").read_text().count("GET /circle ")
    assert asked == http_config().redirects + 1


@pytest.mark.parametrize(("path", "seconds"), [("/429", 7), ("/503", 9)])
async def test_a_host_is_left_alone_for_as_long_as_nginx_says(tmp_path: Path, path: str, seconds: int) -> None:
    async with nginx(tmp_path) as (url, _), getting() as session:
        first = await failure(session, url, path)
        second = await failure(session, url, "/page")  # whatever else is on that host
    assert (first.reason, first.retry_after) == ("rate_limited", seconds)
    assert second.reason == "rate_limited"
    assert "/page" not in (tmp_path / "access.log").read_text()


async def test_a_limit_that_an_nginx_does_not_name_is_kept_too(tmp_path: Path) -> None:
    """Its limit_req says 429 and not for how long: a minute is assumed."""
    async with nginx(tmp_path) as (url, _), getting() as session:
        await session.get(f"{url}/few/page", source=source(url, robots="ignore"))
        error = await failure(session, url, "/few/page")
    assert (error.reason, error.retry_after) == ("rate_limited", 60.0)


async def test_a_bomb_is_cut_at_the_cap_and_takes_no_memory(tmp_path: Path) -> None:
    async with nginx(tmp_path) as (url, _), getting() as session:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        page = await session.get(f"{url}/bomb", source=source(url, robots="ignore", max_bytes=1_000_000))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (len(page.body), page.truncated) == (1_000_000, True)
    assert (after - before) * 1024 < UNPACKED / 4


async def test_what_breaks_on_the_way_has_its_reason_and_spoils_nothing_else(tmp_path: Path) -> None:
    async with nginx(tmp_path) as (url, www):
        for name in ("reset", "too-long", "too-short"):
            (www / name).write_text(f"{name}: " + "x" * 2000)
        (www / "good").write_text("the good one")
        async with mitmproxy(tmp_path, "--mode", f"reverse:{url}") as port, getting() as session:
            site = f"http://127.0.0.1:{port}"
            plain = source(site, robots="ignore")
            reset, too_long = [await failure(session, site, path) for path in ("/reset", "/too-long")]
            short: int | str
            try:
                short = len((await session.get(f"{site}/too-short", source=plain)).body)
            except FetchError as error:  # the rest came so soon that it was met while the answer was read
                short = error.reason
            good = [(await session.get(f"{site}/good", source=plain)).text() for _ in range(3)]
            again = await session.get(f"{site}/reset", source=plain)
    assert (reset.reason, reset.transient) == ("unreachable", True)
    assert (too_long.reason in ("timed_out", "unreachable"), too_long.transient) == (True, True)
    assert short in (40, "bad_content")
    assert good == ["the good one"] * 3  # what came after the forty bytes is taken for no answer
    assert len(again.body) == len("reset: ") + 2000


async def test_tls_that_nobody_vouches_for_is_refused_directly_and_through_a_proxy(tmp_path: Path) -> None:
    (tmp_path / "between").mkdir()
    async with nginx(tmp_path) as (url, _), getting() as session:
        async with mitmproxy(tmp_path, "--mode", f"reverse:{url}") as port:
            site = f"https://127.0.0.1:{port}"
            direct = await failure(session, site, "/page")
        async with mitmproxy(tmp_path / "between") as port:
            watched = replace(source("https://127.0.0.1:1", robots="ignore"), proxy=f"http://127.0.0.1:{port}")
            with pytest.raises(FetchError) as between:
                await session.get("https://127.0.0.1:1/page", source=watched)
    for error in (direct, between.value):
        assert error.reason == "unreachable"
        assert "speaks no TLS that we trust" in str(error)
    assert "/page" not in (tmp_path / "access.log").read_text()


async def test_a_daemon_behind_all_that_finds_the_key_and_says_what_it_met(
    installation: Installation, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [owner] = customers(1, seed=52)
    folder = tmp_path_factory.mktemp("faults")
    async with nginx(folder) as (url, www), mitmproxy(folder, "--mode", f"reverse:{url}") as port:
        (www / "reset-leak").write_text(f"{'x' * 1000}\nTOKEN = '{owner.key}'\n")
        (www / "busy-list").write_text('<ul><li><a href="/reset-leak">a leak</a></li></ul>')
        installation.define("demo-paste", DEFINITION.replace("/recent", "/busy-list"))
        base = '[[source]]\nuse = "demo-paste"\nrobots = "ignore"\nevery = "1s"\nrate = "50/s"\n'
        bad = "".join(
            f'{base}name = "{name}"\nbase_url = "{url}"\noverride = {{ listing = {{ url = "{{base_url}}/{path}" }} }}\n'
            for name, path in (("kept-out", "403"), ("broken", "500"))
        )
        installation.sources = f'{base}name = "good"\nbase_url = "http://127.0.0.1:{port}"\n{bad}'
        await installation.install([owner])
        async with installation.daemon():
            began = monotonic()
            await until(lambda: bool(mails(mailbox, owner.address)), "the customer has mail")
            listed = await installation.run("sources", "list", "--json")
    states = {row["name"]: row["state"] for row in listed.rows}
    assert (states["good"], states["kept-out"]) == ("ok", "blocked")
    assert states["broken"] in ("failing", "blind")
    assert monotonic() - began > 1  # it was asked to wait, and the document broke once
