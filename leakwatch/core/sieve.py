"""The registered digests in memory, so that a string which is nobody's key costs no query.

Of each digest the first eight bytes are kept, in order: 8 MB for a million keys, and of as many strings one in 10¹³
passes that is not registered. What passes is looked up all the same.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import chain
from threading import Lock
from typing import Final, NamedTuple, final

from leakwatch.core.places import Forms
from leakwatch.core.plain import NO_JOINTS, Known, Span, number_of
from leakwatch.core.twins import is_registered, sift, sift_places
from leakwatch.pepper import Pepper

_LOOSE: Final = 10_000  # digests that are kept beside the ordered ones before they are sorted in
_MOST_BITS: Final = 20  # of a beginning: four megabytes for all of them
_REMEMBERED: Final = 1 << 18  # runs and places in which nothing registered stands: two megabytes


class Sifted(NamedTuple):
    """Where registered keys stand in some bytes, or once in a very long while what could be one."""

    spans: list[Span]
    looked: int  # runs that were looked at, and not remembered
    skipped: int  # runs for which there was no room


class Read(NamedTuple):
    """Where registered keys stand at the places of markers, or once in a very long while what could be one."""

    spans: list[Span]
    looked: int  # strings that were looked up, and not remembered …
    spent: int  # … and how many of these there was to be room for
    skipped: int  # places at which there was no room for all strings
    others: list[tuple[int, int]]  # where which expressions were found that have formats beside those that were read


@final
class DigestSieve:
    """Finds registered keys. It may be asked by any thread while it is filled by one."""

    __slots__ = ("_known", "_lock", "_seen")

    def __init__(self, pepper: Pepper, *, numbers: bytes = b"") -> None:
        """`numbers` is what another sieve under the same pepper returned as such."""
        self._known = Known(pepper.pads, array("Q", numbers), array("I", [0, 0]), array("Q"))  # replaced as a whole
        self._lock = Lock()  # of who replaces it
        self._seen = _nothing()

    @property
    def numbers(self) -> bytes:
        """What it holds, for a process of the same machine that holds the same pepper."""
        return array("Q", sorted(chain(self._known.ordered, self._known.loose))).tobytes()

    def __len__(self) -> int:
        return len(self._known.ordered) + len(self._known.loose)

    def find(self, data: bytes, room: int, joints: "array[int]" = NO_JOINTS, lines: int = 0) -> Sifted:
        """Find the registered keys among the runs of key characters, looking at so many runs at most.

        At `joints`, which rise, lines were joined over which a key may have been broken; in runs that end before
        `lines` each line alone was looked at before.
        """
        seen = self._seen  # before what is registered: what comes meanwhile must not be thought seen
        return Sifted(*sift(data, self._indexed(), seen, room, joints, lines))

    def find_at(  # noqa: PLR0913, PLR0917 - what is read, and by what
        self, data: bytes, hits: bytearray, joints: "array[int]", lines: int, forms: Forms, further: int
    ) -> Read:
        """Find the registered keys that begin where there is a marker: see `sift_places`."""
        seen = self._seen  # as above
        return Read(*sift_places(data, hits, joints, lines, forms, self._indexed(), seen, further))

    def passes(self, key: bytes) -> bool:
        """Whether a key is registered, or once in a very long while could be."""
        return is_registered(key, self._indexed())

    def extend(self, ordered: Iterable[bytes]) -> None:
        """Add digests as they are stored, each greater than all before it, before anybody asks."""
        self._known.ordered.extend(number_of(digest) for digest in ordered)

    def fill(self, digests: Iterable[bytes]) -> None:
        """Add digests as they are stored. Asking goes on meanwhile, and is told of them from when this returns."""
        with self._lock:
            known = self._known
            more = array("Q", sorted({*known.loose, *(number_of(digest) for digest in digests)}))
            if len(more) > _LOOSE:
                self._known = _indexed(
                    known._replace(ordered=array("Q", sorted(chain(known.ordered, more))), loose=more[:0])
                )
            else:
                self._known = known._replace(loose=more)
            self._seen = _nothing()

    def _indexed(self) -> Known:
        known = self._known
        if known.starts[-1] == len(known.ordered):
            return known
        with self._lock:
            self._known = _indexed(self._known)
            return self._known


def _indexed(known: Known) -> Known:
    """Find where numbers begin that begin alike: a few each, which memory hands over together."""
    bits = min(_MOST_BITS, max(0, len(known.ordered).bit_length() - 2))
    beginnings = (bisect_left(known.ordered, number << (64 - bits)) for number in range(1 << bits))
    return known._replace(starts=array("I", [*beginnings, len(known.ordered)]))


def _nothing() -> "array[int]":
    return array("Q", [0]) * _REMEMBERED
