"""How many files an archive holds: a zip by its directory, others by walking through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filemill.errors import protected
from filemill.limits import Ceilings
from filemill.model import Facts
from filemill.packing import opened
from filemill.probes.central import survey
from filemill.probes.size import size_of


def probe(
    report: Callable[[float], None],  # noqa: ARG001
    path: str,
    format: str,
    ceilings: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    bounds, size = Ceilings(**(ceilings or {})), size_of(path)
    if format == "zip":
        with Path(path).open("rb") as file:
            found = survey(file, bounds)
        if found.locked:
            raise protected()
        return Facts(format, size, entries=found.files).to_json()
    with opened(path, format, bounds) as archive:
        files = sum(not member.folder for member in archive)
    return Facts(format, size, entries=files, left_out=archive.left_out or None).to_json()
