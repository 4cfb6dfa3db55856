"""Streams that hold one thing made smaller: gzip, bzip2, xz, zstd, and how a zip packs its members.

Each yields pieces of bounded size, so that whoever collects them can stop at any time.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Final, NamedTuple, Protocol, final

import zstandard

from leakwatch.containers.kinds import Kind
from leakwatch.containers.limits import Cut, Room

PIECE: Final = 1 << 18  # bytes that are taken in or given out at once
_LITTLE: Final = 512  # bytes of zstd, which may become sixteen million at once
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)))  # the others: skipped
_MEMORY: Final = 1 << 27  # bytes that unpacking may take
_HEADER: Final = 9  # bytes before LZMA in a zip: a version, a length …
_PROPERTIES: Final = 5  # … and at the end these
_ENDLESS: Final = b"\xff" * 8  # LZMA's word for "the size is not known"
_FAILURES: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError)

Unpack = Callable[[bytes], Iterator[bytes]]
"""Yields what some packed bytes are; raises where they are broken or end too soon."""


class Part(NamedTuple):
    """Something that stands in a container: not yet looked at itself."""

    path: str  # within that container
    data: bytes


class _Stream(Protocol):
    """What unpacks, as `bz2` and `lzma` have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


@final
class _Inflate:
    """What unpacks deflate, likewise."""

    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)
        self._rest = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, most: int, /) -> bytes:
        undone = self._stream.decompress(self._rest + data, most)
        self._rest = self._stream.unconsumed_tail
        self.needs_input = not self._rest and len(undone) < most
        return undone


@final
class _Zstd:
    """What unpacks zstd, likewise, but for a limit to what it gives out: it must be given little."""

    needs_input = True

    def __init__(self) -> None:
        self._stream = _unpacker().decompressobj()

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, _most: int, /) -> bytes:
        return self._stream.decompress(data)


@cache
def _unpacker() -> zstandard.ZstdDecompressor:
    """Made once: a file may have a frame in every few bytes. A worker does one thing at a time."""
    return zstandard.ZstdDecompressor(max_window_size=_MEMORY)


def collected(pieces: Iterator[bytes], room: Room) -> bytes:
    """Return as much as can be read and as there is room for."""
    kept = []
    try:
        for piece in pieces:
            kept.append(room.take(piece))
            if room.full:
                break
    except _FAILURES:
        room.skip(Cut.BROKEN)
    return b"".join(kept)


def read(unpack: Unpack, data: bytes, name: str, room: Room) -> Iterator[Part]:
    """Yield the one thing in a packed file, by the file's name without its ending."""
    yield Part(PurePosixPath(name).stem or "content", collected(unpack(data), room))


def stored(data: bytes) -> Iterator[bytes]:
    """Yield what was not packed at all."""
    return (data[at : at + PIECE] for at in range(0, len(data), PIECE))


def deflated(data: bytes) -> Iterator[bytes]:
    """Yield what was deflated without a header, as in a zip."""
    return _frames(data, None, lambda: _Inflate(-zlib.MAX_WBITS))


def gzipped(data: bytes) -> Iterator[bytes]:
    """Yield what stands in gzip files, one behind the other."""
    return _frames(data, b"\x1f\x8b", lambda: _Inflate(16 + zlib.MAX_WBITS))


def bzipped(data: bytes) -> Iterator[bytes]:
    """Yield what stands in bzip2 streams."""
    return _frames(data, b"BZh", bz2.BZ2Decompressor)


def xz(data: bytes) -> Iterator[bytes]:
    """Yield what stands in xz streams."""
    return _frames(data, b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY))


def zstd(data: bytes) -> Iterator[bytes]:
    """Yield what stands in zstd frames."""
    return _frames(data, _ZSTD, _Zstd, _LITTLE)


def lzma_in_zip(data: bytes) -> Iterator[bytes]:
    """Yield what stands in LZMA as a zip has it, with a header of its own."""
    alone = data[_HEADER - _PROPERTIES : _HEADER] + _ENDLESS + data[_HEADER:]
    return _frames(alone, None, lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY))


def _frames(
    data: bytes, magic: bytes | tuple[bytes, ...] | None, new: Callable[[], _Stream], size: int = PIECE
) -> Iterator[bytes]:
    """Yield what stands in a stream, and with a magic in those behind it: what is something else is padding."""
    at = 0
    while at < len(data) and (at == 0 or (magic and data.startswith(magic, at))):
        stream = new()
        while not stream.eof:
            piece = data[at : at + size]
            if not piece and stream.needs_input:
                raise EOFError
            at += len(piece)
            yield stream.decompress(piece, PIECE)
            while not (stream.needs_input or stream.eof):
                yield stream.decompress(b"", PIECE)
        at -= len(stream.unused_data)


STREAMS: Final[Mapping[Kind, Unpack]] = {Kind.GZIP: gzipped, Kind.BZIP2: bzipped, Kind.XZ: xz, Kind.ZSTD: zstd}
"""Those that are files of their own."""
