from array import array
from collections.abc import Sequence

from leakwatch.core.plain import Known, Span

SHORTEST: int
LONGEST: int
OVERLAP: int
REACH: int
PARTS: int
PIECE: int
FEW: int
ALIKE: int

def sift(
    data: bytes, known: Known, seen: array[int], room: int, joints: Sequence[int] = (), /
) -> tuple[list[Span], int, int]: ...
def is_registered(key: bytes, known: Known, /) -> bool: ...
def rejoined(data: bytes, end: bytes, /) -> list[tuple[int, int, bytes, tuple[int, ...], tuple[int, ...]]]: ...
def stretches(data: bytes, spans: list[Span], /) -> list[Span]: ...
def applied(base: bytes | bytearray, delta: bytes | bytearray, most: int, /) -> bytes: ...
def shaped(data: bytes, table: array[int], lasts: int, /) -> list[tuple[int, int, int]]: ...
