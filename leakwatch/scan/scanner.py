"""The scanner: every string in a document that may be a key of a known format."""

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final
from urllib.parse import unquote

import hyperscan

from leakwatch.errors import DefinitionError
from leakwatch.model import Candidate, Document, Field, Plaintext, Position
from leakwatch.scan import expressions, redaction
from leakwatch.scan.detectors import Detector
from leakwatch.scan.formats import CATCH_ALL, Format, Reading
from leakwatch.scan.naming import Names
from leakwatch.scan.redaction import Span
from leakwatch.scan.ruler import Ruler

LIMIT: Final = 10_000
_COUNTED: Final = 10  # times the limit: so many skipped are counted, then the scan of the field ends
_NEIGHBOURS: Final = 4  # places after a key at which it may end because another begins
_FURTHER: Final = 2  # times the limit: so many further readings there may be


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the scan of a document found, and how much it left alone."""

    candidates: tuple[Candidate, ...]  # by field, then by place; of one place the best reading first
    skipped: int  # possible keys beyond the limit and places not read in all ways; if very many, at least so many


class Scanner:
    """Finds the keys of all its detectors in one pass. Threads may share it.

    `limit` bounds the possible keys of one field of one document that are looked at; there may be twice as
    many further readings of them. What is beyond is counted in `Scan.skipped`: who calls must tell the
    operator.
    """

    def __init__(self, detectors: Sequence[Detector], *, limit: int = LIMIT) -> None:
        self.detectors: Mapping[str, Detector] = {detector.id: detector for detector in detectors}
        formats = [Format(detector) for detector in detectors]
        finds: dict[str, list[Format]] = {}
        for format_ in formats:
            for find in format_.detector.find:
                finds.setdefault(find, []).append(format_)
        if not finds:
            raise DefinitionError("there is no detector to scan with")
        self.names = Names(formats)
        self._formats = list(finds.values())  # by the number of what hyperscan finds
        self._database = expressions.compiled(list(finds))
        self._threads = threading.local()
        self._limit = limit

    def scan(self, document: Document) -> Scan:
        """Return the candidates of a document's text, URLs, title, author, path and id, in that order.

        A string that stands at several places is one candidate, at the first. Where a place can be read in
        several ways (a neighbour is glued to the key, or a catch-all takes more than the key), each reading
        is a candidate: only the digest decides. They share their position; the first is the one to show.
        """
        found: dict[str, Candidate] = {}
        skipped = self._scan(Field.TEXT, document.text, found)
        around = _around(document)
        # Most documents have no key around their text: one look at all of it says so.
        hits, _ = self._hits(_bytes("\n".join(text for _, text in around)))
        if hits:
            for field, text in around:
                skipped += self._scan(field, text, found)
        return Scan(candidates=tuple(found.values()), skipped=skipped)

    def redact(self, text: str) -> str:
        """Return a text as it may be stored or logged: keys masked, and only "…" where there are too many."""
        return redaction.redact(text, self._spans)

    def _scan(self, field: Field, text: str, found: dict[str, Candidate]) -> int:
        """Add a field's candidates to those found so far. Returns how many possible keys were skipped."""
        data = _bytes(text)
        places, skipped = self._places(data)
        reader, ruler = _Reader(data, places, self._limit), Ruler(data, field)
        for start in reader.starts:
            for rivals in _by_key(reader.readings(start, places[start])):
                if rivals[0].key not in found:
                    found[rivals[0].key] = self._candidate(rivals, data, ruler.position(start))
        return skipped + reader.skipped

    def _candidate(self, rivals: Sequence[Reading], data: bytes, position: Position) -> Candidate:
        """One string, of which there may be several readings, under its best name."""
        first = rivals[0]
        name, format_ = self.names.among([r.format for r in rivals], first.key, data, first.start, first.end)
        best = next(reading for reading in rivals if reading.format is format_)
        return Candidate(detector=name, plaintext=Plaintext(best.key), masked=best.masked, position=position)

    def _spans(self, data: bytes) -> list[Span] | None:
        """What redaction must hide: from each start the longest reading; words are left, lest addresses break."""
        places, skipped = self._places(data)
        longest = (f.longest(data, start) for start, formats in places.items() for f in formats)
        return None if skipped else [Span(r.start, r.end, r.masked) for r in longest if r and not r.is_words]

    def _places(self, data: bytes) -> tuple[dict[int, list[Format]], int]:
        """Where a key may begin and of which formats, and how many such places were left out."""
        hits, skipped = self._hits(data)
        places: dict[int, list[Format]] = {}
        for expression, at in hits:
            for format_ in self._formats[expression]:
                for start in format_.starts(data, at):
                    if format_ not in places.setdefault(start, []):
                        places[start].append(format_)
        return places, skipped

    def _hits(self, data: bytes) -> tuple[list[tuple[int, int]], int]:
        """Which expressions hyperscan found and from where, up to the limit, and how many more there are."""
        hits: list[tuple[int, int]] = []
        skipped = 0

        def on_match(expression: int, start: int, _end: int, _flags: int, _context: object) -> bool:
            nonlocal skipped
            if len(hits) < self._limit:
                hits.append((expression, start))
                return False
            skipped += 1
            return skipped >= _COUNTED * self._limit

        with suppress(hyperscan.ScanTerminated):
            self._database.scan(data, match_event_handler=on_match, scratch=self._scratch())
        return hits, skipped

    def _scratch(self) -> hyperscan.Scratch:
        """This thread's working memory: hyperscan allows one scan at a time in each."""
        scratch: hyperscan.Scratch | None = getattr(self._threads, "scratch", None)
        if scratch is None:
            scratch = self._threads.scratch = hyperscan.Scratch(self._database)
        return scratch


class _Reader:
    """Reads one field's bytes from each place, within a bound on the further readings of all places together."""

    def __init__(self, data: bytes, places: Mapping[int, Sequence[Format]], limit: int) -> None:
        several = sum(not all(f.one_length for f in formats) for formats in places.values())
        self._data = data
        self.starts = sorted(places)
        self._share = _FURTHER * limit // max(1, several)  # the same for each, lest one take it all
        self.skipped = 0

    def readings(self, start: int, formats: Sequence[Format]) -> list[Reading]:
        """Return every way to read the bytes from a start, best first.

        A catch-all adds nothing where a narrower format takes all that it could: no neighbour is glued there.
        """
        longest = [reading for f in formats if (reading := f.longest(self._data, start))]
        taken = max((r.end for r in longest if r.format.rank < CATCH_ALL), default=start)
        kept = [r for r in longest if r.format.rank < CATCH_ALL or r.end > taken]
        readings = [*kept, *self._up_to_neighbours(start, kept), *self._further(kept)]
        return sorted(readings, key=lambda reading: reading.order) if len(readings) > 1 else readings

    def _up_to_neighbours(self, start: int, kept: Sequence[Reading]) -> list[Reading]:
        """The readings that end where another key may begin: two are likely glued there."""
        after = bisect_right(self.starts, start)
        ends = self.starts[after : after + _NEIGHBOURS]
        return [until for r in kept for end in ends if end < r.end and (until := r.format.until(self._data, r, end))]

    def _further(self, kept: Sequence[Reading]) -> list[Reading]:
        """The shorter readings from one start, those of narrower formats first."""
        narrow_first = sorted(kept, key=lambda reading: reading.format.rank)
        shorter = chain.from_iterable(reading.format.shorter(self._data, reading) for reading in narrow_first)
        further = list(islice(shorter, self._share + 1))
        self.skipped += len(further) > self._share
        return further[: self._share]


def _by_key(readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings of each string together, in the order of the best of each."""
    strings: dict[str, list[Reading]] = {}
    for reading in readings:
        strings.setdefault(reading.key, []).append(reading)
    return list(strings.values())


def _around(document: Document) -> list[tuple[Field, str]]:
    """What is known of a document beside its text, all written by strangers."""
    reference = document.reference
    addresses = dict.fromkeys((reference.url, reference.page, unquote(reference.url), unquote(reference.page)))
    return [
        *((Field.URL, address) for address in addresses),  # in an address a key may stand with percent escapes
        (Field.TITLE, reference.title),
        (Field.AUTHOR, reference.author),
        (Field.PATH, reference.path),
        (Field.ID, reference.id),
    ]


def _bytes(text: str) -> bytes:
    """A text as hyperscan reads it. A str may hold lone surrogates, which strict UTF-8 refuses."""
    return text.encode("utf-8", "surrogatepass")
