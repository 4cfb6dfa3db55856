"""Disguises that are runs of their own: base64, with what may be packed in it, hexadecimal digits, lists of numbers."""

import binascii
import bz2
import lzma
import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Final

import hyperscan
import zstandard

from leakwatch.core import REACH
from leakwatch.scan.disguises import Undone, kept
from leakwatch.scan.expressions import Search

_UNPACKED: Final = 1_000_000  # bytes of what was compressed within a text: more is cut
_SHARE: Final = 4  # times the size of a text that all that was packed in it may have, and one of those beside
_MOST_PACKED: Final = 1_400_000  # characters of base64 that are unpacked
_FEW_PACKED: Final = 512  # characters that show whether the rest is worth it
_TRIED: Final = 64  # places in one run that may be worth it
_WINDOW: Final = 1 << 26  # bytes of memory that unpacking may take


def base64(data: bytes) -> Iterator[Undone]:
    """Decode base64 of either alphabet, padded or not, whatever is glued to it; what was packed in it is unpacked.

    Which of four characters begins the first group, nobody knows: where text, or the head of something packed, is found
    in a run, it tells. Most runs are neither, and are not decoded.
    """
    ends = _base64_ends(data)
    room = _UNPACKED + _SHARE * len(data)
    if not ends:
        return
    for found in _BASE64.finditer(data):
        run, at = found[0], found.start()
        first, last = bisect_right(ends, at), bisect_right(ends, found.end())
        groups: list[list[int]] = [[] for _ in range(_GROUP)]
        for end in ends[first:last]:
            groups[(end - at) % _GROUP].append((end - at) // _GROUP * 3 - 1)
        for phase, offsets in enumerate(groups):
            if offsets:
                undone = _from_base64(run[phase:])
                for begin, end in _texts(undone, offsets):
                    yield from kept(at + phase + begin * 4 // 3, at + phase + -(-end * 4 // 3), undone[begin:end])
        if first < last:
            for start, unpacked in _packed_within(run, room):
                room -= len(unpacked)
                yield from kept(at + start, found.end(), unpacked)


def _packed_within(run: bytes, room: int) -> Iterator[tuple[int, bytes]]:
    """Unpack what is packed in a run of base64: of the places that look like it the most are not, which a few tell."""
    tried = 0
    for found in _PACKED.finditer(run):
        few = _from_base64(run[found.start() : found.start() + _FEW_PACKED])
        if room > 0 and tried < _TRIED and _unpacked(few, _UNPACKED) is not None:
            tried += 1
            unpacked = _unpacked(_from_base64(run[found.start() : found.start() + _MOST_PACKED]), min(room, _UNPACKED))
            if unpacked:
                room -= len(unpacked)
                yield found.start(), unpacked


def _base64_ends(data: bytes) -> list[int]:
    """Where base64 of some text, or of the head of something packed, may end."""
    ends: list[int] = []

    def on_match(_expression: int, _start: int, end: int, _flags: int, _context: object) -> None:
        ends.append(end)

    _base64_search()(data, on_match)
    return sorted(ends)


@cache
def _base64_search() -> Search:
    return Search([*map(b"".join, IN_BASE64), PACKED_IN_BASE64], hyperscan.HS_FLAG_DOTALL)


def hexadecimal(data: bytes) -> Iterator[Undone]:
    """Decode hexadecimal digits, and lists of bytes as code has them: ``0x73, 0x6b``."""
    room = _UNPACKED + _SHARE * len(data)
    for found in _HEX.finditer(data):
        undone = binascii.unhexlify(found[0][: len(found[0]) // 2 * 2])
        unpacked = _unpacked(undone, min(room, _UNPACKED)) if room > 0 else None
        room -= len(unpacked or b"")
        yield from kept(found.start(), found.end(), unpacked or undone)
    for found in _HEX_LIST.finditer(data):
        yield from kept(found.start(), found.end(), binascii.unhexlify(b"".join(_HEX_BYTE.findall(found[0]))))


def character_codes(data: bytes) -> Iterator[Undone]:
    """Decode lists of characters' numbers: ``[115, 107, 45, …]``."""
    for found in _CODES.finditer(data):
        numbers = (int(number) for number in _NUMBER.findall(found[0]))
        yield from kept(found.start(), found.end(), bytes(n if n < 0x80 else 0x20 for n in numbers))  # noqa: PLR2004


def _texts(undone: bytes, offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return from where to where there is text around some places: what is between texts is noise."""
    end = 0
    for offset in offsets:
        if offset >= end:
            before = undone[max(end, offset - REACH) : offset]
            begin = offset - (len(before) - len(before.rstrip(_TEXT_BYTES)))
            after = _TEXT_END.search(undone, offset)
            end = after.start() if after else len(undone)
            yield begin, end


def _from_base64(piece: bytes) -> bytes:
    text = piece.rstrip(b"=").translate(_TO_STANDARD)
    whole = text[: len(text) - (len(text) % 4 == 1)]
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _unpacked(data: bytes, most: int) -> bytes | None:
    """Return what is packed in some bytes, as far as they go and up to a limit; None where nothing is."""
    for magic, unpack in _UNPACK.items():
        if data.startswith(magic):
            with suppress(zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError, MemoryError):
                return unpack(data, most)
    return None


def _unzstd(data: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(data) as reader:
        return reader.read(most)


_UNPACK: Final[Mapping[bytes, Callable[[bytes, int], bytes]]] = {
    b"\x1f\x8b\x08": lambda data, most: zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, most),
    b"\x78\x9c": lambda data, most: zlib.decompressobj().decompress(data, most),
    b"\x78\xda": lambda data, most: zlib.decompressobj().decompress(data, most),
    b"BZh": lambda data, most: bz2.BZ2Decompressor().decompress(data, most),
    b"\xfd7zXZ\x00": lambda data, most: lzma.LZMADecompressor(memlimit=_WINDOW).decompress(data, most),
    b"\x28\xb5\x2f\xfd": _unzstd,
}
# What base64 makes of four groups of three characters of text, of UTF-16, and of what begins like something packed.
_ANY: Final = rb"[A-Za-z0-9+/_-]"
_QUAD: Final = (rb"[CDI-Za-f]", rb"[ACDEFGHQSTUVWXgijklmnwyz0-3]", rb"[ABEFIJMNQRUVYZcdghklopstwx014589]", _ANY)
_LITTLE: Final = (_ANY, rb"[AQgw]", rb"[AB]", _ANY, b"A", rb"[A-H]", _ANY, b"A", _ANY, rb"[AQgw]", rb"[AB]", _ANY)
_BIG: Final = (b"A", rb"[A-H]", _ANY, b"A", _ANY, rb"[AQgw]", rb"[AB]", _ANY, b"A", rb"[A-H]", _ANY, b"A")
IN_BASE64: Final = (_QUAD * 4, _LITTLE, _BIG)
PACKED_IN_BASE64: Final = rb"(?:H4sI|eJ[w-z]|eN[o-r]|Qlpo|/Td6WFo|_Td6WFo|KLUv)[A-Za-z0-9+/_-]{16}"
IN_HEX: Final = ((rb"[02-7]", rb"[0-9A-Fa-f]") * 12,)  # text, of either width
_BASE64: Final = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{22,}+={0,2}")
_PACKED: Final = re.compile(rb"H4sI|eJ[w-z]|eN[o-r]|Qlpo|[/_]Td6WF|KLUv")  # what packed bytes begin with, in base64
_GROUP: Final = 4  # characters of base64 that are three bytes
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = re.compile(rb"(?<![0-9A-Fa-f])[0-9A-Fa-f]{32,}+")
_HEX_LIST: Final = re.compile(rb"0x[0-9A-Fa-f]{2}(?:[ \t\r\n]{0,20}+,[ \t\r\n]{0,20}+0x[0-9A-Fa-f]{2}){15,}+")
_HEX_BYTE: Final = re.compile(rb"0x([0-9A-Fa-f]{2})")
_CODES: Final = re.compile(rb"[\[({][ \t\r\n]{0,20}+[0-9]{1,3}(?:[ \t\r\n]{0,20}+,[ \t\r\n]{0,20}+[0-9]{1,3}){15,}+")
_NUMBER: Final = re.compile(rb"[0-9]+")
_TEXT_BYTES: Final = bytes([0x00, 0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)])  # of UTF-16 too
_TEXT_END: Final = re.compile(rb"[^\x00\t\n\r\x20-\x7e\x80-\xff]")
