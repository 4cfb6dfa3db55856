"""Sites are searched for the beginnings of keys that the catalogue knows, each short enough for a question."""

import re
from pathlib import Path

import pytest

from leakwatch.definitions import Definition, available, load
from leakwatch.scan import shipped
from leakwatch.units import Rate

SEARCHES = [one for one in map(load, available(Path("no-such-folder"))) if one.search]
PREFIXES = [detector.prefix for detector in shipped() if detector.prefix]
UNFIT = {
    "al-": "two letters: any word",
    "ak-": "two letters: any word",
    "as-": "two letters: any word",
    "app-": "a word",
    "ck-": "two letters: any word",
    "cr-": "two letters: any word",
    "dataset-": "a word",
    "fc-": "two letters: any word",
    "inference-": "a word",
    "luma-": "a word",
    "m0-": "two letters: any word",
    "NF-": "two letters: any word",
    "nk-": "two letters: any word",
    "pa-": "two letters: any word",
    "psk-": "a word of many programs: a pre-shared key",
    "sess-": "a word of many programs: a session",
    "sk-": "many makers' keys, and more that are none",
}
LONGEST = 256  # characters of a question to GitHub


def words(definition: Definition) -> list[str]:
    assert definition.search is not None
    return definition.search.words


@pytest.mark.parametrize("definition", SEARCHES, ids=lambda one: one.name)
def test_a_word_begins_keys_of_a_known_format_and_ends_where_a_word_does(definition: Definition) -> None:
    for word in words(definition):
        assert any(re.fullmatch(prefix, word) for prefix in PREFIXES), word
        assert word.endswith("-")
        assert word not in UNFIT
    assert sorted(set(words(definition)), key=str.lower) == words(definition)


@pytest.mark.parametrize("definition", SEARCHES, ids=lambda one: one.name)
def test_every_beginning_that_can_be_searched_for_is(definition: Definition) -> None:
    known = [*words(definition), *UNFIT]
    ends = [prefix for prefix in PREFIXES if prefix.endswith(("-", "-)?"))]
    assert [prefix for prefix in ends if not any(re.fullmatch(prefix, word) for word in known)] == []


@pytest.mark.parametrize("definition", SEARCHES, ids=lambda one: one.name)
def test_no_question_is_too_long(definition: Definition) -> None:
    longest = max(words(definition), key=len)
    [question] = re.findall(r"[?&]q=([^&]*)", definition.listing.url)
    moment = "2026-11-25T20:00:00Z"
    asked = question.replace("%22", '"').replace("{word}", longest).replace("{from}", moment).replace("{to}", moment)
    assert len(asked) <= LONGEST
    assert not re.search(r"\b(AND|OR|NOT)\b", asked)


def test_what_is_searched_for_in_code_is_searched_for_in_messages() -> None:
    first, *others = map(words, SEARCHES)
    assert others
    assert all(one == first for one in others)


@pytest.mark.parametrize("definition", SEARCHES, ids=lambda one: one.name)
def test_github_is_searched_no_more_than_nine_times_a_minute_with_one_token(definition: Definition) -> None:
    assert definition.search is not None
    assert definition.search.rate is not None
    assert definition.search.rate == Rate(9, 60.0)
