import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.errors import SecretError, WrongPepper
from leakwatch.pepper import MINIMUM_BYTES, Pepper

SECRET = b"0123456789abcdef" * 2
PEPPER = Pepper(SECRET)
PARTS = st.lists(st.text(max_size=5), max_size=4)


@given(st.binary(min_size=MINIMUM_BYTES, max_size=200), st.binary(max_size=200))
def test_hmac_is_hmac(secret: bytes, message: bytes) -> None:
    assert Pepper(secret).hmac(message) == hmac.digest(secret, message, "sha256")


def test_a_pepper_can_be_used_again() -> None:
    assert PEPPER.hmac(b"one") == PEPPER.hmac(b"one") != PEPPER.hmac(b"two")


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * (MINIMUM_BYTES - 1)])
def test_a_short_pepper_is_refused(secret: bytes) -> None:
    with pytest.raises(SecretError, match=rf"has {len(secret)} bytes, it needs at least 32: make one with") as caught:
        Pepper(secret)
    assert "short" not in str(caught.value)


def test_the_fingerprint_tells_peppers_apart_and_nothing_else() -> None:
    assert PEPPER.fingerprint == Pepper(SECRET).fingerprint != Pepper(SECRET[::-1]).fingerprint
    assert len(bytes.fromhex(PEPPER.fingerprint)) == 16
    assert SECRET.hex() not in PEPPER.fingerprint


@given(PARTS, PARTS)
def test_an_identity_stands_for_its_parts_alone(one: list[str], other: list[str]) -> None:
    assert len(PEPPER.identity(*one)) == 16
    assert (PEPPER.identity(*one) == PEPPER.identity(*other)) == (one == other)
    assert PEPPER.identity(*one) != Pepper(SECRET[::-1]).identity(*one)


def test_an_identity_of_half_a_character() -> None:
    assert PEPPER.identity("\ud800") != PEPPER.identity("\ud801")


@given(st.binary(max_size=100), st.text(max_size=10))
def test_what_was_sealed_opens(message: bytes, purpose: str) -> None:
    sealed = PEPPER.seal(message, purpose)
    assert PEPPER.open(sealed, purpose) == message
    assert Pepper(SECRET).open(sealed, purpose) == message


def test_a_seal_hides_its_message_and_that_it_was_sealed_before() -> None:
    message = b"https://paste.example/secret"
    one, other = PEPPER.seal(message, "job"), PEPPER.seal(message, "job")
    assert one != other
    assert b"paste" not in one


@given(st.binary(max_size=50), st.data())
def test_what_was_changed_does_not_open(message: bytes, data: st.DataObject) -> None:
    sealed = bytearray(PEPPER.seal(message, "job"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WrongPepper, match="a sealed job does not open"):
        PEPPER.open(bytes(sealed), "job")


@given(st.integers(0, 40))
def test_what_was_cut_does_not_open(length: int) -> None:
    with pytest.raises(WrongPepper):
        PEPPER.open(PEPPER.seal(b"some message", "job")[:length], "job")


def test_another_purpose_or_pepper_does_not_open() -> None:
    sealed = PEPPER.seal(b"message", "job")
    with pytest.raises(WrongPepper, match="start with the pepper"):
        PEPPER.open(sealed, "checkpoint")
    with pytest.raises(WrongPepper):
        Pepper(SECRET[::-1]).open(sealed, "job")
