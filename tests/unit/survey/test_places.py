"""What is news at a place of a file, and what was told before."""

import pytest

from leakwatch.model import Candidate, Field, Plaintext, Position
from leakwatch.survey.places import Places
from tests.unit.core.making import sieve_of


def read(*keys: str, line: int = 1, is_glued: bool = False) -> list[Candidate]:
    """Ways to read one place."""
    at = Position(field=Field.TEXT, line=line, column=1)
    return [
        Candidate(detector="d", plaintext=Plaintext(key), masked="…", position=at, is_glued=is_glued) for key in keys
    ]


def told(places: Places, *candidates: Candidate, is_packing: bool = False) -> list[list[str]]:
    news = places.news(candidates, is_packing=is_packing)
    return [[candidate.plaintext.reveal() for candidate in rivals] for rivals in news]


@pytest.mark.parametrize(("is_packing", "news"), [(False, [["head.other"]]), (True, [])])
def test_two_keys_that_begin_alike_are_two_unless_packing_shows_one_of_them(
    is_packing: bool,
    news: list[list[str]],
) -> None:
    places = Places(None)
    assert told(places, *read("head.one", "head")) == [["head.one", "head"]]
    assert told(places, *read("head.other", "head"), is_packing=is_packing) == news


def test_what_was_told_is_no_news_nor_what_else_can_be_read_there() -> None:
    places = Places(None)
    assert told(places, *read("a key")) == [["a key"]]
    assert told(places, *read("a key", "a ke")) == []


def test_a_part_of_a_key_right_before_is_no_news_and_far_from_it_is() -> None:
    assert told(Places(None), *read("a whole key"), *read("whole", line=2)) == [["a whole key"]]
    between = [one for line in range(2, 7) for one in read(f"other {line}", line=line)]
    assert told(Places(None), *read("a whole key"), *between, *read("whole", line=9))[-1] == ["whole"]


def test_what_something_is_glued_to_is_told_again_where_it_stands_alone_unless_it_is_registered() -> None:
    glued, alone = read("a key", is_glued=True), read("a key", line=2)
    places = Places(None)
    assert [told(places, *glued), told(places, *glued)] == [[["a key"]], []]
    assert [told(places, *alone), told(places, *alone)] == [[["a key"]], []]
    known = Places(sieve_of("a key"))
    assert [told(known, *glued), told(known, *alone)] == [[["a key"]], []]
