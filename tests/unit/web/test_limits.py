import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request

from leakwatch.web import limits
from leakwatch.web.limits import Limiter, client

PROXIES = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8")]


class Clock:
    """A clock that a test moves."""

    at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Clock()
    limiter = Limiter(burst=3, interval=2.0, clock=clock)
    assert [limiter.wait("a") for _ in range(4)] == [0, 0, 0, 2.0]
    assert limiter.wait("b") == 0
    clock.at += 1.5
    assert limiter.wait("a") == 0.5
    clock.at += 0.5
    assert [limiter.wait("a"), limiter.wait("a")] == [0, 2.0]
    clock.at += 60
    assert [limiter.wait("a") for _ in range(4)] == [0, 0, 0, 2.0]


def test_who_is_refused_waits_no_longer_for_having_asked() -> None:
    clock = Clock()
    limiter = Limiter(burst=1, interval=2.0, clock=clock)
    assert [limiter.wait("a") for _ in range(5)] == [0, 2.0, 2.0, 2.0, 2.0]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_CLIENTS", 10)
    limiter = Limiter(burst=1, interval=60.0, clock=Clock())
    for number in range(100):
        assert limiter.wait(str(number)) == 0
    assert len(limiter._full_at) == 10
    assert limiter.wait("99") > 0


@pytest.mark.parametrize(
    ("remote", "forwarded", "who"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # who is no proxy of ours is not believed
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.1, 10.0.0.3"], "198.51.100.1"),
        ("127.0.0.1", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::"),
        ("127.0.0.1", [], "?"),
        ("127.0.0.1", ["10.0.0.1"], "?"),
        ("127.0.0.1", ["me"], "?"),
        ("", [], "?"),
    ],
)
def test_who_asks(remote: str, forwarded: list[str], who: str) -> None:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    assert client(request, PROXIES) == who
