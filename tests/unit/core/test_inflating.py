"""What looks packed in base64 and is not is told from what is, by both twins alike."""

import base64
import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.core import _fast
from leakwatch.core.inflating import may_inflate

HEADERS = st.sampled_from([b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x1f\x8b\x08\1\0\0\0\0\2\xff", b"\x78\x9c", b"\x78\xda"])
STORED = st.sampled_from([b"\1\2\0\xfd\xff", b"\0\2\0\xfd\xfe"])
DYNAMIC = st.binary(max_size=14).map(lambda rest: b"\x04" + rest) | st.binary(min_size=9, max_size=14).map(
    lambda rest: bytes([rest[0] & 0xF8 | 4, 0]) + rest[1:]
)
Twin = Callable[[bytes, int], bool]


@pytest.fixture(params=[may_inflate, _fast.may_inflate], ids=["plain", "fast"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Each of the twins."""
    found: Twin = request.param
    return found


def is_broken(packed: bytes) -> bool:
    try:
        zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(packed, 4096)
    except zlib.error:
        return True
    return False


@settings(deadline=None, max_examples=1000)
@given(st.binary(max_size=5), HEADERS, STORED | DYNAMIC | st.binary(max_size=30), st.binary(min_size=60, max_size=60))
def test_what_is_said_not_to_inflate_does_not(before: bytes, header: bytes, begun: bytes, more: bytes) -> None:
    encoded = base64.b64encode(header + begun).rstrip(b"=")
    for ending in (b"", b"=", b"\n" + encoded):
        assert may_inflate(before + encoded + ending, len(before)) == _fast.may_inflate(
            before + encoded + ending, len(before)
        )
    assert may_inflate(encoded, 0) or is_broken((header + begun)[:48] + more)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"abc", b"key=", bytes(300)]) | st.binary(max_size=90), max_size=30).map(b"".join),
    st.integers(0, 9),
    st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]),
)
def test_what_is_packed_may_inflate_however_it_is(data: bytes, level: int, strategy: int) -> None:
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, strategy)
    for packed in (packer.compress(data) + packer.flush(), zlib.compress(data, level), gzip.compress(data, level)):
        encoded = base64.b64encode(packed)
        for twin in (may_inflate, _fast.may_inflate):
            assert all(twin(encoded[:end], 0) for end in range(len(encoded)))


@pytest.mark.parametrize("text", [b"", b"H4sI", b"=H4sIAAAA", b"QlpoOTFBWSZTWd", b"KLUv_QRY", b"H4sIBAAAAAAAA_8G"])
def test_of_what_is_neither_gzip_nor_zlib_nothing_is_said(twin: Twin, text: bytes) -> None:
    assert twin(text, 0)
    assert twin(text, len(text))
    assert twin(text, len(text) + 9)


@pytest.mark.parametrize(
    ("block", "may"),
    [
        (b"\x06", False),  # of no kind
        (b"\x00\x01\x00\xfe\xff", True),  # stored
        (b"\x00\x01\x00\xfe\xfe", False),
        (b"\x03\x00", True),  # nothing
        (b"\x03\x02", False),  # copies what is not there
        (b"\x1b\x03", False),  # a length that is none
        (b"\xfd\xff\xff", False),  # too many lengths
        (b"\x05\xff\xff", False),  # too many distances
        (b"\x05\x00\x00\x00\x00\x00\x00\x00\x10\x00", False),  # no codes
    ],
)
def test_a_block_begins_as_one_can(twin: Twin, block: bytes, may: bool) -> None:
    assert twin(base64.b64encode(b"\x78\x9c" + block), 0) is may
