import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.errors import InputError
from leakwatch.match import canonical
from leakwatch.match.canonical import LONGEST

KEYS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=80)
AROUND = st.text(" \t\r\n\f\v\N{NO-BREAK SPACE}", max_size=4)


@given(KEYS, AROUND, AROUND)
def test_white_space_around_a_key_is_not_part_of_it(key: str, before: str, after: str) -> None:
    assert canonical(before + key + after) == key.encode()


@given(KEYS)
def test_nothing_is_folded_or_normalised(key: str) -> None:
    assert canonical(key).decode() == key


@pytest.mark.parametrize("text", ["", "\n", "  \t\r\n"])
def test_what_is_empty_is_no_key(text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        canonical(text)


@given(KEYS, st.characters(categories=["Cc", "Cf", "Cs", "Z"]), KEYS)
def test_what_cannot_be_seen_is_refused_and_not_repeated(before: str, hidden: str, after: str) -> None:
    with pytest.raises(InputError) as caught:
        canonical(f"{before}{hidden}{after}")
    assert str(caught.value) == (
        "a key has no white space, no control characters and no invisible ones: "
        "give the key alone, on one line, as the provider shows it"
    )


def test_the_longest_key() -> None:
    assert len(canonical("k" * LONGEST + "\n")) == LONGEST
    for text in ("k" * (LONGEST + 1), "é" * (LONGEST // 2 + 1)):
        with pytest.raises(InputError, match="no more than 16384 bytes"):
            canonical(text)
