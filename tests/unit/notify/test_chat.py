import asyncio
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import pytest
import requests

from leakwatch.errors import ChannelFailed, ChannelUnusable
from leakwatch.model import Message
from leakwatch.notify import Postmark, chat
from leakwatch.notify.chat import KEYS, VENDORS, ChatChannel
from tests.unit.notify.making import MOMENT, composer, ten_keys

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own
MESSAGE = Message(subject="Your key is public", text="Revoke it now.\n", html="<p>Revoke it now.</p>")
POSTMARK = Postmark(message_id="<0123abcd@issuer.example>", date=MOMENT)
TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"  # Apprise's own example
SLACK = f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/"
CUSTOMERS = {
    "slack": [SLACK, f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{TOKEN}"],
    "discord": ["discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "https://discord.com/api/webhooks/417/JHMHI8q"],
    "tgram": ["tgram://123456789:abcdefg_hijklmnop/12315544/"],
    "gchat": ["gchat://space/key/token", "https://chat.googleapis.com/v1/spaces/space/messages?key=k&token=t"],
    "webex": ["webex://" + "a" * 80],
    "wxteams": ["wxteams://" + "a" * 80],
    "pover": [f"pover://{'u' * 30}@{'a' * 30}"],
    "pagerduty": ["pagerduty://integration@apikey?region=eu", "pagerduty://integration@apikey"],
    "opsgenie": ["opsgenie://12345678-1234-1234-1234-123456789012/"],
    "squadcast": ["squadcast://" + "k" * 32, f"squadcast://{'k' * 32}?region=eu"],
    "incidentio": ["incidentio://source/token"],
    "splunk": ["splunk://route@" + "a" * 36],
    "victorops": ["victorops://route@" + "a" * 36],
}
ANSWERS = {
    "slack": (200, b"ok"),
    "opsgenie": (202, b'{"requestId": "r-1"}'),
    "pagerduty": (202, b""),
    "incidentio": (202, b""),
}
REFUSED = [
    "json://host.example/x",
    "jsons://127.0.0.1/x",
    "xml://host.example/x",
    "form://host.example",
    "apprise://host.example/token",
    "dbus://",
    "gnome://",
    "syslog://",
    "windows://",
    "mqtt://host.example/topic",
    "matrixs://user:password@host.example/#room",
    "mmosts://mattermost.example/token",
    "ntfys://ntfy.example/topic",
    "gotifys://host.example/token",
    "msteams://team@00000000-0000-0000-0000-000000000000@00000000-0000-0000-0000-000000000000/" + "a" * 32 + "/"
    "00000000-0000-0000-0000-000000000000",
    "workflows://host.example:443/workflow/signature",
    "mailgun://user@host.example/" + "a" * 32,
    "https://host.example/hook",
    "http://169.254.169.254/latest/meta-data",
    "file:///etc/passwd",
    "nonsense",
    "",
]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[requests.PreparedRequest]]:
    """Stand where requests would open a connection; everything above it is the real Apprise."""

    def answering(
        status: int = 200, body: bytes = b'{"ok": true}', after: float = 0.0
    ) -> list[requests.PreparedRequest]:
        sent: list[requests.PreparedRequest] = []

        def send(_self: Any, request: requests.PreparedRequest, **_: Any) -> requests.Response:
            sent.append(request)
            if after:
                import time

                time.sleep(after)
            response = requests.Response()
            response.status_code = status
            response._content = body
            response.url = request.url or ""
            response.request = request
            return response

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
        return sent

    return answering


Wire = Callable[..., list[requests.PreparedRequest]]


@pytest.mark.parametrize(("schema", "url"), [(s, u) for s, urls in CUSTOMERS.items() for u in urls])
async def test_customers_reach_the_services_own_hosts(schema: str, url: str, wire: Wire) -> None:
    sent = wire(*ANSWERS.get(schema, (200, b'{"ok": true}')))
    await ChatChannel().deliver(url, MESSAGE, POSTMARK, trusted=False)
    assert {urlsplit(str(request.url)).hostname for request in sent} <= set(VENDORS[schema])
    assert all(str(request.url).startswith("https://") for request in sent)
    assert "Revoke it now" in unquote_plus(" ".join(map(body, sent)))
    assert "github" not in " ".join(map(body, sent))


def test_the_guide_for_operators_names_every_service_that_customers_may_use() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    allowed = guide.partition("customers may use those of services")[2].partition("not limited")[0]
    assert {schema for schema in VENDORS if f"`{schema}`" in allowed} == set(VENDORS)


def test_every_vendor_is_tried() -> None:
    assert CUSTOMERS.keys() == VENDORS.keys()


@pytest.mark.parametrize("url", REFUSED)
async def test_customers_reach_nothing_else(url: str, wire: Wire) -> None:
    sent = wire()
    with pytest.raises(ChannelUnusable) as raised:
        await ChatChannel().deliver(url, MESSAGE, POSTMARK, trusted=False)
    assert not sent
    assert not raised.value.transient
    assert "host.example" not in str(raised.value)


@pytest.mark.parametrize(
    "setting",
    ["template=/etc/passwd", "verify=no", "redirect=yes", "+X-Header=1", ":key=x", "-y=z", "rto=100000", "retry=99"],
)
async def test_customers_set_nothing_that_reads_files_or_drops_checks(setting: str, wire: Wire) -> None:
    sent = wire()
    with pytest.raises(ChannelUnusable, match="may not set"):
        await ChatChannel().deliver(f"{SLACK}?{setting}", MESSAGE, POSTMARK, trusted=False)
    assert not sent


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_url_that_lacks_something(trusted: bool, wire: Wire) -> None:
    sent = wire()
    with pytest.raises(ChannelUnusable, match="a discord:// channel lacks something"):
        await ChatChannel().deliver("discord://secret-webhook/", MESSAGE, POSTMARK, trusted=trusted)
    assert not sent


async def test_the_operator_may_use_any_service(wire: Wire) -> None:
    sent = wire()
    accepted = await ChatChannel().deliver("jsons://hook.example/leaks?verify=no", MESSAGE, POSTMARK, trusted=True)
    assert accepted.code is None
    assert "took it" in accepted.detail
    assert [request.url for request in sent] == ["https://hook.example/leaks"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_channel_that_is_closed_is_not_tried_again(status: int, wire: Wire) -> None:
    wire(status, b"no_service")
    with pytest.raises(ChannelUnusable, match="no longer takes our messages") as raised:
        await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)
    assert raised.value.code == status
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
async def test_a_service_in_trouble_is_tried_again(status: int, wire: Wire) -> None:
    wire(status, b"rollup_error")
    with pytest.raises(ChannelFailed, match="did not take the message") as raised:
        await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)
    assert raised.value.code == status
    assert raised.value.transient


async def test_a_service_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_: Any, **__: Any) -> requests.Response:
        raise requests.ConnectionError("refused " + SLACK)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(ChannelFailed) as raised:
        await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("schema", KEYS)
async def test_a_second_copy_carries_the_key_by_which_its_service_knows_it(schema: str, wire: Wire) -> None:
    sent = wire(*ANSWERS.get(schema, (200, b'{"ok": true}')))
    for trusted in (False, True):
        await ChatChannel().deliver(CUSTOMERS[schema][0], MESSAGE, POSTMARK, trusted=trusted)
    assert len(sent) == 2
    assert all('"0123abcd"' in body(request) for request in sent)


async def test_the_operator_may_choose_the_key(wire: Wire) -> None:
    sent = wire(*ANSWERS["pagerduty"])
    await ChatChannel().deliver("pagerduty://integration@apikey?dedup=mine", MESSAGE, POSTMARK, trusted=True)
    assert '"dedup_key": "mine"' in body(sent[0])


async def test_a_service_that_is_slow_is_not_taken_for_silent(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[Any] = []

    def send(_self: Any, request: requests.PreparedRequest, timeout: Any = None, **_: Any) -> requests.Response:
        waits.append(timeout)
        raise requests.ReadTimeout(f"{SLACK}: Read timed out.")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(ChannelFailed, match="did not answer in time and may have it") as raised:
        await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)
    assert TOKEN not in str(raised.value)
    assert waits == [(30.0, 30.0)]  # Apprise did not try again by itself


async def test_the_reason_is_kept(wire: Wire) -> None:
    wire(429, b"slow down")
    with pytest.raises(ChannelFailed, match=r"429 Too Many Requests") as raised:
        await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)
    assert raised.value.retry_after == 60.0
    wire(599, b"")
    with pytest.raises(ChannelFailed, match=r"599 \?"):
        await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)


async def test_a_service_that_does_not_answer(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "_TIMEOUT", 0.05)
    wire(after=0.6)
    with pytest.raises(ChannelFailed, match="may have it"):
        await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)
    await asyncio.sleep(0.6)  # Apprise's thread is let out of the fake


async def test_tokens_stay_out_of_logs(wire: Wire) -> None:
    written = io.StringIO()
    root, handler = logging.getLogger(), logging.StreamHandler(written)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        wire(500)
        with pytest.raises(ChannelFailed):
            await ChatChannel().deliver(SLACK, MESSAGE, POSTMARK, trusted=False)
        logging.getLogger("urllib3.connectionpool").debug("POST /services/%s", TOKEN)
        logging.getLogger("leakwatch").debug("something else")
    finally:
        root.removeHandler(handler)
        root.setLevel(logging.WARNING)
    assert "something else" in written.getvalue()
    assert TOKEN not in written.getvalue()


async def test_a_long_message_is_sent_in_parts(wire: Wire) -> None:
    sent = wire(204)
    message = composer().compose(ten_keys())
    await ChatChannel().deliver("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", message, POSTMARK, trusted=False)
    assert len(sent) > 1
    assert "Key number 10" in " ".join(map(body, sent))


def body(request: requests.PreparedRequest) -> str:
    return request.body.decode() if isinstance(request.body, bytes) else str(request.body)
