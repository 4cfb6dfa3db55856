"""What passes the sieve: all that is registered, and of other strings none that a test can find."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.match import DigestSieve, sieve
from tests.unit.match.making import PEPPER, kept, sieve_of

UNHURRIED = settings(deadline=None)
KEYS = st.sets(st.text("abc123", min_size=1, max_size=8), max_size=30)


def passing(asked: DigestSieve, keys: set[str]) -> set[str]:
    return {key for key in keys if asked.may_be_registered(key.encode())}


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
    other = DigestSieve(type(PEPPER)(b"q" * 32), numbers=sieve_of("key").numbers)
    assert not other.may_be_registered(b"key")


def test_runs_are_forgotten_when_more_is_registered() -> None:
    filled = sieve_of("one")
    filled.seen.add(1)
    before = filled.seen
    filled.fill(kept("two"))
    assert filled.seen == set()
    assert before == {1}, "who is scanning meanwhile keeps what it began with"
