"""Masking: how a key is shown, and how a text is shown that may hold keys."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

ELLIPSIS: Final = "…"
_LAST: Final = 4  # characters of a key's end that are shown, as the providers' consoles do
_LEAST_HIDDEN: Final = 8
_ESCAPE: Final = re.compile(rb"%([2-6][0-9A-Fa-f]|7[0-9A-Ea-e])")  # of visible ASCII: no key has other
_DEPTH: Final = 3  # an address within an address within an address


class Span(NamedTuple):
    """A stretch of bytes that must not be shown, and what is shown in its stead."""

    start: int
    end: int
    masked: str


Find = Callable[[bytes], Sequence[Span] | None]
"""Finds every key in some bytes; None when they hold more than it looks at."""


def mask(key: str, prefix: str) -> str:
    """Return a key's public prefix and last four characters; fewer where that would show too much of it."""
    prefix = prefix if key.startswith(prefix) else ""
    hidden = len(key) - len(prefix) - _LAST
    return prefix + ELLIPSIS + (key[-_LAST:] if hidden >= _LEAST_HIDDEN else "")


def redact(text: str, find: Find, find_disguised: Find) -> str:
    """Return a text with every key masked, and every disguise of one; again and again until none is left.

    Behind percent escapes the key alone is masked, since addresses must stay what they are; any other disguise is
    masked whole, also where a part of it looks like a key itself. Each round makes the text shorter, or nothing of it
    is shown: so it ends, with a text in which nothing is found, and redacting that once more changes nothing.
    """
    data = text.encode("utf-8", "surrogatepass")
    while True:
        spans, disguised = _spans(data, find), find_disguised(data)
        if spans is None or disguised is None:
            return ELLIPSIS
        if not spans and not disguised:
            return data.decode("utf-8", "surrogatepass")
        whole = [span for span in disguised if not spans or b"%" not in data[span.start : span.end]]
        replaced = _replaced(data, [*spans, *whole])
        if len(replaced) >= len(data):
            return ELLIPSIS
        data = replaced


def _spans(data: bytes, find: Find) -> list[Span] | None:
    """The keys in bytes, and in what they are when their percent escapes are undone; None when too many."""
    found: list[Span] = []
    holes: list[list[int]] = []
    while True:
        spans = find(data)
        if spans is None:
            return None
        found += (_outer(span, holes) for span in spans)
        escapes = list(_ESCAPE.finditer(data)) if len(holes) < _DEPTH else []
        if not escapes:
            return found
        holes.append([escape.start() - 2 * count for count, escape in enumerate(escapes)])
        data = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), data)


def _outer(span: Span, holes: Iterable[list[int]]) -> Span:
    """A span of decoded bytes as a span of what they were decoded from."""
    start, end = span.start, span.end
    for places in reversed([*holes]):
        start += 2 * bisect_left(places, start)
        end += 2 * bisect_left(places, end)
    return Span(start, end, span.masked)


def _replaced(data: bytes, spans: Iterable[Span]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for span in _merged(spans):
        pieces += (data[at : span.start], span.masked.encode())
        at = span.end
    return b"".join([*pieces, data[at:]])


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order; those that overlap are one, with the prefix of the first and the end of the last."""
    merged: list[Span] = []
    for span in sorted(spans):
        if not merged or span.start >= merged[-1].end:
            merged.append(span)
        elif span.end > merged[-1].end:
            first = merged.pop()
            masked = first.masked.partition(ELLIPSIS)[0] + ELLIPSIS + span.masked.partition(ELLIPSIS)[2]
            merged.append(Span(first.start, span.end, masked))
    return merged
