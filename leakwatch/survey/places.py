"""The places of one file at which something is news: a key is told once, where a reader finds it."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, final

from leakwatch.model import Candidate, Position
from leakwatch.scan import Sieve

_NEIGHBOURS: Final = 4  # places before a key at which one may begin that it is a part of
_ALIKE: Final = 4  # characters that all ways to read a key begin with


@final
class Places:
    """Remembers what was read in one file, so that no key is told again. What is registered is told in any case."""

    def __init__(self, sieve: Sieve | None) -> None:
        self._sieve = sieve
        self._read: dict[str, bool] = {}  # with each key whether it has stood alone, nothing glued to it

    def news(self, candidates: Iterable[Candidate], *, is_packing: bool = False) -> Iterator[list[Candidate]]:
        """Yield the new ways to read each place that is none of a key before it, nor a part of one.

        In the packing around what was already read, a key runs into its neighbours: any way to read it tells it there.
        """
        before = deque[str](maxlen=_NEIGHBOURS)
        for rivals in _by_place(candidates):
            keys = [_key(candidate) for candidate in rivals]
            is_told = any(key in self._read for key in keys) if is_packing else not self._is_new(rivals[0])
            is_known = is_told or any(keys[0] in key for key in before)
            before.append(keys[0])
            if new := [one for one in rivals if self._is_new(one) and not (is_known and not self.is_registered(one))]:
                yield new
            for one in rivals:
                self._read[_key(one)] = self._read.get(_key(one), False) or not one.is_glued

    def is_registered(self, candidate: Candidate) -> bool:
        """Whether a candidate is a customer's, as far as the sieve knows."""
        return self._sieve is not None and self._sieve.passes(_key(candidate).encode("utf-8", "replace"))

    def _is_new(self, candidate: Candidate) -> bool:
        """Whether it was not told, or but as what is unlikely, since something was glued to it."""
        stood_alone = self._read.get(_key(candidate))
        is_better = stood_alone is False and not candidate.is_glued and not self.is_registered(candidate)
        return stood_alone is None or is_better


def _key(candidate: Candidate) -> str:
    return candidate.plaintext.reveal()


def _by_place(candidates: Iterable[Candidate]) -> Iterable[list[Candidate]]:
    """The ways to read each place together, the best first."""
    places: dict[tuple[Position, str], list[Candidate]] = {}
    for candidate in candidates:
        beginning = _key(candidate)[:_ALIKE]  # under one disguise several seem to stand at one place
        places.setdefault((candidate.position, beginning), []).append(candidate)
    return places.values()
