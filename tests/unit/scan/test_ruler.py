import re

from hypothesis import given
from hypothesis import strategies as st

from leakwatch.model import Field, Position
from leakwatch.scan.ruler import Ruler

TEXTS = st.text(st.one_of(st.sampled_from("\n\r\t \0aé€😀\ud800\udfff\u2028\x85\x0b\ufffd"), st.characters()))


def naive(text: str, at: int) -> tuple[int, int]:
    """Line and column as an editor shows them, by splitting what stands before."""
    lines = re.split(r"\r\n|\r|\n", text[:at])
    return len(lines), len(lines[-1]) + 1


@given(st.lists(TEXTS, max_size=6))
def test_it_agrees_with_a_naive_count_at_every_mark(pieces: list[str]) -> None:
    text, marks = "", []
    for piece in pieces:
        text += piece
        marks.append(len(text))
        text += "K"
    ruler = Ruler(text.encode("utf-8", "surrogatepass"), Field.TEXT)
    for at in marks:
        offset = len(text[:at].encode("utf-8", "surrogatepass"))
        line, column = naive(text, at)
        assert ruler.position(offset) == Position(field=Field.TEXT, line=line, column=column)


def test_the_same_offset_may_be_asked_again() -> None:
    ruler = Ruler(b"a\r\nbc", Field.URL)
    assert ruler.position(0) == ruler.position(0) == Position(field=Field.URL, line=1, column=1)
    assert ruler.position(4) == ruler.position(4) == Position(field=Field.URL, line=2, column=2)


def test_what_lies_within_a_character_stands_where_it_begins() -> None:
    """A place under a disguise is told in proportion, and may fall between its bytes."""
    data = "a\n€b".encode()
    beginning = Ruler(data, Field.TEXT).position(2)
    assert [Ruler(data, Field.TEXT).position(offset) for offset in (3, 4)] == [beginning, beginning]
