"""What every command shares: the configuration, the event loop, tables or JSON, and what an error looks like."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
import uvloop
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from leakwatch import config as configuration
from leakwatch import identity
from leakwatch.config import Config
from leakwatch.errors import ConfigError, InputError, LeakwatchError
from leakwatch.store.database import Database
from leakwatch.store.opening import opened

WRONG: Final = 1  # something was found, or is wrong
USAGE: Final = 2  # the call or the configuration cannot be used
UNFINISHED: Final = 3  # could not finish

P = ParamSpec("P")
R = TypeVar("R")
Row = Mapping[str, Any]


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


def guarded(command: click.Command, arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one for each way to end
    """Run the command line; an error that has a name is one message and a status, never a traceback."""
    try:
        status = command.main(arguments, standalone_mode=False)
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except click.exceptions.Abort:
        click.echo("leakwatch: interrupted", err=True)
        return UNFINISHED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (ConfigError, InputError) as error:
        click.echo(f"leakwatch: {error}", err=True)
        return USAGE
    except LeakwatchError as error:
        click.echo(f"leakwatch: {error}", err=True)
        return UNFINISHED
    except BrokenPipeError:
        sys.stderr.close()
        return UNFINISHED
    return status if isinstance(status, int) else 0


def run(work: Awaitable[R]) -> R:
    """Run a coroutine on uvloop."""

    async def whole() -> R:
        return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


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


def json_option(function: Callable[P, R]) -> Callable[P, R]:
    """Give a list its `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def show(rows: Sequence[Row], *, as_json: bool, empty: str = "nothing to show") -> None:
    """Print rows as a table for a person, or as a JSON list for a program."""
    if as_json:
        click.echo(json.dumps([dict(row) for row in rows], indent=2, default=_plain, ensure_ascii=False))
        return
    if not rows:
        click.echo(empty, err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row.values()))
    console().print(table)


def show_object(facts: Row) -> None:
    """Print one thing for a program."""
    click.echo(json.dumps(facts, indent=2, default=_plain, ensure_ascii=False))


def console() -> Console:
    """Return standard output: as wide as the terminal, and never cut when there is none."""
    piped = not sys.stdout.isatty()
    return Console(width=200 if piped else None, soft_wrap=piped, highlight=False)


def shown_channel(url: str) -> str:
    """Return a channel as it may be shown: a mail address or a webhook's name whole; others' URLs hold tokens."""
    scheme, _, rest = url.partition(":")
    return rest if scheme == "mailto" else url if scheme == "webhook" else f"{scheme}://…"


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many of something are done; elsewhere show nothing."""
    columns = (TextColumn("{task.completed:,} " + what), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.advance(task, count)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            return ", ".join(_shown(v) for v in value)
        case _:
            return visible(str(value))


def visible(text: str) -> str:
    """Return a text that cannot command a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
