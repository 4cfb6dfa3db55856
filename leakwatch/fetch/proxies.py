"""The way to a site through a proxy, with the refusal of addresses kept on our side of it.

A proxy that is handed a name resolves it where we cannot look, and would fetch the operator's own network for us. So
the name is resolved here, its addresses are judged, and the proxy is handed one that was let pass: ``http://`` and
``socks5://``. With ``socks5h://`` the proxy resolves, as Tor must: what leads into a network is then for it to refuse,
as Tor's exits do. Addresses written as such are judged in either case.
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from ssl import SSLContext
from typing import Final
from urllib.parse import unquote, urlsplit

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType
from python_socks import ProxyConnectionError as _NotReached
from python_socks import ProxyError as _Refused
from python_socks import ProxyTimeoutError as _TimedOut
from python_socks.async_.asyncio.v2 import Proxy

from leakwatch.addresses import Network, refusal

PROXY_ERRORS: Final = (ProxyConnectionError, ProxyError, ProxyTimeoutError, _NotReached, _Refused, _TimedOut)
_PORTS: Final = {"http": 3128, "socks5": 1080, "socks5h": 1080}


class _Judging(ProxyConnector):
    """Connects through a proxy to addresses that are let pass."""

    def __init__(self, url: str, allowed: Sequence[Network], password: str) -> None:
        parts = urlsplit(url)
        self._remote = parts.scheme == "socks5h"
        self._allowed = allowed
        super().__init__(
            host=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
            proxy_type=ProxyType.HTTP if parts.scheme == "http" else ProxyType.SOCKS5,
            username=unquote(parts.username) if parts.username else None,
            password=password or None,
            rdns=True,  # it gets an address from us, or is meant to resolve
            limit=0,
        )

    async def _connect_via_proxy(
        self,
        host: str,
        port: int,
        ssl: SSLContext | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        address = await self._judged(host, port)
        proxy = Proxy(
            proxy_type=self._proxy_type,
            host=self._proxy_host,
            port=self._proxy_port,
            username=self._proxy_username,
            password=self._proxy_password,
            rdns=True,
        )
        try:
            stream = await proxy.connect(dest_host=address, dest_port=port, timeout=timeout)
        except (EOFError, ConnectionError) as error:  # it hung up
            raise ProxyError(str(error)) from error
        if ssl is not None:  # the certificate is the name's, whatever address it has
            stream = await stream.start_tls(hostname=host, ssl_context=ssl)
        transport, protocol = stream.writer.transport, _Handler(self._loop, stream.writer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport, protocol  # type: ignore[return-value] # as in the class that this is made of

    async def _judged(self, host: str, port: int) -> str:
        """Return what the proxy is told to connect to. Raises PermissionError for an address that is refused."""
        if self._remote and not _is_address(host):
            return host
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(address[0]) for *_, address in found]
        for address in addresses:
            if why := refusal(address, self._allowed):
                message = f"refused address {address} ({why})"
                raise PermissionError(message)
        return addresses[0]


class _Handler(ResponseHandler):
    """Holds on to the stream's writer, which would close the connection when it is collected."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter) -> None:
        super().__init__(loop)
        self._writer = writer


def connector(proxy: str, allowed: Sequence[Network], password: str = "") -> TCPConnector:
    """Return what a client connects with that goes through a proxy. Needs a running event loop."""
    return _Judging(proxy, allowed, password)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
