"""What only we can have made: links in notices, references to check, return paths.

A signature is an HMAC-SHA256 under the operator's signing key, over a purpose and a number. It opens nothing but what
its purpose names: a link that shows a notice stops no reminder.
"""

import base64
import binascii
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, final

from leakwatch.errors import SecretError

MINIMUM_BYTES: Final = 32
_MAC: Final = 16  # bytes of the HMAC in a token: 128 bits, which nobody guesses
_BODY: Final = struct.Struct(">QI")  # number, and the second at which it expires
_TOKEN: Final = 4 * ((_BODY.size + _MAC + 2) // 3)  # characters, with padding
_LETTERS: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz"
)  # Crockford's
_CODE: Final = 12  # characters of a code: 60 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a token says."""

    number: int
    expires: datetime


@final
class Signer:
    """Signs with the first of the operator's keys, and knows what the others have signed before."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raises SecretError where there is no key, or one that is too short."""
        shortest = min(map(len, keys), default=0)
        if shortest < MINIMUM_BYTES:
            message = f"a signing key has {shortest} bytes, it needs at least {MINIMUM_BYTES}"
            raise SecretError(message, mend="make one with `openssl rand -hex 32`")
        self._keys = tuple(keys)

    def token(self, purpose: str, number: int, expires: datetime) -> str:
        """Return what stands for a number in an address until it expires: 38 characters of A-Z, a-z, 0-9, _ and -."""
        body = _BODY.pack(number, int(expires.timestamp()))
        return base64.urlsafe_b64encode(body + self._mac(self._keys[0], purpose, body)[:_MAC]).decode().rstrip("=")

    def opened(self, purpose: str, token: str) -> Opened | None:
        """Return what a token of ours says, or None for any other. Whether it has expired is the caller's to see."""
        try:
            signed = base64.b64decode(token.ljust(_TOKEN, "="), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        body, mac = signed[: _BODY.size], signed[_BODY.size :]
        # The last character holds bits that mean nothing: of the forms that decode alike only ours is one.
        if len(signed) != _BODY.size + _MAC or base64.urlsafe_b64encode(signed).decode().rstrip("=") != token:
            return None
        if not any(hmac.compare_digest(mac, self._mac(key, purpose, body)[:_MAC]) for key in self._keys):
            return None
        number, expires = _BODY.unpack(body)
        return Opened(number=number, expires=datetime.fromtimestamp(expires, UTC))

    def code(self, purpose: str, number: int) -> str:
        """Return 12 letters and digits that vouch for a number: for people and for mail addresses, in any case."""
        return self._code(self._keys[0], purpose, number)

    def vouches(self, purpose: str, number: int, code: str) -> bool:
        """Whether a code is the one for this number, however it is written: O for 0, I or L for 1, any case."""
        wanted = code.lower().replace("o", "0").replace("i", "1").replace("l", "1").encode()
        return any(hmac.compare_digest(wanted, self._code(key, purpose, number).encode()) for key in self._keys)

    def _code(self, key: bytes, purpose: str, number: int) -> str:
        mac = self._mac(key, purpose, str(number).encode())
        return base64.b32encode(mac).translate(_LETTERS).decode()[:_CODE]

    def _mac(self, key: bytes, purpose: str, body: bytes) -> bytes:
        return hmac.digest(key, purpose.encode() + b"\0" + body, "sha256")
