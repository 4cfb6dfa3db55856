"""Sites and mail servers that misbehave: each is named with its reason, the daemon stays up, and nothing is lost."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from leakwatch.demo import DEFINITION, Mailbox, PasteSite, free_port, free_socket
from tests.installation import Customer, Installation, customers, mails, text_of, until

JSON_DEFINITION = """\
name = "api"
title = "A site that should answer JSON"
kind = "json"
every = "1s"
rate = "200/s"
[listing]
url = "{base_url}/recent"
items = "[]"
[fields]
id = "id"
url = "url"
[[sample]]
origin = "constructed"
source = "this test"
body = '[{"id": "1", "url": "/raw/1"}]'
expect = [{ id = "1" }]
"""

BOMB = gzip.compress(gzip.compress(b"\0" * 10_000_000) + b"\0" * 200_000_000)  # 200 MB on the way out


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(10**9)})
    await response.prepare(request)
    try:
        while True:
            await response.write(b"x" * 65536)
    except ConnectionError:
        return response


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.2)
    except ConnectionError:
        return response


async def _bomb(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})


def _answer(status: int, body: str = "", **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type="text/html", headers=headers)

    return handle


@dataclass
class Case:
    """A way for a listing to misbehave, and the word for it."""

    reason: str
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
    says: str  # part of the message
    use: str = "demo-paste"
    more: dict[str, str] = field(default_factory=dict)


CASES = {
    "forbidden": Case("blocked", _answer(403), "403"),
    "missing": Case("gone", _answer(404), "404"),
    "limited": Case("rate_limited", _answer(429, **{"Retry-After": "1800"}), "429"),
    "failing": Case("server_fault", _answer(500), "500"),
    "teapot": Case("bad_status", _answer(418), "418"),
    "empty": Case("empty_listing", _answer(200, ""), "li"),
    "login": Case("blocked", _answer(200, "<html><form><input type=password></form></html>"), "login form", use="api"),
    "endless": Case("too_large", _endless, "max_bytes"),
    "drip": Case("timed_out", _drip, "total_timeout"),
    "metadata": Case(
        "bad_redirect", _answer(302, Location="http://169.254.169.254/latest/meta-data/"), "169.254.169.254"
    ),
    "loopback6": Case(
        "forbidden_address", _answer(302, Location="http://[::1]:80/"), "::1 (loopback)", use="elsewhere"
    ),
    "mapped": Case(
        "forbidden_address", _answer(302, Location="http://[::ffff:169.254.169.254]/"), "(link-local)", use="elsewhere"
    ),
    "allowed-by-name": Case(
        "forbidden_address", _answer(302, Location="http://169.254.169.254/latest/"), "169.254.169.254", use="elsewhere"
    ),
    "loop": Case("bad_redirect", _answer(302, Location="/loop/recent"), "redirect"),
    "bomb": Case("too_large", _bomb, "max_bytes"),
}


@pytest.fixture
async def misbehaving() -> AsyncIterator[dict[str, str]]:
    """Where each case is: an address of its own, since a host that asks for patience is left alone as a whole."""
    app = web.Application()
    for name, case in CASES.items():
        app.router.add_get(f"/{name}/recent", case.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    places: dict[str, str] = {}
    for number, name in enumerate(CASES, 2):
        listening = free_socket(f"127.0.0.{number}")
        await web.SockSite(runner, listening).start()
        places[name] = f"http://127.0.0.{number}:{listening.getsockname()[1]}/{name}"
    yield places
    await runner.cleanup()


async def test_every_bad_listing_is_named_and_the_good_source_goes_on(
    installation: Installation, site: PasteSite, misbehaving: dict[str, str], mailbox: Mailbox
) -> None:
    owner = customers(1, seed=11)[0]
    tables = [f'[[source]]\nuse = "demo-paste"\nname = "good"\nbase_url = "{site.url}"']
    tables += [
        f'[[source]]\nuse = "{case.use}"\nname = "{name}"\nbase_url = "{misbehaving[name]}"\nevery = "2s"'
        for name, case in CASES.items()
    ]
    installation.sources = "\n".join(tables)
    installation.define("demo-paste", DEFINITION)
    installation.define("api", JSON_DEFINITION)
    # A definition that names another host may go there; the address is refused all the same.
    elsewhere = DEFINITION.replace(
        'kind = "html"', 'kind = "html"\nhosts = ["169.254.169.254", "[::1]", "[::ffff:169.254.169.254]"]'
    )
    installation.define("elsewhere", elsewhere.replace("demo-paste", "elsewhere"))
    await installation.install([owner])
    config = installation.folder / "leakwatch.toml"
    config.write_text(config.read_text().replace("[http]\n", '[http]\ntotal_timeout = "3s"\n'))
    site.publish("harmless", "nothing")

    async with installation.daemon():
        await until(lambda: set(CASES) <= _failed(installation), f"each fails; so far {_failed(installation)}")
        site.publish("a leak", owner.key)  # after all that, the good one is still watched
        await until(lambda: bool(mails(mailbox, owner.address)), "the good source's customer has mail")
        shown = await installation.run("sources", "list", "--json")

    states = {row["name"]: row for row in shown.rows}
    assert states["good"]["reason"] is None
    for name, case in CASES.items():
        assert states[name]["reason"] == case.reason, states[name]
        assert case.says in states[name]["detail"], states[name]["detail"]
        assert states[name]["next_poll_at"] is not None
    # Blind is never shown as clean: what does not pass by itself is told at once.
    alarms = "\n".join(text_of(mail) for mail in mails(mailbox, "soc@issuer.example"))
    for name in ("forbidden", "missing", "empty", "login", "endless", "metadata", "loopback6", "mapped", "bomb"):
        assert f"Source {name} " in alarms


def _failed(installation: Installation) -> set[str]:
    return {e["source"] for e in installation.events if e["event"] == "poll failed"}


async def test_a_mail_server_that_is_down_delays_the_notice_and_loses_nothing(
    installation: Installation, site: PasteSite, mailbox: Mailbox
) -> None:
    owner = customers(1, seed=12)[0]
    installation.smtp_port = free_port()  # nobody listens there
    await _one_source(installation, site, owner)
    site.publish("a leak", owner.key)

    async with installation.daemon():
        await until(lambda: "mail_unreachable" in _reasons(installation), "the server is found to be down")
        listed = await installation.run("notices", "list", "--json")
    assert {"pending"} == {row["state"] for row in listed.rows}
    assert {"mail_unreachable"} == {row["reason"] for row in listed.rows}
    assert all(row["next_try"] for row in listed.rows)
    assert mailbox.mails == []

    installation.smtp_port = None  # it is mended, and the operator retries what waits
    installation.configure()
    retried = await installation.run("notices", "retry", "--all")
    assert retried.status == 0, retried.err
    async with installation.daemon():
        await until(lambda: bool(mails(mailbox, owner.address)), "the notice arrives after all")
    listed = await installation.run("notices", "list", "--json")
    assert {"accepted"} == {row["state"] for row in listed.rows}


async def test_a_refused_recipient_is_a_dead_letter_that_the_operator_sees(
    installation: Installation, site: PasteSite, mailbox: Mailbox
) -> None:
    owner = customers(1, seed=13)[0]
    mailbox.refused = {owner.address: "550 5.1.1 no such user"}
    await _one_source(installation, site, owner)
    site.publish("a leak", owner.key)

    async with installation.daemon():
        await until(lambda: "mail_refused" in _reasons(installation), "the recipient is refused")
        operator = "soc@issuer.example"
        await until(lambda: any("mail_refused" in text_of(m) for m in mails(mailbox, operator)), "the operator knows")
    listed = await installation.run("notices", "list", "--json")
    dead = [row for row in listed.rows if row["state"] == "dead"]
    assert [(row["code"], row["reason"]) for row in dead] == [(550, "mail_refused")]
    shown = await installation.run("notices", "show", str(dead[0]["notice"]))
    assert "no such user" in shown.out


async def test_hold_keeps_the_notices_until_they_are_released(
    installation: Installation, site: PasteSite, mailbox: Mailbox
) -> None:
    owner = customers(1, seed=14)[0]
    installation.notices = 'operator = ["mailto:soc@issuer.example"]\nhold = true'
    await _one_source(installation, site, owner)
    site.publish("a leak", owner.key)

    async with installation.daemon():
        await until(lambda: bool(mails(mailbox, "soc@issuer.example")), "the operator is told at once")
        held = await installation.run("notices", "list", "--held", "--json")
        assert [row["held"] for row in held.rows] == ["hold"]
        assert mails(mailbox, owner.address) == []
        released = await installation.run("notices", "release", "--all")
        assert released.status == 0, released.err
        await until(lambda: bool(mails(mailbox, owner.address)), "the released notice arrives")


async def test_the_breaker_holds_a_burst_and_tells_the_operator_once(
    installation: Installation, site: PasteSite, mailbox: Mailbox
) -> None:
    owners = customers(12, seed=15)
    installation.notices = 'operator = ["mailto:soc@issuer.example"]\nbreaker = "5/h"'
    await _one_source(installation, site, *owners)
    for owner in owners[:3]:
        site.publish("a leak", owner.key)

    async with installation.daemon():
        await until(lambda: len(_told(mailbox)) == 3, "the first three are told")
        for owner in owners[3:]:
            site.publish("a leak", owner.key)
        await until(lambda: any("5/h" in text_of(m) for m in mails(mailbox, "soc@issuer.example")), "the alarm")
        await until(lambda: _found(installation) == 12, "all are found")
        await asyncio.sleep(1)
    # Notices that arrive together pass or wait together: the second lot may have come in two parts.
    assert {c.address for c in owners[:3]} <= _told(mailbox)
    assert len(_told(mailbox)) <= 5
    held = await installation.run("notices", "list", "--held", "--json")
    assert len(held.rows) == 12 - len(_told(mailbox))
    assert sum("5/h" in text_of(m) for m in mails(mailbox, "soc@issuer.example")) == 1


async def _one_source(installation: Installation, site: PasteSite, *owners: Customer) -> None:
    installation.sources = f'[[source]]\nuse = "demo-paste"\nbase_url = "{site.url}"'
    installation.define("demo-paste", DEFINITION)
    await installation.install(owners)


def _told(mailbox: Mailbox) -> set[str]:
    return {to for _, to, _ in mailbox.mails} - {"soc@issuer.example"}


def _found(installation: Installation) -> int:
    return sum(event["event"] == "key found" for event in installation.events)


def _reasons(installation: Installation) -> set[str]:
    return {event["reason"] for event in installation.events if "reason" in event}
