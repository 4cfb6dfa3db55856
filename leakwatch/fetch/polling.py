"""A poll: one listing becomes one batch. A fetch: references become documents."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leakwatch.errors import BadContent, FetchError, TooLarge, Unreachable
from leakwatch.fetch import catchup, folder, gates, kinds, urls, walk
from leakwatch.fetch.limits import Resting
from leakwatch.fetch.listing import Listing, Tally
from leakwatch.fetch.opening import Opened, listed
from leakwatch.fetch.page import Page
from leakwatch.fetch.reading import Reading
from leakwatch.fetch.session import Session
from leakwatch.fetch.source import Source
from leakwatch.fetch.tokens import NoToken
from leakwatch.fetch.trace import Poll, Trace
from leakwatch.model import Checkpoint, Document, Reference, Via

BUDGET: Final = (
    4_000_000  # characters, and bytes of containers, of documents that one fetch holds, and those under way besides
)
_UNASKED: Final = (Resting, NoToken)  # nothing was asked, so nothing is said of what was wanted
_LONG: Final = 500_000  # bytes from which a document is decoded off the event loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of references: each is in one of the three."""

    documents: tuple[Document, ...]
    failures: tuple[tuple[Reference, FetchError], ...]
    left: tuple[Reference, ...] = ()  # not tried, or not to their end: it was too much for one fetch, or the host rests
    wait: float = 0.0  # seconds for which the host of what is left wants to rest
    opened: tuple[Opened, ...] = ()


async def poll(
    session: Session,
    source: Source,
    checkpoint: Checkpoint | None = None,
    trace: Trace | None = None,
    *,
    crashed: bool = False,
) -> Poll:
    """Read a source's listing from its checkpoint. Raises FetchError.

    A listing that has not changed is an empty batch that leaves the checkpoint as it is; one in which nothing is
    found where something must be is EmptyListing. ``trace`` is filled even when this raises. ``crashed``: the process
    died under this poll before.
    """
    trace = trace or Trace()
    match source.definition.kind:
        case "folder":
            return await folder.poll(source, checkpoint, trace)
        case "git":
            return await session.git.poll(source, checkpoint, trace)
        case "urls":
            return await urls.poll(session, source, checkpoint, trace)
        case _:
            polled = await Reading(session, source, checkpoint, trace).poll()
            if not source.definition.catchup:
                return polled
            return await catchup.after(session, source, checkpoint, polled, crashed=crashed)


def parse(source: Source, text: str, listing_url: str, index: str = "") -> Listing:
    """Read one page of a listing, as `index` names it. Blocks: not for the event loop. Raises FetchError."""
    if source.definition.kind == "walk":
        tally = Tally(source)
        tally.page(walk.facts(walk.ahead(source, None, walk.newest(source, text))), listing_url)
        return tally.listing()
    tally = Tally(source)
    tally.page(kinds.items(source, text), listing_url, {"index": index} if index else {})
    return tally.listing()


async def fetch(session: Session, source: Source, references: Sequence[Reference], budget: int = BUDGET) -> Fetched:
    """Fetch references, as many at once as the source allows. One that fails loses no other.

    After ``budget`` characters no further document is begun.
    """
    objects = [number for number, reference in enumerate(references) if reference.via is Via.OBJECT]
    results: list[Document | Opened | FetchError | None] = [None] * len(references)
    if objects:
        read = await session.git.read(source, [references[number] for number in objects], budget)
        for number, one in zip(objects, read, strict=True):
            results[number] = one
    left = ((n, reference) for n, reference in enumerate(references) if reference.via is not Via.OBJECT)

    async def work() -> None:
        nonlocal budget
        while budget > 0 and (following := next(left, None)):
            index, reference = following
            results[index] = result = await _fetch_one(session, source, reference)
            budget -= result.size if isinstance(result, Document) else 0

    async with asyncio.TaskGroup() as group:
        for _ in range(min(source.concurrency, len(references) - len(objects))):
            group.create_task(work())
    outcomes = list(zip(references, results, strict=True))
    rests = [result.retry_after or 0.0 for result in results if isinstance(result, _UNASKED)]
    return Fetched(
        documents=tuple(result for _, result in outcomes if isinstance(result, Document)),
        failures=tuple(
            (reference, result)
            for reference, result in outcomes
            if isinstance(result, FetchError) and not isinstance(result, _UNASKED)
        ),
        left=tuple(reference for reference, result in outcomes if _is_left(result)),
        wait=max(rests, default=0.0),
        opened=tuple(result for result in results if isinstance(result, Opened)),
    )


async def fetch_document(session: Session, source: Source, reference: Reference) -> Document:
    """Fetch one document, for a look at it alone. Raises FetchError."""
    result = await _fetch_one(session, source, reference)
    if isinstance(result, Opened):
        message = f"{source.name}: what was asked for is no document, but holds some"
        raise BadContent(message, mend="name one of those that it holds")
    if isinstance(result, FetchError):
        raise result
    return result


def _is_left(result: Document | Opened | FetchError | None) -> bool:
    return result is None or isinstance(result, _UNASKED) or (isinstance(result, Opened) and result.again)


async def _fetch_one(session: Session, source: Source, reference: Reference) -> Document | Opened | FetchError:
    try:
        if source.definition.kind == "folder":
            return await folder.fetch(source, reference)
        if reference.via in (Via.GIT, Via.BACKLOG):
            return await session.git.open(source, reference)
        page = await _page(session, source, reference)
        if reference.via is Via.LISTING:
            return await asyncio.to_thread(_opened, source, reference, page)
        is_long = len(page.body) > _LONG
        return await asyncio.to_thread(page.document, reference) if is_long else page.document(reference)
    except FetchError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one document's oddity, which nobody foresaw, must not lose the others
        message = f"{source.name}: a document could not be fetched ({type(error).__name__})"
        return Unreachable(message, mend="this is a bug in leakwatch; it is tried again")


async def _page(session: Session, source: Source, reference: Reference) -> Page:
    """Get what a reference names, unless its listing says already that it is over the source's cap."""
    if reference.size > source.max_bytes:
        message = f"a document is larger than {source.max_bytes} bytes, as its listing says: it was not fetched"
        raise TooLarge(message, mend=f"raise max_bytes of {source.name}, then `leakwatch jobs retry`")
    page = await session.get(reference.url, source=source, accept=source.accept(reference))
    await asyncio.to_thread(gates.check, source, page)
    return page


def _opened(source: Source, reference: Reference, page: Page) -> Opened:
    """Read a page that names documents, if all of it is there. Blocks: not for the event loop. Raises FetchError."""
    if page.truncated:
        message = f"{source.name}: a page that names documents is larger than {source.max_bytes:,} bytes"
        raise TooLarge(message, mend="raise max_bytes, then `leakwatch jobs retry`")
    return listed(source, reference, page.text(), page.url)
