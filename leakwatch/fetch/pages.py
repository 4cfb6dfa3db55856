"""A page of a listing, read: its items, and what it says of what follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leakwatch.fetch import kinds
from leakwatch.fetch.failures import LONGEST_PAUSE
from leakwatch.fetch.listing import Facts, mark
from leakwatch.fetch.page import Page
from leakwatch.fetch.source import Source

_LONGEST: Final = 2_000  # characters of a cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A page, read."""

    items: Sequence[Facts]
    marks: Sequence[str] | None = None  # of all that the page has; None: of its items
    cursor: str = ""  # where the page says that it goes on
    wait: float | None = None  # seconds in which it wants to be left alone; a day at the most
    quota: int | None = None
    total: int | None = None  # results of the whole search
    is_partial: bool = False


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def read(source: Source, page: Page) -> Read:
    """Read a page. Blocks: not for the event loop."""
    text, listing, search = page.text(), source.definition.listing, source.definition.search
    items = kinds.items(source, text)
    pages = listing.pages
    cursor = kinds.value(source, text, pages.cursor)[:_LONGEST] if pages and pages.cursor and items else ""
    total = kinds.value(source, text, search.total) if search else ""
    marks = kinds.marks(source, text)
    wait, quota = (kinds.value(source, text, where) for where in (listing.wait, listing.quota))
    return Read(
        items=items,
        marks=None if marks is None else [mark(one) for one in marks],
        cursor=cursor,
        wait=min(float(wait[:12]), LONGEST_PAUSE) if _is_number(wait) else None,
        quota=int(quota[:9]) if _is_number(quota) else None,
        total=int(total[:9]) if _is_number(total) else None,
        is_partial=bool(search and kinds.value(source, text, search.partial)),
    )
