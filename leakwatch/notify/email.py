"""Mail: a message and an address become what travels, so that nothing in either can add to its headers."""

import re
import ssl
from email.charset import SHORTEST, Charset
from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from leakwatch.config import EmailConfig
from leakwatch.errors import ChannelUnusable, ConfigError
from leakwatch.model import Message
from leakwatch.notify.channel import Accepted, Postmark
from leakwatch.notify.cleaning import clean
from leakwatch.notify.smtp import Envelope, MailServer

_OURS: Final = {"Date", "Message-ID", "In-Reply-To", "References", "List-Unsubscribe"}
_SAME: Final = {  # from one mail to the next: parsing them anew is a quarter of each
    *("From", "Reply-To", "Auto-Submitted", "X-Auto-Response-Suppress", "List-Unsubscribe-Post"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
}
_SHOWN: Final = {"To", "Subject"}  # kept as they are, too, where they are ASCII
_BOUNDARY: Final = "=_leakwatch"  # which is in no quoted-printable text (RFC 2045), so none has to be sought
_LINE: Final = 76  # characters that need no folding
_SAID: Final = 200  # characters of the server's reply that are kept
_ATOM: Final = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")  # no quoted strings: nobody has one, and parsers disagree on them
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


class EmailChannel:
    """Sends mail in the issuer's name. Raises ConfigError when the server cannot be used as it is configured."""

    def __init__(self, config: EmailConfig, password: str | None, tls: ssl.SSLContext | None = None) -> None:
        self._sender = _configured("email.from", config.sender)
        self._reply_to = _configured("email.reply_to", config.reply_to or config.sender)
        self._server = MailServer(config, password, tls)

    async def deliver(self, address: str, message: Message, postmark: Postmark) -> Accepted:
        """Send a message to one address (see `mailbox`). Raises DeliveryError; see `MailServer`."""
        mail = self.mail(address, message, postmark)
        recipient = _addressed(address).addr_spec
        sender = postmark.return_path or self._sender.addr_spec
        utf8 = not (recipient.isascii() and sender.isascii() and self._sender.addr_spec.isascii())
        content = mail.as_bytes(policy=_POLICY.clone(utf8=utf8))
        envelope = Envelope(sender=sender, recipient=recipient, content=content, utf8=utf8)
        response = await self._server.send(envelope)
        return Accepted(code=response.code, detail=clean(response.message, _SAID))

    def mail(self, address: str, message: Message, postmark: Postmark) -> EmailMessage:
        """Write the mail: text, and HTML that says the same. No Bcc, and no reply by machines to a machine."""
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self._sender
        mail["To"] = _addressed(address)
        mail["Reply-To"] = self._reply_to
        mail["Subject"] = clean(message.subject, _SAID)
        mail["Date"] = format_datetime(postmark.date)
        mail["Message-ID"] = postmark.message_id
        if postmark.in_reply_to:
            mail["In-Reply-To"] = postmark.in_reply_to
            mail["References"] = postmark.in_reply_to
        if postmark.stop:  # RFC 8058
            mail["List-Unsubscribe"] = f"<{postmark.stop}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        mail.set_content(message.text, cte="quoted-printable")
        mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
        mail.set_boundary(_BOUNDARY)
        return mail

    async def probe(self) -> None:
        """See whether the server would take our mail. Raises DeliveryError."""
        await self._server.probe()

    async def close(self) -> None:
        """Take leave of the server."""
        await self._server.close()


def mailbox(url: str) -> str:
    """Return the one address of a ``mailto:`` channel, its domain in ASCII. Raises ChannelUnusable."""
    parts = urlsplit(url)
    try:
        return _addressed(unquote(parts.path or parts.netloc)).addr_spec
    except ValueError as error:
        message = "a mailto: channel does not hold one address"
        raise ChannelUnusable(message, mend="write it as mailto:user@host") from error


def _configured(setting: str, mailbox: str) -> Address:
    name, address = parseaddr(mailbox)
    try:
        return _addressed(address, name)
    except ValueError as error:
        raise ConfigError(f"{setting} does not hold one address", mend='write it as "Name <user@host>"') from error


def _addressed(address: str, name: str = "") -> Address:
    """Return an address of one plain local part and one host. Raises ValueError."""
    local, _, domain = address.rpartition("@")
    host = domain.encode("idna").decode("ascii")
    if not (_LOCAL.fullmatch(local) and _HOST.fullmatch(host)):
        raise ValueError(address)
    return Address(display_name=name, username=local, domain=host)


class _Headers(HeaderRegistry):
    """The standard library's headers, of which it makes a new class for each single one: that is most of its time."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: dict[str, type] = {}

    def __getitem__(self, name: str) -> type:
        if name not in self._classes:
            self._classes[name] = super().__getitem__(name)
        return self._classes[name]


class _Wire(EmailPolicy):
    """The form in which mail travels.

    The standard library's folding adds and drops spaces in long subjects beyond ASCII; its older `Header` does not.
    What needs no folding is not folded: it would be taken apart and put together again.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """Keep what we write ourselves as it is. Raises ValueError for what is more than a line."""
        text = str(value)
        if name in _SAME and not hasattr(value, "name"):
            return name, _parsed(name, text)
        is_line = text.isascii() and text.isprintable()
        if name in _OURS and not is_line:
            raise ValueError(name)
        return (name, text) if is_line and name in _OURS | _SHOWN else super().header_store_parse(name, value)

    def fold(self, name: str, value: Any) -> str:
        text = str(value)
        if name != "Subject":
            line = f"{name}: {text}"
            is_short = len(line) <= _LINE and text.isascii() and text.isprintable()
            return line + self.linesep if is_short else str(super().fold(name, value))
        charset = Charset("us-ascii" if text.isascii() and "=?" not in text else "utf-8")
        charset.header_encoding = charset.header_encoding and SHORTEST  # Apprise changes the process's default
        return f"{name}: {Header(text, charset, 76, name).encode(linesep=self.linesep)}{self.linesep}"

    def fold_binary(self, name: str, value: Any) -> bytes:
        text = self.fold(name, value)
        return text.encode("ascii") if text.isascii() else super().fold_binary(name, value)


_REGISTRY: Final = _Headers()


@lru_cache(maxsize=64)
def _parsed(name: str, value: str) -> BaseHeader:
    """A header as the standard library has it. Raises ValueError for what is more than a line."""
    if len(value.splitlines()) > 1:
        raise ValueError(name)
    return _REGISTRY(name, value)


_POLICY: Final = _Wire(linesep="\r\n", header_factory=_REGISTRY)
