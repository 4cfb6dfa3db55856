"""One file after another: read in windows, opened if it holds others, scanned, digested, judged.

Each process has an inspector of its own. Plaintext does not leave it: what comes out is masked or digested.
"""

import codecs
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, final

from leakwatch.charset import is_bytewise
from leakwatch.containers.kinds import sniff
from leakwatch.containers.limits import Cut
from leakwatch.containers.opener import Opener
from leakwatch.core import DigestSieve
from leakwatch.errors import whereabouts
from leakwatch.git import Blob, History, may_point, pointers
from leakwatch.match import Digester
from leakwatch.members import parts
from leakwatch.model import Candidate, Document, Field, Reference
from leakwatch.pepper import Pepper
from leakwatch.scan import Scanner, shipped
from leakwatch.survey.files import STDIN, Bounded, Job, Readable
from leakwatch.survey.likelihood import Likelihood, Verdict, judge
from leakwatch.survey.places import Places
from leakwatch.survey.unread import DISGUISED, MISSING, SKIPPED, TRUNCATED, Problem, Problems, unopened

_WINDOW: Final = 16_000_000  # bytes of a file that are scanned at once
_AT_ONCE: Final = 256_000  # bytes of a history that are looked at as one
_OVERLAP: Final = 64_000  # bytes of one window that the next begins with: a key in between is whole in one of them
_SPACING: Final = 16  # bytes for one more marker that is read: a list of keys is shown whole, however long it takes
_MARKS: Final = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8",
}


class Known(NamedTuple):
    """What is registered, in a form that another process can be given. It stays in memory."""

    secret: bytes  # the pepper
    schemes: tuple[str, ...]
    numbers: bytes  # of the sieve


class Hit(NamedTuple):
    """A possible key at one place."""

    path: str  # redacted; "what.zip!/dir/.env" for what is in a container
    field: Field
    line: int
    column: int
    detector: str  # id of a detector, or name of a group
    masked: str
    likelihood: Likelihood
    why: str  # it is not likelier
    digests: tuple[bytes, ...]  # as they are stored, of each way to read it: those of the one that is shown first
    commit: str = ""  # that brought the file, in a history of git


@dataclass(slots=True)
class Inspected:
    """What came of some files."""

    files: int = 0
    size: int = 0  # bytes
    hits: list[Hit] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)  # what was left alone on purpose, by the word for what it is
    elsewhere: set[str] = field(default_factory=set)  # submodules' addresses, that nobody followed
    problems: Problems = field(default_factory=Counter)  # what was to be looked at, and was not

    def add(self, other: "Inspected") -> None:
        """Add what came of other files."""
        self.files += other.files
        self.size += other.size
        self.hits += other.hits
        self.left += other.left
        self.elsewhere |= other.elsewhere
        self.problems += other.problems


@final
class Inspector:
    """Looks at files, by the detectors that are shipped and, if it is told, by what is registered."""

    def __init__(self, known: Known | None, *, plain: bool = False) -> None:
        """`plain`: keys that have a marker or are registered, under no disguise."""
        self._scanner = Scanner(shipped(), spacing=_SPACING, plain=plain)
        self._needs_marker = plain and known is None
        self._opener = Opener()
        self._sieve: DigestSieve | None = None
        self._digester: Digester | None = None
        if known:
            pepper = Pepper(known.secret)
            self._sieve = DigestSieve(pepper, numbers=known.numbers)
            self._digester = Digester(pepper, known.schemes)

    def close(self) -> None:
        """End the process that opens containers, if there is one."""
        self._opener.close()

    def redacted(self, text: str) -> str:
        """Return a text as it may be shown."""
        return self._scanner.redact(text, self._sieve)

    def files(self, job: Job) -> Inspected:
        """Look at files."""
        inspected = Inspected()
        for path in job.paths:
            with self._telling(path, inspected), Path(path).open("rb") as file:
                self.stream(file, path, inspected)
        return inspected

    def endless(self, path: Path, most: int, inspected: Inspected) -> None:
        """Look at what comes from standard input or a pipe, of which nobody knows the end: so many bytes at most."""
        name = "(standard input)" if path == STDIN else str(path)
        with (
            self._telling(name, inspected),
            nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb") as file,
        ):
            bounded = Bounded(file, most)
            self.stream(bounded, name, inspected)
            if bounded.has_more():
                self._miss(name, f"more than {most:,} bytes; --max-size allows no more to be read", inspected)

    def history(self, history: History, inspected: Inspected) -> None:
        """Look at all that ever was in a repository; a likely key is told with the commit that brought its file."""
        likely: list[tuple[Reference, slice]] = []
        for document in self._worth_reading(history, inspected):
            before = len(inspected.hits)
            self._document(document, inspected)
            new = slice(before, len(inspected.hits))
            if any(hit.likelihood is not Likelihood.UNLIKELY for hit in inspected.hits[new]):
                likely.append((document.reference, new))
        commits = history.commits({reference.id for reference, _ in likely if not reference.version})
        for reference, places in likely:
            commit = reference.id if reference.version == "commit" else commits.get(reference.id, "")
            inspected.hits[places] = [hit._replace(commit=commit) for hit in inspected.hits[places]]
        if history.missing.count:
            inspected.problems[Problem("(repository)", MISSING)] += history.missing.count

    def _worth_reading(self, history: History, inspected: Inspected) -> Iterator[Document]:
        """Yield what there is; where only a marker counts, without most of what has none, many looked at as one."""
        for blobs in _together(history.blobs):
            inspected.files += len(blobs)
            inspected.size += sum(len(blob.body) for blob in blobs)
            self._point(history, blobs, inspected)
            marked = self._marked(blobs) if self._needs_marker else range(len(blobs))
            yield from (history.document(blobs[number]) for number in sorted(marked))

    def _point(self, history: History, blobs: Sequence[Blob], inspected: Inspected) -> None:
        """Say what blobs point at that is not in the repository."""
        found = pointers(history.document(blob) for blob in blobs if may_point(blob))
        inspected.left["lfs"] += found.files
        inspected.left["submodule"] += found.submodules
        inspected.elsewhere.update(map(self.redacted, found.shown))

    def _marked(self, blobs: Sequence[Blob]) -> set[int]:
        """Return the numbers of the blobs that hold a marker, or may hold one that their bytes do not show."""
        texts = [text for blob in blobs for text in (blob.body, blob.path.encode("utf-8", "surrogatepass"))]
        marked = {number // 2 for number in self._scanner.marked(texts)}
        return marked.union(n for n, blob in enumerate(blobs) if not is_bytewise(blob.body) or sniff(blob.body))

    def stream(self, file: Readable, name: str, inspected: Inspected) -> None:
        """Look at what can be read from a file, by the name that it is shown with."""
        inspected.files += 1
        first = file.read(_WINDOW)
        inspected.size += len(first)
        if sniff(first):
            whole = first + file.read()
            inspected.size += len(whole) - len(first)
            document = Document(reference=Reference(url="", id="", path=name), text=_decoded(whole), raw=whole)
            self._document(document, inspected)
            return
        places = Places(self._sieve)
        for window, line in _windows(file, first, inspected):
            document = Document(reference=Reference(url="", id="", path=name), text=_decoded(window))
            self._text(document, inspected, places, before=line)

    def _document(self, document: Document, inspected: Inspected) -> None:
        """Scan what is in a document, then itself."""
        places, cut = Places(self._sieve), Counter[str]()
        for part in parts(self._opener, document, cut):
            self._text(part, inspected, places, is_packing=part.reference is document.reference)
        inspected.left[Cut.LINK] += cut[Cut.LINK]
        inspected.problems += unopened(self.redacted(document.reference.path), cut)
        if document.truncated:
            self._miss(document.reference.path, TRUNCATED, inspected)

    def _text(
        self, document: Document, inspected: Inspected, places: Places, *, before: int = 0, is_packing: bool = False
    ) -> None:
        """Scan a text, before which there are so many ends of lines, for what is news in its file."""
        name = document.reference.path
        try:
            scan = self._scanner.scan(document, self._sieve, strangers=True)
        except Exception as error:  # noqa: BLE001 - a file that breaks its scan must not take others with it
            self._miss(name, f"the scan raised {whereabouts(error)}; please report it", inspected)
            return
        # What is left of a place's readings could be a customer's key, and hardly a stranger's.
        curtailed = 0 if self._sieve else scan.curtailed
        self._miss(name, SKIPPED, inspected, scan.skipped - curtailed)
        inspected.left["curtailed"] += curtailed
        self._miss(name, DISGUISED, inspected, scan.disguised)
        if scan.candidates:
            shown = self.redacted(name)
            news = places.news(scan.candidates, is_packing=is_packing)
            inspected.hits += (self._hit(shown, rivals, places, before) for rivals in news)

    @contextmanager
    def _telling(self, path: str, inspected: Inspected) -> Iterator[None]:
        """Tell that a file cannot be read, and go on."""
        try:
            yield
        except OSError as error:
            self._miss(path, str(error.strerror), inspected)

    def _miss(self, path: str, why: str, inspected: Inspected, count: int = 1) -> None:
        """Say that something was not looked at."""
        if count:
            inspected.problems[Problem(self.redacted(path), why)] += count

    def _hit(self, path: str, rivals: Sequence[Candidate], places: Places, before: int) -> Hit:
        best, verdict = self._best(rivals, places)
        at = best.position
        ordered = sorted(rivals, key=lambda one: one is not best)
        return Hit(
            path=path,
            field=at.field,
            line=at.line + (before if at.field is Field.TEXT else 0),
            column=at.column,
            detector=best.detector,
            masked=best.masked,
            likelihood=verdict.likelihood,
            why=verdict.why,
            digests=tuple(d for c in ordered for d in self._digester.digest(c.plaintext)) if self._digester else (),
        )

    def _best(self, rivals: Sequence[Candidate], places: Places) -> tuple[Candidate, Verdict]:
        """What is registered; or the first; or one that goes on behind it and is likelier, or as likely and exact."""
        if registered := next(filter(places.is_registered, rivals), None):
            return registered, self._verdict(registered)
        first = rivals[0], self._verdict(rivals[0])
        is_unlikely = first[1].likelihood is Likelihood.UNLIKELY
        if not is_unlikely and not self._is_broad(first[0]):
            return first
        size = len(rivals[0].plaintext.reveal())
        longer = ((one, self._verdict(one)) for one in rivals if len(one.plaintext.reveal()) > size)
        likely = [other for other in longer if other[1].likelihood is not Likelihood.UNLIKELY]
        exact = [other for other in likely if not self._is_broad(other[0])]
        if is_unlikely:
            return next(iter((*exact, *likely)), first)
        return next((other for other in exact if other[1].likelihood is Likelihood.LIKELY), first)

    def _is_broad(self, candidate: Candidate) -> bool:
        """Whether only a catch-all takes it: more often that is a part of a broken key than a key of its own."""
        detector = self._scanner.detectors.get(candidate.detector)
        return detector is not None and detector.breadth == "any"

    def _verdict(self, candidate: Candidate) -> Verdict:
        detector = self._scanner.detectors.get(candidate.detector)
        prefix = candidate.masked.partition("…")[0]
        key = candidate.plaintext.reveal()
        return judge(key, prefix, detector, sound=self._scanner.sound(candidate), is_glued=candidate.is_glued)


def _together(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """Yield blobs, so many bytes of them together."""
    some: list[Blob] = []
    size = 0
    for blob in blobs:
        some.append(blob)
        size += len(blob.body)
        if size >= _AT_ONCE:
            yield some
            some, size = [], 0
    yield some


def _decoded(data: bytes) -> str:
    """A file's text, by its byte order mark if it has one; of other encodings what is ASCII in them is enough."""
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")


def _windows(file: Readable, first: bytes, inspected: Inspected) -> Iterator[tuple[bytes, int]]:
    """What a file holds, window by window, and how many ends of lines there are before each."""
    window, lines = first, 0
    while True:
        yield window, lines
        more = file.read(_WINDOW) if len(window) >= _WINDOW else b""
        if not more:
            return
        inspected.size += len(more)
        lines += window.count(b"\n", 0, len(window) - _OVERLAP)
        window = window[-_OVERLAP:] + more
