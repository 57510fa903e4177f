"""Which addresses a client may send us to. Pure.

The standard library's `is_global` is no guard: it changes between patch releases of
Python, and calls multicast, site-local and NAT64 addresses global. This table is the
IANA special-purpose registries (IPv4, IPv6), read strictly: also what they call
reachable inside a special block (anycast of DNS and of protocols) holds no web server.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from urllib.parse import quote, urlsplit

import idna

from filemill.errors import BadRequest

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_SPECIAL: Sequence[tuple[IPNetwork, str]] = tuple(
    (ip_network(network), what)
    for network, what in (
        # RFC 6890 and the registries; the first that fits names the address.
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "a provider's inner network"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's inner service"),  # Azure; public only by its number
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved for protocols"),
        ("192.52.193.0/24", "reserved for protocols"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private network"),
        ("192.175.48.0/24", "reserved for protocols"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        # Addresses that hold another one. Never unwrapped: nobody needs them to be reached.
        ("::/96", "an IPv4-compatible address"),
        ("::ffff:0:0/96", "an IPv4-mapped address"),
        ("::ffff:0:0:0/96", "an IPv4-translated address"),
        ("64:ff9b::/96", "a NAT64 address"),
        ("64:ff9b:1::/48", "a NAT64 address"),
        ("2001::/32", "a Teredo address"),
        ("2002::/16", "a 6to4 address"),
        ("100::/64", "discarded"),
        ("2001:db8::/32", "documentation"),
        ("2001::/23", "reserved for protocols"),
        ("2620:4f:8000::/48", "reserved for protocols"),
        ("3ffe::/16", "reserved"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "reserved for segment routing"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that IANA gives out (RFC 4291, section 2.4)."""

_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""How the second half of an address begins that ends in an IPv4 address (RFC 5214, 6.1)."""


def refusal(address: IPAddress, allowed: Sequence[IPNetwork] = ()) -> str | None:
    """Why `address` may not be reached ("a private network"), None if it may.

    What is in one of the networks `allowed` may, whatever else it is.
    """
    if any(address in network for network in allowed):
        return None
    for network, what in _SPECIAL:
        if address in network:
            return what
    if isinstance(address, IPv6Address):
        if address not in _UNICAST:
            return "not global unicast"
        if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
            return "an ISATAP address"
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL. What is asked for is put together from these parts, never parsed again."""

    scheme: str
    host: str
    """A name in ASCII (IDNA), or an address without brackets; no dot at its end."""
    port: int
    path: str
    """Percent-encoded as it was given: the signature of a presigned URL depends on it."""
    query: str

    @property
    def address(self) -> IPAddress | None:
        """The host, if it is an address rather than a name."""
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if _ends_in_number(self.host) else None


LONGEST = 8192
"""Characters of a URL."""

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@%]+))(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PORTS = {"http": 80, "https": 443}


def check_url(url: str) -> Target:
    """The parts of an absolute http or https URL (RFC 3986). Raises `BadRequest`.

    Stricter than any client: where two of them could read two hosts, none is read.
    """
    if len(url) > LONGEST:
        raise _bad("is too long", f"At most {LONGEST} characters.")
    if any(char == "\\" or unicodedata.category(char)[0] in "CZ" for char in url):
        raise _bad("has spaces, backslashes or control characters", "Percent-encode them.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad("is not a URL", "Write it like https://example.com/path.") from None
    if parts.scheme not in _PORTS:
        raise _bad("is not http or https", "Write it like https://example.com/path.")
    if "@" in parts.netloc:
        raise _bad("has a user name or password", "Put a secret in its path or query.")
    found = _AUTHORITY.fullmatch(parts.netloc)
    if not found:
        raise _bad("has no valid host", "Write it like https://example.com/path.")
    ipv6, name, digits = found.groups()
    port = int(digits) if digits else _PORTS[parts.scheme]
    # Low ports of other protocols: what we post must never be read as mail or the like.
    if not 1024 <= port <= 65535 and port not in _PORTS.values():
        raise _bad("has a port that is not allowed", "Use 80, 443, or 1024 to 65535.")
    return Target(
        scheme=parts.scheme,
        host=_ipv6(ipv6) if ipv6 else _name(name),
        port=port,
        path=_ascii(parts.path) or "/",
        query=_ascii(parts.query),
    )


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise _bad("has no valid IPv6 address", "Write it like [2606:4700::1111].") from None


def _name(text: str) -> str:
    """The name or IPv4 address in ASCII, small letters, without the root's dot."""
    host = text
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()  # full-width digits become digits
        except (idna.IDNAError, UnicodeError):
            raise _bad("has no valid host", "Check its spelling, or write it in ASCII.") from None
    host = host.lower().removesuffix(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _bad("has no valid host", "Write it like https://example.com/path.")
    if _ends_in_number(host):
        # `127.1`, `0x7f.1`, `017700000001`: the C library would make an address of them.
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise _bad("has no valid IPv4 address", "Write it as four decimal numbers.") from None
    return host


def _ends_in_number(host: str) -> bool:
    """Whether it is an IPv4 address or meant as one (WHATWG URL, "ends in a number")."""
    last = host.rpartition(".")[2]
    return last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None


def _ascii(text: str) -> str:
    return text if text.isascii() else re.sub(r"[^\x00-\x7f]+", lambda m: quote(m[0]), text)


def _bad(what: str, hint: str) -> BadRequest:
    return BadRequest(f"The URL {what}.", hint=hint)
