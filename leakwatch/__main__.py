"""`python -m leakwatch` and the console script."""

import ctypes
import os
import resource
import sys
from typing import Final

from leakwatch.cli import command
from leakwatch.cli.frame import guarded

_PR_SET_DUMPABLE: Final = 4
_OURS_ALONE: Final = 0o077


def main() -> None:
    """Run the command line and exit with its status."""
    os.umask(_OURS_ALONE)  # whatever a command makes (the database above all) is nobody else's to read
    forbid_core_dumps()
    sys.exit(guarded(command))


def forbid_core_dumps() -> None:
    """See to it that no dump of our memory is written: it would hold keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit is not enforced where dumps are piped to a program; this is.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


if __name__ == "__main__":
    main()
