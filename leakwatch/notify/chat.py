"""Every channel but mail, through Apprise: chats, pagers, incident desks.

A customer's URL may only lead to a service with hosts of its own (`VENDORS`): whoever registers keys must not be able
to make us call an address of their choice, run a program or read a file. The operator's URLs, from the configuration,
are not limited. No URL is ever logged or put into an error: it holds the token that opens the channel.
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from leakwatch.errors import ChannelFailed, ChannelUnusable
from leakwatch.model import Message
from leakwatch.notify.channel import Accepted, Postmark

VENDORS: Final = {
    "slack": ("slack.com", "hooks.slack.com", "hooks.slack-gov.com"),
    "discord": ("discord.com",),
    "tgram": ("api.telegram.org",),
    "gchat": ("chat.googleapis.com",),
    "webex": ("webexapis.com", "api.ciscospark.com"),
    "wxteams": ("webexapis.com", "api.ciscospark.com"),
    "pover": ("api.pushover.net",),
    "pagerduty": ("events.pagerduty.com", "events.eu.pagerduty.com"),
    "opsgenie": ("api.opsgenie.com", "api.eu.opsgenie.com"),
    "squadcast": ("api.squadcast.com", "api.eu.squadcast.com"),
    "incidentio": ("api.incident.io",),
    "splunk": ("alert.victorops.com",),
    "victorops": ("alert.victorops.com",),
}
"""Apprise's schemas that customers may use, and the hosts that each can reach (seen in the code of apprise 2.2)."""

_SETTINGS: Final = {"region", "key", "token"}  # of a customer's URL; others read files, add headers or drop TLS checks
KEYS: Final = {
    "pagerduty": "dedup",
    "incidentio": "dedup",
    "squadcast": "dedup",
    "opsgenie": "alias",
    "splunk": "entity_id",
    "victorops": "entity_id",
}
"""Where a service takes a key by which it knows a second copy, the argument of Apprise's that sets it."""

_TIMEOUT: Final = 120.0  # seconds for one message, however many parts it is sent in
_ANSWER: Final = (
    30.0  # seconds that a service has for one part: Apprise's 4 take the slow for silent, and send it again
)
_LIMITED: Final = (
    60.0  # seconds until a service is asked again that has had too much: Apprise keeps its own word to itself
)
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_CLOSED: Final = {401, 403, 404, 410}  # the token or the room is gone: it will not come back by itself


class ChatChannel:
    """Sends messages through Apprise."""

    def __init__(self) -> None:
        # At their chattiest both write tokens; Apprise's results carry what we need of its log.
        for name in ("apprise", "urllib3"):
            logging.getLogger(name).propagate = False
            logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger("apprise").setLevel(logging.DEBUG)  # else its results do not tell silence from refusal

    async def deliver(self, url: str, message: Message, postmark: Postmark, *, trusted: bool) -> Accepted:
        """Send the text of a message. Raises ChannelFailed, or ChannelUnusable for a URL that we do not send to.

        Silence says nothing of whether the message arrived. It is tried again: under the same key where the service
        knows such (`KEYS`), else at the price of a second copy.
        """
        key = postmark.message_id.strip("<>").partition("@")[0]
        sender = await asyncio.to_thread(open_sender, url, key, trusted=trusted)
        result = await sender.async_notify(
            body=message.text,
            title=message.subject,
            notify_type="failure",  # pagers open an incident at no less
            body_format="text",
            timeout=_TIMEOUT,
            log_level=logging.DEBUG,  # kept in the result alone, and forgotten with it
        )
        name = str(sender[0].service_name)
        if result:
            return Accepted(code=None, detail=f"{name} took it")
        raise _failure(name, result)


def open_sender(url: str, key: str, *, trusted: bool) -> Any:
    """Return Apprise with the one service of a URL, without connecting. Raises ChannelUnusable."""
    import apprise  # noqa: PLC0415 - it reads 170 services, for a second, and most installations only send mail

    parsed: dict[str, Any] | None = apprise.plugins.url_to_dict(url)  # type: ignore[no-untyped-call] # so it is
    if parsed is None:
        raise ChannelUnusable("a channel is of no kind that we know", mend="write mailto:user@host or an Apprise URL")
    if not trusted:
        _check(parsed)
    # Without masks no picture is fetched from Apprise's repository by whoever reads the message.
    asset = apprise.AppriseAsset(app_id="leakwatch", http_redirects=trusted, image_url_mask="", image_url_logo="")
    sender = apprise.Apprise(asset=asset)
    ours = {"overflow": "split", "cto": str(_ANSWER), "rto": str(_ANSWER)}
    if argument := KEYS.get(parsed["schema"]):
        ours[argument] = key
    theirs = {name for name in ours if trusted and name != "overflow" and parsed.get(name)}
    if not sender.add({**parsed, **{name: value for name, value in ours.items() if name not in theirs}}):
        message = f"a {parsed['schema']}:// channel lacks something, or holds what its service does not know"
        raise ChannelUnusable(message, mend="compare it with Apprise's page on that service")
    return sender


def _check(parsed: dict[str, Any]) -> None:
    if parsed["schema"] not in VENDORS:
        message = f"customers' notices do not go to {parsed['schema']}:// channels"
        raise ChannelUnusable(message, mend=f"use mailto: or one of {', '.join(sorted(VENDORS))}")
    if set(_settings(parsed)) - _SETTINGS:  # not named: whatever stands in a customer's URL may be a secret
        message = f"a customer's {parsed['schema']}:// channel sets what customers may not set"
        raise ChannelUnusable(message, mend=f"leave out all but {', '.join(sorted(_SETTINGS))}")


def _settings(parsed: dict[str, Any]) -> Iterator[str]:
    for kind in ("qsd", "qsd+", "qsd-", "qsd:"):
        yield from parsed.get(kind) or ()


def _failure(name: str, result: Any) -> ChannelFailed | ChannelUnusable:
    """Say why a service did not take a message: by its status, since its own words may repeat our URL."""
    said = [str(entry) for entry in result.logs()]
    codes = [int(found[1]) for entry in said if (found := _STATUS.search(entry))]
    code = codes[-1] if codes else None
    if code in _CLOSED:
        return ChannelUnusable(f"{name} no longer takes our messages ({code})", mend="make its URL anew", code=code)
    if result.timeout_count or any("timed out" in entry.lower() for entry in said):
        return ChannelFailed(f"{name} did not answer in time and may have it", mend="it is tried again")
    if code is None:
        return ChannelFailed(f"{name} did not take the message: no connection", mend="it is tried again")
    why = f"{name} did not take the message ({code} {_phrase(code)})"
    wait = _LIMITED if code == HTTPStatus.TOO_MANY_REQUESTS else None
    return ChannelFailed(why, mend="it is tried again", code=code, retry_after=wait)


def _phrase(code: int) -> str:
    return HTTPStatus(code).phrase if code in set(HTTPStatus) else "?"
