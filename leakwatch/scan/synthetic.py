"""Synthetic keys: strings of a format that were never anybody's, made from a detector's templates.

A template is text with placeholders: ``{alnum:20}`` is twenty random letters and digits, ``{one:A|B}`` one
of the words, ``{cask:AAABACOG}`` a whole Azure key with that service and signature, ``{bedrock:long}`` a
whole Bedrock key. So no key-shaped string stands in any file, and a seeded `Random` makes the same keys
again.
"""

import base64
import re
import string
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Final

from leakwatch.scan import cask

if TYPE_CHECKING:  # detectors fill their own templates when they are loaded
    from leakwatch.scan.detectors import Detector

_ALNUM: Final = string.ascii_letters + string.digits
ALPHABETS: Final[Mapping[str, str]] = {
    "alnum": _ALNUM,
    "base64": _ALNUM + "+/",
    "base64url": _ALNUM + "-_",
    "digits": string.digits,
    "hex": "0123456789abcdef",
    "letters": string.ascii_letters,
    "upper": string.ascii_uppercase,
}
_PLACEHOLDER: Final = re.compile(r"\{([a-z0-9]+):([^{}]+)\}")
_DOCUMENTATION_ACCOUNT: Final = "111122223333"  # an AWS account id that AWS keeps for its documentation


def synthesize(detector: "Detector", random: Random) -> str:
    """Return a synthetic key of a detector, from one of its templates."""
    return fill(random.choice(detector.examples), random)


def fill(template: str, random: Random) -> str:
    """Return a template with its placeholders filled. Raises ValueError for one that does not exist."""
    filled = _PLACEHOLDER.sub(lambda found: _made(found[1], found[2], random), template)
    if "{" in filled or "}" in filled:
        raise ValueError('write a placeholder as "{alnum:20}"')
    return filled


def _made(kind: str, argument: str, random: Random) -> str:
    if kind in ALPHABETS and argument.isdecimal():
        return _characters(kind, int(argument), random)
    if kind not in _MAKERS:
        known = ", ".join(sorted({*ALPHABETS, *_MAKERS}))
        raise ValueError(f"there is no placeholder {{{kind}:{argument}}}; known are {known}")
    return _MAKERS[kind](argument, random)


def _characters(alphabet: str, count: int, random: Random) -> str:
    return "".join(random.choices(ALPHABETS[alphabet], k=count))


def _one(words: str, random: Random) -> str:
    return random.choice(words.split("|"))


def _cask(service: str, random: Random) -> str:
    """Make an Azure key of 84 characters with a right checksum, allocated between 2024 and 2026."""
    allocated = random.choice("ABC") + random.choice("ABCDEFGHIJKL")
    head = f"{_characters('alnum', 52, random)}JQQJ99{allocated}{_characters('alnum', 12, random)}{service}"
    return head + cask.checksums(head)[0]


def _bedrock(term: str, random: Random) -> str:
    forms = {"long": ("ABSK", _bedrock_long), "short": ("bedrock-api-key-", _bedrock_short)}
    if term not in forms:
        raise ValueError("write {bedrock:long} or {bedrock:short}")
    prefix, content = forms[term]
    return prefix + base64.b64encode(content(random).encode()).decode()


def _bedrock_long(random: Random) -> str:
    name = _characters("alnum", 4, random).lower()
    return f"BedrockAPIKey-{name}-at-{_DOCUMENTATION_ACCOUNT}:{_characters('alnum', 50, random)}"


def _bedrock_short(random: Random) -> str:
    """Make the presigned address that a short-term key is the base64 of."""
    scope = "20260101%2Fus-east-1%2Fbedrock%2Faws4_request"
    query = {
        "Action": "CallWithBearerToken",
        "X-Amz-Credential": f"ASIA{_characters('upper', 16, random)}%2F{scope}",
        "X-Amz-Date": "20260101T000000Z",
        "X-Amz-Expires": "43200",
        "X-Amz-Security-Token": _characters("alnum", 300, random),
        "X-Amz-Signature": _characters("hex", 64, random),
        "Version": "1",
    }
    return "bedrock.amazonaws.com/?" + "&".join(f"{name}={value}" for name, value in query.items())


_MAKERS: Final[Mapping[str, Callable[[str, Random], str]]] = {"bedrock": _bedrock, "cask": _cask, "one": _one}
