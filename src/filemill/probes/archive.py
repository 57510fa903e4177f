"""Reading how many files a ZIP archive holds, from its central directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filemill.errors import FileInvalid
from filemill.model import Facts


def probe(
    report: Callable[[float], None],  # noqa: ARG001
    path: str,
    format: str,
) -> dict[str, Any]:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            entries = sum(not entry.is_dir() for entry in archive.infolist())
    except (BadZipFile, ValueError, NotImplementedError, EOFError):
        raise FileInvalid(
            "This is not a readable ZIP archive.", hint="It is damaged or cut off."
        ) from None
    return Facts(format, Path(path).stat().st_size, entries=entries).to_json()
