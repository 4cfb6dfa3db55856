"""Where a repository is, judged: git resolves no name itself, it is told the address that was let pass."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from yarl import URL

from leakwatch.addresses import Network, refusal
from leakwatch.errors import BadContent, ForbiddenAddress, Unreachable

_WEB: Final = ("http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository's address as git may be told it."""

    url: str = field(repr=False)
    protocols: str  # all that git may speak, redirects included
    config: Mapping[str, str] = field(repr=False)


async def judged(url: str, *, allowed: Sequence[Network], proxy: str = "", password: str = "", name: str) -> Place:
    """Resolve an address and let it pass, or not. Raises ForbiddenAddress, Unreachable, BadContent.

    The addresses that pass are pinned, so that a name which resolves differently a moment later gains nothing.
    """
    try:
        target = URL(url)
        host, port = target.host or "", target.port
    except ValueError:
        host, port, target = "", None, URL()
    if target.scheme == "file" and target.path.startswith("/"):
        return Place(url=str(target), protocols="file", config={})
    if target.scheme not in _WEB or not host or port is None or target.user is not None:
        message = f"{name}: a repository's address that cannot be used"
        raise BadContent(message, mend="write it as https://host/path, without a user")
    way = _way(proxy, password, name)
    if proxy.startswith("socks5h:") and not _is_literal(host):
        return Place(url=str(target), protocols=target.scheme, config=way)  # the proxy resolves, as Tor must
    passed = await _passed(host, port, allowed, name)
    pinned = {} if _is_literal(host) else {"http.curloptResolve": f"{host}:{port}:{','.join(passed)}"}
    return Place(url=str(target), protocols=target.scheme, config={**way, **pinned})


async def _passed(host: str, port: int, allowed: Sequence[Network], name: str) -> list[str]:
    """Return the addresses of a host that may be connected to."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        message = f"{name}: {host} has no address"
        raise Unreachable(message, mend="check the spelling and this machine's DNS; it is tried again") from None
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    passed = [address for address in addresses if not refusal(address, allowed)]
    if not passed:
        first = next(iter(addresses))
        message = f"{name}: {host} leads to {first} ({refusal(first, allowed)})"
        raise ForbiddenAddress(message, mend="if it is yours and meant, name its network in http.allow_networks")
    return [f"[{address}]" if ":" in address else address for address in passed]


def _way(proxy: str, password: str, name: str) -> Mapping[str, str]:
    """Return how git goes there. A proxy of HTTP would resolve names where nobody judges them."""
    if proxy.startswith("http:"):
        message = f"{name}: git does not go through a proxy of HTTP, which would resolve names past our refusal"
        raise ForbiddenAddress(message, mend="use socks5://, or socks5h:// for Tor")
    return {"http.proxy": str(URL(proxy).with_password(password)) if password else proxy}


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
