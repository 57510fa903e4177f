"""One file converted on this host, without a server: from a path to a path."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from types import FrameType
from typing import Any

from filemill.conversion import Result
from filemill.errors import BadRequest, UnsupportedRoute
from filemill.filename import clean, with_extension
from filemill.formats import FORMATS, by_name, detect_file
from filemill.model import Plan
from filemill.ports.sandbox import Report, Stopped, silent
from filemill.workshop import Workshop

STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class Converted:
    plan: Plan
    format: str
    path: Path
    """Where the result is; `STDOUT` when it was written there."""
    size: int
    seconds: float
    report: Mapping[str, Any]
    """What was verified."""

    def to_json(self) -> dict[str, Any]:
        return {
            "source_format": self.plan.source,
            "target_format": self.format,
            "output": str(self.path),
            "size": self.size,
            "duration_ms": round(self.seconds * 1000),
            "losses": list(self.plan.losses),
            "notes": list(self.plan.notes),
            "report": dict(self.report),
        }


def convert(
    workshop: Workshop,
    file: Path,
    target: str,
    *,
    output: Path | None = None,
    options: Mapping[str, Any] | None = None,
    source: str | None = None,
    force: bool = False,
    report: Report = silent,
) -> Converted:
    """Convert `file`; the result appears at once and whole, or not at all.

    `output`: a file, a folder or `STDOUT`; default: beside `file`. A file that is there is
    replaced when `output` names it or with `force`. SIGINT and SIGTERM end the engine, and
    raise `Cancelled`. Raises any `FilemillError`, and OSError."""
    start = monotonic()
    wanted = by_name(target)
    plan = workshop.graph.plan(_source(file, source), wanted.id, options)
    _writable(destination(file, wanted.extension, output), file, output, force=force)
    with (
        interruptible() as stopped,
        TemporaryDirectory(prefix="filemill-") as room,
        workshop.open(preload=False) as converter,
    ):
        result = converter.convert(plan, file, Path(room), report=report, stopped=stopped)
        path = destination(file, FORMATS[result.format].extension, output)
        if result.format != wanted.id:  # many pages: a zip of them, under a name that says so
            path = path if path == STDOUT else path.with_suffix(result.path.suffix)
            _writable(path, file, None, force=force)
        size = _deliver(result, path)
    return Converted(plan, result.format, path, size, monotonic() - start, result.verdict.to_json())


def destination(file: Path, extension: str, output: Path | None) -> Path:
    if output is None:
        return file.with_name(with_extension(file.name, extension))
    if output == STDOUT:
        return output
    if output.is_dir():
        return output / with_extension(file.name, extension)
    return output


@contextmanager
def interruptible() -> Iterator[Stopped]:
    """Turns SIGINT and SIGTERM into a `Stopped`, so that everything is put away in order."""
    stop = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _source(file: Path, named: str | None) -> str:
    if named:
        return by_name(named).id
    with file.open("rb") as stream:
        found = detect_file(stream, file.name)
    if found is None:
        raise UnsupportedRoute(
            f"It is not clear which format {clean(file.name)} has.",
            hint="Say it with --source FORMAT.",
        )
    return found.id


def _writable(path: Path, file: Path, output: Path | None, *, force: bool) -> None:
    if path == STDOUT:
        return
    if not path.parent.is_dir():
        raise BadRequest(f"There is no folder {path.parent}.")
    if path.exists() and path.samefile(file):
        raise BadRequest("The result would replace its source.", hint="Name another with -o.")
    if path.exists() and not force and path != output:
        raise BadRequest(f"{path} exists.", hint="Replace it with --force, or name another: -o.")


def _deliver(result: Result, path: Path) -> int:
    """Put the result at `path`, whole or not at all. Returns its size."""
    if path == STDOUT:
        with result.path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return file.tell()
    part = path.with_name(f".filemill-{secrets.token_hex(8)}.part")
    try:
        # Not the file itself: it belongs to the sandbox, this one gets the user's own rights.
        size = shutil.copyfile(result.path, part).stat().st_size
        os.replace(part, path)  # noqa: PTH105
    finally:
        part.unlink(missing_ok=True)
    return size
