from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from leakwatch.config import EmailConfig
from leakwatch.errors import ChannelUnusable, ConfigError
from leakwatch.model import Message, NoticeKind
from leakwatch.notify import Postmark, new_message_id
from leakwatch.notify.email import EmailChannel, mailbox
from leakwatch.notify.language import languages
from tests.unit.notify.making import ANSWERING, alarm, composer, gone, hostile, notice, summary, ten_keys

MOMENT = datetime(2026, 7, 27, 14, 3, tzinfo=UTC)
ANYTHING = st.text(st.characters(), max_size=300)
COMPOSER = composer()
EVERY = {
    "exposure": notice(),
    "gone": notice(exposures=(gone(),)),
    "finding": notice(NoticeKind.FINDING),
    "alarm": alarm(),
    "ten": ten_keys(),
    "hostile": hostile(),
    "digest": notice(NoticeKind.DIGEST),
    "reminder": notice(NoticeKind.REMINDER),
    "test": notice(NoticeKind.TEST, exposures=()),
    "summary": summary(),
    "bare": notice(),  # where customers have no page
}
BARE = {"finding", "alarm", "summary", "bare"}


class Mail(SingleFileSnapshotExtension):
    """A mail as it is reviewed: headers as they travel, then what each part says."""

    file_extension = "txt"
    _write_mode = WriteMode.TEXT


def channel(**more: object) -> EmailChannel:
    facts = {
        "from": "Example AI Security <security@issuer.example>",
        "reply_to": "answers@issuer.example",
        "smtp": "smtps://mail.issuer.example",
    }
    return EmailChannel(EmailConfig.model_validate({**facts, **more}), None)


CHANNEL = channel()
POSTMARK = Postmark(message_id="<2@issuer.example>", in_reply_to="<1@issuer.example>", date=MOMENT)


def written(
    message: Message, address: str = "ops@customer.example", *, by: EmailChannel = CHANNEL, stop: str = ""
) -> EmailMessage:
    return by.mail(address, message, replace(POSTMARK, stop=stop))


def travelled(mail: EmailMessage) -> EmailMessage:
    received = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert isinstance(received, EmailMessage)
    assert not received.defects
    return received


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("locale", sorted(languages()))
def test_whole_mails(name: str, locale: str, snapshot: SnapshotAssertion) -> None:
    answering = None if name in BARE else ANSWERING
    stop = ANSWERING.stop if name == "reminder" else ""
    mail = written(COMPOSER.compose(replace(EVERY[name], locale=locale), None, answering), stop=stop)
    headers, _, _ = mail.as_bytes().decode("ascii").replace("\r\n", "\n").partition("\n\n")
    parts = (f"[{p.get_content_type()}]\n\n{p.get_content()}".replace("\r\n", "\n") for p in mail.iter_parts())
    assert "\n\n".join((headers, *parts)) == snapshot(extension_class=Mail)


def test_what_a_mail_carries() -> None:
    mail = travelled(written(COMPOSER.compose(notice())))
    assert mail.keys() == [
        "From",
        "To",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "MIME-Version",
        "Content-Type",
    ]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_a_reminder_is_ended_with_one_click() -> None:
    mail = travelled(written(COMPOSER.compose(notice(NoticeKind.REMINDER), None, ANSWERING), stop=ANSWERING.stop))
    assert mail["List-Unsubscribe"] == f"<{ANSWERING.stop}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert ANSWERING.stop in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr] # it has one


def test_a_first_mail_answers_none() -> None:
    message = Message(subject="s", text="t", html="h")
    mail = CHANNEL.mail("a@b.example", message, replace(POSTMARK, in_reply_to=None))
    assert "In-Reply-To" not in mail
    assert "References" not in mail


def test_answers_go_to_the_sender_unless_told_otherwise() -> None:
    mail = written(Message(subject="s", text="t", html="h"), by=channel(reply_to=None))
    assert mail["Reply-To"] == mail["From"] == "Example AI Security <security@issuer.example>"


@given(ANYTHING)
def test_a_subject_arrives_as_it_is_and_adds_no_header(subject: str) -> None:
    mail = written(Message(subject=subject + "\r\nBcc: everyone@evil.example", text="t", html="h"))
    received = travelled(mail)
    assert received["Subject"] == mail["Subject"]
    assert received.keys() == mail.keys()
    assert "Bcc" not in received
    assert max(map(len, mail.as_bytes().splitlines())) < 998


@given(ANYTHING, ANYTHING)
def test_a_body_arrives_as_it_is_and_ends_no_part(text: str, html: str) -> None:
    text, html = (t.encode(errors="replace").decode() + "\n--=_leakwatch--\n.\n" for t in (text, html))
    mail = written(Message(subject="s", text=text, html=html))
    received = [p.get_content() for p in travelled(mail).iter_parts()]
    assert ["".join(t.splitlines()) for t in received] == ["".join(t.splitlines()) for t in (text, html)]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mailto:ops@customer.example", "ops@customer.example"),
        ("MAILTO:ops@customer.example", "ops@customer.example"),
        ("mailto://ops@customer.example", "ops@customer.example"),
        ("mailto:ops%2Bkeys@customer.example?subject=x", "ops+keys@customer.example"),
        ("mailto:jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("mailto:root@localhost", "root@localhost"),
        ("mailto:o'brien.x@a-b.example", "o'brien.x@a-b.example"),
    ],
)
def test_a_mailbox(url: str, address: str) -> None:
    assert mailbox(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "mailto:",
        "mailto:nobody",
        "mailto:@customer.example",
        "mailto:a@",
        "mailto:a@b.example,c@d.example",
        "mailto:a@b.example%2Cc@d.example",
        "mailto:a b@c.example",
        'mailto:"a"@c.example',
        "mailto:a@[192.0.2.1]",
        "mailto:A <a@b.example>",
        "mailto:a%0D%0ABcc:c@d.example",
        "mailto:a@b.example%0D%0ABcc:c",
        "mailto://user:password@mail.example",
        "mailto:.a@b.example",
        "mailto:a@b..example",
        "mailto:a@-b.example",
    ],
)
def test_what_is_no_mailbox(url: str) -> None:
    with pytest.raises(ChannelUnusable, match="mailto:user@host") as raised:
        mailbox(url)
    assert "example" not in str(raised.value)


@given(ANYTHING)
def test_whatever_is_a_mailbox_makes_one_recipient(local: str) -> None:
    try:
        address = mailbox(f"mailto:{local}@customer.example")
    except ChannelUnusable:
        return
    mail = written(Message(subject="s", text="t", html="h"), address)
    assert [a.addr_spec for a in mail["To"].addresses] == [address]
    assert mail.as_string().count("\nBcc") == 0


@pytest.mark.parametrize("setting", ["from", "reply_to"])
def test_a_sender_that_is_none(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"email.{setting} does not hold one address"):
        channel(**{setting: "Security <a@-b.example>"})


def test_message_ids_are_never_the_same() -> None:
    ids = {new_message_id("issuer.example") for _ in range(100)}
    assert len(ids) == 100
    assert all(i.startswith("<") and i.endswith("@issuer.example>") for i in ids)
