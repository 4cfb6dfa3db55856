"""Which addresses we connect to: the public internet, and what the operator allows.

The check stands where a socket is made, so that it holds for names, literals and redirects alike, and for the very
address that is connected to: a name that resolves differently a moment later gains nothing.
"""

import re
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

Network = IPv4Network | IPv6Network
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""What `getaddrinfo` yields, and aiohttp's connector hands on: family, kind, protocol, name and address."""

# The IANA special-purpose registries, written out: `ipaddress.is_global` differs between Python versions.
_REFUSED: Final = tuple(
    (ip_network(network), word)
    for network, word in {
        "0.0.0.0/8": "unspecified",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "carrier-grade NAT",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "cloud metadata",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "6to4 relay",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "benchmarking",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
        "::/128": "unspecified",
        "::1/128": "loopback",
        "2001::/32": "Teredo tunnel",
        "2001::/23": "reserved",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4 tunnel",
        "3fff::/20": "documentation",
        "fc00::/7": "private",
        "fe80::/10": "link-local",
        "ff00::/8": "multicast",
    }.items()
)
_GLOBAL_V6: Final = ip_network("2000::/3")  # all that is assigned to the public internet
_NAT64: Final = IPv6Network("64:ff9b::/96")
_REFUSAL: Final = re.compile(r"refused address \S+ \([^()]+\)")


def refusal(address: str, allowed: Sequence[Network] = ()) -> str:
    """Return the word for why we don't connect to an address, or "" if we do."""
    try:
        literal = ip_address(address)
    except ValueError:
        return "unreadable"
    meant = _meant(literal)
    if any(one in network for network in allowed for one in (literal, meant)):
        return ""
    for network, word in _REFUSED:
        if meant in network:
            return word
    return "reserved" if meant.version == 6 and meant not in _GLOBAL_V6 else ""  # noqa: PLR2004 - IPv6


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where the kernel or a gateway goes there without a tunnel."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def socket_factory(allowed: Sequence[Network]) -> Callable[[AddressInfo], socket.socket]:
    """Return what aiohttp's connector makes its sockets with: it raises OSError for an address that is refused.

    It has to be an OSError, and to tell itself by its text: of several addresses' errors the connector keeps no more.
    """

    def make(address_info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = address_info
        host = str(address[0])
        if why := refusal(host, allowed):
            message = f"refused address {host} ({why})"
            raise PermissionError(message)
        return socket.socket(family=family, type=kind, proto=protocol)

    return make


def refused(error: BaseException) -> str:
    """Return the address that our socket factory refused and why, if that is what an error says; else ""."""
    match = _REFUSAL.search(str(getattr(error, "os_error", error)))
    return match[0].removeprefix("refused address ") if match else ""
