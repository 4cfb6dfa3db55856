import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.notify import Returns
from leakwatch.signing import Signer

RETURNS = Returns("Mail that came back <Bounces@issuer.example>", Signer([b"s" * 32]))


@given(st.integers(1, 10**17))
def test_a_return_path_names_its_delivery_in_any_case(number: int) -> None:
    address = RETURNS.address(number)
    assert address.startswith(f"Bounces+{number}-")
    assert len(address.partition("@")[0]) <= 64
    for form in (address, address.upper(), address.lower(), f"<{address}>", f" {address} "):
        assert RETURNS.delivery(form) == number


@pytest.mark.parametrize(
    "change",
    [
        ("+7-", "+8-"),
        ("@issuer", "@other"),
        ("Bounces", "other"),
        ("+", "-"),
        ("+7-", "+07-"),
        ("@", ""),
        ("+7-", "+-7-"),
    ],
)
def test_what_was_changed_is_none_of_ours(change: tuple[str, str]) -> None:
    assert RETURNS.delivery(RETURNS.address(7).replace(*change)) in (None, 7 if change[1] == "+07-" else None)
    assert RETURNS.delivery(RETURNS.address(7)[:-16] + RETURNS.address(7)[-14:]) is None


@given(st.text(max_size=80))
def test_what_is_no_return_path(text: str) -> None:
    assert RETURNS.delivery(text) is None
    assert RETURNS.delivery(f"bounces+{text}@issuer.example") is None


def test_another_key_or_another_mailbox_makes_another_path() -> None:
    assert Returns("bounces@issuer.example", Signer([b"o" * 32])).delivery(RETURNS.address(7)) is None
    assert Returns("bounces@other.example", Signer([b"s" * 32])).delivery(RETURNS.address(7)) is None
