r"""Which disguises there may be in a text: searched for fast, that the decoders need not read all of it in vain.

A hint is what must stand in a text if its decoder is to lay anything bare there. It may also stand where nothing is
hidden: that costs time and nothing else. What decodes to something that no key has in it, as ``\n`` and ``&quot;`` do,
is no hint: there a run of key characters ends as it is.

Left out on purpose: a single letter or digit in quoted-printable (``=65``), which no mailer encodes, and a
letter or digit behind a backslash that is no escape (``\d``).
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from itertools import pairwise
from typing import Final, final

import hyperscan

from leakwatch.core import REACH, Shapes, Span
from leakwatch.scan import disguises, encoded, seams
from leakwatch.scan.disguises import Decoder
from leakwatch.scan.expressions import Search

_MARK: Final = rb"[_.:~/+=-]"
_BLANK: Final = rb"[ \t\r\n]"
_SPACE: Final = rb"(?:[ \t\r\n]|\\\r?\n|\\{1,3}[nrt](?:\",[ \t\r\n]*\")?)*"
_QUOTE: Final = rb"\\{0,3}[\"'`]"
_NAMES: Final = (
    rb"(?:lowbar|UnderBar|period|colon|sol|plus|equals|hyphen|dash|Tilde"
    rb"|shy|zwnj|zwj|ZeroWidthSpace|NoBreak|NegativeThinSpace|lrm|rlm)"
)

_JOINT: Final = _QUOTE + _SPACE + rb"(?:\|\||[+.&^*<>_ ]{1,3})?" + _SPACE + rb"[rRuUbBfF]{0,2}" + _QUOTE
_SHORT_JOINT: Final = rb"[\"'`] {0,2}[+.&]? {0,2}[\"'`]"
# What an escape may have next to it in a key that others hide, too.
_LEFT: Final = rb"[A-Za-z0-9_.:~/+=;>}-]"
_LINE_END: Final = rb"(?:\\|=[ \t]{0,8})\r?\n"  # in the same expression as the others it makes all of them slower
_LEFTS: Final = (_LEFT, _LINE_END, disguises.UNSEEN)
_LEFTS_OR_JOINT: Final = (*_LEFTS, _SHORT_JOINT)
_TAG_ENTITIES: Final = rb"(?:&(?:amp;){0,9}lt;/?[A-Za-z](?:[^<>&\x7f]|&[^lg]|&[lg][^t])*&(?:amp;){0,9}gt;)+"
_RIGHT: Final = rb"[A-Za-z0-9_.:~/+=%&\\<\xc2-\xf3-]"

HINTS: Final[Mapping[Decoder, Sequence[bytes]]] = {
    # Always, since it is as fast as a hint, and the first, since it alone tells in which line something stands.
    disguises.broken_lines: (),
    disguises.percent: (rb"%[0-9A-Fa-f]{2}",),
    disguises.backslash: (
        rb"\\(?:[ux][0-9A-Fa-f{]{2}|[0-7]{3}|U000)",
        *(left + rb"\\{1,3}(?:=|" + _MARK + _RIGHT + rb"|\r?\n" + _RIGHT + rb")" for left in _LEFTS_OR_JOINT),
    ),
    disguises.entities: (
        rb"&(?:amp;){0,9}#[0-9xX]",
        rb"&(?:amp;){0,9}" + _NAMES + rb";",
        *(left + _TAG_ENTITIES + _RIGHT for left in _LEFTS),
    ),
    disguises.quoted_printable: (
        *(left + rb"=[ \t]{0,8}\r?\n" + _RIGHT for left in _LEFTS_OR_JOINT),
        rb"=(?:3D|2[BDEF]|3A|5F|7E|E2=8[01]|EF=BB|C2=AD|CD=8F|E1=A0)",
        rb"(?:=[2-7][0-9A-F]){2}",
    ),
    disguises.invisible: (disguises.UNSEEN, _LEFT + disguises.SELDOM_SEEN),
    disguises.tags: tuple(
        left + rb"(?:<(?:/?[A-Za-z]|!--)[^<>\x7f]*>)+(?:[\"'`]|" + _RIGHT + rb")" for left in _LEFTS_OR_JOINT
    ),
    disguises.concatenation: (_LEFT + _JOINT + _RIGHT, disguises.UNSEEN + _SHORT_JOINT + _RIGHT),
    seams.seams: seams.HINTS,
    disguises.side_by_side: (),  # where hints of two others are near each other
    encoded.base64: (),  # where its shapes are
    encoded.packed: encoded.PACKED_IN_BASE64,
    encoded.hexadecimal: (),  # the same
    encoded.packed_hexadecimal: encoded.PACKED_IN_HEX,
    encoded.hexadecimal_list: (
        rb"0x[0-9A-Fa-f]{2}" + _BLANK + rb"*," + _BLANK + rb"*0x[0-9A-Fa-f]{2}" + _BLANK + rb"*,",
    ),
    encoded.character_codes: ((rb"[0-9]{2,3}," + _BLANK + rb"*") * 5,),
    disguises.wide: (  # four of the sixteen that its decoder takes, so there is hardly any in noise
        *(rb"(?:" + one + rb"){4}" for one in (rb"\x00[\t\r\n\x20-\x7e]", rb"[\t\r\n\x20-\x7e]\x00")),
        *(rb"\x00{3}[\t\r\n\x20-\x7e]\x00{3}",),
    ),
    disguises.margins: (b"PRIVATE KEY",),
}


_SHAPES: Final[Mapping[Decoder, Sequence[Sequence[bytes]]]] = {
    encoded.base64: encoded.IN_BASE64,
    encoded.hexadecimal: encoded.IN_HEX,
}

_BESIDE: Final = frozenset(
    (
        disguises.percent,
        disguises.backslash,
        disguises.entities,
        disguises.quoted_printable,
        disguises.invisible,
        disguises.tags,
        disguises.concatenation,
    )
)
# These undo what stands near a hint alone; the others make something of the whole text, or of what may be long.
_NEAR: Final = _BESIDE - {disguises.invisible} | {disguises.side_by_side, seams.seams}
_APART: Final = disguises.concatenation  # in one automaton with the others it makes all of them half as fast …
_NOT_ASCII: Final = disguises.invisible  # … and so does this, of which most texts have nothing
_FEW: Final = 1_000  # hints in any text …
_DENSE: Final = 256  # … and one in so many bytes more: beyond that a text is read as a whole
_CLOSE: Final = 256  # bytes between hints that are not worth another look around
_FAR: Final = REACH + 512  # bytes to either side of a hint: more than a key and an escape take
_TAG: Final = 1_024  # bytes: longer tags are none
_BRACKETS: Final[Mapping[Decoder, tuple[bytes, bytes]]] = {
    **dict.fromkeys((disguises.tags, disguises.side_by_side), (b"<", b">")),
    disguises.entities: (b"&lt;", b"&gt;"),
}
_NEXT: Final = _CLOSE + _TAG + 512  # bytes between hints of two disguises that may be in one key
_NEARBY: Final = 512  # bytes within which a line's end may be part of an escape; beyond it none is in a stretch


class _Search:
    """The hints of some decoders in one hyperscan database."""

    def __init__(self, hints: Mapping[Decoder, Sequence[bytes]]) -> None:
        self._hinted = [decoder for decoder, expressions in hints.items() for _ in expressions]
        expressions = [expression for those in hints.values() for expression in those]
        once = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH
        each = [hyperscan.HS_FLAG_DOTALL if one in _NEAR | _BESIDE else once for one in self._hinted]
        self._search, self._search_once = Search(expressions, each), Search(expressions, once)

    def __call__(self, data: bytes) -> tuple[Mapping[Decoder, Sequence[int]], AbstractSet[Decoder]]:
        """Return where hints end, of those close to one another the first; or which there are, if it costs less."""
        ends: dict[Decoder, list[int]] = {}
        room = _FEW + len(data) // _DENSE

        def on_match(hint: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            nonlocal room
            room -= 1
            those = ends.setdefault(self._hinted[hint], [])
            if not those or end - those[-1] >= _CLOSE:
                those.append(end)
            return room < 0

        self._search(data, on_match)
        if room >= 0:
            return ends, frozenset()
        dense: set[Decoder] = set()
        self._search_once(data, lambda hint, *_: dense.add(self._hinted[hint]))
        return {}, dense


@final
class Hints:
    """All hints. Threads may share it."""

    def __init__(self, hints: Mapping[Decoder, Sequence[bytes]]) -> None:
        self._decoders = [decoder for decoder in hints if decoder is not disguises.broken_lines]
        apart = {_APART, _NOT_ASCII}
        self._foreign, self._apart = (_Search({one: hints[one]}) for one in (_NOT_ASCII, _APART))
        self._search = _Search({decoder: those for decoder, those in hints.items() if decoder not in apart})
        self._shapes = Shapes(_SHAPES)

    def places(self, data: bytes) -> Iterator[tuple[Decoder, Sequence[Span]]]:
        """Yield the decoders that may lay something bare in some bytes, in their order, each with where."""
        yield disguises.broken_lines, [(0, len(data))]
        ends: dict[Decoder, Sequence[int]] = {}
        everywhere: set[Decoder] = set()
        for search in (self._search, self._apart) if data.isascii() else (self._search, self._apart, self._foreign):
            found, dense = search(data)
            ends |= found
            everywhere |= dense
        shaped = self._shapes.found(data)
        if ends or everywhere or shaped:
            yield from self._hinted(data, ends, everywhere, shaped)

    def _hinted(
        self,
        data: bytes,
        ends: dict[Decoder, Sequence[int]],
        everywhere: set[Decoder],
        shaped: Mapping[Decoder, Sequence[Span]],
    ) -> Iterator[tuple[Decoder, Sequence[Span]]]:
        """Yield the decoders of which there are hints: with where these are or, if `everywhere`, with all of it."""
        beside = _beside(ends)
        if everywhere & _BESIDE and len((everywhere | ends.keys()) & _BESIDE) > 1:
            everywhere.add(disguises.side_by_side)
        elif beside:
            ends[disguises.side_by_side] = ()
        # A private key is longer than what lies around a hint.
        everywhere |= ends.keys() if disguises.margins in everywhere | ends.keys() else ends.keys() - _NEAR
        for decoder in self._decoders:
            if decoder in everywhere:
                yield decoder, [(0, len(data))]
            elif decoder in ends:
                spans = beside if decoder is disguises.side_by_side else [(end, end) for end in ends[decoder]]
                yield decoder, _windows(data, decoder, spans)
            elif decoder in shaped:
                yield decoder, _near_together(shaped[decoder])


def _beside(ends: Mapping[Decoder, Sequence[int]]) -> list[Span]:
    """Return from where to where hints of two decoders are near enough for one key to be under both."""
    every = sorted((end, number) for number, (one, those) in enumerate(ends.items()) if one in _BESIDE for end in those)
    return [(end, then) for (end, one), (then, other) in pairwise(every) if one != other and then - end < _NEXT]


def _windows(data: bytes, decoder: Decoder, ends: Sequence[Span]) -> list[Span]:
    """Return what must be read for the stretches in which hints end, from the first of some to the last of them."""
    spans: list[Span] = []
    for first_end, last_end in ends:
        first, last = _around(data, _hidden(decoder, data, first_end), last_end)
        if spans and first <= spans[-1][1]:
            first, _ = spans.pop()
        spans.append((first, last))
    return spans


def _near_together(runs: Sequence[Span]) -> list[Span]:
    """Return from where to where runs stand of which each is close to the next."""
    first, last = runs[0]
    spans: list[Span] = []
    for start, end in runs:
        if start - last >= _CLOSE:
            spans.append((first, last))
            first = start
        last = end
    return [*spans, (first, last)]


def _hidden(decoder: Decoder, data: bytes, end: int) -> int:
    """Where that begins which a hint that ends there has found: of tags there may be many, and long ones."""
    begin = end - 1
    if decoder is disguises.side_by_side:  # behind the tags there may be more of the key
        begin = data.rfind(b">", max(0, end - _NEARBY), end) + 1 or begin
    opening, closing = _BRACKETS.get(decoder, (b"", b""))
    while closing and data.endswith(closing, 0, begin):
        opened = data.rfind(opening, max(0, begin - _TAG), begin)
        if opened < 0:
            break
        begin = opened
    return begin


def _around(data: bytes, begin: int, end: int) -> Span:
    """What must be read for a stretch in which a hint stands."""
    first, last = max(0, begin - _FAR), min(end + _FAR, len(data))
    line_end = data.find(b"\n", end + _NEARBY, last)
    return max(first, data.rfind(b"\n", first, max(first, begin - _NEARBY))), last if line_end < 0 else line_end


@cache
def hints() -> Hints:
    """Return those of all decoders, compiled once."""
    return Hints(HINTS)
