"""`leakwatch scan`: a one-off look at files."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain
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
from leakwatch.survey import (
    FORMATS,
    Crew,
    Folders,
    Hit,
    Inspected,
    Inspector,
    Leak,
    Problem,
    Problems,
    Survey,
    is_endless,
    shown,
    told,
)
from leakwatch.survey.owners import Owners, Register

_LARGEST: Final = 1 << 30
_TOLD: Final = 10  # problems: more are counted


@click.command("scan")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@click.option(
    "--git", metavar="REPO", help="All that ever was in a repository: a folder, or an address to fetch it from."
)
@click.option("--format", "form", type=click.Choice([*FORMATS]), default="text", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Show unlikely ones too: examples, placeholders.")
@click.option("--plain", is_flag=True, help="Keys that a marker tells, under no disguise: several times as fast.")
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

    Keys are shown masked, each once in a file. With a configuration, those that are registered are told by customer
    and label. Nothing is stored, nobody is told, and no key is tried. A pipe that is named is read like standard input.

    Exit status: 0 nothing found, 1 something, 3 not all could be looked at, 130 interrupted: then nothing is shown.
    """
    if (git is None) is not bool(paths):
        raise InputError("one thing is scanned at a time", mend="give files, folders and `-`, or --git REPO")
    began = perf_counter()
    endless = [path for path in dict.fromkeys(paths) if is_endless(path)]
    folders = Folders((path for path in paths if path not in endless), largest=max_size)
    with ExitStack() as stack:
        register = None if offline else _register(frame, stack)
        known = register and register.known()
        made = partial(Inspector, known, plain=plain)
        crew = stack.enter_context(closing(Crew(known, jobs, plain=plain).inspect(folders.jobs())))
        files = chain(_endless(made, endless, max_size), crew)
        found = _gathered(files if git is None else [run(_repository(frame, made, git))])
        problems = _redacted(made, folders.problems) + found.problems
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
    _report(survey, form, output)
    return WRONG if leaks else UNFINISHED if problems else 0


def _report(survey: Survey, form: str, output: IO[str]) -> None:
    for line in FORMATS[form](survey):
        click.echo(visible(line), file=output)
    for line in told(survey.problems, _TOLD):
        click.echo(f"leakwatch: {visible(line)}", err=True)


def _register(frame: Frame, stack: ExitStack) -> Register | None:
    """Return the register of keys, if there is a configuration."""
    try:
        path = frame.path or configuration.find()
    except ConfigError:
        click.echo("leakwatch: there is no configuration, so nothing is asked for its owner", err=True)
        return None
    return stack.enter_context(Register.opened(path))


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


def _endless(made: Callable[[], Inspector], paths: Sequence[Path], most: int) -> Iterator[Inspected]:
    """Look at what is read as it comes, in this process: no other has our standard input."""
    if paths:
        inspected = Inspected()
        with closing(made()) as inspector:
            for path in paths:
                inspector.endless(path, most, inspected)
        yield inspected


def _gathered(parts: Iterable[Inspected]) -> Inspected:
    whole = Inspected()
    with progress("files") as advance:
        for part in parts:
            whole.add(part)
            advance(part.files, f"files, {whole.size / 1e6:,.1f} MB")
    return whole


def _redacted(made: Callable[[], Inspector], problems: Problems) -> Problems:
    """What could not be read, by names in which keys may stand."""
    if not problems:
        return problems
    with closing(made()) as inspector:
        redacted = Counter[Problem]()
        for (path, why), count in problems.items():
            redacted[Problem(inspector.redacted(path), why)] += count  # several may be redacted alike
        return redacted


def _leak(hit: Hit, owners: Owners) -> Leak:
    whose = dict.fromkeys(owner for digest in hit.digests for owner in owners.get(digest, ()))
    return Leak(hit=hit, owners=tuple(whose))
