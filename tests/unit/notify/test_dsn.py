"""Reports as mail servers write them, from the examples of RFC 3464 and from what Postfix and Exchange send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.notify.dsn import Report, recipients, report

POSTFIX = b"""\
Return-Path: <>
Delivered-To: bounces+7-abc@issuer.example
From: MAILER-DAEMON@mail.issuer.example (Mail Delivery System)
To: bounces+7-abc@issuer.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="4B1F2.1/mail.issuer.example"

This is a MIME-encapsulated message.

--4B1F2.1/mail.issuer.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

<nobody@customer.example>: host mx.customer.example[192.0.2.1] said: 550 5.1.1
    No such user (in reply to RCPT TO command)

--4B1F2.1/mail.issuer.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.issuer.example
Arrival-Date: Mon, 27 Jul 2026 14:03:00 +0000 (UTC)

Final-Recipient: rfc822; nobody@customer.example
Original-Recipient: rfc822;nobody@customer.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.customer.example
Diagnostic-Code: smtp; 550 5.1.1 No such user

--4B1F2.1/mail.issuer.example
Content-Description: Undelivered Message
Content-Type: message/rfc822

From: Example AI Security <security@issuer.example>
Subject: Your API key is public

text
--4B1F2.1/mail.issuer.example--
"""
FAILED = Report(action="failed", status="5.1.1", detail="550 5.1.1 No such user")


def test_a_failure_is_read() -> None:
    assert report(POSTFIX) == FAILED
    assert report(POSTFIX.replace(b"\n", b"\r\n")) == FAILED
    assert report(POSTFIX.replace(b"Action: failed", b"ACTION:  Failed ")) == FAILED


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ((b"Action: failed", b"Action: delayed"), Report(action="delayed", status="5.1.1", detail=FAILED.detail)),
        ((b"Status: 5.1.1\n", b""), Report(action="failed", status="", detail=FAILED.detail)),
        ((b"smtp; 550 5.1.1 No such user", b"gone"), Report(action="failed", status="5.1.1", detail="gone")),
        ((b"Diagnostic-Code: smtp; 550 5.1.1 No such user\n", b""), Report(action="failed", status="5.1.1", detail="")),
        ((b"message/delivery-status", b"message/global-delivery-status"), None),
        ((b"Action: failed", b"Action: delivered"), None),
        ((b"Action: failed", b"Action: relayed"), None),
        ((b"multipart/report", b"multipart/mixed"), None),
        ((b"Content-Type: message/delivery-status", b"Content-Type: text/plain"), None),
        ((b"Action: failed\n", b""), None),
    ],
)
def test_what_else_is_reported(change: tuple[bytes, bytes], wanted: Report | None) -> None:
    assert change[0] in POSTFIX
    assert report(POSTFIX.replace(*change)) == wanted


def test_an_auto_reply_is_no_report() -> None:
    assert report(b"From: a@b.example\nSubject: I am away\nAuto-Submitted: auto-replied\n\nBack on Monday.\n") is None


def test_what_a_server_says_is_one_harmless_line() -> None:
    hostile = b"Diagnostic-Code: smtp; 550 \x1b[31m\xff\xe2\x80\xae" + b"x" * 5000 + b"\n More\n"
    told = report(POSTFIX.replace(b"Diagnostic-Code: smtp; 550 5.1.1 No such user\n", hostile))
    assert told is not None
    assert told.detail.isprintable()
    assert len(told.detail) <= 300


def test_the_addresses_to_which_it_came() -> None:
    assert recipients(POSTFIX) == ["bounces+7-abc@issuer.example"] * 2
    assert recipients(POSTFIX.replace(b"\n", b"\r\n")) == ["bounces+7-abc@issuer.example"] * 2
    assert recipients(b"no header at all") == []


@given(st.binary(max_size=2000))
def test_nothing_that_comes_breaks_the_reader(content: bytes) -> None:
    report(content)
    recipients(content)


@given(st.integers(0, len(POSTFIX) - 1), st.binary(max_size=8))
def test_nothing_that_is_damaged_breaks_the_reader(at: int, junk: bytes) -> None:
    damaged = POSTFIX[:at] + junk + POSTFIX[at + len(junk) :]
    found = report(damaged)
    assert found is None or found.detail.isprintable()


def test_a_bomb_of_parts_is_cut() -> None:
    part = b"--b\nContent-Type: multipart/report; boundary=b\n\n"
    assert report(b"Content-Type: multipart/report; boundary=b\n\n" + part * 20_000) is None
