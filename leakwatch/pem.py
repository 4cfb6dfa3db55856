"""Private keys in PEM, as files, JSON and settings hold them."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

LABELS: Final = "(?:RSA )?PRIVATE KEY"
_ESCAPES: Final = r"\\+[nr]|%0[ADad]"
BREAK: Final = rf"\s|{_ESCAPES}"
"""What parts the lines: white space, its escape in JSON or source code, or in an address."""

_BLOCK: Final = re.compile(rf"-----BEGIN {LABELS}-----((?:[A-Za-z0-9+/=]++|{BREAK})+)-----END {LABELS}-----")
_ESCAPED: Final = re.compile(_ESCAPES)
_EDGE: Final = re.compile(rf"-----(?:(?P<begin>BEGIN)|END) {LABELS}-----".encode())
_NAME: Final = b"PRIVATE KEY-----"  # each edge ends with it, which is searched fast
_BEFORE: Final = len(b"-----BEGIN RSA ")
_LONGEST: Final = 20_000  # bytes of a private key with all that hides it
_MARGIN: Final = re.compile(rb"\n[ \t]{0,80}+[>|#*]{1,3}+[ \t]{0,8}+")
_SIGN: Final = re.compile(rb"\n[ \t]{0,80}(?:[+-]|//)[ \t]{0,8}(?=-----END)")


def body(text: str) -> str:
    """Return the base64 of the first private key in a text, without line breaks; "" when there is none.

    The key of a JSON file with escaped line breaks has the same body as the PEM file that it was made from.
    """
    block = _BLOCK.search(text) if "PRIVATE KEY-----" in text else None
    if block is None:
        return ""
    bare = _ESCAPED.sub("", block[1]) if "\\" in block[1] or "%" in block[1] else block[1]
    return "".join(bare.split())


def blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield from where to where private keys may stand, whatever hides what is between their first line and last."""
    if _NAME not in data:  # as in most: what asks for pairs takes longer than the search
        return
    for begin, end in pairwise(_edges(data)):
        is_pair = begin["begin"] and not end["begin"] and end.end() - begin.start() <= _LONGEST
        if is_pair and b"\x7f" not in data[begin.start() : end.end()]:  # in no text, but between two
            yield begin.start(), end.end()


def _edges(data: bytes) -> Iterator[re.Match[bytes]]:
    """Find first and last lines."""
    at = data.find(_NAME)
    while at >= 0:
        if edge := _EDGE.search(data, max(0, at - _BEFORE), at + len(_NAME)):
            yield edge
        at = data.find(_NAME, at + len(_NAME))


def without_margins(block: bytes) -> bytes:
    """Take from a key's lines what makes them a quotation's, a comment's or a diff's.

    What could be a key's own is taken where the last line, which is none of its, begins with it as well.
    """
    bare = _MARGIN.sub(b"\n", block)
    sign = _SIGN.search(bare)
    return bare.replace(sign[0], b"\n") if sign else bare
