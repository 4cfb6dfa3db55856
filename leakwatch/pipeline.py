"""A batch becomes sightings, findings and notices: the page to read first.

::

    batch ─▶ scan ─▶ candidates ─▶ match ─▶ matches ─▶ record ─▶ findings, notices, jobs

Whatever a batch came from (a poll, fetched references, later a report or a back-scan), it goes through
`Pipeline.process`. Plaintext lives from the scan to the lookup and no longer; what is stored is redacted.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Final

import structlog

from leakwatch import metrics
from leakwatch.announce import Announcer
from leakwatch.containers.opener import Opener
from leakwatch.core import DigestSieve
from leakwatch.errors import ScanFailed, whereabouts
from leakwatch.fetch.source import Source
from leakwatch.match import Digester, Found, match
from leakwatch.members import parts, place
from leakwatch.model import Batch, Candidate, Document, Match, Place, Plaintext, Reference, RegisteredKey, now
from leakwatch.pepper import Pepper
from leakwatch.registered import Registered
from leakwatch.scan import Scan, Scanner, Sieve
from leakwatch.scan.redaction import ELLIPSIS
from leakwatch.store import documents, findings, registry, sources
from leakwatch.store.database import Database, Transaction
from leakwatch.store.findings import NewSighting, Recorded

log: Final = structlog.get_logger(__name__)
_LONGEST: Final = 2000  # characters of a stranger's URL or title that are kept
_EXAMINED: Final = 20_000  # characters of it that are searched for keys
_HALF: Final = 10_000  # characters at the end of these that may be half a key, which is not found: no key is longer
_MOST: Final = 50_000  # possible keys of one document and all that is in it

Settle = Callable[[Transaction, "Outcome"], Awaitable[None]]
"""What else commits with a batch: the checkpoint, the jobs that follow, the completion of the job that it came from."""


Locate = Callable[[Source, Reference], Awaitable[Reference]]
"""Says more exactly where a document stands, of which a key was found: the commit, its author, a page to look at."""


async def _as_it_is(_source: Source, reference: Reference) -> Reference:
    return reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a batch, as far as its transaction."""

    new: tuple[Reference, ...]  # references that no batch named before: to be fetched
    failures: tuple[tuple[Reference, ScanFailed], ...]  # documents whose scan raised
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examined:
    """What the scan of a batch gave: plaintext, in memory only."""

    found: tuple[Found, ...]
    failures: tuple[tuple[Reference, ScanFailed], ...]


_NOTHING: Final = _Examined(found=(), failures=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a second look at a document found of the one key that it was for."""

    holds: bool
    truncated: bool = False  # not all of it was seen


class Pipeline:
    """The stages, and the one way through them."""

    def __init__(  # noqa: PLR0913 - the stages, named once in app.py
        self,
        *,
        database: Database,
        scanner: Scanner,
        digester: Digester,
        pepper: Pepper,
        registered: Registered,
        announcer: Announcer,
        executor: Executor,
        opener: Opener,
        locate: Locate = _as_it_is,
    ) -> None:
        self._database = database
        self._scanner = scanner
        self._digester = digester
        self._pepper = pepper
        self._registered = registered
        self._announcer = announcer
        self._executor = executor
        self._opener = opener
        self._locate = locate

    async def process(self, batch: Batch, source: Source, settle: Settle) -> Outcome:
        """Take a batch from its documents to the notices owed, in one transaction with what the caller settles."""
        examined = await self._examine(batch.documents, source) if batch.documents else _NOTHING
        for document in (one for one in batch.documents if one.text):
            metrics.aged(source.name, document)
        matches = await self._located(source, batch.documents, await match(examined.found, self._lookup))
        async with self._database.transaction() as tx:
            new = await self._listed(tx, batch, source)
            await self._record(tx, matches, source, batch.documents)
            outcome = Outcome(new=new, failures=examined.failures, matches=tuple(matches))
            await settle(tx, outcome)
        return outcome

    async def look(self, document: Document, digest: bytes) -> Looked:
        """Scan and match one document like any other, for one key alone: `digest` as it is stored. Nothing is recorded.

        Raises ScanFailed.
        """
        wanted = DigestSieve(self._pepper)
        wanted.extend([digest])
        examined = await self._scanned((document,), wanted)
        for _, failure in examined.failures:
            raise failure

        async def lookup(digests: Collection[bytes]) -> Mapping[bytes, Sequence[RegisteredKey]]:
            registered = await self._lookup(digests)
            return {**registered, **({digest: [_WANTED]} if digest in digests else {})}

        matches = await match(examined.found, lookup)
        holds = any(one.key is _WANTED for one in matches)
        return Looked(holds=holds, truncated=document.truncated)

    async def _located(self, source: Source, batch: Sequence[Document], matches: Sequence[Match]) -> list[Match]:
        """Say more exactly where what was found stands: too costly to ask of every document."""
        loop, sieve = asyncio.get_running_loop(), self._registered.sieve
        known = {_known_by(one.reference): one.reference for one in batch}
        places: dict[tuple[str, str], Reference] = {}
        for name in {_known_by(found.reference) for found in matches}:
            try:
                if (named := await self._locate(source, known[name])) is not known[name]:
                    places[name] = await loop.run_in_executor(self._executor, self._redacted, named, sieve)
            except Exception as error:  # noqa: BLE001 - an owner is told, even if less well
                log.warning("a place could not be named in full", source=source.name, why=whereabouts(error))
        return [_at(found, places.get(_known_by(found.reference))) for found in matches]

    async def _examine(self, batch: Sequence[Document], source: Source) -> _Examined:
        """Scan and digest, for all keys that are registered by now."""
        return await self._scanned(batch, await self._registered.refresh(), source=source.name)

    async def _scanned(self, batch: Sequence[Document], sieve: Sieve, **told: str) -> _Examined:
        """Scan and digest off the event loop: hyperscan lets go of the interpreter while it works."""
        work = partial(self._scan, batch, sieve, told)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _scan(self, batch: Sequence[Document], sieve: Sieve, told: Mapping[str, str]) -> _Examined:
        found: list[Found] = []
        failures: list[tuple[Reference, ScanFailed]] = []
        for document in batch:
            began = perf_counter()
            try:
                scan, those = self._looked(document, sieve, told)
                found += those
            except Exception as error:  # noqa: BLE001 - a document that breaks its scan must not take others with it
                why = ScanFailed(f"the scan raised {whereabouts(error)}", mend="a bug: please report it with the log")
                failures.append((document.reference, why))
            else:
                metrics.scanned(scan, perf_counter() - began)
                if scan.skipped or scan.disguised:  # blind is never shown as clean
                    left = {"skipped": scan.skipped, "disguised": scan.disguised}
                    log.warning("not all of a document was looked at", **left, **told)
        return _Examined(found=tuple(found), failures=tuple(failures))

    def _looked(self, document: Document, sieve: Sieve, told: Mapping[str, str]) -> tuple[Scan, list[Found]]:
        """Scan what is in a document, then itself, and digest what is found: each key once, where a reader finds it."""
        cut: Counter[str] = Counter()
        keys: dict[Plaintext, Candidate] = {}
        found: list[Found] = []
        seen = skipped = curtailed = disguised = tried = 0
        for part in parts(self._opener, document, cut):
            scan = self._scanner.scan(part, sieve)
            new = {c.plaintext: c for c in scan.candidates if c.plaintext not in keys}
            taken = dict(islice(new.items(), _MOST - len(keys)))
            if taken:
                shown = self._redacted(place(document, part), sieve)
                found += [self._digester.found(shown, candidate) for candidate in taken.values()]
            keys |= taken
            seen += 1
            skipped += scan.skipped + len(new) - len(taken)
            curtailed += scan.curtailed
            disguised += scan.disguised
            tried += scan.tried
        metrics.opened(seen - 1, cut)
        if cut:  # blind is never shown as clean
            log.warning("not all of a container was opened", reasons=dict(cut), **told)
        counts = {"skipped": skipped, "curtailed": curtailed, "disguised": disguised, "tried": tried}
        return Scan(candidates=tuple(keys.values()), **counts), found

    async def _lookup(self, digests: Collection[bytes]) -> Mapping[bytes, Sequence[RegisteredKey]]:
        async with self._database.reading() as tx:
            return await registry.lookup(tx, digests)

    async def _listed(self, tx: Transaction, batch: Batch, source: Source) -> tuple[Reference, ...]:
        """Remember what the batch names, and return the references that were not known before."""
        references = {self.identity(source, r): r for r in batch.references}
        scanned = {self.identity(source, d.reference) for d in batch.documents}
        unseen = await documents.new(tx, batch.source, references.keys() | scanned, now()) - scanned
        return tuple(r for identity, r in references.items() if identity in unseen)

    async def _record(
        self, tx: Transaction, matches: Sequence[Match], source: Source, batch: Sequence[Document]
    ) -> None:
        if scanned := [document for document in batch if document.text or document.raw]:
            await sources.scanned(tx, source.name, len(scanned), _latency(scanned))
        if not matches:
            return
        recorded = await findings.record(tx, [self._sighting(m, source) for m in matches])
        await self._announcer.findings(tx, recorded, observe=source.observe)
        tx.on_commit(partial(_tell, source.name, len(matches), recorded))

    def _sighting(self, found: Match, source: Source) -> NewSighting:
        seen, reference = now(), found.reference
        place = Place(
            source=source.name,
            url=reference.shown_url,
            title=reference.title,
            author=reference.author,
            path=reference.path,
            position=found.position,
            published_at=reference.published_at,
            first_seen_at=seen,
            last_seen_at=seen,
        )
        return NewSighting(
            key_id=found.key.id,
            detector=self._scanner.names.settled(found.detector, found.key.provider),
            masked=found.masked,
            document=self.identity(source, reference),
            place=place,
        )

    def identity(self, source: Source, reference: Reference) -> bytes:
        """Return what a document is known by: 16 bytes that say nothing of it."""
        return self._pepper.identity(source.name, source.whence, reference.id, reference.version)

    def _redacted(self, reference: Reference, sieve: Sieve) -> Reference:
        """What strangers wrote of a document as it may be stored; what it is known by stays as it is."""

        def redact(text: str) -> str:
            """The beginning of a text, as much as is kept: redacting a megabyte takes seconds."""
            kept = self._scanner.redact(text[:_EXAMINED], sieve)
            if len(text) > _EXAMINED:
                kept = kept[: max(0, len(kept) - _HALF)] or ELLIPSIS
            return kept[:_LONGEST]

        return replace(
            reference,
            url=redact(reference.url),
            page=redact(reference.page),
            title=redact(reference.title),
            author=redact(reference.author),
            path=redact(reference.path),
        )


def _known_by(reference: Reference) -> tuple[str, str]:
    """What redaction leaves as it is."""
    return reference.id, reference.version


def _at(found: Match, named: Reference | None) -> Match:
    """Say where a match stands, if that is known better; the path in a container is known already."""
    return found if named is None else replace(found, reference=replace(named, path=found.reference.path))


_WANTED: Final = RegisteredKey(id=0, customer_id=0, provider="", label="", key_id="")


def _latency(scanned: Sequence[Document]) -> float | None:
    """The mean age of documents in seconds, as far as their source tells it."""
    at = now()
    ages = [(at - d.reference.published_at).total_seconds() for d in scanned if d.reference.published_at]
    return max(0.0, sum(ages) / len(ages)) if ages else None


def _tell(source: str, matches: int, recorded: Sequence[Recorded]) -> None:
    """Say what was found, once it is recorded."""
    metrics.matched(matches, sum(sighting.new_finding for sighting in recorded))
    for sighting in recorded:
        log.warning("key found", source=source, finding=sighting.finding_id, new=sighting.new_finding)
