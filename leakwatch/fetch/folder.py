"""A folder of this machine: each file is a document, and another when it changes. The kernel says when one does."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from watchfiles import awatch

from leakwatch.errors import Blocked, Gone, TooLarge
from leakwatch.fetch.listing import MOST_ITEMS, Listing
from leakwatch.fetch.page import Page
from leakwatch.fetch.source import Source
from leakwatch.fetch.trace import Poll, Trace
from leakwatch.model import Batch, Checkpoint, Document, Reference

MOST_FILES: Final = 1_000_000
_SLACK: Final = 2_000_000_000  # nanoseconds: clocks of file systems are coarse


@dataclass(frozen=True, slots=True)
class _File:
    path: str  # within the folder
    changed: int  # nanoseconds: content, name or rights
    version: str


async def poll(source: Source, checkpoint: Checkpoint | None, trace: Trace) -> Poll:
    """List what has changed since the last poll, the oldest first. Raises FetchError."""
    root = folder(source)
    since = int((checkpoint or {}).get("since") or 0)
    files = await asyncio.to_thread(_changed, source, root, since)
    taken = files[:MOST_ITEMS]
    references = tuple(_reference(root, file) for file in taken)
    trace.url, trace.left = root.as_uri(), len(files) - len(taken)
    trace.listing = Listing(documents=(), references=references, items=len(files), hits={}, notes=())
    reached = max((file.changed for file in taken), default=since)
    batch = Batch(source=source.name, references=references, checkpoint={"since": reached})
    return Poll(batch=batch, trace=trace)


async def fetch(source: Source, reference: Reference) -> Document:
    """Read one file. Raises Gone, Blocked."""
    return await asyncio.to_thread(_fetched, source, reference)


async def changes(source: Source, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever something in the folder has changed, until told to stop. Raises OSError where there is none."""
    async for _ in awatch(folder(source), stop_event=stop, step=200):
        yield


def folder(source: Source) -> Path:
    """Return the folder that a source names."""
    return Path(unquote(urlsplit(source.base_url).path))


def _changed(source: Source, root: Path, since: int) -> list[_File]:
    if not root.is_dir():
        message = f"{source.name}: there is no such folder"
        raise Gone(message, mend="make it, or correct base_url")
    try:
        found = [file for file in _files(source, root, "") if file.changed > since - _SLACK]
    except PermissionError:
        message = f"{source.name}: the folder may not be read"
        raise Blocked(message, mend="let the user that leakwatch runs as read it") from None
    return sorted(found, key=lambda file: (file.changed, file.path))


def _files(source: Source, root: Path, within: str) -> Iterator[_File]:
    """Yield all files in a folder, without following links."""
    waiting, count = [within], 0
    while waiting:
        inside = waiting.pop()
        with os.scandir(root / inside) as entries:
            for entry in entries:
                name = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif entry.is_file(follow_symlinks=False):
                    count += 1
                    if count > MOST_FILES:
                        message = f"{source.name}: there are more than {MOST_FILES:,} files"
                        raise TooLarge(message, mend="move away what has been scanned")
                    facts = entry.stat(follow_symlinks=False)
                    yield _File(name, facts.st_ctime_ns, f"{facts.st_mtime_ns}-{facts.st_size}")


def _reference(root: Path, file: _File) -> Reference:
    path = file.path.encode("utf-8", "replace").decode("utf-8", "replace")  # a name need not be UTF-8
    url = (root / file.path).as_uri()
    return Reference(url=url, id=path, version=file.version, title=path.rpartition("/")[2], path=path)


def _fetched(source: Source, reference: Reference) -> Document:
    path, root = Path(os.fsdecode(unquote_to_bytes(urlsplit(reference.url).path))), folder(source).resolve()
    try:
        if not path.parent.resolve(strict=True).is_relative_to(root):
            raise Blocked(f"{source.name}: a file outside of the folder", mend="links out of it are not followed")
        body = _content(path, source.max_bytes)
    except (FileNotFoundError, NotADirectoryError):
        raise Gone(f"{source.name}: a file is gone", mend="nothing") from None
    except OSError as error:  # a link put in its place, or no right to read it
        message = f"{source.name}: a file cannot be read ({error.strerror})"
        raise Blocked(message, mend="let the user that leakwatch runs as read it") from None
    page = Page(url=reference.url, status=200, body=body[: source.max_bytes])
    return Document(reference=reference, text=page.text(), truncated=len(body) > source.max_bytes)


def _content(path: Path, most: int) -> bytes:
    """Return one byte more than is wanted, if there is one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError
        return file.read(most + 1)
