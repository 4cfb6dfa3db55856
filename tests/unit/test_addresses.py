import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.addresses import refusal, refused, socket_factory

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "unspecified",  # noqa: S104 - refused, not bound
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT",  # Alibaba's metadata
    "169.254.169.254": "link-local",
    "168.63.129.16": "cloud metadata",
    "192.0.0.192": "reserved",  # Oracle's metadata
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "reserved",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:a9fe:a9fe": "link-local",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::169.254.169.254": "link-local",
    "64:ff9b:1::1": "reserved",
    "2002:7f00:1::": "6to4 tunnel",
    "2001:0:4136:e378:8000:63bf:80ff:fffe": "Teredo tunnel",
    "fd00:ec2::254": "private",
    "fe80::1%eth0": "link-local",
    "fec0::1": "reserved",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
    "localhost": "unreadable",
}


@pytest.mark.parametrize(("address", "word"), REFUSED.items())
def test_an_address_that_is_not_public_is_refused(address: str, word: str) -> None:
    assert refusal(address) == word


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "172.15.255.255", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1"]
)
def test_a_public_address_is_not_refused(address: str) -> None:
    assert refusal(address) == ""


@given(st.ip_addresses(v=4))
def test_an_ipv6_form_is_judged_as_the_ipv4_address_in_it(address: IPv4Address) -> None:
    assert refusal(f"::ffff:{address}") == refusal(str(address))
    assert refusal(f"64:ff9b::{address}") == refusal(str(address))


@given(st.ip_addresses())
def test_nothing_is_let_through_that_python_calls_local(address: IPv4Address | IPv6Address) -> None:
    local = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if local or address.is_unspecified:
        assert refusal(str(address))


def test_the_operator_can_allow_a_network_and_no_more() -> None:
    allowed = [ip_network("10.0.0.0/8"), ip_network("::1/128")]

    assert refusal("10.9.8.7", allowed) == ""
    assert refusal("::ffff:10.9.8.7", allowed) == ""
    assert refusal("::1", allowed) == ""
    assert refusal("127.0.0.1", allowed) == "loopback"
    assert refusal("::ffff:127.0.0.1", allowed) == "loopback"


def test_the_socket_factory_makes_sockets_for_what_is_allowed() -> None:
    make = socket_factory([ip_network("127.0.0.0/8")])

    with make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))) as made:
        assert made.family == socket.AF_INET


def test_what_the_socket_factory_says_is_recognised_in_a_combined_error() -> None:
    make = socket_factory([])
    with pytest.raises(OSError, match="loopback") as caught:
        make((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0)))

    assert refused(caught.value) == "::1 (loopback)"
    assert refused(OSError(f"Multiple exceptions: Connect call failed, {caught.value}")) == "::1 (loopback)"
    assert refused(OSError("Connect call failed ('127.0.0.1', 1)")) == ""


def test_every_special_range_of_the_registry_is_known() -> None:
    first_addresses = ["0.0.0.0", "192.0.2.0", "198.18.0.0", "198.51.100.0", "203.0.113.0", "240.0.0.0"]  # noqa: S104 - likewise

    assert all(refusal(address) and ip_address(address).version == 4 for address in first_addresses)
