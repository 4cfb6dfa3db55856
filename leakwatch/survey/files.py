"""What there is to look at: files, folders, pipes, standard input. Nothing is followed out of them."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol, final

from leakwatch.survey.unread import Problem, Problems

STDIN: Final = Path("-")
_TOGETHER: Final = 64  # files that one process takes at once …
_BYTES: Final = 4_000_000  # … or as many bytes
_LEFT: Final = frozenset({".git", ".hg", ".svn"})  # packed history: it must be unpacked by what wrote it


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, or all: fewer at the end."""


class Job(NamedTuple):
    """Some files for one process, and their size in bytes."""

    paths: tuple[str, ...]
    size: int


def is_endless(path: Path) -> bool:
    """Whether what somebody names is read as it comes: standard input, a pipe, a device."""
    return path == STDIN or not (path.is_file() or path.is_dir())


@final
class Bounded:
    """A stream of which no more than so many bytes are read."""

    def __init__(self, file: Readable, most: int) -> None:
        self._file = file
        self._left = most

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, or all: fewer at the end."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def has_more(self) -> bool:
        """Whether there is something beyond."""
        return not self._left and bool(self._file.read(1))


@final
class Folders:
    """Walks paths in order, and tells each file once, by whatever names it is asked for.

    What it leaves alone is counted in `left`, what it cannot read is told in `problems`.
    """

    def __init__(self, paths: Iterable[Path], *, largest: int) -> None:
        """`largest` is the size in bytes of the largest file that is looked at."""
        self._paths = tuple(paths)
        self._largest = largest
        self.left = Counter[str]()
        self.problems: Problems = Counter()
        self._seen: set[str] = set()  # folders that were walked, and files that were named, by their real paths

    def jobs(self) -> Iterator[Job]:
        """Yield all files, so many together."""
        together: list[str] = []
        size = 0
        for path, length in self._files():
            if together and (len(together) >= _TOGETHER or size + length > _BYTES):
                yield Job(tuple(together), size)
                together, size = [], 0
            together.append(path)
            size += length
        if together:
            yield Job(tuple(together), size)

    def _files(self) -> Iterator[tuple[str, int]]:
        for path in self._paths:
            real = path.resolve()
            if real.is_dir():
                yield from self._within(str(path), str(real))
            elif self._seen.isdisjoint((str(real), str(real.parent))):
                self._seen.add(str(real))
                yield from self._file(str(path), named=True)

    def _within(self, folder: str, real: str) -> Iterator[tuple[str, int]]:
        for root, folders, files in os.walk(folder, onerror=self._unread):
            here = real + root[len(folder) :]
            if here in self._seen:
                folders.clear()
                continue
            self._seen.add(here)
            self.left["history"] += len(_LEFT.intersection(folders))
            folders[:] = sorted(name for name in folders if name not in _LEFT)
            for name in sorted(files):
                # A Path for each file would cost as much as its scan.
                if os.path.join(here, name) not in self._seen:  # noqa: PTH118
                    yield from self._file(os.path.join(root, name), named=False)  # noqa: PTH118

    def _file(self, path: str, *, named: bool) -> Iterator[tuple[str, int]]:
        """A file with its size, if it is one to look at; whoever names a link means what it leads to."""
        try:
            found = os.stat(path, follow_symlinks=named)  # noqa: PTH116 - see above
        except OSError as error:
            self._unread(error)
            return
        if not stat.S_ISREG(found.st_mode):
            self.left["link" if stat.S_ISLNK(found.st_mode) else "special"] += 1
        elif found.st_size > self._largest:
            self.problems[Problem(path, f"{found.st_size:,} bytes, more than --max-size allows")] += 1
        else:
            yield path, found.st_size

    def _unread(self, error: OSError) -> None:
        self.problems[Problem(str(error.filename), str(error.strerror))] += 1
