"""A list of addresses, each looked at again and again: what is there now is a document, and another when it changes."""

import asyncio
from collections.abc import Mapping
from hashlib import blake2b
from time import monotonic
from typing import Final

from leakwatch.errors import EmptyListing, FetchError
from leakwatch.fetch import gates, memory, walk
from leakwatch.fetch.listing import Listing, absolute, mark
from leakwatch.fetch.page import Page, Validators
from leakwatch.fetch.session import Session
from leakwatch.fetch.source import Source
from leakwatch.fetch.trace import Poll, Trace
from leakwatch.model import Batch, Checkpoint, Document, Reference

MOST: Final = 2_000  # addresses
AT_ONCE: Final = 50  # of them in one poll; the others' turn comes in the next
BUDGET: Final = 4_000_000  # characters of documents that one poll holds: after them the next one goes on


async def poll(session: Session, source: Source, checkpoint: Checkpoint | None, trace: Trace) -> Poll:
    """Look at the addresses whose turn it is. Raises FetchError where none of them can be had."""
    wanted, notes = await _wanted(session, source, trace)
    known = dict(checkpoint or {})
    basis = memory.opened(source, None).basis
    if known.get("basis") != basis:
        known = {"basis": basis}
    begin = int(known.get("at") or 0) % len(wanted)
    turn = (wanted + wanted)[begin : begin + min(AT_ONCE, len(wanted))]
    documents: list[Document] = []
    failures: list[FetchError] = []
    looked, budget = 0, BUDGET
    for url in turn:
        if budget <= 0:
            break
        looked += 1
        try:
            page = await _look(session, source, url, known, trace)
        except FetchError as error:
            failures.append(error)
            notes.append(f"an address could not be had ({error.reason})")
            continue
        if not page.not_modified:
            documents.append(await asyncio.to_thread(_document, url, page))
            budget -= len(documents[-1].text)
            known |= _validators(url, page)
    if len(failures) == looked:
        raise failures[0]
    listing = Listing(
        documents=tuple(documents), references=(), items=looked, hits={}, notes=tuple(dict.fromkeys(notes))
    )
    trace.listing, trace.left = listing, 0
    known["at"] = (begin + looked) % len(wanted)
    kept = {mark(url) for url in wanted}
    left = {name: value for name, value in known.items() if name[1:] in kept or name in ("basis", "at")}
    return Poll(batch=Batch(source=source.name, documents=listing.documents, checkpoint=left), trace=trace)


async def _wanted(session: Session, source: Source, trace: Trace) -> tuple[list[str], list[str]]:
    """Return the addresses to look at, and notes on those that are none. Raises EmptyListing."""
    named = list(source.definition.urls)
    if source.definition.listing.url:
        began = monotonic()
        page = await session.get(source.listing_url, source=source, accept=walk.ACCEPT)
        trace.met(page, monotonic() - began)
        trace.text = page.text()
        named += [line for line in map(str.strip, page.text().splitlines()) if line and not line.startswith("#")]
    urls = list(dict.fromkeys(filter(None, (absolute(url, source.base_url) for url in named))))
    if not urls:
        message = f"{source.name}: there is no address in the list"
        raise EmptyListing(message, mend="write one web address on each line")
    over = [f"the list has more than {MOST:,} addresses: the rest is not looked at"] if len(urls) > MOST else []
    return urls[:MOST], over


async def _look(session: Session, source: Source, url: str, known: Mapping[str, object], trace: Trace) -> Page:
    name = mark(url)
    validators = Validators(etag=str(known.get(f"e{name}") or ""), last_modified=str(known.get(f"m{name}") or ""))
    began = monotonic()
    page = await session.get(url, source=source, validators=validators)
    trace.met(page, monotonic() - began)
    await asyncio.to_thread(gates.check, source, page)
    return page


def _validators(url: str, page: Page) -> dict[str, str]:
    name, found = mark(url), page.validators
    return {f"e{name}": found.etag, f"m{name}": found.last_modified}


def _document(url: str, page: Page) -> Document:
    text = page.text()
    version = blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return Document(reference=Reference(url=url, id=url, version=version), text=text, truncated=page.truncated)
