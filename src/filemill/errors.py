"""The one error tree. Each class is one code of the wire contract.

Floor 0. An error carries everything an answer needs: `code`, HTTP `status`,
`message` (what happened), `hint` (what to do about it), `details`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class FilemillError(Exception):
    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later, unchanged."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        """The `error` object of an answer."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            body["hint"] = self.hint
        if self.details:
            body["details"] = self.details
        return body


class BadRequest(FilemillError):
    code, status = "bad_request", 400


class InvalidApiKey(FilemillError):
    code, status = "invalid_api_key", 401


class Forbidden(FilemillError):
    """A page of another site asks, where no key says for whom."""

    code, status = "forbidden", 403


class BadSignature(FilemillError):
    code, status = "bad_signature", 403


class NotFound(FilemillError):
    code, status = "not_found", 404


class MethodNotAllowed(FilemillError):
    code, status = "method_not_allowed", 405


class RequestTimeout(FilemillError):
    """The client did not send its request to the end."""

    code, status, retryable = "request_timeout", 408, True


class Conflict(FilemillError):
    code, status = "conflict", 409


class LinkExpired(FilemillError):
    code, status = "link_expired", 410


class FileTooLarge(FilemillError):
    code, status = "file_too_large", 413


class PreconditionFailed(FilemillError):
    code, status = "precondition_failed", 412


class UnsupportedMediaType(FilemillError):
    code, status = "unsupported_media_type", 415


class RangeNotSatisfiable(FilemillError):
    code, status = "range_not_satisfiable", 416


class UnsupportedRoute(FilemillError):
    code, status = "unsupported_route", 422


class BadOptions(FilemillError):
    code, status = "bad_options", 422


class FileInvalid(FilemillError):
    """The file is broken, empty, encrypted or not what it says it is. Never retried."""

    code, status = "file_invalid", 422


class LimitExceeded(FilemillError):
    """The file asks for more than a limit allows; details name `limit`, `value`, `allowed`."""

    code, status = "limit_exceeded", 422


class Cancelled(FilemillError):
    code, status = "cancelled", 409


class Locked(FilemillError):
    """Another request is writing to it (RFC 4918, 11.3)."""

    code, status, retryable = "locked", 423, True


class ChecksumMismatch(FilemillError):
    """Bytes changed on their way (tus 1.0, checksum)."""

    code, status, retryable = "checksum_mismatch", 460, True


class RateLimited(FilemillError):
    code, status, retryable = "rate_limited", 429, True


class QuotaExceeded(FilemillError):
    code, status = "quota_exceeded", 429


class TooBusy(FilemillError):
    code, status, retryable = "too_busy", 429, True


class EngineError(FilemillError):
    """The engine failed on a file that looked right. We retry once by ourselves."""

    code, status, retryable = "engine_error", 502, True


class ServiceUnavailable(FilemillError):
    code, status, retryable = "service_unavailable", 503, True


class Timeout(FilemillError):
    code, status = "timeout", 504


def protected() -> FileInvalid:
    """What every reader says of a file that it cannot read without a password."""
    return FileInvalid(
        "The file is protected with a password.", hint="Remove the password, then upload it."
    )


def _tree(root: type[FilemillError]) -> dict[str, type[FilemillError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


BY_CODE: Mapping[str, type[FilemillError]] = _tree(FilemillError)
"""Every error by its code: how one that crossed a process or a database comes back."""


def from_json(data: Mapping[str, Any]) -> FilemillError:
    """The error whose `to_json` this is."""
    kind = BY_CODE.get(data["code"], FilemillError)
    return kind(data["message"], hint=data.get("hint"), details=data.get("details"))
