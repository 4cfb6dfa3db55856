import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.fetch.body import Body, Broken


def bare_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "X-GZip": gzip.compress,
    "deflate": zlib.compress,
}


def read(encoding: str, raw: bytes, cap: int, piece: int = 65536) -> Body:
    body = Body(encoding, cap)
    for at in range(0, len(raw), piece):
        if not body.take(raw[at : at + piece]):
            break
    return body


@given(
    data=st.binary(max_size=2000),
    encoding=st.sampled_from(sorted(COMPRESS)),
    cap=st.integers(min_value=1000, max_value=3000),
    piece=st.integers(min_value=1, max_value=500),
)
def test_what_was_sent_is_what_is_kept_up_to_the_cap(data: bytes, encoding: str, cap: int, piece: int) -> None:
    body = read(encoding, COMPRESS[encoding](data), cap, piece)

    assert body.whole() == data[:cap]
    assert body.truncated == (len(data) > cap)


@given(data=st.binary(min_size=1, max_size=2000), piece=st.integers(min_value=1, max_value=500))
def test_deflate_without_its_header_is_understood(data: bytes, piece: int) -> None:
    raw = bare_deflate(data)
    if raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0:
        return  # looks like a header by chance
    assert read("deflate", raw, 3000, piece).whole() == data


def test_a_bomb_is_cut_at_the_cap_before_it_grows() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    body = Body("gzip", 1000)

    assert not body.take(bomb)
    assert body.truncated
    assert len(body.whole()) == 1000


def test_the_cap_holds_on_the_wire_as_well() -> None:
    empty_members = gzip.compress(b"") * 1000
    body = read("gzip", empty_members, 5000, 100)

    assert body.truncated
    assert body.wire <= 5100


def test_exactly_the_cap_is_not_too_much() -> None:
    for encoding, compress in COMPRESS.items():
        body = read(encoding, compress(b"x" * 5000), 5000)
        assert (len(body.whole()), body.truncated) == (5000, False)


def test_all_members_of_a_gzip_file_are_read_and_padding_is_not() -> None:
    raw = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 50

    assert read("gzip", raw, 1000).whole() == b"one two"
    assert read("gzip", raw, 1000, piece=1).whole() == b"one two"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_no_body_at_all_is_an_empty_one(encoding: str) -> None:
    assert Body(encoding, 10).whole() == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("length", [1, 2, 10, 25])
def test_a_stream_that_ends_early_is_broken(encoding: str, length: int) -> None:
    raw = COMPRESS[encoding](bytes(range(256)) * 4)[:length]

    with pytest.raises(Broken, match="ends in the middle"):
        read(encoding, raw, 5000).whole()


def test_what_is_not_compressed_but_says_so_is_broken() -> None:
    with pytest.raises(Broken, match="not the compressed data"):
        read("gzip", b"<html>plain</html>", 5000)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_an_encoding_that_we_did_not_ask_for_is_broken(encoding: str) -> None:
    with pytest.raises(Broken, match="gzip, deflate"):
        Body(encoding, 5000)
