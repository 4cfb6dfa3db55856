"""What a watched site looks like, as data: the TOML files in `sources/` and in the operator's own folder."""

from leakwatch.definitions.files import OverrideError, available, find, load, shipped
from leakwatch.definitions.model import (
    Definition,
    Expected,
    Fields,
    Index,
    Kind,
    Listing,
    Pages,
    Quiet,
    Sample,
    Since,
    Token,
    Walk,
)
from leakwatch.definitions.templates import fill, placeholders, split_attribute

__all__ = [
    "Definition",
    "Expected",
    "Fields",
    "Index",
    "Kind",
    "Listing",
    "OverrideError",
    "Pages",
    "Quiet",
    "Sample",
    "Since",
    "Token",
    "Walk",
    "available",
    "fill",
    "find",
    "load",
    "placeholders",
    "shipped",
    "split_attribute",
]
