"""A poll: one listing becomes one batch. A fetch: references become documents."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from time import monotonic
from typing import Final

from leakwatch.errors import BadContent, EmptyListing, FetchError, TooLarge, Unreachable
from leakwatch.fetch import feed, html, json
from leakwatch.fetch.listing import Facts, Listing, appearance, gather
from leakwatch.fetch.page import Page, Validators
from leakwatch.fetch.session import Session
from leakwatch.fetch.source import Source
from leakwatch.model import Batch, Checkpoint, Document, Reference

_Reader = Callable[[Source, str], Iterator[Facts]]
_READERS: Final[Mapping[str, tuple[_Reader, str]]] = {
    "html": (html.read, html.ACCEPT),
    "json": (json.read, json.ACCEPT),
    "feed": (feed.read, feed.ACCEPT),
}
BUDGET: Final = 16_000_000  # characters of documents that one fetch holds, and those under way besides
_LONG: Final = 500_000  # bytes from which a document is decoded off the event loop


@dataclass(slots=True, kw_only=True)
class Trace:
    """What a poll met on its way: filled as it goes, so that it tells something of a poll that raised as well."""

    url: str = ""  # of the listing, after redirects
    status: int = 0  # 0: no answer came
    content_type: str = ""
    charset: str = ""
    wire: int = 0  # bytes that came
    size: int = 0  # bytes decompressed
    redirects: int = 0
    seconds: float = 0.0  # until the page was there, waiting our turn included
    listing: Listing | None = field(default=None, repr=False)  # None: there was nothing to read, or it could not be


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What one poll yields, and how it came about."""

    batch: Batch
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of references: each is in one of the three."""

    documents: tuple[Document, ...]
    failures: tuple[tuple[Reference, FetchError], ...]
    left: tuple[Reference, ...] = ()  # not tried: the documents before them filled the memory that one fetch may take


async def poll(
    session: Session, source: Source, checkpoint: Checkpoint | None = None, trace: Trace | None = None
) -> Poll:
    """Read a source's listing from its checkpoint. Raises FetchError.

    A listing that has not changed is an empty batch that leaves the checkpoint as it is; one in which nothing is
    found where something must be is EmptyListing. ``trace`` is filled even when this raises.
    """
    trace = trace or Trace()
    basis = _basis(source)
    began = monotonic()
    _, accept = _READERS[source.definition.kind]
    validators = _validators(checkpoint, basis) if source.definition.listing.conditional else Validators()
    page = await session.get(source.listing_url, source=source, validators=validators, accept=accept)
    trace.url, trace.status, trace.redirects = page.url, page.status, page.redirects
    trace.wire, trace.size, trace.seconds = page.wire, len(page.body), monotonic() - began
    if page.not_modified:
        return Poll(batch=Batch(source=source.name), trace=trace)
    trace.content_type, trace.charset = page.content_type, page.charset
    if page.truncated:
        message = f"{source.name}: the listing is larger than {source.max_bytes:,} bytes"
        raise TooLarge(message, mend="raise max_bytes, or set listing.url to a shorter listing")
    trace.listing = listing = await asyncio.to_thread(_parse_page, source, page)
    batch = Batch(
        source=source.name,
        documents=listing.documents,
        references=listing.references,
        checkpoint={
            "etag": page.validators.etag,
            "last_modified": page.validators.last_modified,
            "basis": basis,
        },
    )
    if not (batch.documents or batch.references):
        await asyncio.to_thread(_check_empty, source, listing, page)
    return Poll(batch=batch, trace=trace)


def parse(source: Source, text: str, listing_url: str) -> Listing:
    """Read a listing's text. Blocks: not for the event loop. Raises BadContent, TooLarge."""
    read, _ = _READERS[source.definition.kind]
    try:
        return gather(source, read(source, text), listing_url)
    except RecursionError:
        message = f"{source.name}: the listing is nested too deeply"
        raise BadContent(message, mend="check base_url and listing.url") from None


def _parse_page(source: Source, page: Page) -> Listing:
    return parse(source, page.text(), page.url)


def _check_empty(source: Source, listing: Listing, page: Page) -> None:
    """Raise EmptyListing unless an empty listing is what this source may have."""
    if not listing.items and source.definition.listing.may_be_empty:
        return
    selector = source.definition.listing.items
    where = f"listing.items ({selector})" if selector else "the feed's reader"
    if listing.items:
        found = f"none of the listing's {listing.items} items can be used: {'; '.join(listing.notes)}"
    else:
        looks = appearance(page.text())
        found = f"{where} found nothing in the listing" + (f", which looks like {looks}" if looks else "")
    mend = f"run `leakwatch sources test {source.name}`; if it can be empty, set listing.may_be_empty"
    raise EmptyListing(f"{source.name}: {found}", mend=mend)


def _basis(source: Source) -> str:
    """What a listing is read by. When it changes, the same page has to be read again: no validator may prevent it."""
    definition = source.definition.model_dump_json(include={"kind", "listing", "fields", "cut", "document", "hosts"})
    return blake2b(f"{source.listing_url}\n{definition}".encode(), digest_size=8).hexdigest()


def _validators(checkpoint: Checkpoint | None, basis: str) -> Validators:
    if checkpoint is None or checkpoint.get("basis") != basis:
        return Validators()
    return Validators(etag=str(checkpoint.get("etag") or ""), last_modified=str(checkpoint.get("last_modified") or ""))


async def fetch(session: Session, source: Source, references: Sequence[Reference], budget: int = BUDGET) -> Fetched:
    """Fetch references, as many at once as the source allows. One that fails loses no other.

    After ``budget`` characters no further document is begun.
    """
    results: list[Document | FetchError | None] = [None] * len(references)
    left = iter(enumerate(references))

    async def work() -> None:
        nonlocal budget
        while budget > 0 and (following := next(left, None)):
            index, reference = following
            results[index] = result = await _fetch_one(session, source, reference)
            budget -= len(result.text) if isinstance(result, Document) else 0

    async with asyncio.TaskGroup() as group:
        for _ in range(min(source.concurrency, len(references))):
            group.create_task(work())
    outcomes = list(zip(references, results, strict=True))
    return Fetched(
        documents=tuple(result for _, result in outcomes if isinstance(result, Document)),
        failures=tuple((reference, result) for reference, result in outcomes if isinstance(result, FetchError)),
        left=tuple(reference for reference, result in outcomes if result is None),
    )


async def _fetch_one(session: Session, source: Source, reference: Reference) -> Document | FetchError:
    try:
        page = await session.get(reference.url, source=source)
        text = await asyncio.to_thread(page.text) if len(page.body) > _LONG else page.text()
    except FetchError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one document's oddity, which nobody foresaw, must not lose the others
        message = f"{source.name}: a document could not be fetched ({type(error).__name__})"
        return Unreachable(message, mend="this is a bug in leakwatch; it is tried again")
    return Document(reference=reference, text=text, truncated=page.truncated)
