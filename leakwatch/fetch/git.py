"""What a source does with git: ask whether anything moved, open a repository into its objects, read and name them.

A repository is known by a reference (`Via.GIT`). Opened, it yields a reference to each object that is new
(`Via.OBJECT`); these are fetched, scanned, tried again and given up as all documents are.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar
from urllib.parse import urlsplit

from leakwatch.config import GitConfig, HttpConfig
from leakwatch.errors import EmptyListing, FetchError, Gone
from leakwatch.fetch.listing import Listing
from leakwatch.fetch.opening import Opened
from leakwatch.fetch.source import Source
from leakwatch.fetch.trace import Poll, Trace
from leakwatch.git import objects
from leakwatch.git.history import SCHEME
from leakwatch.git.history import document as as_document
from leakwatch.git.leash import Leash
from leakwatch.git.mirror import Listed, Mirror, Mirrors, Refs, refs
from leakwatch.git.objects import Missing, Named
from leakwatch.git.place import Place, judged
from leakwatch.model import Batch, Checkpoint, Document, Reference, Via

R = TypeVar("R")
Turn = Callable[[str, Source], AbstractAsyncContextManager[None]]
"""Holds one of a host's places, from when something may be asked of it."""

SLICE: Final = 10_000  # objects that one job lists; the rest is for the next
_AT_ONCE: Final = 4  # gits that work at the same time, whatever there is to do
_BLOB: Final = "blob"


class Git:
    """All work with git, in threads of its own."""

    def __init__(self, config: GitConfig, http: HttpConfig, turn: Turn) -> None:
        self._config = config
        self._http = http
        self._turn = turn
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="git")
        self._leashes: set[Leash] = set()
        self.mirrors = Mirrors(config.place, config.budget)

    def close(self) -> None:
        """Kill whatever runs."""
        for leash in list(self._leashes):
            leash.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def poll(self, source: Source, checkpoint: Checkpoint | None, trace: Trace) -> Poll:
        """Ask what a repository has, and name it when that has changed. Raises FetchError."""
        began = monotonic()
        place = await self._judged(source, source.base_url)
        async with self._turn(place.url, source):
            found = await self._held(source, lambda leash: refs(leash, place))
        trace.url, trace.seconds = source.base_url, monotonic() - began
        if not found.count and not source.definition.listing.may_be_empty:
            message = f"{source.name}: the repository is empty"
            raise EmptyListing(message, mend="check base_url; if it may be empty, set listing.may_be_empty")
        reference = Reference(url=source.base_url, id=source.base_url, version=found.digest, via=Via.GIT)
        is_new = (checkpoint or {}).get("refs") != found.digest
        trace.listing = Listing(documents=(), references=(reference,), items=found.count, hits={}, notes=())
        batch = Batch(source=source.name, references=(reference,) if is_new else (), checkpoint={"refs": found.digest})
        return Poll(batch=batch, trace=trace)

    async def open(self, source: Source, reference: Reference) -> Opened:
        """Fetch what a repository has and list what of it is new. Raises FetchError."""
        place = await self._judged(source, reference.url)
        async with self._turn(place.url, source):
            return await self._held(source, partial(self._opened, source, reference, place))

    async def read(
        self, source: Source, references: Sequence[Reference], budget: int
    ) -> list[Document | FetchError | None]:
        """Read objects, in their order; None for what the budget had no room for."""
        found: dict[Reference, Document | FetchError | None] = dict.fromkeys(references)
        for url, group in groupby(references, key=lambda reference: reference.url):
            wanted = list(group)
            try:
                place = await self._judged(source, url.removeprefix(SCHEME))
                read = await self._held(source, partial(self._read, source, place, wanted, budget))
            except FetchError as error:
                read = dict.fromkeys(wanted, error)
            budget -= sum(one.size for one in read.values() if isinstance(one, Document))
            found |= read
        return [found[reference] for reference in references]

    async def locate(self, source: Source, reference: Reference) -> Reference:
        """Return a reference to an object with the commit that brought it: for what was found alone."""
        url = reference.url.removeprefix(SCHEME)

        def work(leash: Leash) -> Reference:
            with self.mirrors.held(source.name, url) as mirror:
                return _located(leash, mirror.repository, source, reference, url) if mirror.is_there else reference

        return await self._held(source, work)

    async def _judged(self, source: Source, url: str) -> Place:
        way = {"proxy": source.proxy, "password": source.proxy_password}
        return await judged(url, allowed=self._http.networks, **way, name=source.name)

    async def _held(self, source: Source, work: Callable[[Leash], R]) -> R:
        """Do blocking work on a leash, in a thread; whoever is cancelled has git killed."""
        leash = Leash(
            self._config.place,
            agent=self._http.user_agent,
            seconds=self._config.timeout,
            most_bytes=self._config.max_bytes,
            where=f"{source.name}: {urlsplit(source.base_url).hostname or 'git'}",
        )

        def held() -> R:
            with leash:
                return work(leash)

        self._leashes.add(leash)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, held)
        except asyncio.CancelledError:
            leash.kill()
            raise
        finally:
            self._leashes.discard(leash)

    def _opened(self, source: Source, reference: Reference, place: Place, leash: Leash) -> Opened:
        with self.mirrors.held(source.name, reference.url) as mirror:
            before = mirror.listed()
            if before.skip and mirror.is_there:
                current, digest = list(before.tips), before.refs
            else:
                found = self._synced(source, mirror, place, leash, reference)
                if found is None:
                    return Opened()
                current, digest, before = mirror.tips(leash), found.digest, replace(before, skip=0)
            if reference.via is Via.BACKLOG:
                return Opened(settle=partial(mirror.write, Listed(refs=digest, done=current)))
            missing = Missing()
            every = objects.listing(leash, mirror.repository, current, before.done, missing)
            named = list(islice(every, before.skip, before.skip + SLICE + 1))
            again = len(named) > SLICE
            after = (
                replace(before, refs=digest, tips=current, skip=before.skip + SLICE)
                if again
                else Listed(refs=digest, done=current)
            )
            address = f"{SCHEME}{reference.url}"
            return Opened(
                references=tuple(_reference(one, address, reference) for one in named[:SLICE]),
                again=again,
                oversized=0 if again else missing.count,
                settle=partial(mirror.write, after),
            )

    def _synced(self, source: Source, mirror: Mirror, place: Place, leash: Leash, reference: Reference) -> Refs | None:
        """Fetch what is new; None where nothing is."""
        found = refs(leash, place)
        if mirror.is_there and mirror.listed().refs == found.digest and not reference.commit:
            mirror.touch()
            return None
        self.mirrors.make_room(self._config.max_bytes, mirror)
        wanted = [oid for oid in reference.commit.split() if _is_oid(oid)]
        mirror.sync(leash, place, largest=source.max_bytes, found=found, wanted=wanted)
        return found

    def _read(
        self, source: Source, place: Place, wanted: Sequence[Reference], budget: int, leash: Leash
    ) -> dict[Reference, Document | FetchError | None]:
        found: dict[Reference, Document | FetchError | None] = dict.fromkeys(wanted)
        by_oid = {reference.id: reference for reference in wanted}
        with self.mirrors.held(source.name, place.url) as mirror:
            if not mirror.is_there:  # it had to make room for others
                self.mirrors.make_room(self._config.max_bytes, mirror)
                mirror.sync(leash, place, largest=source.max_bytes, found=refs(leash, place))
            named = [Named(oid=reference.id, kind="") for reference in wanted if _is_oid(reference.id)]
            for blob in objects.reading(leash, mirror.repository, named, cap=source.max_bytes):
                reference = by_oid[blob.oid]
                found[reference] = document = as_document(blob, reference)
                budget -= document.size
                if budget <= 0:
                    return found
        gone = Gone(f"{source.name}: an object is in the repository no more", mend="its history was rewritten")
        return {reference: one or gone for reference, one in found.items()}


def _reference(named: Named, address: str, repository: Reference) -> Reference:
    return Reference(
        url=address,
        id=named.oid,
        title=repository.title,
        author=repository.author,
        version="" if named.kind == _BLOB else named.kind,
        path=named.path,
        via=Via.OBJECT,
    )


def _located(leash: Leash, repository: Path, source: Source, reference: Reference, url: str) -> Reference:
    kind = reference.version or _BLOB
    found = objects.origin(leash, repository, _named(reference))
    if found is None:
        return reference
    facts = {"commit": found.commit, "path": reference.path, "repository": url.removesuffix(".git"), "id": reference.id}
    template = source.definition.document.commit if kind == "commit" else source.definition.document.file
    return replace(
        reference,
        page=source.fill(template, facts) if template else "",
        commit=found.commit,
        title=f"{found.commit[:12]} {found.subject}",
        author=found.author,
        published_at=found.at,
    )


def _named(reference: Reference) -> Named:
    kind = reference.version or _BLOB
    return Named(oid=reference.id, kind=kind, path=reference.path if kind == _BLOB else "")


def _is_oid(text: str) -> bool:
    return len(text) in (40, 64) and set(text) <= set("0123456789abcdef")
