"""What could not be looked at, or not to its end: which file that is, and why, in words for a person."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from leakwatch.containers.limits import Cut

MISSING: Final = "a file in it is larger than is read, or is not there"
SKIPPED: Final = "more could be keys in it than is tried of one text: scan it in parts"
DISGUISED: Final = "more of it is under disguises than is undone of one text, in bytes: scan it in parts, or undo them"
TRUNCATED: Final = "it is longer than is read of one file"
_CUT: Final[Mapping[str, str]] = {
    Cut.BYTES: "there is more in it than is taken out of one file",
    Cut.RATIO: "it unpacks to more than an honest file of its size",
    Cut.MEMBERS: "it has more members than are taken out of one file",
    Cut.DEPTH: "containers are nested in it more deeply than they are opened",
    Cut.NAME: "the path of a member is longer than is looked at",
    Cut.PAGES: "a PDF has more pages than are read",
    Cut.ENCRYPTED: "it is encrypted, or something in it is",
    Cut.METHOD: "it, or something in it, is packed in a way that is not known here",
    Cut.BROKEN: "it, or something in it, is broken or takes more memory than is given: what could be read was",
    Cut.MEMORY: "to open it takes more memory than is given",
    Cut.CRASHED: "the process that opened it died",
    Cut.TIMED_OUT: "to open it takes too long",
}


class Problem(NamedTuple):
    """Something that nobody has looked at."""

    path: str  # redacted; or "(…)" for what has none
    why: str


Problems = Counter[Problem]
"""How often each occurred."""


def unopened(path: str, cut: Counter[str]) -> Problems:
    """Return what was left alone in a container. A link in it is none: what it leads to has a place of its own."""
    return Counter({Problem(path, _CUT[word]): count for word, count in cut.items() if word in _CUT})


def told(problems: Problems, most: int) -> Iterator[str]:
    """Yield a line for each problem, up to so many, and one for the rest."""
    for (path, why), count in islice(problems.items(), most):
        yield f"{path}: {why}" + (f" (× {count:,})" if count > 1 else "")
    if len(problems) > most:
        yield f"{len(problems) - most:,} more could not be looked at; --format json names all"
