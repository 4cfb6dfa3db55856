"""The process itself: what it forbids before it does anything else."""

import subprocess
import sys

LOOK = """
import ctypes, os, resource
from leakwatch import __main__ as leakwatch

PR_GET_DUMPABLE = 3

def look(command):
    print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(PR_GET_DUMPABLE), os.umask(0))

leakwatch.guarded = look
leakwatch.main()
"""


def test_its_memory_is_neither_dumped_nor_readable_for_others() -> None:
    """What is not dumpable cannot be traced either, and its /proc belongs to root."""
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False)

    assert done.stdout == f"(0, 0) 0 {0o077}\n", done.stderr


def test_the_daemon_imports_nothing_that_it_has_no_use_for() -> None:
    """Each of these takes megabytes, for as long as the daemon waits for something to happen."""
    unused = {"alembic", "asyncpg", "apprise", "aiosmtpd", "pypdf"}
    look = f"import sys, leakwatch.cli.daemon; print({unused} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)

    assert done.stdout == "set()\n", done.stderr
