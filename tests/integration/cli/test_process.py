"""The process itself: what it forbids before it does anything else."""

import io
import subprocess
import sys

import pytest

from leakwatch.cli.frame import progress

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


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("leakwatch.__main__", {"asyncio", "hyperscan", "pydantic", "rich"}),
        (
            "leakwatch.cli.scan",
            {"aiohttp", "bs4", "jinja2", "lxml", "prometheus_client", "rich", "sqlalchemy", "structlog"},
        ),
    ],
)
def test_a_command_starts_without_what_it_has_no_use_for(module: str, unused: set[str]) -> None:
    """Each of these takes longer to be read than most of what a person has done by the command line."""
    look = f"import sys, {module}; print({unused} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)

    assert done.stdout == "set()\n", done.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "says"), [(Terminal, "3 files"), (io.StringIO, "")])
def test_how_far_it_is_is_shown_on_a_terminal_alone(
    stream: type[io.StringIO], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    with progress("files") as advance:
        advance(2)
        advance(1)
    assert says in shown.getvalue()
    assert bool(says) == bool(shown.getvalue())
