"""Disguises that are runs of their own: base64, with what may be packed in it, hexadecimal digits, lists of numbers."""

import binascii
import bz2
import lzma
import re
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import starmap
from typing import Final

import hyperscan
import zstandard

from leakwatch.core import may_inflate, texts
from leakwatch.scan.disguises import Undone
from leakwatch.scan.expressions import Search

_UNPACKED: Final = 1_000_000  # bytes of what was compressed within a text: more is cut
_SHARE: Final = 4  # times the size of a text that all that was packed in it may have, and one of those beside
_MOST_PACKED: Final = 1_400_000  # characters of base64 that are unpacked
_FEW_CHARACTERS: Final = 500  # of it that show whether the rest is worth it …
_FEW: Final = 4_096  # … and bytes that they may become
_TRIED: Final = 64  # places in one run that may be worth it
_WINDOW: Final = 1 << 26  # bytes of memory that unpacking may take


def base64(data: bytes) -> Iterator[Undone]:
    """Decode base64 of either alphabet, padded or not, whatever is glued to it.

    Which of four characters begins the first group, nobody knows. So each run is decoded four times, and what is text
    in that tells.
    """
    return starmap(Undone, texts(data))


def packed(data: bytes) -> Iterator[Undone]:
    """Unpack what was packed before it became base64: of the places that look like it most are none, as a few tell."""
    room = _UNPACKED + _SHARE * len(data)
    end = tried = 0
    for start in _starts(_heads(), data):
        is_enough = room <= 0 or (start < end and tried == _TRIED)
        if is_enough or not may_inflate(data, start):
            continue
        few = _run_end(data, start, _FEW_CHARACTERS)
        if (undone := _unpacked(_from_base64(data[start:few]), _FEW)) is None:
            continue
        if start >= end:
            end, tried = _run_end(data, start), 0
        tried += 1
        if few < end or len(undone) == _FEW:
            undone = _unpacked(_from_base64(data[start : min(end, start + _MOST_PACKED)]), min(room, _UNPACKED))
        if undone:
            room -= len(undone)
            yield Undone(start, end, undone)


def hexadecimal(data: bytes) -> Iterator[Undone]:
    """Decode hexadecimal digits in which text stands, whatever is glued to them: most are digests."""
    for found in _HEX.finditer(data):
        if _TEXT_IN_HEX.search(found[0]):
            for start in (found.start(), found.start() + 1):
                yield Undone(start, found.end(), _from_hex(data[start : found.end()]))


def packed_hexadecimal(data: bytes) -> Iterator[Undone]:
    """Unpack what was packed before it became hexadecimal digits, whatever is glued to them."""
    room = _UNPACKED + _SHARE * len(data)
    end = tried = 0
    for start in _starts(_heads_in_hex(), data):
        if start >= end:
            after = _NO_HEX.search(data, start)
            end, tried = after.start() if after else len(data), 0
        few = min(end, start + _FEW_CHARACTERS)
        if room <= 0 or tried == _TRIED or _unpacked(_from_hex(data[start:few]), _FEW) is None:
            continue
        tried += 1
        if undone := _unpacked(_from_hex(data[start : min(end, start + _MOST_PACKED)]), min(room, _UNPACKED)):
            room -= len(undone)
            yield Undone(start, end, undone)


@cache
def _heads() -> Search:
    """What finds all that may be packed: with `re` that takes longer than all else that it costs."""
    return Search([_HEAD], hyperscan.HS_FLAG_SOM_LEFTMOST)


@cache
def _heads_in_hex() -> Search:
    """The same in digits."""
    return Search(PACKED_IN_HEX, hyperscan.HS_FLAG_SOM_LEFTMOST)


def _starts(heads: Search, data: bytes) -> Sequence[int]:
    starts: list[int] = []
    heads(data, lambda _expression, start, *_: starts.append(start))
    return starts


def hexadecimal_list(data: bytes) -> Iterator[Undone]:
    """Decode lists of bytes as code has them: ``0x73, 0x6b``."""
    for found in _HEX_LIST.finditer(data):
        yield Undone(found.start(), found.end(), _from_hex(b"".join(_HEX_BYTE.findall(found[0]))))


def _from_hex(digits: bytes) -> bytes:
    return binascii.unhexlify(digits[: len(digits) // 2 * 2])


def character_codes(data: bytes) -> Iterator[Undone]:
    """Decode lists of characters' numbers: ``[115, 107, 45, …]``."""
    for found in _CODES.finditer(data):
        yield Undone(found.start(), found.end(), b"".join(map(_CHARACTER.__getitem__, _NUMBER.findall(found[0]))))


def _run_end(data: bytes, start: int, most: int = sys.maxsize) -> int:
    last = min(len(data), start + most)
    after = _NO_BASE64.search(data, start, last)
    return after.start() if after else last


def _from_base64(piece: bytes) -> bytes:
    text = piece.translate(_TO_STANDARD)
    whole = text[: len(text) - (len(text) % 4 == 1)]
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _unpacked(data: bytes, most: int) -> bytes | None:
    """Return what is packed in some bytes, as far as they go and up to a limit; None where nothing is."""
    unpack = _UNPACK.get(data[:_MAGIC])
    try:
        return unpack(data, most) if unpack else None
    except _FAILURES:
        return None


def _unzstd(data: bytes, most: int) -> bytes:
    first = zstandard.frame_header_size(data)
    block = int.from_bytes(data[first : first + _BLOCK_HEADER], "little")
    if block >> 3 > _LARGEST_BLOCK or block & _RESERVED == _RESERVED:
        raise ValueError(block)  # most of what only looks like it, and dear to find out otherwise
    unpacker: zstandard.ZstdDecompressor | None = getattr(_threads, "unpacker", None)
    if unpacker is None:  # to make one takes longer than what most places do
        unpacker = _threads.unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with unpacker.stream_reader(data) as reader:
        return reader.read(most)


_BLOCK_HEADER: Final = 3  # bytes, of a block of zstd: three bits, two of them its kind, and how large it is …
_LARGEST_BLOCK: Final = 1 << 17  # … and that is at most
_RESERVED: Final = 6
_threads: Final = threading.local()
_MAGIC: Final = 2  # bytes that tell them apart: those who unpack look at the rest
_UNPACK: Final[Mapping[bytes, Callable[[bytes, int], bytes]]] = {
    b"\x1f\x8b": lambda data, most: zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, most),
    b"\x78\x9c": lambda data, most: zlib.decompressobj().decompress(data, most),
    b"\x78\xda": lambda data, most: zlib.decompressobj().decompress(data, most),
    b"BZ": lambda data, most: bz2.BZ2Decompressor().decompress(data, most),
    b"\xfd7": lambda data, most: lzma.LZMADecompressor(memlimit=_WINDOW).decompress(data, most),
    b"\x28\xb5": _unzstd,
}
_FAILURES: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError, MemoryError)
# What base64 makes of four groups of three characters of text, of UTF-16, and of what begins like something packed.
_ANY: Final = rb"[A-Za-z0-9+/_-]"
_QUAD: Final = (rb"[CDI-Za-f]", rb"[ACDEFGHQSTUVWXgijklmnwyz0-3]", rb"[ABEFIJMNQRUVYZcdghklopstwx014589]", _ANY)
_LITTLE: Final = (_ANY, rb"[AQgw]", rb"[AB]", _ANY, b"A", rb"[A-H]", _ANY, b"A", _ANY, rb"[AQgw]", rb"[AB]", _ANY)
_BIG: Final = (b"A", rb"[A-H]", _ANY, b"A", _ANY, rb"[AQgw]", rb"[AB]", _ANY, b"A", rb"[A-H]", _ANY, b"A")
IN_BASE64: Final = (_QUAD * 4, _LITTLE, _BIG)
PACKED_IN_BASE64: Final = (rb"(?:H4sI|eJ[w-z]|eN[o-r]|Qlpo|/Td6WFo|_Td6WFo|KLUv)[A-Za-z0-9+/_-]{16}",)
_HEX_HEAD: Final = rb"(?:1[Ff]8[Bb]08|78(?:9[Cc]|[Dd][Aa])|425[Aa]68|[Ff][Dd]377[Aa]58|28[Bb]52[Ff][Ff][Dd])"
IN_HEX: Final = ((rb"[02-7]", rb"[0-9A-Fa-f]") * 12,)  # text, of either width
PACKED_IN_HEX: Final = (_HEX_HEAD + rb"[0-9A-Fa-f]{26}",)
# What packed bytes begin with, in base64, up to where it tells them from what looks like it: the flags of gzip
# and zstd, the level and the first block of bzip2.
_HEAD: Final = (
    rb"(?:H4sI[A-H]|eJ[w-z]|eN[o-r]|Qlpo[M-O][DTjz]FB|/Td6WFoA|_Td6WFoA|KLUv[/_][Q-f][A-DQ-T])[A-Za-z0-9+/_-]{8}"
)
_NO_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/_-]")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = re.compile(rb"(?<![0-9A-Fa-f])[0-9A-Fa-f]{32,}+")
_TEXT_IN_HEX: Final = re.compile(b"".join(*IN_HEX))
_NO_HEX: Final = re.compile(rb"[^0-9A-Fa-f]")
_HEX_LIST: Final = re.compile(rb"0x[0-9A-Fa-f]{2}(?:[ \t\r\n]{0,20}+,[ \t\r\n]{0,20}+0x[0-9A-Fa-f]{2}){15,}+")
_HEX_BYTE: Final = re.compile(rb"0x([0-9A-Fa-f]{2})")
_CODES: Final = re.compile(rb"[\[({][ \t\r\n]{0,20}+[0-9]{1,3}(?:[ \t\r\n]{0,20}+,[ \t\r\n]{0,20}+[0-9]{1,3}){15,}+")
_NUMBER: Final = re.compile(rb"[0-9]+")
_CHARACTER: Final = {
    f"{number:0{digits}}".encode(): chr(number).encode() if number in range(0x80) else b" "
    for number in range(1_000)
    for digits in (1, 2, 3)
}
