"""What every command shares: the configuration, the event loop, how far it is, what may be shown."""

import asyncio
import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

import uvloop

from leakwatch import config as configuration
from leakwatch import identity
from leakwatch.config import Config

R = TypeVar("R")


@dataclass
class Frame:
    """What the options before the command said."""

    path: Path | None

    @cached_property
    def config(self) -> Config:
        """The configuration, read when a command first needs it; root becomes the service's user for it."""
        path = self.path or configuration.find()
        identity.assume(path)
        return configuration.load(path)


def run(work: Awaitable[R]) -> R:
    """Run a coroutine on uvloop."""

    async def whole() -> R:
        return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


class Advance(Protocol):
    """What is told how far something is."""

    def __call__(self, count: int, what: str = ..., /) -> None:
        """Say that so many more are done, and of what, where that changes."""


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Show on a terminal how many of something are done; elsewhere show nothing."""
    if not sys.stderr.isatty():
        yield lambda _count, _what="": None
        return
    from rich.console import Console  # noqa: PLC0415 - takes longer than many a command, to be shown to nobody
    from rich.progress import Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - likewise

    columns = (TextColumn("{task.completed:,} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count, what=what: bar.update(task, advance=count, description=what)


def shown_channel(url: str) -> str:
    """Return a channel as it may be shown: a mail address or a webhook's name whole; others' URLs hold tokens."""
    scheme, _, rest = url.partition(":")
    return rest if scheme == "mailto" else url if scheme == "webhook" else f"{scheme}://…"


def visible(text: str) -> str:
    """Return a text that cannot command a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
