"""Text in base64: both twins find all of it, wherever it begins in its run."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.core import Span, _fast
from leakwatch.core.base64_texts import texts

Texts = Callable[[bytes, list[Span]], list[tuple[int, int, bytes]]]
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
)
def test_both_find_the_same_in_whatever_is_said_to_be_a_run(before: bytes, pieces: list[bytes]) -> None:
    data, runs = before, list[Span]()
    for piece in pieces:
        runs.append((len(data), len(data) + len(piece)))
        data += piece
    found = texts(data, runs)
    assert found == _fast.texts(data, runs)
    assert all(any(start <= left < right <= end for start, end in runs) for left, right, _ in found)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("width", ["ascii", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("glued", ["", "a", "bc", "def"])
def test_text_of_any_width_is_found_behind_what_is_glued_to_it(
    twin: Texts, encode: Callable[[bytes], bytes], width: str, glued: str
) -> None:
    text = TEXT.decode().encode(width)
    run = glued.encode() + encode(b"\x01\xff\x1f" + text).rstrip(b"=")
    assert text in [found for _, _, found in twin(b" " + run, [(1, 1 + len(run))])]


@settings(deadline=None)
@given(
    st.binary(max_size=30).map(lambda noise: noise + b"\x01"), st.binary(max_size=30).map(lambda noise: b"\x02" + noise)
)
def test_what_is_found_stands_where_it_is_said_to(before: bytes, after: bytes) -> None:
    run = base64.b64encode(before + TEXT + after)
    for start, end, text in texts(run, [(0, len(run))]):
        if text.endswith(TEXT):
            assert len(text) - len(TEXT) == len(before) % 3, "it begins with a group"
            assert start == len(before) // 3 * 4
            assert end == -(-len(before + TEXT) * 4 // 3)
            break
    else:
        pytest.fail("the text is not found")


def test_few_characters_in_noise_are_no_text(twin: Texts) -> None:
    run = base64.b64encode(b"\x01\x0b few words\x01\x0b" * 9)
    assert twin(run, [(0, len(run))]) == []
    assert twin(run, []) == []


@pytest.mark.parametrize("run", [(-1, 2), (2, 1), (0, 5)])
def test_runs_lie_in_the_text(run: Span) -> None:
    with pytest.raises(ValueError, match="runs lie in the text"):
        _fast.texts(b"abcd", [run])
