r"""Which disguises there may be in a text: one pass of hyperscan, that the decoders need not read all of it in vain.

A hint is what must stand in a text if its decoder is to lay anything bare there. It may also stand where nothing is
hidden: that costs time and nothing else. What decodes to something that no key has in it, as ``\n`` and ``&quot;`` do,
is no hint: there a run of key characters ends as it is.

Left out on purpose: a single letter or digit in quoted-printable (``=65``), which no mailer encodes, and a
letter or digit behind a backslash that is no escape (``\d``).
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final, final

import hyperscan

from leakwatch.core import KEY, REACH, Span
from leakwatch.scan import disguises, encoded
from leakwatch.scan.disguises import Decoder
from leakwatch.scan.expressions import Search

_MARK: Final = rb"[_.:~/+=-]"
_BLANK: Final = rb"[ \t\r\n]"
_SPACE: Final = rb"(?:[ \t\r\n]|\\\r?\n|\\[nrt])*"
_QUOTE: Final = rb"\\{0,3}[\"'`]"
_INVISIBLE: Final = rb"(?:\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xc2\xad|\xcd\x8f|\xe1\xa0\x8e)"
_NAMES: Final = (
    rb"(?:lowbar|UnderBar|period|colon|sol|plus|equals|hyphen|dash|Tilde"
    rb"|shy|zwnj|zwj|ZeroWidthSpace|NoBreak|NegativeThinSpace|lrm|rlm)"
)
_DIGITS: Final = rb"(?:[2-7][0-9A-Fa-f]|0[9AaDd])"

_JOINT: Final = _QUOTE + _SPACE + rb"(?:\.\.|\|\||[+.&])?" + _SPACE + rb"[rRuUbBfF]{0,2}" + _QUOTE
# Escapes as they stand in a key, whatever they stand next to.
_ESCAPES: Final = (
    rb"%[0-9A-Fa-f]{2}",
    rb"\\(?:u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|[0-7]{3}|U000[0-9A-Fa-f]{5}|\r?\n|" + _MARK + rb")",
    rb"&(?:amp;){0,9}(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|" + _NAMES + rb");",
    rb"=(?:3D|2[BDEF]|3A|5F|7E|[ \t]{0,8}\r?\n)",
    _INVISIBLE,
    rb"</?[A-Za-z][^<>]*>",
)

HINTS: Final[Mapping[Decoder, Sequence[bytes]]] = {
    disguises.percent: (rb"%[0-9A-Fa-f]{2}",),
    disguises.backslash: (
        rb"\\(?:[ux][0-9A-Fa-f{]{2}|[0-7]{3}|U000)",
        KEY + rb"\\{1,3}(?:=|" + _MARK + KEY + rb"|\r?\n(?:\\|" + KEY + rb"))",
    ),
    disguises.entities: (rb"&(?:amp;){0,9}#[0-9xX]", rb"&(?:amp;){0,9}" + _NAMES + rb";"),
    disguises.quoted_printable: (
        KEY + rb"=[ \t]{0,8}\r?\n" + KEY,
        rb"=(?:3D|2[BDEF]|3A|5F|7E|E2=8[01]|EF=BB|C2=AD|CD=8F|E1=A0)",
        rb"(?:=[2-7][0-9A-F]){2}",
    ),
    disguises.invisible: (KEY + _INVISIBLE,),
    disguises.tags: (KEY + rb"(?:</?[A-Za-z][^<>]*>)+" + KEY,),
    disguises.concatenation: (rb"[A-Za-z0-9_.:~/+=;>}-]" + _JOINT + rb"[A-Za-z0-9_.:~/+=%&\\<\xc2-\xef-]",),
    encoded.base64: encoded.IN_BASE64,
    encoded.packed: encoded.PACKED_IN_BASE64,
    encoded.hexadecimal: (
        _DIGITS + rb"{16}",
        rb"(?:[2-7][0-9A-Fa-f]00){8}",
        rb"(?:1[Ff]8[Bb]08|78(?:9[Cc]|[Dd][Aa])|425[Aa]68|[Ff][Dd]377[Aa]58|28[Bb]52[Ff][Ff][Dd])[0-9A-Fa-f]{26}",
        rb"0x[0-9A-Fa-f]{2}" + _BLANK + rb"*," + _BLANK + rb"*0x[0-9A-Fa-f]{2}" + _BLANK + rb"*,",
    ),
    encoded.character_codes: ((rb"[0-9]{2,3}," + _BLANK + rb"*") * 5,),
    disguises.wide: (rb"\x00[\t\r\n\x20-\x7e]?\x00",),
    # Beside these it is also looked for near strings that are put together, if there is a hint of another.
    disguises.side_by_side: tuple(
        escape + KEY + rb"*(?:" + b"|".join([other for other in _ESCAPES if other != escape] + [_JOINT]) + rb")"
        for escape in _ESCAPES
    ),
    # The last: of most lists it takes more room than all others, and must not take theirs.
    disguises.broken_lines: (),  # always: it is as fast as a hint
}


# These undo what stands near a hint alone; the others make something of the whole text, or of what may be long.
_ESCAPING: Final = frozenset(
    (disguises.percent, disguises.backslash, disguises.entities, disguises.quoted_printable, disguises.tags)
)
_NEAR: Final = _ESCAPING | {disguises.concatenation, disguises.side_by_side}
_PRIVATE: Final = b"PRIVATE KEY"
_FEW: Final = 1_000  # hints in any text …
_DENSE: Final = 64  # … and one in so many bytes more: beyond that a text is read as a whole
_CLOSE: Final = 256  # bytes between hints that are not worth another look around
_FAR: Final = REACH + 512  # bytes to either side of a hint: more than a key and an escape take
_TAG: Final = 1_024  # bytes: longer tags are none
_NEARBY: Final = 512  # bytes within which a line's end may be part of an escape; beyond it none is in a stretch


@final
class Hints:
    """All hints in one hyperscan database. Threads may share it."""

    def __init__(self, hints: Mapping[Decoder, Sequence[bytes]]) -> None:
        self._decoders = list(hints)
        self._hinted = [decoder for decoder, expressions in hints.items() for _ in expressions]
        expressions = [expression for expressions in hints.values() for expression in expressions]
        once = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH
        each = [hyperscan.HS_FLAG_DOTALL if decoder in _NEAR else once for decoder in self._hinted]
        self._search, self._search_once = Search(expressions, each), Search(expressions, once)

    def places(self, data: bytes) -> Iterator[tuple[Decoder, Sequence[Span]]]:
        """Yield the decoders that may lay something bare in some bytes, in their order, each with where."""
        whole = [(0, len(data))]
        # A private key is longer than what lies around a hint, and what lies around many is all there is.
        found = None if _PRIVATE in data else self._near(data)
        if found is None:
            found = {}
            self._search_once(data, lambda hint, *_: found.update({self._hinted[hint]: whole}))
        if beside := _beside(found):
            found[disguises.side_by_side] = _merged([*found.get(disguises.side_by_side, ()), *beside])
        for decoder in self._decoders:
            if decoder in found or not HINTS[decoder]:
                yield decoder, found[decoder] if decoder in _NEAR else whole

    def _near(self, data: bytes) -> dict[Decoder, list[Span]] | None:
        """Return what lies around hints, or None where there are so many that it costs more to tell them apart."""
        found: dict[Decoder, list[Span]] = {}
        noted: dict[Decoder, int] = {}  # where the hints ended of which what lies around is read
        room = _FEW + len(data) // _DENSE

        def on_match(hint: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            nonlocal room
            room -= 1
            decoder = self._hinted[hint]
            if end - noted.get(decoder, -_CLOSE) >= _CLOSE:
                noted[decoder] = end
                spans = found.setdefault(decoder, [])
                first, last = _around(data, _hidden(decoder, data, end), end)
                if spans and first <= spans[-1][1]:
                    first, _ = spans.pop()
                spans.append((first, last))
            return room < 0

        self._search(data, on_match)
        return None if room < 0 else found


def _beside(found: Mapping[Decoder, Sequence[Span]]) -> list[Span]:
    """Return what lies around strings that are put together, where another escape stands too."""
    joined = found.get(disguises.concatenation, ())
    if not joined or len(found) == 1:
        return []
    others = _merged([span for decoder in _ESCAPING for span in found.get(decoder, ())])
    if disguises.invisible in found:
        return list(joined)
    return [
        (start, end) for start, end in joined if (at := bisect_left(others, (end, end))) and others[at - 1][1] > start
    ]


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Return what some spans cover, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _hidden(decoder: Decoder, data: bytes, end: int) -> int:
    """Where that begins which a hint that ends there has found: of tags there may be many, and long ones."""
    begin = end - 1
    if decoder is disguises.side_by_side:  # behind the tags there may be more of the key
        begin = data.rfind(b">", max(0, end - REACH), end) + 1 or begin
    elif decoder is not disguises.tags:
        return begin
    while data[begin - 1 : begin] == b">" and (opened := data.rfind(b"<", max(0, begin - _TAG), begin)) >= 0:
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
