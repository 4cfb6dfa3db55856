"""The forms in which a customer may register a key: each is a hash of its canonical form, written ``scheme:hex``."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final

from leakwatch.errors import InputError
from leakwatch.match.canonical import canonical


def _sha256(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


SCHEMES: Final[Mapping[str, Callable[[bytes], bytes]]] = {"sha256": _sha256}
"""What each scheme makes of a canonical key."""

_LENGTHS: Final = {"sha256": 32}
_WRITTEN: Final = re.compile(r"([a-z0-9-]{1,16}):([0-9A-Fa-f]+)")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
_MEND: Final = "`leakwatch keys digest` makes one: sha256: and 64 hexadecimal digits"
_NEVER: Final = "never send a key: if this is one, treat it as leaked; " + _MEND


def digest_text(key: str, scheme: str = "sha256") -> str:
    """Return what a customer sends instead of a key. Raises InputError for what cannot be a key."""
    return f"{scheme}:{SCHEMES[scheme](canonical(key)).hex()}"


def parse_digest(text: str) -> tuple[str, bytes]:
    """Read what a customer sent. Raises InputError, which never tells the text: it may be the key itself."""
    text = text.strip()
    if not text:
        message = "the digest is empty"
        raise InputError(message, mend=_MEND)
    written = _WRITTEN.fullmatch(text)
    if written is None:
        message = "a digest begins with its scheme" if _HEX.fullmatch(text) else "this is no digest"
        raise InputError(message, mend=_NEVER)
    scheme, digits = written[1], written[2]
    if scheme not in SCHEMES:
        message = "the digest's scheme is not known"
        raise InputError(message, mend=_NEVER)
    if len(digits) != 2 * _LENGTHS[scheme]:
        message = f"a {scheme} digest has {2 * _LENGTHS[scheme]} hexadecimal digits, this has {len(digits)}"
        raise InputError(message, mend=_NEVER)
    return scheme, bytes.fromhex(digits)
