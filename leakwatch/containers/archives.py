"""Archives: zip (wheels, jars, docx, xlsx) and tar (sdists, npm's packages, once unpacked).

A zip's members are read where its directory says. Where that is missing, as in an archive that was cut, they are
looked for. Members may lie over one another: what they come to is bounded all the same.
"""

import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Final, NamedTuple, cast

from leakwatch.containers import packed
from leakwatch.containers.limits import Cut, Room
from leakwatch.containers.packed import Part, Unpack, collected

_MAGIC: Final = b"PK\x03\x04"
_LOCAL: Final = struct.Struct("<4s2xHHHHIIIHH")  # magic, flags, method, time, date, CRC, sizes, lengths
_IS_ENCRYPTED: Final = 0x1
_IS_STREAMED: Final = 0x8  # the size stands behind the data
_IS_UTF8: Final = 0x800
_METHODS: Final[Mapping[int, Unpack]] = {
    0: packed.stored,
    8: packed.deflated,
    12: packed.bzipped,
    14: packed.lzma_in_zip,
    93: packed.zstd,
    95: packed.xz,
}


class _Entry(NamedTuple):
    """A member of a zip, still packed."""

    name: str
    flags: int
    method: int
    start: int
    end: int


def zipped(data: bytes, _name: str, room: Room) -> Iterator[Part]:
    """Yield the members of a zip, and its comment."""
    comment, listed = _listed(data)
    if comment:
        yield Part("comment", room.take(comment))
    for entry in listed or _sought(data, room):
        unpack = _METHODS.get(entry.method)
        if entry.flags & _IS_ENCRYPTED:
            room.skip(Cut.ENCRYPTED)
        elif unpack is None:
            room.skip(Cut.METHOD)
        elif not entry.name.endswith("/"):
            yield Part(entry.name, collected(unpack(data[entry.start : entry.end]), room))


def _listed(data: bytes) -> tuple[bytes, list[_Entry]]:
    """The comment and the members that a zip's directory names; nothing where no directory can be read."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            comment, infos = archive.comment, archive.infolist()
    except Exception:  # noqa: BLE001 - whatever a hostile directory makes of the library, the members can be sought
        return b"", []
    entries = []
    for info in infos:
        if (local := _local(data, info.header_offset)) is not None:
            end = local.start + info.compress_size
            entries.append(_Entry(info.filename, info.flag_bits, info.compress_type, local.start, end))
    return comment, entries


def _sought(data: bytes, room: Room) -> Iterator[_Entry]:
    """Look for members one after the other, and count that it was necessary."""
    room.skip(Cut.BROKEN)
    at = data.find(_MAGIC)
    while at >= 0:
        entry = _local(data, at)
        following = data.find(_MAGIC, at + len(_MAGIC) if entry is None else entry.end)
        if entry is not None:
            is_open = entry.flags & _IS_STREAMED and following >= 0
            yield entry._replace(end=following) if is_open else entry
        at = following


def _local(data: bytes, at: int) -> _Entry | None:
    """What stands before a member's data, or None if nothing of the kind does."""
    if at < 0 or at + _LOCAL.size > len(data):
        return None
    magic, flags, method, _, _, _, size, _, name, extra = _LOCAL.unpack_from(data, at)
    if magic != _MAGIC:
        return None
    start = at + _LOCAL.size + name + extra
    text = data[at + _LOCAL.size : at + _LOCAL.size + name].decode("utf-8" if flags & _IS_UTF8 else "cp437", "replace")
    return _Entry(text, flags, method, start, start if flags & _IS_STREAMED else start + size)


def tarred(data: bytes, _name: str, room: Room) -> Iterator[Part]:
    """Yield the files in a tar; of sparse ones what is stored."""
    with tarfile.open(fileobj=BytesIO(data), mode="r:", errors="replace") as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # it keeps them for who comes back
            if info.isreg():
                holes = cast(list[tuple[int, int]] | None, info.sparse)
                size = info.size if holes is None else sum(length for _, length in holes)
                yield Part(info.name, room.take(data[info.offset_data : info.offset_data + max(0, size)]))
            elif not info.isdir():
                room.skip(Cut.LINK)
