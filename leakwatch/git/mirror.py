"""Mirrors: the repositories that were fetched, bare, on a disk of which they may take so much.

A mirror is a cache. What of it was listed stands in a file beside it, which moves only after that was committed; a
mirror that is lost is fetched again, and what was scanned before is known by its identity.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from subprocess import DEVNULL
from typing import Final

from leakwatch.errors import FetchError, TooLarge
from leakwatch.git.leash import Leash
from leakwatch.git.place import Place

_REFS: Final = "refs/theirs"  # their names mean nothing here: not even refs/replace
_ALL: Final = (f"+refs/*:{_REFS}/*", "^refs/pull/*/merge")  # a forge's trial merges hold nothing of their own
_FEW: Final = tuple(f"+refs/{kind}/*:{_REFS}/{kind}/*" for kind in ("heads", "tags", "notes"))
_MOST_REFS: Final = 50_000  # beyond, pull and merge requests are left out
_MOST_SAID: Final = 64_000_000  # bytes of refs
_MOST_PACKS: Final = 40
_LEFT_OVER: Final = 20  # commits that a forced push left behind, asked for by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Refs:
    """What a server says that there is."""

    digest: str  # of all of them: it changes when one of them moves
    count: int
    tips: Sequence[str] = field(repr=False)  # the objects that they name, each once


def refs(leash: Leash, place: Place) -> Refs:
    """Ask a server what it has. Raises FetchError."""
    said = leash.read(
        "ls-remote", "--refs", "--quiet", place.url, most=_MOST_SAID, protocols=place.protocols, config=place.config
    )
    lines = sorted(line for line in said.splitlines() if line and not _is_trial(line))
    return Refs(
        digest=blake2b(b"\n".join(lines), digest_size=16).hexdigest(),
        count=len(lines),
        tips=_unique(line.split()[0].decode("ascii", "replace") for line in lines),
    )


def _is_trial(line: bytes) -> bool:
    name = line.partition(b"\t")[2]
    return name.startswith(b"refs/pull/") and name.endswith(b"/merge")


class Mirror:
    """One repository, fetched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.lock = threading.Lock()

    @property
    def is_there(self) -> bool:
        """Whether there is anything to read."""
        return (self.repository / "HEAD").exists()

    def size(self) -> int:
        """Return the bytes on disk."""
        return _size(self.folder)

    def borrow(self, leash: Leash, objects: Path, tips: Iterable[str]) -> None:
        """Read another repository's objects where they are, without its settings; its tips are refs here, too."""
        self._init(leash)
        (self.repository / "objects" / "info").mkdir(exist_ok=True)
        (self.repository / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
        lines = (f"{oid} {_REFS}/tips/{number}\n" for number, oid in enumerate(tips))
        (self.repository / "packed-refs").write_text("".join(lines), encoding="ascii")

    def sync(self, leash: Leash, place: Place, *, largest: int, found: Refs, wanted: Sequence[str] = ()) -> None:
        """Fetch what is new: no blob over `largest` bytes where the server can leave them out. Raises FetchError."""
        self._init(leash)
        specs = _ALL if found.count <= _MOST_REFS else _FEW
        self._fetch(leash, place, largest, specs)
        for oid in wanted[:_LEFT_OVER]:
            with suppress(FetchError):  # it is the host's to serve what no ref names any more
                self._fetch(leash, place, largest, (f"+{oid}:{_REFS}/leakwatch-left-over/{oid}",), prune=False)
        if sum(1 for _ in (self.repository / "objects" / "pack").glob("*.pack")) > _MOST_PACKS:
            leash.finish(leash.start("repack", "-a", "-d", "-q", repository=self.repository, stdout=DEVNULL))
        self.touch()

    def _init(self, leash: Leash) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.is_there:
            shutil.rmtree(self.repository, ignore_errors=True)
            new = ("init", "--quiet", "--bare", "--template=", str(self.repository))
            leash.finish(leash.start(*new, stdout=DEVNULL))

    def _fetch(self, leash: Leash, place: Place, largest: int, specs: Sequence[str], *, prune: bool = True) -> None:
        plain = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
        process = leash.start(
            "fetch", *plain, *(("--prune",) if prune else ()), f"--filter=blob:limit={largest}", "origin", *specs,
            repository=self.repository,
            protocols=place.protocols,
            config={**place.config, "remote.origin.url": place.url},
            stdout=DEVNULL,
        )  # fmt: skip
        try:
            leash.finish(process, grown=self.size)
        except FetchError:
            for begun in (self.repository / "objects" / "pack").glob("tmp_*"):
                begun.unlink(missing_ok=True)
            raise

    def tips(self, leash: Leash) -> list[str]:
        """Return the objects that refs name, each once."""
        said = leash.read("for-each-ref", "--format=%(objectname)", _REFS, most=_MOST_SAID, repository=self.repository)
        return _unique(said.decode("ascii", "replace").split())

    def listed(self) -> "Listed":
        """Return how far it was listed."""
        try:
            return Listed(**json.loads((self.folder / "listed.json").read_text()))
        except (OSError, ValueError, TypeError):
            return Listed()

    def write(self, listed: "Listed") -> None:
        """Keep how far it was listed: to be called once that has been committed."""
        if not self.folder.is_dir():
            return
        new = self.folder / f"listed.{os.getpid()}.{threading.get_ident()}"
        with suppress(OSError):  # a full disk: it is listed again, and what is known is known
            new.write_text(json.dumps({name: getattr(listed, name) for name in Listed.__dataclass_fields__}))
            new.replace(self.folder / "listed.json")

    def touch(self) -> None:
        """Have it be the last to go when the disk is needed."""
        with suppress(OSError):
            (self.folder / "used").touch()
            os.utime(self.folder / "used", (time.time(), time.time()))

    def remove(self) -> None:
        """Give its disk back."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """How far a mirror was listed."""

    refs: str = ""  # digest of what the server said, when all of it was listed
    done: Sequence[str] = ()  # tips of which everything was listed
    tips: Sequence[str] = ()  # tips that are being listed, in several jobs
    skip: int = 0  # objects of these that were listed


class Mirrors:
    """All mirrors of one folder, within its budget."""

    def __init__(self, folder: Path, budget: int) -> None:
        self.folder = folder
        self._budget = budget
        self._known: dict[str, Mirror] = {}
        self._lock = threading.Lock()

    @contextmanager
    def held(self, source: str, url: str) -> Iterator[Mirror]:
        """Hold one mirror: nobody else in this process changes or removes it meanwhile. Blocks."""
        name = blake2b(f"{source}\0{url}".encode("utf-8", "replace"), digest_size=12).hexdigest()
        with self._lock:
            mirror = self._known.setdefault(name, Mirror(self.folder / name))
        with mirror.lock:
            yield mirror

    def make_room(self, needed: int, keep: Mirror) -> None:
        """Remove the mirrors that were used longest ago, until so many bytes are free. Raises TooLarge."""
        others = sorted(self._others(keep), key=lambda found: found[0])
        taken = sum(size for _, size, _ in others) + keep.size()
        for _, size, mirror in others:
            if taken + needed <= self._budget:
                break
            if mirror.lock.acquire(blocking=False):
                try:
                    mirror.remove()
                finally:
                    mirror.lock.release()
                taken -= size
        if taken + needed > self._budget:
            message = f"the mirrors of repositories fill the {self._budget:,} bytes that they may take"
            raise TooLarge(message, mend="raise git.budget, or lower git.max_bytes", retry_after=60.0)

    def _others(self, keep: Mirror) -> Iterator[tuple[float, int, Mirror]]:
        """Yield the other mirrors with when they were used and their size."""
        if not self.folder.is_dir():
            return
        for entry in os.scandir(self.folder):
            if entry.is_dir(follow_symlinks=False) and entry.name != keep.folder.name:
                with self._lock:
                    mirror = self._known.setdefault(entry.name, Mirror(self.folder / entry.name))
                used = mirror.folder / "used"
                yield (used.stat().st_mtime if used.exists() else 0.0), mirror.size(), mirror


def _size(folder: Path) -> int:
    """Bytes of all files in a folder that is being written to."""
    total = 0
    for inside, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                total += os.lstat(Path(inside) / file).st_size
    return total


def _unique(oids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(oids))
