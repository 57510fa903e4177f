"""Archives repacked as a stream: zip, tar in its wrappings and 7z, nothing unpacked to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from filemill.engine import MB, Call, Engine, Limits, Loss, Option, Task, Work, routes
from filemill.errors import FileInvalid
from filemill.limits import Ceilings
from filemill.packing import KINDS, library, opened

_WRITER: Mapping[str, tuple[str, str | None]] = {
    "zip": ("zip", None),
    "7z": ("7zip", None),
    "tar": ("pax_restricted", None),
    "tgz": ("pax_restricted", "gzip"),
    "tbz2": ("pax_restricted", "bzip2"),
    "txz": ("pax_restricted", "xz"),
    "tzst": ("pax_restricted", "zstd"),
}
_LEVELS: Mapping[str, Mapping[str, str]] = {
    "zip": {"fast": "zip:compression-level=1", "smaller": "zip:compression-level=9"},
    "7z": {"fast": "7zip:compression-level=1", "smaller": "7zip:compression-level=9"},
    "tgz": {"fast": "gzip:compression-level=1", "smaller": "gzip:compression-level=9"},
    "tbz2": {"fast": "bzip2:compression-level=1", "smaller": "bzip2:compression-level=9"},
    "txz": {"fast": "xz:compression-level=0", "smaller": "xz:compression-level=9"},
    "tzst": {"fast": "zstd:compression-level=1", "smaller": "zstd:compression-level=19"},
}
_FOLDER, _FILE = 0o040000, 0o100000


def build(task: Task) -> Work:
    arguments = {
        "source": task.source,
        "target": task.target,
        "input": task.input,
        "output": task.output,
        "level": _LEVELS.get(task.target, {}).get(task.options.get("effort", "balanced"), ""),
        "entries": task.facts.entries or 0,
        "ceilings": asdict(task.ceilings),
    }
    return Work((Call(f"{__name__}:repack", arguments),), (task.output,))


def repack(
    report: Callable[[float], None],
    *,
    source: str,
    target: str,
    input: str,
    output: str,
    level: str,
    entries: int,
    ceilings: Mapping[str, Any],
) -> None:
    """Owners, links and devices stay behind; of the rights only whether a file is a program."""
    libarchive = library()
    from libarchive import ffi
    from libarchive.entry import ArchiveEntry

    container, filter = _WRITER[target]
    with (
        opened(input, source, Ceilings(**ceilings)) as archive,
        libarchive.file_writer(output, container, filter, options=level) as writer,
    ):
        files = 0
        for number, member in enumerate(archive, 1):
            files += not member.folder
            entry = ArchiveEntry(
                pathname=member.name,
                size=member.size,
                filetype=_FOLDER if member.folder else _FILE,
                perm=0o755 if member.folder or member.runs else 0o644,
                mtime=member.time,
            )
            ffi.write_header(writer._pointer, entry._entry_p)
            for piece in member.data:
                ffi.write_data(writer._pointer, piece, len(piece))
            ffi.write_finish_entry(writer._pointer)
            report(number / max(entries, number))
        if not files:
            raise FileInvalid("The archive holds no files.", hint="Links and devices are not any.")


ENGINE = Engine(
    name="archives",
    title="libarchive",
    routes=routes(
        KINDS, KINDS, loss=Loss.NONE, cost=5, losses=("links and devices", "owners and rights")
    ),
    build=build,
    options=(
        Option(
            "effort",
            {"type": "string", "enum": ["fast", "balanced", "smaller"]},
            "Time spent on making the archive small.",
            frozenset(_LEVELS),
        ),
    ),
    modules=("archi",),
    # 1 GB as xz with effort=smaller: 620 s.
    limits=Limits(memory=2048 * MB, cpu=1800, wall=1800),
)
