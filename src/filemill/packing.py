"""Reading an archive as a stream of files, by libarchive: nothing is ever unpacked to disk.

Used by the archives engine and the archive probe, in their worker processes. Floor 1.
libarchive-c drives the library that the wheel `archi` brings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filemill.errors import FileInvalid, protected
from filemill.limits import Ceilings, refuse

KINDS: Mapping[str, tuple[str, str]] = {
    "zip": ("zip", "none"),
    "tar": ("tar", "none"),
    "tgz": ("tar", "gzip"),
    "tbz2": ("tar", "bzip2"),
    "txz": ("tar", "xz"),
    "tzst": ("tar", "zstd"),
    "7z": ("7zip", "none"),
}
"""Format -> libarchive's names of the only container and the only filter it is read by."""
PIECE = 256 * 1024
SMALL = 64 * 1024 * 1024
"""What unpacks to no more does no harm, whatever its ratio."""
_BOMB = "It unpacks to far more than archives usually do."


@dataclass(frozen=True, slots=True)
class Member:
    """A file or folder of an archive."""

    name: str
    """Relative, without `.` and `..`; a folder's ends with a slash."""
    size: int
    time: int
    """When it was changed, POSIX seconds."""
    runs: bool
    """Whether it is a program."""
    data: Iterator[bytes]
    """To be read before the next member."""

    @property
    def folder(self) -> bool:
        return self.name.endswith("/")


@dataclass(slots=True)
class Archive:
    """Iterates over the members, once. Links and devices are left out, and counted."""

    reader: Any
    packed: int
    """The archive's own size."""
    ceilings: Ceilings
    left_out: int = 0
    unpacked: int = 0

    def __iter__(self) -> Iterator[Member]:
        """Raises `FileInvalid` and `LimitExceeded`."""
        names: set[str] = set()
        for number, entry in enumerate(self.reader, 1):
            refuse(
                "entries",
                number,
                self.ceilings.entries,
                "The archive holds more than {allowed} files.",
                "Split it.",
            )
            name = safe(entry.pathname)
            if not (entry.isreg or entry.isdir) or entry.linkpath:
                self.left_out += 1
                continue
            if not name:  # the folder that everything is in
                continue
            if name in names:
                raise FileInvalid(
                    f"The archive holds two files of the same name: {name[:80]!r}.",
                    hint="Readers disagree on which of them counts: pack it again.",
                )
            names.add(name)
            size = 0 if entry.isdir else entry.size
            if size is None or size < 0:
                raise FileInvalid("The archive does not say how large its files are.")
            self._count(size)
            yield Member(
                name + "/" * entry.isdir,
                size,
                int(entry.mtime or 0),
                bool(entry.perm & 0o111),
                _data(entry, size),
            )

    def _count(self, size: int) -> None:
        self.unpacked += size
        unpacked(self.unpacked, self.packed, self.ceilings)


def unpacked(size: int, packed: int, ceilings: Ceilings) -> None:
    """Raises `LimitExceeded` where `packed` bytes become too many."""
    refuse(
        "unpacked",
        size,
        ceilings.unpacked,
        "The file unpacks to {value} bytes, at most {allowed} are allowed here.",
        _BOMB,
    )
    if size > SMALL:
        refuse(
            "ratio",
            size // max(1, packed),
            ceilings.ratio,
            "The file unpacks to {value} times its size, at most {allowed} times is allowed here.",
            _BOMB,
        )


def safe(name: str | bytes | None) -> str:
    """The relative path that `name` means. Raises `FileInvalid` for one that leads out."""
    text = (_decoded(name) if isinstance(name, bytes) else name or "").replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or text[1:2] == ":" or ".." in parts or "\0" in text:
        raise FileInvalid(
            f"The archive holds a file that would be unpacked elsewhere: {text[:80]!r}.",
            hint="Such archives are made to overwrite files; pack it again with relative names.",
        )
    return "/".join(parts)


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        # What a zip's names are in that are not said to be UTF-8 (APPNOTE, D.1): whatever they
        # really are in, they stay different from each other.
        return name.decode("cp437")


def _data(entry: Any, size: int) -> Iterator[bytes]:
    """The bytes of a file, as many as it says."""
    done = 0
    for block in entry.get_blocks(PIECE):
        done += len(block)
        if done > size:
            break
        yield block
    if done != size and not entry.isdir:
        raise FileInvalid("A file of the archive is not as large as it says.")


@contextmanager
def opened(path: str, format: str, ceilings: Ceilings) -> Iterator[Archive]:
    """Raises `FileInvalid` for what cannot be read, then or while it is read."""
    libarchive = library()
    container, filter = KINDS[format]
    try:
        with libarchive.file_reader(path, container, filter, block_size=PIECE) as reader:
            yield Archive(reader, Path(path).stat().st_size, ceilings)
    except libarchive.ArchiveError as error:
        said = str(error).lower()
        if "passphrase" in said or "encrypt" in said:
            raise protected() from None
        raise FileInvalid(
            "The archive is broken.", hint="It is damaged, cut off, or no such archive."
        ) from None


def library() -> Any:
    """libarchive-c on the library of `archi`."""
    spec = find_spec("archi")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).with_name("archi.libs")
    # Read when it is imported, and where 7-Zip's writer keeps what it has packed.
    os.environ["LIBARCHIVE"] = str(next(folder.glob("libarchive*.so*")))
    os.environ["TMPDIR"] = "."
    import libarchive

    return libarchive
