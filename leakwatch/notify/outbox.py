"""The channels by which messages leave: which of them carries a URL."""

import ssl
from datetime import datetime

from leakwatch.config import EmailConfig
from leakwatch.model import Message
from leakwatch.notify.channel import Accepted
from leakwatch.notify.chat import ChatChannel
from leakwatch.notify.email import EmailChannel, mailbox


class Channels:
    """Mail for ``mailto:``, Apprise for all else."""

    def __init__(self, config: EmailConfig, password: str | None, tls: ssl.SSLContext | None = None) -> None:
        """Raises ConfigError when the mail server cannot be used as it is configured."""
        self._email = EmailChannel(config, password, tls)
        self._chat = ChatChannel()

    async def deliver(  # noqa: PLR0913 - a delivery's own facts
        self,
        channel_url: str,
        message: Message,
        *,
        trusted: bool,
        message_id: str,
        in_reply_to: str | None,
        date: datetime,
    ) -> Accepted:
        """Send a message once. `trusted` are the operator's own channels. Raises DeliveryError."""
        if channel_url.lower().startswith("mailto:"):
            address = mailbox(channel_url)
            return await self._email.deliver(
                address, message, message_id=message_id, in_reply_to=in_reply_to, date=date
            )
        return await self._chat.deliver(channel_url, message, trusted=trusted)

    async def probe(self) -> None:
        """See whether the mail server would take our mail, and send none. Raises DeliveryError."""
        await self._email.probe()

    async def close(self) -> None:
        """Take leave of the mail server."""
        await self._email.close()
