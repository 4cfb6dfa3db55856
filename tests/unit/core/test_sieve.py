"""What passes the sieve: all that is registered, and of other strings none that a test can find."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.core import DigestSieve, sieve
from tests.unit.core.making import PEPPER, kept, sieve_of

UNHURRIED = settings(deadline=None)
KEYS = st.sets(st.text("abc123", min_size=16, max_size=20), max_size=30)


def passing(asked: DigestSieve, keys: set[str]) -> set[str]:
    text = " ".join(keys).encode()
    found = {text[start:end].decode() for start, end in asked.find(text, 1000).spans}
    assert found == {key for key in keys if asked.passes(key.encode())}
    return found


@UNHURRIED
@given(KEYS, KEYS, KEYS)
def test_what_is_registered_passes_and_nothing_else(first: set[str], later: set[str], others: set[str]) -> None:
    filled = sieve_of(*first)
    filled.fill(kept(*later))
    assert passing(filled, first | later | others) == first | later


@UNHURRIED
@given(KEYS, KEYS, KEYS, st.integers(0, 5))
def test_however_it_was_filled_the_same_passes(first: set[str], later: set[str], others: set[str], loose: int) -> None:
    """Sorted in or still beside the ordered ones, and in another process's copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve, "_LOOSE", loose)
        filled = DigestSieve(PEPPER)
        filled.fill(kept(*first))
        filled.fill(kept(*later))
    whole = sieve_of(*(first | later))
    copied = DigestSieve(PEPPER, numbers=filled.numbers)
    assert passing(filled, first | later | others) == passing(whole, first | later | others) == first | later
    assert passing(copied, first | later | others) == first | later
    assert copied.numbers == filled.numbers


def test_it_holds_eight_bytes_of_each_digest_and_nothing_of_a_key() -> None:
    (digest,) = kept("a key of somebody")
    one = sieve_of("a key of somebody")
    assert one.numbers in (digest[:8], digest[7::-1])
    assert len(one) == 1


def test_what_is_registered_under_another_pepper_does_not_pass() -> None:
    key = "k" * 20
    other = DigestSieve(type(PEPPER)(b"q" * 32), numbers=sieve_of(key).numbers)
    assert passing(sieve_of(key), {key}) == {key}
    assert not passing(other, {key})


def test_what_is_registered_later_is_found_in_a_run_that_was_seen_before() -> None:
    later = "l" * 20
    filled = sieve_of("k" * 20)
    assert not passing(filled, {later})
    assert filled.find(later.encode(), 9).looked == 0, "it is remembered that there is nothing"
    filled.fill(kept(later))
    assert passing(filled, {later}) == {later}


def test_who_scans_while_it_is_filled_remembers_nothing_for_those_who_come_after() -> None:
    later = "l" * 20
    filled = sieve_of("k" * 20)
    scanning = filled._seen  # what a scan that has begun goes on with
    filled.fill(kept(later))
    assert filled._seen is not scanning
