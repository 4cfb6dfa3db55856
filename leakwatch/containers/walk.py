"""From a container to all that is in it, containers within containers included."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple, final

from leakwatch.containers.kinds import PACKED, Kind, sniff
from leakwatch.containers.limits import Cut, Room
from leakwatch.containers.packed import Part

WITHIN: Final = "!/"  # parts a container's path from that of its member
_KEPT: Final = frozenset({Kind.SQLITE, Kind.PDF})  # a file that holds more than its members: deleted rows, say

Read = Callable[[bytes, str, Room], Iterator[Part]]
"""Yields what is in a container of one kind; raises anything where that is broken."""


class Member(NamedTuple):
    """Something that stands in a document, and the way to it: ``inner.zip!/dir/.env``."""

    path: str
    data: bytes


def members(data: bytes, name: str, room: Room) -> Iterator[Member]:
    """Yield what is in a container of that name, as far as there is room for it."""
    return _Walk(room).within(data, name, "", 0)


@final
class _Walk:
    def __init__(self, room: Room) -> None:
        self._room = room
        self._opened: set[int] = set()  # hashes of containers: what holds itself, or the same over and over

    def within(self, data: bytes, name: str, path: str, depth: int) -> Iterator[Member]:
        """Yield what is in one container, which stands at a path: "" is the document itself."""
        kind = sniff(data)
        for part in self._parts(kind, data, name):
            through = kind in PACKED and sniff(part.data) is not None  # a .tgz is one container, not two
            inner = path if through else f"{path}{WITHIN}{part.path}" if path else part.path
            yield from self._member(part.data, name if through else part.path, inner, depth)
            if self._room.full:
                return

    def _parts(self, kind: Kind | None, data: bytes, name: str) -> Iterator[Part]:
        if kind is None:
            return
        try:
            yield from _reader(kind)(data, name, self._room)
        except MemoryError:
            self._room.skip(Cut.MEMORY)
        except Exception:  # noqa: BLE001 - hostile bytes make libraries raise anything
            self._room.skip(Cut.BROKEN)

    def _member(self, data: bytes, name: str, path: str, depth: int) -> Iterator[Member]:
        kind = sniff(data)
        is_opened = kind is not None and depth < self._room.limits.depth
        if kind is not None and not is_opened:
            self._room.skip(Cut.DEPTH)
        if (not is_opened or kind in _KEPT) and self._room.admit():
            yield self._named(path, data)
        if is_opened and not self._room.full and (mark := hash(data)) not in self._opened:
            self._opened.add(mark)
            yield from self.within(data, name, path, depth + 1)

    def _named(self, path: str, data: bytes) -> Member:
        if len(path) > self._room.limits.name:
            self._room.skip(Cut.NAME)
        return Member(path[: self._room.limits.name], data)


def _reader(kind: Kind) -> Read:
    """What opens a kind, imported when it is first met: most workers never see a PDF."""
    match kind:
        case Kind.ZIP | Kind.TAR:
            from leakwatch.containers import archives  # noqa: PLC0415 - see above

            return archives.zipped if kind is Kind.ZIP else archives.tarred
        case Kind.SQLITE:
            from leakwatch.containers import databases  # noqa: PLC0415 - see above

            return databases.tables
        case Kind.PDF:
            from leakwatch.containers import pdfs  # noqa: PLC0415 - see above

            return pdfs.pages
        case Kind.FOREIGN:
            return _foreign
        case _:
            from leakwatch.containers import packed  # noqa: PLC0415 - see above

            return partial(packed.read, packed.STREAMS[kind])


def _foreign(_data: bytes, _name: str, room: Room) -> Iterator[Part]:
    room.skip(Cut.METHOD)
    return iter(())
