"""What stands at the places of markers, in Python alone. `_fast.c` does the same: what both return is equal.

Hyperscan tells where keys may begin. From there `sift_places` reads each string that may be one, by what the formats
that begin so take, and looks it up. A string ends where nothing goes on, where another key may begin, and, as far as
there is room for that, anywhere before.
"""

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from leakwatch.core.plain import Known, Span, advanced, is_registered, point_of, polynomial

NEIGHBOURS: Final = 8  # places in a key at which it may end because another begins there, and as many joints
DEEPEST: Final = 64  # sets of characters in one row
MOST: Final = 1 << 16  # characters of one set that stand together
LEAVES: Final = 256  # rows that are read at one place
OTHERS, VARIES = 1, 2  # kinds of trees: that have other formats too, that have strings of several lengths
CATCH_ALL: Final = 3  # the rank of what adds nothing where a narrower format takes as much
_NUMBER: Final = 8  # bytes
_EXPRESSION: Final = 16  # bits of a hit that tell the expression; those above tell where
_NUMBERED: Final = (1 << _EXPRESSION) - 1
_END: Final = 30  # bits of an end, counted from where its string begins
_PLACE: Final = 1 << 60  # the mark of a place begins with it, as no run's does
_SET: Final = 32  # bytes: a bit for each byte that is in a set


class Forms(NamedTuple):
    """How strings go on that begin as an expression says: rows of sets of characters, those that begin alike as a tree.

    All numbers are of 32 bits.
    """

    sets: bytes  # of characters, 32 bytes each: a bit for each that is in it
    nodes: "array[int]"  # six numbers each, see `Node`; each stands before those that may follow it
    trees: "array[int]"  # for each expression its first node, behind its last one, and of which kinds it is


class Node(NamedTuple):
    """Characters of one set that stand together."""

    characters: int  # the set's number
    least: int
    most: int
    depth: int  # how many nodes lead here
    after: int  # the node that comes next where this one is not there
    rank: int  # of the narrowest format of which a string may end here, counted from 1; 0 if none may


class Leaf(NamedTuple):
    """Where strings of one row may end, from one place: at the lowest end, the highest, and anywhere between."""

    rank: int
    low: int
    high: int


class Place(NamedTuple):
    """The strings that are read from one place."""

    start: int
    ends: Sequence[Span]  # from which to which, both included, rising
    further: int  # how many ends are there beside those that are always read
    is_cut: bool  # there was no room for all


def collect(expression: int, start: int, _end: int, _flags: int, hits: bytearray) -> bool:
    """Take down what hyperscan found. The first number says for how many there is room: one more ends the search."""
    hits += (start << _EXPRESSION | expression).to_bytes(_NUMBER, sys.byteorder)
    return len(hits) // _NUMBER - 1 > int.from_bytes(hits[:_NUMBER], sys.byteorder)


def sift_places(  # noqa: PLR0913, PLR0917 - what is read, by what, and what is known
    data: bytes, hits: bytearray, joints: "array[int]", forms: Forms, known: Known, seen: "array[int]", further: int
) -> tuple[list[Span], int, int, int, list[tuple[int, int]]]:
    """Put hits in order, and return where registered keys stand that begin there.

    Beside that: how many strings were looked up, and how many of these were shorter ones, for which there is room for
    `further`; how many places were not read in all ways for want of it; and where which expressions were found that
    have other formats too, which the caller reads. Keys may also end at `joints`, which rise.
    """
    found: list[Span] = []
    looked = spent = skipped = 0
    point = point_of(known)
    numbers = array("Q", bytes(hits))
    ordered = sorted(numbers[1:])
    hits[_NUMBER:] = array("Q", ordered).tobytes()
    places = [(start, [*dict.fromkeys(hit & _NUMBERED for hit in those)]) for start, those in groupby(ordered, _start)]
    starts = [start for start, _ in places]
    several = [start for start, expressions in places if any(_kind(one, forms) & VARIES for one in expressions)]
    left = len(several)
    for start, expressions in places:
        leaves = [leaf for one in expressions for leaf in _leaves(data, start, one, forms)]
        neighbours = [*_following(starts, start), *_following(joints, start)]
        is_several = several[len(several) - left : len(several) - left + 1] == [start]
        place = _place(start, _kept(leaves[:LEAVES]), neighbours, further // left if is_several else 0)
        left -= is_several
        skipped += place.is_cut or len(leaves) > LEAVES
        if not place.ends:
            continue
        mark = _mark(data, place, point)
        if seen[mark % len(seen)] == mark:
            continue
        further -= place.further
        spent += place.further
        strings = [(start, end) for end in _each(place.ends)]
        looked += len(strings)
        registered = [span for span in strings if is_registered(data[slice(*span)], known)]
        found += registered
        if not registered:
            seen[mark % len(seen)] = mark
    others = [(_start(hit), hit & _NUMBERED) for hit in ordered if _kind(hit & _NUMBERED, forms) & OTHERS]
    return found, looked, spent, skipped, others


def _kind(expression: int, forms: Forms) -> int:
    return forms.trees[3 * expression + 2]


def _start(hit: int) -> int:
    return hit >> _EXPRESSION


def _following(places: Sequence[int], start: int) -> Sequence[int]:
    after = bisect_right(places, start)
    return places[after : after + NEIGHBOURS]


def _leaves(data: bytes, start: int, expression: int, forms: Forms) -> Iterator[Leaf]:
    """Walk the tree of an expression. What stands behind a set is in none of the sets that may follow it."""
    number, last, _ = forms.trees[3 * expression : 3 * expression + 3]
    reached = [start] * (DEEPEST + 1)
    while number < last:
        node = Node(*forms.nodes[6 * number : 6 * number + 6])
        begin = end = reached[node.depth]
        characters = forms.sets[_SET * node.characters : _SET * (node.characters + 1)]
        while end < len(data) and end - begin < node.most and characters[data[end] >> 3] >> (data[end] & 7) & 1:
            end += 1
        if end - begin < node.least:
            number = node.after
            continue
        if node.rank:
            yield Leaf(node.rank, begin + node.least, end)
        reached[node.depth + 1] = end
        number += 1


def _kept(leaves: Sequence[Leaf]) -> Sequence[Leaf]:
    """Leave catch-alls out if narrower formats take as much."""
    narrow = [leaf for leaf in leaves if leaf.rank < CATCH_ALL]
    taken = max((leaf.high for leaf in narrow), default=0)
    return [leaf for leaf in leaves if leaf.rank < CATCH_ALL or leaf.high > taken]


def _place(start: int, leaves: Sequence[Leaf], neighbours: Iterable[int], room: int) -> Place:
    """Choose which strings are read: the longest, up to neighbours, and of the shorter ones narrower formats' first."""
    ends = [(end, end) for end in neighbours if any(leaf.low <= end <= leaf.high for leaf in leaves)]
    left = room
    is_cut = False
    for leaf in sorted(leaves, key=lambda leaf: leaf.rank):
        shorter = min(leaf.high - leaf.low, left)
        is_cut |= shorter < leaf.high - leaf.low
        left -= shorter
        ends.append((leaf.high - shorter, leaf.high))
    return Place(start, sorted(ends), room - left, is_cut)


def _each(ends: Sequence[Span]) -> Iterator[int]:
    """Each end once, rising."""
    before = 0
    for low, high in ends:
        yield from range(max(low, before + 1), high + 1)
        before = max(before, high)


def _mark(data: bytes, place: Place, point: int) -> int:
    """What a place is remembered by: as a run is by its bytes, and by where the strings end that are read there."""
    start = place.start
    last = max(high for _, high in place.ends)
    mark = polynomial(_PLACE | last - start, data[start:last], point)
    for low, high in place.ends:
        mark = advanced(mark, (low - start) << _END | high - start, point)
    return advanced(mark, len(place.ends), point)  # else those that differ in the last alone had one place
