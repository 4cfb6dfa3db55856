"""The registered digests in memory, so that a string which is nobody's key costs no query.

Of each digest the first eight bytes are kept, in order: 8 MB for a million keys, and of as many strings one in 10¹³
passes that is not registered. What passes is looked up all the same.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, final

from leakwatch.pepper import Pepper

_BYTES: Final = 8
_LOOSE: Final = 10_000  # digests that are kept beside the ordered ones before they are sorted in


@final
class DigestSieve:
    """Says whether a string may be a registered key. It may be asked by any thread while it is filled by one."""

    def __init__(self, pepper: Pepper) -> None:
        self._hmac = pepper.hmac
        self._ordered = array("Q")
        self._loose: frozenset[int] = frozenset()
        self.seen: set[int] = set()  # hashes of runs in which nothing registered stands

    @classmethod
    def of(cls, pepper: Pepper, numbers: bytes) -> "DigestSieve":
        """Make another one's equal, of what `numbers` returned there."""
        sieve = cls(pepper)
        sieve._ordered.frombytes(numbers)
        return sieve

    @property
    def numbers(self) -> bytes:
        """What it holds, for a process of the same machine that holds the same pepper."""
        return array("Q", sorted([*self._ordered, *self._loose])).tobytes()

    def __len__(self) -> int:
        return len(self._ordered) + len(self._loose)

    def may_be_registered(self, token: bytes, /) -> bool:
        """Whether a string is, or once in a very long while could be, a registered key. It must be canonical."""
        number = int.from_bytes(self._hmac(sha256(token).digest())[:_BYTES], "big")
        ordered = self._ordered
        at = bisect_left(ordered, number)
        return (at < len(ordered) and ordered[at] == number) or number in self._loose

    def extend(self, ordered: Iterable[bytes]) -> None:
        """Add digests as they are stored, each greater than all before it, before anybody asks."""
        self._ordered.extend(int.from_bytes(digest[:_BYTES], "big") for digest in ordered)

    def fill(self, digests: Iterable[bytes]) -> None:
        """Add digests as they are stored. Asking goes on meanwhile, and is told of them from when this returns."""
        more = self._loose.union(int.from_bytes(digest[:_BYTES], "big") for digest in digests)
        if len(more) > _LOOSE:
            self._ordered = array("Q", sorted([*self._ordered, *more]))
            more = frozenset()
        self._loose = more
        self.seen = set()
