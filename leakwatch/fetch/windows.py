"""Windows of a search: a range of sizes or of time, halved until what lies in it can be paged through.

The first of them is halved first, so there are never more than one for each halving that a range can bear, and one
besides: some sixty of the widest that a definition may name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from leakwatch.definitions import Search
from leakwatch.units import seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of a search: sizes, or seconds since 1970, both ends included; and how far it was paged through."""

    first: int = 0
    last: int = 0
    page: int = 0  # pages that were read
    seen: int = 0  # results on them

    def halves(self) -> "tuple[Window, ...]":
        """Return both halves; nothing where there is no middle."""
        middle = (self.first + self.last) // 2
        if self.first >= self.last:
            return ()
        return Window(first=self.first, last=middle), Window(first=middle + 1, last=self.last)


def whole(said: Search, at: datetime) -> Window:
    """Return the window that all of a search lies in."""
    match said.window:
        case "number":
            return Window(first=int(said.first), last=int(said.last))
        case "time":
            return Window(first=max(0, int(at.timestamp() - seconds(said.first))), last=int(at.timestamp()))
    return Window()


def named(said: Search, window: Window) -> Mapping[str, str]:
    """Return what {from} and {to} become."""
    match said.window:
        case "number":
            return {"from": str(window.first), "to": str(window.last)}
        case "time":
            return {"from": _written(window.first), "to": _written(window.last)}
    return {}


def first(said: Search, at: datetime) -> Mapping[str, str]:
    """Return what the first request of all would say."""
    return {"word": said.words[0], **named(said, whole(said, at))}


def _written(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stored(windows: Sequence[Window]) -> str:
    """Return windows as a checkpoint holds them."""
    return " ".join(f"{one.first},{one.last},{one.page},{one.seen}" for one in windows)


def opened(text: str) -> tuple[Window, ...]:
    """Read windows out of a checkpoint."""
    parts = (map(int, one.split(",")) for one in text.split())
    return tuple(Window(first=a, last=b, page=page, seen=seen) for a, b, page, seen in parts)
