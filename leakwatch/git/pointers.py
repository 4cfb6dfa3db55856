"""What a repository points at and does not hold: files of LFS, and submodules. They are told, and never followed.

A pointer's words are its author's: nothing of them becomes a request, and an address is shown only if it looks like one
in public, without whatever user it names.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from leakwatch.addresses import refusal
from leakwatch.git.objects import Blob
from leakwatch.model import Document

_LFS: Final = "version https://git-lfs.github.com/spec/v1\n"
_LONGEST: Final = 1024  # characters of a pointer, as git-lfs has it
_MODULES: Final = ".gitmodules"  # at the root: git reads no other
_URL: Final = re.compile(r"^[ \t]*url[ \t]*=[ \t]*(\S.*)$", re.MULTILINE)  # nothing to go back for in a long line
_MOST: Final = 100  # submodules of one file
_SCHEMES: Final = frozenset({"https", "http", "git", "ssh"})
_HOST: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z]{2,63}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointers:
    """What some documents of repositories point at."""

    files: int = 0  # that LFS keeps elsewhere
    submodules: int = 0
    shown: tuple[str, ...] = ()  # the addresses of those that may be shown, each once


def may_point(blob: Blob) -> bool:
    """Whether it is worth a look: asked of every blob."""
    return blob.path == _MODULES or blob.body.startswith(_LFS.encode())


def pointers(documents: Iterable[Document]) -> Pointers:
    """Return what some documents point at. An earlier version of a file points again."""
    files = submodules = 0
    addresses: dict[str, None] = {}
    for document in documents:
        text = document.text
        if text.startswith(_LFS) and len(text) <= _LONGEST:
            files += 1
        elif document.reference.path == _MODULES:
            found = _URL.findall(text)[:_MOST]
            submodules += len(found)
            addresses.update(dict.fromkeys(_public(map(str.rstrip, found))))
    return Pointers(files=files, submodules=submodules, shown=tuple(addresses))


def _public(addresses: Iterable[str]) -> Iterator[str]:
    """Yield those that lead somewhere public, as far as their look tells: nobody is asked."""
    for address in addresses:
        try:
            parts = urlsplit(address.strip('"'))
            host, port = parts.hostname or "", parts.port
        except ValueError:
            continue
        if parts.scheme in _SCHEMES and (_HOST.fullmatch(host) or not refusal(host)):
            where = f"[{host}]" if ":" in host else host
            yield f"{parts.scheme}://{where}{f':{port}' if port else ''}{parts.path}"
