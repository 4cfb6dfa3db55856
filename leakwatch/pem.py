"""Private keys in PEM, as files, JSON and settings hold them."""

import re
from typing import Final

LABELS: Final = "(?:RSA )?PRIVATE KEY"
BREAK: Final = r"\s|\\+[nr]|%0[ADad]"
"""What parts the lines: white space, its escape in JSON or source code, or in an address."""

_BLOCK: Final = re.compile(rf"-----BEGIN {LABELS}-----((?:{BREAK}|[A-Za-z0-9+/=])+)-----END {LABELS}-----")
_BREAKS: Final = re.compile(BREAK)


def body(text: str) -> str:
    """Return the base64 of the first private key in a text, without line breaks; "" when there is none.

    The key of a JSON file with escaped line breaks has the same body as the PEM file that it was made from.
    """
    block = _BLOCK.search(text) if "PRIVATE KEY-----" in text else None
    return _BREAKS.sub("", block[1]) if block else ""
