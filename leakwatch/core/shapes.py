"""Shapes: what must stand in a run, character by character, if it may be what a decoder undoes.

All shapes are looked for at once, each of their characters being a bit, and in runs alone: a sixth of most texts.
"""

import re
from array import array
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar, final

from leakwatch.core.plain import Span
from leakwatch.core.twins import shaped

MOST: Final = 64  # characters of all shapes together
Name = TypeVar("Name", bound=Hashable)


@final
class Shapes(Generic[Name]):
    """Some shapes and whose each is: a sequence of sets of characters, as an expression has them (``[a-z]``)."""

    def __init__(self, shapes: Mapping[Name, Sequence[Sequence[bytes]]]) -> None:
        """Raises ValueError where they have too many characters."""
        self._names: dict[int, Name] = {}  # by the bit of a shape's last character
        sets: list[re.Pattern[bytes]] = []
        for name, those in shapes.items():
            for shape in those:
                sets += map(re.compile, shape)
                self._names[1 << len(sets) - 1] = name
        if len(sets) > MOST:
            raise ValueError(len(sets))
        bytes_ = [bytes([byte]) for byte in range(256)]
        self._table = array("Q", [sum(1 << bit for bit, one in enumerate(sets) if one.match(byte)) for byte in bytes_])
        self._lasts = sum(self._names)
        self._known: dict[int, set[Name]] = {}

    def found(self, data: bytes) -> dict[Name, list[Span]]:
        """Return whose stand in some bytes, and in which runs."""
        found: dict[Name, list[Span]] = {}
        for start, end, lasts in shaped(data, self._table, self._lasts):
            for name in self._known.get(lasts) or self._named(lasts):
                found.setdefault(name, []).append((start, end))
        return found

    def _named(self, lasts: int) -> set[Name]:
        """Whose the last characters are: there are few sets of them, and many runs."""
        self._known[lasts] = {name for last, name in self._names.items() if lasts & last}
        return self._known[lasts]
