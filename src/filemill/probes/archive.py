"""Reading how many files a ZIP archive holds, from its central directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filemill.limits import Ceilings
from filemill.model import Facts
from filemill.probes.central import survey


def probe(
    report: Callable[[float], None],  # noqa: ARG001
    path: str,
    format: str,
    ceilings: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    with Path(path).open("rb") as file:
        found = survey(file, Ceilings(**(ceilings or {})))
    return Facts(format, Path(path).stat().st_size, entries=found.files).to_json()
