"""The channels by which messages leave: which of them carries a URL."""

import ssl

from leakwatch.config import EmailConfig
from leakwatch.model import Message
from leakwatch.notify.channel import Accepted, Postmark
from leakwatch.notify.chat import ChatChannel, open_sender
from leakwatch.notify.email import EmailChannel, mailbox
from leakwatch.notify.webhook import WebhookChannel


def tellable(url: str) -> None:
    """See whether a customer could be told on a channel, as delivery does. Raises ChannelUnusable."""
    usable(url, trusted=False)


def usable(url: str, *, trusted: bool) -> None:
    """See whether a channel is one that we send to; nothing is sent. Raises ChannelUnusable."""
    if _is_mail(url):
        mailbox(url)
    else:
        open_sender(url, "", trusted=trusted)


class Channels:
    """Mail for ``mailto:``, the issuer's software for ``webhook:``, Apprise for all else."""

    def __init__(
        self,
        config: EmailConfig,
        password: str | None,
        tls: ssl.SSLContext | None = None,
        webhooks: WebhookChannel | None = None,
    ) -> None:
        """Raises ConfigError when the mail server cannot be used as it is configured."""
        self._email = EmailChannel(config, password, tls)
        self._webhooks = webhooks or WebhookChannel((), {})
        self._chat = ChatChannel()

    async def deliver(self, channel_url: str, content: Message | str, postmark: Postmark, *, trusted: bool) -> Accepted:
        """Send a message, or an event's JSON, once. `trusted` are the operator's own channels. Raises DeliveryError."""
        if isinstance(content, str):
            return await self._webhooks.deliver(channel_url, content, postmark)
        if _is_mail(channel_url):
            return await self._email.deliver(mailbox(channel_url), content, postmark)
        return await self._chat.deliver(channel_url, content, postmark, trusted=trusted)

    async def probe(self) -> None:
        """See whether the mail server would take our mail, and send none. Raises DeliveryError."""
        await self._email.probe()

    async def close(self) -> None:
        """Take leave of the mail server and all others."""
        await self._email.close()
        await self._webhooks.close()


def _is_mail(url: str) -> bool:
    return url.lower().startswith("mailto:")
