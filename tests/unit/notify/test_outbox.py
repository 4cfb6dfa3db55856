from datetime import UTC, datetime

import pytest

from leakwatch.config import EmailConfig
from leakwatch.errors import ChannelUnusable, MailUnreachable
from leakwatch.model import Message
from leakwatch.notify import Channels, Postmark

MESSAGE = Message(subject="s", text="t", html="h")


@pytest.fixture
def channels() -> Channels:
    config = {"from": "s@issuer.example", "smtp": "smtp+insecure://127.0.0.1:1", "timeout": 1.0}
    return Channels(EmailConfig.model_validate(config), None)


async def deliver(channels: Channels, url: str) -> None:
    postmark = Postmark(message_id="<1@issuer.example>", date=datetime.now(UTC))
    await channels.deliver(url, MESSAGE, postmark, trusted=False)


@pytest.mark.parametrize("url", ["mailto:ops@customer.example", "MAILTO:ops@customer.example"])
async def test_mail_goes_to_the_mail_server(channels: Channels, url: str) -> None:
    with pytest.raises(MailUnreachable):
        await deliver(channels, url)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own
@pytest.mark.parametrize("url", ["mailtos://user:password@mail.example", "json://127.0.0.1"])
async def test_all_else_goes_to_the_chat_channel(channels: Channels, url: str) -> None:
    with pytest.raises(ChannelUnusable, match="customers' notices do not go to"):
        await deliver(channels, url)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own
async def test_a_customers_channel_is_never_the_issuers_software(channels: Channels) -> None:
    with pytest.raises(ChannelUnusable, match="of no kind that we know"):
        await deliver(channels, "webhook:tickets")


async def test_a_probe_is_of_the_mail_server(channels: Channels) -> None:
    with pytest.raises(MailUnreachable):
        await channels.probe()
    await channels.close()
