"""The marker finder: where a key of a format that has a literal may begin, and every way to read it from there.

Where a sieve decides, the core reads what begins at a marker and looks it up, and only what passes is read here again.
The few formats whose patterns are more than rows are always read here.
"""

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain, islice
from typing import Final, NamedTuple, final

import hyperscan

from leakwatch.core import CATCH_ALL, NEIGHBOURS, Span, collect
from leakwatch.errors import DefinitionError
from leakwatch.scan.expressions import Search
from leakwatch.scan.formats import Format, Reading
from leakwatch.scan.rows import Row, forms

_LONGEST: Final = 256  # bytes of what is looked for
_COUNTED: Final = 10  # times the limit: so many skipped are counted, then the scan ends
_NUMBER: Final = 8  # bytes of a hit
_EXPRESSION: Final = 16  # bits of it that tell the expression; those above tell where

Places = Mapping[int, Sequence[Format]]
"""Where a key may begin, and of which formats."""


class Hits(NamedTuple):
    """What hyperscan found, as the core takes it down and puts it in order."""

    numbers: bytearray  # the first is for how many there was room; the core has put the others in order
    room: int

    @property
    def found(self) -> int:
        """How many there are; one more than there was room for ended the search."""
        return len(self.numbers) // _NUMBER - 1

    def at(self, start: int) -> Iterator[int]:
        """Return which expressions were found somewhere."""
        numbers = memoryview(self.numbers).cast("Q")
        for hit in numbers[bisect_left(numbers, start << _EXPRESSION, 1) :]:
            if hit >> _EXPRESSION > start:
                return
            yield hit & (1 << _EXPRESSION) - 1


@final
class Markers:
    """All marked formats in one hyperscan database. Threads may share it."""

    def __init__(self, formats: Sequence[Format]) -> None:
        finds: dict[tuple[str, int], list[Format]] = {}
        for format_ in formats:
            for find in format_.detector.find:
                finds.setdefault((find, format_.detector.reach), []).append(format_)
        if not finds:
            raise DefinitionError("there is no detector to scan with")
        self._formats = list(finds.values())  # by the number of what hyperscan finds
        self._reaching = [format_ for format_ in formats if format_.detector.reach]
        self.forms = forms([(*_ranked(those), reach) for (_, reach), those in finds.items()])
        self._search = Search([find.encode() for find, _ in finds], hyperscan.HS_FLAG_SOM_LEFTMOST)

    def reader(self, data: bytes, limit: int, further: int, joints: Sequence[int] = ()) -> "Reader":
        """Find so many places in some bytes at which a key may begin, to be read from there.

        `further` bounds the shorter readings of them all together. At `joints`, which rise, a key may end as well.
        """
        hits, skipped = self._hits(data, limit)
        return Reader(data, self._places(data, hits), further, joints, skipped) if hits else _NOWHERE

    def hits(self, data: bytes, room: int) -> Hits:
        """Find what a sieve is to look up, without Python in between: as much as there is room for."""
        numbers = bytearray(room.to_bytes(_NUMBER, sys.byteorder))
        self._search(data, collect, numbers)
        return Hits(numbers, room)

    def passed(self, data: bytes, hits: Hits, spans: Sequence[Span]) -> Mapping[int, Sequence[Reading]]:
        """Read again, by place, what has passed a sieve: each string where it stands first, in all ways."""
        ends: dict[int, list[int]] = {}
        for start, end in {data[start:end]: (start, end) for start, end in reversed(spans)}.values():
            ends.setdefault(start, []).append(end)
        return {start: self._taken(data, hits.at(start), start, ends[start]) for start in sorted(ends)}

    def _taken(self, data: bytes, expressions: Iterable[int], start: int, ends: Sequence[int]) -> Sequence[Reading]:
        """The readings of what stands somewhere up to some ends."""
        there = (format_ for expression in expressions for format_ in self._formats[expression])
        formats = [format_ for format_ in dict.fromkeys([*there, *self._reaching]) if format_.rows]
        return [Reading(f, start, end, data) for f in formats for end in ends if f.takes(data, start, end)]

    def others(self, data: bytes, those: Sequence[tuple[int, int]], limit: int, joints: Sequence[int]) -> "Reader":
        """Return what reads the formats that a sieve does not, where they were found: each as far as it goes."""
        places: dict[int, list[Format]] = {}
        for read, (at, expression) in enumerate(those):
            if len(places) >= limit:
                return Reader(data, places, 0, joints, len(those) - read)
            _add(places, data, (f for f in self._formats[expression] if not f.rows), at)
        return Reader(data, places, 0, joints, 0)

    def marked(self, texts: Sequence[bytes]) -> set[int]:
        """Return the numbers of the texts in which a key may begin or end. Few small ones are read as one."""
        starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
        found: set[int] = set()

        def on_match(_expression: int, start: int, end: int, _flags: int, _context: object) -> None:
            found.update(range(bisect_right(starts, start) - 1, bisect_right(starts, end - 1)))

        self._search(b"\n".join(texts), on_match)
        return found

    def is_at(self, data: bytes, at: int) -> bool:
        """Whether a key may begin at a place."""
        found: list[int] = []

        def on_match(_expression: int, start: int, _end: int, _flags: int, _context: object) -> bool:
            if not start:
                found.append(start)
            return bool(found)

        self._search(data[at : at + _LONGEST], on_match)
        return bool(found)

    def _places(self, data: bytes, hits: Sequence[tuple[int, int]]) -> Places:
        """Where a key may begin and of which formats."""
        places: dict[int, list[Format]] = {}
        for expression, at in hits:
            _add(places, data, self._formats[expression], at)
        return places

    def _hits(self, data: bytes, limit: int) -> tuple[list[tuple[int, int]], int]:
        """Which expressions hyperscan found and from where, up to the limit, and how many more there are."""
        hits: list[tuple[int, int]] = []
        starts: set[int] = set()
        skipped = 0

        def on_match(expression: int, start: int, _end: int, _flags: int, _context: object) -> bool:
            nonlocal skipped
            if len(starts) < limit or start in starts:
                starts.add(start)
                hits.append((expression, start))
                return False
            skipped += 1
            return skipped >= _COUNTED * limit

        self._search(data, on_match)
        return hits, skipped


@final
class Reader:
    """Reads some bytes from each place, within a bound on the further readings of all places together."""

    def __init__(self, data: bytes, places: Places, further: int, joints: Sequence[int], skipped: int) -> None:
        self._data = data
        self._places = places
        self.starts = sorted(places)
        self._joints = joints
        self._room = further
        self.skipped = skipped  # places
        self.curtailed = 0  # places that were read, but not in all ways

    def readings(self, start: int, read: set[Hashable]) -> list[Reading]:
        """Return every way to read the bytes from a start; none if the same bytes were read before.

        A catch-all adds nothing where a narrower format takes all that it could: no neighbour is glued there.
        """
        if start not in self._kept:
            return []
        longest, kept, open_ = self._kept[start]
        neighbours = self._neighbours(start, longest)
        if not _is_new(start, longest, neighbours, read):
            return []
        return [*kept, *_up_to(neighbours, kept), *self._further(open_)]

    @cached_property
    def _kept(self) -> Mapping[int, tuple[Sequence[Reading], Sequence[Reading], Sequence[Reading]]]:
        """Of each place the longest readings, those that add something, and those of which shorter ones may, too.

        Where a narrower format goes up to a line's end, a catch-all goes on into the next line: not in all lengths.
        """
        every: dict[int, tuple[Sequence[Reading], Sequence[Reading], Sequence[Reading]]] = {}
        for start in self.starts:
            longest = self.longest(start)
            taken = max((r.end for r in longest if r.format.rank < CATCH_ALL), default=start)
            kept = [r for r in longest if r.format.rank < CATCH_ALL or r.end > taken]
            most = CATCH_ALL if taken in self._next(self._joints, taken - 1)[:1] else CATCH_ALL + 1
            every[start] = longest, kept, [r for r in kept if r.format.rank < most and not r.format.has_one_end]
        return every

    @cached_property
    def _share(self) -> int:
        """How many shorter readings a place may have: the same for each that has any, lest one take it all."""
        return self._room // max(1, sum(bool(open_) for _, _, open_ in self._kept.values()))

    def _neighbours(self, start: int, longest: Sequence[Reading]) -> list[int]:
        """Where within a key others may begin, or lines were joined."""
        last = max((reading.end for reading in longest), default=start)
        following = (*self._next(self.starts, start), *self._next(self._joints, start))
        return [place for place in following if place < last]

    @staticmethod
    def _next(places: Sequence[int], start: int) -> Sequence[int]:
        after = bisect_right(places, start)
        return places[after : after + NEIGHBOURS]

    def longest(self, start: int) -> list[Reading]:
        """Return what each format takes from a start, as far as it goes."""
        return [reading for f in self._places.get(start, ()) if (reading := f.longest(self._data, start))]

    def _further(self, kept: Sequence[Reading]) -> list[Reading]:
        """The shorter readings from one start, those of narrower formats first."""
        narrow_first = sorted(kept, key=lambda reading: reading.format.rank)
        shorter = chain.from_iterable(reading.format.shorter(reading) for reading in narrow_first)
        further = list(islice(shorter, self._share + 1))
        self.curtailed += len(further) > self._share
        return further[: self._share]


def _is_new(start: int, longest: Sequence[Reading], neighbours: Sequence[int], read: set[Hashable]) -> bool:
    """Whether a place differs from all that were read: what stands in a line stands in joined lines again."""
    place = (*((reading.format, reading.raw) for reading in longest), *(place - start for place in neighbours))
    is_new = place not in read
    read.add(place)
    return is_new


def _up_to(neighbours: Sequence[int], kept: Sequence[Reading]) -> list[Reading]:
    """The readings that end where another key may begin: two are likely glued there."""
    return [until for r in kept for end in neighbours if end < r.end and (until := r.format.until(r, end))]


def _add(places: dict[int, list[Format]], data: bytes, formats: Iterable[Format], at: int) -> None:
    """Add the places at which keys of some formats may begin, when what they are looked for by was found at one."""
    for format_ in formats:
        for start in format_.starts(data, at):
            if format_ not in places.setdefault(start, []):
                places[start].append(format_)


def _ranked(formats: Sequence[Format]) -> tuple[Sequence[tuple[Row, int]], bool]:
    """The rows of some formats, each with its format's rank, and whether there are formats without."""
    return [(row, format_.rank) for format_ in formats for row in format_.rows], not all(f.rows for f in formats)


_NOWHERE: Final = Reader(b"", {}, 1, (), 0)  # of most texts
