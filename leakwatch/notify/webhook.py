"""Webhooks to the issuer's software, signed by the Standard Webhooks specification.

What becomes of a try: 2xx is acceptance; 410 says that nobody listens there any more; anything else is tried again, as
late as the other side asks. Redirects are not followed, and no address is connected to that is not public, unless the
configuration names its network. The same ``webhook-id`` comes with every try of an event: by it a receiver knows a
second copy. The signature covers id, time of the try and body, so that a receiver can refuse what is old.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, final

import aiohttp
from standardwebhooks import Webhook as Signature

from leakwatch.addresses import refused, socket_factory
from leakwatch.config import WebhookConfig
from leakwatch.errors import ChannelFailed, ChannelUnusable
from leakwatch.notify.channel import Accepted, Postmark

SCHEME: Final = "webhook"
_LONGEST_WAIT: Final = 86_400.0  # seconds that the other side may ask us to stay away


def channel(name: str) -> str:
    """Return the channel of a configured webhook."""
    return f"{SCHEME}:{name}"


@final
class WebhookChannel:
    """Posts events to the configured webhooks."""

    def __init__(
        self, webhooks: Sequence[WebhookConfig], secrets: Mapping[str, Sequence[str]], *, user_agent: str = "leakwatch"
    ) -> None:
        """`secrets` are by webhook: more than one while the receiver changes from one to the next."""
        self._webhooks = {webhook.name: webhook for webhook in webhooks}
        self._signatures = {name: [Signature(secret) for secret in of] for name, of in secrets.items()}
        self._headers = {"User-Agent": user_agent, "Content-Type": "application/json"}
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def deliver(self, url: str, body: str, postmark: Postmark) -> Accepted:
        """Post an event. Raises ChannelFailed, or ChannelUnusable for a webhook that is not there."""
        webhook = self._webhooks.get(url.partition(":")[2])
        if webhook is None:
            raise ChannelUnusable(
                "no such webhook is configured", mend="write its [[webhook]], then `leakwatch notices retry`"
            )
        status, retry_after = await self._post(webhook, body, self._signed(webhook.name, body, postmark))
        said = f"webhook {webhook.name} answered {status}"
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's success
            return Accepted(code=status, detail=said)
        if status == HTTPStatus.GONE:
            raise ChannelUnusable(f"{said}: nobody listens there", mend="see webhook.url", code=status)
        raise ChannelFailed(said, mend="it is tried again", code=status, retry_after=retry_after)

    async def close(self) -> None:
        """Close what is open."""
        await asyncio.gather(*(session.close() for session in self._sessions.values()))
        self._sessions.clear()

    def _signed(self, name: str, body: str, postmark: Postmark) -> dict[str, str]:
        number = event_id(postmark.message_id)
        # Not when the event happened: a receiver refuses what is older than a few minutes, and retries may be.
        signatures = (s.sign(number, postmark.date, body) for s in self._signatures[name])
        return {
            "webhook-id": number,
            "webhook-timestamp": str(int(postmark.date.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    async def _post(self, webhook: WebhookConfig, body: str, headers: Mapping[str, str]) -> tuple[int, float | None]:
        """Return the status, and the seconds until when the other side wants to hear no more of us."""
        session = self._sessions.get(webhook.name) or self._opened(webhook)
        name = f"webhook {webhook.name}"
        try:
            async with session.post(webhook.url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
                if not answer.content.at_eof():
                    answer.close()  # what it says besides is nothing to us, however long it is
                return answer.status, _retry_after(answer.headers.get("Retry-After", ""))
        except aiohttp.ClientConnectorCertificateError as error:
            raise ChannelFailed(f"the certificate of {name} is not trusted", mend="see webhook.url") from error
        except (aiohttp.ClientError, OSError) as error:
            if address := refused(error):
                mend = "if that is meant, name its network in webhook.allow_networks"
                raise ChannelUnusable(f"{name} is at {address}, where we do not connect", mend=mend) from error
            if isinstance(error, TimeoutError):
                said = f"{name} did not answer in {webhook.timeout:g} s and may have it"
                raise ChannelFailed(said, mend="it is tried again under the same webhook-id") from error
            raise ChannelFailed(f"there is no connection to {name}", mend="it is tried again") from error

    def _opened(self, webhook: WebhookConfig) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            socket_factory=socket_factory(webhook.networks), ssl=ssl.create_default_context()
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # a proxy would resolve names for us, past the refusal of addresses
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=webhook.timeout),
        )
        self._sessions[webhook.name] = session
        return session


def event_id(message_id: str) -> str:
    """Return what an event is known by: the part of its Message-ID that is its own."""
    return "msg_" + message_id.strip("<>").partition("@")[0]


def _retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After asks for, within reason."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), _LONGEST_WAIT)
