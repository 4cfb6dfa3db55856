"""Folders are polled as soon as the kernel says that something in them has changed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, final

import structlog

from leakwatch.errors import LeakwatchError
from leakwatch.fetch import Source, folder

log: Final = structlog.get_logger(__name__)
_AGAIN: Final = 60.0  # seconds until a folder is listened to again that is not there


@final
class Folders:
    """Listens to the folders among the sources, and tells of changes. A folder's own interval holds besides."""

    def __init__(self, noticed: Callable[[str], Awaitable[None]]) -> None:
        self._noticed = noticed
        self._listening: dict[str, tuple[str, asyncio.Event, asyncio.Task[None]]] = {}

    def sync(self, sources: Iterable[Source]) -> None:
        """Listen to the folders among these, and to no others. Needs a running event loop."""
        wanted = {source.name: source for source in sources if source.definition.kind == "folder"}
        for name, (place, stop, task) in list(self._listening.items()):
            if task.done() or name not in wanted or wanted[name].base_url != place:
                stop.set()
                task.cancel()
                del self._listening[name]
        for name, source in wanted.items():
            if name not in self._listening:
                stop = asyncio.Event()
                task = asyncio.create_task(self._listen(source, stop), name=f"folder {name}")
                self._listening[name] = source.base_url, stop, task

    async def _listen(self, source: Source, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async for _ in folder.changes(source, stop):
                    await self._noticed(source.name)
            except (OSError, RuntimeError, LeakwatchError) as error:  # not there, no watch to be had, no database
                log.warning("folder cannot be listened to", source=source.name, error=type(error).__name__)
                await asyncio.sleep(_AGAIN)
