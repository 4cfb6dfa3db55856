"""What stands at the places of markers, in Python alone. `compiled/places.h` does the same: what both return is equal.

Hyperscan tells where keys may begin. From there `sift_places` reads each string that may be one, by what the formats
that begin so take, and looks it up. A string ends where nothing goes on, where another key may begin, and, as far as
there is room for that, anywhere before.
"""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Final, NamedTuple

from leakwatch.core.plain import Known, Span, advanced, is_registered, point_of, polynomial

NEIGHBOURS: Final = 8  # places in a key at which it may end because another begins there, and as many joints
DEEPEST: Final = 64  # sets of characters in one row
MOST: Final = 1 << 16  # characters of one set that stand together
LEAVES: Final = 256  # rows that are read at one place
PLENTY: Final = 256  # shorter strings that each place may have: if so many, also behind lines
CATCH_ALL: Final = 3  # the rank of what adds nothing where a narrower format takes as much
_NUMBER: Final = 8  # bytes
_EXPRESSION: Final = 16  # bits of a hit that tell the expression; those above tell where
_NUMBERED: Final = (1 << _EXPRESSION) - 1
_END: Final = 30  # bits of an end, counted from where its string begins
_PLACE: Final = 1 << 60  # the mark of a place begins with it, as no run's does
_NODE: Final = 6  # numbers
_SET: Final = 256  # bytes: for each byte whether it is in a set


class Forms(NamedTuple):
    """How strings go on that begin as an expression says: rows of sets of characters, those that begin alike as a tree.

    All numbers are of 32 bits.
    """

    sets: bytes  # of characters, 256 bytes each: ones for those that are in it
    nodes: "array[int]"  # six numbers each, see `Node`; each stands before those that may follow it
    trees: "array[int]"  # four numbers for each expression, see `Tree`


class Node(NamedTuple):
    """Characters of one set that stand together."""

    characters: int  # the set's number
    least: int
    most: int
    is_open: int  # whether what follows may begin at any of them: else all are taken that there are
    after: int  # the node that comes next where this one is not there
    rank: int  # of the narrowest format of which a string may end here, counted from 1; 0 if none may


class Tree(NamedTuple):
    """The rows of an expression."""

    first: int  # node
    last: int  # the node behind it
    has_others: int  # whether it has other formats too
    reach: int  # its strings begin up to so many characters before where it was found; 0: there


class Leaf(NamedTuple):
    """Where strings of one row may end, from one place: at the lowest end, the highest, and anywhere between."""

    rank: int
    low: int
    high: int


class Begun(NamedTuple):
    """What begins at one place."""

    start: int
    leaves: Sequence[Leaf]
    least: int  # the first end that was not read before lines were joined
    is_line: bool  # what a narrower format takes goes up to a line's end: a catch-all goes on, but not in all lengths
    is_cut: bool  # there are more leaves

    def shorter(self, leaf: Leaf) -> int:
        """How many strings of a leaf are shorter than the longest, wanted, and were not read before."""
        return 0 if self.is_line and leaf.rank == CATCH_ALL else leaf.high - max(leaf.low, self.least)

    @property
    def has_shorter(self) -> bool:
        """Whether there are any."""
        return any(map(self.shorter, self.leaves))

    @property
    def in_full(self) -> "Begun":
        """The same, of which all shorter strings are wanted."""
        return self._replace(is_line=False)


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
    data: bytes,
    hits: bytearray,
    joints: "array[int]",
    lines: int,
    forms: Forms,
    known: Known,
    seen: "array[int]",
    further: int,
) -> tuple[list[Span], int, int, int, list[tuple[int, int]]]:
    """Put hits in order, and return where registered keys stand that begin there.

    Beside that: how many strings were looked up, and how many of these were shorter ones, for which there is room for
    `further`; how many places were not read in all ways for want of it; and where which expressions were found that
    have other formats too, which the caller reads. Keys may also end at `joints`, which rise. What begins before
    `lines` and goes over none of these was read before the lines were joined.
    """
    found: list[Span] = []
    looked = spent = skipped = 0
    point = point_of(known)
    trees = trees_of(forms)
    ordered = sorted(array("Q", bytes(hits))[1:])
    hits[_NUMBER:] = array("Q", ordered).tobytes()
    places = dict(_leaves(data, ordered, trees, forms))
    starts = [*places]
    begun = _wanted([_begun(start, leaves, joints, lines) for start, leaves in places.items()], further)
    left = sum(one.has_shorter for one in begun)
    for one in begun:
        # A key may begin before the first joint, which shows only when lines are joined.
        neighbours = [*_following(starts, one.start), *(at for at in _following(joints, one.start) if at >= one.least)]
        place = _place(one, neighbours, further // left if one.has_shorter else 0)
        left -= one.has_shorter
        skipped += place.is_cut
        mark = _mark(data, place, point)
        if seen[mark % len(seen)] == mark:
            continue
        further -= place.further
        spent += place.further
        strings = [(place.start, end) for end in _each(place.ends)]
        looked += len(strings)
        registered = [span for span in strings if is_registered(data[slice(*span)], known)]
        found += registered
        if not registered:
            seen[mark % len(seen)] = mark
    others = [(_start(hit), _expression(hit)) for hit in ordered if trees[_expression(hit)].has_others]
    return found, looked, spent, skipped, others


def trees_of(forms: Forms) -> Sequence[Tree]:
    """Return the tree of each expression."""
    size = len(Tree._fields)
    return [Tree(*forms.trees[at : at + size]) for at in range(0, len(forms.trees), size)]


def _start(hit: int) -> int:
    return hit >> _EXPRESSION


def _expression(hit: int) -> int:
    return hit & _NUMBERED


def reaching(data: bytes, hits: Sequence[int], trees: Sequence[Tree], forms: Forms) -> Sequence[int]:
    """Put in place of what was found within strings where they begin, each once."""
    found = [hit for hit in hits if not trees[_expression(hit)].reach]
    for expression, tree in enumerate(trees):
        begin = 0
        for at in (_start(hit) for hit in hits if _expression(hit) == expression) if tree.reach else ():
            starts = range(max(begin, at - tree.reach), at)
            found += [start << _EXPRESSION | expression for start in starts if any(leaves_at(data, start, tree, forms))]
            begin = max(begin, at)
    return sorted(found)


def _leaves(data: bytes, hits: Sequence[int], trees: Sequence[Tree], forms: Forms) -> Iterator[tuple[int, list[Leaf]]]:
    """Yield each place where strings begin, and where they may end, whichever expressions were found there."""
    for start, those in groupby(reaching(data, hits, trees, forms), _start):
        found = (leaves_at(data, start, trees[_expression(hit)], forms) for hit in dict.fromkeys(those))
        yield start, [*chain.from_iterable(found)]


def _following(places: Sequence[int], start: int) -> Sequence[int]:
    after = bisect_right(places, start)
    return places[after : after + NEIGHBOURS]


def leaves_at(data: bytes, start: int, tree: Tree, forms: Forms) -> Sequence[Leaf]:
    """Return where the strings of a tree may end that begin at a place."""
    return _walked(data, start, (tree.first, tree.last), forms)


def _walked(data: bytes, start: int, nodes: Span, forms: Forms) -> list[Leaf]:
    """Walk nodes that begin at a place, and what follows them. In no set but open ones is what stands behind it."""
    leaves: list[Leaf] = []
    number, last = nodes
    while number < last:
        node = Node(*forms.nodes[_NODE * number : _NODE * (number + 1)])
        end = start
        characters = forms.sets[_SET * node.characters : _SET * (node.characters + 1)]
        while end < len(data) and end - start < node.most and characters[data[end]]:
            end += 1
        least = start + node.least
        if node.rank and least <= end:
            leaves.append(Leaf(node.rank, least, end))
        under = [
            _walked(data, at, (number + 1, node.after), forms)
            for at in range(least if node.is_open else max(least, end), end + 1)
        ]
        leaves += _as_one(chain.from_iterable(under)) if node.is_open else chain.from_iterable(under)
        number = node.after
    return leaves


def _as_one(leaves: Iterable[Leaf]) -> Sequence[Leaf]:
    """Put leaves together that overlap: of one open node there may be one for each of its characters."""
    found: list[Leaf] = []
    for leaf in leaves:
        last = found[-1] if found else None
        if last and last.rank == leaf.rank and leaf.low <= last.high + 1 and last.low <= leaf.high + 1:
            found[-1] = Leaf(leaf.rank, min(last.low, leaf.low), max(last.high, leaf.high))
        else:
            found.append(leaf)
    return found


def _begun(start: int, leaves: Sequence[Leaf], joints: Sequence[int], lines: int) -> Begun:
    """Leave catch-alls out if narrower formats take as much, and of the lines what was read before they were joined."""
    some = leaves[:LEAVES]
    taken = max((leaf.high for leaf in some if leaf.rank < CATCH_ALL), default=0)
    is_line = taken > 0 and taken in joints[bisect_left(joints, taken) :][:1]
    least = next(iter(_following(joints, start)), sys.maxsize) + 1 if start < lines else 0
    kept = [leaf for leaf in some if leaf.high >= max(least, taken + 1 if leaf.rank == CATCH_ALL else 0)]
    return Begun(start, kept, least, is_line, len(leaves) > LEAVES)


def _wanted(begun: Iterable[Begun], further: int) -> Sequence[Begun]:
    """Leave out where nothing is left, and where there is plenty of room want all shorter strings."""
    some = [one for one in begun if one.leaves]
    several = sum(one.in_full.has_shorter for one in some)
    return [one.in_full for one in some] if several and further // several >= PLENTY else some


def _place(begun: Begun, neighbours: Iterable[int], room: int) -> Place:
    """Choose which strings are read: the longest, up to neighbours, and of the shorter ones narrower formats' first."""
    ends = [(end, end) for end in neighbours if any(leaf.low <= end <= leaf.high for leaf in begun.leaves)]
    left = room
    is_cut = begun.is_cut
    for leaf in sorted(begun.leaves, key=lambda leaf: leaf.rank):
        every = begun.shorter(leaf)
        shorter = min(every, left)
        is_cut |= shorter < every
        left -= shorter
        ends.append((leaf.high - shorter, leaf.high))
    return Place(begun.start, sorted(ends), room - left, is_cut)


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
