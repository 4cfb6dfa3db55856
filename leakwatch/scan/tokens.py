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
from typing import Final, Protocol, final

from leakwatch.scan.disguises import SHORTEST

LONGEST: Final = 4096  # characters of a run that is taken whole or cut; in a longer one nothing parts key from key
_PLAIN: Final = (string.ascii_letters + string.digits).encode()
_EDGES: Final = b"_.:~/+=-"  # what may stand before or after a key in its run
_REMEMBERED: Final = 200_000  # runs: some 20 MB
_PARTS: Final = 6  # of a run that colons part: more are a path or a list, and no pair
_RUN: Final = re.compile(rb"(?<![A-Za-z0-9_.:~/+=-])[A-Za-z0-9_.:~/+=-]{%d,}+" % SHORTEST)
# What is part of a key beside letters and digits, format by format: all else in a run parts it from its neighbours.
_KEPT: Final = (
    b"",  # most
    b"_",
    b"-",  # UUIDs
    b"_-",  # base64 for URLs
    b"_.-",  # JWTs, and pairs with a dot
    b"_.~-",  # Entra's client secrets
    b"/+",  # base64
    b"_.-~:",  # pairs with a colon
    b"_.-/+~",
)


class Sieve(Protocol):
    """Says what may be a registered key, and remembers the runs in which there was none."""

    seen: set[int]  # hashes of runs; another set from when more is registered

    def may_be_registered(self, token: bytes, /) -> bool:
        """Whether a string is, or once in a very long while could be, a registered key."""


@final
class Nothing:
    """The sieve of those who have no registry: nothing is registered."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def may_be_registered(self, _token: bytes, /) -> bool:
        """Return False."""
        return False


class Tokens:
    """Finds the registered keys in some bytes, by the sieve alone, as many runs as there is room for."""

    def __init__(self, sieve: Sieve, room: int) -> None:
        self._sieve = sieve
        self._room = room
        self.skipped = 0  # runs that were not looked at

    def find(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield what may be a registered key, and where."""
        seen = self._sieve.seen  # the same one to the end: what is registered meanwhile must not be thought seen
        for run in _RUN.finditer(data):
            mark = hash(run[0])
            if mark in seen:
                continue
            if not self._room:
                self.skipped += 1
                continue
            self._room -= 1
            registered = [token for token in tokens(run[0]) if self._sieve.may_be_registered(token)]
            if registered:
                yield from ((run.start() + run[0].find(token), token) for token in registered)
            elif len(seen) < _REMEMBERED:
                seen.add(mark)


def tokens(run: bytes) -> set[bytes]:
    """Return every part of a run that could be a whole key, the run itself first of all."""
    if len(run) > LONGEST:
        return set()
    if run.isalnum():
        return {run}
    found = {run, *_paired(run)}
    for pattern in _cuts(bytes(sorted(set(run.translate(None, _PLAIN))))):
        found.update(pattern.findall(run))
    found.update([edged for token in found for edged in _edged(token)])
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
