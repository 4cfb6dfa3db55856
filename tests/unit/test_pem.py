import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch import pem
from leakwatch.match.schemes import digest_text

BODY = base64.b64encode(bytes(range(250)) * 3).decode()
LINES = [BODY[at : at + 64] for at in range(0, len(BODY), 64)]


def block(between: str, label: str = "PRIVATE KEY") -> str:
    return between.join((f"-----BEGIN {label}-----", *LINES, f"-----END {label}-----"))


@pytest.mark.parametrize("between", ["\n", "\r\n", "\n    ", r"\n", r"\\n", r"\r\n", "%0A", " ", ""])
def test_the_body_is_the_same_however_its_lines_are_parted(between: str) -> None:
    assert pem.body(f"a: {block(between)}\nb") == BODY
    assert pem.body(block(between, "RSA PRIVATE KEY")) == BODY


@pytest.mark.parametrize(
    "text",
    [
        "",
        BODY,
        block("\n", "PUBLIC KEY"),
        block("\n", "CERTIFICATE"),
        block("\n")[:-30],
        block("\n").replace("a", "*"),
        "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----",
    ],
)
def test_what_is_no_private_key_has_no_body(text: str) -> None:
    assert not pem.body(text)


def test_a_customer_s_digest_is_of_the_body_whatever_is_given() -> None:
    file = json.dumps({"type": "service_account", "private_key": block("\n") + "\n"}, indent=2)
    assert digest_text(file) == digest_text(block("\n") + "\n") == digest_text(BODY)


@given(st.text(), st.text())
def test_it_is_found_in_any_text(before: str, after: str) -> None:
    assert pem.body(before + block("\n") + after) == BODY
