"""What each byte goes through, compiled where there was a compiler: runs, markers, sieve, lines, base64, deltas."""

from leakwatch.core.places import CATCH_ALL, DEEPEST, MOST, NEIGHBOURS, Forms, Node, Tree
from leakwatch.core.plain import KEY, NO_JOINTS, REACH, SHORTEST, Span, line_break
from leakwatch.core.shapes import Shapes
from leakwatch.core.sieve import DigestSieve, Read, Sifted
from leakwatch.core.twins import applied, collect, is_compiled, may_inflate, rejoined, stretches, texts

__all__ = [
    "CATCH_ALL",
    "DEEPEST",
    "KEY",
    "MOST",
    "NEIGHBOURS",
    "NO_JOINTS",
    "REACH",
    "SHORTEST",
    "DigestSieve",
    "Forms",
    "Node",
    "Read",
    "Shapes",
    "Sifted",
    "Span",
    "Tree",
    "applied",
    "collect",
    "is_compiled",
    "line_break",
    "may_inflate",
    "rejoined",
    "stretches",
    "texts",
]
