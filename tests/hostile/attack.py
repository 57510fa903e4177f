"""One row of the tables of attacks, and what their makers share."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostile.traps import Traps

OK = "ok"
"""The expectation that a file converts, without what it was after."""
REFUSED = frozenset({"file_invalid", "limit_exceeded"})
"""Codes that blame the file."""
CLEAR = REFUSED | {OK, "engine_error", "timeout", "bad_options", "unsupported_route"}
"""All that a client may get to see of an attack."""

Make = Callable[[Path, Traps], object]


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    source: str
    targets: tuple[str, ...]
    make: Make
    """Writes the file to a path."""
    expect: frozenset[str] = CLEAR
    """Codes of errors, `OK`: any of these is right."""
    options: Mapping[str, Any] = field(default_factory=dict)


def row(name: str, route: str, make: Make | str | bytes, *expect: str, **options: Any) -> Attack:
    """`route`: `docx > pdf odt`. `make`: a maker, or the file itself; `{file}`, `{uri}`, `{http}`
    in a text are filled in."""
    source, _, targets = route.partition(" > ")
    maker = make if callable(make) else _writer(make, name)
    return Attack(name, source, tuple(targets.split()), maker, frozenset(expect) or CLEAR, options)


def _writer(content: str | bytes, name: str) -> Make:
    def write(path: Path, traps: Traps) -> None:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(fill(content, traps, name))

    return write


def fill(text: str, traps: Traps, name: str) -> str:
    """Text with the places where the secrets are."""
    for kind in ("png", "csv", "css", "html", "tex", "sty", "xml", "bib", "md", "rtf", "srt"):
        text = text.replace(f"{{file.{kind}}}", traps.file(kind))
        text = text.replace(f"{{uri.{kind}}}", traps.uri(kind))
    for place, value in (
        ("{file}", traps.file()),
        ("{uri}", traps.uri()),
        ("{folder}", str(traps.folder)),
        ("{http}", traps.http(name)),
        ("{port}", str(traps.port)),
    ):
        text = text.replace(place, value)
    return text


def package(
    path: Path, parts: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED
) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else compression
            archive.writestr(name, content, stored)
