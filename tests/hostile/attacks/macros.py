"""Office documents whose macro reads a file, or calls a server, as soon as they are opened."""

from __future__ import annotations

from pathlib import Path

from hostile.attack import OK, Attack, row
from hostile.traps import Traps
from samples import macros


def _row(kind: str, *wants: str) -> Attack:
    name = "-".join((kind, "macro", *wants))

    def make(path: Path, traps: Traps) -> None:
        made = macros.make(
            path.with_name(f"{path.name}.{kind}"),
            file=traps.file() if "http" not in wants else "",
            uri=traps.http(name) if "file" not in wants else "",
        )
        made.rename(path)

    return row(name, f"{kind} > pdf", make, OK)


ATTACKS = (
    *(_row(kind, "file") for kind in macros.ACTING),
    _row("odt", "http"),
    _row("ods", "http"),
    *(_row(kind) for kind in (*macros.IDLE, *macros.REMARKS)),
)
