"""What strangers wrote, made fit to be shown: one line, no tricks, not too long.

Titles, authors, paths and addresses come from whoever published a key; labels and names from whoever registered it;
replies from a mail server. None of it may start a header, turn a line around, hide text, or become a link that the
reader takes for ours.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

LONGEST_URL: Final = 2000  # characters: a longer address is shown cut, and is no link
_ELLIPSIS: Final = "…"
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # Persian, Indic scripts and emoji need them
_ACCENTS: Final = 4  # combining marks in a row: no script needs more, heaps of them paint over other lines
_SCHEME: Final = re.compile(r"(?<=[A-Za-z0-9]):(?=//)|(?<=mailto):", re.IGNORECASE)
_HOST: Final = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_DOT: Final = re.compile(r"(?<=\w)[.\u3002\uff0e\uff61](?=[^\W\d_]{2})")  # IDNA takes the other three for dots
_AT: Final = re.compile(r"(?<!\[)@|@(?!\])")  # not one that is taken apart already
_URL_SAFE: Final = "/?#[]@!$&'()*+,;=:%~-._"


def clean(text: str, limit: int) -> str:
    """Return the text as one line of at most `limit` visible characters.

    Control characters and line ends become spaces, invisible ones (direction overrides, zero-width, tags) vanish,
    what cannot be written becomes U+FFFD, and what is too long ends in an ellipsis.
    """
    characters = islice(_visible(text), 4 * limit)  # a bound on the work: 10 kB of title cost what 1 kB does
    line = " ".join("".join(characters).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + _ELLIPSIS


def defang(text: str, limit: int) -> str:
    """Return the text cleaned, with nothing in it that a mail or chat program makes a link or a mention.

    ``https://evil.example`` becomes ``https[:]//evil[.]example``, ``@everyone`` becomes ``[@]everyone``. What is
    quoted in a text that is defanged later stays as it is.
    """
    return _DOT.sub("[.]", _SCHEME.sub("[:]", _AT.sub("[@]", clean(text, limit))))


def web_address(url: str) -> str:
    """Return an address that may be a link, in ASCII, or "" for one that must stay text.

    Only http and https with a host and without a user part (``https://bank.example@evil.example``).
    """
    try:
        parts = urlsplit(clean(url, LONGEST_URL + 1))
        host, port = parts.hostname, parts.port
        host = f"[{host}]" if host and ":" in host else (host or "").encode("idna").decode("ascii")
    except ValueError:  # UnicodeError is one
        return ""
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or len(url) > LONGEST_URL:
        return ""
    if not _HOST.fullmatch(host):
        return ""
    netloc = host if port is None else f"{host}:{port}"
    rest = (quote(part, safe=_URL_SAFE) for part in (parts.path, parts.query, parts.fragment))
    return urlunsplit((parts.scheme, netloc, *rest))


def shorten(url: str, limit: int) -> str:
    """Return an address for the eye: what is too long loses its middle, never its host or its end."""
    if len(url) <= limit:
        return url
    tail = limit // 3
    return url[: limit - tail - 1] + _ELLIPSIS + url[-tail:]


def _visible(text: str) -> Iterator[str]:
    accents = 0
    for character in text:
        category = unicodedata.category(character)
        accents = accents + 1 if category in ("Mn", "Me") else 0
        if category in ("Cc", "Zl", "Zp", "Zs"):
            yield " "
        elif category in ("Cs", "Co", "Cn"):
            yield _REPLACEMENT
        elif accents <= _ACCENTS and (category != "Cf" or character in _JOINERS):
            yield character
