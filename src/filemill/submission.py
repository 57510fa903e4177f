"""What a door hands to the service. Core, values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from filemill.model import Blob, Format


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file that is no job yet."""

    job_id: str
    filename: str
    blob: Blob
    format: Format | None
    """By content, then by name."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client wants done with an upload."""

    target: str
    source: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    metadata: Any = None
    base_url: str = ""
    output_url: str | None = None
    """Where the result is put, besides."""


@dataclass(frozen=True, slots=True)
class Once:
    """A request that may come again (Idempotency-Key)."""

    token: str
    fingerprint: str
    """Of everything in the request that matters."""
