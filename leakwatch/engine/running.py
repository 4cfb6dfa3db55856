"""The jobs in our hands: from the claim of each until that is settled."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final, final

import structlog
from structlog.contextvars import bound_contextvars

from leakwatch import metrics
from leakwatch.engine import failures
from leakwatch.engine.failures import Verdict
from leakwatch.engine.fairness import is_suspect
from leakwatch.engine.protocol import Job, Queue
from leakwatch.errors import DatabaseDown, JobCrashed
from leakwatch.model import now
from leakwatch.store.jobs import Lease

log: Final = structlog.get_logger(__name__)


class End(Enum):
    """How a run ended that did not fail."""

    DONE = auto()
    BACK = auto()  # handed back, since we stop


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """One job in our hands."""

    job: Job
    queue: Queue
    lease: Lease
    began: float  # monotonic
    task: asyncio.Task[None] | None = None
    completed: bool = False  # settled by its handler, in a transaction of the handler's
    end: End | Verdict | None = None  # None: it runs

    @property
    def verdict(self) -> Verdict | None:
        """What becomes of it, if it failed."""
        return self.end if isinstance(self.end, Verdict) else None

    def complete(self) -> None:
        """Note that there is nothing left to settle."""
        self.completed = True


@final
class Running:
    """Starts handlers, and keeps what became of them until that is settled."""

    def __init__(self, owner: str, ended: Callable[[], None]) -> None:
        self.owner = owner
        self.stopping = False  # what is cancelled from now on is handed back, and did not fail
        self._tell = ended
        self._runs: dict[int, Run] = {}  # by job id

    @property
    def held(self) -> list[int]:
        """The ids of the jobs in our hands, ended or not."""
        return list(self._runs)

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs."""
        return [run.task for run in self.now() if run.task is not None]

    def now(self, queue: Queue | None = None) -> Iterator[Run]:
        """Yield what has not ended, of one queue or of all."""
        return (run for run in [*self._runs.values()] if run.end is None and queue in (None, run.queue))

    def ended(self) -> list[Run]:
        """Return what is to be settled, apart from the dead."""
        return [run for run in self._runs.values() if run.end and not (run.verdict and run.verdict.given_up)]

    def dead(self) -> list[tuple[Run, Verdict]]:
        """Return what is to be buried, and why."""
        ended = ((run, run.verdict) for run in self._runs.values())
        return [(run, verdict) for run, verdict in ended if verdict and verdict.given_up]

    def settled(self, runs: Sequence[Run]) -> None:
        """Let go of what has been settled."""
        for run in runs:
            del self._runs[run.job.id]

    def of(self, job: Job) -> Run | None:
        """Return the run in which a handler was given this job."""
        run = self._runs.get(job.id)
        return run if run is not None and run.job == job else None

    def lease(self, job: Job) -> Lease:
        """Return what proves that a job is ours."""
        return Lease(job_id=job.id, job_owner=self.owner, job_picks=job.picks)

    def has_suspect(self) -> bool:
        """Whether a job runs whose next crash would be its last."""
        return any(is_suspect(run.queue, run.job.picks - 1) for run in self.now())

    def start(self, queue: Queue, job: Job) -> None:
        """Call a job's handler, unless the process has died under it too often."""
        run = Run(job=job, queue=queue, lease=self.lease(job), began=time.monotonic())
        self._runs[job.id] = run
        if job.picks > queue.retry.crashes:
            message = f"the process died under it {job.picks - 1} times"
            self._judge(run, JobCrashed(message, mend="the log of those times may say why"))
            return
        run.task = asyncio.create_task(_handled(queue, job), name=f"{queue.name} {job.id}")
        run.task.add_done_callback(partial(self._ends, run))

    def _ends(self, run: Run, task: asyncio.Task[None]) -> None:
        """Decide what becomes of a job whose handler has ended."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            run.end = End.DONE
            metrics.job_done(run.queue.name, metrics.OK, time.monotonic() - run.began)
        elif task.cancelled() and self.stopping:
            run.end = End.BACK
        else:
            self._judge(run, error)
        if run.completed:
            self.settled([run])
        self._tell()

    def _judge(self, run: Run, error: BaseException) -> None:
        """Decide on a job that failed, and say so."""
        why, job = failures.named(error), run.job
        tried, retry = job.attempts + 1, run.queue.retry
        verdict = failures.judge(why, attempts=tried, retry=retry, at=now(), since=job.created_at)
        run.end = verdict
        metrics.job_done(job.queue, why.reason, time.monotonic() - run.began)
        bound = log.bind(queue=job.queue, lane=job.lane, job=job.id, attempts=verdict.failure.attempts)
        bound = bound.bind(reason=why.reason, detail=verdict.failure.detail)
        unforeseen = None if why is error else error
        if run.completed:
            bound.warning("job failed after it was settled", exc_info=unforeseen)
        elif verdict.given_up:
            bound.error("job given up", exc_info=unforeseen)
        else:
            tell = bound.debug if isinstance(why, DatabaseDown) else bound.warning  # the database's owner tells of that
            tell("job failed", next_try=verdict.failure.at.isoformat(), exc_info=unforeseen)


async def _handled(queue: Queue, job: Job) -> None:
    with bound_contextvars(queue=queue.name, job=job.id):
        await queue.handler(job)
