"""How the command line ends: its status, and what an error looks like."""

import sys
from collections.abc import Sequence
from typing import Final

import click

from leakwatch.errors import ConfigError, InputError, LeakwatchError

WRONG: Final = 1  # something was found, or is wrong
USAGE: Final = 2  # the call or the configuration cannot be used
UNFINISHED: Final = 3  # could not finish
INTERRUPTED: Final = 130  # by Ctrl-C, as shells have it: 128 and the signal's number


def guarded(command: click.Command, arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one for each way to end
    """Run the command line; an error that has a name is one message and a status, never a traceback."""
    try:
        status = command.main(arguments, standalone_mode=False)
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):  # the second of two comes while the first is handled
        click.echo("leakwatch: interrupted", err=True)
        return INTERRUPTED
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
