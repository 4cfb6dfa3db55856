"""Reports of mail that did not arrive (RFC 3464), as mail servers write them: pure, and trusted in nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from typing import Any, Final

from leakwatch.notify.cleaning import clean

LONGEST: Final = 1_000_000  # bytes of a report that are read
_PARTS: Final = 50  # of a mail that are looked at
_SAID: Final = 300  # characters of a server's words
_STATUS: Final = 20
_ACTIONS: Final = ("failed", "delayed")  # the others are good news
_ENVELOPE: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a mail server says of one mail."""

    action: str  # failed, or delayed: it is still being tried
    status: str  # as in 5.1.1, "" where there is none
    detail: str  # in the words of the server that gave up


def report(content: bytes) -> Report | None:
    """Return what a mail reports, or None for one that reports no failure: an auto-reply, spam, good news."""
    try:
        mail = message_from_bytes(content[:LONGEST], policy=compat32)
        return next(_reports(mail), None)
    except Exception:  # noqa: BLE001 - the standard library's parser raises all sorts of errors at what is malformed
        return None


def recipients(content: bytes) -> list[str]:
    """Return the addresses to which a mail in a mailbox may have come, the likeliest first."""
    try:
        head = content[:LONGEST].partition(b"\n\n")[0].partition(b"\r\n\r\n")[0]
        mail = message_from_bytes(head, policy=compat32)
        return [str(value) for name in _ENVELOPE for value in mail.get_all(name, [])]
    except Exception:  # noqa: BLE001 - as above
        return []


def _reports(mail: Message) -> Iterator[Report]:
    if mail.get_content_type() != "multipart/report":
        return
    for number, part in enumerate(mail.walk()):
        if number >= _PARTS:
            return
        groups: Any = part.get_payload()  # of fields: one for the mail, then one for each recipient
        if part.get_content_type() != "message/delivery-status" or not isinstance(groups, list):
            continue
        for fields in groups:
            action = str(fields.get("Action", "")).strip().lower()
            if action in _ACTIONS:
                status = clean(str(fields.get("Status", "")), _STATUS)
                said = str(fields.get("Diagnostic-Code", "")).partition(";")
                yield Report(action=action, status=status, detail=clean(said[2] or said[0], _SAID))
