import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch import errors
from leakwatch.fetch.failures import from_exception, from_status, retry_after, shown
from tests.unit.fetch.sites import http_config

WHERE = "site: paste.example"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Blocked),
        (403, errors.Blocked),
        (451, errors.Blocked),
        (404, errors.Gone),
        (410, errors.Gone),
        (429, errors.RateLimited),
        (500, errors.ServerFault),
        (503, errors.ServerFault),
        (599, errors.ServerFault),
        (408, errors.ServerFault),
        (409, errors.ServerFault),  # bepasty, while an upload is under way
        (425, errors.ServerFault),
        (400, errors.BadStatus),
        (304, errors.BadStatus),
        (300, errors.BadStatus),
        (418, errors.BadStatus),
        (999, errors.ServerFault),
    ],
)
def test_a_status_has_its_word_and_says_what_to_do(status: int, kind: type[errors.FetchError]) -> None:
    error = from_status(status, {}, WHERE)

    assert type(error) is kind
    assert str(error).startswith(f"{WHERE} answered {status}")
    assert error.mend


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_server_that_says_when_to_come_back_is_believed(status: int) -> None:
    error = from_status(status, {"Retry-After": "120"}, WHERE)

    assert isinstance(error, errors.RateLimited)
    assert error.retry_after == 120
    assert "wait 120 s" in str(error)


def test_a_429_without_a_time_means_a_minute() -> None:
    assert from_status(429, {}, WHERE).retry_after == 60


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    assert retry_after(" 7 ") == 7
    assert retry_after(in_an_hour) == pytest.approx(3600, abs=2)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("99999999999999999999999") == 86_400
    assert retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == 86_400
    assert retry_after("soon") is None
    assert retry_after("") is None
    assert retry_after("-5") is None


@given(st.text(max_size=40))
def test_no_retry_after_breaks_us_or_lasts_longer_than_a_day(value: str) -> None:
    wait = retry_after(value)
    assert wait is None or 0 <= wait <= 86_400


def key_of(host: str, port: int) -> aiohttp.client_reqrep.ConnectionKey:
    return aiohttp.client_reqrep.ConnectionKey(host, port, False, True, None, None, None)


KEY = key_of("paste.example", 443)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (aiohttp.ConnectionTimeoutError(), errors.TimedOut, "http.connect_timeout"),
        (aiohttp.SocketTimeoutError(), errors.TimedOut, "http.read_timeout"),
        (TimeoutError(), errors.TimedOut, "http.total_timeout"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), errors.Unreachable, "DNS"),
        (aiohttp.ClientConnectorError(KEY, socket.gaierror(-2, "unknown")), errors.Unreachable, "DNS"),
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "x")), errors.Unreachable, "refused"),
        (aiohttp.ClientConnectorError(KEY, OSError(113, "No route to host")), errors.Unreachable, "No route"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError("bad")), errors.Unreachable, "TLS"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("expired")),
            errors.Unreachable,
            "certificate",
        ),
        (aiohttp.ServerDisconnectedError(), errors.Unreachable, "broke the connection off"),
        (aiohttp.ClientPayloadError("half"), errors.Unreachable, "broke the connection off"),
        (ConnectionResetError(104, "reset"), errors.Unreachable, "broke the connection off"),
        (UnicodeError("label too long"), errors.Unreachable, "has no address"),
        (aiohttp.InvalidURL("http://h/?key=sk-1"), errors.BadContent, "broken HTTP"),
        (aiohttp.InvalidUrlClientError("h", "odd"), errors.ForbiddenAddress, "disguise"),
        (OSError("refused address ::1 (loopback)"), errors.ForbiddenAddress, "::1 (loopback)"),
    ],
)
def test_an_exception_has_its_word_and_says_what_to_do(
    error: Exception, kind: type[errors.FetchError], says: str
) -> None:
    failure = from_exception(error, http_config(), WHERE)

    assert type(failure) is kind
    assert str(failure).startswith(WHERE)
    assert says in str(failure)
    assert "sk-1" not in str(failure)


def test_a_strangers_host_is_shown_without_what_could_be_a_key() -> None:
    assert shown("169.254.169.254") == "169.254.169.254"
    assert shown("www.paste.example") == "www.paste.example"
    assert shown("k3y" * 8 + ".paste.example") == "….paste.example"
    assert shown(None) == "nowhere"
