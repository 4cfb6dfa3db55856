"""Synthetic keys: strings of a format that were never anybody's, made from a detector's templates.

A template is text with placeholders: ``{alnum:20}`` is twenty random letters and digits, ``{one:A|B}`` one
of the words, ``{uuid:4}`` a UUID, ``{cask:AAABACOG}`` a whole Azure key with that service and signature; `makers` has
the others. So no key-shaped string stands in any file, and a seeded `Random` makes the same keys again.
"""

import re
from random import Random
from typing import TYPE_CHECKING, Final

from leakwatch.scan.makers import ALPHABETS, MAKERS, characters

if TYPE_CHECKING:  # detectors fill their own templates when they are loaded
    from leakwatch.scan.detectors import Detector

__all__ = ["ALPHABETS", "fill", "synthesize"]

_PLACEHOLDER: Final = re.compile(r"\{([a-z0-9]+):([^{}]+)\}")


def synthesize(detector: "Detector", random: Random) -> str:
    """Return a synthetic key of a detector, from one of its templates: what stands in a text."""
    return fill(random.choice(detector.examples), random)


def fill(template: str, random: Random) -> str:
    """Return a template with its placeholders filled. Raises ValueError for one that does not exist."""
    filled = _PLACEHOLDER.sub(lambda found: _made(found[1], found[2], random), template)
    if "{" in filled or "}" in filled:
        raise ValueError('write a placeholder as "{alnum:20}"')
    return filled


def _made(kind: str, argument: str, random: Random) -> str:
    if kind in ALPHABETS and argument.isdecimal():
        return characters(kind, int(argument), random)
    if kind not in MAKERS:
        known = ", ".join(sorted({*ALPHABETS, *MAKERS}))
        raise ValueError(f"there is no placeholder {{{kind}:{argument}}}; known are {known}")
    return MAKERS[kind](argument, random)
