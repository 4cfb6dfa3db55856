"""Postgres, by asyncpg."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg

from leakwatch.errors import ConfigError

_PATIENCE: Final = 10.0  # seconds that Postgres has to let us in
_SILENCE: Final = {  # together half a minute
    socket.TCP_KEEPIDLE: 15,  # seconds
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 30_000,  # milliseconds
}
_UNUSABLE: Final = (
    asyncpg.ClientConfigurationError,
    asyncpg.UndefinedObjectError,
    asyncpg.CantChangeRuntimeParamError,
)
_FILES: Final = ("sslrootcert", "sslcert", "sslkey")


async def _open(**parts: Any) -> asyncpg.Connection:
    """Connect to where the URL says. What follows its `?` are libpq's words, which asyncpg reads in a DSN alone.

    Raises ConfigError for words that cannot be used.
    """
    _check_files(parts)
    place = {name: parts.pop(name, None) for name in ("host", "port", "user", "password", "database")}
    try:
        connection = await asyncpg.connect(f"postgresql://?{urlencode(parts)}", **place, timeout=_PATIENCE)
    except _UNUSABLE as error:
        mend = "after its ? stand sslmode, sslrootcert, sslcert and sslkey, or settings of the server"
        raise ConfigError(f"database.url: {' '.join(str(error).split())}", mend=mend) from error
    _notice_silence(connection)
    return connection


def _check_files(words: Mapping[str, str]) -> None:
    """Name a file that is not there: the driver's error does not, and looks as if the server were not there."""
    for name in _FILES:
        if name in words and not Path(words[name]).is_file():
            raise ConfigError(f"database.url: {name}: there is no file {words[name]}", mend="write its full path")


def _notice_silence(connection: asyncpg.Connection) -> None:
    """Have the kernel end a connection whose other end is gone without a word: by itself it waits for hours."""
    connected = connection._transport.get_extra_info("socket")  # noqa: SLF001 - asyncpg has no setting for it
    if connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _SILENCE.items():
        connected.setsockopt(socket.IPPROTO_TCP, option, value)


OPTIONS: Final[Mapping[str, Any]] = {"connect_args": {"async_creator_fn": _open}, "pool_pre_ping": True}
