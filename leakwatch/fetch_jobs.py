"""Documents that are to be fetched, as durable work: how references become jobs, and jobs references again.

A reference's URL can hold a key, so a job's message is sealed.
"""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, final

from leakwatch import frontier
from leakwatch.engine import NewJob
from leakwatch.errors import Blocked, FetchError, Gone, LeakwatchError, ScanFailed, TooLarge
from leakwatch.fetch.source import Source
from leakwatch.model import Reference, Via, now
from leakwatch.pepper import Pepper

FETCH: Final = "fetch"
_AT_ONCE: Final = 2.0  # seconds of fetching that one job holds: what it finds is told when it ends
_MOST: Final = 50  # references in one job
_LATER: Final = (60.0, 3600.0)  # seconds until a document is looked for again that is not there, or kept from us


class Sorted(NamedTuple):
    """What could not be had, by what becomes of it."""

    later: list[Reference]  # it may be had later: looked for again
    failed: list[tuple[Reference, FetchError]]  # tried again or given up, as work is
    gone: list[Reference]  # not there, at this look
    refused: list[Reference]  # kept from us, at this look


def sort(failures: Sequence[tuple[Reference, FetchError]], attempts: int) -> Sorted:
    """Sort what failed at a job that has failed so often before.

    A page that is not there yet, or that a gatekeeper keeps from us, gets two more looks, and no more.
    """
    later = [r for r, e in failures if isinstance(e, Gone | Blocked) and attempts < len(_LATER)]
    return Sorted(
        later=later,
        failed=[(r, e) for r, e in failures if r not in later and not isinstance(e, Gone)],
        gone=[r for r, e in failures if isinstance(e, Gone)],
        refused=[r for r, e in failures if isinstance(e, Blocked)],
    )


def too_long(source: Source) -> TooLarge:
    """Return the error for a document that was cut at its source's cap."""
    message = f"a document is longer than {source.max_bytes} bytes: what follows was not scanned"
    return TooLarge(message, mend=f"raise max_bytes of {source.name}, then `leakwatch jobs retry`")


@final
class FetchJobs:
    """Makes jobs of the queue `FETCH`, under the pepper that opens them."""

    def __init__(self, pepper: Pepper) -> None:
        self._pepper = pepper

    def one(
        self,
        source: Source,
        references: Sequence[Reference],
        *,
        attempts: int = 0,
        failed: LeakwatchError | None = None,
        run_at: datetime | None = None,
    ) -> NewJob:
        """Return one job for references of a source; with `failed` it has failed so often already, with that."""
        message = json.dumps({"source": source.name, "references": [_packed(r) for r in references]})
        return NewJob(
            queue=FETCH,
            payload=self._pepper.seal(message.encode(), FETCH),
            lane=source.name,
            priority=min((frontier.priority(r) for r in references), default=frontier.USUAL),
            size=len(references),
            attempts=attempts,
            failed=failed,
            run_at=run_at,
        )

    def several(
        self,
        source: Source,
        references: Sequence[Reference],
        *,
        alone: bool = False,
        attempts: int = 0,
        run_at: datetime | None = None,
    ) -> list[NewJob]:
        """Cut references into jobs of about two seconds' fetching each, what goes first apart from the rest.

        Objects of repositories that are here already cost no request; what opens into others goes alone.
        """
        by_request = max(1, min(_MOST, math.floor(_AT_ONCE / source.rate.interval)))
        sizes = {Via.OBJECT: _MOST, Via.GIT: 1, Via.BACKLOG: 1}
        alike: dict[tuple[int, Via, str], list[Reference]] = defaultdict(list)
        for reference in references:
            at = reference.url if reference.via is Via.OBJECT else ""
            alike[frontier.priority(reference), reference.via, at].append(reference)
        return [
            self.one(source, group[at : at + size], attempts=attempts, run_at=run_at)
            for (_, via, _), group in alike.items()
            for size in [1 if alone else sizes.get(via, by_request)]
            for at in range(0, len(group), size)
        ]

    def failed(
        self, source: Source, failures: Sequence[tuple[Reference, FetchError]], attempts: int = 0
    ) -> list[NewJob]:
        """Gather what failed alike: one job waits, or one dead letter tells, for each reason."""
        alike: dict[str, list[tuple[Reference, FetchError]]] = defaultdict(list)
        for reference, error in failures:
            alike[error.reason].append((reference, error))
        return [
            self.one(source, [r for r, _ in group], attempts=attempts, failed=group[0][1]) for group in alike.values()
        ]

    def later(self, source: Source, references: Sequence[Reference], attempts: int) -> list[NewJob]:
        """Look for references again that may be had later, if there are any."""
        if not references:
            return []
        run_at = now() + timedelta(seconds=_LATER[attempts])
        return [self.one(source, references, attempts=attempts + 1, run_at=run_at)]

    def rescans(
        self, source: Source, failures: Sequence[tuple[Reference, ScanFailed]], attempts: int = 0
    ) -> list[NewJob]:
        """A document whose scan raised is fetched and tried again by itself, a counted number of times."""
        return [self.one(source, [reference], attempts=attempts, failed=error) for reference, error in failures]


def unpack(payload: bytes, pepper: Pepper) -> tuple[str, list[Reference]]:
    """Return what a job of the queue `FETCH` is about: a source, and documents of it. Raises WrongPepper."""
    message = json.loads(pepper.open(payload, FETCH))
    return message["source"], [_unpacked(r) for r in message["references"]]


def _packed(reference: Reference) -> dict[str, Any]:
    facts = asdict(reference)
    published = facts.pop("published_at")
    return {**{k: v for k, v in facts.items() if v}, **({"published_at": published.isoformat()} if published else {})}


def _unpacked(facts: dict[str, Any]) -> Reference:
    published, via = facts.pop("published_at", None), Via(facts.pop("via", ""))
    at = datetime.fromisoformat(published) if published else None
    return Reference(**facts, published_at=at, via=via)
