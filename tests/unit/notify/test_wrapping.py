"""Paragraphs broken into lines: nothing is lost, nothing is too wide, and nothing breaks where it must not."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.notify.wrapping import width, wrap

LATIN = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=300)
WRITTEN = st.sampled_from([*"鍵キーッ、。「」“”あa1 ", "https://a.example/b ", "answers@a.example", "API"])
ANY = st.lists(WRITTEN | st.characters(), max_size=200).map("".join)
NEVER_FIRST = "、。」』】”ーッょ々…"
NEVER_LAST = "「『【“"


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(LATIN.map(lambda text: " ".join(text.split())).filter(bool), st.integers(20, 80))
def test_an_alphabet_breaks_at_spaces_alone(text: str, columns: int) -> None:
    known = textwrap.fill(
        text,
        columns,
        initial_indent=" 1. ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    assert wrap(text, columns, first=" 1. ", indent="    ") == known


@given(ANY, st.integers(10, 80))
def test_nothing_is_lost_and_only_what_is_whole_is_too_long(text: str, columns: int) -> None:
    wrapped = wrap(text, columns)
    assert squeezed(wrapped) == squeezed(text)
    for line in wrapped.split("\n"):
        assert width(line) <= columns or wrap(line, 1).count("\n") == 0


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("キーを削除してください", ["キーを削除", "してくださ", "い"]),
        ("キーを削除。次に確認", ["キーを削", "除。次に確", "認"]),  # no stop begins a line
        ("キーの値「値」です", ["キーの値", "「値」です"]),  # an opening mark does not end one
        ("これはサーバーです", ["これはサー", "バーです"]),
        ("これだとちょっと", ["これだと", "ちょっと"]),
        ("安全ではチェック", ["安全では", "チェック"]),
        ("请查看我们的页面。谢谢", ["请查看我们", "的页面。谢", "谢"]),
        ("打开了页面“设置”", ["打开了页面", "“设置”"]),
        ("鍵はOpenAIで失効", ["鍵はOpenAI", "で失効"]),  # a word of an alphabet stays whole
        ("全部でキー12件です", ["全部でキー", "12件です"]),  # a number what it counts
        ("鍵は か\u3099き\u3099ぐげご", ["鍵は か\u3099き\u3099", "ぐげご"]),  # a mark is on its character
    ],
)
def test_chinese_and_japanese_break_where_typesetters_do(text: str, lines: list[str]) -> None:
    assert wrap(text, 10).split("\n") == lines


@pytest.mark.parametrize(
    "whole",
    [
        "https://leakwatch.issuer.example/a/AAAAAAAAACpq3gwUXSWH_LCpMaOwf4MjKThJUA",
        "leakwatch.issuer.example/a/",
        "answers@issuer.example",
        "回答@例え.example",
        "https://例え.example/鍵",
        "private_key_id",
        "claude-setup",
        "CallWithBearerToken",
    ],
)
@pytest.mark.parametrize("columns", [10, 20, 40])
def test_an_address_and_a_word_stay_whole(whole: str, columns: int) -> None:
    assert whole in wrap(f"お返事は次の宛先にお送りください。 {whole} をご覧ください。", columns)


def test_korean_breaks_at_spaces_alone() -> None:
    assert wrap("키를 지금 바로 폐기하세요", 10).split("\n") == ["키를 지금", "바로", "폐기하세요"]


@given(ANY, st.integers(4, 80))
def test_no_line_begins_or_ends_with_what_may_not(text: str, columns: int) -> None:
    words = text.split()
    begun, ended = {word[0] for word in words}, {word[-1] for word in words}  # between spaces it is the writer's will
    lines = [line for line in wrap(text, columns).split("\n") if line]
    assert {line[0] for line in lines} & set(NEVER_FIRST) <= begun
    assert {line[-1] for line in lines} & set(NEVER_LAST) <= ended


@pytest.mark.parametrize(("text", "columns"), [("key", 3), ("鍵", 2), ("ｷｰ", 2), ("か\u3099", 2), ("“…”", 3), ("", 0)])
def test_a_wide_character_takes_two_columns(text: str, columns: int) -> None:
    assert width(text) == columns
