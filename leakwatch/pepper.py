"""The operator's secret under which everything lies that could otherwise be searched for a key.

The pepper keys the digests of customers' keys, gives documents an identity that says nothing, and seals what must
be durable but may hold a key: the URLs of a job, the checkpoint of a source.
"""

import hashlib
import hmac
import os
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leakwatch.errors import SecretError, WrongPepper

MINIMUM_BYTES: Final = 32
_BLOCK: Final = 64  # SHA-256's
_SALT: Final = 16
_NONCE: Final = bytes(12)  # constant: each message has a key of its own, derived from its salt


@final
class Pepper:
    """HMAC, identity and seal under one secret of at least 32 bytes."""

    __slots__ = ("_identity", "_inner", "_outer", "_seal", "fingerprint", "pads")

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MINIMUM_BYTES:
            message = f"the pepper has {len(secret)} bytes, it needs at least {MINIMUM_BYTES}"
            raise SecretError(message, mend="make one with `openssl rand -hex 32`")
        block = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
        # HMAC's two pads, hashed once: a copy of each costs 0.8 µs a digest where hmac.digest costs 2.2.
        inner, outer = bytes(b ^ 0x36 for b in block), bytes(b ^ 0x5C for b in block)
        self._inner, self._outer = hashlib.sha256(inner), hashlib.sha256(outer)
        self.pads = inner + outer  # for who makes HMACs by the million; as secret as the pepper
        self._identity = self.hmac(b"leakwatch identity")
        self._seal = self.hmac(b"leakwatch seal")
        self.fingerprint = self.hmac(b"leakwatch fingerprint").hex()[:32]

    def hmac(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of the message under the pepper, 32 bytes."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def identity(self, *parts: str) -> bytes:
        """Return 16 bytes that stand for these strings and tell nothing of them."""
        message = b"".join(len(p).to_bytes(8, "big") + p for p in (s.encode(errors="surrogatepass") for s in parts))
        return hmac.digest(self._identity, message, "sha256")[:16]

    def seal(self, message: bytes, purpose: str) -> bytes:
        """Encrypt and authenticate a message; the same purpose opens it again."""
        salt = os.urandom(_SALT)
        return salt + self._cipher(salt).encrypt(_NONCE, message, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt what `seal` made. Raises WrongPepper when it was sealed otherwise or changed since."""
        salt, body = sealed[:_SALT], sealed[_SALT:]
        try:
            return self._cipher(salt).decrypt(_NONCE, body, purpose.encode())
        except InvalidTag as error:
            message = f"a sealed {purpose} does not open"
            raise WrongPepper(message, mend="start with the pepper that the database was made under") from error

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._seal, salt, "sha256"))
