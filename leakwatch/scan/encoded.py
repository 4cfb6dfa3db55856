"""Disguises that are runs of their own: base64, with what may be packed in it, hexadecimal digits, lists of numbers."""

import binascii
import bz2
import lzma
import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import starmap
from typing import Final

import hyperscan
import zstandard

from leakwatch.core import may_inflate, texts
from leakwatch.scan.disguises import Undone
from leakwatch.scan.expressions import Search

_SHARE: Final = 4  # times the size of a text that all that was packed in it may have …
_LEAST: Final = 1_000_000  # … beside so many bytes …
_MOST: Final = 75  # … and percent of what is left of it that one piece may have: more is cut
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
    starts = (start for start in _starts(_heads(), data) if may_inflate(data, start))
    return _unpacked_from(data, starts, _NO_BASE64, _from_base64)


def hexadecimal(data: bytes) -> Iterator[Undone]:
    """Decode hexadecimal digits in which text stands, whatever is glued to them: most are digests."""
    for found in _HEX.finditer(data):
        if _TEXT_IN_HEX.search(found[0]):
            for start in (found.start(), found.start() + 1):
                yield Undone(start, found.end(), _from_hex(data[start : found.end()]))


def packed_hexadecimal(data: bytes) -> Iterator[Undone]:
    """Unpack what was packed before it became hexadecimal digits, whatever is glued to them."""
    return _unpacked_from(data, _starts(_heads_in_hex(), data), _NO_HEX, _from_hex)


def _unpacked_from(
    data: bytes, starts: Iterable[int], other: re.Pattern[bytes], decode: Callable[[bytes], bytes]
) -> Iterator[Undone]:
    """Unpack what begins at some places, each up to where something else follows; at last say how much was left."""
    room = work = _LEAST + _SHARE * len(data)  # bytes to be unpacked, and characters to be decoded for that
    end = tried = left = 0
    for start in starts:
        if room < _FEW or work <= 0 or (start < end and tried == _TRIED):
            left += _FEW_CHARACTERS
            continue
        few = _end(other, data, start, start + _FEW_CHARACTERS)
        if (undone := _unpacked(decode(data[start:few]), _FEW)) is None:
            continue
        if start >= end:
            end, tried = _end(other, data, start, len(data)), 0
        tried += 1
        if few < end or len(undone) == _FEW:
            last, most = min(end, start + work), room * _MOST // 100
            undone = _unpacked(decode(data[start:last]), most)
            work -= last - start
            left += end - start if last < end or len(undone or b"") == most else 0
        if undone:
            room -= len(undone)
            yield Undone(start, end, undone)
    if left:
        yield Undone(0, len(data), b"", left=left)


def _end(other: re.Pattern[bytes], data: bytes, start: int, last: int) -> int:
    """Where from somewhere on something else follows, or the last place."""
    after = other.search(data, start, last)
    return after.start() if after else min(last, len(data))


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


def _unzip(data: bytes, most: int) -> bytes:
    """Return what stands in the members of a zip, one after the other: what is packed in other ways is none."""
    whole, members = memoryview(data), [b""]
    at = 0
    while 0 <= at <= len(data) - _MEMBER.size and most > 0:
        flags, method, packed_size, name, extra = _MEMBER.unpack_from(data, at)
        start = at + _MEMBER.size + name + extra
        following = data.find(_ZIP, start if flags & _IS_STREAMED else start + packed_size)
        end = start + packed_size if not flags & _IS_STREAMED else following if following >= 0 else len(data)
        with suppress(zlib.error):
            if method in _ZIPPED:
                members.append(_ZIPPED[method](whole[start:end], most))
                most -= len(members[-1])
        at = following
    return b"\n".join(members)


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
_ZIP: Final = b"PK\x03\x04"
_MEMBER: Final = struct.Struct("<6xHH8xI4xHH")  # of what stands before it: flags, method, packed size, lengths
_IS_STREAMED: Final = 0x8  # its size stands behind it
_ZIPPED: Final[Mapping[int, Callable[[memoryview, int], bytes]]] = {
    0: lambda data, most: bytes(data[:most]),
    8: lambda data, most: zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most),
}
_threads: Final = threading.local()
_MAGIC: Final = 2  # bytes that tell them apart: those who unpack look at the rest
_UNPACK: Final[Mapping[bytes, Callable[[bytes, int], bytes]]] = {
    b"\x1f\x8b": lambda data, most: zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, most),
    b"\x78\x9c": lambda data, most: zlib.decompressobj().decompress(data, most),
    b"\x78\xda": lambda data, most: zlib.decompressobj().decompress(data, most),
    b"PK": _unzip,
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
PACKED_IN_BASE64: Final = (rb"(?:H4sI|eJ[w-z]|eN[o-r]|Qlpo|/Td6WFo|_Td6WFo|KLUv|UEsDB)[A-Za-z0-9+/_-]{16}",)
_HEX_HEAD: Final = (
    rb"(?:1[Ff]8[Bb]08|78(?:9[Cc]|[Dd][Aa])|425[Aa]68|[Ff][Dd]377[Aa]58|28[Bb]52[Ff][Ff][Dd]|504[Bb]0304)"
)
IN_HEX: Final = ((rb"[02-7]", rb"[0-9A-Fa-f]") * 12,)  # text, of either width
PACKED_IN_HEX: Final = (_HEX_HEAD + rb"[0-9A-Fa-f]{26}",)
# What packed bytes begin with, in base64, up to where it tells them from what looks like it: the flags of gzip
# and zstd, the level and the first block of bzip2, the version of a zip.
_HEAD: Final = (
    rb"(?:H4sI[A-H]|eJ[w-z]|eN[o-r]|Qlpo[M-O][DTjz]FB|/Td6WFoA|_Td6WFoA|KLUv[/_][Q-f][A-DQ-T]"
    rb"|UEsDB[A-D][AEIMQUYcgkosw048]A)[A-Za-z0-9+/_-]{8}"
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
