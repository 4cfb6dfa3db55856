"""How likely a string is a key that somebody uses: for a person who reads a list, and for nothing else.

Matching never asks this. What is an example, a placeholder or too regular to be made by chance goes to the end of the
list and is hidden there; what has the shape of a key and nothing to say whose it is comes before that.
"""

import re
import string
from collections import Counter
from enum import StrEnum
from math import log2
from typing import Final, NamedTuple

from leakwatch.scan import Detector
from leakwatch.scan.checks import SEALED

_SAID: Final = re.compile(
    r"(?i)example|sample|placeholder|dummy|fake|change.?me|redacted|replace|insert|your|my.?(?:api|key|secret|token)"
    r"|(?:api|secret|access|private)[-_.]?(?:key|token)|todo|notreal|not.?a.?real|deadbeef|foobar"
)
_WORDS: Final = re.compile(r"(?:[A-Za-z][a-z]*[-_]+)+[A-Za-z]?[a-z]*[-_]*")
_REPEATED: Final = re.compile(r"(.)\1{5,}|(..)\2{4,}|(...)\3{3,}")
_MASK: Final = re.compile(r"(?i)x{5,}|\*{3,}|\.{3,}|_{4,}|-{4,}")
_RUN: Final = 8  # characters in the order of the alphabet or the keyboard
_ROWS: Final = (string.ascii_lowercase, string.digits * 2, "qwertyuiopasdfghjklzxcvbnm")
_ORDERED: Final = frozenset(
    row[at : at + _RUN] for line in _ROWS for row in (line, line[::-1]) for at in range(len(row) - _RUN + 1)
)
_LEAST: Final = 2.5  # bits a character: hexadecimal digits drawn by chance have more than three
_TELLING: Final = 5  # characters of a prefix that stand within others by chance once in a billion


class Likelihood(StrEnum):
    """In the order in which they are shown."""

    REGISTERED = "registered"  # a customer's
    LIKELY = "likely"
    POSSIBLE = "possible"  # of a shape that several providers use, and nothing near says whose
    UNLIKELY = "unlikely"  # an example, a placeholder, or not made by chance


class Verdict(NamedTuple):
    """How likely something is a key in use, and why not more."""

    likelihood: Likelihood
    why: str = ""


def judge(key: str, prefix: str, detector: Detector | None, *, sound: bool, is_glued: bool) -> Verdict:
    """Judge a candidate that is nobody's: its characters, public prefix, format, structure, and whether it is glued."""
    body = key.removeprefix(prefix)
    if why := _regular(body):
        return Verdict(Likelihood.UNLIKELY, why)
    if is_glued and not (sound and detector and detector.check in SEALED):
        return Verdict(Likelihood.UNLIKELY if len(prefix) < _TELLING else Likelihood.POSSIBLE, "glued to its neighbour")
    if not sound:
        return Verdict(Likelihood.POSSIBLE, "its structure is not that of the keys we know")
    if detector is None:
        return Verdict(Likelihood.POSSIBLE, "nothing near it says whose it is")
    if detector.bare and body.isalpha():
        return Verdict(Likelihood.UNLIKELY, "letters alone, which nothing marks as a key")
    return Verdict(Likelihood.LIKELY)


def _regular(body: str) -> str:
    """Why characters are no secret, or ""."""
    if _SAID.search(body) or _MASK.search(body):
        return "a placeholder or an example"
    if _WORDS.fullmatch(body):
        return "words, and no random characters"
    small = body.lower()
    if _REPEATED.search(body) or any(small[at : at + _RUN] in _ORDERED for at in range(len(small) - _RUN + 1)):
        return "it repeats itself or counts"
    if _bits(body) < _LEAST:
        return "too regular to be made by chance"
    return ""


def _bits(body: str) -> float:
    """How many bits each of its characters has, by how often each occurs in it."""
    return -sum(n / len(body) * log2(n / len(body)) for n in Counter(body).values())
