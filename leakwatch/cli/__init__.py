"""The command line: one module for each noun it speaks of. Parse, call, print.

A module is imported when its command is called: `leakwatch keys digest` has no need of a mail server's client.
"""

from importlib import import_module
from pathlib import Path
from typing import Final, cast

import click

from leakwatch.cli.frame import Frame

COMMANDS: Final = {
    "run": "daemon.run",
    "demo": "daemon.demo",
    "check": "daemon.check",
    "scan": "scan.command",
    "keys": "keys.group",
    "customers": "customers.group",
    "sources": "sources.group",
    "findings": "findings.group",
    "notices": "notices.group",
    "jobs": "jobs.group",
    "detectors": "detectors.group",
    "db": "database.group",
}


class Commands(click.Group):
    """The commands, in the order in which they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands for `--help`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(".")
        return cast(click.Command, getattr(import_module(f"leakwatch.cli.{module}"), name))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LEAKWATCH_CONFIG",
    help="The configuration.  [default: /etc/leakwatch/leakwatch.toml, then ./leakwatch.toml]",
)
@click.version_option(package_name="leakwatch", message="leakwatch %(version)s")
@click.pass_context
def command(context: click.Context, path: Path | None) -> None:
    """Find exposed AI-service keys in public, and tell their owners.

    Exit status: 0 done; 1 something was found or is wrong; 2 the call or the configuration cannot be used;
    3 could not finish.
    """
    context.obj = Frame(path)
