"""Stands between one request and the network.

A name is resolved once, every address of it must pass, and no other is connected to.
The address of each socket is checked again as the socket is made: addresses in URLs,
which no resolver sees, and whatever the library does in between, pass the same guard.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from filemill.errors import BadRequest
from filemill.outbound.addresses import IPAddress, IPNetwork, Target, refusal

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError when it has none."""


class Guard(AbstractResolver):
    """The resolver and the maker of sockets of one request; remembers what it refused."""

    def __init__(self, target: Target, allowed: Sequence[IPNetwork], resolve: Resolve) -> None:
        self.target = target
        self._allowed = allowed
        self._resolve = resolve
        self.refused: BadRequest | None = None

    def check_literal(self) -> None:
        """Raises `BadRequest` for an address in the URL, which no resolver will see."""
        if (address := self.target.address) is not None:
            self._check(address)
            if self.refused:
                raise self.refused

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002
    ) -> list[ResolveResult]:
        addresses = [ip_address(text) for text in dict.fromkeys(await self._resolve(host))]
        if not addresses:
            raise OSError(f"{host} has no address")
        if not all(self._check(address) for address in addresses):
            raise OSError(f"{host} may not be reached")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass

    def open(self, info: tuple[Any, ...]) -> socket.socket:
        """The socket for a `getaddrinfo` row, which is connected to that row's address."""
        family, kind, protocol, _, address = info
        if not self._check(ip_address(address[0])):
            raise OSError(f"{address[0]} may not be reached")
        return socket.socket(family, kind, protocol)

    def _check(self, address: IPAddress) -> bool:
        why = refusal(address, self._allowed)
        if why:
            # Which address a name has inside our network is nobody's business.
            self.refused = BadRequest(
                f"{self.target.host} may not be reached: its address is not public ({why}).",
                hint="Use a public address; an operator may allow others: FILEMILL_OUTBOUND_ALLOW.",
            )
        return why is None
