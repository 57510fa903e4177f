"""A file on its way in: how large it may be, and what its first bytes tell. Core."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from filemill.errors import FileInvalid, FileTooLarge
from filemill.formats import FORMATS, HEAD_SIZE, detect
from filemill.model import Format

MB = 1024 * 1024
FORM_OVERHEAD = MB
"""Bytes that a multipart body may have beside its file."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a file one door takes, bytes."""

    other: int
    media: int
    """Video and audio."""
    hint: str

    def of(self, format: Format | None) -> int:
        """Of a file that nobody knows: what other files may have."""
        return self.media if format and format.timed else self.other

    def check_body(self, size: int) -> None:
        """For a request's declared size, before its file's format is known.

        Raises `FileTooLarge`."""
        if size > max(self.other, self.media) + FORM_OVERHEAD:
            self.check(size, FORMATS["mp4"])

    def check(self, size: int, format: Format | None) -> None:
        """Raises `FileTooLarge`."""
        if size > self.of(format):
            title = format.title if format else "Unknown"
            raise FileTooLarge(
                f"{title} files may have up to {self.of(format) // MB} MB here.",
                hint=self.hint,
                details={"limit_bytes": self.of(format)},
            )


@dataclass(slots=True)
class Intake:
    """One stream; refuses it as soon as its first bytes tell that it is of no use, or as soon
    as it passes its cap."""

    caps: Caps
    filename: str
    format: Format | None
    """As somebody said; once the stream is through, by content, then by name."""

    async def checked(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks. Raises `FileInvalid`, `FileTooLarge` or `UnsupportedRoute`."""
        head, size, known = b"", 0, False
        async for chunk in chunks:
            size += len(chunk)
            if len(head) < HEAD_SIZE:
                head += chunk[: HEAD_SIZE - len(head)]
            if not known and len(head) >= HEAD_SIZE:
                self.format, known = self.format or detect(head, self.filename), True
            if known:
                self.caps.check(size, self.format)
            yield chunk
        if size == 0:
            raise FileInvalid("The file is empty.", hint="Send the file's bytes.")
        if not known:
            self.format = self.format or detect(head, self.filename)
        self.caps.check(size, self.format)
