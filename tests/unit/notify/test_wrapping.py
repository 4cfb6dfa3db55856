"""Paragraphs broken into lines: nothing is lost, nothing is too wide, and nothing breaks where it must not."""

import textwrap
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.notify.wrapping import wrap

JAPANESE = "この API キーは、誰でも閲覧できる公開の場所にあります。「今すぐ」失効させてください。データベースも。"
CHINESE = "任何人都可以在公开地址上读到 Northwind Robotics 的这个 API 密钥。请现在就“吊销”它，并告诉我们。"


def columns(line: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in line)


@given(st.text("ab c-.\u00e9", max_size=400))
def test_words_are_wrapped_as_the_standard_library_does(text: str) -> None:
    plain = " ".join(part for part in text.split(" ") if part)
    wanted = textwrap.fill(plain, 72, break_long_words=False, break_on_hyphens=False)
    assert wrap(text) == wanted


@pytest.mark.parametrize("text", [JAPANESE, CHINESE], ids=["ja", "zh"])
def test_what_has_no_spaces_is_wrapped_by_width(text: str) -> None:
    lines = wrap(text * 3, "    ", " 1. ").split("\n")
    assert len(lines) > 3
    assert lines[0].startswith(" 1. ")
    assert all(line.startswith("    ") for line in lines[1:])
    assert all(66 < columns(line) <= 72 for line in lines[:-1])
    assert not any(line[4] in "、。，」”ーッ" for line in lines)
    assert not any(line[-1] in "「“" for line in lines)


@given(st.text(JAPANESE + CHINESE, max_size=400))
def test_nothing_is_lost_and_nothing_added(text: str) -> None:
    assert "".join(wrap(text).split()) == "".join(text.split())


def test_an_address_stays_whole_among_ideographs() -> None:
    address = "https://leakwatch.issuer.example/a/" + "x" * 60
    assert address in wrap(f"请打开{address}，然后输入编号。" * 2)


def test_a_no_break_space_breaks_no_line() -> None:
    assert "mot\u00a0: fin" in wrap("x" * 68 + " mot\u00a0: fin")
