"""What every channel answers, and the names that it gives to what it sends."""

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The peer took the message: from here on it is its."""

    code: int | None  # SMTP's, where there is one
    detail: str  # what the peer said, cleaned


def new_message_id(domain: str) -> str:
    """Return a Message-ID that nobody else has, in angle brackets. It says nothing of its message."""
    return f"<{secrets.token_hex(16)}@{domain}>"
