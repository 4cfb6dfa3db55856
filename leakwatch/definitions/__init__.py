"""What a watched site looks like, as data: the TOML files in `sources/` and in the operator's own folder."""

from leakwatch.definitions.definition import Definition
from leakwatch.definitions.expressions import every, first
from leakwatch.definitions.files import OverrideError, available, find, load, shipped
from leakwatch.definitions.model import (
    CatchUp,
    DocumentPlace,
    Expected,
    Fields,
    Index,
    Kind,
    Listing,
    Open,
    Pages,
    Push,
    Quiet,
    Sample,
    Search,
    Since,
    Token,
    Walk,
)
from leakwatch.definitions.templates import fill, placeholders, split_attribute

__all__ = [
    "CatchUp",
    "Definition",
    "DocumentPlace",
    "Expected",
    "Fields",
    "Index",
    "Kind",
    "Listing",
    "Open",
    "OverrideError",
    "Pages",
    "Push",
    "Quiet",
    "Sample",
    "Search",
    "Since",
    "Token",
    "Walk",
    "available",
    "every",
    "fill",
    "find",
    "first",
    "load",
    "placeholders",
    "shipped",
    "split_attribute",
]
