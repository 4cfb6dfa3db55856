"""What hyperscan is asked to find: the shortest form of each pattern, and all of them in one database.

Hyperscan calls back at every end that a match may have and knows no longest match. So it looks for the
shortest form of a key, which has one length; with that it also tells the start of every match, overlapping
ones too. From there the whole pattern is walked with `re` (see `formats`).
"""

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, final

import hyperscan

_OPTIONAL_END: Final = re.compile(r"(?:=\{0,\d\}|\(\?:[^()]*\)\?)$")
_OPEN_REPEAT: Final = re.compile(r"\{(\d+),\d*\}$")
_ATOMS: Final = re.compile(r"\\.|\[[^\]]*\]|\(\?:")
_OPEN_LENGTH: Final = re.compile(r"[*+?]|\{\d*,")
_GROUP: Final = re.compile(r"\(\?:([^()]*)\)")
_UNIT: Final = re.compile(r"(?:\\.|\[[^\]]*\]|[^{}])(?:\{(\d+)\})?")
_CLASS: Final = re.compile(r"\[[^\]]*\]")
_ASCII: Final = "".join(map(chr, range(128)))


def shortest(pattern: str) -> str:
    """Return a pattern without what is optional at its end, and its last repeat cut to its least count."""
    return _OPEN_REPEAT.sub(r"{\1}", _OPTIONAL_END.sub("", pattern))


def alphabet(pattern: str) -> int:
    """Return how many characters the widest class of a pattern holds: the fewer, the more it tells."""
    return max(map(_size, _CLASS.findall(pattern)), default=1)


@cache
def _size(characters: str) -> int:
    return len(re.findall(characters, _ASCII))


def refusal(expression: str) -> str:
    """Return why an expression cannot be looked for, as far as its look tells, or ""."""
    if _OPEN_LENGTH.search(_ATOMS.sub("", expression)) or _is_uneven(expression):
        return f"{expression} has no one length: write the shortest form, or several, in `find`"
    return ""


def untaken(expressions: Sequence[str]) -> dict[str, str]:
    """Return which expressions hyperscan does not take, and why. One that is compiled alone takes milliseconds."""
    with suppress(hyperscan.error):
        compiled(expressions)
        return {}
    found: dict[str, str] = {}
    for expression in expressions:
        try:
            compiled([expression])
        except hyperscan.error as error:
            found[expression] = f"hyperscan does not take {expression}: {error}"
    return found


def _is_uneven(expression: str) -> bool:
    """Whether alternatives are not of one length: of two that end together only the longer would be found."""
    groups = [group.split("|") for group in _GROUP.findall(expression)]
    return any(len(set(map(_length, alternatives))) > 1 for alternatives in groups)


def _length(alternative: str) -> int:
    return sum(int(count or 1) for count in _UNIT.findall(alternative))


def compiled(expressions: Sequence[str]) -> hyperscan.Database:
    """Return one database; a match carries its expression's place in the sequence as its id."""
    return _compiled(tuple(expression.encode() for expression in expressions), hyperscan.HS_FLAG_SOM_LEFTMOST)


@cache
def _compiled(expressions: tuple[bytes, ...], flags: int | tuple[int, ...]) -> hyperscan.Database:
    database = hyperscan.Database()
    database.compile(expressions=expressions, ids=list(range(len(expressions))), elements=len(expressions), flags=flags)
    return database


OnMatch = Callable[[int, int, int, int, Any], bool | None]
"""Takes an expression's number, where its match begins and ends, flags, and what it was given; true ends the search."""


@final
class Search:
    """One database, and for each thread the working memory that hyperscan needs. Threads may share it."""

    def __init__(self, expressions: Sequence[bytes], flags: int | Sequence[int]) -> None:
        self._database = _compiled(tuple(expressions), flags if isinstance(flags, int) else tuple(flags))
        self._threads = threading.local()

    def __call__(self, data: bytes, on_match: OnMatch, given: object = None) -> None:
        """Tell of every match, in the order of their ends, until there is none left or it is enough."""
        try:  # not `suppress`, which takes longer than many a scan
            self._database.scan(data, match_event_handler=on_match, context=given, scratch=self._scratch())
        except hyperscan.ScanTerminated:
            return

    def _scratch(self) -> hyperscan.Scratch:
        scratch: hyperscan.Scratch | None = getattr(self._threads, "scratch", None)
        if scratch is None:
            scratch = self._threads.scratch = hyperscan.Scratch(self._database)
        return scratch
