"""Microsoft's common annotated security keys (CASK) and the identifiable keys before them: their checksums.

Written from the description of the C# source of microsoft/security-utilities. Marvin is checked against
that project's published vectors; no published whole key was found to check the end result, so a failed
checksum only lowers a rank.
"""

import base64
import string
from typing import Final

HEAD: Final = 80  # characters before the checksum
SEARCH_SEEDS: Final = tuple(int.from_bytes(kind, "big") for kind in (b"PAdmin00", b"Query000"))
_SEED: Final = int.from_bytes(b"Default0", "big")
_CHECKSUM: Final = 4  # bytes
_WORD: Final = 0xFFFFFFFF
_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase


def marvin(data: bytes, seed: int) -> int:
    """Return the 64 bits of Marvin, the hash of .NET's strings, for data and a seed of 64 bits."""
    low, high = seed & _WORD, seed >> 32
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        low = (low + int.from_bytes(data[at : at + 4], "little")) & _WORD
        low, high = _mix(low, high)
    low = (low + int.from_bytes(data[whole:] + b"\x80", "little")) & _WORD
    low, high = _mix(*_mix(low, high))
    return high << 32 | low


def checksums(head: str) -> tuple[str, str]:
    """Return the two checksums that Microsoft's validator accepts after a key's first 80 characters."""
    folded = _folded(base64.b64decode(head), _SEED)
    return _base62(folded)[:4], base64.b64encode(folded[:3]).decode()


def sealed(data: bytes, seed: int) -> bytes:
    """Return an identifiable key's bytes with the checksum behind them, as it is encoded in base64."""
    return data + _folded(data, seed)


def is_sealed(data: bytes, seed: int) -> bool:
    """Whether bytes end in the checksum of those before it."""
    return sealed(data[:-_CHECKSUM], seed) == data


def _folded(data: bytes, seed: int) -> bytes:
    hashed = marvin(data, seed)
    return ((hashed >> 32) ^ (hashed & _WORD)).to_bytes(_CHECKSUM, "little")


def _mix(low: int, high: int) -> tuple[int, int]:
    high ^= low
    low = (_rotate(low, 20) + high) & _WORD
    high = _rotate(high, 9) ^ low
    low = (_rotate(low, 27) + high) & _WORD
    return low, _rotate(high, 19)


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _WORD


def _base62(value: bytes) -> str:
    """Write bytes in base 62: a zero for each zero byte in front, zeros on the right up to six."""
    number, digits = int.from_bytes(value, "big"), ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    zeros = min(len(value) - len(value.lstrip(b"\0")), 3)
    return ("0" * zeros + digits).ljust(6, "0")
