"""How a command is made of what works on the database. Of the commands only those import it that need one."""

from collections.abc import Awaitable, Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

import click

from leakwatch.cli.frame import Frame, run
from leakwatch.store.database import Database
from leakwatch.store.opening import opened

P = ParamSpec("P")
R = TypeVar("R")


def with_database(
    function: Callable[Concatenate[Frame, Database, P], Awaitable[R]],
) -> Callable[P, R]:
    """Make a command of a coroutine that works on the configured database."""

    async def work(frame: Frame, *args: P.args, **options: P.kwargs) -> R:
        async with opened(frame.config) as database:
            return await function(frame, database, *args, **options)

    def command(*args: P.args, **options: P.kwargs) -> R:
        frame = click.get_current_context().find_object(Frame)
        assert frame is not None  # noqa: S101 - the group has made it
        return run(work(frame, *args, **options))

    return update_wrapper(command, function)
