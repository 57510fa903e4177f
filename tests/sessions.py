"""Sessions for sandboxes of tests that confine nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filemill.engine import Exit, Process


@dataclass
class _Session:
    sandbox: Any
    directory: Path

    def run(self, process: Process, **more: Any) -> Exit:
        ended: Exit = self.sandbox.run(process, directory=self.directory, **more)
        return ended

    def release(self) -> None:
        pass


class Sessions:
    """Makes a sandbox of what has `run`."""

    @contextmanager
    def open(self, directory: Path) -> Iterator[_Session]:
        yield _Session(self, directory)
