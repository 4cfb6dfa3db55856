"""What is assigned to a name that says whose key it is: `COHERE_API_KEY=…`, of formats that have no marker.

Only who shows strangers' keys looks for that. Of what is registered every run is tried, whatever stands before it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple, final

import hyperscan

from leakwatch.scan.expressions import Search
from leakwatch.scan.formats import Format, Reading
from leakwatch.scan.naming import SHORT, stands_alone, words

_VALUE: Final = re.compile(
    rb"((?:[\w.\- ]{0,40}?"  # the rest of the name: "_API_KEY", " token", "Secret string" …
    rb"|[^\s\"'<>`]{0,200}?[?&][\w.\-]{1,30}(?==)"  # … or of an address, up to a parameter …
    rb"|[\"'\]]{0,2}[ \t]{0,4}[:=]?[ \t]{0,4}[{(]?\s{0,16}[\"']?"  # … or of a section, and a name in it
    rb"[\w.\-]{0,30}(?i:key|token|secret|pat)))"
    rb"[\"'`\])\\]{0,3}[ \t]{0,8}"
    rb"(?:[:=?.|]{0,4}[=:>,(]>?|\|\|)"  # as languages assign, call, list and mark up
    rb"\s{0,16}[\"'`(\[\\]{0,3}"
    rb"(?:(?:[Bb]earer|[Tt]oken|[Kk]ey)[ ])?"
    rb"(?=[A-Za-z0-9+/_-]{8})"
)
_NO_KEY: Final = rb"ids?|uuid|sha[0-9]*|md5|hash|digest|checksum|etag|commit|revision|version|build"
# A name that ends like that, unless it says that it is of a key.
_OTHER: Final = re.compile(rb"(?!.*(?i:key|token|secret)).*(?:[_.\- ](?i:" + _NO_KEY + rb")|Id|Sha|Hash)", re.DOTALL)
_GOES_ON: Final = re.compile(rb"[A-Za-z0-9_+/=~-]|[.:][A-Za-z0-9]")


class Values(NamedTuple):
    """Readings of what is assigned, and whether more were left alone."""

    readings: Sequence[Reading]
    skipped: int


class _Name(NamedTuple):
    """One way to look for a word."""

    word: bytes
    expression: bytes
    flags: int
    beyond: int  # bytes behind the word that the expression takes


@final
class Assigned:
    """The names that all bare formats go by, in one hyperscan database. Threads may share it."""

    def __init__(self, formats: Sequence[Format]) -> None:
        named: dict[bytes, list[Format]] = {}
        for format_ in formats:
            for word in words(format_.detector) if format_.detector.bare else ():
                named.setdefault(word, []).append(format_)
        self._named: Mapping[bytes, Sequence[Format]] = named
        self._names = [name for word in named for name in _names(word)]

    def values(self, data: bytes, limit: int) -> Values:
        """Read some values of names, up to a limit, each value once, by every format that takes all of it."""
        starts, skipped = self._starts(data, limit)
        read = (f.longest(data, start) for start, formats in sorted(starts.items()) for f in formats)
        return Values([r for r in read if r and not _GOES_ON.match(data, r.end)], skipped)

    def _starts(self, data: bytes, limit: int) -> tuple[Mapping[int, Mapping[Format, None]], int]:
        """Where values begin, with the formats whose names they bear, and whether there were more."""
        starts: dict[int, dict[Format, None]] = {}
        seen = 0

        def on_match(number: int, _start: int, end: int, _flags: int, _given: object) -> bool:
            nonlocal seen
            name = self._names[number]
            at = end - name.beyond
            value = _VALUE.match(data, at) if stands_alone(data, at - len(name.word), at) else None
            if value and not _OTHER.fullmatch(value[1]):
                seen += value.end() not in starts
                starts.setdefault(value.end(), {}).update(dict.fromkeys(self._named[name.word]))
            return seen > limit

        if self._names:
            self._search(data, on_match)
        return starts, int(seen > limit)

    @cached_property
    def _search(self) -> Search:
        """Compiled when it is asked for, which a daemon never does."""
        return Search([name.expression for name in self._names], [name.flags for name in self._names])


def _names(word: bytes) -> Iterator[_Name]:
    """A short word must end with a word, or where a capital letter begins the next: else it stands in many others."""
    expression = re.escape(word)
    if len(word) > SHORT:
        yield _Name(word, expression, hyperscan.HS_FLAG_CASELESS, 0)
        return
    yield _Name(word, expression + b"[^a-z0-9]", hyperscan.HS_FLAG_CASELESS, 1)
    first = b"[%s%s]" % (word[:1], word[:1].upper())
    yield _Name(word, first + re.escape(word[1:]) + b"[A-Z]", 0, 1)
