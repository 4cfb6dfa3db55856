"""Candidates into digests, digests into matches."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from leakwatch.errors import InputError
from leakwatch.match.canonical import canonical
from leakwatch.match.schemes import SCHEMES
from leakwatch.model import Candidate, Field, Match, Plaintext, Position, Reference, RegisteredKey
from leakwatch.pepper import Pepper

Lookup = Callable[[Collection[bytes]], Awaitable[Mapping[bytes, Sequence[RegisteredKey]]]]
"""Tells which of these stored digests are customers' keys; one digest may have several owners."""

_FIELDS: Final = {field: rank for rank, field in enumerate(Field)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A candidate after digesting: what is left of it once its plaintext is gone."""

    reference: Reference
    digests: tuple[bytes, ...]  # as they are stored, one for each scheme
    detector: str
    masked: str
    position: Position


@final
class Digester:
    """Turns keys into the digests that are stored. Needs no event loop: it runs in worker threads."""

    __slots__ = ("_pepper", "_schemes")

    def __init__(self, pepper: Pepper, schemes: Sequence[str] = ("sha256",)) -> None:
        self._pepper = pepper
        self._schemes = tuple(SCHEMES[scheme] for scheme in schemes)

    def digest(self, plaintext: Plaintext) -> tuple[bytes, ...]:
        """Return a key's digests as they are stored, one for each scheme; none for what nobody can register."""
        try:
            key = canonical(plaintext.reveal())
        except InputError:
            return ()
        return tuple(self._pepper.hmac(scheme(key)) for scheme in self._schemes)

    def stored(self, digest: bytes) -> bytes:
        """Return a customer's digest as it is stored: keyed, so that the database alone proves no key."""
        return self._pepper.hmac(digest)

    def found(self, reference: Reference, candidate: Candidate) -> Found:
        """Digest a candidate and let go of its plaintext."""
        return Found(
            reference=reference,
            digests=self.digest(candidate.plaintext),
            detector=candidate.detector,
            masked=candidate.masked,
            position=candidate.position,
        )


async def match(found: Iterable[Found], lookup: Lookup) -> list[Match]:
    """Look everything up at once, and return one match for each key and document: the first place in it.

    Within a document its text comes before its title, author and address.
    """
    found = sorted(found, key=_place)
    digests = {digest for f in found for digest in f.digests}
    owners = await lookup(digests) if digests else {}
    matches: dict[tuple[int, str, str], Match] = {}
    for f in found:
        for key in (key for digest in f.digests for key in owners.get(digest, ())):
            document = (key.id, f.reference.id, f.reference.version)
            matches.setdefault(document, _match(f, key))
    return list(matches.values())


def _place(found: Found) -> tuple[int, int, int]:
    at = found.position
    return _FIELDS[at.field], at.line, at.column


def _match(found: Found, key: RegisteredKey) -> Match:
    return Match(
        key=key,
        reference=found.reference,
        detector=found.detector,
        masked=found.masked,
        position=found.position,
    )
