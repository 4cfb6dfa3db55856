from array import array

from leakwatch.core.places import Forms
from leakwatch.core.plain import Known, Span

SHORTEST: int
LONGEST: int
OVERLAP: int
REACH: int
PARTS: int
PIECE: int
FEW: int
ALIKE: int
NEIGHBOURS: int
DEEPEST: int
MOST: int
LEAVES: int
CATCH_ALL: int
PLENTY: int

def sift(
    data: bytes, known: Known, seen: array[int], room: int, joints: array[int] = ..., lines: int = 0, /
) -> tuple[list[Span], int, int]: ...
def is_registered(key: bytes, known: Known, /) -> bool: ...
def rejoined(data: bytes, end: bytes, /) -> list[tuple[int, int, bytes, bytes, bytes]]: ...
def stretches(data: bytes, spans: list[Span], /) -> list[Span]: ...
def texts(data: bytes, /) -> list[tuple[int, int, bytes]]: ...
def may_inflate(data: bytes, at: int, /) -> bool: ...
def applied(base: bytes | bytearray, delta: bytes | bytearray, most: int, /) -> bytes: ...
def shaped(data: bytes, table: array[int], lasts: int, /) -> list[tuple[int, int, int]]: ...
def collect(expression: int, start: int, end: int, flags: int, hits: bytearray, /) -> bool: ...
def sift_places(
    data: bytes,
    hits: bytearray,
    joints: array[int],
    lines: int,
    forms: Forms,
    known: Known,
    seen: array[int],
    further: int,
    /,
) -> tuple[list[Span], int, int, int, list[tuple[int, int]]]: ...
