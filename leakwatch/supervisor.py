"""systemd, told how the daemon fares: the notify protocol, which is one datagram for each thing said.

Without systemd there is no socket, and everything here does nothing.
"""

import faulthandler
import os
import socket
import time
from collections.abc import Mapping
from typing import Final, final

import structlog

log: Final = structlog.get_logger(__name__)
_BEAT: Final = 20.0  # seconds between two status lines, where no watchdog asks for more
_LONGER: Final = 60  # seconds: more than one try of a database takes
_LONGEST: Final = 300  # characters of a status line


@final
class Supervisor:
    """Says what systemd asks of a `Type=notify` service; see sd_notify(3)."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = _watchdog(environment)

    @property
    def listens(self) -> bool:
        """Whether anybody is told."""
        return bool(self._address)

    @property
    def beat(self) -> float:
        """Seconds between two signs of life: a third of the time after which we would be killed."""
        return self._watchdog / 3 if self._watchdog else _BEAT

    def ready(self) -> None:
        """The daemon does its work: it has started, or has taken over a configuration."""
        self._say("READY=1")

    def waiting(self, what: str) -> None:
        """The daemon cannot begin yet, for no fault of its own: the start takes that much longer."""
        self._say(f"EXTEND_TIMEOUT_USEC={_LONGER * 1_000_000}")
        self.status(f"waiting: {what}")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` ends it."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon has begun to stop."""
        self._say("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in one line, for people, how it fares."""
        self._say(f"STATUS={' '.join(text.split())[:_LONGEST]}")

    def alive(self) -> None:
        """Keep the watchdog from ending us. From the first time on, being ended by it tells where we hung."""
        if self._watchdog:
            if not faulthandler.is_enabled():
                faulthandler.enable()  # places alone, no values: a traceback of it holds no key
            self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as one:
                one.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("systemd was not told", said=lines[0].partition("=")[0], detail=error.strerror)


def _watchdog(environment: Mapping[str, str]) -> float:
    """Seconds after which silence is taken for death; 0 where nobody watches us."""
    asked, whom = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not asked.isdigit() or whom not in ("", str(os.getpid())):
        return 0.0
    return int(asked) / 1e6
