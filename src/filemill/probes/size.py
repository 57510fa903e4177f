"""How large a file is, and that it holds anything."""

from __future__ import annotations

from pathlib import Path

from filemill.errors import FileInvalid


def size_of(path: str) -> int:
    """Bytes. Raises `FileInvalid` for an empty file."""
    size = Path(path).stat().st_size
    if not size:
        raise FileInvalid("The file is empty.", hint="Check the upload.")
    return size
