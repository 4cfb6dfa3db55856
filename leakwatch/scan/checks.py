"""Structure checks: what a whole key of a format shows beyond its pattern.

They rank and name only. A check that fails drops nothing, because the digest is the proof: a provider may
change its structure on any day, and some of these rules are from memory.
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final

from leakwatch.scan import cask

Check = Callable[[str], bool]

_OPENAI: Final = re.compile(r"sk-(?:(?:proj|svcacct|service|admin|None)-)?(.*)T3BlbkFJ(.*)")
_BEDROCK: Final = {
    "ABSK": b"BedrockAPIKey-",
    "bedrock-api-key-": b"bedrock.amazonaws.com/?Action=CallWithBearerToken",
}
_ANTHROPIC_LENGTH: Final = 95
_CASK_LENGTH: Final = 84


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
    try:
        decoded = base64.b64decode(key.removeprefix(prefix), validate=True)
    except ValueError:
        return False
    return bool(prefix) and decoded.startswith(_BEDROCK[prefix])


def azure_cask(key: str) -> bool:
    """Whether the checksum of a key of 84 characters is right; the long form's is not looked at."""
    if len(key) != _CASK_LENGTH:
        return True
    head = key[: cask.HEAD]
    return head.isascii() and head.isalnum() and key[cask.HEAD :] in cask.checksums(head)


CHECKS: Final[Mapping[str, Check]] = {
    "anthropic-tail": anthropic_tail,
    "bedrock": bedrock,
    "cask": azure_cask,
    "groq-marker": groq_marker,
    "openai-marker": openai_marker,
}
"""Every check, by the name that a detector's definition calls it."""
