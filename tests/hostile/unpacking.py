"""What an archive would do to who unpacks it."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath


def astray(path: Path) -> list[str]:
    """Members of a zip or tar that are links or devices, or would be unpacked elsewhere."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            modes = {entry.orig_filename: entry.external_attr >> 16 for entry in archive.infolist()}
        return [name for name, mode in modes.items() if _out(name) or not _plain(mode)]
    if path.name.partition(".")[2].startswith(("tar", "tgz", "tbz2", "txz")):
        with tarfile.open(path) as tar:
            return [
                info.name for info in tar if _out(info.name) or not (info.isreg() or info.isdir())
            ]
    return []


def _out(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ".." in parts or name[:1] in "/\\" or name[1:2] == ":" or "\0" in name


def _plain(mode: int) -> bool:
    return stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
