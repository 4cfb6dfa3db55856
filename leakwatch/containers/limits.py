"""How much is taken out of one document, and the words for what was left in it."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final


class Cut(StrEnum):
    """Why something in a container was not opened, or not to its end."""

    BYTES = "bytes"  # there is more in it than is taken of any document
    RATIO = "ratio"  # there is more in it than any honest document of its size holds
    MEMBERS = "members"  # there are more members
    DEPTH = "depth"  # it is nested more deeply
    NAME = "name"  # a path is longer
    PAGES = "pages"  # a PDF has more pages
    ENCRYPTED = "encrypted"
    METHOD = "method"  # it is packed in a way that we do not know
    LINK = "link"  # it is no file, but a link or a device: never followed
    BROKEN = "broken"  # it is not what it says: what could be read was used
    MEMORY = "memory"  # it takes more memory
    CRASHED = "opener_crashed"  # the reason of OpenerCrashed
    TIMED_OUT = "opener_timed_out"  # the reason of OpenerTimedOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one document may cost."""

    bytes: int = 100_000_000  # of all that is taken out of it
    ratio: int = 200  # times its own size, likewise …
    least: int = 4_000_000  # … but so many bytes in any case
    members: int = 20_000
    depth: int = 8  # containers in one another
    name: int = 1_000  # characters of a member's path
    pages: int = 2_000  # of a PDF
    seconds: float = 15.0  # that we wait for the worker, in all
    memory: int = 600_000_000  # bytes of the worker's addresses


DEFAULT: Final = Limits()


@final
class Room:
    """What is left of the limits while a document is opened, and what was cut."""

    def __init__(self, limits: Limits, size: int) -> None:
        honest = max(limits.least, limits.ratio * size)
        self.limits = limits
        self.cut: Counter[Cut] = Counter()
        self.full = False  # nothing more is taken
        self._left = min(limits.bytes, honest)
        self._members = limits.members
        self._why = Cut.RATIO if honest < limits.bytes else Cut.BYTES

    def skip(self, why: Cut) -> None:
        """Count something that is left alone."""
        self.cut[why] += 1

    def take(self, data: bytes) -> bytes:
        """Return as much of some bytes as there is room for."""
        if len(data) > self._left:
            self.skip(self._why)
            self.full, data = True, data[: self._left]
        self._left -= len(data)
        return data

    def admit(self) -> bool:
        """Whether there is room for another member."""
        if not self._members:
            self.skip(Cut.MEMBERS)
            self.full = True
            return False
        self._members -= 1
        return True
