"""`leakwatch scan`: a one-off look at files."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import IO, Final

import click

from leakwatch import config as configuration
from leakwatch.cli.ending import UNFINISHED, WRONG
from leakwatch.cli.frame import Frame, progress, run, visible
from leakwatch.config import GitConfig, HttpConfig
from leakwatch.errors import ConfigError, InputError
from leakwatch.git import history
from leakwatch.survey import FORMATS, Bounded, Crew, Folders, Hit, Inspected, Inspector, Leak, Survey, shown
from leakwatch.survey.owners import Owners, Register

_LARGEST: Final = 1 << 30
_STDIN: Final = "-"


@click.command("scan")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@click.option(
    "--git", metavar="REPO", help="All that ever was in a repository: a folder, or an address to fetch it from."
)
@click.option("--format", "form", type=click.Choice([*FORMATS]), default="text", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Show unlikely ones too: examples, placeholders.")
@click.option("--plain", is_flag=True, help="Keys as they stand alone, under no disguise: several times as fast.")
@click.option("--offline", is_flag=True, help="Do not ask the database what belongs to a customer.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Processes.  [default: one on each core]")
@click.option(
    "--max-size", type=click.IntRange(1), default=_LARGEST, show_default=True, help="Bytes of a file or stream."
)
@click.option("--output", type=click.File("w", encoding="utf-8"), default="-", help="Write the report there.")
@click.pass_obj
def command(  # noqa: PLR0913 - its options
    frame: Frame,
    *,
    paths: Sequence[Path],
    git: str | None,
    form: str,
    everything: bool,
    plain: bool,
    offline: bool,
    jobs: int,
    max_size: int,
    output: IO[str],
) -> int:
    """Look for keys in files, folders and, as `-`, standard input; or in the history of a repository.

    Keys are shown masked. With a configuration, those that are registered are told by customer and label. Nothing is
    stored, nobody is told, and no key is tried. Exit status: 0 nothing found, 1 something, 3 not all could be read.
    """
    if (git is not None) + (Path(_STDIN) in paths) + any(path != Path(_STDIN) for path in paths) != 1:
        raise InputError("one thing is scanned at a time", mend="give files and folders, or `-`, or --git REPO")
    began = perf_counter()
    folders = Folders(paths, largest=max_size)
    with ExitStack() as stack:
        register = None if offline else _register(frame, stack)
        known = register and register.known()
        made = partial(Inspector, known, plain=plain)
        crew = Crew(known, jobs, plain=plain).inspect(folders.jobs())
        found = _gathered(_stdin(made, max_size) if Path(_STDIN) in paths else _inspected(frame, made, git, crew))
        problems = _redacted(made, [*folders.problems, *found.problems])
        owners = register.owners({d for hit in found.hits for d in hit.digests}) if register else {}
    leaks, hidden = shown([_leak(hit, owners) for hit in found.hits], everything=everything)
    survey = Survey(
        leaks=leaks,
        hidden=hidden,
        is_matched=register is not None,
        files=found.files,
        size=found.size,
        seconds=perf_counter() - began,
        left=found.left + folders.left,
        elsewhere=sorted(found.elsewhere),
        problems=problems,
    )
    for line in FORMATS[form](survey):
        click.echo(line, file=output)
    for problem in survey.problems:
        click.echo(f"leakwatch: {visible(problem)}", err=True)
    return WRONG if leaks else UNFINISHED if survey.problems else 0


def _register(frame: Frame, stack: ExitStack) -> Register | None:
    """Return the register of keys, if there is a configuration."""
    try:
        path = frame.path or configuration.find()
    except ConfigError:
        click.echo("leakwatch: there is no configuration, so nothing is asked for its owner", err=True)
        return None
    return stack.enter_context(Register.opened(path))


def _inspected(
    frame: Frame, made: Callable[[], Inspector], git: str | None, files: Iterable[Inspected]
) -> Iterable[Inspected]:
    """What is to be scanned: a repository, or files."""
    return files if git is None else [run(_repository(frame, made, git))]


async def _repository(frame: Frame, made: Callable[[], Inspector], where: str) -> Inspected:
    try:
        config = configuration.load(frame.path)
        http, limits = config.http, config.git
    except ConfigError as error:
        if frame.path or not await asyncio.to_thread(Path(where).is_dir):  # who is asked must learn who asks
            raise InputError(f"no configuration says who fetches {visible(where)}", mend="name one with -c") from error
        http, limits = HttpConfig(user_agent="leakwatch scan (+https://localhost)"), GitConfig()
    inspected = Inspected()
    with closing(made()) as inspector:
        async with history(where, http=http, git=limits, max_bytes=http.max_bytes) as found:
            await asyncio.to_thread(inspector.history, found, inspected)
    return inspected


def _stdin(made: Callable[[], Inspector], most: int) -> Iterator[Inspected]:
    inspected, stream = Inspected(), Bounded(sys.stdin.buffer, most)
    with closing(made()) as inspector:
        inspector.stream(stream, "(standard input)", inspected)
    if stream.has_more():
        inspected.problems.append(f"(standard input): more than {most:,} bytes; --max-size allows no more to be read")
    yield inspected


def _gathered(parts: Iterable[Inspected]) -> Inspected:
    whole = Inspected()
    with progress("files") as advance:
        for part in parts:
            whole.add(part)
            advance(part.files)
    return whole


def _redacted(made: Callable[[], Inspector], problems: Sequence[str]) -> list[str]:
    """What could not be read, by names in which keys may stand."""
    if not problems:
        return []
    with closing(made()) as inspector:
        return [inspector.redacted(problem) for problem in problems]


def _leak(hit: Hit, owners: Owners) -> Leak:
    whose = dict.fromkeys(owner for digest in hit.digests for owner in owners.get(digest, ()))
    return Leak(hit=hit, owners=tuple(whose))
