"""Where the operator's mail server hands over what came back: LMTP on loopback, by aiosmtpd (the extra `lmtp`).

Return paths of ours are taken, one recipient at a time; all else is refused, so that this is no mailbox for anybody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, final

import structlog

from leakwatch.errors import ConfigError, DatabaseDown
from leakwatch.notify.dsn import LONGEST

log: Final = structlog.get_logger(__name__)
_TIMEOUT: Final = 60.0  # seconds without a command

Take = Callable[[Sequence[str], bytes], Awaitable[object]]


@final
class Lmtp:
    """Listens on ``host:port``; port 0 takes a free one."""

    def __init__(self, listen: str, *, is_ours: Callable[[str], bool], take: Take) -> None:
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self._handler = _Handler(is_ours, take)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port on which it listens, or will."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else self._port

    async def start(self) -> None:
        """Begin to listen. Raises ConfigError when the address cannot be had, or aiosmtpd is not installed."""
        try:
            from aiosmtpd.lmtp import LMTP  # noqa: PLC0415 - an extra
        except ImportError as error:
            message = "bounces.lmtp needs aiosmtpd, which is not installed"
            raise ConfigError(message, mend="install leakwatch[lmtp], or read a Maildir: bounces.maildir") from error

        def serve() -> LMTP:
            return LMTP(
                self._handler,
                hostname="leakwatch",
                ident="leakwatch",
                data_size_limit=LONGEST,
                timeout=_TIMEOUT,
                loop=asyncio.get_running_loop(),
            )

        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(serve, self._host.strip("[]"), self._port)
        except OSError as error:
            message = f"bounces.lmtp: {self._host}:{self._port} cannot be had: {error.strerror}"
            raise ConfigError(message, mend="another process may have it; write another one") from error

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None


class _Handler:
    """What aiosmtpd calls."""

    def __init__(self, is_ours: Callable[[str], bool], take: Take) -> None:
        self._is_ours = is_ours
        self._take = take

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient at a time"  # there is one reply to the data
        if not self._is_ours(address):
            return "550 5.1.1 This is no return path of ours"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        try:
            await self._take(envelope.rcpt_tos, envelope.content)
        except DatabaseDown:
            return "451 4.3.0 Not now"
        except Exception:  # aiosmtpd would repeat the error's words to whoever sent this
            log.exception("a bounce was not taken")
            return "451 4.3.0 Not now"
        return "250 2.0.0 OK"
