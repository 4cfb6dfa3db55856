"""What a request came back with, and the text or the container in it."""

import codecs
import re
from dataclasses import dataclass, field
from typing import Final

from leakwatch.containers.kinds import sniff
from leakwatch.fetch.quota import Quota
from leakwatch.model import Document, Reference

_SNIFFED: Final = 1024  # bytes in which a page may name its charset
_META: Final = re.compile(rb"""(?:charset\s*=|encoding\s*=)\s*(?:["']\s*)?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Only charsets: Python also "decodes" idna and punycode (slow without bound), unicode_escape and utf-7 (hide text).
_CHARSETS: Final = re.compile(
    r"utf-8|utf-16(-[lb]e)?|utf-32(-[lb]e)?|ascii|iso8859-\d+|cp(1250|125\d|437|850|866|874|932|949|950)|koi8-[ru]"
    r"|gbk|gb2312|gb18030|big5(hkscs)?|euc_(jp|kr)|shift_jis|mac-(roman|cyrillic)|tis-620"
)
_WIDE: Final = ("utf-16", "utf-32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What lets a server answer "not modified"."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Page:
    """An answer with its body, decompressed and within the cap."""

    url: str  # where it was found, after redirects
    status: int
    body: bytes = b""
    content_type: str = ""  # the whole header
    validators: Validators = field(default_factory=Validators)
    not_modified: bool = False
    truncated: bool = False  # the body went on past the cap
    wire: int = 0  # bytes that came, still compressed
    redirects: int = 0
    following: str = ""  # the next page's address, where a Link header names one
    quota: Quota = field(default_factory=Quota)

    def document(self, reference: Reference) -> Document:
        """Return it as a document, with its bytes where those are a container."""
        raw = None if sniff(self.body) is None else self.body
        return Document(reference=reference, text=self.text(), truncated=self.truncated, raw=raw)

    @property
    def charset(self) -> str:
        """The charset that the body is in: by byte order mark, header or the page's own word; else UTF-8."""
        return _charset(self.body, self.content_type)

    def text(self) -> str:
        """Decode the body. Bytes that are not of the charset become U+FFFD."""
        if self.body.isascii() and b"\0" not in self.body:
            return self.body.decode("ascii")  # whatever the charset: most documents, and the quickest way
        for mark, charset in _BOMS:
            if self.body.startswith(mark):
                return self.body[len(mark) :].decode(charset, "replace")
        return self.body.decode(self.charset, "replace")


def is_bytewise(body: bytes) -> bool:
    """Whether each ASCII character of a text is the same byte in its body: of all charsets but the wide ones."""
    head = body[:_SNIFFED]
    is_wide = body.startswith(tuple(mark for mark, _ in _BOMS)) or (
        b"\0" in head and (head.count(0) > len(head) // 4 or _META.search(head) is not None)
    )
    return not is_wide


def _charset(body: bytes, content_type: str) -> str:
    for mark, charset in _BOMS:
        if body.startswith(mark):
            return charset
    head = body[:_SNIFFED]
    zeros = head.count(0)
    for named in map(_named, (content_type.encode("utf-8", "replace"), head)):
        # A wide charset on bytes without a zero would turn plain ASCII into nonsense and hide what stands there.
        if named and (zeros or not named.startswith(_WIDE)):
            return named
    if zeros > len(head) // 4:  # UTF-16 that says nothing of itself: every other byte of ASCII is zero
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return "utf-8"


def _named(text: bytes) -> str:
    """The first charset named in a text, by Python's name for it, or "" if it is none that we decode."""
    match = _META.search(text)
    if match is None:
        return ""
    try:
        name = codecs.lookup(match[1].decode("ascii")).name
    except LookupError:
        return ""
    return name if _CHARSETS.fullmatch(name) else ""
