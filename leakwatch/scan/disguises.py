"""What a key may be hidden by in a text, deliberately or not, and how each disguise is undone.

A decoder reads bytes and yields every stretch that it can undo, with what stands there without the disguise. It never
decodes a whole text: a stretch is one encoded run, or the key characters around an escape. What comes of all decoders
together is the next layer (`layers`), to which they are applied again.

Each is linear in what it reads: a pattern begins with a byte that is rare, and stretches grow by strips. One that began
with "any key characters" would be tried from each of them.
"""

import binascii
import html
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import starmap
from typing import Final, NamedTuple

from leakwatch import pem
from leakwatch.core import KEY, SHORTEST, Span, line_break, rejoined, stretches

_FEW_KINDS: Final = 1_000  # of escapes that are remembered: a text has few, and many of each


class Undone(NamedTuple):
    """A stretch of bytes, and what they are without their disguise."""

    start: int
    end: int
    data: bytes

    def moved(self, by: int) -> "Undone":
        """Return the same, so many bytes further on."""
        return Undone(self.start + by, self.end + by, self.data)


Decoder = Callable[[bytes], Iterator[Undone]]
"""Yields what it can undo in some bytes."""

_TEXT: Final = re.compile(rb"[\t\n\r\x20-\x7e]{%d}" % SHORTEST)  # bytes that are no text have it once in a million


def percent(data: bytes) -> Iterator[Undone]:
    """Undo percent escapes: ``key%3Dabc``."""
    return _substituted(data, _PERCENT, _percents)


def backslash(data: bytes) -> Iterator[Undone]:
    r"""Undo what stands behind a backslash in JSON, Python, JavaScript, shells: ``\n``, ``\u002d``, ``\x2d``."""
    return _substituted(data, _BACKSLASH, _backslashes)


def entities(data: bytes) -> Iterator[Undone]:
    """Undo entities of HTML and XML: ``&amp;``, ``&#45;``, ``&#x2d;``."""
    return _substituted(data, _ENTITY, _entities)


def quoted_printable(data: bytes) -> Iterator[Undone]:
    """Undo mail's quoted-printable: ``=3D``, and ``=`` at the end of a line."""
    return _substituted(data, _QUOTED, _quoted)


def invisible(data: bytes) -> Iterator[Undone]:
    """Leave out characters that take no room: zero-width spaces and joiners, soft hyphens, marks of direction."""
    return _substituted(data, _INVISIBLE, partial(_INVISIBLE.sub, b""))


def tags(data: bytes) -> Iterator[Undone]:
    """Leave out tags of HTML, by which a highlighted key is cut into pieces."""
    return _substituted(data, _TAG, partial(_TAG.sub, b""))


def concatenation(data: bytes) -> Iterator[Undone]:
    """Join strings that code puts together: ``"sk-" + "abc"``, ``'sk-' 'abc'``, ``"sk-" . "abc"``."""
    return _substituted(data, _CONCATENATION, partial(_CONCATENATION.sub, b""))


def side_by_side(data: bytes) -> Iterator[Undone]:
    r"""Undo several of these next to one another in one key, which each alone takes for its end: ``%73k-\u0061``."""
    spans, kinds = _pieces(data)
    last = 0
    for start, end in stretches(data, spans):
        first, last = last, bisect_right(spans, (end, end), last)
        if end - start >= SHORTEST and len(found := {*kinds[first:last]}) > 1:
            undone = data[start:end]
            for kind in sorted(found):
                undone = _BESIDE[kind][1](undone)
            yield from kept(start, end, undone)


def _pieces(data: bytes) -> tuple[list[Span], list[int]]:
    """Return where escapes of all kinds are, in order, and which: of two over one another the first, or longer."""
    found = [
        (start, -end, kind)
        for kind, (pattern, _) in enumerate(_BESIDE)
        for start, end in map(re.Match.span, pattern.finditer(data))
    ]
    spans: list[Span] = []
    kinds: list[int] = []
    last = 0
    for start, before, kind in sorted(found):
        if start >= last:
            last = -before
            spans.append((start, last))
            kinds.append(kind)
    return spans, kinds


def broken_lines(data: bytes) -> Iterator[Undone]:
    """Join the end of a line with the beginning of the next where a key may have been broken there."""
    for end in _LINE_ENDS:
        yield from starmap(Undone, rejoined(data, end))


def margins(data: bytes) -> Iterator[Undone]:
    """Take from the lines of private keys what a quotation, a comment or a diff has put before them."""
    for start, stop in pem.blocks(data):
        if (bare := pem.without_margins(line_break(b"\\\n").sub(b"", data[start:stop]))) != data[start:stop]:
            yield Undone(start, stop, bare)


def wide(data: bytes) -> Iterator[Undone]:
    """Take the zero bytes out of UTF-16 and UTF-32, of either order."""
    if b"\0" not in data:
        return
    for at, step, pattern in _WIDE:
        for found in pattern.finditer(data):
            yield Undone(found.start(), found.end(), found[0][at::step])


def _substituted(data: bytes, pattern: re.Pattern[bytes], undo: Callable[[bytes], bytes]) -> Iterator[Undone]:
    """Undo every stretch of key characters, and every private key, that holds something which a pattern finds."""
    for start, end in stretches(data, [*map(re.Match.span, pattern.finditer(data))]):
        if end - start >= SHORTEST:  # nothing becomes longer than it was
            yield from kept(start, end, undo(data[start:end]))
    for start, end in pem.blocks(data):
        if pattern.search(data, start, end):
            yield Undone(start, end, undo(data[start:end]))


def _each(pattern: re.Pattern[bytes], undo: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Undo everything in a stretch that a pattern finds, which has one group: all of it."""
    pieces = pattern.split(data)
    pieces[1::2] = map(undo, pieces[1::2])
    return b"".join(pieces)


def _percents(data: bytes) -> bytes:
    return _each(_PERCENT, lambda run: binascii.unhexlify(run.replace(b"%", b"")), data)


def _backslashes(data: bytes) -> bytes:
    return _each(_ESCAPE, _behind_backslash, data)


def _entities(data: bytes) -> bytes:
    return _each(_ONE_ENTITY, _entity, data)


def _quoted(data: bytes) -> bytes:
    return _each(_QUOTED, lambda run: binascii.unhexlify(b"".join(_QUOTED_BYTE.findall(run))), data)


def kept(start: int, end: int, undone: bytes) -> Iterator[Undone]:
    """Keep what a key can stand in."""
    if has_text(undone):
        yield Undone(start, end, undone)


def has_text(undone: bytes) -> bool:
    """Whether a key can stand in it: a decoder that is given what is none of its kind makes noise of it."""
    return (
        _TEXT.search(undone) is not None
        or (b"\0" in undone and _ANY_WIDE.search(undone) is not None)
        or (not undone.isascii() and _TEXT.search(_INVISIBLE.sub(b"", undone)) is not None)
    )


@lru_cache(_FEW_KINDS)
def _behind_backslash(escape: bytes) -> bytes:
    code, rest = escape[1:2], escape[2:].strip(b"{}")
    if rest and code in b"uUx":
        number = int(rest, 16)
        return chr(number).encode("utf-8", "surrogatepass") if number <= sys.maxunicode else b" "
    return bytes([int(code + rest, 8) & 0xFF]) if code in b"01234567" else _CONTROLS.get(escape[1:], escape[1:])


@lru_cache(_FEW_KINDS)
def _entity(entity: bytes) -> bytes:
    return html.unescape(entity.decode()).encode("utf-8", "surrogatepass")


def _run(one: bytes) -> re.Pattern[bytes]:
    """Return a pattern of one thing or several in a row, as a group; it begins as that does, which is searched fast."""
    return re.compile(b"(%s(?:%s)*+)" % (one, one))


def _closing(before: bytes) -> bytes:
    """Return a pattern of a string's end behind some characters; it begins with what is searched fast."""
    return rb"[\\\"'`](?<=" + before + rb".)(?:(?<=\\)\\{0,2}+[\"'`]|(?<!\\))"


_CONTROLS: Final[Mapping[bytes, bytes]] = {
    **dict.fromkeys((b"n", b"r", b"t", b"b", b"f", b"v", b"a"), b"\n"),
    b"\n": b"",
    b"\r\n": b"",
}
_SPACE: Final = rb"(?:[ \t\r\n]|\\\r?\n|\\[nrt]){0,200}+"
_OPENING: Final = rb"\\{0,3}+[\"'`]"  # in a string it has backslashes of its own
# A part of a character behind a backslash would break it.
_BEHIND_BACKSLASH: Final = (
    rb"(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}"
    rb"|[0-7]{1,3}|\r\n|[\x00-\x7f])"
)
_ESCAPE: Final = re.compile(rb"(\\" + _BEHIND_BACKSLASH + rb")")
_ONE_ENTITY: Final = re.compile(rb"(&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)")
_QUOTED_BYTE: Final = re.compile(rb"=([0-9A-F]{2})")
# Runs of escapes of one kind, each as one group, or what only parts a key.
_PERCENT: Final = _run(rb"%[0-9A-Fa-f]{2}")
_BACKSLASH: Final = _run(rb"\\" + _BEHIND_BACKSLASH)
_ENTITY: Final = _run(_ONE_ENTITY.pattern.replace(b"(", b"(?:", 1))
_QUOTED: Final = _run(rb"=(?:[0-9A-F]{2}|[ \t]{0,8}+\r?\n)")
_INVISIBLE: Final = _run(
    rb"(?:\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xc2\xad|\xcd\x8f|\xe1\xa0\x8e)"
)
_TAG: Final = _run(rb"</?[A-Za-z][^<>]{0,1000}+>")
_JOINT: Final = _SPACE + rb"(?:\.\.|\|\||[+.&])?+" + _SPACE + rb"[rRuUbBfF]{0,2}" + _OPENING
_CONCATENATION: Final = re.compile(_closing(KEY) + _JOINT + rb"(?=" + KEY + rb")")
# Side by side: before a quote another may end and behind it one begin, and a letter or digit behind an equals sign is
# likely the key's own.
_BEFORE: Final = rb"[A-Za-z0-9_.:~/+=;>}\x80-\xbf-]"
_BEHIND: Final = rb"(?=[A-Za-z0-9_.:~/+=%&\\<\xc2-\xef-])"
_MARKS_QUOTED: Final = _run(rb"=(?:3D|2[BDEF]|3A|5F|7E|[ \t]{0,8}+\r?\n)")
# In the order in which they are undone: what only parts a key goes first, since it is told by what stands around it.
_BESIDE: Final[Sequence[tuple[re.Pattern[bytes], Callable[[bytes], bytes]]]] = (
    *((pattern, partial(pattern.sub, b"")) for pattern in (re.compile(_closing(_BEFORE) + _JOINT + _BEHIND), _TAG)),
    (_INVISIBLE, partial(_INVISIBLE.sub, b"")),
    (_MARKS_QUOTED, partial(_each, _MARKS_QUOTED, _quoted)),
    (_ENTITY, _entities),
    (_run(rb"\\(?!\\{0,2}[\"'`])" + _BEHIND_BACKSLASH), _backslashes),
    (_PERCENT, _percents),
)
_LINE_ENDS: Final = (b"\n", b"\r\n", b"\\\n", b"\\n")
_WIDE: Final = tuple(
    (at, step, re.compile(pattern))
    for at, step, pattern in (
        (0, 2, rb"(?:[\t\r\n\x20-\x7e]\x00){16,}+"),
        (1, 2, rb"(?:\x00[\t\r\n\x20-\x7e]){16,}+"),
        (0, 4, rb"(?:[\t\r\n\x20-\x7e]\x00{3}){16,}+"),
        (3, 4, rb"(?:\x00{3}[\t\r\n\x20-\x7e]){16,}+"),
    )
)
_ANY_WIDE: Final = re.compile(b"|".join(pattern.pattern for _, _, pattern in _WIDE))
