"""Patterns as rows of sets of characters, for the compiled core to walk.

Most patterns are a few rows, once what may be left out and alternatives are written out: each a set of characters so
many times, then another. Where what stands behind a set is in none that may follow it, taking all that there is of
each is right, and nothing need be tried again. In a row one set may be open: what follows it may stand among its own
characters, and is tried at each. Which patterns are of that kind they alone say.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, pairwise
from typing import Final, NamedTuple

from leakwatch.core import DEEPEST, MOST, Forms, Node, Tree

_MANY: Final = 32  # rows of one pattern
_OPEN: Final = 256  # characters of an open set
_PARTS: Final = re.compile(
    r"(?P<begins>\(\?:)|(?P<ends>\))(?P<absent>\?)?|(?P<other>\|)"
    r"|(?P<characters>\[[^\]\\]+\]|\\[^A-Za-z0-9]|[^][\\(){}|?*+.^$])(?:\{(?P<least>\d+)(?:,(?P<most>\d+))?\}|(?P<once>\?))?"
)


class Unit(NamedTuple):
    """Characters of one set that stand together."""

    characters: frozenset[int]
    least: int
    most: int
    is_open: bool = False  # what follows may begin within


Row = tuple[Unit, ...]


def rows(pattern: str) -> Sequence[Row]:
    """Return the rows that a pattern is; none if it is of another kind."""
    found = tuple(map(_opened, _written_out(pattern))) if pattern.isascii() else ()
    return found if len(found) <= _MANY and all(map(_is_plain, found)) else ()


def _opened(row: Row) -> Row:
    """Mark the sets of which not all can be taken that there is."""
    marked = (
        unit._replace(is_open=unit.least < unit.most and not unit.characters.isdisjoint(after.characters))
        for unit, after in pairwise(row)
    )
    return *marked, *row[-1:]


def _is_plain(row: Row) -> bool:
    """Whether it can be walked with few steps."""
    opened = [unit for unit in row if unit.is_open]
    return (
        0 < len(row) <= DEEPEST
        and all(0 < unit.least <= unit.most <= MOST for unit in row)
        and (not opened or (len(opened) == 1 and opened[0].most <= _OPEN))
    )


def _written_out(pattern: str) -> Sequence[Row]:
    """Write alternatives, and what may be left out, as rows of their own."""
    outer: list[tuple[list[Row], list[Row]]] = []  # of groups that have begun: alternatives, and what stands before
    alternatives: list[Row] = []
    current: list[Row] = [()]
    at = 0
    while at < len(pattern) and len(alternatives) + len(current) <= _MANY:
        part = _PARTS.match(pattern, at)
        if part is None:
            return ()
        at = part.end()
        if part["begins"]:
            outer.append((alternatives, current))
            alternatives, current = [], [()]
        elif part["other"]:
            alternatives, current = [*alternatives, *current], [()]
        elif part["characters"]:
            current = _each(current, _ways(part))
        elif outer:
            inner = [*alternatives, *current, *([()] if part["absent"] else [])]
            alternatives, before = outer.pop()
            current = _each(before, inner)
        else:
            return ()
    return [*alternatives, *current] if at == len(pattern) and not outer else ()


def _each(before: Iterable[Row], after: Sequence[Row]) -> list[Row]:
    return [(*one, *other) for one in before for other in after]


def _ways(part: re.Match[str]) -> Sequence[Row]:
    """The rows that a set and its repeat are: one, or where it may be absent one for each count."""
    least = int(part["least"] or (0 if part["once"] else 1))
    most = int(part["most"] or part["least"] or 1)
    characters = _characters(part["characters"])
    if least:
        return [(Unit(characters, least, most),)]
    return [(Unit(characters, count, count),) * (count > 0) for count in range(min(most, _MANY), -1, -1)]


@cache
def _characters(expression: str) -> frozenset[int]:
    found = re.compile(expression.encode())
    return frozenset(byte for byte in range(256) if found.fullmatch(bytes([byte])))


class _Branch:
    """What may follow in a tree of rows."""

    def __init__(self) -> None:
        self.rank = 0  # of the narrowest format that may end here, counted from 1
        self.then: dict[Unit, _Branch] = {}

    def add(self, row: Row, rank: int) -> None:
        """Add a row of a format of this rank."""
        branch = self
        for unit in row:
            branch = branch.then.setdefault(unit, _Branch())
        branch.rank = min(rank, branch.rank or rank)

    def nodes(self, before: int, sets: dict[frozenset[int], int]) -> list[Node]:
        """Return all that may follow as nodes, behind so many; their sets are given numbers."""
        found: list[Node] = []
        for unit, branch in self.then.items():
            number = sets.setdefault(unit.characters, len(sets))
            under = branch.nodes(before + len(found) + 1, sets)
            after = before + len(found) + 1 + len(under)
            found += [Node(number, unit.least, unit.most, unit.is_open, after, branch.rank), *under]
        return found


def forms(expressions: Sequence[tuple[Iterable[tuple[Row, int]], bool, int]]) -> Forms:
    """Return the core's tables: of each expression rows with their ranks, whether it has other formats, its reach."""
    sets: dict[frozenset[int], int] = {}
    nodes: list[Node] = []
    trees: list[Tree] = []
    for ranked, has_others, reach in expressions:
        root = _Branch()
        for row, rank in ranked:
            root.add(row, rank)
        first = len(nodes)
        nodes += root.nodes(first, sets)
        trees.append(Tree(first, len(nodes), has_others, reach))
    return Forms(
        b"".join(map(_marked, sets)), array("I", chain.from_iterable(nodes)), array("I", chain.from_iterable(trees))
    )


def _marked(characters: frozenset[int]) -> bytes:
    return bytes(byte in characters for byte in range(256))
