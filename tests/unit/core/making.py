"""Sieves that know some keys."""

from array import array
from hashlib import sha256
from typing import Final

from leakwatch.core import DigestSieve
from leakwatch.pepper import Pepper

PEPPER: Final = Pepper(b"p" * 32)


def kept(*keys: str) -> list[bytes]:
    """The digests of keys as they are stored, in order."""
    return sorted(PEPPER.hmac(sha256(key.encode()).digest()) for key in keys)


def numbers(*keys: str) -> "array[int]":
    """What the sieve keeps of them."""
    return array("Q", [int.from_bytes(digest[:8], "big") for digest in kept(*keys)])


def sieve_of(*keys: str) -> DigestSieve:
    """A sieve that knows these keys."""
    sieve = DigestSieve(PEPPER)
    sieve.extend(kept(*keys))
    return sieve
