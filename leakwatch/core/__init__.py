"""What each byte goes through, compiled where there was a compiler: runs, the sieve, broken lines, base64, deltas."""

from leakwatch.core.plain import KEY, REACH, SHORTEST, Span, line_break
from leakwatch.core.shapes import Shapes
from leakwatch.core.sieve import DigestSieve, Sifted
from leakwatch.core.twins import applied, is_compiled, may_inflate, rejoined, stretches, texts

__all__ = [
    "KEY",
    "REACH",
    "SHORTEST",
    "DigestSieve",
    "Shapes",
    "Sifted",
    "Span",
    "applied",
    "is_compiled",
    "line_break",
    "may_inflate",
    "rejoined",
    "stretches",
    "texts",
]
