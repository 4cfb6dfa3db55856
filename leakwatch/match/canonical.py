"""The one form of a key that is hashed, by the customer and by us.

It is the key's own characters in UTF-8, neither normalised nor folded. White space around it is not part of it: a
key read from a file ends with a newline. Of a private key in PEM it is the base64 between the lines, without line
breaks: how a file or a JSON document wraps it is not part of it either.
"""

from typing import Final

from leakwatch import pem
from leakwatch.errors import InputError

LONGEST: Final = 16 * 1024  # bytes: a private key in PEM has less


def canonical(text: str) -> bytes:
    """Return the bytes of a key that are hashed. Raises InputError, which never tells the text."""
    key = pem.body(text) or text.strip()
    if not key:
        message = "there is no key: it is empty"
        raise InputError(message, mend="give the key itself, on one line")
    if " " in key or not key.isprintable():
        message = "a key has no white space, no control characters and no invisible ones"
        raise InputError(message, mend="give the key alone, on one line, as the provider shows it")
    encoded = key.encode()
    if len(encoded) > LONGEST:
        message = f"a key has no more than {LONGEST} bytes, this has {len(encoded)}"
        raise InputError(message, mend="give the key alone")
    return encoded
