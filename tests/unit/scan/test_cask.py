from random import Random

import pytest

from leakwatch.scan import cask, synthetic


@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        ("", 0x004FB61A001BDBCC, 0x30ED35C100CD3C7D),
        ("af", 0x004FB61A001BDBCC, 0x48E73FC77D75DDC1),
        ("153fb79826", 0x004FB61A001BDBCC, 0xE6C08C6DA2AFA997),
        ("ab427ea8d10fc7", 0x804FB61A001BDBCC, 0xE203987DBA252FB3),
    ],
)
def test_marvin_agrees_with_its_published_vectors(data: str, seed: int, expected: int) -> None:
    assert cask.marvin(bytes.fromhex(data), seed) == expected


def test_a_checksum_is_four_characters_in_either_of_two_spellings() -> None:
    base62, base64 = cask.checksums(synthetic.fill("{alnum:80}", Random(1)))
    assert len(base62) == len(base64) == 4
    assert base62.isalnum()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"\0\0\0\0", "000000"), (b"\0\0\0\1", "000100"), (b"\0\0\1\0", "004800"), (b"\xff\xff\xff\xff", "4gfFC3")],
)
def test_base_62_keeps_leading_zero_bytes_and_fills_up_on_the_right(value: bytes, expected: str) -> None:
    assert cask._base62(value) == expected
