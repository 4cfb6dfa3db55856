"""Which of the jobs that wait may run now: limits of queues and lanes, and caution after crashes."""

from collections import Counter
from collections.abc import Collection, Iterable

from leakwatch.engine.protocol import Queue
from leakwatch.store.jobs import Waiting


class Room:
    """How much more a queue may run: in all, and in each lane.

    Lanes are what keeps one slow source from starving the others; a job that names none is limited by the queue alone.
    """

    def __init__(self, queue: Queue, lanes: Iterable[str]) -> None:
        self._queue = queue
        self._lanes = Counter(lanes)  # of what runs

    @property
    def left(self) -> int:
        """How many more jobs may run."""
        return max(0, self._queue.concurrency - self._lanes.total())

    @property
    def full(self) -> frozenset[str]:
        """The lanes in which no more may run."""
        most = self._queue.lane_concurrency
        return frozenset(lane for lane, running in self._lanes.items() if lane and running >= most)

    def take(self, waiting: Iterable[Waiting], *, running: Collection[int], cautious: bool) -> list[Waiting]:
        """Return, in their order, the jobs that may run, and count them as running.

        `cautious`: a suspect runs already, so no other may. A job that we run still, having lost its lease, is left
        alone.
        """
        taken: list[Waiting] = []
        for job in waiting:
            suspect = is_suspect(self._queue, job.picks)
            if not self.left or job.lane in self.full or job.id in running or (suspect and cautious):
                continue
            cautious = cautious or suspect
            self._lanes[job.lane] += 1
            taken.append(job)
        return taken


def is_suspect(queue: Queue, picks: int) -> bool:
    """Whether the next crash under this job would be its last.

    One suspect runs at a time. Otherwise the jobs that happen to run beside the one which kills the process would be
    given up with it, as they are claimed together again and again.
    """
    return picks >= max(1, queue.retry.crashes - 1)
