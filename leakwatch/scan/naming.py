"""What a string is called: the one place where it is decided which of the formats that take it names it.

Many formats take the same strings: six providers make keys of sk- and 48 characters, a UUID is a key at eleven. A
name decides nothing but what is shown, yet a wrong one sends an owner to the wrong provider. So, in this order:

1. A format of its own goes before one that shares a group, the narrower breadth before the wider, what its structure
   check finds sound before what it does not, the smaller alphabet (hex) before the larger.
2. A format that shares a group names only on evidence: one of its context words, one of its environment variables or
   its provider stands near, the nearest being the best; or its structure check tells its keys from all others.
3. Without evidence the string goes by its group's name, until it is known whose it is: then `settled` finds the
   format of the provider under which the key was registered.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from leakwatch.scan.checks import TELLING
from leakwatch.scan.detectors import Detector
from leakwatch.scan.formats import Format

_BEFORE: Final = 200  # bytes in front of a key in which its provider may be named
_AFTER: Final = 100  # bytes behind it
_BEHIND: Final = 50  # what stands behind a key is often about the next: it counts as so much further away
_SHORT: Final = 5  # a word of so few letters must stand alone, as "exa" does not in "example"
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Name(NamedTuple):
    """What a string is called, and the format after which it is masked."""

    name: str  # id of a detector, or name of a group
    format: Format


class Names:
    """Names strings, by all its formats or by those that are known to take them."""

    def __init__(self, formats: Iterable[Format]) -> None:
        self._formats = tuple(formats)
        self._groups: dict[str, list[Detector]] = {}
        for format_ in self._formats:
            self._groups.setdefault(format_.detector.group, []).append(format_.detector)
        self._group_of: Mapping[str, str] = {f.detector.id: f.detector.group for f in self._formats}

    def of(self, data: bytes, start: int, end: int) -> Name | None:
        """Name what stands at a place, by every format that takes it whole; None where none does."""
        key = data[start:end].decode(errors="replace")
        takers = [format_ for format_ in self._formats if format_.takes(data, start, end)]
        return self.among(takers, key, data, start, end) if takers else None

    def among(self, takers: Sequence[Format], key: str, data: bytes, start: int, end: int) -> Name:
        """Name a key, by formats of which each takes it; at least one."""
        if len(takers) == 1 and not takers[0].detector.group:
            return Name(takers[0].detector.id, takers[0])
        ranked = sorted(takers, key=lambda f: (bool(f.detector.group), f.rank, not f.sound(key), f.width))
        first = ranked[0]
        if not first.detector.group:
            return Name(first.detector.id, first)
        around = _around(data, start, end)
        evident = [(distance, f) for f in ranked if (distance := _distance(f, key, *around)) is not None]
        if not evident:
            return Name(first.detector.group, first)
        best = min(evident, key=lambda e: (e[1].rank, not e[1].sound(key), e[0]))[1]
        return Name(best.detector.id, best)

    def settled(self, name: str, provider: str) -> str:
        """Return a better name for a key that is registered as this provider's, or the name that it has."""
        group = self._group_of.get(name, name)
        said = _plain(provider)
        members = self._groups.get(group, ()) if group else ()
        return next((detector.id for detector in members if _words(detector).search(said)), name)


def _distance(format_: Format, key: str, before: str, after: str) -> tuple[int, int] | None:
    """How far from a key the evidence for a format stands, longer words first; None where there is none."""
    words = _words(format_.detector)
    told = [(0, 0)] if format_.detector.check in TELLING and format_.sound(key) else []
    told += [(len(before) - found.end(), -len(found[0])) for found in words.finditer(before)]
    told += [(_BEHIND + found.start(), -len(found[0])) for found in words.finditer(after)]
    return min(told, default=None)


def _around(data: bytes, start: int, end: int) -> tuple[str, str]:
    """What stands before and after a place, as `_words` reads it."""
    before, after = data[max(0, start - _BEFORE) : start], data[end : end + _AFTER]
    return _plain(before.decode(errors="replace")), _plain(after.decode(errors="replace"))


def _plain(text: str) -> str:
    """Return a text in small letters, with the parts of camelCase set apart."""
    return _CAMEL.sub("_", text).lower()


def _words(detector: Detector) -> re.Pattern[str]:
    """What tells of a detector's provider, whatever stands around it; longer words first."""
    return _pattern((*detector.context, *detector.env_vars, detector.provider))


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted({word.lower() for word in words}, key=lambda word: (-len(word), word))
    return re.compile("|".join(map(_alone, longest_first)))


def _alone(word: str) -> str:
    """A word as a pattern: nothing may be glued to its front, and to a short one nothing at all."""
    return rf"(?<![a-z0-9]){re.escape(word)}" + ("(?![a-z0-9])" if len(word) <= _SHORT else "")
