"""From offsets in bytes to lines and columns, as an editor counts them."""

from typing import Final

from leakwatch.model import Field, Position

_RETURN: Final = b"\r"
_FEED: Final = b"\n"
_CONTINUES, _CONTINUATION = 0b1100_0000, 0b1000_0000  # of UTF-8


class Ruler:
    """Measures one text, read once however many offsets are asked; they must be asked in rising order.

    A line ends at LF, CR LF or CR, as in the usual editors; no other character ends one. A column counts
    characters (code points), not bytes.
    """

    def __init__(self, data: bytes, field: Field) -> None:
        self._data = data
        self._field = field
        self._at = 0
        self._position = Position(field=field, line=1, column=1)

    def position(self, offset: int) -> Position:
        """Return where the character stands in which an offset lies; CR LF is one."""
        offset = self._whole(offset)
        if offset > self._at:
            self._position = self._next(offset)
            self._at = offset
        return self._position

    def _whole(self, offset: int) -> int:
        """Go back to where a character begins, and a line end of two."""
        data = self._data
        while offset and data[offset] & _CONTINUES == _CONTINUATION:
            offset -= 1
        return offset - (data[offset : offset + 1] == _FEED and data[offset - 1 : offset] == _RETURN)

    def _next(self, offset: int) -> Position:
        data, start = self._data, self._at
        line, column = self._position.line, self._position.column
        last = max(data.rfind(_FEED, start, offset), data.rfind(_RETURN, start, offset))
        if last >= 0:
            pairs = data.count(_RETURN + _FEED, start, offset)
            line += data.count(_FEED, start, offset) + data.count(_RETURN, start, offset) - pairs
            column, start = 1, last + 1
        return Position(field=self._field, line=line, column=column + _characters(data[start:offset]))


def _characters(data: bytes) -> int:
    return len(data) if data.isascii() else len(data.decode("utf-8", "surrogatepass"))
