"""What a repository holds: every blob, message and tag once, listed, read, and named by the commit that brought it.

::

    rev-list --objects ─▶ oid path ─▶ packs, cat-file --batch ─▶ Blob
                                         log --find-object ─▶ Origin, for what was found alone

Objects are walked, not paths: a tree that is entered a million times is read once. Blocks: not for the event loop.
"""

import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Final

from leakwatch.errors import BadContent
from leakwatch.git.leash import Leash
from leakwatch.git.packs import Packs

KINDS: Final = ("blob", "commit", "tag")
_PLACED: Final = ("blob", "tag")  # those that have a path or a name, which only a walk tells
_FORMAT: Final = "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)"
_MISSING: Final = b"?"
_PIECE: Final = 1_048_576
_LONGEST_LINE: Final = 65_536  # of a header: a path may be long
_ORIGIN: Final = "--format=%x01%H%x02%an%x02%cI%x02%s"
_EACH: Final = ("-m", "--raw", "--no-abbrev", "--no-renames")
_MOST_LOG: Final = 16_000_000  # bytes of the log that names some blobs
_MOST_LISTED: Final = 256_000_000  # bytes of the names of all objects: some four million
_SLICE: Final = 20_000  # objects that are read in the order in which they lie
_TOGETHER: Final = 200  # blobs that are named by one walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An object that is there to be read."""

    oid: str
    kind: str
    path: str = field(default="", repr=False)  # the first at which it was met; of a tag its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """An object, read."""

    oid: str
    kind: str
    path: str = field(repr=False)
    size: int
    body: bytes = field(repr=False)  # cut at the cap

    @property
    def truncated(self) -> bool:
        """Whether it is longer than what was read of it."""
        return self.size > len(self.body)


@dataclass(slots=True, kw_only=True)
class Missing:
    """Objects that the server left out, being larger than we asked for."""

    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The commit that brought a blob."""

    commit: str
    author: str = field(repr=False)
    subject: str = field(repr=False)
    at: datetime | None


def listing(  # noqa: PLR0913 - what there is to say of a list
    leash: Leash,
    repository: Path,
    tips: Collection[str],
    done: Collection[str],
    missing: Missing,
    *,
    kinds: Sequence[str] = KINDS,
) -> Iterator[Named]:
    """Yield what is reachable from `tips` and not from `done`: the newest commits' blobs first, then the messages."""
    for kind in kinds:
        with _revisions(leash, repository, tips, done, kind) as process:
            assert process.stdout is not None  # noqa: S101 - a pipe
            while line := process.stdout.readline(_LONGEST_LINE):
                if line.startswith(_MISSING):
                    missing.count += 1
                    continue
                oid, _, path = line.rstrip(b"\n").partition(b" ")
                yield Named(oid=oid.decode("ascii", "replace"), kind=kind, path=path.decode("utf-8", "replace"))
            leash.check(process)


def walking(  # noqa: PLR0913 - what there is to say of a walk
    leash: Leash,
    repository: Path,
    tips: Collection[str],
    *,
    folders: Iterable[Path],
    there: Mapping[str, str],
    cap: int,
    missing: Missing,
) -> Iterator[Blob]:
    """Yield what is reachable from `tips`, and all that is `there`, read: from the packs in `folders`, else by git."""
    listed = listing(leash, repository, tips, (), missing, kinds=_PLACED if there else KINDS)
    every = _and_others(listed, dict(there))
    with Packs(folders) as packs:
        while some := list(islice(every, _SLICE)):
            left: list[Named] = []
            for number, found in packs.read([named.oid for named in some]):
                leash.go_on()
                named = some[number]
                if found is None or found.kind != named.kind:
                    left.append(named)
                else:
                    body, size = found.data[:cap], len(found.data)
                    yield Blob(oid=named.oid, kind=named.kind, path=named.path, size=size, body=body)
            if left:
                yield from reading(leash, repository, left, cap=cap)


def stored(leash: Leash, repository: Path, tips: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Return the commits and tags that are there and no ref leads to any more; and all objects. Raises TooLarge.

    What was amended, reset or forced away stays in a repository until it is cleaned up. Each object has its kind; trees
    are left out.
    """
    every = ("cat-file", "--batch-check=%(objectname) %(objecttype)", "--batch-all-objects", "--unordered")
    said = leash.read(*every, most=_MOST_LISTED, repository=repository).decode("ascii", "replace")
    there = {oid: kind for oid, _, kind in (line.partition(" ") for line in said.splitlines()) if kind in KINDS}
    with _lines(tips) as asked:
        commits_ = ("rev-list", "--stdin", "--ignore-missing", "--missing=allow-any")
        reached = leash.read(*commits_, most=_MOST_LISTED, repository=repository, stdin=asked)
    known = {*tips, *reached.decode("ascii", "replace").split()}
    return sorted(oid for oid, kind in there.items() if kind != "blob" and oid not in known), there


def _and_others(named: Iterable[Named], there: dict[str, str]) -> Iterator[Named]:
    """Yield objects, and what else is there."""
    for one in named:
        there.pop(one.oid, None)
        yield one
    yield from (Named(oid=oid, kind=kind) for oid, kind in there.items())


def reading(leash: Leash, repository: Path, named: Sequence[Named], *, cap: int) -> Iterator[Blob]:
    """Yield those of some objects that are there, in their order."""
    with _lines(f"{one.oid} {_one_line(one.path)}" for one in named) as asked:
        process = leash.start("cat-file", _FORMAT, "--buffer", repository=repository, stdin=asked)
        yield from _blobs(process, cap, Missing())
        leash.check(process)


def origin(leash: Leash, repository: Path, named: Named) -> Origin | None:
    """Return the commit that brought an object: of several the newest."""
    if named.kind == "tag":
        return None
    where = ("--", named.path) if named.path else ()
    which = (
        ("--all", *_EACH, f"--find-object={named.oid}", *where) if named.kind == "blob" else ("--no-walk", named.oid)
    )
    said = leash.read("log", "-z", _ORIGIN, *which, most=_MOST_LOG, repository=repository)
    for entry in said.decode("utf-8", "replace").split("\x01")[1:]:
        found, changes = _entry(entry)
        if named.kind != "blob" or f" {named.oid} " in _after(changes):  # else this commit took it away
            return found
    return None


def commits(leash: Leash, repository: Path, blobs: Collection[str]) -> dict[str, str]:
    """Return by which commit each blob came, of several the newest: of many blobs in one walk of the history."""
    found: dict[str, str] = {}
    left = iter(blobs)
    while some := tuple(islice(left, _TOGETHER)):
        asked = (f"--find-object={oid}" for oid in some)
        said = leash.read("log", "-z", _ORIGIN, "--all", *_EACH, *asked, most=_MOST_LOG, repository=repository)
        for entry in said.decode("utf-8", "replace").split("\x01")[1:]:
            origin_, changes = _entry(entry)
            for oid in set(_after(changes).split()).intersection(some):
                found.setdefault(oid, origin_.commit)
    return found


def _entry(entry: str) -> tuple[Origin, str]:
    """Return the commit of an entry of the log, and what it changed."""
    facts, _, changes = entry.partition("\n") if "\n" in entry else entry.partition("\0")
    commit, author, at, subject = (facts.split("\0")[0].split("\x02") + [""] * 4)[:4]
    return Origin(commit=commit, author=author, subject=subject, at=_moment(at)), changes or entry


def _after(changes: str) -> str:
    """What the lines of a raw diff say of the blobs that a commit leaves: the second of each pair of objects."""
    return "".join(f" {line.split(' ')[3]} " for line in changes.split(":")[1:] if line.count(" ") >= 4)  # noqa: PLR2004


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@contextmanager
def _revisions(
    leash: Leash, repository: Path, tips: Collection[str], done: Collection[str], kind: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Have the objects of one kind listed; whoever leaves early has it killed with the leash."""
    with _lines([*tips, *(f"^{oid}" for oid in done)]) as asked:
        only = (f"--filter=object:type={kind}", "--filter-provided-objects")
        yield leash.start(
            "rev-list", "--objects", "--stdin", "--ignore-missing", "--missing=print", *only,
            repository=repository,
            stdin=asked,
        )  # fmt: skip


@contextmanager
def _lines(lines: Iterable[str]) -> Iterator[IO[bytes]]:
    """Keep what a command reads in a file without a name: a pipe could fill while nobody reads."""
    with tempfile.TemporaryFile() as file:
        for line in lines:
            file.write(line.encode("utf-8", "replace") + b"\n")
        file.seek(0)
        yield file


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ")


def _blobs(process: subprocess.Popen[bytes], cap: int, missing: Missing) -> Iterator[Blob]:
    """Read what `cat-file --batch` says."""
    out = process.stdout
    assert out is not None  # noqa: S101 - a pipe
    while header := out.readline(_LONGEST_LINE):
        oid, kind, size, path = _header(header)
        if size < 0:
            missing.count += 1
            continue
        body = out.read(min(size, cap))
        left = size - len(body)
        while left > 0 and (piece := out.read(min(left, _PIECE))):
            left -= len(piece)
        if left or len(out.read(1)) != 1:
            return  # it was killed in the middle: whoever checks it says why
        yield Blob(oid=oid, kind=kind, path=path, size=size, body=body)


def _header(line: bytes) -> tuple[str, str, int, str]:
    """Return object, kind, size and path of a header; a size below nothing: it is not there."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if parts[-1] == b"missing" or (len(parts) > 1 and parts[1] == b"missing"):
        return "", "", -1, ""
    try:
        path = parts[3].decode("utf-8", "replace") if len(parts) > 3 else ""  # noqa: PLR2004 - it has four
        return parts[0].decode("ascii"), parts[1].decode("ascii"), int(parts[2]), path
    except (IndexError, ValueError):
        message = "git described an object in a way that is not known"
        raise BadContent(message, mend="this is a bug in leakwatch, or git is older than 2.39") from None
