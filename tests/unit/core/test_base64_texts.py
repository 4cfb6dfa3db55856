"""Text in base64: both twins find all of it, wherever it begins in its run."""

import base64
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.core import _fast
from leakwatch.core.base64_texts import texts

Texts = Callable[[bytes], list[tuple[int, int, bytes]]]
RUN = re.compile(rb"[A-Za-z0-9+/_-]+")
TEXT = b"some text in it, and more"
BYTES = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(
        [TEXT, TEXT.decode().encode("utf-16"), TEXT.decode().encode("utf-32-be"), "\N{ZERO WIDTH SPACE}".encode()]
    )
    | st.text(max_size=20).map(str.encode),
    max_size=6,
).map(b"".join)


@pytest.fixture(params=[texts, _fast.texts], ids=["plain", "fast"])
def twin(request: pytest.FixtureRequest) -> Texts:
    """Each of the twins."""
    found: Texts = request.param
    return found


@settings(deadline=None)
@given(
    st.binary(max_size=40),
    st.lists(BYTES.map(base64.b64encode) | BYTES.map(base64.urlsafe_b64encode) | st.binary(max_size=90)),
    st.sampled_from([b"", b" ", b".", b"~:"]),
)
def test_both_find_the_same(before: bytes, pieces: list[bytes], between: bytes) -> None:
    data = before + between.join(pieces)
    found = texts(data)
    assert sorted(found) == sorted(_fast.texts(data))
    assert all(RUN.fullmatch(data, left, right) for left, right, _ in found)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("width", ["ascii", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("glued", ["", "a", "bc", "def"])
def test_text_of_any_width_is_found_behind_what_is_glued_to_it(
    twin: Texts, encode: Callable[[bytes], bytes], width: str, glued: str
) -> None:
    text = TEXT.decode().encode(width)
    run = glued.encode() + encode(b"\x01\xff\x1f" + text).rstrip(b"=")
    assert text in [found for _, _, found in twin(b" " + run)]


@settings(deadline=None)
@given(
    st.binary(max_size=30).map(lambda noise: noise + b"\x01"), st.binary(max_size=30).map(lambda noise: b"\x02" + noise)
)
def test_what_is_found_stands_where_it_is_said_to(before: bytes, after: bytes) -> None:
    run = base64.b64encode(before + TEXT + after)
    for start, end, text in texts(run):
        if text.endswith(TEXT):
            assert len(text) - len(TEXT) == len(before) % 3, "it begins with a group"
            assert start == len(before) // 3 * 4
            assert end == -(-len(before + TEXT) * 4 // 3)
            break
    else:
        pytest.fail("the text is not found")


def test_few_characters_in_noise_are_no_text(twin: Texts) -> None:
    run = base64.b64encode(b"\x01\x0b few words\x01\x0b" * 9)
    assert twin(run) == []
    assert twin(b"") == []
