"""A batch becomes sightings, findings and notices: the page to read first.

::

    batch ─▶ scan ─▶ candidates ─▶ match ─▶ matches ─▶ record ─▶ findings, notices, jobs

Whatever a batch came from (a poll, fetched references, later a report or a back-scan), it goes through
`Pipeline.process`. Plaintext lives from the scan to the lookup and no longer; what is stored is redacted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final

import structlog

from leakwatch import metrics
from leakwatch.announce import Announcer
from leakwatch.errors import ScanFailed, whereabouts
from leakwatch.fetch.source import Source
from leakwatch.match import Digester, Found, match
from leakwatch.model import Batch, Document, Match, Place, Reference, RegisteredKey, now
from leakwatch.pepper import Pepper
from leakwatch.scan import Scanner
from leakwatch.store import documents, findings, registry, sources
from leakwatch.store.database import Database, Transaction
from leakwatch.store.findings import NewSighting, Recorded

log: Final = structlog.get_logger(__name__)
_LONGEST: Final = 2000  # characters of a stranger's URL or title that are kept

Settle = Callable[[Transaction, "Outcome"], Awaitable[None]]
"""What else commits with a batch: the checkpoint, the jobs that follow, the completion of the job that it came from."""


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


class Pipeline:
    """The stages, and the one way through them."""

    def __init__(  # noqa: PLR0913 - the stages, named once in app.py
        self,
        *,
        database: Database,
        scanner: Scanner,
        digester: Digester,
        pepper: Pepper,
        announcer: Announcer,
        executor: Executor,
    ) -> None:
        self._database = database
        self._scanner = scanner
        self._digester = digester
        self._pepper = pepper
        self._announcer = announcer
        self._executor = executor

    async def process(self, batch: Batch, source: Source, settle: Settle) -> Outcome:
        """Take a batch from its documents to the notices owed, in one transaction with what the caller settles."""
        examined = await self._examine(batch.documents)
        matches = await match(examined.found, self._lookup)
        async with self._database.transaction() as tx:
            new = await self._listed(tx, batch)
            await self._record(tx, matches, source, batch.documents)
            outcome = Outcome(new=new, failures=examined.failures, matches=tuple(matches))
            await settle(tx, outcome)
        return outcome

    async def _examine(self, batch: Sequence[Document]) -> _Examined:
        """Scan and digest off the event loop: hyperscan lets go of the interpreter while it works."""
        if not batch:
            return _Examined(found=(), failures=())
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._scan, batch)

    def _scan(self, batch: Sequence[Document]) -> _Examined:
        found: list[Found] = []
        failures: list[tuple[Reference, ScanFailed]] = []
        for document in batch:
            began = perf_counter()
            try:
                scan = self._scanner.scan(document)
                found += [self._digester.found(document.reference, c) for c in scan.candidates]
            except Exception as error:  # noqa: BLE001 - a document that breaks its scan must not take others with it
                why = ScanFailed(f"the scan raised {whereabouts(error)}", mend="a bug: please report it with the log")
                failures.append((document.reference, why))
            else:
                metrics.scanned(document, scan, perf_counter() - began)
                if scan.skipped:  # blind is never shown as clean
                    log.warning(
                        "too many candidates in a document", skipped=scan.skipped, looked_up=len(scan.candidates)
                    )
        return _Examined(found=tuple(found), failures=tuple(failures))

    async def _lookup(self, digests: Collection[bytes]) -> Mapping[bytes, Sequence[RegisteredKey]]:
        async with self._database.reading() as tx:
            return await registry.lookup(tx, digests)

    async def _listed(self, tx: Transaction, batch: Batch) -> tuple[Reference, ...]:
        """Remember what the batch names, and return the references that were not known before."""
        references = {self.identity(batch.source, r): r for r in batch.references}
        scanned = {self.identity(batch.source, d.reference) for d in batch.documents}
        unseen = await documents.new(tx, batch.source, references.keys() | scanned, now())
        return tuple(r for identity, r in references.items() if identity in unseen - scanned)

    async def _record(
        self, tx: Transaction, matches: Sequence[Match], source: Source, batch: Sequence[Document]
    ) -> None:
        if scanned := [document for document in batch if document.text]:
            await sources.scanned(tx, source.name, len(scanned), _latency(scanned))
        if not matches:
            return
        recorded = await findings.record(tx, [self._sighting(m, source.name) for m in matches])
        await self._announcer.findings(tx, recorded, observe=source.observe)
        tx.on_commit(partial(_tell, source.name, len(matches), recorded))

    def _sighting(self, found: Match, source: str) -> NewSighting:
        seen, reference = now(), found.reference
        place = Place(
            source=source,
            url=self._redacted(reference.shown_url),
            title=self._redacted(reference.title),
            author=self._redacted(reference.author),
            path=self._redacted(reference.path),
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

    def identity(self, source: str, reference: Reference) -> bytes:
        """Return what a document is known by: 16 bytes that say nothing of it."""
        return self._pepper.identity(source, reference.id, reference.version)

    def _redacted(self, text: str) -> str:
        return self._scanner.redact(text)[:_LONGEST]


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
