from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.core import _fast, deltas

Applied = Callable[[bytes, bytes, int], bytes]
MOST = 100_000


def length(size: int) -> bytes:
    """Write a length as git does: seven bits in a byte, the least first."""
    more = size >> 7
    return bytes([size & 0x7F | 0x80 * bool(more)]) + (length(more) if more else b"")


def copy(begin: int, count: int) -> bytes:
    code, said = 0x80, b""
    for bit, byte in enumerate([*begin.to_bytes(4, "little"), *(count % 0x10000).to_bytes(3, "little")]):
        if byte:
            code |= 1 << bit
            said += bytes([byte])
    return bytes([code]) + said


def made(base: bytes, chance: Random) -> tuple[bytes, bytes]:
    """Return a delta of some steps, and what it makes of its base."""
    steps, result = b"", b""
    for _ in range(chance.randrange(6)):
        if base and chance.random() < 0.6:
            begin = chance.randrange(len(base))
            count = chance.randrange(1, min(len(base) - begin, 0x10000) + 1)
            steps += copy(begin, count)
            result += base[begin : begin + count]
        else:
            new = chance.randbytes(chance.randrange(1, 128))
            steps += bytes([len(new)]) + new
            result += new
    return length(len(base)) + length(len(result)) + steps, result


def outcome(applied: Applied, base: bytes, delta: bytes, most: int = MOST) -> bytes | None:
    try:
        return applied(base, delta, most)
    except ValueError:
        return None


@given(st.binary(max_size=300), st.randoms(use_true_random=False))
def test_both_twins_make_of_a_base_what_the_delta_says(base: bytes, chance: Random) -> None:
    delta, result = made(base, chance)
    assert deltas.applied(base, delta, MOST) == _fast.applied(base, delta, MOST) == result
    assert _fast.applied(bytearray(base), bytearray(delta), len(result)) == result


@given(st.binary(max_size=300), st.randoms(use_true_random=False))
def test_a_broken_delta_is_refused_by_both_or_makes_the_same(base: bytes, chance: Random) -> None:
    delta = bytearray(made(base, chance)[0])
    delta[chance.randrange(len(delta))] = chance.randrange(256)
    for broken in (bytes(delta), bytes(delta[: chance.randrange(len(delta))]), chance.randbytes(20)):
        for most in (MOST, 10):
            assert outcome(deltas.applied, base, broken, most) == outcome(_fast.applied, base, broken, most)


@pytest.mark.parametrize("applied", [deltas.applied, _fast.applied], ids=["plain", "fast"])
def test_a_whole_piece_is_copied_where_nothing_says_how_much(applied: Applied) -> None:
    base = bytes(range(256)) * 300
    delta = length(len(base)) + length(2 * 0x10000) + copy(0, 0x10000) + copy(5000, 0x10000)
    assert applied(base, delta, 1 << 20) == base[:0x10000] + base[5000 : 5000 + 0x10000]


@pytest.mark.parametrize("applied", [deltas.applied, _fast.applied], ids=["plain", "fast"])
@pytest.mark.parametrize(
    "delta",
    [
        b"",
        length(4),
        length(5) + length(1) + b"\1x",  # of another base
        length(4) + length(2) + b"\1x",  # too little
        length(4) + length(1) + b"\2xy",  # too much
        length(4) + length(1) + b"\0",  # a step that is kept for later
        length(4) + length(2) + b"\2x",  # cut
        length(4) + length(4) + b"\x91\1",  # cut within a step
        length(4) + length(4) + copy(1, 4),  # from behind the end
        length(4) + length(1) + copy(2**32 - 1, 1),
        length(4) + length(MOST + 1) + copy(0, 4) * (MOST // 4 + 1),
        length(4) + b"\x80" * 4 + b"\x80\1" + b"\1x",  # a length that goes on
        length(4) + length(2**35 - 1) + b"\1x",
    ],
)
def test_a_delta_that_makes_nothing_of_its_base_is_refused(applied: Applied, delta: bytes) -> None:
    with pytest.raises(ValueError, match=r"^($|a delta)"):
        applied(b"base", delta, MOST)


def test_no_more_is_made_than_is_asked_for() -> None:
    with pytest.raises(ValueError, match="a delta"):
        _fast.applied(b"base", length(4) + length(4) + copy(0, 4), 3)
    with pytest.raises(ValueError, match="a delta"):
        _fast.applied(b"base", length(4) + length(4) + copy(0, 4), -1)
