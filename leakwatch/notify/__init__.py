"""Notices on their way out: what they say, and the channels that carry them."""

from leakwatch.notify.channel import Accepted, Postmark, new_message_id
from leakwatch.notify.cleaning import clean, defang
from leakwatch.notify.compose import Composer, Issuer
from leakwatch.notify.event import ANSWERED, OPENED, event
from leakwatch.notify.language import language, languages
from leakwatch.notify.links import Answering, Links
from leakwatch.notify.outbox import Channels, tellable, usable
from leakwatch.notify.returns import Returns
from leakwatch.notify.webhook import WebhookChannel
from leakwatch.notify.webhook import channel as webhook_channel

__all__ = [
    "ANSWERED",
    "OPENED",
    "Accepted",
    "Answering",
    "Channels",
    "Composer",
    "Issuer",
    "Links",
    "Postmark",
    "Returns",
    "WebhookChannel",
    "clean",
    "defang",
    "event",
    "language",
    "languages",
    "new_message_id",
    "tellable",
    "usable",
    "webhook_channel",
]
