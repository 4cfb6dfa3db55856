"""Every channel but mail, through Apprise: chats, pagers, incident desks.

A customer's URL may only lead to a service with hosts of its own (`VENDORS`): whoever registers keys must not be able
to make us call an address of their choice, run a program or read a file. The operator's URLs, from the configuration,
are not limited. No URL is ever logged or put into an error: it holds the token that opens the channel.
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Any, Final

from leakwatch.errors import ChannelFailed, ChannelUnusable
from leakwatch.model import Message
from leakwatch.notify.channel import Accepted

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
_TIMEOUT: Final = 60.0  # seconds for one message, however many parts it is sent in
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_CLOSED: Final = {401, 403, 404, 410}  # the token or the room is gone: it will not come back by itself


class ChatChannel:
    """Sends messages through Apprise."""

    def __init__(self) -> None:
        # At their chattiest both write tokens; Apprise's results carry what we need of its log.
        for name in ("apprise", "urllib3"):
            logging.getLogger(name).propagate = False
            logging.getLogger(name).addHandler(logging.NullHandler())

    async def deliver(self, url: str, message: Message, *, trusted: bool) -> Accepted:
        """Send the text of a message. Raises ChannelFailed, or ChannelUnusable for a URL that we do not send to.

        A time-out says nothing of whether the message arrived: it is tried again, at the price of a second copy.
        """
        sender = await asyncio.to_thread(_sender, url, trusted=trusted)
        result = await sender.async_notify(
            body=message.text,
            title=message.subject,
            notify_type="failure",  # pagers open an incident at no less
            body_format="text",
            timeout=_TIMEOUT,
        )
        name = str(sender[0].service_name)
        if result:
            return Accepted(code=None, detail=f"{name} took it")
        raise _failure(name, result)


def _sender(url: str, *, trusted: bool) -> Any:
    """Return Apprise with the one service of a URL. Raises ChannelUnusable."""
    import apprise  # noqa: PLC0415 - it reads 170 services, for a second, and most installations only send mail

    parsed: dict[str, Any] | None = apprise.plugins.url_to_dict(url)  # type: ignore[no-untyped-call] # so it is
    if parsed is None:
        raise ChannelUnusable("a channel is of no kind that we know", mend="write mailto:user@host or an Apprise URL")
    if not trusted:
        _check(parsed)
    # Without masks no picture is fetched from Apprise's repository by whoever reads the message.
    asset = apprise.AppriseAsset(app_id="leakwatch", http_redirects=trusted, image_url_mask="", image_url_logo="")
    sender = apprise.Apprise(asset=asset)
    if not sender.add({**parsed, "overflow": "split"}):
        message = f"a {parsed['schema']}:// channel lacks something, or holds what its service does not know"
        raise ChannelUnusable(message, mend="compare it with Apprise's page on that service")
    return sender


def _check(parsed: dict[str, Any]) -> None:
    if parsed["schema"] not in VENDORS:
        message = f"customers' notices do not go to {parsed['schema']}:// channels"
        raise ChannelUnusable(message, mend=f"use mailto: or one of {', '.join(sorted(VENDORS))}")
    unknown = set(_settings(parsed)) - _SETTINGS
    if unknown:
        message = f"a customer's {parsed['schema']}:// channel may not set {min(unknown)!r}"
        raise ChannelUnusable(message, mend=f"leave out all but {', '.join(sorted(_SETTINGS))}")


def _settings(parsed: dict[str, Any]) -> Iterator[str]:
    for kind in ("qsd", "qsd+", "qsd-", "qsd:"):
        yield from parsed.get(kind) or ()


def _failure(name: str, result: Any) -> ChannelFailed | ChannelUnusable:
    codes = [int(found[1]) for entry in result.logs() if (found := _STATUS.search(str(entry)))]
    code = codes[-1] if codes else None
    if code in _CLOSED:
        return ChannelUnusable(f"{name} no longer takes our messages ({code})", mend="make its URL anew", code=code)
    if result.timeout_count:
        return ChannelFailed(f"{name} did not answer in {_TIMEOUT:g} s and may have it", mend="it is tried again")
    return ChannelFailed(f"{name} did not take the message", mend="it is tried again", code=code)
