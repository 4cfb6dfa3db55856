"""What a reference opens into, where it names no document but a place with others in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from leakwatch.fetch import kinds
from leakwatch.fetch.listing import Tally
from leakwatch.fetch.source import Source
from leakwatch.model import Document, Reference

_DIGITS: Final = 9  # of a number


def _nothing_to_settle() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was found in a place."""

    documents: tuple[Document, ...] = ()
    references: tuple[Reference, ...] = ()
    again: bool = False  # there is more than one job lists: it is to be opened again
    oversized: int = 0  # documents that were left out for their size
    withheld: int = 0  # that the page does not show
    settle: Callable[[], None] = _nothing_to_settle  # to be called once what was found has been committed


def listed(source: Source, reference: Reference, text: str, url: str) -> Opened:
    """Read a page as the definition's `open` says. Blocks: not for the event loop. Raises FetchError.

    What an item does not say of itself is what was said of the whole.
    """
    opening, inner = source.definition.open, source.of_open
    tally = Tally(inner)
    context = {"parent": reference.id, "parent_title": reference.title}
    tally.page(kinds.items(inner, text), url, context)
    found = tally.listing()
    fresh = opening.fresh if opening else None
    withheld = kinds.value(inner, text, opening.withheld)[:_DIGITS] if opening else ""
    documents = [replace(one, reference=_of(reference, one.reference)) for one in found.documents]
    references = [_of(reference, one) for one in found.references]
    times = [one.published_at for one in (*references, *(d.reference for d in documents)) if one.published_at]
    since = max(times) - timedelta(seconds=fresh) if fresh and times else None
    return Opened(
        documents=tuple(one for one in documents if _is_fresh(one.reference, since)),
        references=tuple(one for one in references if _is_fresh(one, since)),
        withheld=int(withheld) if withheld.isascii() and withheld.isdigit() else 0,
    )


def _is_fresh(reference: Reference, since: datetime | None) -> bool:
    return since is None or reference.published_at is None or reference.published_at >= since


def _of(whole: Reference, part: Reference) -> Reference:
    return replace(
        part,
        page=part.page or whole.page,
        title=part.title or whole.title,
        author=part.author or whole.author,
        published_at=part.published_at or whole.published_at,
    )
