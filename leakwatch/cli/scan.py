"""`leakwatch scan`: a one-off look at files."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import BinaryIO, Final, cast

import click

from leakwatch.cli.frame import UNFINISHED, WRONG, Frame, progress, run
from leakwatch.errors import ConfigError, InputError
from leakwatch.model import RegisteredKey
from leakwatch.pepper import Pepper
from leakwatch.registered import Registered
from leakwatch.store import registry
from leakwatch.store.database import Database
from leakwatch.store.opening import opened
from leakwatch.survey import FORMATS, Crew, Folders, Hit, Inspected, Inspector, Known, Leak, Survey
from leakwatch.survey.report import shown

_LARGEST: Final = 1 << 30
_STDIN: Final = "-"


@click.command("scan")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@click.option("--format", "form", type=click.Choice([*FORMATS]), default="text", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Show unlikely ones too: examples, placeholders.")
@click.option("--offline", is_flag=True, help="Do not ask the database what belongs to a customer.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Processes.  [default: one on each core]")
@click.option("--max-size", type=click.IntRange(min=1), default=_LARGEST, help="Bytes of the largest file.", show_default=True)
@click.option("--output", type=click.File("w", encoding="utf-8"), default="-", help="Write the report there.")
@click.pass_obj
def command(  # noqa: PLR0913 - its options
    frame: Frame,
    *,
    paths: Sequence[Path],
    form: str,
    everything: bool,
    offline: bool,
    jobs: int,
    max_size: int,
    output: click.utils.LazyFile,
) -> int:
    """Look for keys in files, folders and, as `-`, standard input.

    Keys are shown masked. With a configuration, those that are registered are told by customer and label. Nothing is
    stored, nobody is told, and no key is tried. Exit status: 0 nothing found, 1 something, 3 not all could be read.
    """
    if Path(_STDIN) in paths and len(paths) > 1:
        raise InputError("standard input is scanned alone", mend="give `-`, or files and folders")
    began = perf_counter()
    known = None if offline else run(_known(frame))
    folders = Folders(paths, largest=max_size)
    inspected = _stdin(known) if Path(_STDIN) in paths else Crew(known, jobs).inspect(folders.jobs())
    whole = _gathered(inspected)
    owners = run(_owners(frame, whole.hits)) if known else {}
    leaks, hidden = shown([_leak(hit, owners) for hit in whole.hits], everything=everything)
    survey = Survey(
        leaks=leaks,
        hidden=hidden,
        is_matched=known is not None,
        files=whole.files,
        size=whole.size,
        seconds=perf_counter() - began,
        left=whole.left + folders.left,
        problems=[*folders.problems, *whole.problems],
    )
    for line in FORMATS[form](survey):
        click.echo(line, file=cast("BinaryIO", output))
    for problem in survey.problems:
        click.echo(f"leakwatch: {problem}", err=True)
    return WRONG if leaks else UNFINISHED if survey.problems else 0
