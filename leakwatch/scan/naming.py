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

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from leakwatch.scan.checks import TELLING
from leakwatch.scan.detectors import Detector
from leakwatch.scan.formats import Format

_BEFORE: Final = 200  # bytes in front of a key in which its provider may be named
_AFTER: Final = 100  # bytes behind it
_BEHIND: Final = 50  # what stands behind a key is often about the next: it counts as so much further away
SHORT: Final = 5  # a word of so few letters must stand alone, as "exa" does not in "example"


class Name(NamedTuple):
    """What a string is called, and the format after which it is masked."""

    name: str  # id of a detector, or name of a group
    format: Format


class _Judged(NamedTuple):
    """A format that takes a string, as it stands among the others."""

    shared: bool  # others make keys like it
    rank: int
    unsound: bool
    width: int
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
        """Name what stands at a place, by every format that takes it whole; None where none does.

        Every format is asked: it is for what was met without one.
        """
        takers = [format_ for format_ in self._formats if format_.takes(data, start, end)]
        return self.among(takers, data[start:end].decode(errors="replace"), data, start, end) if takers else None

    def among(self, takers: Sequence[Format], key: str, data: bytes, start: int, end: int) -> Name:
        """Name a key, by formats of which each takes it; at least one."""
        if len(takers) == 1 and not takers[0].detector.group:
            return Name(takers[0].detector.id, takers[0])
        first, *others = sorted((_judged(format_, key) for format_ in takers), key=lambda judged: judged[:-1])
        if not first.shared:
            return Name(first.format.detector.id, first.format)
        around = data[max(0, start - _BEFORE) : start], data[end : end + _AFTER]
        evident = [
            (judged.rank, judged.unsound, distance, judged.format)
            for judged in (first, *others)
            if (distance := _distance(judged, *around)) is not None
        ]
        if not evident:
            return Name(first.format.detector.group, first.format)
        best = min(evident, key=lambda evidence: evidence[:-1])[-1]
        return Name(best.detector.id, best)

    def settled(self, name: str, provider: str) -> str:
        """Return a better name for a key that is registered as this provider's, or the name that it has."""
        group = self._group_of.get(name, name)
        members = self._groups.get(group, ()) if group else ()
        return next((detector.id for detector in members if _is_of(detector, provider)), name)


def _is_of(detector: Detector, provider: str) -> bool:
    """Whether a provider, as a person wrote it, is a detector's: "azure" is, and "Alibaba" for "Alibaba Cloud"."""
    known, said = detector.provider.casefold(), provider.casefold().strip()
    return bool(said) and (
        f"{known} ".startswith(f"{said} ") or any(_told(detector, provider.encode(errors="replace")))
    )


def _judged(format_: Format, key: str) -> _Judged:
    return _Judged(bool(format_.detector.group), format_.rank, not format_.sound(key), format_.width, format_)


def _distance(judged: _Judged, before: bytes, after: bytes) -> tuple[int, int] | None:
    """How far from a key the evidence for a format stands, longer words first; None where there is none."""
    detector = judged.format.detector
    if detector.check in TELLING and not judged.unsound:
        return 0, 0
    told = [(len(before) - end, start - end) for start, end in _told(detector, before)]
    told += [(_BEHIND + start, start - end) for start, end in _told(detector, after)]
    return min(told, default=None)


def _told(detector: Detector, text: bytes) -> Iterator[tuple[int, int]]:
    """Where a text names a detector's provider, or a variable that holds its keys."""
    small = text.lower()  # of ASCII alone, so that places stay what they are
    for word in words(detector):
        start = small.find(word)
        while start >= 0:
            end = start + len(word)
            if stands_alone(text, start, end):
                yield start, end
            start = small.find(word, end)


def words(detector: Detector) -> Collection[bytes]:
    """Return what names a detector's keys where it stands near, in small letters."""
    return _small((*detector.context, *detector.env_vars, detector.provider))


@cache
def _small(words: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple({word.lower().encode() for word in words})


def stands_alone(text: bytes, start: int, end: int) -> bool:
    """Whether nothing is glued to the front of a word and, if it is short, to its end; camelCase sets words apart."""
    glued = _glued(text[start - 1 : start], text[start : start + 1])
    return not glued and (end - start > SHORT or not _glued(text[end - 1 : end], text[end : end + 1]))


def _glued(left: bytes, right: bytes) -> bool:
    """Whether two characters belong to one word."""
    return left.isalnum() and right.isalnum() and not (left.islower() and right.isupper())
