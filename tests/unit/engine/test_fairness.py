from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from leakwatch.engine import Job, Queue, Retry
from leakwatch.engine.fairness import Room, is_suspect
from leakwatch.store.jobs import Waiting

LANES = st.sampled_from(["", "a", "b", "c"])


async def _nothing(job: Job) -> None: ...


def _queue(concurrency: int = 4, lane_concurrency: int = 1, crashes: int = 3) -> Queue:
    retry = Retry(crashes=crashes)
    return Queue(name="q", handler=_nothing, concurrency=concurrency, lane_concurrency=lane_concurrency, retry=retry)


def _waiting(*lanes: str, picks: int = 0) -> list[Waiting]:
    return [Waiting(id=number, lane=lane, picks=picks) for number, lane in enumerate(lanes)]


def _ids(taken: list[Waiting]) -> list[int]:
    return [job.id for job in taken]


def test_a_lane_at_its_limit_gives_way_to_the_next_lane() -> None:
    room = Room(_queue(), ["a"])
    assert _ids(room.take(_waiting("a", "b", "b", "c"), running=(), cautious=False)) == [1, 3]
    assert room.full == {"a", "b", "c"}
    assert room.left == 1


def test_a_job_without_a_lane_is_limited_by_its_queue_alone() -> None:
    room = Room(_queue(concurrency=3), [])
    assert _ids(room.take(_waiting("", "", "", ""), running=(), cautious=False)) == [0, 1, 2]
    assert room.full == frozenset()


def test_a_job_that_runs_here_still_is_not_taken_again() -> None:
    assert _ids(Room(_queue(), []).take(_waiting("a", "b"), running={0}, cautious=False)) == [1]


def test_one_suspect_runs_at_a_time() -> None:
    suspects = _waiting("a", "b", picks=2)
    fresh = Waiting(id=9, lane="c", picks=0)
    assert _ids(Room(_queue(), []).take([*suspects, fresh], running=(), cautious=False)) == [0, 9]
    assert _ids(Room(_queue(), []).take([*suspects, fresh], running=(), cautious=True)) == [9]


def test_who_is_suspect() -> None:
    assert [is_suspect(_queue(crashes=3), picks) for picks in (0, 1, 2, 3)] == [False, False, True, True]
    assert [is_suspect(_queue(crashes=1), picks) for picks in (0, 1)] == [False, True]


@given(
    running=st.lists(LANES, max_size=12),
    waiting=st.lists(st.tuples(LANES, st.integers(0, 4)), max_size=30),
    concurrency=st.integers(1, 10),
    lane_concurrency=st.integers(1, 4),
    cautious=st.booleans(),
)
def test_limits_hold_and_nothing_that_fits_is_left(
    running: list[str],
    waiting: list[tuple[str, int]],
    concurrency: int,
    lane_concurrency: int,
    cautious: bool,
) -> None:
    queue = _queue(concurrency, lane_concurrency)
    jobs = [Waiting(id=number, lane=lane, picks=picks) for number, (lane, picks) in enumerate(waiting)]
    taken = Room(queue, running).take(jobs, running=(), cautious=cautious)

    lanes = Counter([*running, *(job.lane for job in taken)])
    suspects = [job for job in taken if is_suspect(queue, job.picks)]
    assert taken == sorted(taken, key=lambda job: job.id)
    assert len(suspects) <= (0 if cautious else 1)
    assert not taken or lanes.total() <= concurrency
    assert all(lanes[job.lane] <= lane_concurrency for job in taken if job.lane)
    for left in (job for job in jobs if job not in taken):
        assert (
            lanes.total() >= concurrency
            or (left.lane and lanes[left.lane] >= lane_concurrency)
            or (is_suspect(queue, left.picks) and (cautious or suspects))
        )
