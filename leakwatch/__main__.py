"""`python -m leakwatch` and the console script."""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Final

from leakwatch.cli import command
from leakwatch.cli.ending import guarded

_PR_SET_DUMPABLE: Final = 4
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 1  # of memory: one for each thread, as by default, gives none of it to the others
_OURS_ALONE: Final = 0o077


def main() -> None:
    """Run the command line and exit with its status."""
    os.umask(_OURS_ALONE)  # whatever a command makes (the database above all) is nobody else's to read
    forbid_core_dumps()
    share_memory()
    status = guarded(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is to end
    sys.exit(status)


def forbid_core_dumps() -> None:
    """See to it that no dump of our memory is written: it would hold keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit is not enforced where dumps are piped to a program; this is.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def share_memory() -> None:
    """Have all threads take their memory from one place, where the C library is glibc: a tenth of it lay idle."""
    with suppress(AttributeError):  # musl has no such setting
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


if __name__ == "__main__":
    main()
