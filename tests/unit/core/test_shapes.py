"""Shapes in runs: found by both twins wherever an expression finds them."""

import re
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.core import Shapes, _fast, plain, shapes
from leakwatch.core.plain import LONGEST, OVERLAP

FIRST = (b"[a-c]", b"[0-9]", b"x") * 3
SECOND = (b"[+/]", b"[a-z]") * 4
BOTH = Shapes({"first": [FIRST], "second": [SECOND, (b"Q",) * 12]})
TEXTS = st.text("abx01+/Q ", max_size=120) | st.text("a1x", min_size=16) | st.text("+a", min_size=16)


@settings(deadline=None)
@given(TEXTS, st.sampled_from(["", "a1xb2xc3x", "+a/b+c/d", "Q" * 12]), TEXTS)
def test_a_shape_is_found_in_a_run_and_nowhere_else(before: str, middle: str, after: str) -> None:
    text = (before + middle + after).encode()
    runs = [(start, start + len(run), run) for start, run in plain.runs(text)]
    expressions = {"first": b"".join(FIRST), "second": b"".join(SECOND) + b"|Q{12}"}
    each = {
        name: [(start, end) for start, end, run in runs if re.search(expression, run)]
        for name, expression in expressions.items()
    }
    found = {name: spans for name, spans in each.items() if spans}
    with pytest.MonkeyPatch.context() as patch:
        for twin in (plain, _fast):
            patch.setattr(shapes, "shaped", twin.shaped)
            assert BOTH.found(text) == found


@pytest.mark.parametrize("at", [LONGEST - OVERLAP - 4, LONGEST - 4, LONGEST, 3 * LONGEST])
def test_of_a_long_run_the_windows_are_told_in_which_it_is_with_what_is_around_them(at: int) -> None:
    text = b"z" * at + b"Q" * 12 + b"z" * (5 * LONGEST - at)
    with pytest.MonkeyPatch.context() as patch:
        for twin in (plain, _fast):
            patch.setattr(shapes, "shaped", twin.shaped)
            for start, end in BOTH.found(text)["second"]:
                assert start == 0 or at - start > OVERLAP
                assert end - start <= LONGEST + 2 * OVERLAP
                assert end - at >= OVERLAP


def test_there_is_room_for_so_many_characters_and_no_more() -> None:
    whole = Shapes({"all": [(b"[a-z]",) * 63], "one": [(b"1",)]})
    assert whole.found(b" " + b"a" * 63 + b"1") == {"all": [(1, 65)], "one": [(1, 65)]}
    assert whole.found(b"a" * 62 + b"-" * 10) == {}
    with pytest.raises(ValueError, match="65"):
        Shapes({"all": [(b"[a-z]",) * 65]})
    with pytest.raises(ValueError, match="eight"):
        _fast.shaped(b"", array("Q", [1]), 1)
