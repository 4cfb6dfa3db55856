"""Objects as they lie in packs, read without git: in half the time that git takes, and with no pipe in between.

A pack is a stranger's. What is read of one is bounded, and whatever is not plain (large objects, long chains of deltas,
deltas that name their base, damage) or is in no pack is left to git, which is on its leash and knows what to say of it.
"""

import os
import stat
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple, Self, final

import deflate

from leakwatch.core import applied

MOST: Final = 50  # packs that are read here: more have to be repacked, or take git's time
LARGEST: Final = 4_000_000  # bytes of an object, of its deltas and of what these are applied to
DEEPEST: Final = 256  # deltas over one another
_INDICES: Final = 256_000_000  # bytes of all indices in memory: some nine million objects
_KEPT: Final = 16_000_000  # bytes of objects that deltas may be applied to
_ENTRY: Final = 200  # bytes that each of them takes besides
_AT_HAND: Final = 16_000_000  # bytes of the deltas of one object
_WINDOW: Final = 1 << 20  # bytes that are read at once
_HEADER: Final = 32  # bytes in which an object's kind, size and base are told
_KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA: Final = 6  # its base lies so many bytes before it
_INDEX: Final = b"\xfftOc\0\0\0\x02"
_FANOUT: Final = struct.Struct(">256I")
_NAME: Final = 20  # bytes of SHA-1
_FEW: Final = 256  # names that are gone through at once
_NAMES: Final = len(_INDEX) + _FANOUT.size  # where they begin in an index
_FAR: Final = 1 << 31  # set in an offset that stands in the table of those that need 64 bits
_BROKEN: Final = (deflate.DeflateError, OSError, OverflowError, IndexError, ValueError, struct.error)

Bytes = bytes | bytearray


class Object(NamedTuple):
    """An object, read."""

    kind: str
    data: bytes


@final
class Pack:
    """One pack and its index."""

    def __init__(self, file: int, index: bytes) -> None:
        """Raises ValueError for an index of another form."""
        if not index.startswith(_INDEX):
            raise ValueError
        self._file = file
        self._index = index
        self._fanout = (0, *_FANOUT.unpack_from(index, len(_INDEX)))
        self._count: int = self._fanout[-1]
        self._offsets = _NAMES + self._count * (_NAME + 4)  # behind names and checksums
        far = len(index) - self._offsets - 4 * self._count - 2 * _NAME  # bytes of offsets that need 64 bits
        if any(one > other for one, other in pairwise(self._fanout)) or far < 0 or far % 8 or far > 8 * self._count:
            raise ValueError
        self._window = b""
        self._begin = 0
        self._kept: OrderedDict[int, Object] = OrderedDict()
        self._room = _KEPT

    def find(self, name: bytes) -> int | None:
        """Return where in the pack an object begins, if it is there."""
        low, high = self._fanout[name[0]], self._fanout[name[0] + 1]
        while high - low > _FEW:
            middle = (low + high) // 2
            low, high = (middle, high) if self._name(middle) <= name else (low, middle)
        begin, end = _NAMES + _NAME * low, _NAMES + _NAME * high
        at = self._index.find(name, begin, end)
        while at >= 0 and (at - begin) % _NAME:  # the end of one name and the beginning of the next
            at = self._index.find(name, at + 1, end)
        return None if at < 0 else self._offset((at - _NAMES) // _NAME)

    def read(self, at: int) -> Object | None:
        """Return what begins there, or None where that is for git."""
        try:
            return self._read(at)
        except _BROKEN:
            return None

    def rest(self) -> None:
        """Give its memory to others."""
        self._kept.clear()
        self._room, self._window = _KEPT, b""

    def _read(self, at: int) -> Object | None:
        deltas: list[tuple[int, Bytes]] = []
        room = _AT_HAND
        found = self._kept.get(at)
        while found is None:
            kind, back, data = self._inflated(at)
            if kind in _KINDS:
                found = self._keep(at, Object(_KINDS[kind], bytes(data)))
            elif kind == _OFFSET_DELTA and len(deltas) < DEEPEST and 0 < back < at:
                deltas.append((at, data))
                room -= len(data)
                at -= back
                found = self._kept.get(at)
            else:
                return None
            if room < 0:
                return None
        for here, delta in reversed(deltas):
            found = self._keep(here, Object(found.kind, applied(found.data, delta, LARGEST)))
        return found

    def _offset(self, number: int) -> int:
        offset = self._number(self._offsets + 4 * number, 4)
        return self._number(self._offsets + 4 * self._count + 8 * (offset ^ _FAR), 8) if offset & _FAR else offset

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._index[at : at + size])

    def _name(self, number: int) -> bytes:
        begin = _NAMES + _NAME * number
        return self._index[begin : begin + _NAME]

    def _keep(self, at: int, found: Object) -> Object:
        """Keep an object for deltas that come: those of one file lie together."""
        self._kept[at] = found
        self._room -= len(found.data) + _ENTRY
        while self._room < 0:
            _, oldest = self._kept.popitem(last=False)
            self._room += len(oldest.data) + _ENTRY
        return found

    def _inflated(self, at: int) -> tuple[int, int, Bytes]:
        """Return what begins there: which kind it is, how far before it its base lies, and its bytes."""
        data, begin = self._from(at, _HEADER)
        byte, end, last = data[begin], begin + 1, begin + _HEADER
        kind, size, shift = byte >> 4 & 7, byte & 15, 4
        while byte & 0x80 and end < last:
            byte = data[end]
            end += 1
            size |= (byte & 0x7F) << shift
            shift += 7
        back = 0
        if kind == _OFFSET_DELTA:
            byte = data[end]
            end += 1
            back = byte & 0x7F
            while byte & 0x80 and end < last:
                byte = data[end]
                end += 1
                back = (back + 1) << 7 | byte & 0x7F
        if size > LARGEST:
            raise ValueError
        packed = size + size // 8 + 64  # what hardly packs is a little longer than it was
        if len(data) < end + packed:
            data, end = self._from(at + end - begin, packed)
        found = deflate.zlib_decompress(memoryview(data)[end : end + packed], size)
        if len(found) != size:
            raise ValueError
        return kind, back, found

    def _from(self, at: int, count: int) -> tuple[bytes, int]:
        """Return bytes in which a place lies with so many behind it, as far as there are, and where in them it is.

        Objects are asked for as they lie, but for their bases, which lie before them.
        """
        begin = at - self._begin
        if 0 <= begin <= len(self._window) - count:
            return self._window, begin
        if begin < 0:
            return os.pread(self._file, count, at), 0
        self._window, self._begin = os.pread(self._file, max(count, _WINDOW), at), at
        return self._window, 0


@final
class Packs:
    """All packs of some folders of objects. Use it as a context manager."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._packs: list[Pack] = []
        self._files = ExitStack()
        self._room = _INDICES

    def __enter__(self) -> Self:
        indices = (path for folder in self._folders for path in sorted((folder / "pack").glob("*.idx")))
        for index in indices:
            if len(self._packs) < MOST:
                self._open(index)
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def _open(self, index: Path) -> None:
        with suppress(*_BROKEN), ExitStack() as files:
            file = _opened(index, files)
            size = os.fstat(file).st_size
            if size <= self._room:
                pack = Pack(_opened(index.with_suffix(".pack"), files), _whole(file, size))
                self._packs.append(pack)
                self._room -= size
                self._files.push(files.pop_all())

    def read(self, names: Sequence[str]) -> Iterator[tuple[int, Object | None]]:
        """Yield some objects, each with its place among the names: as they lie in the packs; None is for git."""
        places: list[tuple[int, int, int]] = []
        for number, name in enumerate(names):
            if (place := self._place(name)) is None:
                yield number, None
            else:
                places.append((*place, number))
        for which, group in groupby(sorted(places), key=itemgetter(0)):
            pack = self._packs[which]
            for _, at, number in group:
                yield number, pack.read(at)
            pack.rest()

    def _place(self, name: str) -> tuple[int, int] | None:
        """Return in which pack an object is and where; of several that say that they have it git chooses."""
        try:
            asked = bytes.fromhex(name)
        except ValueError:  # of a line that was too long for one
            return None
        if len(asked) != _NAME:
            return None
        found = [(number, at) for number, pack in enumerate(self._packs) if (at := pack.find(asked)) is not None]
        return found[0] if len(found) == 1 else None


def _opened(path: Path, files: ExitStack) -> int:
    """Open a file, and nothing that is none: a pipe would be waited for. Raises OSError, ValueError."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    files.callback(os.close, file)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise ValueError
    return file


def _whole(file: int, size: int) -> bytes:
    with os.fdopen(os.dup(file), "rb") as content:
        return content.read(size)
