"""What a key may be hidden by in a text, deliberately or not, and how each disguise is undone.

A decoder reads bytes and yields every stretch that it can undo, with what stands there without the disguise. It never
decodes a whole text: a stretch is one encoded run, or the key characters around an escape. What comes of all decoders
together and can hold a key is the next layer (`layers`), to which they are applied again.

Each is linear in what it reads: a pattern begins with a byte that is rare, and stretches grow by strips. One that began
with "any key characters" would be tried from each of them.
"""

import binascii
import html
import re
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import product, starmap
from typing import Final, NamedTuple

from leakwatch import pem
from leakwatch.core import KEY, SHORTEST, Span, line_break, rejoined, stretches

_FEW_KINDS: Final = 1_000  # of escapes that are remembered: a text has few, and many of each


class Undone(NamedTuple):
    """A stretch of bytes, and what they are without their disguise."""

    start: int
    end: int
    data: bytes
    joints: bytes = b""  # where in it lines begin that were joined, but the first: numbers of eight bytes …
    lines: bytes = b""  # … and where in the bytes that were read each of them begins, if they stand there in lines
    left: int = 0  # bytes of what was found at least, that were left alone: there is too much of it

    def moved(self, by: int) -> "Undone":
        """Return the same, so many bytes further on."""
        lines = array("Q", [line + by for line in numbers(self.lines)]).tobytes() if self.lines else b""
        return Undone(self.start + by, self.end + by, self.data, self.joints, lines, self.left)

    def origin(self, offset: int) -> int:
        """Return where in the bytes that were read something stands: within a line there, else in proportion."""
        if not self.lines:
            return min(self.start + offset * (self.end - self.start) // max(1, len(self.data)), self.end - 1)
        joints = numbers(self.joints)
        line = bisect_right(joints, offset) - 1
        begin = numbers(self.lines)[line] - joints[line] if line >= 0 else self.start
        return min(begin + offset, self.end - 1)

    def disguise(self, start: int, end: int) -> Span:
        """Return from where to where in the bytes that were read the disguise of something reaches."""
        return (self.origin(start), self.origin(end - 1) + 1) if self.lines else (self.start, self.end)


def numbers(packed: bytes) -> Sequence[int]:
    """Return numbers of eight bytes."""
    return memoryview(packed).cast("Q")


Decoder = Callable[[bytes], Iterator[Undone]]
"""Yields what it can undo in some bytes."""

_TEXT: Final = re.compile(rb"[\t\n\r\x20-\x7e]{%d}" % SHORTEST)  # bytes that are no text have it once in a million


def percent(data: bytes) -> Iterator[Undone]:
    """Undo percent escapes: ``key%3Dabc``."""
    return _substituted(data, _PERCENT)


def backslash(data: bytes) -> Iterator[Undone]:
    r"""Undo what stands behind a backslash in JSON, Python, JavaScript, shells: ``\n``, ``\u002d``, ``\x2d``."""
    return _substituted(data, _BACKSLASH)


def entities(data: bytes) -> Iterator[Undone]:
    """Undo entities of HTML and XML: ``&amp;``, ``&#45;``, ``&#x2d;``."""
    return _substituted(data, _ENTITY)


def quoted_printable(data: bytes) -> Iterator[Undone]:
    """Undo mail's quoted-printable: ``=3D``, and ``=`` at the end of a line."""
    return _substituted(data, _QUOTED)


def quoted_size(line: bytes) -> int:
    """Return how many bytes a line is without its quoted-printable escapes."""
    return len(_QUOTED.undo(line))


def invisible(data: bytes) -> Iterator[Undone]:
    """Leave out characters that take no room: zero-width spaces and joiners, soft hyphens, marks of direction."""
    return _substituted(data, _INVISIBLE)


def tags(data: bytes) -> Iterator[Undone]:
    """Leave out tags of HTML, by which a highlighted key is cut into pieces."""
    return _substituted(data, _TAG)


def concatenation(data: bytes) -> Iterator[Undone]:
    """Join strings that code puts together: ``"sk-" + "abc"``, ``'sk-' 'abc'``, ``"sk-" . "abc"``."""
    return _substituted(data, _CONCATENATION)


def side_by_side(data: bytes) -> Iterator[Undone]:
    r"""Undo several of these next to one another in one key, which each alone takes for its end: ``%73k-\u0061``."""
    for found in _BESIDE.finditer(data):
        [(start, end)] = stretches(data, [found.span()])
        if end - start < SHORTEST:
            continue
        kinds = {at % len(_SIDES) for at, group in enumerate(found.groups()) if group is not None}
        if len(kinds) > 1:
            undone = data[start:end]
            for kind in sorted(kinds, reverse=True):
                undone = _SIDES[kind].undo(undone)
            yield Undone(start, end, undone)


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
            start, end = found.start() - (not at), found.end()
            yield Undone(start, end, data[start + at : end : step])


def _substituted(data: bytes, hidden: "_Hidden") -> Iterator[Undone]:
    """Undo every stretch of key characters, and every private key, that holds something of a kind."""
    for start, end in stretches(data, [*map(re.Match.span, hidden.along.finditer(data))]):
        if end - start >= SHORTEST:  # nothing becomes longer than it was
            yield Undone(start, end, hidden.undo(data[start:end]))
    for start, end in pem.blocks(data):
        if hidden.one.search(data, start, end):
            yield Undone(start, end, hidden.undo(data[start:end]))


class _Hidden(NamedTuple):
    """What hides a part of a key."""

    first: bytes  # the pattern of its first byte, which is searched fast …
    rest: bytes  # … and of what makes sure of it
    undo: Callable[[bytes], bytes]  # all of it in some bytes
    one: re.Pattern[bytes]
    along: re.Pattern[bytes]  # all in one stretch, from the first to the last


def _hidden(
    first: bytes, rest: bytes, undo: Callable[[bytes], bytes] | None = None, overlapping: bytes = b""
) -> _Hidden:
    """`undo` makes of some bytes what is hidden in them; what only parts a key is left out."""
    one = re.compile(first + rest)
    return _Hidden(first, rest, undo or (lambda data: b"".join(one.split(data))), one, _along(first, rest, overlapping))


def _along(first: bytes, rest: bytes, overlapping: bytes = b"") -> re.Pattern[bytes]:
    """Return a pattern of one thing, or of several with nothing but key characters between.

    Where there is no room for a key around the first it finds nothing, which costs less than to look at each; only what
    is `overlapping` is found all the same, since in the middle of it another seems to begin.
    """
    bare = rb"(?>" + rest.replace(b"()", b"") + rb")"
    between = _possessive(rb"[A-Za-z0-9_.:~/+-]++|=(?!" + bare + rb")") if re.match(first, b"=") else KEY + rb"*+"
    several = rest + _possessive(between + first + rest)
    if overlapping == rest:
        return re.compile(first + several)
    next_ = rb"(?:" + KEY + rb"|" + first + bare + rb")"
    has_room = rb"(?:(?<=" + KEY + rb"{6}" + first + rb")|(?=" + bare + next_ + rb"{2}))"
    return re.compile(first + rb"(?:" + has_room + several + (rb"|" + overlapping if overlapping else b"") + rb")")


def _possessive(pattern: bytes) -> bytes:
    """Return a pattern of a thing any number of times.

    Its last branch matches nothing: without it Python before 3.11.5 goes on behind what was tried last, in vain.
    """
    return rb"(?:" + pattern + rb"|(?!))*+"


def _either(one: bytes, other: bytes) -> bytes:
    """Return a pattern of one thing or, where that is not, another."""
    return rb"(?:" + one + rb"|" + other + rb")"


def _run(one: bytes) -> re.Pattern[bytes]:
    """Return a pattern of one thing or several in a row, as a group; it begins as that does, which is searched fast."""
    return re.compile(rb"(" + one + _possessive(one) + rb")")


def _each(pattern: re.Pattern[bytes], undo: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Undo everything in a stretch that a pattern finds, which has one group: all of it."""
    pieces = pattern.split(data)
    pieces[1::2] = map(undo, pieces[1::2])
    return b"".join(pieces)


def _percents(data: bytes) -> bytes:
    return _each(_PERCENTS, _CHARACTERS.__getitem__, data)


class _Characters(dict[bytes, bytes]):
    """What runs of percent escapes are: of one escape, which there are most of, at hand."""

    def __missing__(self, run: bytes) -> bytes:
        return binascii.unhexlify(run.replace(b"%", b""))


def _backslashes(data: bytes) -> bytes:
    return _each(_ESCAPE, _behind_backslash, data)


def _entities(data: bytes) -> bytes:
    return _each(_ONE_ENTITY, _entity, data)


def _quoted(data: bytes) -> bytes:
    return _each(_QUOTEDS, lambda run: binascii.unhexlify(b"".join(_QUOTED_BYTE.findall(run))), data)


def has_text(undone: bytes) -> bool:
    """Whether a key can stand in it: a decoder that is given what is none of its kind makes noise of it."""
    return (
        _TEXT.search(undone) is not None
        or (b"\0" in undone and _TEXT.search(undone.replace(b"\0", b"")) and _ANY_WIDE.search(undone) is not None)
        or (not undone.isascii() and _TEXT.search(_INVISIBLES.sub(b"", undone)) is not None)
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


def _closing(before: bytes) -> bytes:
    """Return a pattern of what makes a quote, or a backslash before it, a string's end behind some characters."""
    return rb"(?<=" + before + rb".)(?:(?<=\\)\\{0,2}+[\"'`]|(?<!\\))"


_CONTROLS: Final[Mapping[bytes, bytes]] = {
    **dict.fromkeys((b"n", b"r", b"t", b"b", b"f", b"v", b"a"), b"\n"),
    b"\n": b"",
    b"\r\n": b"",
}
# Characters that take no room, as UTF-8, and those of them that stand in texts of some languages and beside pictures.
UNSEEN: Final = rb"(?:\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xc2\xad|\xcd\x8f|\xe1\xa0\x8e)"
SELDOM_SEEN: Final = (
    rb"(?:\xef\xb8[\x80-\x8f]|\xef\xbe\xa0|\xef\xbf[\xb9-\xbb]|\xd8\x9c|\xe1\x85[\x9f\xa0]|\xe1\xa0[\x8b-\x8f]"
    rb"|\xe2\xa0\x80|\xe3\x85\xa4|\xf3\xa0[\x80\x81\x84-\x87][\x80-\xbf])"
)
_SPACE: Final = rb"(?:[ \t\r\n]|\\\r?\n|\\{1,3}[nrt](?:\",[ \t\r\n]{0,200}+\")?+){0,200}+"  # of notebooks' lines, too
_OPENING: Final = rb"\\{0,3}+[\"'`]"  # in a string it has backslashes of its own
# A part of a character behind a backslash would break it.
_BEHIND_BACKSLASH: Final = (
    rb"(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}"
    rb"|[0-7]{1,3}|\r\n|[\x00-\x7f])"
)
_ESCAPE: Final = re.compile(rb"(\\" + _BEHIND_BACKSLASH + rb")")
_ANGLE: Final = rb"\\{0,3}+(?:u003|x3)"
# A tag of which only the brackets are escaped, as JSON for a page has it: what stands between may be no key's.
_TAG_BEHIND_BACKSLASH: Final = (
    rb"(?:" + _ANGLE + rb"[cC]/?[A-Za-z](?:[^\\<>\x7f]|\\(?!" + _ANGLE + rb"[cCeE])){0,1000}+\\" + _ANGLE + rb"[eE])"
)
_BEHIND_AMPERSAND: Final = rb"(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_ONE_ENTITY: Final = re.compile(rb"(&" + _BEHIND_AMPERSAND + rb")")
_AMPS: Final = rb"(?:amp;){0,9}+"
_TAG_BEHIND_AMPERSAND: Final = (
    rb"(?:" + _AMPS + rb"lt;/?[A-Za-z](?:[^&<>\x7f]|&(?!" + _AMPS + rb"[lg]t;)){0,1000}+&" + _AMPS + rb"gt;)"
)
_SOFT_END: Final = rb"[ \t]{0,8}+\r?\n"
_QUOTE: Final = rb"[\\\"'`]"
_QUOTED_BYTE: Final = re.compile(rb"=([0-9A-F]{2})")
# Runs of escapes of one kind, each as one group, or of what only parts a key.
_CHARACTERS: Final = _Characters(
    {b"%%%c%c" % digits: binascii.unhexlify(bytes(digits)) for digits in product(b"0123456789ABCDEFabcdef", repeat=2)}
)
_PERCENTS: Final = _run(rb"%[0-9A-Fa-f]{2}")
_QUOTEDS: Final = _run(rb"=(?:[0-9A-F]{2}|" + _SOFT_END + rb")")
_MARKS: Final = rb"(?:3D|2[BDEF]|3A|5F|7E|" + _SOFT_END + rb")"
_INVISIBLES: Final = _run(rb"(?:" + UNSEEN + rb"|" + SELDOM_SEEN + rb")")
_JOINT: Final = _SPACE + rb"(?:\.\.|\|\||\+\+|<>|<<|&[ ]?_|[+.&^*])?+" + _SPACE + rb"[rRuUbBfF]{0,2}" + _OPENING

_PERCENT: Final = _hidden(rb"%", rb"[0-9A-Fa-f]{2}", _percents)
_BACKSLASH: Final = _hidden(rb"\\", _either(_TAG_BEHIND_BACKSLASH, _BEHIND_BACKSLASH), _backslashes, rb"\\")
_ENTITY: Final = _hidden(rb"&", _either(_TAG_BEHIND_AMPERSAND, _BEHIND_AMPERSAND), _entities)
_QUOTED: Final = _hidden(rb"=", rb"(?:[0-9A-F]{2}|" + _SOFT_END + rb")", _quoted)
_INVISIBLE: Final = _hidden(
    rb"[\xc2\xcd\xd8\xe1-\xe3\xef\xf3]",
    rb"(?:(?<=\xe2)(?:\x80[\x8b-\x8f\xaa-\xae]|\x81[\xa0-\xaf]|\xa0\x80)|(?<=\xef)(?:\xbb\xbf|\xb8[\x80-\x8f]|\xbe\xa0|\xbf[\xb9-\xbb])"
    rb"|(?<=\xc2)\xad|(?<=\xcd)\x8f|(?<=\xd8)\x9c|(?<=\xe1)(?:\xa0[\x8b-\x8f]|\x85[\x9f\xa0])|(?<=\xe3)\x85\xa4"
    rb"|(?<=\xf3)\xa0[\x80\x81\x84-\x87][\x80-\xbf])",
)
_TAG: Final = _hidden(rb"<", rb"(?:/?[A-Za-z]|!--)[^<>\x7f]{0,1000}+>")
_JOINED: Final = _closing(KEY) + _JOINT + rb"(?=" + KEY + rb")"
_CONCATENATION: Final = _hidden(_QUOTE, _JOINED, overlapping=_JOINED)
# Side by side: before a quote another may end and behind it one begin, and a letter or digit behind an equals sign is
# likely the key's own.
_BEFORE: Final = rb"[A-Za-z0-9_.:~/+=;>}\x80-\xbf-]"
_BEHIND: Final = rb"(?=[A-Za-z0-9_.:~/+=%&\\<\xc2-\xf3-])"
# Those that are tried first there may be most of. The last is undone first: what only parts a key is told by what
# stands around it.
_SIDES: Final[Sequence[_Hidden]] = (
    _PERCENT,
    _hidden(rb"\\", _either(_TAG_BEHIND_BACKSLASH, rb"(?!\\{0,2}[\"'`])" + _BEHIND_BACKSLASH), _backslashes),
    _ENTITY,
    _hidden(rb"=", _MARKS, partial(_each, _run(rb"=" + _MARKS), _quoted)),
    _INVISIBLE,
    _TAG,
    _hidden(_QUOTE, _closing(_BEFORE) + _JOINT + _BEHIND),
)
_BESIDE: Final = _along(
    rb"[\\\"'`<\xc2\xcd\xd8\xe1-\xe3\xef\xf3=&%]",
    rb"(?:" + b"|".join(rb"(?<=" + side.first + rb")" + side.rest + rb"()" for side in _SIDES) + rb")",
)
_LINE_ENDS: Final = (b"\n", b"\r\n", b"\\\n", b"\\n", b"\\r\\n")
# Each pattern begins with a zero, which is searched fast: where characters go before their zeros, behind the first.
_WIDE: Final = tuple(
    (at, step, re.compile(pattern))
    for at, step, pattern in (
        (0, 2, rb"\x00(?<=[\t\r\n\x20-\x7e]\x00)(?:[\t\r\n\x20-\x7e]\x00){15,}+"),
        (1, 2, rb"(?:\x00[\t\r\n\x20-\x7e]){16,}+"),
        (0, 4, rb"\x00(?<=[\t\r\n\x20-\x7e]\x00)\x00\x00(?:[\t\r\n\x20-\x7e]\x00\x00\x00){15,}+"),
        (3, 4, rb"(?:\x00\x00\x00[\t\r\n\x20-\x7e]){16,}+"),
    )
)
_ANY_WIDE: Final = re.compile(b"|".join(pattern.pattern for _, _, pattern in _WIDE))
