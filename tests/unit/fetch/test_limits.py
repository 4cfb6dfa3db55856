import asyncio
from itertools import pairwise
from time import monotonic, process_time

import pytest
import uvloop
from yarl import URL

from leakwatch.errors import RateLimited
from leakwatch.fetch.limits import Limits, shared
from leakwatch.units import Rate

FAST = Rate(100_000, 1.0)
HOST = "paste.example"


async def test_requests_keep_their_distance_whoever_makes_them() -> None:
    limits = Limits()
    starts: list[float] = []

    async def ask() -> None:
        async with limits.turn(HOST, Rate(50, 1.0), 10):
            starts.append(monotonic())

    began = monotonic()
    await asyncio.gather(*(ask() for _ in range(6)))

    # None starts before its time; how much later is up to the machine.
    assert all(start - began > n * 0.02 - 0.001 for n, start in enumerate(starts))


async def test_the_distance_is_kept_between_departures_however_long_one_takes_to_leave() -> None:
    limits = Limits()
    left: list[float] = []

    async def ask(delay: float) -> None:
        async with limits.turn(HOST, Rate(25, 1.0), 10) as turn:
            await asyncio.sleep(delay)  # a connection that takes long to make
            left.append(monotonic())
            turn.sent()

    await asyncio.gather(*(ask(delay) for delay in (0.07, 0.0, 0.03, 0.0, 0.0)))
    assert all(later - earlier > 0.04 - 0.001 for earlier, later in pairwise(left))


async def test_one_whose_request_never_leaves_lets_the_next_one_go() -> None:
    limits = Limits()

    async def fail() -> None:
        async with limits.turn(HOST, FAST, 2):
            raise OSError

    with pytest.raises(OSError, match=r"^$"):
        await fail()
    async with asyncio.timeout(2), limits.turn(HOST, FAST, 2) as turn:
        turn.sent()
        turn.sent()  # a second try of the same request
        async with limits.turn(HOST, FAST, 2):
            pass


async def test_hosts_do_not_wait_for_each_other() -> None:
    limits = Limits()
    slow = Rate(1, 60.0)
    async with limits.turn("one.example:443", slow, 1), limits.turn("two.example:443", slow, 1):
        pass


async def test_no_more_are_there_at_once_than_the_most_modest_source_says() -> None:
    limits = Limits()
    active = most = 0

    async def ask(concurrency: int) -> None:
        nonlocal active, most
        async with limits.turn(HOST, FAST, concurrency) as turn:
            turn.sent()
            active += 1
            most = max(most, active)
            await asyncio.sleep(0.001)
            active -= 1

    await asyncio.gather(*(ask(2 if n == 0 else 5) for n in range(20)))
    assert most == 2


async def test_one_who_gives_up_waiting_hands_the_turn_on() -> None:
    limits = Limits()
    entered = asyncio.Event()

    async def ask() -> None:
        async with limits.turn(HOST, FAST, 1):
            entered.set()

    async with asyncio.timeout(2):
        async with limits.turn(HOST, FAST, 1):
            quitter, patient = asyncio.create_task(ask()), asyncio.create_task(ask())
            await asyncio.sleep(0)
        quitter.cancel()  # it has been woken, and has not run yet
        await patient
    assert entered.is_set()
    assert quitter.cancelled()


async def test_one_who_gives_up_in_its_turn_leaves_the_place() -> None:
    limits = Limits()
    async with limits.turn(HOST, Rate(1, 60.0), 1):
        pass
    waiting = asyncio.create_task(limits.turn(HOST, FAST, 1).__aenter__())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert limits._hosts[HOST].active == 0


async def test_a_long_pause_is_an_error_at_once_and_says_how_long() -> None:
    limits = Limits()
    async with limits.turn(HOST, FAST, 2):
        limits.pause(HOST, 100.0)

    with pytest.raises(RateLimited, match=r"paste\.example asked us to wait another (100|99) s") as caught:
        async with limits.turn(HOST, FAST, 2):
            pytest.fail("no request is made")
    assert caught.value.retry_after == pytest.approx(100, abs=1)
    async with limits.turn("other.example:443", FAST, 2):
        pass  # others are not affected


async def test_a_short_pause_is_waited_for() -> None:
    limits = Limits()
    async with limits.turn(HOST, FAST, 1):
        limits.pause(HOST, 0.05)

    before = monotonic()
    async with limits.turn(HOST, FAST, 1):
        assert monotonic() - before > 0.04


async def test_a_pause_reaches_those_who_wait_already() -> None:
    limits = Limits()
    failures: list[RateLimited] = []

    async def ask() -> None:
        try:
            async with limits.turn(HOST, FAST, 1):
                pass
        except RateLimited as error:
            failures.append(error)

    async with limits.turn(HOST, FAST, 1):
        waiting = [asyncio.create_task(ask()) for _ in range(3)]
        await asyncio.sleep(0)
        limits.pause(HOST, 60.0)
    await asyncio.gather(*waiting)
    assert len(failures) == 3


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    limits = Limits()
    async with limits.turn(HOST, FAST, 1):
        limits.pause(HOST, 60.0)
        limits.pause(HOST, 0.0)
    with pytest.raises(RateLimited):
        async with limits.turn(HOST, FAST, 1):
            pass


async def test_hosts_at_rest_are_forgotten_and_those_that_matter_are_not() -> None:
    limits = Limits()
    async with limits.turn("paused.example:80", FAST, 1):
        limits.pause("paused.example:80", 60.0)
    for n in range(3000):
        async with limits.turn(f"h{n}.example:80", FAST, 1):
            pass

    assert len(limits._hosts) <= 1025
    assert "paused.example:80" in limits._hosts


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://site.example/a", "site.example"),
        ("http://site.example/a", "site.example"),
        ("https://SITE.example.:8443/", "site.example"),
        ("git://site.example/a.git", "site.example"),
        ("https://192.0.2.1:8443/", "192.0.2.1"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        ("http://[::1]:8080/", "::1:8080"),
        ("http://localhost:8080/", "localhost:8080"),
    ],
)
def test_a_host_is_one_whatever_the_port_but_on_this_machine(url: str, key: str) -> None:
    assert shared(URL(url)) == key


def test_a_distance_too_short_for_the_loops_clock_keeps_nobody_busy() -> None:
    """Uvloop counts milliseconds: who waits for less by its clock goes round and round until one is over."""

    async def seconds(rate: Rate) -> float:
        limits, before = Limits(), process_time()
        for _ in range(300):
            async with limits.turn("site.example", rate, 1):
                pass
        return process_time() - before

    short, none = uvloop.run(seconds(FAST)), uvloop.run(seconds(Rate(1, 0.0)))
    assert short < 10 * none + 0.05
