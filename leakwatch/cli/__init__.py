"""The command line: one module for each noun it speaks of. Parse, call, print.

A module is imported when its command is called: `leakwatch keys digest` has no need of a mail server's client, and
`leakwatch --help` none of anything.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import click


class Listed(NamedTuple):
    """A command that is not imported yet."""

    where: str  # module and name
    says: str  # how its help begins


COMMANDS: Final = {
    "run": Listed("daemon.run", "Watch until told to stop: what systemd starts."),
    "demo": Listed("daemon.demo", "Show the main job on loopback."),
    "check": Listed("daemon.check", "Check the configuration, definitions, database."),
    "scan": Listed("scan.command", "Look for keys in files, folders and, as `-`, standard input."),
    "keys": Listed("keys.group", "Customers' keys, by digest alone."),
    "customers": Listed("customers.group", "Who is told, and where."),
    "sources": Listed("sources.group", "The places that are watched."),
    "findings": Listed("findings.group", "Whose keys are exposed, and where."),
    "notices": Listed("notices.group", "What is owed, to whom, and what became of it."),
    "jobs": Listed("jobs.group", "Work that was given up, and work that waits."),
    "detectors": Listed("detectors.group", "The formats of keys that are known."),
    "db": Listed("database.group", "The database: its schema, and the move to another one."),
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
        return cast(click.Command, _imported(COMMANDS[cmd_name].where))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """Write what `--help` says of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.says) for name, listed in COMMANDS.items()])


def _imported(where: str) -> Any:
    module, _, name = where.partition(".")
    return getattr(import_module(f"{__name__}.{module}"), name)


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
    3 could not finish; 130 interrupted.
    """
    context.obj = _imported("frame.Frame")(path)
