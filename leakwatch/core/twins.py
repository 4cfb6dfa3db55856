"""The functions that there are twice, each from where it is faster: compiled, if that is there."""

from typing import Final

try:
    from leakwatch.core._fast import (
        applied,
        collect,
        is_registered,
        may_inflate,
        rejoined,
        shaped,
        sift,
        sift_places,
        stretches,
        texts,
    )
except ImportError:  # there was no C compiler
    from leakwatch.core.base64_texts import texts
    from leakwatch.core.deltas import applied
    from leakwatch.core.inflating import may_inflate
    from leakwatch.core.places import collect, sift_places
    from leakwatch.core.plain import is_registered, rejoined, shaped, sift, stretches

__all__ = [
    "applied",
    "collect",
    "is_compiled",
    "is_registered",
    "may_inflate",
    "rejoined",
    "shaped",
    "sift",
    "sift_places",
    "stretches",
    "texts",
]

is_compiled: Final = sift.__module__ != "leakwatch.core.plain"
