"""The regular expressions of definitions: an operator's, and they meet a stranger's text.

RE2 walks each text once, whatever the expression says: `re` can be made to try for hours, and cannot be stopped then.
RE2 has no look-around and no back-references, and its classes are ASCII's.
"""

from functools import lru_cache
from typing import Any, Final

import re2

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False  # they are told where the definition is


def groups(pattern: str) -> int:
    """Return how many groups an expression has. Raises ValueError for what is none."""
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
        [said] = error.args
        raise ValueError(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) from None


def _plain(text: str) -> str:
    """Return what is UTF-8: JSON can hold half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
