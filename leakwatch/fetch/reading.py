"""One poll of a listing: page after page until known ground, or listing after listing of an index.

::

    plain     listing ─▶ next page ─▶ … ─▶ a page whose last item the poll before has seen
    index     index ─▶ each of its listings that has something new, page after page
    walk      listing ─▶ the newest number ─▶ the numbers from the last one on
    search    one word after another, in windows, as far as the site lets us: the next poll goes on
    sitemap   sitemap, or an index of sitemaps ─▶ each that has changed

Whatever a site answers, the number of pages, listings and items is bounded. Pages that go in a circle, and pages that
are left when the bound is reached, are told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from leakwatch.definitions import Pages, Search, Since
from leakwatch.errors import EmptyListing, FetchError, Gone, RateLimited, TooLarge
from leakwatch.fetch import children, gates, kinds, memory, pages, searching, walk, windows
from leakwatch.fetch.children import Children
from leakwatch.fetch.gates import is_barred
from leakwatch.fetch.listing import Facts, Tally, appearance, barred, mark
from leakwatch.fetch.memory import Memory
from leakwatch.fetch.page import Page, Validators
from leakwatch.fetch.pages import Read
from leakwatch.fetch.searching import Found, Progress
from leakwatch.fetch.session import Session
from leakwatch.fetch.sitemap import NESTED
from leakwatch.fetch.source import Source
from leakwatch.fetch.trace import Poll, Trace
from leakwatch.model import Batch, Checkpoint, Document, Reference, now
from leakwatch.units import Rate

_CIRCLE: Final = "the listing's pages go in a circle: the rest was not read"
_LONGEST: Final = 2_000  # characters of a value to begin with
_AS_IT_COMES: Final = Validators()  # whatever was there before


def _reaches(marks: Sequence[str], seen: Collection[str], order: str) -> bool:
    """Whether a page ends, on its older side, where the last poll has been; what is pinned lies on the other."""
    older = {"newest_first": marks[-1], "oldest_first": marks[0]}.get(order)
    return older in seen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    url: str
    body: str | None = None


class Reading:
    """One poll, under way."""

    def __init__(self, session: Session, source: Source, checkpoint: Checkpoint | None, trace: Trace) -> None:
        self._session = session
        self._source = source
        self._definition = source.definition
        self._trace = trace
        self._memory = memory.opened(source, checkpoint)
        self._tally = Tally(source)
        self._marks: list[str] = []
        self._is_nested = False  # a sitemap of sitemaps: there need not be anything new
        self._children = 0  # listings that another one named, and that were read
        self._is_whole = True  # False: a page could not be had, so that the next poll has to look for it again

    async def poll(self) -> Poll:
        """Read what there is from the checkpoint on. Raises FetchError."""
        listing = self._definition.listing
        if self._definition.search:
            return await self._search(self._definition.search)
        is_asked = listing.conditional and not listing.since and not self._memory.left
        validators = self._memory.validators if is_asked else Validators()
        if listing.since and listing.since.ask and not self._memory.since:
            await self._ask(listing.since)
        page = await self._get(self._source, self._first(self._source, {}), validators)
        if page.not_modified:
            return Poll(batch=Batch(source=self._source.name), trace=self._trace)
        self._trace.text = page.text()
        after = replace(self._memory, validators=page.validators, left=0)
        match self._definition:
            case one if one.index:
                await self._index(page, after)
            case one if one.kind == "walk":
                await self._walk(page, after)
            case _:
                await self._pages(self._source, page, {})
        if self._trace.steps and self._definition.kind == "sitemap":
            await self._nested(page, after)
        return self._done(page, after)

    async def _search(self, said: Search) -> Poll:
        """Search for what the last poll did not come to."""
        listing = self._definition.listing
        following = listing.pages or Pages(by="number", most=1)
        before = Progress(turns=self._memory.read, word=self._memory.word, windows=windows.opened(self._memory.windows))
        read_so_far: list[Page] = []

        async def ask(facts: Facts, number: int) -> Found:
            facts = {**facts, "page": str(following.first + number * following.step)}
            page = await self._get(self._source, self._request(self._source, listing.url, facts), rate=said.rate)
            read = await asyncio.to_thread(pages.read, self._source, page)
            if not read.items and await asyncio.to_thread(is_barred, page.text()):
                raise gates.blocked(self._source, "the listing")
            await asyncio.to_thread(self._tally.page, read.items, page.url, facts)
            self._count(len(read.items))
            self._heed(read)
            read_so_far.append(page)
            return Found(items=len(read.items), total=read.total, is_partial=read.is_partial)

        found = await searching.search(said, following.most, before, ask, now())
        for error in found.errors:
            if not isinstance(error, RateLimited):
                self._tally.notes[f"a word could not be searched for ({error.reason})"] += 1
        self._trace.text, self._trace.gap, self._trace.missed = read_so_far[0].text(), found.gap, found.missed
        self._trace.left = len({mark(word) for word in said.words} - set(found.turns))
        left = windows.stored(found.windows)
        return self._done(
            read_so_far[0], replace(self._memory, read=found.turns, word=found.word, windows=left, left=0)
        )

    async def _ask(self, since: Since) -> None:
        """Ask from where on there is anything to read: what came before is not ours to catch up with."""
        page = await self._session.get(
            self._source.fill(since.ask, {}), source=self._source, accept=kinds.accept(self._definition.kind)
        )
        value = await asyncio.to_thread(kinds.value, self._source, page.text(), since.answer)
        if not value:
            message = f"{self._source.name}: listing.since.answer ({since.answer}) found nothing to begin with"
            raise EmptyListing(message, mend="compare it with what the address of listing.since.ask answers")
        self._memory.since = value[:_LONGEST]

    def _done(self, page: Page, after: Memory) -> Poll:
        """Return what was found, and where the next poll starts."""
        self._trace.listing = listing = self._tally.listing()
        found: list[Document | Reference] = [*listing.documents, *listing.references]
        asked = self._definition.listing.since
        if asked and self._is_whole:
            after.since = memory.since(asked, self._memory.since, found)
        several = self._definition.index or self._definition.search or self._definition.kind in ("walk", "sitemap")
        in_one = not (asked or several)
        if in_one:
            self._trace.gap = self._trace.gap or self._memory.is_gap(self._marks)
            if self._is_whole:
                after.seen = tuple(m for m in self._marks if m)
        if not self._is_whole:
            after.validators = Validators()
        after.left = self._trace.left
        if not found:
            self._check_empty(page)
        checkpoint = after.checkpoint()
        batch = Batch(
            source=self._source.name,
            documents=listing.documents,
            references=listing.references,
            checkpoint=checkpoint,
        )
        return Poll(batch=batch, trace=self._trace)

    async def _pages(self, source: Source, page: Page, context: Facts) -> None:
        """Read a page and those after it, until one ends where the last poll has been, or there are no more."""
        listing, seen = self._definition.listing, frozenset(self._memory.seen)
        most = listing.pages.most if listing.pages else 1
        contents, asked = {hash(page.body)}, {page.url}
        for number in range(1, most + 1):
            read = await asyncio.to_thread(pages.read, source, page)
            marks = await asyncio.to_thread(self._tally.page, read.items, page.url, context)
            marks = marks if read.marks is None else [*read.marks]
            self._count(len(read.items))
            is_known = bool(marks) and set(marks) <= set(self._marks)
            self._marks += marks
            self._heed(read)
            if not marks or is_known or _reaches(marks, seen, listing.order):
                return
            following = self._following(source, page, read, number, context)
            if following is None:
                return
            if following.url in asked and following.body is None:
                self._tally.notes[_CIRCLE] += 1
                return
            if number == most or (number == 1 and self._memory.is_first and source.backlog == "skip"):
                self._unread()
                return
            asked.add(following.url)
            further = await self._further(source, following)
            if further is None:
                return
            page = further
            if hash(page.body) in contents:
                if listing.pages and listing.pages.by != "number":  # past its last page many a site shows that again
                    self._tally.notes[_CIRCLE] += 1
                return
            contents.add(hash(page.body))

    def _unread(self) -> None:
        """Take down that there are more pages than one poll reads."""
        listing = self._definition.listing
        if self._memory.is_first:
            return  # that is the backlog of a site, and has no end
        if listing.since and listing.order == "oldest_first":
            self._trace.left += 1  # the next poll goes on where this one ends
        elif listing.order != "none":
            self._trace.gap = True

    async def _further(self, source: Source, request: _Request) -> Page | None:
        """Get a further page; None where there is none, or where it cannot be had now."""
        try:
            return await self._get(source, request, Validators())
        except Gone:
            return None
        except FetchError as error:
            self._is_whole = False
            self._tally.notes[f"a further page could not be had ({error.reason})"] += 1
            return None

    def _following(self, source: Source, page: Page, read: Read, number: int, context: Facts) -> _Request | None:
        """Return the request for the next page, or None after the last."""
        pages = self._definition.listing.pages
        if pages is None:
            return None
        if pages.by == "link":
            url = read.cursor if pages.cursor else page.following
            target = kinds.absolute(url, page.url)
            return _Request(url=target) if target else None
        facts = dict(context)
        if pages.by == "number":
            facts["page"] = str(pages.first + number * pages.step)
        elif read.cursor:
            facts["cursor"] = read.cursor
        else:
            return None
        return self._request(source, pages.url or self._definition.listing.url, facts)

    def _first(self, source: Source, context: Facts) -> _Request:
        definition = source.definition
        if definition.index and not context:
            return _Request(url=source.listing_url)
        pages = definition.listing.pages
        facts = {**context, **({"page": str(pages.first)} if pages and pages.by == "number" else {})}
        return self._request(source, definition.listing.url, facts)

    def _request(self, source: Source, url: str, facts: Mapping[str, str]) -> _Request:
        listing, asked = source.definition.listing, source.definition.listing.since
        if asked:
            facts = {**facts, "since": self._memory.since or memory.start(asked, now())}
        body = kinds.body(source, listing.body, facts) if listing.method == "POST" else None
        return _Request(url=source.fill(url, facts, partly=True), body=body)

    async def _get(
        self, source: Source, request: _Request, validators: Validators = _AS_IT_COMES, rate: Rate | None = None
    ) -> Page:
        began = monotonic()
        index = source.definition.index
        is_index = index is not None and not self._trace.steps
        accept = kinds.accept(source.of_index.definition.kind if is_index else source.definition.kind)
        page = await self._session.get(
            request.url, source=source, validators=validators, accept=accept, body=request.body, rate=rate
        )
        method = "GET" if request.body is None else "POST"
        self._trace.met(page, monotonic() - began, method=method)
        if page.truncated:
            message = f"{source.name}: the listing is larger than {source.max_bytes:,} bytes"
            raise TooLarge(message, mend="raise max_bytes, or set listing.url to a shorter listing")
        return page

    def _heed(self, read: Read) -> None:
        """Do as a page asks."""
        if read.quota is not None:
            self._trace.quota = read.quota
        if read.wait:
            self._trace.interval = max(read.wait, self._trace.interval or 0.0)
            self._session.pause(self._source, read.wait)

    async def _index(self, page: Page, after: Memory) -> None:
        """Read those of an index's listings in which something is new, as many as one poll takes."""
        index = self._definition.index
        assert index is not None  # noqa: S101 - asked only where there is one
        named = await asyncio.to_thread(kinds.named, self._source, page.text())
        self._count(len(named))
        marks = {mark(name, version): name for name, version in named}
        if not marks and await asyncio.to_thread(is_barred, page.text()):
            raise gates.blocked(self._source, "the index")
        if not marks and not index.may_be_empty:
            message = f"{self._source.name}: index.items ({index.items}) found nothing in the index"
            raise EmptyListing(message, mend=f"run `leakwatch sources test {self._source.name}`")
        new = [one for one in marks if one not in frozenset(self._memory.read)]
        read = [one for one in self._memory.read if one in marks]
        if not index.version:  # each in its turn, since nothing tells which of them has something new
            new += read
        wanted = children.in_turn(new, frozenset(self._memory.failed))[: index.most]

        async def read_one(one: str) -> None:
            context = {"index": marks[one]}
            items = self._tally.items
            further = await self._get(self._source, self._first(self._source, context), Validators())
            await self._pages(self._source, further, context)
            if self._tally.items == items and await asyncio.to_thread(is_barred, further.text()):
                raise gates.blocked(self._source, "the listing")

        each = await self._each(wanted, read_one)
        if each.gone and len(each.gone) == len(wanted):
            message = f"{self._source.name}: none of {len(wanted)} listings that the index names is there"
            raise EmptyListing(message, mend="is listing.url right, and index.cut?")
        over = {*each.had, *each.gone, *(() if index.version else each.failed)}  # those have had their turn
        after.read = (*(one for one in read if one not in over), *(one for one in wanted if one in over))
        behind = each.behind(new, self._memory.failed)
        after.failed = behind if index.version else ()
        self._trace.left += len(set(new) - set(after.read))

    async def _each(self, wanted: Sequence[str], read: Callable[[str], Awaitable[None]]) -> Children:
        """Read listing after listing, and take down what could not be had of them."""

        async def whole(one: str) -> bool:
            self._is_whole = True
            await read(one)
            return self._is_whole

        found = await children.each(wanted, whole)
        for error in found.errors:
            self._tally.notes[f"a listing could not be read ({error.reason})"] += 1
        self._is_whole = found.is_whole
        self._children = len(found.had)
        return found

    async def _nested(self, page: Page, after: Memory) -> None:
        """Read the sitemaps that an index of sitemaps names and that have changed: the newest first."""
        facts = await asyncio.to_thread(kinds.items, self._source, page.text())
        nested = {mark(f["id"], f.get("version", "")): f for f in facts if NESTED in f}
        if not nested:
            return
        self._is_nested = True
        self._tally = Tally(self._source)  # what was found so far are the sitemaps themselves
        known = frozenset(self._memory.read)
        new = sorted((m for m in nested if m not in known), key=lambda m: nested[m].get("version", ""), reverse=True)
        most = self._definition.listing.pages.most if self._definition.listing.pages else 5

        async def read_one(one: str) -> None:
            address = kinds.absolute(nested[one][NESTED], page.url)
            further = await self._get(self._source, _Request(url=address), Validators())
            items = await asyncio.to_thread(kinds.items, self._source, further.text())
            self._count(len(items))
            pages = [f for f in items if NESTED not in f]
            await asyncio.to_thread(self._tally.page, pages, further.url)

        each = await self._each(children.in_turn(new, frozenset(self._memory.failed))[:most], read_one)
        after.failed = each.behind(new, self._memory.failed)
        after.read = (*(m for m in self._memory.read if m in nested), *each.had, *each.gone)
        self._trace.left += len(set(new) - set(after.read))

    async def _walk(self, page: Page, after: Memory) -> None:
        top = walk.newest(self._source, page.text())
        numbers = walk.ahead(self._source, self._memory.last, top)
        await asyncio.to_thread(self._tally.page, walk.facts(numbers), page.url)
        self._count(len(numbers))
        after.last = numbers[-1] if numbers else self._memory.last
        self._trace.left += top - (after.last or top)
        if self._trace.left:
            after.validators = Validators()

    def _count(self, items: int) -> None:
        self._trace.steps[-1] = replace(self._trace.steps[-1], items=items)

    def _check_empty(self, page: Page) -> None:
        """Raise EmptyListing, or Blocked, unless an empty listing is what this source may have."""
        source, listing, read = self._source, self._definition.listing, self._tally.listing()
        is_usual = self._definition.kind == "walk" or listing.since or self._definition.search or self._is_nested
        is_unchanged = self._definition.index and not self._children
        text = page.text()
        if not read.items:
            if is_barred(text):
                raise barred(source, text) or gates.blocked(source, "the listing")
            if listing.may_be_empty or is_usual or is_unchanged:
                return
            if barrier := barred(source, text, is_html=self._definition.kind == "html"):
                raise barrier
        selector = listing.items
        where = f"listing.items ({selector})" if selector else "the feed's reader"
        if read.items:
            found = f"none of the listing's {read.items} items can be used: {'; '.join(read.notes)}"
        else:
            looks = "" if self._children else appearance(text)
            place = f"any of {self._children} listings" if self._children else "the listing"
            found = f"{where} found nothing in {place}" + (f", which looks like {looks}" if looks else "")
        mend = f"run `leakwatch sources test {source.name}`; if it can be empty, set listing.may_be_empty"
        raise EmptyListing(f"{source.name}: {found}", mend=mend)
