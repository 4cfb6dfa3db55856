import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.errors import SecretError
from leakwatch.signing import Opened, Signer

MOMENT = datetime(2026, 7, 27, 14, 3, tzinfo=UTC)
KEY, OTHER = b"k" * 32, b"o" * 32
SIGNER = Signer([KEY])
NUMBERS = st.integers(0, 2**63 - 1)


@given(NUMBERS, st.datetimes(datetime(1970, 1, 2), datetime(2105, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds it
def test_a_token_says_what_it_was_made_of(number: int, expires: datetime) -> None:
    token = SIGNER.token("page", number, expires)
    assert SIGNER.opened("page", token) == Opened(number=number, expires=expires.replace(microsecond=0))
    assert token.replace("-", "").replace("_", "").isalnum()
    assert len(token) == 38


def test_a_token_opens_nothing_else() -> None:
    token = SIGNER.token("page", 42, MOMENT)
    assert SIGNER.opened("stop", token) is None
    assert Signer([OTHER]).opened("page", token) is None
    assert SIGNER.token("page", 42, MOMENT + timedelta(seconds=1)) != token


@given(st.integers(0, 37), st.sampled_from("ABCabc019-_"))
def test_a_token_that_was_changed_is_none(at: int, letter: str) -> None:
    token = SIGNER.token("page", 42, MOMENT)
    changed = token[:at] + letter + token[at + 1 :]
    assert SIGNER.opened("page", changed) is None or changed == token


@given(st.text(max_size=60))
def test_what_is_no_token_opens_nothing(text: str) -> None:
    assert SIGNER.opened("page", text) is None


def test_a_token_has_one_form() -> None:
    token = SIGNER.token("page", 42, MOMENT)
    raw = base64.urlsafe_b64decode(token + "==")
    twins = [token[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    alike = [t for t in twins if base64.urlsafe_b64decode(t + "==") == raw]
    assert len(alike) > 1  # several forms decode alike
    assert [t for t in alike if SIGNER.opened("page", t)] == [token]
    for form in (token + "=", token + "==", f" {token}", f"{token}\n", token + "A"):
        assert SIGNER.opened("page", form) is None


@given(NUMBERS)
def test_a_code_vouches_for_its_number_in_any_case(number: int) -> None:
    code = SIGNER.code("reference", number)
    assert len(code) == 12
    assert SIGNER.vouches("reference", number, code.upper())
    assert SIGNER.vouches("reference", number, code.replace("0", "O").replace("1", "l"))
    assert not SIGNER.vouches("reference", number + 1, code)
    assert not SIGNER.vouches("return", number, code)
    assert not SIGNER.vouches("reference", number, code[:-1])
    assert not SIGNER.vouches("reference", number, "é" * 12)


def test_a_new_key_signs_and_the_old_one_still_opens() -> None:
    old, both = Signer([OTHER]), Signer([KEY, OTHER])
    assert both.opened("page", old.token("page", 7, MOMENT)) is not None
    assert both.vouches("reference", 7, old.code("reference", 7))
    assert old.opened("page", both.token("page", 7, MOMENT)) is None
    assert both.token("page", 7, MOMENT) == SIGNER.token("page", 7, MOMENT)


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, b"short"]])
def test_a_short_key_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(SecretError, match="openssl rand -hex 32"):
        Signer(keys)
