import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.errors import InputError
from leakwatch.match import digest_text, parse_digest

KEYS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=80)


@given(KEYS)
def test_a_digest_reads_back(key: str) -> None:
    text = digest_text(key + "\n")
    assert text == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert parse_digest(text) == ("sha256", hashlib.sha256(key.encode()).digest())
    assert parse_digest(f"  {text.upper().replace('SHA256', 'sha256')}\n") == parse_digest(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the digest is empty"),
        (" \n", "the digest is empty"),
        ("ab" * 32, "a digest begins with its scheme"),
        ("md5:" + "ab" * 16, "the digest's scheme is not known"),
        ("sha256:" + "ab" * 31, "a sha256 digest has 64 hexadecimal digits, this has 62"),
        ("sha256:" + "ab" * 32 + "a", "a sha256 digest has 64 hexadecimal digits, this has 65"),
        ("sha256:" + "xy" * 32, "this is no digest"),
        ("sha256:", "this is no digest"),
        ("sha256:" + "٣" * 64, "this is no digest"),
    ],
)
def test_what_is_no_digest(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_digest(text)
    assert caught.value.message == what
    assert "`leakwatch keys digest` makes one" in caught.value.mend


@given(KEYS)
def test_a_plaintext_key_is_refused_without_being_repeated(key: str) -> None:
    key = "ak-live-" + key
    with pytest.raises(InputError) as caught:
        parse_digest(key)
    assert str(caught.value) == (
        "this is no digest: never send a key: if this is one, treat it as leaked; "
        "`leakwatch keys digest` makes one: sha256: and 64 hexadecimal digits"
    )
