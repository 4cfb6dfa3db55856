"""What `leakwatch.engine.Engine` promises, of every engine on every database."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, timedelta
from functools import partial

import pytest

from leakwatch.engine import Engine, Job, NewJob, Queue, Retry
from leakwatch.errors import Blocked, LeakwatchError, RateLimited, ServerFault
from leakwatch.model import now
from leakwatch.store.database import Database, Transaction
from tests.integration.engine.conftest import Make, Serving, until

SOON = Retry(base=0.02, ceiling=0.05, limit=3)


class Work:
    """A handler that keeps what it was given, and what ran beside what."""

    def __init__(self, *, seconds: float = 0.0, errors: tuple[Exception, ...] = ()) -> None:
        self.jobs: list[Job] = []
        self.running: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.most = 0
        self._seconds = seconds
        self._errors = list(errors)

    async def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        self.running[job.lane] += 1
        self.peak |= self.running
        self.most = max(self.most, self.running.total())
        try:
            await asyncio.sleep(self._seconds)
            if self._errors:
                raise self._errors.pop(0)
        finally:
            self.running[job.lane] -= 1

    @property
    def payloads(self) -> list[bytes]:
        return [job.payload for job in self.jobs]


async def enqueue(database: Database, engine: Engine, *jobs: NewJob) -> int:
    async with database.transaction() as tx:
        return await engine.enqueue(tx, jobs)


async def dead(database: Database, engine: Engine) -> list[str]:
    async with database.reading() as tx:
        return [letter.reason for letter in await engine.dead(tx)]


async def empty(database: Database, engine: Engine, *keys: str) -> bool:
    async with database.reading() as tx:
        return not await engine.due(tx, keys)


async def test_a_job_is_done_once_with_what_it_was_given(database: Database, serving: Serving) -> None:
    work = Work()
    async with serving(Queue(name="q", handler=work)) as engine:
        assert await enqueue(database, engine, NewJob(queue="q", payload=b"\0\xff", lane="a", dedupe_key="k")) == 1
        await until(partial(empty, database, engine, "k"))
    [job] = work.jobs
    assert (job.queue, job.payload, job.lane, job.attempts, job.picks) == ("q", b"\0\xff", "a", 0, 1)


async def test_what_was_enqueued_before_the_start_is_done(
    database: Database, make_engine: Make, serving: Serving
) -> None:
    await enqueue(database, make_engine(database), NewJob(queue="q", payload=b"early"))
    work = Work()
    async with serving(Queue(name="q", handler=work)):
        await until(lambda: work.payloads == [b"early"])


async def test_a_job_goes_with_its_transaction(database: Database, serving: Serving) -> None:
    work = Work()
    async with serving(Queue(name="q", handler=work)) as engine:
        with suppress(KeyError):
            async with database.transaction() as tx:
                assert await engine.enqueue(tx, [NewJob(queue="q", payload=b"undone", dedupe_key="k")]) == 1
                raise KeyError
        assert await enqueue(database, engine, NewJob(queue="q", payload=b"done", dedupe_key="k")) == 1
        await until(partial(empty, database, engine, "k"))
    assert work.payloads == [b"done"]


async def test_while_a_job_lives_a_second_one_is_not_made(database: Database, serving: Serving) -> None:
    work = Work(seconds=0.1)
    job = NewJob(queue="q", payload=b"", dedupe_key="k")
    async with serving(Queue(name="q", handler=work)) as engine:
        assert await enqueue(database, engine, job, job) == 1
        await until(lambda: len(work.jobs) == 1)
        assert await enqueue(database, engine, job) == 0
        await until(partial(empty, database, engine, "k"))
        assert await enqueue(database, engine, job) == 1
        await until(lambda: len(work.jobs) == 2)


async def test_jobs_without_a_key_are_all_made(database: Database, serving: Serving) -> None:
    work = Work()
    async with serving(Queue(name="q", handler=work)) as engine:
        assert await enqueue(database, engine, *[NewJob(queue="q", payload=b"same")] * 300) == 300
        await until(lambda: len(work.jobs) == 300)


async def test_order_is_priority_then_time_then_age(database: Database, make_engine: Make, serving: Serving) -> None:
    at = now()
    await enqueue(
        database,
        make_engine(database),
        NewJob(queue="q", payload=b"3", run_at=at - timedelta(seconds=1)),
        NewJob(queue="q", payload=b"4", run_at=at),
        NewJob(queue="q", payload=b"5", run_at=at),
        NewJob(queue="q", payload=b"2", run_at=at - timedelta(seconds=2)),
        NewJob(queue="q", payload=b"6", priority=7, run_at=at - timedelta(seconds=9)),
        NewJob(queue="q", payload=b"1", priority=-7),
    )
    work = Work()
    async with serving(Queue(name="q", handler=work, concurrency=1)):
        await until(lambda: len(work.jobs) == 6)
    assert b"".join(work.payloads) == b"123456"


async def test_a_job_is_not_done_before_its_time(database: Database, serving: Serving) -> None:
    ran_at = []

    async def handle(job: Job) -> None:
        ran_at.append(now())

    run_at = now() + timedelta(seconds=0.3)
    async with serving(Queue(name="q", handler=handle)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k", run_at=run_at))
        async with database.reading() as tx:
            assert await engine.due(tx, ["k", "other"]) == {"k": run_at.astimezone(UTC)}
        await until(lambda: bool(ran_at))
    assert timedelta(0) <= ran_at[0] - run_at < timedelta(seconds=1)


async def test_limits_of_queue_and_lane_hold(database: Database, serving: Serving) -> None:
    work = Work(seconds=0.01)
    async with serving(Queue(name="q", handler=work, concurrency=5, lane_concurrency=2)) as engine:
        await enqueue(database, engine, *(NewJob(queue="q", payload=b"", lane="abcd"[n % 4]) for n in range(60)))
        await until(lambda: len(work.jobs) == 60 and not work.running.total())
    assert work.most == 5
    assert set(work.peak.values()) == {2}


async def test_a_slow_lane_does_not_starve_the_others(database: Database, serving: Serving) -> None:
    release = asyncio.Event()
    done: list[str] = []

    async def handle(job: Job) -> None:
        if job.lane == "slow":
            await release.wait()
        done.append(job.lane)

    async with serving(Queue(name="q", handler=handle, concurrency=3)) as engine:
        await enqueue(database, engine, *[NewJob(queue="q", payload=b"", lane="slow", priority=-1)] * 50)
        await enqueue(database, engine, *[NewJob(queue="q", payload=b"", lane="quick")] * 5)
        await until(lambda: len(done) == 5)
        assert set(done) == {"quick"}
        release.set()
        await until(lambda: len(done) == 55)


async def test_a_queue_that_is_not_served_here_waits(database: Database, serving: Serving) -> None:
    work = Work()
    async with serving(Queue(name="q", handler=work)) as engine:
        await enqueue(
            database, engine, NewJob(queue="other", payload=b"", dedupe_key="k"), NewJob(queue="q", payload=b"x")
        )
        await until(lambda: work.payloads == [b"x"])
        assert not await empty(database, engine, "k")


async def test_a_transient_failure_is_tried_again(database: Database, serving: Serving) -> None:
    work = Work(errors=(ServerFault("500"), ServerFault("502")))
    async with serving(Queue(name="q", handler=work, retry=SOON)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k"))
        await until(partial(empty, database, engine, "k"))
        assert await dead(database, engine) == []
    assert [(job.attempts, job.picks) for job in work.jobs] == [(0, 1), (1, 1), (2, 1)]


async def test_the_other_side_says_when_to_come_back(database: Database, serving: Serving) -> None:
    work = Work(errors=(RateLimited("429", retry_after=500.0),))
    async with serving(Queue(name="q", handler=work, retry=SOON)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k"))

        async def waits() -> bool:
            async with database.reading() as tx:
                due = (await engine.due(tx, ["k"]))["k"] - now()
            return timedelta(seconds=490) < due <= timedelta(seconds=500)

        await until(waits)
    assert len(work.jobs) == 1


async def test_after_its_last_try_a_job_is_a_dead_letter(database: Database, serving: Serving) -> None:
    work = Work(errors=(ServerFault("500"),) * 3)
    async with serving(Queue(name="q", handler=work, retry=SOON)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"x", lane="a", dedupe_key="k"))
        await until(partial(empty, database, engine, "k"))
        async with database.reading() as tx:
            [letter] = await engine.dead(tx)
    assert len(work.jobs) == 3
    assert (letter.queue, letter.lane, letter.attempts) == ("q", "a", 3)
    assert (letter.reason, letter.detail) == ("server_fault", "500")
    assert letter.created_at <= letter.died_at <= now()


async def test_a_permanent_failure_is_a_dead_letter_at_once(database: Database, serving: Serving) -> None:
    work = Work(errors=(Blocked("no"),))
    async with serving(Queue(name="q", handler=work)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k"))
        await until(partial(empty, database, engine, "k"))
        assert await dead(database, engine) == ["blocked"]
    assert len(work.jobs) == 1


async def test_an_unforeseen_exception_is_tried_again_and_its_words_are_not_kept(
    database: Database, serving: Serving
) -> None:
    secret = "sk-" + "synthetic" * 3
    work = Work(errors=(ValueError(secret),) * 3)
    async with serving(Queue(name="q", handler=work, retry=SOON)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k"))
        await until(partial(empty, database, engine, "k"))
        async with database.reading() as tx:
            [letter] = await engine.dead(tx)
    assert letter.reason == "unexpected"
    assert "ValueError in Work.__call__" in letter.detail
    assert secret not in letter.detail
    assert len(work.jobs) == 3


async def test_who_waits_for_a_job_is_told_in_the_transaction_that_buries_it(
    database: Database, serving: Serving
) -> None:
    told: list[tuple[bytes, int, str]] = []

    async def bury(tx: Transaction, job: Job, error: LeakwatchError) -> None:
        assert len(await engine.dead(tx)) == 1
        told.append((job.payload, job.attempts, error.reason))
        await engine.enqueue(tx, [NewJob(queue="after", payload=b"told")])

    work, after = Work(errors=(Blocked("no"),)), Work()
    queues = (Queue(name="q", handler=work, bury=bury), Queue(name="after", handler=after))
    async with serving(*queues) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"x"))
        await until(lambda: after.payloads == [b"told"])
    assert told == [(b"x", 1, "blocked")]


async def test_a_job_whose_end_cannot_be_told_lives_on(database: Database, serving: Serving) -> None:
    async def bury(tx: Transaction, job: Job, error: LeakwatchError) -> None:
        if len(work.jobs) == 1:
            raise LookupError

    work = Work(errors=(Blocked("no"), Blocked("no")))
    async with serving(Queue(name="q", handler=work, retry=SOON, bury=bury)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k"))
        await until(partial(empty, database, engine, "k"))
        assert await dead(database, engine) == ["blocked"]
    assert len(work.jobs) == 2


async def test_a_handler_may_settle_its_job_in_its_own_transaction(database: Database, serving: Serving) -> None:
    async def handle(job: Job) -> None:
        async with database.transaction() as tx:
            await engine.complete(tx, job)
            await engine.complete(tx, job)
            await engine.enqueue(tx, [NewJob(queue="next", payload=job.payload, dedupe_key="k")])
        raise ServerFault("what comes after the commit does not undo it")

    after = Work()
    async with serving(Queue(name="q", handler=handle, retry=SOON), Queue(name="next", handler=after)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"x", dedupe_key="k"))
        await until(lambda: after.payloads == [b"x"])
        await until(partial(empty, database, engine, "k"))
        assert await dead(database, engine) == []


async def test_a_completion_that_is_rolled_back_never_was(database: Database, serving: Serving) -> None:
    tried: list[int] = []

    async def handle(job: Job) -> None:
        tried.append(job.attempts)
        async with database.transaction() as tx:
            await engine.complete(tx, job)
            if job.attempts == 0:
                raise ServerFault("before the commit")

    async with serving(Queue(name="q", handler=handle, retry=SOON)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k"))
        await until(partial(empty, database, engine, "k"))
    assert tried == [0, 1]


async def test_a_job_enqueued_as_failed_waits_for_its_next_try(database: Database, serving: Serving) -> None:
    work = Work()
    failed = RateLimited("429", retry_after=0.3)
    async with serving(Queue(name="q", handler=work, retry=SOON)) as engine:
        began = now()
        await enqueue(database, engine, NewJob(queue="q", payload=b"", attempts=1, failed=failed))
        await until(lambda: len(work.jobs) == 1)
    assert work.jobs[0].attempts == 2
    assert now() - began >= timedelta(seconds=0.3)


@pytest.mark.parametrize("error", [Blocked("no"), ServerFault("once too often")])
async def test_a_job_enqueued_as_failed_for_good_is_a_dead_letter(
    database: Database, serving: Serving, error: LeakwatchError
) -> None:
    told: list[tuple[bytes, int, str]] = []

    async def bury(tx: Transaction, job: Job, why: LeakwatchError) -> None:
        told.append((job.payload, job.attempts, why.reason))

    async with serving(Queue(name="q", handler=Work(), retry=SOON, bury=bury)) as engine:
        job = NewJob(queue="q", payload=b"x", attempts=2, failed=error, dedupe_key="k")
        assert await enqueue(database, engine, job) == 1
        assert await dead(database, engine) == [error.reason]
        assert await empty(database, engine, "k")
    assert told == [(b"x", 3, error.reason)]


async def test_a_dead_letter_is_revived_with_its_failures_forgotten(database: Database, serving: Serving) -> None:
    work = Work(errors=(Blocked("no"), Blocked("no")))
    async with serving(Queue(name="q", handler=work, concurrency=1)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"1"), NewJob(queue="q", payload=b"2"))
        await until(lambda: len(work.jobs) == 2)

        async def both_dead() -> bool:
            return len(await dead(database, engine)) == 2

        await until(both_dead)
        async with database.transaction() as tx:
            newest, oldest = await engine.dead(tx)
            assert await engine.dead(tx, limit=1) == [newest]
            assert await engine.revive(tx, [oldest.id, 10**9]) == 1
            assert await engine.revive(tx, [oldest.id]) == 0
        await until(lambda: len(work.jobs) == 3)
        assert await dead(database, engine) == ["blocked"]
    assert (work.jobs[2].payload, work.jobs[2].attempts, work.jobs[2].picks) == (b"1", 0, 1)


async def test_a_dead_letter_leaves_its_key_to_new_work_and_comes_back_beside_it(
    database: Database, serving: Serving
) -> None:
    work = Work(errors=(Blocked("no"),))
    async with serving(Queue(name="q", handler=work)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"old", dedupe_key="k"))
        await until(partial(empty, database, engine, "k"))
        later = now() + timedelta(hours=1)
        assert await enqueue(database, engine, NewJob(queue="q", payload=b"new", dedupe_key="k", run_at=later)) == 1
        async with database.transaction() as tx:
            assert await engine.revive(tx, [letter.id for letter in await engine.dead(tx)]) == 1
        await until(lambda: work.payloads == [b"old", b"old"])
        assert not await empty(database, engine, "k")


@pytest.mark.parametrize("enqueued_as_failed", [False, True])
async def test_a_queue_whose_dead_letters_are_kept_elsewhere_leaves_none_here(
    database: Database, serving: Serving, enqueued_as_failed: bool
) -> None:
    told: list[str] = []

    async def bury(tx: Transaction, job: Job, error: LeakwatchError) -> None:
        told.append(error.reason)

    work = Work(errors=(Blocked("no"),))
    failed = Blocked("no") if enqueued_as_failed else None
    async with serving(Queue(name="q", handler=work, bury=bury, letters=False)) as engine:
        assert await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k", failed=failed)) == 1
        await until(partial(empty, database, engine, "k"))
        assert await dead(database, engine) == []
    assert told == ["blocked"]


async def test_what_waits_can_be_hurried_and_what_does_not_is_left(database: Database, serving: Serving) -> None:
    work = Work()
    later = now() + timedelta(hours=1)
    async with serving(Queue(name="q", handler=work)) as engine:
        await enqueue(
            database,
            engine,
            NewJob(queue="q", payload=b"a", dedupe_key="a", run_at=later),
            NewJob(queue="q", payload=b"b", dedupe_key="b", run_at=later),
            NewJob(queue="other", payload=b"c", dedupe_key="c"),
        )
        async with database.transaction() as tx:
            assert await engine.hurry(tx, ["a", "c", "nobody's"]) == 1
        await until(lambda: work.payloads == [b"a"])
        await until(partial(empty, database, engine, "a"))
        async with database.reading() as tx:
            assert await engine.due(tx, ["a", "b"]) == {"b": later}


async def test_what_waits_or_runs_is_shown_in_the_order_in_which_it_is_due(
    database: Database, serving: Serving
) -> None:
    work = Work(seconds=60)
    later = now() + timedelta(hours=1)
    async with serving(Queue(name="q", handler=work), grace=0.05) as engine:
        await enqueue(
            database,
            engine,
            NewJob(queue="q", payload=b"", lane="waits", run_at=later, failed=ServerFault("500")),
            NewJob(queue="q", payload=b"", lane="runs"),
            NewJob(queue="q", payload=b"", lane="dead", failed=Blocked("no")),
        )
        await until(lambda: len(work.jobs) == 1)
        async with database.reading() as tx:
            shown = [(job.lane, job.state, job.attempts, job.reason) for job in await engine.live(tx)]
            assert [job.lane for job in await engine.live(tx, limit=1)] == ["runs"]
    assert shown == [("runs", "running", 0, None), ("waits", "ready", 1, "server_fault")]


async def test_stopping_lets_running_jobs_end(database: Database, serving: Serving) -> None:
    work = Work(seconds=0.2)
    async with serving(Queue(name="q", handler=work)) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"", dedupe_key="k"))
        await until(lambda: len(work.jobs) == 1)
    assert await empty(database, engine, "k")
    assert not work.running.total()


async def test_stopping_claims_nothing_more(database: Database, serving: Serving) -> None:
    work = Work(seconds=0.1)
    async with serving(Queue(name="q", handler=work, concurrency=1)) as engine:
        await enqueue(database, engine, *[NewJob(queue="q", payload=b"")] * 5)
        await until(lambda: len(work.jobs) == 1)
    assert len(work.jobs) == 1


async def test_a_job_that_outlasts_the_grace_is_handed_back_as_it_was(database: Database, serving: Serving) -> None:
    stuck, work = Work(seconds=60), Work()
    async with serving(Queue(name="q", handler=stuck), grace=0.05) as engine:
        await enqueue(database, engine, NewJob(queue="q", payload=b"x", attempts=1))
        await until(lambda: len(stuck.jobs) == 1)
    async with serving(Queue(name="q", handler=work)):
        await until(lambda: len(work.jobs) == 1)
    assert work.jobs == stuck.jobs


async def test_an_engine_that_is_told_to_stop_before_it_runs_does_nothing(
    database: Database, make_engine: Make
) -> None:
    work, engine = Work(), make_engine(database)
    engine.serve(Queue(name="q", handler=work))
    await enqueue(database, engine, NewJob(queue="q", payload=b""))
    await engine.stop(1.0)
    await asyncio.wait_for(engine.run(), 2.0)
    assert not work.jobs
