"""VBA projects and the files of Office 97-2003 that carry them, written from text.

No library that we know writes them from text. Nothing is compressed, and no stream is short: the
formats allow that, and it leaves out most of either ([MS-CFB], [MS-OVBA] 2.4.1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Streams = Mapping[str, bytes]
"""By path: `VBA/dir`."""
_SECTOR = 512
_CHUNK = 4096
"""Of what would be compressed; and streams shorter than it would be packed in another way."""
_FREE, _END, _FAT, _NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5


def project(modules: Mapping[str, str], documents: tuple[str, ...]) -> Streams:
    """The streams of a project. `documents`: those of its modules that belong to the document
    or to a sheet of it."""
    listed = "".join(
        f"Document={name}/&H00000000\r\n" if name in documents else f"Module={name}\r\n"
        for name in modules
    )
    return {
        "PROJECT": f'{listed}Name="VBAProject"\r\n'.encode().ljust(_CHUNK, b"\n"),
        "VBA/_VBA_PROJECT": b"\xcc\x61\xff\xff\0\0\0".ljust(_CHUNK, b"\0"),
        "VBA/dir": _packed(b"".join(_directory(modules, documents)), b"\0"),
        **{
            f"VBA/{name}": _packed(f'Attribute VB_Name = "{name}"\r\n{text}'.encode(), b"\n")
            for name, text in modules.items()
        },
    }


def _directory(modules: Mapping[str, str], documents: tuple[str, ...]) -> Iterator[bytes]:
    """[MS-OVBA] 2.3.4.2."""

    def record(kind: int, data: bytes = b"") -> bytes:
        return struct.pack("<HI", kind, len(data)) + data

    four = bytes(4)
    yield record(0x01, b"\1\0\0\0") + record(0x02, b"\x09\4\0\0") + record(0x14, b"\x09\4\0\0")
    yield record(0x03, struct.pack("<H", 1252)) + record(0x04, b"VBAProject")
    yield record(0x05) + record(0x40) + record(0x06) + record(0x3D)
    yield record(0x07, four) + record(0x08, four)
    yield record(0x09, four) + b"\1\0"  # two bytes longer than it says
    yield record(0x0C) + record(0x3C)
    yield record(0x0F, struct.pack("<H", len(modules))) + record(0x13, b"\xff\xff")
    for name in modules:
        wide = name.encode("utf-16-le")
        yield record(0x19, name.encode()) + record(0x47, wide)
        yield record(0x1A, name.encode()) + record(0x32, wide)
        yield record(0x1C) + record(0x48) + record(0x31, four) + record(0x1E, four)
        yield record(0x2C, b"\xff\xff") + record(0x22 if name in documents else 0x21)
        yield record(0x2B)
    yield record(0x10)


def _packed(data: bytes, filler: bytes) -> bytes:
    """As whole chunks that are not compressed."""
    data += filler * (-len(data) % _CHUNK)
    return b"\1" + b"".join(
        b"\xff\x3f" + data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)
    )


@dataclass
class _Entry:
    """Of the directory, with the numbers of other entries."""

    name: str
    kind: int
    data: bytes = b""
    next: int = _NONE
    child: int = _NONE
    start: int = _END

    def pack(self) -> bytes:
        name = self.name.encode("utf-16-le") + b"\0\0"
        links = struct.pack("<BB3I", self.kind, 1, _NONE, self.next, self.child)
        head = name.ljust(64, b"\0") + struct.pack("<H", len(name)) + links
        return head + bytes(36) + struct.pack("<IQ", self.start, len(self.data))


def compound(streams: Streams) -> bytes:
    """A compound file. What has the same storage is a list in it, which is a tree, too."""
    padded = {path: data.ljust(_CHUNK, b"\0") for path, data in streams.items()}
    entries = [_Entry("Root Entry", _ROOT)]
    _fill(entries, 0, padded)
    directory = -(-len(entries) * 128 // _SECTOR)
    sectors = directory + sum(-(-len(entry.data) // _SECTOR) for entry in entries)
    fats = -(-sectors // (_SECTOR // 4 - 1))  # each of them also lists itself
    table = [_FAT] * fats
    table += _chain(len(table), directory)
    body = b""
    for entry in entries:
        if entry.data:
            entry.start = len(table)
            size = -(-len(entry.data) // _SECTOR)
            table += _chain(len(table), size)
            body += entry.data.ljust(size * _SECTOR, b"\0")
    table += [_FREE] * (fats * _SECTOR // 4 - len(table))
    listed = b"".join(entry.pack() for entry in entries)
    head = struct.pack(
        "<8s16x5H6x9I",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, fats, fats, 0, _CHUNK, _END, 0, _END, 0),
    )
    places = [*range(fats), *[_FREE] * (109 - fats)]
    return (
        head
        + struct.pack("<109I", *places)
        + struct.pack(f"<{len(table)}I", *table)
        + listed.ljust(directory * _SECTOR, b"\0")
        + body
    )


def _fill(entries: list[_Entry], parent: int, streams: Streams) -> None:
    names = {path.partition("/")[0] for path in streams}
    last: int | None = None
    for name in sorted(names, key=lambda name: (len(name), name.upper())):
        at = len(entries)
        if last is None:
            entries[parent].child = at
        else:
            entries[last].next = at
        last = at
        below = {
            path.partition("/")[2]: data
            for path, data in streams.items()
            if path.startswith(f"{name}/")
        }
        entries.append(_Entry(name, _STORAGE if below else _STREAM, streams.get(name, b"")))
        _fill(entries, at, below)


def _chain(first: int, size: int) -> list[int]:
    return [*range(first + 1, first + size), _END] if size else []
