"""What the text of a setting may be: addresses of the web, of mail, of networks, and names.

No message repeats a value: it can be half a password.
"""

import ipaddress
import re
from email.utils import parseaddr
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

_LAST_PORT: Final = 65_535
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS: Final = frozenset({"accept-encoding", "connection", "content-length", "cookie", "host", "te", "user-agent"})
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_HELO: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+|\[(?:IPv6:)?[0-9A-Fa-f:.]+\]")  # RFC 5321, 4.1.3
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _network(value: str) -> str:
    ipaddress.ip_network(value)
    return value


def _no_password(value: str) -> str:
    if urlsplit(value).password is not None:
        message = "a password does not stand in the configuration: use password_file or the environment"
        raise ValueError(message)
    return value


def _contact(value: str) -> str:
    if "@" not in value and "+http" not in value:
        message = "name a contact: an address, or a page as +https://…"
        raise ValueError(message)
    if not value.isprintable():
        message = "a header is one line of printable characters"
        raise ValueError(message)
    return value


def _mailbox(value: str) -> str:
    if "@" not in parseaddr(value)[1] or not value.isprintable():
        message = 'write a mailbox as "Name <user@host>"'
        raise ValueError(message)
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(_no_password(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = "write a web address: https://host/path"
        raise ValueError(message)
    _port(parts)
    return value


def _port(parts: SplitResult) -> None:
    try:
        _ = parts.port  # raises ValueError for one that is none
    except ValueError:
        message = "the port is a number up to 65535"
        raise ValueError(message) from None  # the error itself repeats what may be half a password


def _database_url(value: str) -> str:
    parts = urlsplit(_no_password(value))
    kind = parts.scheme.partition("+")[0]
    if kind not in ("sqlite", "postgresql"):
        message = f"{kind or 'this'} is no database that we know: write sqlite:////path or postgresql://user@host/name"
        raise ValueError(message)
    _port(parts)
    return value


def _smtp_url(value: str) -> str:
    parts = urlsplit(_no_password(value))
    if parts.scheme not in ("smtps", "smtp", "smtp+insecure") or not parts.hostname:
        message = "write smtps://user@host:465 (TLS), smtp://user@host:587 (STARTTLS) or smtp+insecure://localhost:25"
        raise ValueError(message)
    _port(parts)
    return value


def _public_url(value: str) -> str:
    parts = urlsplit(_web_url(value))
    if parts.query or parts.fragment or (parts.scheme == "http" and not is_loopback(parts.hostname or "")):
        message = "write https://host, as customers reach it; http:// is for this machine alone"
        raise ValueError(message)
    return value.rstrip("/")


def _webhook_url(value: str) -> str:
    parts = urlsplit(_web_url(value))
    if (
        parts.username is not None
        or parts.fragment
        or (parts.scheme == "http" and not is_loopback(parts.hostname or ""))
    ):
        message = "write https://host/path; http:// is for this machine alone"
        raise ValueError(message)
    return value


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _channel(value: str) -> str:
    if ":" not in value or not value.isprintable():
        message = "write a channel as mailto:user@host or as an Apprise URL"
        raise ValueError(message)
    return value


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and int(port) <= _LAST_PORT):
        message = 'write an address as "127.0.0.1:8321", with a port up to 65535'
        raise ValueError(message)
    return value


def _source_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        message = "a name is made of a-z, 0-9, '.', '_' and '-', 64 at the most"
        raise ValueError(message)
    return value


def _place(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return value
    return _web_url(value)


def _folder(value: str) -> str:
    if not value.startswith(("/", "${")):
        message = "write an absolute path: /var/cache/leakwatch/git"
        raise ValueError(message)
    return value


def _proxy(value: str) -> str:
    parts = urlsplit(_no_password(value))
    if parts.scheme not in ("http", "socks5", "socks5h") or not parts.hostname or parts.path not in ("", "/"):
        message = 'write a proxy as "http://host:3128", "socks5://host:1080", or for Tor "socks5h://127.0.0.1:9050"'
        raise ValueError(message)
    _port(parts)
    return value


def _header(name: str) -> str:
    """Let a header's name pass that a definition may set. Raises ValueError."""
    if not _HEADER.fullmatch(name):
        message = "a header's name is made of letters, digits and -"
        raise ValueError(message)
    if name.lower() in _OURS:
        message = "this header is leakwatch's own"
        raise ValueError(message)
    return name


def _header_value(value: str) -> str:
    """Let a header's value pass. Raises ValueError."""
    if not value.isprintable():
        message = "a header is one line of printable characters"
        raise ValueError(message)
    return value


def _host(value: str) -> str:
    """Let a host pass, with or without a port. Raises ValueError."""
    if not _HOST.fullmatch(value):
        message = 'write a host as "raw.example.org" or "raw.example.org:8080"'
        raise ValueError(message)
    _ = urlsplit(f"//{value}").port  # raises ValueError for one that is none
    return value.lower()


def _helo(value: str) -> str:
    if not _HELO.fullmatch(value):
        message = 'write a full name as "leakwatch.issuer.example", or an address as "[192.0.2.1]"'
        raise ValueError(message)
    return value


def _site(value: str) -> str:
    """Let a site's address pass, or a folder's. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return value
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        message = "write a web address: https://host/path"
        raise ValueError(message)
    _ = parts.port  # raises ValueError for one that is none
    return value


def _app(value: object) -> object:
    return str(value) if type(value) is int else value


AppId = Annotated[str, BeforeValidator(_app), Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
Place = Annotated[str, AfterValidator(_place)]
Folder = Annotated[str, AfterValidator(_folder)]
Proxy = Annotated[str, AfterValidator(_proxy)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, AfterValidator(_source_name)]
IpNetwork = Annotated[str, AfterValidator(_network)]
Contact = Annotated[str, AfterValidator(_contact)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
SmtpUrl = Annotated[str, AfterValidator(_smtp_url)]
ChannelUrl = Annotated[str, AfterValidator(_channel)]
Listen = Annotated[str, AfterValidator(_listen)]
Header = Annotated[str, AfterValidator(_header)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
Host = Annotated[str, AfterValidator(_host)]
Helo = Annotated[str, AfterValidator(_helo)]
Site = Annotated[str, AfterValidator(_site)]
