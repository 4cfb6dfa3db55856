"""In which charset some bytes are, and the text in them."""

import codecs
import re
from typing import Final

_SNIFFED: Final = 1024  # bytes in which a page may name its charset
_META: Final = re.compile(rb"""(?:charset\s*=|encoding\s*=)\s*(?:["']\s*)?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKS: Final = tuple(mark for mark, _ in _BOMS)
# Only charsets: Python also "decodes" idna and punycode (slow without bound), unicode_escape and utf-7 (hide text).
_CHARSETS: Final = re.compile(
    r"utf-8|utf-16(-[lb]e)?|utf-32(-[lb]e)?|ascii|iso8859-\d+|cp(1250|125\d|437|850|866|874|932|949|950)|koi8-[ru]"
    r"|gbk|gb2312|gb18030|big5(hkscs)?|euc_(jp|kr)|shift_jis|mac-(roman|cyrillic)|tis-620"
)
_WIDE: Final = ("utf-16", "utf-32")


def text(body: bytes, content_type: str = "") -> str:
    """Decode some bytes. Those that are not of their charset become U+FFFD."""
    if body.isascii() and b"\0" not in body:
        return body.decode("ascii")  # whatever the charset: most documents, and the quickest way
    for mark, charset in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(charset, "replace")
    return body.decode(of(body, content_type), "replace")


def is_bytewise(body: bytes) -> bool:
    """Whether each ASCII character of a text is the same byte in its body: of all charsets but the wide ones."""
    head = body[:_SNIFFED]
    is_wide = head.startswith(_MARKS) or (
        b"\0" in head and (head.count(0) > len(head) // 4 or _META.search(head) is not None)
    )
    return not is_wide


def of(body: bytes, content_type: str = "") -> str:
    """Return the charset of some bytes: by byte order mark, by what was said of them or their own word; else UTF-8."""
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
