"""All that is in a repository, for scanning it once: as objects, and each as a document."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from leakwatch import charset
from leakwatch.config import GitConfig, HttpConfig
from leakwatch.containers.kinds import sniff
from leakwatch.errors import TooLarge
from leakwatch.git import objects
from leakwatch.git.leash import Leash
from leakwatch.git.mirror import Mirror, refs
from leakwatch.git.objects import Blob, Missing
from leakwatch.git.place import Place, judged
from leakwatch.model import Document, Reference, Via

SCHEME: Final = "git+"  # of an object's address: no page that a browser opens


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A repository to be scanned once."""

    blobs: Iterator[Blob]  # all that it holds, each once. Blocks
    missing: Missing  # once they were read: how many files were left out for their size
    commits: Callable[[Collection[str]], Mapping[str, str]]  # that brought some blobs, as full ids. Blocks
    url: str  # where it is

    def document(self, blob: Blob) -> Document:
        """Return a blob as a document."""
        version = "" if blob.kind == "blob" else blob.kind
        address = f"{SCHEME}{self.url}"
        return document(blob, Reference(url=address, id=blob.oid, version=version, path=blob.path, via=Via.OBJECT))

    @property
    def documents(self) -> Iterator[Document]:
        """All that it holds, as documents."""
        return map(self.document, self.blobs)


def document(blob: Blob, reference: Reference) -> Document:
    """Return an object as the document of a reference to it, with its bytes where those are a container."""
    raw = None if sniff(blob.body) is None else blob.body
    return Document(reference=reference, text=charset.text(blob.body), truncated=blob.truncated, raw=raw)


@asynccontextmanager
async def history(
    where: str, *, http: HttpConfig, git: GitConfig, max_bytes: int, name: str = "git"
) -> AsyncIterator[History]:
    """Hold all that is in a repository, by its address or its folder: for scanning it once. Raises FetchError.

    It is read while it is asked for, which blocks. A folder is read where it is, without its own
    settings. Nothing is kept.
    """
    url = await asyncio.to_thread(_address, where)
    place = await judged(url, allowed=http.networks, name=name)
    with (
        TemporaryDirectory(prefix="leakwatch-git-") as scratch,
        Leash(Path(scratch), agent=http.user_agent, seconds=git.timeout, most_bytes=git.max_bytes, where=name) as leash,
    ):
        mirror = Mirror(Path(scratch) / "mirror")
        here = await asyncio.to_thread(_here, leash, mirror, place, max_bytes)
        missing = Missing()
        yield History(
            blobs=objects.walking(
                leash,
                mirror.repository,
                here.tips,
                folders=[here.objects],
                there=here.every,
                cap=max_bytes,
                missing=missing,
            ),
            missing=missing,
            commits=partial(objects.commits, leash, mirror.repository),
            url=url,
        )


def _address(where: str) -> str:
    folder = Path(where)
    return folder.resolve().as_uri() if folder.is_dir() else where


class _Here(NamedTuple):
    """A repository's objects, at hand."""

    objects: Path  # the folder in which they are
    tips: Sequence[str]
    every: Mapping[str, str] = {}  # that is there, with its kind, where a tip may not lead to each


def _here(leash: Leash, mirror: Mirror, place: Place, max_bytes: int) -> _Here:
    """Have a repository's objects at hand.

    A local one's are borrowed, not copied; there what no ref leads to any more is a tip, too.
    """
    found = refs(leash, place)
    folder = Path(unquote(urlsplit(place.url).path)) if place.protocols == "file" else None
    inside = [folder / ".git" / "objects", folder / "objects"] if folder else []
    objects_there = next((one for one in inside if one.is_dir()), None)
    if objects_there is None:
        mirror.sync(leash, place, largest=max_bytes, found=found)
        return _Here(mirror.repository / "objects", mirror.tips(leash))
    mirror.borrow(leash, objects_there, found.tips)
    try:
        left, there = objects.stored(leash, mirror.repository, found.tips)
    except TooLarge:  # so many objects that their names alone would fill our memory
        return _Here(objects_there, found.tips)
    tips = [*found.tips, *left]
    mirror.borrow(leash, objects_there, tips)  # refs, too, so that what is found there has its commit named
    return _Here(objects_there, tips, there)
