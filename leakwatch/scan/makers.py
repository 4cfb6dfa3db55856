"""Synthetic keys that have more structure than an alphabet: checksums, JSON, base64 of something.

Each maker takes what stands behind the colon of its placeholder, and raises ValueError for what it cannot make. All
makers are ours to call: the keys are nobody's, and the account in them is one that AWS keeps for its documentation.
"""

import base64
import json
import string
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

from leakwatch.scan import cask, checks

Maker = Callable[[str, Random], str]
T = TypeVar("T")

_ALNUM: Final = string.ascii_letters + string.digits
ALPHABETS: Final[Mapping[str, str]] = {
    "alnum": _ALNUM,
    "base32": string.ascii_uppercase + "234567",
    "base64": _ALNUM + "+/",
    "base64url": _ALNUM + "-_",
    "digits": string.digits,
    "hex": "0123456789abcdef",
    "letters": string.ascii_letters,
    "lower": string.ascii_lowercase,
    "lower32": string.ascii_lowercase + "234567",
    "lowernum": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase,
    "uppernum": string.ascii_uppercase + string.digits,
    "word": _ALNUM + "_",
}
_ACCOUNT: Final = 111122223333
_LINE: Final = 64  # characters of a line of PEM
_SIGNATURES: Final = {"HS256": 43, "RS256": 342}  # characters of a JWT's signature
_CLAIMS: Final[Mapping[str, Callable[[Random], Mapping[str, Any]]]] = {
    "aleph": lambda random: {"user_id": random.randrange(10**5), "token_id": random.randrange(10**5)},
    "minimax": lambda random: {"GroupName": "example", "GroupID": characters("digits", 19, random), "iss": "minimax"},
    "phoenix": lambda random: {"jti": f"ApiKey:{random.randrange(1, 1000)}"},
    "plain": lambda random: {"iss": "example", "sub": characters("hex", 16, random), "iat": 1_700_000_000},
    "qdrant": lambda random: {"access": "m", "subject": characters("hex", 16, random)},
}


def characters(alphabet: str, count: int, random: Random) -> str:
    """Return random characters of an alphabet."""
    return "".join(random.choices(ALPHABETS[alphabet], k=count))


def _one(words: str, random: Random) -> str:
    return random.choice(words.split("|"))


def _uuid(version: str, random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=int(version)))


def _aws(kind: str, random: Random) -> str:
    """Make an access key id that holds the account of AWS's documentation."""
    number = 1 << 47 | _ACCOUNT << 7 | random.getrandbits(7)
    return kind + base64.b32encode(number.to_bytes(6, "big") + random.randbytes(4)).decode()


def _cask(service: str, random: Random) -> str:
    """Make an Azure key of 84 characters with a right checksum, allocated between 2024 and 2026."""
    allocated = random.choice("ABC") + random.choice("ABCDEFGHIJKL")
    head = f"{characters('alnum', 52, random)}JQQJ99{allocated}{characters('alnum', 12, random)}{service}"
    return head + cask.checksums(head)[0]


def _search(kind: str, random: Random) -> str:
    """Make an Azure AI Search key with a right checksum; one with letters and digits alone, as Azure does."""
    seed = cask.SEARCH_SEEDS[("admin", "query").index(kind)]
    while True:
        body = base64.b64decode(characters("alnum", 42, random) + "AzSeAA==")[:35]
        made = base64.b64encode(cask.sealed(body, seed)).decode()
        if made.isalnum():
            return made


def _bedrock(term: str, random: Random) -> str:
    kinds: Mapping[str, tuple[str, Callable[[Random], str]]] = {
        "long": ("ABSK", partial(_bedrock_long, "BedrockAPIKey-")),
        "short": ("bedrock-api-key-", _bedrock_short),
        "user": ("ABSK", partial(_bedrock_long, "ci.models+1-")),
    }
    prefix, content = _choice(kinds, term)
    return prefix + base64.b64encode(content(random).encode()).decode()


def _bedrock_long(user: str, random: Random) -> str:
    return f"{user}{characters('lowernum', 4, random)}-at-{_ACCOUNT}:{characters('alnum', 50, random)}"


def _bedrock_short(random: Random) -> str:
    """Make the presigned address that a short-term key is the base64 of."""
    scope = "20260101%2Fus-east-1%2Fbedrock%2Faws4_request"
    query = {
        "Action": "CallWithBearerToken",
        "X-Amz-Credential": f"{_aws('ASIA', random)}%2F{scope}",
        "X-Amz-Date": "20260101T000000Z",
        "X-Amz-Expires": "43200",
        "X-Amz-Security-Token": characters("alnum", 300, random),
        "X-Amz-Signature": characters("hex", 64, random),
        "Version": "1",
    }
    return "bedrock.amazonaws.com/?" + "&".join(f"{name}={value}" for name, value in query.items())


def _crc(form: str, random: Random) -> str:
    """Make a token that ends in the CRC32 of its body: "ghp_30" is that prefix and so many characters."""
    prefix, _, count = form.rpartition("_")
    body = characters("alnum", int(count), random)
    return f"{prefix}_{body}{checks.crc(body)}"


def _github(kind: str, random: Random) -> str:
    head = f"{kind}_11{characters('alnum', 20, random)}_{characters('alnum', 43, random)}"
    return head + checks.fine_digest(head) + characters("alnum", 8, random)


def _jwt(form: str, random: Random) -> str:
    """Make a JWT: "RS256 plain" is signed so, and makes those claims."""
    algorithm, _, who = form.partition(" ")
    header, payload = {"alg": algorithm, "typ": "JWT"}, _choice(_CLAIMS, who)(random)
    signature = characters("base64url", _choice(_SIGNATURES, algorithm), random)
    return f"{_json(header, url=True)}.{_json(payload, url=True)}.{signature}"


def _neptune(host: str, random: Random) -> str:
    url = f"https://{host}"
    return _json({"api_address": url, "api_url": url, "api_key": _uuid("4", random)}, url=False)


def _base64(template: str, random: Random) -> str:
    """Make the base64 of one of the texts that some keys are."""
    texts = {
        "heygen": lambda: f"{characters('hex', 32, random)}-{random.randrange(1_650_000_000, 1_800_000_000)}",
        "letta": lambda: f"sk-let-{_uuid('4', random)}:{characters('alnum', 28, random)}",
        "ngc": lambda: f"{characters('lowernum', 26, random)}:{_uuid('4', random)}",
    }
    return base64.b64encode(_choice(texts, template)().encode()).decode()


def _pem(breaks: str, random: Random) -> str:
    r"""Make a private key of 2048 bits' length in PEM: "lines" has line breaks, "escaped" has \n in their place."""
    content = base64.b64encode(b"\x30\x82\x04\xbd" + random.randbytes(1213)).decode()
    lines = [content[at : at + _LINE] for at in range(0, len(content), _LINE)]
    between = _choice({"lines": "\n", "escaped": "\\n"}, breaks)
    return between.join(("-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"))


def _json(value: Mapping[str, Any], *, url: bool) -> str:
    written = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(written).decode().rstrip("=") if url else base64.b64encode(written).decode()


def _choice(choices: Mapping[str, T], name: str) -> T:
    if name not in choices:
        raise ValueError(f"write one of {', '.join(choices)}")
    return choices[name]


MAKERS: Final[Mapping[str, Maker]] = {
    "aws": _aws,
    "azsearch": _search,
    "bedrock": _bedrock,
    "cask": _cask,
    "crc": _crc,
    "github": _github,
    "jwt": _jwt,
    "neptune": _neptune,
    "one": _one,
    "pem": _pem,
    "text64": _base64,
    "uuid": _uuid,
}
"""Every maker, by the name of its placeholder."""
