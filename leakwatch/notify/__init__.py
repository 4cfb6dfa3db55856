"""Notices on their way out: what they say, and the channels that carry them."""

from leakwatch.notify.channel import Accepted, Postmark, new_message_id
from leakwatch.notify.cleaning import clean, defang
from leakwatch.notify.compose import Composer, Issuer
from leakwatch.notify.language import language, languages
from leakwatch.notify.links import Answering, Links
from leakwatch.notify.outbox import Channels

__all__ = [
    "Accepted",
    "Answering",
    "Channels",
    "Composer",
    "Issuer",
    "Links",
    "Postmark",
    "clean",
    "defang",
    "language",
    "languages",
    "new_message_id",
]
