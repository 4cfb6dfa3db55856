"""The regular expressions of definitions: an operator's, and they meet a stranger's text.

RE2 walks each text once, whatever the expression says: `re` can be made to try for hours, and cannot be stopped then.
RE2 has no look-around and no back-references, and its classes are ASCII's.
"""

import re
from functools import lru_cache
from typing import Any, Final

import re2

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False  # they are told where the definition is
_MENDS: Final = (
    (r"operator: \(\?(<?[=!]|[P>(])|sequence: \\[1-9]", "say it without look-around and back-references"),
    (r"operator: \(\?", r"leave it out: of such flags there are (?i), (?m) and (?s)"),
    (r"sequence: \\Z", r"write \z"),
    (r"sequence: \\[uUN]", r"write \x{…} with the character's number, or the character"),
    (r"repetition size", "say 1,000 times or fewer"),
    (r"repetition operator", "write *, +, ? or {…} once: RE2 never goes back, so nothing has to be possessive"),
)
"""What to write in place of what RE2 has not, by what it says of it."""


def groups(pattern: str) -> int:
    """Return how many groups an expression has. Raises ValueError for what is none, with what to write instead."""
    return int(_compiled(pattern).groups)


def first(pattern: str, text: str) -> str | None:
    """Return what an expression's one group keeps of a text where it is found first; None where it is not."""
    match = _compiled(pattern).search(_plain(text))
    return None if match is None else str(match[1] or "")


def every(pattern: str, text: str) -> list[str]:
    """Return what an expression's one group keeps, wherever it is found."""
    return list(_compiled(pattern).findall(_plain(text)))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(_plain(pattern), options=_OPTIONS)
    except re2.error as error:
        [raw] = error.args
        said = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
        mend = next((f"; {mend}" for why, mend in _MENDS if re.search(why, said)), "")
        raise ValueError(f"{said}{mend}") from None


def _plain(text: str) -> str:
    """Return what is UTF-8: JSON can hold half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
