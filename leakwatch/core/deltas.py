"""What git keeps of an object that is much like another: what to copy from that, and what to put in between.

`compiled/deltas.h` does the same: what both return is equal.
"""

from typing import Final

_MORE: Final = 0x80  # set in each byte of a length but the last, and in what copies
_LONGEST: Final = 28  # bits of a length before its last seven
_BEGINS: Final = ((0x01, 0), (0x02, 8), (0x04, 16), (0x08, 24))  # which byte of where a copy begins is written down
_COUNTS: Final = ((0x10, 0), (0x20, 8), (0x40, 16))
_WHOLE: Final = 0x10000  # bytes that are copied where nothing says how many

Bytes = bytes | bytearray


def applied(base: Bytes, delta: Bytes, most: int) -> bytes:
    """Return what a delta makes of its base. Raises ValueError if it is broken, or makes more bytes than that."""
    try:
        return _applied(base, delta, most)
    except IndexError:
        raise ValueError from None


def _applied(base: Bytes, delta: Bytes, most: int) -> bytes:
    length, at = _length(delta, 0)
    left, at = _length(delta, at)
    if length != len(base) or left > most:
        raise ValueError
    parts: list[Bytes] = []
    while at < len(delta):
        code = delta[at]
        at += 1
        if code & _MORE:
            begin, count, at = _copied(delta, code, at)
            source = base
        else:
            begin, count, source = at, code, delta
            at += code
        left -= count
        if not count or left < 0 or begin + count > len(source):
            raise ValueError
        parts.append(source[begin : begin + count])
    if left:
        raise ValueError
    return b"".join(parts)


def _length(delta: Bytes, at: int) -> tuple[int, int]:
    """Return a length, and what is behind it."""
    size = 0
    for shift in range(0, _LONGEST + 1, 7):
        byte = delta[at]
        at += 1
        size |= (byte & ~_MORE) << shift
        if byte < _MORE:
            return size, at
    raise ValueError


def _copied(delta: Bytes, code: int, at: int) -> tuple[int, int, int]:
    """Return from where in the base how much is copied, and what is behind that."""
    begin = count = 0
    for bit, shift in _BEGINS:
        if code & bit:
            begin |= delta[at] << shift
            at += 1
    for bit, shift in _COUNTS:
        if code & bit:
            count |= delta[at] << shift
            at += 1
    return begin, count or _WHOLE, at
