"""Who is served where nobody needs a key: programs of this host, and pages of this server.

A page elsewhere has its reader's browser send forms to any address; without a key nothing else
would tell those from requests of ours. What the browser itself says does: the name that it looked
up (Host), and for which site it asks (Fetch Metadata, Origin). Programs say nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from filemill.errors import Forbidden, InvalidApiKey
from filemill.http.uploads import PATH


@dataclass(frozen=True, slots=True)
class Site:
    names: frozenset[str] = frozenset()
    """Hosts that are this server, besides the loopback ones."""
    upload_origins: Sequence[str] = ()
    """Of pages elsewhere that may upload, as in CORS."""

    def check(self, request: Request) -> None:
        """Raises `InvalidApiKey` for another host's name, which a page may have led its reader's
        browser here by (DNS rebinding); `Forbidden` for what another site's page sends."""
        host = request.headers.get("host")  # no browser leaves it out
        if host and not self._ours(f"//{host}"):
            raise InvalidApiKey(
                "A server without keys is not reached by that name.",
                hint="Use http://127.0.0.1 and the port, or set FILEMILL_BASE_URL.",
            )
        if self._sent_elsewhere(request) and not self._may_upload(request):
            raise Forbidden(
                "A server without keys takes nothing from the pages of other sites.",
                hint="Ask from a program, or serve with keys; FILEMILL_CORS_ORIGINS names pages "
                "that may upload.",
            )

    def _sent_elsewhere(self, request: Request) -> bool:
        match request.headers.get("sec-fetch-site"):
            case "same-origin":
                return False
            case "cross-site" | "same-site":  # a link that is followed shows that page nothing
                navigates = request.headers.get("sec-fetch-mode") == "navigate"
                return not navigates or request.method not in ("GET", "HEAD")
        origin = request.headers.get("origin")
        return origin is not None and not self._ours(origin)

    def _may_upload(self, request: Request) -> bool:
        path, origin = request.scope["path"], request.headers.get("origin")
        allowed = "*" in self.upload_origins or origin in self.upload_origins
        return allowed and (path == PATH or path.startswith(f"{PATH}/"))

    def _ours(self, url: str) -> bool:
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            return False
        host = host.removesuffix(".")
        return host in self.names or is_loopback(host)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
