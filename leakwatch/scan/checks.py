"""Structure checks: what a whole key of a format shows beyond its pattern.

They rank and name only. A check that fails drops nothing, because the digest is the proof: a provider may
change its structure on any day, and some of these rules are from memory.
"""

import base64
import hashlib
import json
import re
import string
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from leakwatch.scan import cask

Check = Callable[[str], bool]

_OPENAI: Final = re.compile(r"sk-(?:(?:proj|svcacct|service|admin|None)-)?(.*)T3BlbkFJ(.*)")
_BEDROCK: Final = {
    "ABSK": re.compile(rb"[\w+=,.@-]{1,200}-at-\d{12}:"),  # of an IAM user and an account
    "bedrock-api-key-": re.compile(rb"bedrock\.amazonaws\.com/\?Action=CallWithBearerToken"),
}
_ANTHROPIC_LENGTH: Final = 95
_CASK_LENGTH: Final = 84
_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CRC: Final = 6  # characters of a CRC32 in base 62
_FINE_TAIL: Final = 8  # characters each: the digest of a fine-grained token, and what follows it
_AWS_ID: Final = 4  # characters of an AWS id that say what it names
_AWS_OLD: Final = "IJ"  # ids that go on like this were made before they held the account
_ACCOUNTS: Final = 10**12  # AWS account ids have twelve digits
_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NGC: Final = re.compile(rf"[a-z0-9]{{26}}:{_UUID}".encode())
_HEYGEN: Final = re.compile(rb"[0-9a-f]{32}-\d{10}")
_LETTA: Final = re.compile(f"sk-let-{_UUID}".encode())


def base62(number: int, width: int) -> str:
    """Write a number in base 62, with zeros in front up to a width."""
    digits = ""
    while number:
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits.rjust(width, "0")


def crc(body: str) -> str:
    """Return the checksum that GitHub and Vercel put behind a token's body: CRC32 in base 62."""
    return base62(zlib.crc32(body.encode()), _CRC)


def fine_digest(head: str) -> str:
    """Return what stands behind a fine-grained GitHub token's head: the first of the base 32 of its SHA-256."""
    return base64.b32encode(hashlib.sha256(head.encode()).digest()).decode()[:_FINE_TAIL]


def aws_account(key: str) -> str:
    """Return the account that an AWS access key id holds, twelve digits; "" where it holds none."""
    with suppress(ValueError):
        number = int.from_bytes(base64.b32decode(key[_AWS_ID:])[:6], "big") >> 7 & 0xFFFFFFFFFF
        if key[_AWS_ID : _AWS_ID + 1] not in _AWS_OLD and number < _ACCOUNTS:
            return f"{number:012}"
    return ""


def claims(token: str) -> Mapping[str, Any]:
    """Return the payload of a JWT, whatever stands before it; empty for what is none."""
    with suppress(ValueError, RecursionError):
        header, payload, _ = token[token.index("eyJ") :].split(".")
        if isinstance(json.loads(_decoded(header)), dict):
            found = json.loads(_decoded(payload))
            return found if isinstance(found, dict) else {}
    return {}


def openai_marker(key: str) -> bool:
    """Whether as many characters stand before the marker as after it."""
    sides = _OPENAI.fullmatch(key)
    return sides is not None and len(sides[1]) == len(sides[2])


def anthropic_tail(key: str) -> bool:
    """Whether 95 characters that end in AA follow the kind, as in API keys; observed in access tokens too."""
    return key.endswith("AA") and len(key.split("-", 3)[-1]) == _ANTHROPIC_LENGTH


def groq_marker(key: str) -> bool:
    """Whether WGdyb3FY (base64 of "XgroqX") stands in its place; from memory."""
    return key[24:32] == "WGdyb3FY"


def bedrock(key: str) -> bool:
    """Whether the base64 behind the prefix is whole and says what it is for."""
    prefix = next((known for known in _BEDROCK if key.startswith(known)), "")
    return bool(prefix) and _BEDROCK[prefix].match(_decoded(key.removeprefix(prefix))) is not None


def azure_cask(key: str) -> bool:
    """Whether the checksum of a key of 84 characters is right; the long form's is not looked at."""
    if len(key) != _CASK_LENGTH:
        return True
    head = key[: cask.HEAD]
    return head.isascii() and head.isalnum() and key[cask.HEAD :] in cask.checksums(head)


def azure_search(key: str) -> bool:
    """Whether the key ends in the checksum of an admin or a query key."""
    return any(cask.is_sealed(_decoded(key), seed) for seed in cask.SEARCH_SEEDS)


def github_crc(key: str) -> bool:
    """Whether a GitHub token ends in the checksum of what stands between it and the prefix."""
    body = key.partition("_")[2]
    return crc(body[:-_CRC]) == body[-_CRC:]


def github_fine(key: str) -> bool:
    """Whether a fine-grained GitHub token holds the digest of what stands before it; the last eight are free."""
    return fine_digest(key[: -2 * _FINE_TAIL]) == key[-2 * _FINE_TAIL : -_FINE_TAIL]


def not_hex(key: str) -> bool:
    """Whether it is more than a digest: 40 hexadecimal digits are a commit far more often than a secret."""
    return not set(key) <= set(string.hexdigits.lower())


def is_jwt(key: str) -> bool:
    """Whether header and payload are JSON."""
    return bool(claims(key))


def _claims(name: str, begins: str, key: str) -> bool:
    """Whether a JWT makes a claim that only one provider's do; from memory."""
    found = claims(key)
    return name in found and str(found[name]).startswith(begins)


def _says(pattern: re.Pattern[bytes], key: str) -> bool:
    """Whether a key, or what follows its prefix, is the base64 of something; from memory."""
    return pattern.match(_decoded(key.removeprefix("sk-let-"))) is not None


def neptune(key: str) -> bool:
    """Whether it is the base64 of JSON with an API key in it; from memory."""
    with suppress(ValueError, RecursionError):
        return "api_key" in json.loads(_decoded(key))
    return False


def _decoded(text: str) -> bytes:
    """What a text is the base64 of, in either alphabet and padded or not; nothing for what is none."""
    with suppress(ValueError):
        standard = text.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    return b""


CHECKS: Final[Mapping[str, Check]] = {
    "anthropic-tail": anthropic_tail,
    "aws-account": lambda key: bool(aws_account(key)),
    "azure-search": azure_search,
    "bedrock": bedrock,
    "cask": azure_cask,
    "github-crc": github_crc,
    "github-fine": github_fine,
    "groq-marker": groq_marker,
    "heygen": partial(_says, _HEYGEN),
    "jwt": is_jwt,
    "jwt-aleph": partial(_claims, "token_id", ""),
    "jwt-minimax": partial(_claims, "GroupID", ""),
    "jwt-phoenix": partial(_claims, "jti", "ApiKey:"),
    "jwt-qdrant": partial(_claims, "access", ""),
    "letta": partial(_says, _LETTA),
    "neptune": neptune,
    "ngc": partial(_says, _NGC),
    "not-hex": not_hex,
    "openai-marker": openai_marker,
    "vercel-crc": github_crc,
}
"""Every check, by the name that a detector's definition calls it."""

TELLING: Final = frozenset({"heygen", "jwt-aleph", "jwt-minimax", "jwt-phoenix", "jwt-qdrant", "ngc"})
"""The checks that a key of no other provider passes: they tell whose it is."""

SEALED: Final = frozenset({"azure-search", "cask", "github-crc", "github-fine", "vercel-crc"})
"""The checks of a checksum: what passes one is a key, whatever stands around it."""
