"""Looking at processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).parent
TOOLS = {"sh": Path("/bin/sh"), "true": Path("/bin/true"), "none": Path("/nowhere/none")}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return holds()


T = TypeVar("T")


def settled(look: Callable[[], T]) -> T:
    """What is there once it stays: the fork servers have spares again, which closed what is not
    theirs."""
    before = None
    while (now := look()) != before:
        before = now
        time.sleep(0.3)
    return now


def entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def below(pid: int) -> set[int]:
    """All processes descended from `pid`, zombies too."""
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}
