r"""What is put into a key from without, and may as well part it from its neighbours: colours, ends of lines in lists.

What stands on either side may be one key, or two: so what is joined here tells where its pieces begin, as joined lines
do, and each is looked at alone, too. Of a key in a colour (``␛[31mKEY``) the letter of that is no part.
"""

import re
from array import array
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Final

from leakwatch import pem
from leakwatch.core import KEY, SHORTEST, stretches
from leakwatch.scan.disguises import Undone


def seams(data: bytes) -> Iterator[Undone]:
    r"""Leave out colours of terminals, ``\n", "`` of notebooks, and ``<br>`` where a line ends."""
    for start, end in stretches(data, [*map(re.Match.span, _SEAM.finditer(data))]):
        if end - start >= SHORTEST:
            edges = [start, *(at for found in _SEAM.finditer(data, start, end) for at in found.span()), end]
            if pieces := [(first, last) for first, last in [*pairwise(edges)][::2] if first < last]:
                yield _joined(data, pieces)
    for start, end in pem.blocks(data):
        if _SEAM.search(data, start, end):
            yield Undone(start, end, _SEAM.sub(b"", data[start:end]))


def _joined(data: bytes, pieces: list[tuple[int, int]]) -> Undone:
    joints = array("Q", accumulate(last - first for first, last in pieces[:-1]))
    lines = array("Q", [first for first, _ in pieces[1:]])
    joined = b"".join([data[first:last] for first, last in pieces])
    return Undone(pieces[0][0], pieces[-1][1], joined, joints.tobytes(), lines.tobytes())


_CODE: Final = rb"\[[0-9;:?]*[A-Za-z]"
_ITEM: Final = rb"n\",[ \t\r\n]*\"[ \t]*(?:[>|#*]{1,3}[ \t]{0,8})?"
# Each begins with a byte of its own. Escapes are as JSON, Python, C and shells have them, or loggers that show them.
EXPRESSIONS: Final = (
    rb"\x1b(?:" + _CODE + rb"|\(B)",
    rb"\\\\{0,2}(?:(?:u001[bB]|u\{1[bB]\}|x1[bB]|0?33|e)" + _CODE + rb"|(?:r\\{1,3})?" + _ITEM + rb")",
    rb"\^\[" + _CODE,
    rb"#033" + _CODE,
    rb"&#(?:27|[xX]1[bB]);" + _CODE,
    rb"\xe2\x90\x9b" + _CODE,
    rb"\[(?:[01];)?[0-9]{1,2}m",  # what is left where the first character was lost
    rb"<[bB][rR][ ]?/?>\r?\n[ \t]*",
)
_SEAM: Final = re.compile(rb"|".join(EXPRESSIONS))
HINTS: Final = tuple(one + KEY for one in EXPRESSIONS)
