r"""Which disguises there may be in a text: one pass of hyperscan, that the decoders need not read all of it in vain.

A hint is what must stand in a text if its decoder is to lay anything bare there. It may also stand where nothing is
hidden: that costs time and nothing else. What decodes to something that no key has in it, as ``\n`` and ``&quot;`` do,
is no hint: there a run of key characters ends as it is.

Left out on purpose: a single letter or digit in quoted-printable (``=65``), which no mailer encodes, and a
letter or digit behind a backslash that is no escape (``\d``).
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, final

import hyperscan

from leakwatch.scan import disguises
from leakwatch.scan.disguises import Decoder
from leakwatch.scan.expressions import Search

_KEY: Final = rb"[A-Za-z0-9_.:~/+=-]"
_MARK: Final = rb"[_.:~/+=-]"
_BLANK: Final = rb"[ \t\r\n]"
_SPACE: Final = rb"(?:[ \t\r\n]|\\\r?\n|\\[nrt])*"
_QUOTE: Final = rb"\\{0,3}[\"'`]"
_MARGIN: Final = rb"[ \t]{0,80}(?:[>|#*]{1,3}[ \t]{0,8})?"
_BREAK: Final = rb"(?:\\?\r?\n|\\n)" + _MARGIN
_MIXED: Final = rb"(?:[0-9]|[a-z][A-Z]{1,3}[a-z]{1,3}[A-Z]{1,3}[a-z])"  # as words are not
_INVISIBLE: Final = rb"(?:\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xc2\xad|\xcd\x8f|\xe1\xa0\x8e)"
_NAMES: Final = (
    rb"(?:lowbar|UnderBar|period|colon|sol|plus|equals|hyphen|dash|Tilde"
    rb"|shy|zwnj|zwj|ZeroWidthSpace|NoBreak|NegativeThinSpace|lrm|rlm)"
)
_DIGITS: Final = rb"(?:[2-7][0-9A-Fa-f]|0[9AaDd])"

HINTS: Final[Mapping[Decoder, Sequence[bytes]]] = {
    disguises.percent: (rb"%[0-9A-Fa-f]{2}",),
    disguises.backslash: (
        rb"\\(?:[ux][0-9A-Fa-f{]{2}|[0-7]{3}|U000)",
        _KEY + rb"\\{1,3}(?:=|(?:" + _MARK + rb"|\r?\n)" + _KEY + rb")",
    ),
    disguises.entities: (rb"&(?:amp;){0,9}#[0-9xX]", rb"&(?:amp;){0,9}" + _NAMES + rb";"),
    disguises.quoted_printable: (
        _KEY + rb"=[ \t]{0,8}\r?\n" + _KEY,
        rb"=(?:3D|2[BDEF]|3A|5F|7E)",
        rb"(?:=[2-7][0-9A-F]){2}",
    ),
    disguises.invisible: (_KEY + _INVISIBLE,),
    disguises.tags: (_KEY + rb"(?:</?[A-Za-z][^<>]*>)+" + _KEY,),
    disguises.concatenation: (
        _KEY + _QUOTE + _SPACE + rb"(?:\.\.|\|\||[+.&])?" + _SPACE + rb"[rRuUbBfF]{0,2}" + _QUOTE + _KEY,
    ),
    disguises.base64: disguises.IN_BASE64,
    disguises.hexadecimal: (
        _DIGITS + rb"{16}",
        rb"(?:[2-7][0-9A-Fa-f]00){8}",
        rb"(?:1[Ff]8[Bb]08|78(?:9[Cc]|[Dd][Aa])|425[Aa]68|[Ff][Dd]377[Aa]58|28[Bb]52[Ff][Ff][Dd])[0-9A-Fa-f]{26}",
        rb"0x[0-9A-Fa-f]{2}" + _BLANK + rb"*," + _BLANK + rb"*0x[0-9A-Fa-f]{2}" + _BLANK + rb"*,",
    ),
    disguises.character_codes: ((rb"[0-9]{2,3}," + _BLANK + rb"*") * 5,),
    disguises.wide: (rb"\x00[\t\r\n\x20-\x7e]?\x00",),
    # The last: of most lists it takes more room than all others, and must not take theirs.
    disguises.broken_lines: (_MIXED + _KEY + rb"*" + _BREAK + _KEY, _KEY + _BREAK + _KEY + rb"*" + _MIXED),
}


@final
class Hints:
    """All hints in one hyperscan database. Threads may share it."""

    def __init__(self, hints: Mapping[Decoder, Sequence[bytes]]) -> None:
        self._decoders = [decoder for decoder, expressions in hints.items() for _ in expressions]
        expressions = [expression for expressions in hints.values() for expression in expressions]
        self._search = Search(expressions, hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL)

    def decoders(self, data: bytes) -> list[Decoder]:
        """Return the decoders that may lay something bare in some bytes, in their order."""
        found: set[int] = set()

        def on_match(hint: int, _start: int, _end: int, _flags: int, _context: object) -> None:
            found.add(hint)

        self._search(data, on_match)
        return list(dict.fromkeys(self._decoders[hint] for hint in sorted(found)))


@cache
def hints() -> Hints:
    """Return those of all decoders, compiled once."""
    return Hints(HINTS)
