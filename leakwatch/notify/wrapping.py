"""Paragraphs of a text mail broken into lines, in scripts with spaces between words and in those without.

A line may end at a space, and beside a Chinese or Japanese character wherever typesetters end one: never before a
closing mark or a small kana, nor after an opening one. Words of an alphabet and addresses stay whole. A wide character
takes two columns, as mail programs and terminals show it.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

_SPACE: Final = re.compile(r"[\t\n\v\f\r ]+")  # a no-break space is none
_HANGUL: Final = re.compile(r"[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")  # written with spaces
_FIRST_WIDE: Final = "\u1100"
_MARKS: Final = ("Mn", "Me", "Cf")  # categories of characters: what is drawn on the one before, or not at all
_NOT_FIRST: Final = ("Pe", "Pf", "Po", "Lm")  # closing marks, stops, and what lengthens or repeats the one before
_NOT_LAST: Final = ("Ps", "Pi")  # opening marks


def wrap(text: str, columns: int, *, first: str = "", indent: str = "") -> str:
    """Break a paragraph into lines of at most so many columns; only what cannot be broken is longer."""
    lines: list[str] = []
    line, used = first, width(first)
    is_empty = True
    for gap, piece in _pieces(text):
        more = len(gap) + width(piece)
        if is_empty:
            line, used, is_empty = line + piece, used + width(piece), False
        elif used + more <= columns:
            line, used = line + gap + piece, used + more
        else:
            lines.append(line)
            line, used = indent + piece, width(indent + piece)
    return "\n".join((*lines, line))


def width(text: str) -> int:
    """Return how many columns a text takes: two for a wide character, none for a mark on the one before it."""
    return len(text) if text.isascii() else sum(map(_width, text))


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    if unicodedata.category(character) in _MARKS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stays on one line, and before it the space that vanishes where a line ends."""
    for word in filter(None, _SPACE.split(text)):
        start, gap = 0, " "
        for end in _breaks(word):
            yield gap, word[start:end]
            start, gap = end, ""
        yield gap, word[start:]


def _breaks(word: str) -> Iterator[int]:
    """Yield where a line may end within a word. In an address, where only its reader could tell, it may not."""
    if max(word) < _FIRST_WIDE or "@" in word or "://" in word:
        return
    for place, pair in enumerate(pairwise(word), 1):
        if _may_part(*pair):
            yield place


@lru_cache(maxsize=4096)
def _may_part(before: str, after: str) -> bool:
    """Say whether a line may end between two characters of a word."""
    if not (_is_free(before) or _is_free(after)) or before.isdecimal():  # a number stays with what it counts
        return False
    if " LETTER SMALL " in unicodedata.name(after, ""):  # a kana: a Latin one is a SMALL LETTER
        return False
    return unicodedata.category(before) not in _NOT_LAST and unicodedata.category(after) not in _NOT_FIRST + _MARKS


def _is_free(character: str) -> bool:
    """Say whether a character belongs to a script without spaces."""
    return _width(character) > 1 and not _HANGUL.match(character)
