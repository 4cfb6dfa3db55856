"""GitHub Apps: what proves that we are one, and the token that its installation gives us for it, for an hour."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from leakwatch.errors import BadContent, Blocked, FetchError, Gone, SecretError

_SHORTEST: Final = 2048  # bits of a key
_EARLIER: Final = 60  # seconds: so much may our clock be ahead
_VALID: Final = 540  # seconds that a proof is good for; GitHub takes ten minutes at the most
_HOUR: Final = 3600.0
_EARLY: Final = 300.0  # seconds before its end at which a token is renewed
_LONGEST: Final = 4000  # characters of a token


@dataclass(frozen=True, kw_only=True)
class App:
    """A GitHub App, as one account or organisation has installed it."""

    id: str  # its number, or its client id
    installation: str
    key: str = field(repr=False)  # its private key in PEM

    def __str__(self) -> str:
        return f"GitHub App {self.id} (installation {self.installation})"

    def proof(self, at: datetime) -> str:
        """Return a JSON Web Token (RS256) that says who we are, for some minutes. Takes a millisecond."""
        moment = int(at.timestamp())
        said: Mapping[str, str | int] = {"iat": moment - _EARLIER, "exp": moment + _VALID, "iss": self.id}
        text = f"{_encoded(_json({'alg': 'RS256', 'typ': 'JWT'}))}.{_encoded(_json(said))}"
        return f"{text}.{_encoded(private_key(self.key).sign(text.encode(), PKCS1v15(), SHA256()))}"


@dataclass(frozen=True, kw_only=True)
class Given:
    """A token of an installation."""

    value: str = field(repr=False)
    seconds: float  # from now on in which it may be used


def private_key(pem: str) -> RSAPrivateKey:
    """Read an App's private key. Raises SecretError, which tells none of it."""
    mend = "download it once more from the App's page: an RSA key that begins with -----BEGIN"
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a password
        message = "the App's key is no private key in PEM that can be read without a password"
        raise SecretError(message, mend=mend) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _SHORTEST:
        message = f"the App's key is no RSA key of {_SHORTEST} bits or more"
        raise SecretError(message, mend=mend)
    return key


def given(app: App, text: str) -> Given:
    """Read an installation's answer. Raises BadContent."""
    try:
        answer = json.loads(text)
        value, until = answer["token"], datetime.fromisoformat(answer["expires_at"])
    except (ValueError, KeyError, TypeError, RecursionError):
        value, until = "", datetime.now(UTC)
    if not (isinstance(value, str) and value.isascii() and value.isprintable() and 0 < len(value) <= _LONGEST):
        message = f"{app}: what came is no token"
        raise BadContent(message, mend="is base_url that of the site's REST API?")
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    left = (until - datetime.now(UTC)).total_seconds() - _EARLY
    return Given(value=value, seconds=min(max(left, _EARLY / 5), _HOUR))


def refused(app: App, error: FetchError, status: int) -> FetchError:
    """Say what it means that an installation gave no token."""
    match status:
        case 401:
            why = "its proof is not accepted"
            mend = "is key_file this App's private key, id its id, and this machine's clock right?"
            return Blocked(f"{app}: {why}", mend=mend)
        case 403 if isinstance(error, Blocked):
            mend = "look at the installation's page: it may be suspended"
            return Blocked(f"{app}: the installation is not let in", mend=mend)
        case 404 if isinstance(error, Gone):
            mend = "was it taken away, and are id and installation right?"
            return Blocked(f"{app}: the site knows no such installation of it", mend=mend)
    return type(error)(f"{app} gives no token: {error.message}", mend=error.mend, retry_after=error.retry_after)


def _json(value: Mapping[str, str | int]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
