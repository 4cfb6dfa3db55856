"""The processes among which files are shared: as many as there are cores."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from itertools import chain, islice
from typing import Final, final

from leakwatch.errors import ScanFailed
from leakwatch.survey.files import Job
from leakwatch.survey.inspector import Inspected, Inspector, Known
from leakwatch.survey.processes import Processes

_SMALL: Final = 2  # jobs that are done sooner than another process has started
_AHEAD: Final = 4  # jobs for each process that wait in it

_inspector: Inspector | None = None  # of this process


@final
class Crew:
    """Inspects files in several processes; a few files in this one."""

    def __init__(self, known: Known | None, processes: int = 0, *, plain: bool = False) -> None:
        """`processes`: 0 for one on each core that we may use; `plain`: as for an `Inspector`."""
        self._known = known
        self._plain = plain
        self._processes = processes or len(os.sched_getaffinity(0))

    def inspect(self, jobs: Iterable[Job]) -> Generator[Inspected, None, None]:
        """Yield what came of each job, in their order. Raises ScanFailed when a process has died."""
        jobs = iter(jobs)
        few = list(islice(jobs, _SMALL + 1))
        if self._processes == 1 or len(few) <= _SMALL:
            with closing(Inspector(self._known, plain=self._plain)) as inspector:
                yield from map(inspector.files, chain(few, jobs))
            return
        try:
            with Processes.started(self._processes, partial(_begin, self._known, plain=self._plain)) as processes:
                yield from self._shared(processes, chain(few, jobs))
        except BrokenProcessPool as error:
            message = "a process that scanned files has died"
            raise ScanFailed(message, mend="try --jobs 1 on parts of it to find the file, and report it") from error

    def _shared(self, processes: Processes, jobs: Iterator[Job]) -> Iterator[Inspected]:
        waiting: deque[Future[Inspected]] = deque()
        for job in jobs:
            waiting.append(processes.submit(_inspect, job))
            if len(waiting) > _AHEAD * self._processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _begin(known: Known | None, *, plain: bool) -> None:
    global _inspector  # noqa: PLW0603 - what a process of a pool keeps between its jobs
    _inspector = Inspector(known, plain=plain)


def _inspect(job: Job) -> Inspected:
    assert _inspector is not None  # noqa: S101 - the process began with it
    return _inspector.files(job)
