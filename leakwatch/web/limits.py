"""How often somebody may ask: enough for a person, too little for who guesses or floods."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, final

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = Sequence[Network]
_CLIENTS: Final = 10_000  # remembered at most: whoever asked longest ago is forgotten
_HOUSE: Final = 64  # bits of an IPv6 address that one house has
_UNKNOWN: Final = "?"


@final
class Limiter:
    """A bucket of requests for each client, which fills again as time passes."""

    def __init__(self, *, burst: int, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`burst` requests at once, then one each `interval` seconds."""
        self._burst = burst
        self._interval = interval
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()  # when a client's bucket is full again

    def wait(self, client: str) -> float:
        """Take one request from a client's bucket; return 0, or the seconds until there is one."""
        at = self._clock()
        full_at = max(at, self._full_at.pop(client, at)) + self._interval
        too_many = full_at - at - self._burst * self._interval
        self._full_at[client] = full_at if too_many <= 0 else full_at - self._interval
        while len(self._full_at) > _CLIENTS:
            self._full_at.popitem(last=False)
        return max(0.0, too_many)


def client(request: web.Request, proxies: Sequence[Network]) -> str:
    """Return who asks, as far as it can be known: the last address that is no proxy of ours."""
    hops = [request.remote or "", *reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(","))]
    for hop in hops:
        try:
            address = ipaddress.ip_address(hop.strip())
        except ValueError:
            return _UNKNOWN
        if not any(address in network for network in proxies):
            break
    else:
        return _UNKNOWN
    if address.version == 4:  # noqa: PLR2004 - IPv4
        return str(address)
    return str(ipaddress.ip_network((address, _HOUSE), strict=False).network_address)
