"""Which patterns are rows of sets of characters, and that the core takes of them what `re` takes."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leakwatch.core import places
from leakwatch.scan.detectors import Detector
from leakwatch.scan.formats import Format
from leakwatch.scan.rows import forms, rows
from tests.unit.scan.making import MARKED, made

IN_ROWS = [detector for detector in MARKED if Format(detector).rows]
UNHURRIED = settings(deadline=None)


def counts(pattern: str) -> list[list[tuple[int, int, int]]]:
    """Of each row how many characters its sets hold, and how often they may stand there."""
    return [[(len(unit.characters), unit.least, unit.most) for unit in row] for row in rows(pattern)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ab[0-9]{3}", [[(1, 1, 1), (1, 1, 1), (10, 3, 3)]]),
        (r"a{2,4}\.[^a]", [[(1, 2, 4), (1, 1, 1), (255, 1, 1)]]),
        ("(?:a|bc)d", [[(1, 1, 1)] * 2, [(1, 1, 1)] * 3]),
        ("a(?:b|c(?:d)?)?", [[(1, 1, 1)] * 2, [(1, 1, 1)] * 3, [(1, 1, 1)] * 2, [(1, 1, 1)]]),
        ("a={0,2}", [[(1, 1, 1), (1, 2, 2)], [(1, 1, 1), (1, 1, 1)], [(1, 1, 1)]]),
        ("ab?", [[(1, 1, 1)] * 2, [(1, 1, 1)]]),
        ("a|b", [[(1, 1, 1)], [(1, 1, 1)]]),
        ("a{2}b{0}", [[(1, 2, 2)]]),
        ("[ab]{2,3}b", [[(2, 2, 3), (1, 1, 1)]]),
        ("a{1,3}(?:b|a)", [[(1, 1, 3), (1, 1, 1)], [(1, 1, 3), (1, 1, 1)]]),
    ],
)
def test_alternatives_and_what_may_be_left_out_are_rows_of_their_own(
    pattern: str, expected: list[list[tuple[int, int, int]]]
) -> None:
    assert counts(pattern) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        *("a*", "a+", "a{2,}", "a{,3}", "a{2}{3}", "a{2,3}?", "a??", "a{3,2}"),
        *(".", "^a", "a$", r"\d", r"\s", r"a\n", "é", "(a)", "(?i)a", "(?=a)b", "(?:a){2}", "(?:a)+"),
        *("(?:a", "a)", "]", "a}", "{2}", "\\", ""),
        *("[ab]{2,3}[bc]{1,2}b", "[ab]{2,300}b", "a{0,40}", "(?:a|b|c|d)" * 4),
        *("ab" * 33, "a{70000}", "a?"),
    ],
)
def test_a_pattern_of_another_kind_has_none(pattern: str) -> None:
    assert rows(pattern) == ()


def test_nearly_all_formats_are_rows() -> None:
    """The others are read without the core, each as far as it goes: it must have one end."""
    others = [format_ for format_ in map(Format, MARKED) if not format_.rows]
    assert [(format_.detector.id, format_.has_one_end) for format_ in others] == [("google-service-account-json", True)]


def ends_by_rows(pattern: str, data: bytes) -> set[int]:
    tables = forms([([(row, 1) for row in rows(pattern)], False, 0)])
    leaves = places.leaves_at(data, 0, places.trees_of(tables)[0], tables)
    return {end for leaf in leaves for end in range(leaf.low, leaf.high + 1)}


def ends_by_re(pattern: str, data: bytes) -> set[int]:
    compiled = re.compile(pattern.encode())
    return {end for end in range(len(data) + 1) if compiled.fullmatch(data, 0, end)}


PARTS = st.sampled_from(["a", "b", "[ab]", "[a-c]", "=", r"\.", "(?:a|bc|a)", "(?:ab)?", "(?:a|[bc]{1,3})"])
REPEATS = st.sampled_from(["", "", "{2}", "{1,3}", "{0,2}", "?", "{2,4}"])
PATTERNS = st.lists(
    st.tuples(PARTS, REPEATS).map(lambda both: both[0] + (both[1] if both[0][0] != "(" else "")), max_size=5
).map("".join)


@settings(UNHURRIED, max_examples=500)
@example("[bc]{1,3}[ab]{0,2}", ["baa"])  # of the open set's one end the longer row comes before the shorter ones
@given(PATTERNS, st.lists(st.text("abc=.", max_size=14), min_size=1, max_size=6))
def test_rows_take_what_the_pattern_takes(pattern: str, texts: Sequence[str]) -> None:
    for data in (text.encode() for text in texts if rows(pattern)):
        assert ends_by_rows(pattern, data) == ends_by_re(pattern, data)


@UNHURRIED
@given(st.sampled_from(IN_ROWS), st.integers(0, 50), st.text("aA0-_=/+.Z9\n", max_size=9), st.integers(0, 40))
def test_rows_of_formats_take_what_their_patterns_take(detector: Detector, seed: int, after: str, cut: int) -> None:
    key = made(detector, seed)
    data = (key[: len(key) - cut] + after).encode()
    assert ends_by_rows(detector.pattern, data) == ends_by_re(detector.pattern, data)
