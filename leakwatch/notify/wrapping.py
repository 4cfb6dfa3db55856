"""Paragraphs broken into lines, in scripts with spaces between words and in those without."""

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import combining, east_asian_width

_COLUMNS: Final = 72  # of a paragraph in the text part
_SPACES: Final = re.compile(r"[ \t\r\n]+")  # a no-break space is none of them
# Chinese and Japanese break between any two characters, but for what ends or begins something.
_WIDE: Final = "\u3001-\u303f\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff60"
_ENDS: Final = re.escape("、。，．：；！？）」』】》〉”’…・ー々〜～％ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
_BEGINS: Final = re.escape("（「『【《〈“‘")
_BETWEEN: Final = re.compile(rf"(?<=\S)(?<![{_BEGINS}])(?:(?<=[{_WIDE}])|(?=[{_WIDE}]))(?![{_ENDS}])(?=\S)")


def wrap(text: str, indent: str = "", first: str | None = None) -> str:
    """Break a paragraph into lines, the first of which may begin differently; addresses stay whole."""
    return "\n".join(_lines(text, indent, indent if first is None else first))


def _lines(text: str, indent: str, start: str) -> Iterator[str]:
    line, is_empty = start, True
    for piece, gap in _pieces(text):
        if is_empty:
            line += piece
        elif _width(line) + len(gap) + _width(piece) <= _COLUMNS:
            line += gap + piece
        else:
            yield line
            line = indent + piece
        is_empty = False
    if not is_empty:
        yield line


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stays on one line, each with what stands before it if both are on the same."""
    for word in _SPACES.split(text.strip(" \t\r\n")):
        for index, piece in enumerate(_BETWEEN.split(word) if word else ()):
            yield piece, "" if index else " "


def _width(text: str) -> int:
    """Return how many columns a text takes: an ideograph takes two."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
