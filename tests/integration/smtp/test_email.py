import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import aiosmtplib
import pytest

from leakwatch.errors import ConfigError, MailDeferred, MailRefused, MailUnreachable
from leakwatch.model import Message
from leakwatch.notify import Accepted, Postmark
from leakwatch.notify import smtp as smtp_module
from leakwatch.notify.email import EmailChannel
from tests.integration.smtp.server import Authority, Mailbox, config, eventually, free_port, saying, serving

MESSAGE = Message(subject="Your key is public", text="Revoke it.\n", html="<p>Revoke it.</p>\n")
MOMENT = datetime(2026, 7, 27, 14, 3, tzinfo=UTC)
AT_DATA = "554 5.7.1 Looks\tlike spam \x07 https://help.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Test authority")


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


Opener = Callable[..., Any]


@pytest.fixture
def plain(box: Mailbox, stack: AsyncExitStack) -> Opener:
    """Open a server without TLS and a channel to it."""

    async def opened(**more: Any) -> EmailChannel:
        port = await stack.enter_async_context(serving(box))
        channel = EmailChannel(config(f"smtp+insecure://127.0.0.1:{port}", **more), None)
        stack.push_async_callback(channel.close)
        return channel

    return opened


async def deliver(channel: EmailChannel, address: str = "ops@customer.example", **more: Any) -> Accepted:
    return await channel.deliver(address, MESSAGE, Postmark(message_id="<1@issuer.example>", date=MOMENT, **more))


async def test_a_mail_arrives_whole(plain: Opener, box: Mailbox) -> None:
    accepted = await deliver(await plain(), in_reply_to="<0@issuer.example>")
    assert accepted == Accepted(code=250, detail="2.0.0 Queued as 4711")
    ((sender, recipients, mail),) = box.received
    assert (sender, recipients) == ("security@issuer.example", ["ops@customer.example"])
    assert mail["From"] == "Example AI Security <security@issuer.example>"
    assert mail["Message-ID"] == "<1@issuer.example>"
    assert mail["In-Reply-To"] == mail["References"] == "<0@issuer.example>"
    parts = {part.get_content_type(): part.get_content().replace("\r\n", "\n") for part in mail.iter_parts()}
    assert parts == {"text/plain": MESSAGE.text, "text/html": MESSAGE.html}
    assert any(option.startswith("SIZE=") for option in box.options)


async def test_it_comes_back_to_its_return_path(plain: Opener, box: Mailbox) -> None:
    await deliver(await plain(), return_path="bounces+7-abc@issuer.example")
    ((sender, _, mail),) = box.received
    assert sender == "bounces+7-abc@issuer.example"
    assert mail["From"] == "Example AI Security <security@issuer.example>"
    assert "bounces" not in str(mail)


async def test_each_recipient_has_a_transaction_and_they_share_a_connection(plain: Opener, box: Mailbox) -> None:
    channel = await plain()
    for number in range(3):
        await deliver(channel, f"{number}@customer.example")
    assert [recipients for _, recipients, _ in box.received] == [[f"{n}@customer.example"] for n in range(3)]
    assert len(box.sessions) == 1


async def test_no_more_connections_than_configured(plain: Opener, box: Mailbox) -> None:
    channel = await plain(connections=2)
    await asyncio.gather(*(deliver(channel, f"{number}@customer.example") for number in range(8)))
    assert len(box.received) == 8
    assert len(box.sessions) == 2


async def test_an_idle_connection_is_closed(plain: Opener, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_module, "_IDLE", 0.01)
    channel = await plain()
    await deliver(channel)
    await eventually(box.transports[0].is_closing)
    await deliver(channel)
    assert len(box.sessions) == 2


async def test_a_connection_that_ended_while_idle_is_replaced(plain: Opener, box: Mailbox) -> None:
    channel = await plain()
    await deliver(channel)
    box.transports[0].abort()
    await asyncio.sleep(0.05)
    await deliver(channel)
    assert len(box.received) == 2


@pytest.mark.parametrize("ending", ["hang up", "421 4.4.2 Idle for too long"])
async def test_a_kept_connection_that_ends_at_the_first_command_is_replaced(
    plain: Opener, box: Mailbox, ending: str
) -> None:
    channel = await plain()
    await deliver(channel)
    if ending == "hang up":
        box.hang_up = "MAIL"
    else:
        box.mail = [ending]
    await deliver(channel)
    assert len(box.received) == 2


async def test_a_new_connection_that_ends_is_not_tried_twice(plain: Opener, box: Mailbox) -> None:
    box.hang_up = "MAIL"
    with pytest.raises(MailUnreachable, match="closed the connection"):
        await deliver(await plain())
    assert len(box.transports) == 1


@pytest.mark.parametrize(
    ("stage", "answer"),
    [("rcpt", "450 4.2.0 Mailbox busy"), ("data", "451 4.3.0 Try later"), ("mail", "452 4.3.1 Full")],
)
async def test_4xx_is_deferred(plain: Opener, box: Mailbox, stage: str, answer: str) -> None:
    setattr(box, stage, [answer])
    channel = await plain()
    with pytest.raises(MailDeferred) as raised:
        await deliver(channel)
    assert raised.value.code == int(answer[:3])
    assert answer in str(raised.value)
    assert raised.value.transient
    await deliver(channel)
    assert len(box.sessions) == 1  # a refusal does not cost the connection


async def test_greylisting_passes_at_the_second_try(plain: Opener, box: Mailbox) -> None:
    box.greylist = True
    channel = await plain()
    with pytest.raises(MailDeferred, match="Greylisted"):
        await deliver(channel)
    await deliver(channel)
    assert len(box.received) == 1


@pytest.mark.parametrize(("stage", "answer"), [("rcpt", "550 5.1.1 No such user"), ("data", AT_DATA)])
async def test_5xx_for_the_recipient_or_the_message_is_for_good(
    plain: Opener, box: Mailbox, stage: str, answer: str
) -> None:
    setattr(box, stage, [answer])
    with pytest.raises(MailRefused) as raised:
        await deliver(await plain())
    assert raised.value.code == int(answer[:3])
    assert not raised.value.transient
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("stage", "answer", "mend"),
    [
        ("mail", "550 5.7.1 Sender rejected", "email.from"),
        ("mail", "530 5.7.0 Authentication required", "password"),
        ("rcpt", "530 5.7.0 Must issue STARTTLS first", "password"),
    ],
)
async def test_5xx_for_us_waits_for_the_operator(
    plain: Opener, box: Mailbox, stage: str, answer: str, mend: str
) -> None:
    setattr(box, stage, [answer])
    with pytest.raises(MailUnreachable, match=mend) as raised:
        await deliver(await plain())
    assert raised.value.code == int(answer[:3])
    assert raised.value.transient


async def test_silence_after_the_message_is_not_failure(plain: Opener, box: Mailbox) -> None:
    box.silent = True
    channel = await plain(timeout=0.2)
    with pytest.raises(MailUnreachable, match="may have it") as raised:
        await deliver(channel)
    assert raised.value.transient
    box.silent = False
    await deliver(channel)
    first, second = (mail["Message-ID"] for _, _, mail in box.received)
    assert first == second


async def test_hanging_up_on_the_message_is_not_failure_either(plain: Opener, box: Mailbox) -> None:
    box.hang_up = "DATA"
    with pytest.raises(MailUnreachable, match="may have it"):
        await deliver(await plain())
    assert len(box.transports) == 1


async def test_hanging_up_on_the_recipient(plain: Opener, box: Mailbox) -> None:
    box.hang_up = "RCPT"
    channel = await plain()
    with pytest.raises(MailUnreachable, match="closed the connection"):
        await deliver(channel)
    await deliver(channel)


async def test_hanging_up_after_a_refusal_leaves_the_refusal(plain: Opener, box: Mailbox) -> None:
    box.rcpt = ["550 5.1.1 No such user"]
    box.hang_up = "RSET"
    channel = await plain()
    with pytest.raises(MailRefused):
        await deliver(channel)
    await deliver(channel)
    assert len(box.sessions) == 2


async def test_a_server_that_is_down() -> None:
    port = free_port()
    channel = EmailChannel(config(f"smtp+insecure://127.0.0.1:{port}"), None)
    with pytest.raises(
        MailUnreachable, match=rf"no connection to the mail server 127\.0\.0\.1:{port}.*refused.*email\.smtp"
    ):
        await deliver(channel)


async def test_a_server_that_does_not_exist() -> None:
    channel = EmailChannel(config("smtps://mail.invalid"), None)
    with pytest.raises(MailUnreachable, match=r"no connection to the mail server mail\.invalid:465"):
        await deliver(channel)


async def test_a_server_that_never_greets() -> None:
    async with saying(b"") as port:
        channel = EmailChannel(config(f"smtp+insecure://127.0.0.1:{port}", timeout=0.1), None)
        with pytest.raises(MailUnreachable, match=r"did not answer in 0\.1 s"):
            await deliver(channel)


@pytest.mark.parametrize("answer", [b"502 No\r\n", b"550 5.7.1 Not with that name\r\n", b"421 Busy\r\n"])
@pytest.mark.parametrize("user", ["", "mailer@"])  # who logs in has greeted before
async def test_a_greeting_that_is_refused_names_the_setting(answer: bytes, user: str) -> None:
    async with saying(b"220 Welcome\r\n", answer) as port:
        settings = config(f"smtp+insecure://{user}127.0.0.1:{port}", helo="our.issuer.example")
        channel = EmailChannel(settings, "secret")
        with pytest.raises(MailUnreachable, match=f"answered {answer[:3].decode()}") as raised:
            await deliver(channel)
    assert "our.issuer.example" in (raised.value.mend or "")
    assert "email.helo" in (raised.value.mend or "")


@pytest.mark.parametrize("code", ["504", "450"])
async def test_a_greeting_that_is_refused_with_the_recipient_is_no_fault_of_the_recipient(
    plain: Opener, box: Mailbox, code: str
) -> None:
    box.rcpt = [f"{code} 5.5.2 <x>: Helo command rejected: need fully-qualified hostname"]
    with pytest.raises(MailUnreachable, match="Helo command rejected") as raised:
        await deliver(await plain())
    assert "email.helo" in (raised.value.mend or "")


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("watch.issuer.example", "watch.issuer.example"),
        ("watch", "issuer.example"),
        ("localhost.localdomain", "issuer.example"),
        ("1.0.0.127.in-addr.arpa", "issuer.example"),
        ("127.0.0.1", "issuer.example"),
    ],
)
async def test_it_greets_with_the_machines_full_name_or_the_senders_domain(
    plain: Opener, box: Mailbox, monkeypatch: pytest.MonkeyPatch, machine: str, said: str
) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: machine)
    await deliver(await plain())
    assert box.sessions[0].host_name == said


async def test_it_greets_as_the_operator_says(plain: Opener, box: Mailbox) -> None:
    await deliver(await plain(helo="[192.0.2.1]"))
    assert box.sessions[0].host_name == "[192.0.2.1]"


@pytest.mark.parametrize("greeting", [b"554 No service for you\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_what_is_no_mail_server_for_us(greeting: bytes) -> None:
    async with saying(greeting) as port:
        channel = EmailChannel(config(f"smtp+insecure://127.0.0.1:{port}"), None)
        with pytest.raises(MailUnreachable) as raised:
            await deliver(channel)
    assert raised.value.transient
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_mail_travels_under_tls(scheme: str, authority: Authority, box: Mailbox, stack: AsyncExitStack) -> None:
    channel = await over_tls(scheme, authority, box, stack, trust=authority.trusting())
    assert (await deliver(channel)).code == 250
    assert box.sessions[0].ssl is not None or box.transports[0].get_extra_info("sslcontext") is not None


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
@pytest.mark.parametrize("fault", ["unknown authority", "another host"])
async def test_a_wrong_certificate_ends_it(
    scheme: str, fault: str, authority: Authority, box: Mailbox, stack: AsyncExitStack
) -> None:
    trust = authority.trusting() if fault == "another host" else None
    name = "mail.elsewhere.example" if fault == "another host" else "localhost"
    channel = await over_tls(scheme, authority, box, stack, trust=trust, name=name)
    with pytest.raises(MailUnreachable, match=r"certificate of the mail server .* is not trusted.*SSL_CERT_FILE"):
        await deliver(channel)
    assert not box.received


async def test_starttls_is_required(box: Mailbox, stack: AsyncExitStack, authority: Authority) -> None:
    port = await stack.enter_async_context(serving(box))
    channel = EmailChannel(config(f"smtp://localhost:{port}"), None, authority.trusting())
    with pytest.raises(MailUnreachable, match=r"does not offer what email\.smtp asks for.*STARTTLS"):
        await deliver(channel)
    assert not box.sessions


async def test_a_server_that_speaks_no_tls(box: Mailbox, stack: AsyncExitStack, authority: Authority) -> None:
    port = await stack.enter_async_context(serving(box))
    channel = EmailChannel(config(f"smtps://localhost:{port}"), None, authority.trusting())
    with pytest.raises(MailUnreachable):
        await deliver(channel)


async def test_a_user_logs_in(box: Mailbox, stack: AsyncExitStack, authority: Authority) -> None:
    channel = await logging_in(box, stack, authority, "correct")
    await deliver(channel)
    assert box.logins[-1].endswith("True")
    assert len(box.received) == 1


async def test_a_wrong_password_waits_for_the_operator(
    box: Mailbox, stack: AsyncExitStack, authority: Authority
) -> None:
    channel = await logging_in(box, stack, authority, "wrong-and-secret")
    with pytest.raises(MailUnreachable, match=r"answered 535 .*check the user in email\.smtp") as raised:
        await deliver(channel)
    assert raised.value.code == 535
    assert "wrong-and-secret" not in str(raised.value)
    assert not box.received


async def test_a_server_without_auth(box: Mailbox, stack: AsyncExitStack) -> None:
    port = await stack.enter_async_context(serving(box))
    channel = EmailChannel(config(f"smtp+insecure://mailer@127.0.0.1:{port}"), "correct")
    with pytest.raises(MailUnreachable, match="AUTH"):
        await deliver(channel)


async def test_an_address_beyond_ascii(plain: Opener, box: Mailbox) -> None:
    await deliver(await plain(), "jürgen@customer.example")
    assert box.received[0][1] == ["jürgen@customer.example"]
    assert "SMTPUTF8" in box.options
    assert "To: jürgen@customer.example" in box.raw[0].decode()


async def test_an_address_beyond_ascii_where_the_server_knows_none(
    plain: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiosmtplib.SMTP, "supports_extension", lambda _self, _name: False)
    with pytest.raises(MailRefused, match="beyond ASCII"):
        await deliver(await plain(), "jürgen@customer.example")


async def test_a_cancelled_delivery_leaves_no_connection_half_way(plain: Opener, box: Mailbox) -> None:
    box.silent = True
    channel = await plain()
    task = asyncio.create_task(deliver(channel))
    await eventually(lambda: bool(box.received))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    box.silent = False
    await deliver(channel)
    assert len(box.sessions) == 2


async def test_a_probe_sends_nothing_and_its_connection_serves(plain: Opener, box: Mailbox) -> None:
    channel = await plain()
    await channel.probe()
    assert not box.sessions
    await deliver(channel)
    assert len(box.transports) == 1


async def test_a_probe_says_what_is_wrong(box: Mailbox, stack: AsyncExitStack, authority: Authority) -> None:
    channel = await logging_in(box, stack, authority, "wrong")
    with pytest.raises(MailUnreachable, match="answered 535"):
        await channel.probe()


async def test_closing_says_goodbye(plain: Opener, box: Mailbox) -> None:
    channel = await plain()
    await deliver(channel)
    await channel.close()
    await eventually(box.transports[0].is_closing)


async def test_closing_where_goodbye_is_not_understood() -> None:
    async with saying(b"220 Welcome\r\n", b"250 OK\r\n") as port:
        channel = EmailChannel(config(f"smtp+insecure://127.0.0.1:{port}"), None)
        await channel.probe()
        await channel.close()


async def test_closing_after_the_server_went(plain: Opener, box: Mailbox) -> None:
    channel = await plain()
    await deliver(channel)
    box.transports[0].abort()
    await asyncio.sleep(0.05)  # our side hears of it
    await channel.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.8.8.8"])
def test_insecure_is_for_loopback(host: str) -> None:
    EmailChannel(config(f"smtp+insecure://{host}:25"), None)


@pytest.mark.parametrize("host", ["mail.example", "192.0.2.1", "[2001:db8::1]"])
def test_insecure_is_for_nothing_else(host: str) -> None:
    with pytest.raises(ConfigError, match="in the clear"):
        EmailChannel(config(f"smtp+insecure://{host}:25"), None)


def test_a_user_needs_a_password() -> None:
    with pytest.raises(ConfigError, match=r"no password for mailer@issuer.*LEAKWATCH_SMTP_PASSWORD"):
        EmailChannel(config("smtps://mailer%40issuer@mail.example"), None)


async def over_tls(
    scheme: str,
    authority: Authority,
    box: Mailbox,
    stack: AsyncExitStack,
    *,
    trust: ssl.SSLContext | None,
    name: str = "localhost",
) -> EmailChannel:
    served = authority.server(name)
    how: dict[str, Any] = {"tls": served} if scheme == "smtps" else {"tls_context": served, "require_starttls": True}
    port = await stack.enter_async_context(serving(box, **how))
    channel = EmailChannel(config(f"{scheme}://localhost:{port}"), None, trust)
    stack.push_async_callback(channel.close)
    return channel


async def logging_in(box: Mailbox, stack: AsyncExitStack, authority: Authority, password: str) -> EmailChannel:
    how: dict[str, Any] = {"tls_context": authority.server(), "authenticator": box.authenticate, "auth_required": True}
    port = await stack.enter_async_context(serving(box, **how))
    channel = EmailChannel(config(f"smtp://mailer%40issuer@localhost:{port}"), password, authority.trusting())
    stack.push_async_callback(channel.close)
    return channel
