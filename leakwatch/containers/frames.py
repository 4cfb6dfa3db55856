"""How opener and worker talk: frames of one letter, a length and so many bytes."""

import struct
from collections.abc import Callable
from typing import Final

ASKED: Final = b"A"  # JSON: the document's name and the limits; its bytes follow
BYTES: Final = b"B"
PATH: Final = b"P"  # of a member; its bytes follow
END: Final = b"E"  # JSON: what was cut
_HEAD: Final = struct.Struct(">cI")

Read = Callable[[int], bytes]
"""Returns exactly so many bytes, or raises EOFError."""


def head(letter: bytes, size: int) -> bytes:
    """Return what precedes so many bytes."""
    return _HEAD.pack(letter, size)


def read(take: Read, expected: bytes, most: int) -> tuple[bytes, bytes]:
    """Return a frame's letter, one of those expected, and its bytes. Raises EOFError, or ValueError for any other."""
    letter, size = _HEAD.unpack(take(_HEAD.size))
    if letter not in expected or size > most:
        raise ValueError
    return letter, take(size)
