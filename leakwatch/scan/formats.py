"""A detector made ready to read bytes: from where a key may begin to the strings that may be it."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from leakwatch.core import CATCH_ALL
from leakwatch.scan import expressions
from leakwatch.scan.checks import CHECKS, Check
from leakwatch.scan.detectors import Detector
from leakwatch.scan.redaction import mask
from leakwatch.scan.rows import rows

_WORD: Final = "(?:[A-Za-z][a-z]{0,19}[0-9]{0,4}|[0-9]{1,4})"
_WORDS: Final = re.compile(f"{_WORD}(?:[-_]+{_WORD})+[-_]*")
_RANKS: Final = {"type": 1, "family": 2, "any": CATCH_ALL}


class Reading(NamedTuple):
    """One way to understand the bytes at a place: as this format, up to this end. Most are nobody's key."""

    format: "Format"
    start: int
    end: int
    data: bytes  # in which it stands

    @property
    def raw(self) -> bytes:
        """The bytes as they are."""
        return self.data[self.start : self.end]

    @property
    def digested(self) -> bytes:
        """What a customer digests."""
        return self.raw if self.format.is_as_found else self.key.encode()

    @property
    def key(self) -> str:
        """The key. A pattern that takes more than ASCII may have cut a character in half."""
        return self.format.detector.key(self.raw.decode(errors="replace"))

    @property
    def prefix(self) -> str:
        """The part of the key that may be shown."""
        return self.format.prefix(self)

    @property
    def masked(self) -> str:
        """The key as it may be shown."""
        return mask(self.key, self.prefix)

    @property
    def is_words(self) -> bool:
        """Whether this is words with hyphens between them, as in an address or a name, which no key is by chance."""
        return _WORDS.fullmatch(self.key.removeprefix(self.prefix)) is not None

    @property
    def order(self) -> tuple[bool, int, bool, int]:
        """Where this stands among the readings of one start: those of a group last, by breadth, structure, length."""
        return bool(self.format.detector.group), self.format.rank, not self.format.sound(self.key), -self.end


class Format:
    """A detector's patterns, compiled for bytes."""

    __slots__ = (
        "_check",
        "_pattern",
        "_prefix",
        "_reach",
        "detector",
        "has_one_end",
        "is_as_found",
        "rank",
        "rows",
        "width",
    )

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.rank: int = _RANKS[detector.breadth]
        self.width = expressions.alphabet(detector.pattern)
        self.is_as_found = detector.form == "as-found"
        # From one place it ends nowhere else: it has one length, or is a private key, which has a last line.
        self.has_one_end = detector.find == (detector.pattern,) or not self.is_as_found
        self.rows = rows(detector.pattern) if self.is_as_found else ()  # for the compiled core; of others none
        self._pattern = re.compile(detector.pattern.encode())
        self._prefix = re.compile(detector.prefix.encode())
        self._reach = detector.reach
        self._check: Check | None = CHECKS.get(detector.check)

    def starts(self, data: bytes, at: int) -> Iterator[int]:
        """Every place at which a key may begin, when what `find` says was found at `at`."""
        if not self._reach:
            yield at
            return
        for found in self._prefix.finditer(data, max(0, at - self._reach), at):
            yield found.start()

    def longest(self, data: bytes, start: int) -> Reading | None:
        """The longest string that this format takes from a start, if any."""
        found = self._pattern.match(data, start)
        return found and Reading(self, start, found.end(), data)

    def shorter(self, reading: Reading) -> Iterator[Reading]:
        """Every shorter string from the same start, longest first: a neighbour may be glued to the key."""
        end = 0 if self.has_one_end else reading.end
        while end and (found := self._pattern.match(reading.data, reading.start, end - 1)):
            end = found.end()
            yield reading._replace(end=end)

    def until(self, reading: Reading, end: int) -> Reading | None:
        """The string from the same start to a given end, if it is of this format."""
        is_one = not self.has_one_end and self.takes(reading.data, reading.start, end)
        return reading._replace(end=end) if is_one else None

    def prefix(self, reading: Reading) -> str:
        """The part of a reading that may be shown."""
        shown = self._prefix.match(reading.data, reading.start, reading.end)
        return shown[0].decode(errors="replace") if shown else ""

    def takes(self, data: bytes, start: int, end: int) -> bool:
        """Whether the bytes at a place are a whole key of this format."""
        return self._pattern.fullmatch(data, start, end) is not None

    def sound(self, key: str) -> bool:
        """Whether the structure check has nothing to say against a key."""
        return self._check is None or self._check(key)
