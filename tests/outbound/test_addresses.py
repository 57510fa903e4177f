"""Which addresses are refused, against two others who know; and which URLs are read at all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ssrfguard import DEFAULT_DENIED

from filemill.errors import BadRequest
from filemill.outbound import check_url, refusal

STRICTER = [
    ip_network(text)
    for text in (
        # Anycast of protocols inside special blocks: IANA calls them reachable, we need none.
        "192.0.0.9/32",
        "192.0.0.10/32",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.175.48.0/24",
        "2001::/23",
        "2620:4f:8000::/48",
        # Public by its number, yet answered by the cloud's own host.
        "168.63.129.16/32",
        # Forms that hold an IPv4 address: refused as such; ssrfguard looks at what they hold.
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "2002::/16",
        # Given back to IANA.
        "3ffe::/16",
    )
]
UNICAST = ip_network("2000::/3")

# What `ipaddress.is_global` takes for global, in some or all of the Pythons we support.
NOT_KNOWN_TO_PYTHON = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]


def stricter(address: IPv4Address | IPv6Address) -> bool:
    """Whether we mean to refuse what others let pass."""
    if any(address in network for network in STRICTER):
        return True
    if address.version == 6:
        isatap = address.packed[8:12] in (b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe")
        return isatap or address not in UNICAST
    return False


def addresses(count: int) -> Iterator[IPv4Address | IPv6Address]:
    """Both edges of every network that anyone names and their neighbours, then random ones."""
    chance = random.Random(4)
    networks = [block.network for block in DEFAULT_DENIED.blocks] + STRICTER + [UNICAST]
    for network in networks:
        kind = IPv4Address if network.version == 4 else IPv6Address
        low, high = int(network.network_address), int(network.broadcast_address)
        for number in (low - 1, low, low + 1, high - 1, high, high + 1):
            if 0 <= number < 2**network.max_prefixlen:
                yield kind(number)
        for _ in range(200):
            yield kind(chance.randint(low, high))
    for _ in range(count):
        yield IPv4Address(chance.getrandbits(32))
        yield IPv6Address(chance.getrandbits(128))
        yield IPv6Address(1 << 125 | chance.getrandbits(125))
        yield IPv6Address(  # ISATAP below a public prefix
            0x2A00 << 112 | chance.getrandbits(32) << 80 | 0x5EFE << 32 | chance.getrandbits(32)
        )


def test_differs_from_another_guard_only_where_meant() -> None:
    counts = {"both": 0, "neither": 0, "we": 0}
    for address in addresses(40_000):
        ours, theirs = refusal(address), DEFAULT_DENIED.classify(address).blocked
        if ours is None:
            assert not theirs, address
            assert not stricter(address), address
            counts["neither"] += 1
        elif theirs:
            counts["both"] += 1
        else:
            assert stricter(address), (address, ours)
            counts["we"] += 1
    assert min(counts.values()) > 1000, counts


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_passes_is_global(address: IPv4Address | IPv6Address) -> None:
    if refusal(address) is None:
        assert address.is_global
        assert not address.is_multicast
    else:
        assert (
            not address.is_global
            or address.is_multicast
            or stricter(address)
            or any(address in network for network in NOT_KNOWN_TO_PYTHON)
        )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("0.0.0.0", "this network"),
        ("169.254.169.254", "link-local"),
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("100.100.100.200", "inner network"),
        ("168.63.129.16", "cloud"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("198.19.0.1", "benchmarking"),
        ("203.0.113.7", "documentation"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b::808:808", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:7f00:1::1", "Teredo"),
        ("2a00:1450:4001:81b:0:5efe:7f00:1", "ISATAP"),
        ("2a00:1450:4001:81b:200:5efe:7f00:1", "ISATAP"),
        ("fe80::1", "link-local"),
        ("fe80::1%1", "link-local"),
        ("fec0::1", "site-local"),
        ("fd00:ec2::254", "private"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "documentation"),
        ("4000::1", "not global unicast"),
    ],
)
def test_is_refused_by_name(text: str, why: str) -> None:
    assert why in (refusal(ip_address(text)) or "")


@pytest.mark.parametrize("text", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111"])
def test_passes(text: str) -> None:
    assert refusal(ip_address(text)) is None


def test_an_allowed_network_wins_and_opens_nothing_else() -> None:
    allowed = [ip_network("127.0.0.0/30"), ip_network("fd00::/64")]
    assert refusal(ip_address("127.0.0.1"), allowed) is None
    assert refusal(ip_address("fd00::1"), allowed) is None
    for other in ("127.0.0.4", "::1", "::ffff:127.0.0.1", "::7f00:1", "fd00:1::", "10.0.0.1"):
        assert refusal(ip_address(other), allowed)


LOOPBACKS = [  # each is 127.0.0.1 to some reader
    "2130706433",
    "0x7f000001",
    "0x7F000001",
    "017700000001",
    "0177.0.0.1",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "127.0.0.0x1",
    "127.0.0.1.",
    "127.0.0.1..",
    "１２７.0.0.1",  # noqa: RUF001
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127%2e0.0.1",
    "%31%32%37.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::1%25lo]",
    "[::1%lo]",
    "[v1.127.0.0.1]",
    "[127.0.0.1]",
    "::1",
]


@pytest.mark.parametrize("host", LOOPBACKS)
def test_no_spelling_of_loopback_slips_through(host: str) -> None:
    """Not read at all, or as the address that it is; never as a name to look up."""
    try:
        target = check_url(f"http://{host}/")
    except BadRequest:
        return
    assert target.address is not None
    assert refusal(target.address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "/path",
        "http:",
        "http://",
        "http:///x",
        "http:example.com",
        "http://?x",
        "http://:80/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:,x",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1#@example.com\\/",
        "http://example.com\\@127.0.0.1/",
        "http:\\\\example.com",
        "http://example.com:0/",
        "http://example.com:22/",
        "http://example.com:65536/",
        "http://example.com:-80/",
        "http://example.com:+80/",
        "http://example.com:8 0/",
        "http://example.com:٨٠/",
        "http://example.com:80:80/",
        "http://exa mple.com/",
        "http://exam\tple.com/",
        "http://example.com/\r\nHost: x",
        " http://example.com/",
        "http://example.com/\n",
        "http://example.com/\x00",
        "http://example.com/\u00a0",
        "http://exa\u00admple.com/",
        "http://example..com/",
        "http://.example.com/",
        "http://-example.com/",
        "http://exa$mple.com/",
        "http://exam%70le.com/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[::1]:80x/",
        "http://1.2.3/",
        "http://1.2.3.4.5/",
        "http://1.2.3.256/",
        "http://example.0x/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 127 + "com/",
        "http://example.com/" + "a" * 9000,
        "http://xn--\u00e4.com/",
        "http://ex℀mple.com/",
    ],
)
def test_is_not_read(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_url(url)
    assert caught.value.hint


def test_reads_the_parts_as_they_are() -> None:
    target = check_url("HTTPS://Hooks.Example.COM.:8443/a%2Fb%7E/../c?sig=a%2Fb%3d+%7e&x=#part")
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.com", 8443)
    assert target.path == "/a%2Fb%7E/../c"
    assert target.query == "sig=a%2Fb%3d+%7e&x="
    assert target.address is None


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://example.com", "example.com", 80, "/"),
        ("https://example.com?x", "example.com", 443, "/"),
        ("http://example.com:/", "example.com", 80, "/"),
        ("http://localhost:8080/", "localhost", 8080, "/"),
        ("http://a_b.example/", "a_b.example", 80, "/"),
        ("http://bücher.example/ü", "xn--bcher-kva.example", 80, "/%C3%BC"),
        ("http://faß.example/", "xn--fa-hia.example", 80, "/"),
        ("http://1.1.1.1/", "1.1.1.1", 80, "/"),
        ("http://[2606:4700:0::1111]:8080/", "2606:4700::1111", 8080, "/"),
    ],
)
def test_is_read(url: str, host: str, port: int, path: str) -> None:
    target = check_url(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://[", "http://127.0.0.1"]))
def test_any_text_is_read_or_refused(text: str, start: str) -> None:
    try:
        target = check_url(start + text)
    except BadRequest:
        return
    assert target.host.isascii()
    assert target.path.startswith("/")
    assert not set(target.host + target.path + target.query) & set(" \r\n\t\\")
