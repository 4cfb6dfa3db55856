"""Notices on their way out: what they say, and the channels that carry them."""

from leakwatch.notify.channel import Accepted, new_message_id
from leakwatch.notify.compose import Composer, Issuer
from leakwatch.notify.language import languages
from leakwatch.notify.outbox import Channels

__all__ = ["Accepted", "Channels", "Composer", "Issuer", "languages", "new_message_id"]
