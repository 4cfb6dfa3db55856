"""One piece of work for many who ask: what is asked while the last piece is done is done in the next one, together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar, final

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
_MOST: Final = 100  # done together: a transaction of them stays short


@final
class Together(Generic[Asked, Answer]):
    """Gathers what is asked. Nobody waits for others to come: who asks first is served at once, alone.

    Work that has begun is done to its end, even if who asked for it is cancelled meanwhile.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]], *, most: int = _MOST) -> None:
        """`work` answers all in the order in which they were asked; when it raises, it raises to all of them."""
        self._work = work
        self._most = most
        self._asked: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, asked: Asked) -> Answer:
        """Ask, and return the answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, future))
        if self._working is None:
            self._working = asyncio.create_task(self._go_on())
        return await future

    async def _go_on(self) -> None:
        try:
            await asyncio.sleep(0)  # whoever was woken with the first asks with it
            while self._asked:
                batch, self._asked = self._asked[: self._most], self._asked[self._most :]
                await self._answer([(asked, future) for asked, future in batch if not future.cancelled()])
        finally:
            self._working = None

    async def _answer(self, batch: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._work([asked for asked, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is theirs who asked
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
