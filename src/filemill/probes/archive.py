"""How many files an archive holds: a zip by its directory, others by walking through them."""

from __future__ import annotations

from pathlib import Path

from filemill.errors import protected
from filemill.limits import Ceilings
from filemill.model import Facts
from filemill.packing import opened
from filemill.probes.central import survey
from filemill.probes.size import size_of


def probe(path: str, format: str, ceilings: Ceilings) -> Facts:
    size = size_of(path)
    if format == "zip":
        with Path(path).open("rb") as file:
            found = survey(file, ceilings)
        if found.locked:
            raise protected()
        return Facts(format, size, entries=found.files)
    with opened(path, format, ceilings) as archive:
        files = sum(not member.folder for member in archive)
    return Facts(format, size, entries=files, left_out=archive.left_out or None)
