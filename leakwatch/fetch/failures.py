"""What went wrong, in our words: statuses and exceptions as `FetchError`, with what to change.

No message holds a URL, a header or a server's words: each may hold a key. A message names the source and the host.
"""

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import aiohttp

from leakwatch.addresses import refused
from leakwatch.config import HttpConfig
from leakwatch.errors import (
    BadContent,
    BadStatus,
    Blocked,
    FetchError,
    ForbiddenAddress,
    Gone,
    RateLimited,
    ServerFault,
    TimedOut,
    Unreachable,
)

LONGEST_PAUSE: Final = 86_400.0  # seconds; a server that asks for more is asked again after a day
_DEFAULT_PAUSE: Final = 60.0  # seconds, for a 429 that names none
_SHORT: Final = 15  # characters: no key is that short
_LIMITED: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_NOT_NOW: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY)


def from_status(
    status: int, headers: Mapping[str, str], where: str, *, spent: float | None = None, limited: bool = False
) -> FetchError:
    """Return what a status that is no success means. ``where`` is "source: host".

    ``spent``: nothing is left, and for so many seconds; ``limited``: the body says that it is a limit.
    """
    wait = retry_after(headers.get("Retry-After", ""))
    if wait is None and status in _LIMITED:
        wait = spent
    if wait is None and (status == HTTPStatus.TOO_MANY_REQUESTS or limited):
        wait = _DEFAULT_PAUSE
    if status in _LIMITED and wait is not None:
        return RateLimited(
            f"{where} answered {status}, and asks us to wait {wait:.0f} s",
            mend="it is tried again then; ask less of it with `rate` or `every`",
            retry_after=wait,
        )
    said = f"{where} answered {status}"
    match status:
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            mend = "a document was taken down; for a listing, check base_url and listing.url"
            return Gone(said, mend=mend)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN | HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
            mend = "ask the site's operator for access, and check http.user_agent and the definition's headers"
            return Blocked(said, mend=mend)
    if status in _NOT_NOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault(said, mend="the site cannot answer now; it is tried again", retry_after=wait)
    return BadStatus(said, mend="open listing.url in a browser and compare; the site may have changed")


def retry_after(value: str) -> float | None:
    """Read a Retry-After header, in seconds or as a date: seconds from now, a day at the most; else None."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), LONGEST_PAUSE)
    try:
        at = parsedate_to_datetime(value)
        left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(left.total_seconds(), 0.0), LONGEST_PAUSE)


def shown(host: str | None) -> str:
    """Return a stranger's host as a message may name it: a label that is long enough for a key is left out."""
    return ".".join(label if len(label) <= _SHORT else "…" for label in (host or "nowhere").split("."))


def from_exception(error: Exception, http: HttpConfig, where: str) -> FetchError:
    """Return what an exception of aiohttp's, or of the system's under it, means."""
    if address := refused(error):
        mend = "if it is yours and meant, name its network in http.allow_networks"
        return ForbiddenAddress(f"{where} leads to {address}", mend=mend)
    if isinstance(error, TimeoutError):
        return _timed_out(error, http, where)
    if isinstance(error, aiohttp.InvalidUrlClientError):
        mend = "write the address in its usual form"
        return ForbiddenAddress(f"{where} is an address in disguise", mend=mend)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
        mend = "the server speaks no HTTP that we accept (a header too long, a broken line); ask its operator"
        return BadContent(f"{where} answered with broken HTTP", mend=mend)
    what, mend = _unreachable(error)
    return Unreachable(f"{where} {what}", mend=mend)


def _timed_out(error: TimeoutError, http: HttpConfig, where: str) -> TimedOut:
    match error:
        case aiohttp.ConnectionTimeoutError():
            what, setting, limit = "did not take our connection", "connect_timeout", http.connect_timeout
        case aiohttp.SocketTimeoutError():
            what, setting, limit = "sent nothing", "read_timeout", http.read_timeout
        case _:
            what, setting, limit = "did not finish", "total_timeout", http.total_timeout
    mend = f"it is tried again; if the site is always that slow, raise http.{setting}"
    return TimedOut(f"{where} {what} within {limit:g} s", mend=mend)


def _unreachable(error: Exception) -> tuple[str, str]:
    """What happened to the connection, and what to do."""
    if isinstance(error, aiohttp.ClientOSError) and isinstance(error.__cause__, ssl.SSLError):
        error = error.__cause__  # through a proxy the handshake is ours
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match error, cause:
        case (aiohttp.ClientConnectorDNSError(), _) | (UnicodeError(), _) | (_, socket.gaierror()):
            return "has no address", "check base_url's spelling and this machine's DNS; it is tried again"
        case (aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError() | ssl.SSLError(), _):
            certificate = getattr(error, "certificate_error", error)
            said = getattr(certificate, "verify_message", "") or "the handshake failed"
            return f"speaks no TLS that we trust ({said})", "check the certificate and this machine's CAs and clock"
        case _, ConnectionRefusedError():
            return "refused the connection", "check that the site is up; it is tried again"
        case aiohttp.ClientConnectorError(), OSError():
            return f"cannot be reached ({cause.strerror or type(cause).__name__})", "it is tried again"
        case _:
            return f"broke the connection off ({type(error).__name__})", "it is tried again"
