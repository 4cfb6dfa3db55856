"""Text in runs of base64. `compiled/base64_texts.h` does the same."""

import binascii
import re
import string
from typing import Final

_GROUP: Final = 4  # characters of base64 that are three bytes
_LETTERS: Final = (string.ascii_letters + string.digits).encode()
# Of either alphabet; what is in none is as good as a zero.
_SIX: Final = bytes(
    c if c in _LETTERS + b"+/" else {ord("-"): ord("+"), ord("_"): ord("/")}.get(c, ord("A")) for c in range(256)
)
_RUN: Final = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{22,}+")
# Bytes of ASCII text, zeros of UTF-16, parts of other characters; what is left is noise.
_KINDS: Final = bytes.maketrans(
    bytes([*b"\t\n\r", *range(0x20, 0x7F), 0, *range(0x80, 0x100), *range(1, 9), 11, 12, *range(14, 0x20), 0x7F]),
    b"t" * 98 + b"z" + b"o" * 128 + b" " * 29,
)
# What shows that there is text, of any width.
_SEEDS: Final = (b"t" * 12, b"tz" * 6, b"zt" * 6, b"tzzz" * 3, b"zzzt" * 3)


def texts(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return what is text in runs of base64 when they are decoded, and from where to where each stands.

    They are in no order. Which of four characters begins the first group, nobody knows: each may. What is between texts
    is noise. Each text begins with a group: of noise before it there may be a byte or two.
    """
    found: list[tuple[int, int, bytes]] = []
    for start, stop in map(re.Match.span, _RUN.finditer(data)):
        for first in range(start, start + _GROUP):
            undone = decoded(data[first:stop])
            every, left = undone.translate(_KINDS), 0
            if not any(seed in every for seed in _SEEDS):
                continue
            for kinds in every.split(b" "):
                right = left + len(kinds)
                if any(seed in kinds for seed in _SEEDS):
                    begin, end = left // 3 * 3, first - (-right * _GROUP // 3)
                    found.append((first + begin // 3 * _GROUP, end, undone[begin:right]))
                left = right + 1
    return found


def decoded(run: bytes) -> bytes:
    """Decode base64 that may end within a group: its whole bytes."""
    padding = b"A" * (-len(run) % _GROUP)
    return binascii.a2b_base64(run.translate(_SIX) + padding)[: len(run) * 3 // _GROUP]
