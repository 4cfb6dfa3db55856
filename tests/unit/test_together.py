import asyncio
from collections.abc import Sequence

import pytest

from leakwatch.together import Together


class Work:
    """Squares what it is asked, and keeps what it was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        await self.free.wait()
        if 13 in asked:
            raise ValueError(asked)
        return [number**2 for number in asked]


async def test_who_asks_first_waits_for_nobody() -> None:
    work = Work()
    assert await Together(work)(3) == 9
    assert work.batches == [[3]]


async def test_what_is_asked_meanwhile_is_done_together() -> None:
    work = Work()
    work.free.clear()
    ask = Together(work)
    first = asyncio.create_task(ask(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(ask(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0.01)
    assert work.batches == [[1]]
    work.free.set()
    assert await asyncio.gather(first, *others) == [1, 4, 9, 16]
    assert work.batches == [[1], [2, 3, 4]]
    assert await ask(5) == 25


async def test_no_more_is_done_together_than_is_good() -> None:
    work = Work()
    ask = Together(work, most=2)
    assert await asyncio.gather(*(ask(n) for n in range(5))) == [0, 1, 4, 9, 16]
    assert work.batches == [[0, 1], [2, 3], [4]]


async def test_an_error_is_everybodys_who_asked_and_nobody_elses() -> None:
    work = Work()
    ask = Together(work, most=2)
    answers = await asyncio.gather(*(ask(n) for n in (12, 13, 14)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, ValueError, int]
    assert await ask(2) == 4


async def test_who_is_cancelled_takes_no_other_along() -> None:
    work = Work()
    work.free.clear()
    ask = Together(work)
    begun, also, waiting, last = (asyncio.create_task(ask(n)) for n in (1, 2, 3, 4))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(ask(5))
    await asyncio.sleep(0.01)
    begun.cancel()
    late.cancel()
    work.free.set()
    with pytest.raises(asyncio.CancelledError):
        await begun
    assert list(await asyncio.gather(also, waiting, last)) == [4, 9, 16]
    assert work.batches == [[1, 2, 3, 4]]
    assert await ask(6) == 36
