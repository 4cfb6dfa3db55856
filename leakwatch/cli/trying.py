"""What `leakwatch sources test` shows: each step of a poll, as lines for a person or as JSON."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from yarl import URL

from leakwatch.config import HttpConfig
from leakwatch.containers.opener import Opener
from leakwatch.errors import BadContent, Blocked, EmptyListing, FetchError
from leakwatch.fetch import Session, Source, Trace, fetch, kinds
from leakwatch.fetch.body import ENCODINGS
from leakwatch.members import parts
from leakwatch.model import Document, Reference
from leakwatch.scan import Scanner

_SHOWN: Final = 20  # documents that a test prints
_COMPARED: Final = 12  # lines of a listing
_WIDE: Final = 120
_SECRET: Final = "•••"  # noqa: S105 - what is shown in place of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What came of one document."""

    url: str
    characters: int = 0
    candidates: tuple[tuple[str, int], ...] = ()  # by detector
    holds: bool | None = None  # whether the words are in it that were asked for
    same: str = ""  # the address of an earlier document with the same text
    failure: str = ""


def sent(http: HttpConfig, source: Source) -> Iterator[str]:
    """Yield what a poll would send first, without its secrets."""
    if source.definition.kind == "folder":
        yield f"list {source.base_url}"
        return
    if source.definition.kind == "git":
        yield f"git ls-remote {source.base_url}"
        yield f"  User-Agent: {http.user_agent}"
        return
    listing = source.definition.listing
    method = "GET" if source.definition.index else listing.method
    yield f"{method} {source.listing_url or source.definition.urls[0]}"
    kind = source.of_index.definition.kind if source.definition.index else source.definition.kind
    headers = {"User-Agent": http.user_agent, "Accept": kinds.accept(kind), "Accept-Encoding": ENCODINGS}
    for name, value in {**source.headers_with(_SECRET if source.is_known_there else ""), **headers}.items():
        yield f"  {name}: {value}"
    if method == "POST":
        yield f"  {kinds.body(source, listing.body, {})}"
    robots = "obeyed" if source.robots == "obey" else 'not asked (robots = "ignore")'
    yield f"  through: {source.proxy or 'no proxy'}; robots.txt: {robots}"
    fastest, slowest = source.pace
    pace = f"{source.every:g} s" if fastest == slowest else f"{fastest:g} to {slowest:g} s"
    quiet = f", never {source.quiet} UTC" if source.quiet else ""
    yield f"  every {pace}{quiet}; at most {source.rate}, {source.concurrency} at once"


async def rules(session: Session, source: Source) -> str:
    """Say what the site's robots.txt says of the listing."""
    if source.robots == "ignore" or source.definition.kind in ("folder", "git"):
        return "robots.txt: not asked"
    url = URL(source.listing_url or source.definition.urls[0])
    try:
        found = await session.robots.rules(url, source)
    except FetchError as error:
        return f"robots.txt: {error}"
    if found.found is None:
        return "robots.txt: there is none"
    verdict = "allows the listing" if found.allow(url) else "DISALLOWS the listing"
    return f"robots.txt: {verdict}" + (f", and wants {found.delay:g} s between two requests" if found.delay else "")


async def scans(
    session: Session, source: Source, scanner: Scanner, found: Sequence[Document | Reference], words: str = ""
) -> list[Scanned]:
    """Fetch some documents as the daemon would, and scan them. No word of theirs comes out.

    Of what opens into others (a repository, a page that names some) as many are tried as were asked for.
    """
    documents = [one for one in found if isinstance(one, Document)]
    fetched = await fetch(session, source, [one for one in found if isinstance(one, Reference)])
    results, texts = list[Scanned](), dict[str, str]()
    with closing(Opener()) as opener:
        for one in (*documents, *fetched.documents):
            scanned = await asyncio.to_thread(_scanned, opener, scanner, one, words)
            results.append(replace(scanned, same=texts.get(one.text, "")))
            texts.setdefault(one.text, scanned.url)
    results += [Scanned(url=r.shown_url, failure=str(error)) for r, error in fetched.failures]
    if fetched.wait:
        rests = f"the host wants to rest for another {fetched.wait:.0f} s"
        results += [Scanned(url=r.shown_url, failure=rests) for r in fetched.left]
    inside: list[Document | Reference] = []
    for opened in fetched.opened:
        inside += [*opened.documents, *opened.references]
    return results + (await scans(session, source, scanner, inside[: len(found)], words) if inside else [])


def _scanned(opener: Opener, scanner: Scanner, document: Document, words: str) -> Scanned:
    """Scan a document and what is in it."""
    found = {c.plaintext: c for part in parts(opener, document, Counter()) for c in scanner.scan(part).candidates}
    return Scanned(
        url=document.reference.shown_url,
        characters=len(document.text),
        candidates=tuple(sorted(Counter(c.detector for c in found.values()).items())),
        holds=words in document.text if words else None,
    )


def item(found: Document | Reference) -> dict[str, str]:
    """Return what is known of a document before it is read."""
    reference = found.reference if isinstance(found, Document) else found
    facts = {name: getattr(reference, name) for name in ("id", "version", "url", "page", "title", "author", "path")}
    at = reference.published_at
    inline = {"text": f"{len(found.text)} characters in the listing"} if isinstance(found, Document) else {}
    return {**facts, "published_at": at.isoformat() if at else "", **inline}


def _beginning(text: str) -> list[str]:
    lines = [line.strip()[:_WIDE] for line in text.splitlines() if line.strip()]
    return lines[:_COMPARED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything that a test met."""

    source: Source
    robots: str
    trace: Trace
    items: Sequence[dict[str, str]]
    scanned: Sequence[Scanned]
    failure: FetchError | None
    redact: Callable[[str], str]

    def report(self) -> dict[str, Any]:
        """Return it for a program."""
        trace, failure = self.trace, self.failure
        request = {n: v for n, v in asdict(trace).items() if n not in ("listing", "steps", "text")}
        listing = trace.listing
        return {
            "robots": self.robots,
            "request": request,
            "requests": [{**asdict(step), "url": self.redact(step.url)} for step in trace.steps],
            "selectors": {"items": listing.items, **listing.hits} if listing else {},
            "notes": list(listing.notes) if listing else [],
            "documents": list(self.items),
            "scanned": [
                {**asdict(one), "url": self.redact(one.url), "same": self.redact(one.same)} for one in self.scanned
            ],
            "failure": {"reason": failure.reason, "message": failure.message, "mend": failure.mend}
            if failure
            else None,
        }

    def lines(self) -> Iterator[str]:
        """Yield it for a person."""
        trace = self.trace
        yield self.robots
        yield from self._requests()
        if trace.listing is not None:
            yield from self._selectors()
        for one in self.items[:_SHOWN]:
            yield f"· {one['url']}"
            yield from (f"    {name}: {value}" for name, value in one.items() if value and name != "url")
        if len(self.items) > _SHOWN:
            yield f"and {len(self.items) - _SHOWN} more"
        for done in self.scanned:
            yield f"scanned {self.redact(done.url)}: {done.failure or ', '.join(self._told(done))}"
        if isinstance(self.failure, EmptyListing | BadContent | Blocked) and trace.text:
            yield from self._comparison()
        yield self._verdict()

    @property
    def is_good(self) -> bool:
        """Whether there are documents, and one of those that were tried could be read."""
        is_read = not self.scanned or any(not one.failure for one in self.scanned)
        is_found = not self.scanned or any(one.holds is not False for one in self.scanned)
        return self.failure is None and bool(self.items) and is_read and is_found

    def _verdict(self) -> str:
        if self.failure:
            return f"{self.failure.reason}: {self.failure}"
        unread = sum(bool(one.failure) for one in self.scanned)
        tried = f", but {unread} of the {len(self.scanned)} that were tried could not be read" if unread else ""
        return f"{len(self.items)} documents{tried}"

    def _told(self, done: Scanned) -> Iterator[str]:
        yield f"{done.characters:,} characters"
        yield ", ".join(f"{count} like {detector}" for detector, count in done.candidates) or "nothing key-shaped"
        if done.holds is not None:
            yield "with the words" if done.holds else "WITHOUT the words: document.url leads elsewhere"
        if done.same:
            yield f"THE SAME TEXT as {self.redact(done.same)}: document.url leads elsewhere"

    def _comparison(self) -> Iterator[str]:
        """The listing that the definition is known to read, and what came instead: their beginnings."""
        good = self.source.definition.samples[0]
        yield f"the definition reads ({good.origin}: {good.source}):"
        yield from (f"    {line}" for line in _beginning(good.body))
        yield "and what came is:"
        yield from (f"    {line}" for line in _beginning(self.redact(self.trace.text)))

    def _requests(self) -> Iterator[str]:
        trace = self.trace
        if not trace.steps:
            yield f"GET {trace.url or self.source.listing_url}"
        for number, step in enumerate(trace.steps):
            yield f"{step.method} {self.redact(step.url)}"
            items = "" if step.items is None else f", {step.items} items"
            first = f"{trace.content_type} {trace.charset}, {trace.redirects} redirects, {trace.seconds:.2f} s, "
            yield f"  {step.status} {first if number == 0 else ''}{step.wire:,} bytes{items}"
        if trace.quota is not None:
            yield f"  requests left: {trace.quota:,}"
        if trace.interval is not None:
            yield f"  the site wants to be asked every {trace.interval:g} s at most"
        if trace.left:
            yield f"  {trace.left} more wait for the next poll"

    def _selectors(self) -> Iterator[str]:
        definition, listing = self.source.definition, self.trace.listing
        assert listing is not None  # noqa: S101 - asked only where there is one
        yield f"listing.items ({definition.listing.items or definition.kind}): {listing.items} found"
        for name, hits in listing.hits.items():
            selector = getattr(definition.fields, name.removeprefix("fields."))
            yield f"  {name} ({selector}): " + (f"in {hits}" if hits else "NOT FOUND in any item")
        yield from (f"  note: {note}" for note in listing.notes)
