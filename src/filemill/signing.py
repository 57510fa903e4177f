"""Signed links. Floor 1, pure.

A token is `<expiry>.<mac>`: the expiry in POSIX seconds, decimal, and the
HMAC-SHA256 (RFC 2104) over a purpose, the signed text and the expiry.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from filemill.errors import BadSignature, LinkExpired


class Signer:
    """Signs with the first of `secrets`; accepts all of them, so that they can be rotated."""

    def __init__(self, secrets: Sequence[bytes], purpose: str) -> None:
        self._secrets = tuple(secrets)
        self._purpose = purpose

    def sign(self, text: str, *, expires_at: float) -> str:
        expiry = int(expires_at)
        return f"{expiry}.{self._mac(self._secrets[0], text, expiry)}"

    def check(self, text: str, token: str, *, now: float) -> None:
        """Raises `BadSignature` (altered or not ours), then `LinkExpired`."""
        expiry, _, mac = token.partition(".")
        if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12):
            raise BadSignature("This link is not valid.", hint="Poll the job for a new one.")
        # Against every secret, always: the time taken must not tell which one fitted.
        fits = [
            hmac.compare_digest(
                self._mac(secret, text, int(expiry)).encode(), mac.encode(errors="replace")
            )
            for secret in self._secrets
        ]
        if not any(fits):
            raise BadSignature("This link is not valid.", hint="Poll the job for a new one.")
        if now >= int(expiry):
            raise LinkExpired("This link has expired.", hint="Poll the job for a new one.")

    def _mac(self, secret: bytes, text: str, expiry: int) -> str:
        message = f"{self._purpose}\n{expiry}\n{text}".encode(errors="surrogatepass")
        return hmac.new(secret, message, hashlib.sha256).hexdigest()
