"""What every engine promises, and the nouns it speaks in."""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from leakwatch.errors import LeakwatchError
from leakwatch.store.database import Transaction
from leakwatch.store.jobs import Kept, Live


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Work to be done once its transaction has committed."""

    queue: str  # names the handler
    payload: bytes  # opaque to the engine; sealed by whoever makes it where it may hold a key
    lane: str = ""  # within the queue: what shares a concurrency limit (a source, a channel's host)
    dedupe_key: str | None = None  # while a live job has this key, a second one is not made
    priority: int = 0  # lower goes first
    run_at: datetime | None = None  # not before; None: at once
    size: int = 1  # what it counts for, where a backlog is counted in more than jobs
    attempts: int = 0  # failures so far: carried over when a job is replaced by what is left of it
    failed: LeakwatchError | None = None  # enqueue it as one that has just failed so: it waits, or is dead at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that a handler holds under a lease."""

    id: int
    queue: str
    payload: bytes
    lane: str
    attempts: int  # failures so far
    picks: int  # times claimed since it was last settled: more than 1 means that a process died under it
    created_at: datetime | None = None  # when it was added; None: just now


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed job is tried again: exponential backoff with full jitter in its upper half."""

    base: float = 2.0  # seconds before the second try
    ceiling: float = 3600.0  # seconds between two tries, at most
    limit: int = 8  # failures before the job is given up
    span: float | None = None  # seconds after it was added until a job is given up, and not tried again later
    crashes: int = 5  # picks without a settlement before the job is given up

    def delay(self, attempts: int, *, retry_after: float | None = None, age: float = 0.0) -> float | None:
        """Return the seconds until the next try after that many failures, or None: give up.

        `retry_after` is what the other side asked for; it is never undercut. `age` is of the job, in seconds.
        """
        left = math.inf if self.span is None else self.span - age
        if attempts >= self.limit or (self.span is not None and left <= (retry_after or 0.0)):
            return None
        backoff = min(self.ceiling, self.base * 2.0 ** min(attempts - 1, 60))
        wait = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, protects nothing
        return max(min(wait, left), retry_after or 0.0)


Handler = Callable[[Job], Awaitable[None]]
"""Does a job. Returns: done. Raises a transient LeakwatchError: try again. Raises anything else: see `Engine`."""

Bury = Callable[[Transaction, Job, LeakwatchError], Awaitable[None]]
"""Told, in the transaction that makes a job a dead letter, so that whoever waits for the job can be told too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A kind of work and how it is done."""

    name: str
    handler: Handler
    concurrency: int = 4  # jobs at once
    lane_concurrency: int = 1  # jobs at once with the same lane
    lease: float = 30.0  # seconds without a heartbeat after which a job is anybody's
    retry: Retry = Retry()
    bury: Bury | None = None
    letters: bool = True  # False: whoever `bury` tells keeps the dead letter, in a ledger of its own; the job goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A dead letter: work given up, kept with its reason until the operator revives or drops it."""

    id: int
    queue: str
    lane: str
    attempts: int
    reason: str
    detail: str
    created_at: datetime
    died_at: datetime


class Engine(Protocol):
    """Runs jobs at least once.

    A handler that raises a transient `LeakwatchError` is tried again after `Retry.delay`; one that raises a
    permanent one is a dead letter at once; one that raises any other exception is treated as `JobFailed` (transient).
    A job whose process died under it `Retry.crashes` times is a dead letter with the reason ``crashed``.
    """

    def serve(self, queue: Queue) -> None:
        """Have this queue's jobs done by this process once `run` is called."""

    async def enqueue(self, tx: Transaction, jobs: Sequence[NewJob]) -> int:
        """Add jobs in the caller's transaction; return how many were new (by dedupe key)."""

    async def complete(self, tx: Transaction, *jobs: Job) -> None:
        """Settle jobs in the transaction of their own effects. A handler that does not is settled when it returns."""

    async def run(self) -> None:
        """Do jobs until `stop`."""

    async def stop(self, grace: float) -> None:
        """Claim nothing more, give running jobs that many seconds, then cancel them and hand them back."""

    async def due(self, tx: Transaction, dedupe_keys: Sequence[str]) -> dict[str, datetime]:
        """Return when each live job with one of these keys is done next: for showing, not for deciding."""

    async def hurry(self, tx: Transaction, dedupe_keys: Sequence[str]) -> int:
        """Have live jobs with these keys done now, whatever they wait for; return how many wait no more."""

    async def live(self, tx: Transaction, *, limit: int = 100) -> list[Live]:
        """Return what waits or runs, in the order in which it is due."""

    async def backlog(self, tx: Transaction, queue: str, lane: str, *, before: datetime | None = None) -> int:
        """Return how many jobs of a lane wait or run: all, or those that were added before a moment."""

    async def waiting(self, tx: Transaction, queue: str) -> dict[str, int]:
        """Return the sizes of a queue's jobs that wait or run, added up for each lane."""

    async def dead(self, tx: Transaction, *, limit: int = 100) -> list[Dead]:
        """Return the dead letters, newest first."""

    async def one(self, tx: Transaction, job_id: int) -> Kept | None:
        """Return a job with its payload, whatever its state: for showing."""

    async def revive(self, tx: Transaction, ids: Sequence[int]) -> int:
        """Make dead letters live again, with their failures forgotten; return how many."""

    async def drop(self, tx: Transaction, ids: Sequence[int]) -> int:
        """Delete dead letters, for good; return how many."""
