"""Documents that are numbered one by one: the listing says which is the newest, and we go there from the last."""

from collections.abc import Iterator
from typing import Final

from leakwatch.definitions import every
from leakwatch.errors import EmptyListing
from leakwatch.fetch.listing import Facts, appearance
from leakwatch.fetch.source import Source

ACCEPT: Final = "application/json, text/html;q=0.9, */*;q=0.5"
_LONGEST: Final = 15  # digits of a number


def newest(source: Source, text: str) -> int:
    """Return the greatest number that the listing names. Raises EmptyListing."""
    pattern = source.definition.listing.items
    found = [int(n) for n in every(pattern, text) if n.isascii() and n.isdigit() and len(n) <= _LONGEST]
    if found:
        return max(found)
    looks = appearance(text)
    message = f"{source.name}: listing.items ({pattern}) found no number" + (f" in {looks}" if looks else "")
    raise EmptyListing(message, mend=f"run `leakwatch sources test {source.name}`: the site may have changed")


def ahead(source: Source, last: int | None, top: int) -> range:
    """Return the numbers that this poll takes: from the last one on, oldest first.

    Where the numbers begin anew, so do we.
    """
    walk = source.definition.walk
    start = max(1, top - walk.first + 1) if last is None or last > top else last + 1
    return range(start, min(top, start + walk.most - 1) + 1)


def facts(numbers: range) -> Iterator[Facts]:
    """Yield what is known of each document: its number."""
    for number in numbers:
        yield {"id": str(number)}
