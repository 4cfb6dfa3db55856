"""Webhooks on real sockets: what a receiver gets, what becomes of its answers, and what we never connect to."""

import asyncio
import base64
import json
import os
import runpy
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from leakwatch.config import WebhookConfig
from leakwatch.demo import free_port
from leakwatch.errors import ChannelFailed, ChannelUnusable
from leakwatch.model import Answer, NoticeKind, now
from leakwatch.notify import Accepted, Postmark, event
from leakwatch.notify.event import Event
from leakwatch.notify.webhook import WebhookChannel
from tests.peers.listening import listens
from tests.unit.notify.making import MOMENT, exposure, hostile, notice, place

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = DOCS / "examples/receive_webhook.py"
SECRET, OTHER = (f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"s", b"o"))
OPENED = notice(NoticeKind.EVENT, alarm="finding.opened")
BODY = event(OPENED, {7: 3})


@dataclass
class Receiver:
    """The issuer's software: answers as it is told, then 204."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    silent: float = 0.0

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        await asyncio.sleep(self.silent)
        status, headers = self.answers.pop(0) if self.answers else (204, {})
        return web.Response(status=status, headers=headers, body=b"x" * 100_000 if status == 500 else None)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        finally:
            await runner.cleanup()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver) -> AsyncIterator[str]:
    async with receiver.serving() as served:
        yield served


def postmark(at: datetime | None = None) -> Postmark:
    return Postmark(message_id="<0123abcd@issuer.example>", date=at or now())


@asynccontextmanager
async def channel(url: str, secrets: list[str] | None = None, **more: Any) -> AsyncIterator[WebhookChannel]:
    facts = {"url": url, "secret_file": "x", "allow_networks": ["127.0.0.0/8"], "timeout": 2.0}
    made = WebhookChannel([WebhookConfig.model_validate({**facts, **more})], {"webhook": secrets or [SECRET]})
    try:
        yield made
    finally:
        await made.close()


async def deliver(url: str, mark: Postmark | None = None, **more: Any) -> Accepted:
    async with channel(url, **more) as made:
        return await made.deliver("webhook:webhook", BODY, mark or postmark())


async def test_an_event_arrives_signed(receiver: Receiver, url: str) -> None:
    assert await deliver(url) == Accepted(code=204, detail="webhook webhook answered 204")
    [(headers, body)] = receiver.got
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "msg_0123abcd"
    told = Webhook(SECRET).verify(body, headers)  # the specification's own library
    assert (told["type"], told["data"]["id"], told["data"]["sightings"]) == ("finding.opened", 7, 3)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"CI deploy", b"CI deplox"), headers)


async def test_each_try_has_a_time_of_its_own_and_the_same_id(receiver: Receiver, url: str) -> None:
    early = now() - timedelta(minutes=10)
    for at in (early, now()):
        await deliver(url, postmark(at))
    (old, body), (new, _) = receiver.got
    assert old["webhook-id"] == new["webhook-id"]
    Webhook(SECRET).verify(body, new)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(body, old)


async def test_while_the_secret_changes_both_are_good(receiver: Receiver, url: str) -> None:
    await deliver(url, secrets=[SECRET, OTHER])
    [(headers, body)] = receiver.got
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(body, headers)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
async def test_what_is_not_accepted_is_tried_again(receiver: Receiver, url: str, status: int) -> None:
    receiver.answers = [(status, {"Location": "/elsewhere"})]
    with pytest.raises(ChannelFailed, match=f"answered {status}") as raised:
        await deliver(url)
    assert (raised.value.code, raised.value.transient, raised.value.retry_after) == (status, True, None)
    assert len(receiver.got) == 1  # no redirect was followed


async def test_who_wants_no_more_hears_no_more(receiver: Receiver, url: str) -> None:
    receiver.answers = [(410, {})]
    with pytest.raises(ChannelUnusable, match="nobody listens there") as raised:
        await deliver(url)
    assert not raised.value.transient


@pytest.mark.parametrize(
    ("asked", "seconds"), [("120", 120), ("-5", 0), ("1e99", 86_400), ("Mon, 01 Jan 2001 00:00:00 GMT", 0), ("x", None)]
)
async def test_a_receiver_says_when_to_come_back(
    receiver: Receiver, url: str, asked: str, seconds: float | None
) -> None:
    receiver.answers = [(503, {"Retry-After": asked})]
    with pytest.raises(ChannelFailed) as raised:
        await deliver(url)
    assert raised.value.retry_after == seconds


async def test_silence_is_tried_again_and_may_have_arrived(receiver: Receiver, url: str) -> None:
    receiver.silent = 5.0
    with pytest.raises(ChannelFailed, match="may have it"):
        await deliver(url, timeout=0.2)


async def test_nobody_there() -> None:
    with pytest.raises(ChannelFailed, match="no connection to webhook webhook") as raised:
        await deliver(f"http://127.0.0.1:{free_port()}/secret-path")
    assert "secret-path" not in str(raised.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]", "2130706433"]
)
async def test_no_address_is_connected_to_that_is_not_public(receiver: Receiver, url: str, host: str) -> None:
    port = url.rpartition(":")[2].partition("/")[0]
    inside = WebhookConfig.model_construct(
        name="webhook", url=f"http://{host}:{port}/hook", secret_file="x", allow_networks=[], timeout=2.0
    )
    made = WebhookChannel([inside], {"webhook": [SECRET]})
    with pytest.raises((ChannelUnusable, ChannelFailed)) as raised:
        await made.deliver("webhook:webhook", BODY, postmark())
    await made.close()
    assert receiver.got == []
    if isinstance(raised.value, ChannelUnusable):
        assert "allow_networks" in raised.value.mend


async def test_a_webhook_that_is_no_longer_configured() -> None:
    made = WebhookChannel((), {})
    with pytest.raises(ChannelUnusable, match=r"\[\[webhook\]\]"):
        await made.deliver("webhook:gone", BODY, postmark())


# --- what is told


def schema() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((DOCS / "webhook.schema.json").read_text(encoding="utf-8"))
    return told


def test_the_schema_in_the_documentation_is_that_of_what_is_sent() -> None:
    assert schema() == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Event.model_json_schema(mode="serialization"),
    }
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "told",
    [
        OPENED,
        notice(
            NoticeKind.EVENT, alarm="finding.answered", exposures=(exposure(answer=Answer.REVOKED, answered_at=MOMENT),)
        ),
        replace(hostile(), kind=NoticeKind.EVENT, alarm="finding.opened"),
        notice(NoticeKind.EVENT, alarm="finding.opened", exposures=(exposure(key_id="", places=()),)),
    ],
    ids=["opened", "answered", "hostile", "bare"],
)
def test_every_event_is_as_the_schema_says(told: Any) -> None:
    body = json.loads(event(told, {}))
    jsonschema.validate(body, schema(), format_checker=jsonschema.FormatChecker())
    assert body["type"] == told.alarm
    for seen in body["data"]["places"]:
        assert all(str(seen[name]).isprintable() for name in ("url", "title", "author", "path"))


def test_the_event_in_the_documentation_is_one() -> None:
    shown = (DOCS / "webhooks.md").read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
    seen = exposure(provider="OpenAI", places=(place(),))
    assert json.loads(shown) == json.loads(
        event(notice(NoticeKind.EVENT, alarm="finding.opened", exposures=(seen,)), {})
    )


# --- the example in the documentation


@pytest.fixture
async def example() -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The example receiver, as a process of its own."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), str(port)),
        env={**os.environ, "WEBHOOK_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
    )
    await listens(port, EXAMPLE)
    yield f"http://127.0.0.1:{port}/", process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_the_example_takes_what_is_ours_once(example: tuple[str, asyncio.subprocess.Process]) -> None:
    url, process = example
    for _ in range(2):
        assert (await deliver(url, secrets=[OTHER, SECRET])).code == 204
    for bad in ({"secrets": [OTHER]}, {"mark": postmark(now() - timedelta(minutes=6))}):
        with pytest.raises(ChannelFailed, match="answered 401"):
            await deliver(url, **bad)
    process.terminate()
    assert process.stdout is not None
    printed = (await process.stdout.read()).decode()
    assert printed == "finding.opened: key key_9fK2 of Northwind Robotics: https://paste.example.org/p/k7Qm2x\n"


def test_the_example_refuses_what_the_library_refuses() -> None:
    verify: Callable[..., Any] = runpy.run_path(str(EXAMPLE))["verify"]
    at = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", at, BODY),
    }
    assert verify(headers, BODY.encode(), SECRET, now=time.time())[0] == "msg_1"
    wrong: list[dict[str, str]] = [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(at.timestamp()) + 1)},
        {"webhook-timestamp": "x"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": ""},
        {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")},
    ]
    for change in wrong:
        with pytest.raises(ValueError, match=r"secret|future"):
            verify({**headers, **change}, BODY.encode(), SECRET, now=time.time())
