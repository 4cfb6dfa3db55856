"""What every channel answers, and the names that it gives to what it sends."""

import secrets
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The peer took the message: from here on it is its."""

    code: int | None  # SMTP's, where there is one
    detail: str  # what the peer said, cleaned


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmark:
    """What a delivery carries besides its message."""

    message_id: str  # stored before the first try, the same at each
    in_reply_to: str | None = None  # the Message-ID that began the thread
    date: datetime
    return_path: str = ""  # the address to which a mail comes back; "": the sender's own
    stop: str = ""  # the address at which reminders are ended with one click; "": this is no reminder


def new_message_id(domain: str) -> str:
    """Return a Message-ID that nobody else has, in angle brackets. It says nothing of its message."""
    return f"<{secrets.token_hex(16)}@{domain}>"
