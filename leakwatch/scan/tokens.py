"""Every run of key characters that could be a whole key, whatever its format.

A run ends at a character that no key has. Within it a key ends at whatever parts it from its neighbours, and what that
is nobody knows: so a run is also cut at each set of its characters that are punctuation in one format and part of the
key in another. What is found is not a candidate yet: it is digested, and nearly all of it is nobody's key.

Not seen are keys of fewer than sixteen characters, with other characters than letters, digits and ``_.:~/+=-``, or
with a letter or digit glued to them; of those with a marker the scanner finds all that it describes.
"""

import re
import string
from collections.abc import Iterator
from functools import cache
from typing import Final, Protocol

import hyperscan

from leakwatch.scan.disguises import SHORTEST
from leakwatch.scan.expressions import Search

LONGEST: Final = 4096  # characters of a run that is taken whole or cut; in a longer one nothing parts key from key
_PLAIN: Final = (string.ascii_letters + string.digits).encode()
_EDGES: Final = b"_.:~/+=-"  # what may stand before or after a key in its run
_REMEMBERED: Final = 200_000  # runs: some 20 MB
_PARTS: Final = 6  # of a run that colons part: more are a path or a list, and no pair
_KEY: Final = rb"[A-Za-z0-9_.:~/+=-]"
_NO_KEY: Final = rb"[^A-Za-z0-9_.:~/+=-]"
_LONG_RUN: Final = b"(?:^|%b)%b{%d}" % (_NO_KEY, _KEY, SHORTEST)  # it ends at the sixteenth character of each run
_RUN_END: Final = re.compile(_NO_KEY + rb"|\Z")
# What is part of a key beside letters and digits, format by format: all else in a run parts it from its neighbours.
_KEPT: Final = (
    b"",  # most
    b"_",
    b"-",  # UUIDs
    b"_-",  # base64 for URLs
    b"_.-",  # JWTs, and pairs with a dot
    b"_.~-",  # Entra's client secrets
    b"/+",  # base64
    b"+",  # base64 that stands between slashes
    b"_.-~:",  # pairs with a colon
    b"_.-/+~",
)


class Sieve(Protocol):
    """Says what may be a registered key, and remembers the runs in which there was none."""

    seen: set[int]  # hashes of runs; another set from when more is registered

    def may_be_registered(self, token: bytes, /) -> bool:
        """Whether a string is, or once in a very long while could be, a registered key."""


class Tokens:
    """Finds the registered keys in some bytes, by the sieve alone, as many runs as there is room for."""

    def __init__(self, sieve: Sieve | None, room: int) -> None:
        self._sieve = sieve
        self._room = room
        self.skipped = 0  # runs that were not looked at

    def find(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield what may be a registered key, and where."""
        if self._sieve is None:
            return
        seen = self._sieve.seen  # the same one to the end: what is registered meanwhile must not be thought seen
        for start, run in _runs(data):
            mark = hash(run)
            if mark in seen:
                continue
            if not self._room:
                self.skipped += 1
                continue
            self._room -= 1
            registered = [token for token in tokens(run) if self._sieve.may_be_registered(token)]
            if registered:
                yield from ((start + run.find(token), token) for token in registered)
            elif len(seen) < _REMEMBERED:
                seen.add(mark)


def _runs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every run that is long enough, and where it begins; behind a backslash also without its first letter."""
    ends: list[int] = []

    def on_match(_expression: int, _start: int, end: int, _flags: int, _context: object) -> None:
        ends.append(end)

    _long_runs()(data, on_match)
    for start in (end - SHORTEST for end in ends):
        end = _RUN_END.search(data, start)
        run = data[start : end.start() if end else None]
        yield start, run
        if len(run) > SHORTEST and data[start - 1 : start] == b"\\":
            yield start + 1, run[1:]


@cache
def _long_runs() -> Search:
    return Search([_LONG_RUN], hyperscan.HS_FLAG_DOTALL)


def tokens(run: bytes) -> set[bytes]:
    """Return every part of a run that could be a whole key, the run itself first of all."""
    if len(run) > LONGEST:
        return set()
    if run.isalnum():
        return {run}
    found = {run, *_paired(run)}
    for pattern in _cuts(bytes(sorted(set(run.translate(None, _PLAIN))))):
        found.update(pattern.findall(run))
    found.update([edged for token in found if not (token[:1] + token[-1:]).isalnum() for edged in _edged(token)])
    return {token for token in found if len(token) >= SHORTEST}


@cache
def _cuts(punctuation: bytes) -> tuple[re.Pattern[bytes], ...]:
    """The ways to cut a run that has this punctuation: those that differ in what they keep of it."""
    kept = {bytes(c for c in keep if c in punctuation) for keep in _KEPT} - {punctuation}
    padding = rb"(?:={1,2}(?![A-Za-z0-9=]))?" if b"=" in punctuation else b""
    return tuple(re.compile(rb"[A-Za-z0-9%s]{%d,}+%s" % (re.escape(k), SHORTEST, padding)) for k in sorted(kept))


def _paired(run: bytes) -> Iterator[bytes]:
    """Every stretch between colons: which of them part a pair, and which a name from it, nobody knows."""
    parts = run.split(b":")
    if 1 < len(parts) <= _PARTS:
        yield from (b":".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1))


def _edged(token: bytes) -> Iterator[bytes]:
    """A token without the punctuation around it, before it and after it alone; with the padding that it may have."""
    left = token.lstrip(_EDGES)
    bare = left.rstrip(_EDGES)
    padding = left[len(bare) :]
    yield left
    yield bare
    yield token.rstrip(_EDGES)
    if padding.startswith(b"="):
        yield bare + padding[: len(padding) - len(padding.lstrip(b"="))][:2]
