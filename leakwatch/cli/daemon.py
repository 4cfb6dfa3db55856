"""`leakwatch run`, `check` and `demo`."""

import asyncio
from pathlib import Path

import click

from leakwatch import log
from leakwatch.app import App
from leakwatch.check import of_reload, problems, warnings
from leakwatch.cli.ending import WRONG
from leakwatch.cli.frame import Frame
from leakwatch.cli.frame import run as run_loop
from leakwatch.demo import demo as run_demo
from leakwatch.errors import InputError
from leakwatch.scan import Scanner, shipped


@click.command()
@click.pass_obj
def run(frame: Frame) -> None:
    """Watch until told to stop: what systemd starts."""
    config = frame.config
    detectors = tuple(shipped())
    scanner = Scanner(detectors)
    log.setup(level=config.log.level, format=config.log.format, redact=scanner.redact)

    async def work() -> None:
        await App(config, scanner, detectors).run()

    run_loop(work())


@click.command()
@click.option("--live", is_flag=True, help="Also try the mail server and fetch each source's listing once.")
@click.option("--reload", "reload_", is_flag=True, help="Only what a reload takes over: the sources in use.")
@click.pass_obj
def check(frame: Frame, *, live: bool, reload_: bool) -> int:
    """Check the configuration, definitions, database and, with --live, the places that they name.

    Prints every problem with what to change. Exit status 1 when there is one; a warning is none.
    """
    if live and reload_:
        raise InputError("--live and --reload together say nothing", mend="leave one out")
    found = of_reload(frame.config) if reload_ else run_loop(problems(frame.config, live=live))
    for warning in () if reload_ else warnings(frame.config):
        click.echo(f"warning: {warning}", err=True)
    for problem in found:
        click.echo(str(problem), err=True)
    if found:
        return WRONG
    click.echo(f"{frame.config.path}: no problem found")
    return 0


@click.command()
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Leave everything in this folder.")
def demo(keep: Path | None) -> None:
    """Show the main job on loopback: a leak, the notice, and the proof that no key was kept."""
    asyncio.run(run_demo(keep=keep))
