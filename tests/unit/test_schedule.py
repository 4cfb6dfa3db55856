import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from structlog.testing import capture_logs

from leakwatch import metrics, schedule
from leakwatch.errors import DatabaseDown
from leakwatch.model import now
from leakwatch.schedule import Schedule


class Sources:
    """What the database knows of sources: wakings are kept, and the next is due after an interval."""

    def __init__(self, seconds: float = 3600.0) -> None:
        self.woken: list[tuple[str, datetime]] = []
        self.due: dict[str, datetime] = {}
        self.errors: list[Exception] = []
        self.seconds = seconds
        self.takes = 0.0

    async def wake(self, name: str) -> datetime:
        self.woken.append((name, now()))
        await asyncio.sleep(self.takes)
        if self.errors:
            raise self.errors.pop(0)
        self.due[name] = now() + timedelta(seconds=self.seconds)
        return self.due[name]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.woken]


@pytest.fixture
def sources() -> Sources:
    return Sources()


@pytest.fixture
async def running(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Schedule]:
    monkeypatch.setattr(schedule, "_BACKOFF", (0.03, 0.2))
    started = Schedule(sources.wake)
    started.start()
    yield started
    await started.stop(1.0)
    await asyncio.sleep(0.01)  # the scheduler ends in the loop's next round


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the thing under test
            await asyncio.sleep(0.002)


async def test_a_source_is_woken_at_once_and_then_whenever_it_is_due_never_early(
    running: Schedule, sources: Sources
) -> None:
    sources.seconds = 0.05
    dues: list[datetime] = []
    running.sync(["a"])
    for count in (1, 2, 3):
        await until(lambda count=count: len(sources.woken) >= count)  # type: ignore[misc]
        await until(lambda: "a" in sources.due)
        dues.append(sources.due["a"])
    times = [at for _, at in sources.woken]
    assert all(timedelta(0) <= at - due < timedelta(seconds=1) for due, at in zip(dues, times[1:], strict=False))


async def test_what_was_synchronised_before_the_start_is_woken_after_it(sources: Sources) -> None:
    early = Schedule(sources.wake)
    early.sync(["a", "gone"])
    early.sync(["a"])
    await asyncio.sleep(0.03)
    assert sources.names == []
    early.start()
    await until(lambda: sources.names == ["a"])
    await early.stop(1.0)
    await asyncio.sleep(0.01)


async def test_synchronising_wakes_what_is_new_and_disturbs_nothing_else(running: Schedule, sources: Sources) -> None:
    running.sync(["a"])
    await until(lambda: "a" in sources.due)
    running.sync(["a", "b"])
    await until(lambda: "b" in sources.due)
    running.sync(["a", "b"])
    await asyncio.sleep(0.05)
    assert sources.names == ["a", "b"]


async def test_a_source_that_is_gone_is_woken_no_more(running: Schedule, sources: Sources) -> None:
    sources.seconds = 0.02
    running.sync(["a"])
    await until(lambda: "a" in sources.due)
    metrics.polled("a", "blocked")
    running.sync([])
    woken = len(sources.woken)
    await asyncio.sleep(0.1)
    assert len(sources.woken) <= woken + 1  # it may have been on its way
    assert metrics.REGISTRY.get_sample_value("leakwatch_source_failures", {"source": "a"}) is None
    running.nudge("a")
    await asyncio.sleep(0.05)
    assert len(sources.woken) <= woken + 1


@pytest.mark.parametrize("error", [DatabaseDown("away"), ValueError("a bug")])
async def test_a_source_that_could_not_be_woken_is_woken_again(
    running: Schedule, sources: Sources, error: Exception
) -> None:
    sources.errors = [error, error]
    with capture_logs() as said:
        running.sync(["a"])
        await until(lambda: "a" in sources.due)
    assert sources.names == ["a", "a", "a"]
    waits = [later - earlier for (_, earlier), (_, later) in zip(sources.woken, sources.woken[1:], strict=False)]
    assert waits[0] >= timedelta(seconds=0.03)
    assert waits[1] >= timedelta(seconds=0.06)
    told = [line for line in said if line["event"] == "source not woken"]
    assert [(line["source"], line["reason"]) for line in told] == [("a", getattr(error, "reason", "unexpected"))] * 2


async def test_a_waking_that_was_cancelled_is_made_good(running: Schedule, sources: Sources) -> None:
    sources.takes = 3600
    running.sync(["a"])
    await until(lambda: len(sources.woken) == 1)
    sources.takes = 0
    [task] = [task for task in asyncio.all_tasks() if "run_coroutine_job" in repr(task)]
    task.cancel()
    await until(lambda: len(sources.woken) == 2)


@pytest.mark.parametrize("code", [EVENT_JOB_MISSED, EVENT_JOB_MAX_INSTANCES])
async def test_a_job_that_the_scheduler_dropped_is_made_again(running: Schedule, sources: Sources, code: int) -> None:
    running.sync(["a"])
    await until(lambda: "a" in sources.due and not running._waking)
    running._scheduler.remove_job("a")
    running._scheduler._dispatch_event(JobEvent(code, "a", "default"))
    await until(lambda: len(sources.woken) == 2)


async def test_a_nudged_source_is_woken_now(running: Schedule, sources: Sources) -> None:
    running.sync(["a"])
    await until(lambda: "a" in sources.due)
    running.nudge("a")
    running.nudge("unknown")
    await until(lambda: len(sources.woken) == 2)
    assert sources.names == ["a", "a"]


async def test_a_source_that_is_nudged_while_it_is_woken_is_woken_once_more_and_never_twice_at_a_time(
    running: Schedule, sources: Sources
) -> None:
    sources.takes = 0.05
    running.sync(["a"])
    await until(lambda: len(sources.woken) == 1)
    running.nudge("a")
    running.nudge("a")
    assert len(sources.woken) == 1
    await until(lambda: len(sources.woken) == 2)
    assert sources.woken[1][1] - sources.woken[0][1] >= timedelta(seconds=0.05)
    await asyncio.sleep(0.1)
    assert len(sources.woken) == 2


async def test_a_source_that_goes_and_comes_back_while_it_is_woken_is_woken_again(
    running: Schedule, sources: Sources
) -> None:
    sources.takes = 0.05
    running.sync(["a"])
    await until(lambda: len(sources.woken) == 1)
    running.sync([])
    running.sync(["a"])
    await until(lambda: len(sources.woken) == 2)
    assert sources.woken[1][1] - sources.woken[0][1] >= timedelta(seconds=0.05)


async def test_hundreds_of_new_sources_are_spread_and_all_woken(
    running: Schedule, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_SPREAD", 1.0)
    running.sync(f"s{n}" for n in range(300))
    await asyncio.sleep(0)
    assert len(sources.woken) < 300
    await until(lambda: len(sources.due) == 300)
    assert len(sources.names) == 300
    assert sources.woken[-1][1] - sources.woken[0][1] >= timedelta(seconds=0.2)


async def test_stopping_disturbs_no_waking_and_starts_no_other(sources: Sources) -> None:
    sources.takes = 0.05
    sources.seconds = 0.0
    stopped = Schedule(sources.wake)
    stopped.sync(["a"])
    stopped.start()
    await until(lambda: len(sources.woken) == 1)
    await stopped.stop(10.0)
    assert "a" in sources.due
    await asyncio.sleep(0.1)
    assert sources.names == ["a"]
    assert not stopped._scheduler.running


async def test_a_waking_that_takes_too_long_does_not_keep_us_from_stopping(sources: Sources) -> None:
    sources.takes = 3600.0
    stopped = Schedule(sources.wake)
    stopped.sync(["a"])
    stopped.start()
    await until(lambda: len(sources.woken) == 1)
    await stopped.stop(0.05)
    assert not stopped._scheduler.running


async def test_a_schedule_that_never_started_can_be_stopped(sources: Sources) -> None:
    idle = Schedule(sources.wake)
    idle.sync(["a"])
    await idle.stop(1.0)
    assert not idle._scheduler.get_jobs()
