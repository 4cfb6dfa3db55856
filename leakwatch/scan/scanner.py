"""The scanner: every string in a document that may be a key, of a known format or of any, in whatever disguise."""

from array import array
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple, Protocol, final

from leakwatch.core import NO_JOINTS, SHORTEST, Forms, Read, Sifted, is_compiled
from leakwatch.model import Candidate, Document, Field, Plaintext
from leakwatch.scan import redaction
from leakwatch.scan.assigned import Assigned
from leakwatch.scan.detectors import Detector
from leakwatch.scan.disguises import Undone, broken_lines, numbers
from leakwatch.scan.formats import Format, Reading
from leakwatch.scan.layers import BETWEEN, DEPTH, Budget, Layer, peel
from leakwatch.scan.markers import Markers
from leakwatch.scan.naming import Names
from leakwatch.scan.redaction import Span
from leakwatch.scan.ruler import Ruler

LIMIT: Final = 10_000  # places of markers in any text …
SPACING: Final = 256  # … and bytes of it for one more, where Python reads them …
_CORE: Final = 8 if is_compiled else SPACING  # … or the core
RUNS: Final = 250_000  # runs of any text that are tried with the sieve, and one more for as many bytes as that
_FURTHER: Final = 2  # times the limit: shorter readings of any text …
_SHORTER: Final = 32 if is_compiled else SPACING  # … and bytes of it for one more, where the core reads them
_SELDOM, _FAR = 10, 1_024  # beside what the core reads: a part of the limit, and bytes for one more place
_SHORT: Final = 50_000  # bytes of a text that costs little to be looked at twice
_NOTHING: Final = Sifted([], 0, 0)
_APART: Final = BETWEEN.decode()
UNKNOWN: Final = "unknown"  # the name of what is registered and of no format that we know


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the scan of a document found, and how much it left alone."""

    candidates: tuple[Candidate, ...]  # by field, then by place; of one place the best reading first
    skipped: int = 0  # possible keys and runs beyond the limits, and places not read in all ways, of all layers; one
    # for all that is denser than keys can be
    curtailed: int = 0  # of these the places that were read, but not in all ways
    disguised: int = 0  # bytes under a disguise that were not laid bare for want of room
    tried: int = 0  # strings with a marker that were read, and not remembered by the sieve


class Sieve(Protocol):
    """Finds what may be a registered key, whatever its format."""

    def find(self, data: bytes, room: int, joints: "array[int]" = ..., lines: int = ..., /) -> Sifted:
        """Return where it stands, looking at so many runs of key characters at most."""

    def find_at(  # noqa: PLR0913, PLR0917 - what is read, and by what
        self, data: bytes, hits: bytearray, joints: "array[int]", lines: int, forms: Forms, further: int, /
    ) -> Read:
        """Return where it stands at places of markers, of formats whose patterns are rows."""

    def passes(self, key: bytes, /) -> bool:
        """Whether a key may be a registered one."""


@final
class _Tried:
    """The strings that were read, and which of them are wanted: all, or those that may be registered."""

    def __init__(self, sieve: Sieve | None) -> None:
        self.sieve = sieve
        self._wanted: dict[bytes, bool] = {}

    def __len__(self) -> int:
        return len(self._wanted)

    def wants(self, key: bytes) -> bool:
        """Whether this one is: each is asked for once."""
        if key not in self._wanted:
            self._wanted[key] = self.sieve is None or self.sieve.passes(key)
        return self._wanted[key]


@dataclass(slots=True)
class _Room:
    """How much of what stands in a field and in all its layers is looked at, and how much was not."""

    runs: int
    places: int  # of markers, that are read here
    hits: int  # of markers, that the core reads
    further: int  # shorter readings of these
    names: int  # in each layer, that say whose key is assigned to them
    skipped: int = 0
    curtailed: int = 0  # places that were read, but not in all ways
    looked: int = 0  # strings that the core looked up


class _Found(NamedTuple):
    """A possible key, and where in the field it begins."""

    at: int
    order: int  # among what was found at the same place
    key: str
    name: str
    masked: str
    is_glued: bool


class _Look(NamedTuple):
    """What stands in some bytes, in order, and how much was left alone."""

    found: list[_Found]
    skipped: int
    curtailed: int
    disguised: int
    tried: int

    @property
    def is_complete(self) -> bool:
        return not self.skipped and not self.disguised

    def measured(self, data: bytes, field: Field) -> Scan:
        """Say where in a field the found stands, by line and column."""
        candidates = _placed(self.found, Ruler(data, field)) if self.found else ()
        return Scan(
            candidates=candidates,
            skipped=self.skipped,
            curtailed=self.curtailed,
            disguised=self.disguised,
            tried=self.tried,
        )


class Scanner:
    """Finds what may be a key in one pass, whatever it is disguised as. Threads may share it.

    In one field and all its layers markers are read at `limit` places, and at one more for as many bytes as `spacing`
    says; in each layer there may be twice as many shorter readings, to which a neighbour may be glued. Where a sieve
    decides, the core reads all formats but a few, in more places than a list of keys has, and the shorter readings of
    all layers have one room. What is beyond is counted in `Scan`: who calls must tell the operator. Registered keys
    that are a run, or that punctuation parts from it, are found all the same.
    """

    def __init__(
        self, detectors: Sequence[Detector], *, limit: int = LIMIT, spacing: int = SPACING, plain: bool = False
    ) -> None:
        """`plain`: what stands there as it is, with a marker or registered, which is several times as fast."""
        formats = [Format(detector) for detector in detectors]
        self.detectors: Mapping[str, Detector] = {detector.id: detector for detector in detectors}
        self.names = Names(formats)
        self._formats = {format_.detector.id: format_ for format_ in formats}
        self._markers = Markers(formats)
        self._assigned = Assigned(() if plain else formats)
        self._limit, self._spacing, self._further = limit, spacing, _FURTHER * limit
        self._depth = 0 if plain else DEPTH

    def scan(self, document: Document, sieve: Sieve | None = None, *, strangers: bool = False) -> Scan:
        """Return the candidates of a document's text, URLs, title, author, path and id, in that order.

        Without a sieve all that has a marker is one; with it what may be registered, of any format. With `strangers`
        what has a marker is one in any case, and what is assigned to a name that says whose key it is. A string that
        stands at several places is one candidate, at the first. Where a place can be read in several ways (a neighbour
        is glued to the key, or a catch-all takes more than the key), each reading is a candidate: only the digest
        decides. They share their position; the first is the one to show.
        """
        look = partial(self._look, sieve=sieve, strangers=strangers)
        text, around = _bytes(document.text), _around(document)
        # Most documents have no key around their text: one look at all of it says so, and while the text is short one
        # at both together.
        beside = _bytes(_APART.join(text for _, text in around))
        if len(text) < _SHORT:
            whole = look(BETWEEN.join([text, beside]))
            if whole.is_complete and all(one.at < len(text) for one in whole.found):
                return whole.measured(text, Field.TEXT)
        scans = [look(text).measured(text, Field.TEXT)]
        rest = look(beside)
        if rest.found or not rest.is_complete:
            scans += [look(_bytes(text)).measured(_bytes(text), field) for field, text in around]
        return _together(scans)

    def marked(self, texts: Sequence[bytes]) -> set[int]:
        """Return which of some texts, by their numbers, hold a marker as it is: of all together, in one pass."""
        return self._markers.marked(texts)

    def redact(self, text: str, sieve: Sieve | None = None) -> str:
        """Return a text as it may be stored or logged: keys masked, and only "…" where there are too many."""
        if len(text) < SHORTEST:
            return text
        return redaction.redact(text, partial(self._shown, sieve), partial(self._disguises, sieve))

    def holds_key(self, text: str) -> bool:
        """Whether something stands in a text that would have to be masked."""
        return self.redact(text) != text

    def sound(self, candidate: Candidate) -> bool:
        """Whether a candidate is built as its format's keys are, as far as that is known."""
        format_ = self._formats.get(candidate.detector)
        return format_ is None or format_.sound(candidate.plaintext.reveal())

    def _look(self, data: bytes, sieve: Sieve | None, strangers: bool) -> "_Look":  # noqa: FBT001 - as `scan` has it
        """Look at some bytes and what is under their disguises; without strangers at what passes the sieve alone."""
        budget, size, only = Budget.of(data), len(data), None if strangers else sieve
        room = _Room(
            runs=RUNS + size // _CORE,
            places=self._limit + size // self._spacing if only is None else self._limit // _SELDOM + size // _FAR,
            hits=self._limit + size // _CORE,
            further=self._further + size // _SHORTER,
            names=self._limit + size // self._spacing,
        )
        found: dict[str, _Found] = {}
        tried = _Tried(only)
        read: set[Hashable] = set()
        for layer in peel(data, budget, self._depth):
            for readings in self._marked(layer, tried, read, room):
                for rivals in _by_key(readings):
                    if rivals[0].key not in found:
                        found[rivals[0].key] = self._reading(rivals, layer, len(found))
            sifted = _NOTHING if sieve is None else sieve.find(layer.data, room.runs, layer.joints, layer.lines)
            for start, end in sifted.spans:
                if (key := layer.data[start:end].decode()) not in found:
                    found[key] = self._token(key, layer, start, len(found))
            room.runs -= sifted.looked
            room.skipped += sifted.skipped
            for key, values in self._values(layer, room).items() if strangers else ():
                if key not in found:
                    found[key] = self._reading(values, layer, len(found))
        skipped = room.skipped + room.curtailed
        return _Look(sorted(found.values()), skipped, room.curtailed, budget.skipped, len(tried) + room.looked)

    def _marked(self, layer: Layer, tried: _Tried, read: set[Hashable], room: _Room) -> Iterator[Sequence[Reading]]:
        """Yield what is wanted at each place of a marker: where a sieve decides, the core looks most of it up."""
        data, joints = layer.data, layer.joints
        passed: Mapping[int, Sequence[Reading]] = {}
        if tried.sieve is None:
            reader = self._markers.reader(data, room.places, self._further, joints)
        else:
            hits = self._markers.hits(data, room.hits)
            if not hits.found:
                return
            further = max(room.further // 2, min(room.further, self._limit))  # some is left for deeper layers
            looked = tried.sieve.find_at(data, hits.numbers, joints, layer.lines, self._markers.forms, further)
            passed = self._markers.passed(data, hits, looked.spans)
            reader = self._markers.others(data, looked.others, room.places, joints)
            room.hits -= min(hits.found, room.hits)
            room.further -= looked.spent
            room.looked += looked.looked
            room.skipped += hits.found > hits.room
            room.curtailed += looked.skipped
        for start in sorted({*passed, *reader.starts}):
            wanted = [reading for reading in reader.readings(start, read) if tried.wants(reading.digested)]
            yield [*passed.get(start, ()), *wanted]
        room.places -= len(reader.starts)
        room.skipped += reader.skipped
        room.curtailed += reader.curtailed

    def _values(self, layer: Layer, room: _Room) -> Mapping[str, Sequence[Reading]]:
        """What is assigned to names that say whose key it is: each string with its readings, where it stands first."""
        readings, skipped = self._assigned.values(layer.data, room.names)
        room.skipped += skipped
        strings: dict[str, list[Reading]] = {}
        for reading in readings:
            rivals = strings.setdefault(reading.key, [reading])
            if rivals[0] is not reading and rivals[0].start == reading.start:
                rivals.append(reading)
        return strings

    def _reading(self, rivals: Sequence[Reading], layer: Layer, order: int) -> _Found:
        """One string, of which there may be several readings, under its best name."""
        first = rivals[0]
        name, format_ = self.names.among([r.format for r in rivals], first.key, layer.data, first.start, first.end)
        best = next(reading for reading in rivals if reading.format is format_)
        return _Found(layer.origin(first.start), order, best.key, name, best.masked, self._is_glued(layer, best))

    def _is_glued(self, layer: Layer, reading: Reading) -> bool:
        r"""Whether a letter or digit stands right before a reading or after it; the letter of ``\n`` is none.

        What is in another line is not right there, and what begins another key is not glued to this one.
        """
        before = layer.data[max(0, reading.start - 2) : reading.start]
        if before[-1:].isalnum() and not before.startswith(b"\\") and not layer.is_joint(reading.start):
            return True
        is_next = layer.is_joint(reading.end) or not layer.data[reading.end : reading.end + 1].isalnum()
        return not is_next and not self._markers.is_at(layer.data, reading.end)

    def _token(self, key: str, layer: Layer, start: int, order: int) -> _Found:
        """What may be registered and has no marker, by the name of the format that takes it."""
        name = self.names.of(layer.data, start, start + len(key))
        reading = name.format.longest(layer.data[start : start + len(key)], 0) if name else None
        masked = reading.masked if reading else redaction.mask(key, "")
        return _Found(layer.origin(start), order, key, name.name if name else UNKNOWN, masked, is_glued=False)

    def _shown(self, sieve: Sieve | None, data: bytes) -> list[Span] | None:
        """What redaction must hide of what can be read, also over ends of lines: a key's first line may look whole."""
        found = self._spans(sieve, data)
        for lines in broken_lines(data):
            more = self._spans(sieve, lines.data, array("Q", numbers(lines.joints)))
            if found is None or more is None:
                return None
            found += [_over(lines, span) for span in more]
        return found

    def _spans(self, sieve: Sieve | None, data: bytes, joints: "array[int]" = NO_JOINTS) -> list[Span] | None:
        """What redaction must hide: from each start the longest reading, and what may be registered.

        Words are left, lest addresses break.
        """
        reader = self._markers.reader(data, self._limit + len(data) // self._spacing, self._further, joints)
        if reader.skipped:
            return None
        readings = (reading for start in reader.starts for reading in reader.longest(start))
        spans = [Span(r.start, r.end, r.masked) for r in readings if not r.is_words]
        registered = sieve.find(data, RUNS, joints).spans if sieve else ()
        return [*spans, *(Span(at, end, redaction.mask(data[at:end].decode(), "")) for at, end in registered)]

    def _disguises(self, sieve: Sieve | None, data: bytes) -> list[Span] | None:
        """The disguises under which there is something to hide: each is hidden whole."""
        hidden: dict[tuple[int, int], str] = {}
        for layer in islice(peel(data), 1, None):
            spans = self._spans(sieve, layer.data, layer.joints)
            if spans is None:
                return None
            hidden |= {layer.disguise(span.start, span.end): span.masked for span in spans}
        return [Span(start, end, masked) for (start, end), masked in hidden.items()]


def _over(lines: Undone, span: Span) -> Span:
    """A span of joined lines as one of what they were joined from."""
    start, end = lines.disguise(span.start, span.end)
    return Span(start, end, span.masked)


def _together(scans: Sequence[Scan]) -> Scan:
    """The scans of several fields as one: a key that stands in several of them stands in the first."""
    found: dict[str, Candidate] = {}
    for scan in scans:
        for candidate in scan.candidates:
            found.setdefault(candidate.plaintext.reveal(), candidate)
    return Scan(
        candidates=tuple(found.values()),
        skipped=sum(scan.skipped for scan in scans),
        curtailed=sum(scan.curtailed for scan in scans),
        disguised=sum(scan.disguised for scan in scans),
        tried=sum(scan.tried for scan in scans),
    )


def _placed(found: Sequence[_Found], ruler: Ruler) -> tuple[Candidate, ...]:
    return tuple(_candidate(one, ruler) for one in found)


def _candidate(found: _Found, ruler: Ruler) -> Candidate:
    position = ruler.position(found.at)
    return Candidate(
        detector=found.name,
        plaintext=Plaintext(found.key),
        masked=found.masked,
        position=position,
        is_glued=found.is_glued,
    )


def _by_key(readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings of each string together, in the order of the best of each."""
    strings: dict[str, list[Reading]] = {}
    for reading in sorted(readings, key=attrgetter("order")) if len(readings) > 1 else readings:
        strings.setdefault(reading.key, []).append(reading)
    return list(strings.values())


def _around(document: Document) -> list[tuple[Field, str]]:
    """What is known of a document beside its text, all written by strangers."""
    reference = document.reference
    return [
        *((Field.URL, address) for address in dict.fromkeys((reference.url, reference.page))),
        (Field.TITLE, reference.title),
        (Field.AUTHOR, reference.author),
        (Field.PATH, reference.path),
        (Field.ID, reference.id),
    ]


def _bytes(text: str) -> bytes:
    """A text as hyperscan reads it. A str may hold lone surrogates, which strict UTF-8 refuses."""
    return text.encode("utf-8", "surrogatepass")
