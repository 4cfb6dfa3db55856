"""Whether what looks packed, in base64, is not: its first bytes tell. `compiled/inflating.h` says the same.

Of what only looks like gzip or zlib nine of ten places cannot be inflated, and to try one costs ten times as much.
"""

import re
from typing import Final

from leakwatch.core.base64_texts import decoded

_BEGINNING: Final = re.compile(rb"[A-Za-z0-9+/_-]{0,64}")
_GZIP: Final = (b"\x1f\x8b\x08\x00", b"\x1f\x8b\x08\x01")  # with nothing in their headers that is not always there
_HEADERS: Final = {b"\x78\x9c": 2, b"\x78\xda": 2, **dict.fromkeys(_GZIP, 10)}  # and how long they are
_STORED, _FIXED, _DYNAMIC = range(3)  # kinds of blocks
_END: Final = 256  # of a block; what is below it is a byte, and what is above it a length
_LENGTHS: Final = 286
_DISTANCES: Final = 30
# The fixed codes: bits, the first and the last of them, what the first is.
_CODES: Final = ((7, 0x00, 0x17, 256), (8, 0x30, 0xBF, 0), (8, 0xC0, 0xC7, 280), (9, 0x190, 0x1FF, 144))
# What lengths and distances begin with, and the bits that are added.
_COPIED: Final = (
    *((3 + n, 0) for n in range(8)),
    *((3 + ((4 + n % 4) << n // 4), n // 4) for n in range(4, 24)),
    (258, 0),
)
_BEFORE: Final = (*((1 + n, 0) for n in range(4)), *((1 + ((2 + n % 2) << n // 2), n // 2) for n in range(2, 28)))
_ALL_ONES: Final = 0xFFFF
_WHOLE: Final = 128  # what codes of up to seven bits add up to, each with the share that it takes


class _OutOfBitsError(Exception):
    """What there is may go on in any way."""


class _Bits:
    """The bits of some bytes, the lowest of each first."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def number(self, size: int) -> int:
        """Take a number of so many bits, the lowest first."""
        if size > self._left:
            raise _OutOfBitsError
        number = self._bits & ((1 << size) - 1)
        self._bits >>= size
        self._left -= size
        return number

    def code(self, size: int, begun: int = 0) -> int:
        """Take so many bits of a code, the highest first."""
        for _ in range(size):
            begun = begun << 1 | self.number(1)
        return begun

    def skip_to_byte(self) -> None:
        """Leave what is left of a byte that was begun."""
        self.number(self._left % 8)


def may_inflate(data: bytes, at: int) -> bool:
    """Whether base64 may be the gzip or zlib that it looks like: its first block begins as one can."""
    found = _BEGINNING.match(data, at)
    undone = decoded(found[0]) if found else b""
    size = next((size for header, size in _HEADERS.items() if undone.startswith(header)), len(undone))
    try:
        return _is_block(_Bits(undone[size:]))
    except _OutOfBitsError:
        return True


def _is_block(bits: _Bits) -> bool:
    bits.number(1)
    kind = bits.number(2)
    if kind == _STORED:
        bits.skip_to_byte()
        return bits.number(16) ^ bits.number(16) == _ALL_ONES
    return _is_fixed(bits) if kind == _FIXED else kind == _DYNAMIC and _is_dynamic(bits)


def _is_dynamic(bits: _Bits) -> bool:
    """Whether a block begins with codes of codes that leave no bits over."""
    if bits.number(5) + 257 > _LENGTHS or bits.number(5) + 1 > _DISTANCES:
        return False
    sizes = [bits.number(3) for _ in range(bits.number(4) + 4)]
    return sum(_WHOLE >> size for size in sizes if size) == _WHOLE


def _is_fixed(bits: _Bits) -> bool:
    """Whether nothing is copied that was not there before."""
    size = 0
    while (symbol := _symbol(bits)) != _END:
        if symbol < _END:
            size += 1
            continue
        if symbol >= _LENGTHS:
            return False
        length = _more(bits, _COPIED[symbol - _END - 1])
        code = bits.code(5)
        if code >= _DISTANCES or _more(bits, _BEFORE[code]) > size:
            return False
        size += length
    return True


def _symbol(bits: _Bits) -> int:
    codes = iter(_CODES)
    read, first, last, symbol = next(codes)
    code = bits.code(read)
    while not first <= code <= last:
        size, first, last, symbol = next(codes)
        code, read = bits.code(size - read, code), size
    return symbol + code - first


def _more(bits: _Bits, begins: tuple[int, int]) -> int:
    least, size = begins
    return least + bits.number(size)
