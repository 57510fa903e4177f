"""Word, Excel and PowerPoint 97-2003: OLE compound files ([MS-CFB]).

Reads the header, the allocation tables that it names and the directory; of the main
stream as much as says whether it is locked, and a workbook's records.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from filemill.errors import FileInvalid, protected
from filemill.limits import Ceilings
from filemill.model import Facts
from filemill.probes.size import size_of

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STREAMS = {
    "doc": ("WordDocument",),
    "xls": ("Workbook", "Book"),
    "ppt": ("PowerPoint Document",),
}
_MAX_REGULAR = 0xFFFFFFFA
_FREE = 0xFFFFFFFF
_MAX_DIRECTORY = 4096
"""Sectors of the directory that are read."""
_MINI = 4096
"""Smaller streams are kept in one of the root's, in pieces of `_MINI_SECTOR` (2.6.4)."""
_MINI_SECTOR = 64


def probe(path: str, format: str, _: Ceilings) -> Facts:
    """`Facts` of a doc, xls or ppt; a docx, xlsx or pptx in here is locked.

    Raises `FileInvalid` for what is broken, cut off, locked or of another format."""
    size = size_of(path)
    try:
        with Path(path).open("rb") as file:
            compound = _Compound(file, size)
            main = _check(compound, format)
            errors = _errors(compound.content(*main)) if format == "xls" else 0
    except (struct.error, IndexError) as error:
        raise _broken() from error
    return Facts(format=format, size=size, errors=errors or None)


def _check(compound: _Compound, format: str) -> tuple[int, int]:
    """Where its main stream is."""
    streams = dict(compound.streams())
    if "EncryptedPackage" in streams or "EncryptedSummary" in streams:
        raise protected()
    main = next((streams[name] for name in _STREAMS.get(format, ()) if name in streams), None)
    if main is None:
        raise FileInvalid(
            f"The file is no {format} document.",
            hint="Upload it with the name that fits its format.",
        )
    head = compound.head(*main)
    # FibBase.fEncrypted ([MS-DOC] 2.5.2); a FilePass record ([MS-XLS] 2.4.117) after the first.
    if format == "doc" and struct.unpack_from("<H", head, 10)[0] & 0x0100:
        raise protected()
    if format == "xls":
        after = 4 + struct.unpack_from("<H", head, 2)[0]
        if head[after : after + 2] == b"\x2f\x00":
            raise protected()
    return main


def _errors(book: bytes) -> int:
    """How many cells of a workbook stream hold an error: BoolErr records, and results of formulas
    ([MS-XLS] 2.4.24, 2.5.133)."""
    at = found = 0
    while at + 4 <= len(book):
        kind, length = struct.unpack_from("<HH", book, at)
        at += 4
        if kind == 0x0205:
            found += book[at + 7 : at + 8] == b"\x01"
        elif kind == 0x0006:
            found += book[at + 6 : at + 7] == b"\x02" and book[at + 12 : at + 14] == b"\xff\xff"
        at += length
    return found


class _Compound:
    """An OLE compound file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        head = file.read(512)
        if not head.startswith(MAGIC):
            raise FileInvalid(
                "This is no Office 97-2003 file.",
                hint="It is damaged, or another format than its name says.",
            )
        if len(head) < 512:
            raise _broken()
        self._file = file
        self._size = 1 << min(struct.unpack_from("<H", head, 30)[0], 12)
        self._directory = struct.unpack_from("<I", head, 48)[0]
        self._mini_table = struct.unpack_from("<I", head, 60)[0]
        self._sectors = max(0, -(-size // self._size) - 1)
        self._table: list[int] = []
        self._root = _MAX_REGULAR
        for number in self._tables(head):
            if number < _MAX_REGULAR:
                self._table += self._numbers(number)
        last = max((at for at, next_ in enumerate(self._table) if next_ != _FREE), default=0)
        if last >= self._sectors:
            raise _broken()

    def _tables(self, head: bytes) -> Iterator[int]:
        """The sectors of the allocation table: 109 in the header, the rest in a chain (2.5)."""
        yield from struct.unpack_from("<109I", head, 76)
        number, count = struct.unpack_from("<2I", head, 68)
        for _ in range(min(count, self._sectors // 109 + 1)):
            if number >= _MAX_REGULAR:
                return
            *tables, number = self._numbers(number)
            yield from tables

    def _numbers(self, sector: int) -> tuple[int, ...]:
        return struct.unpack(f"<{self._size // 4}I", self.sector(sector))

    def sector(self, number: int) -> bytes:
        if number >= self._sectors:
            raise _broken()
        self._file.seek((number + 1) * self._size)
        return self._file.read(self._size).ljust(self._size, b"\0")

    def head(self, start: int, length: int) -> bytes:
        """The first bytes of a stream, at least 64. Call it after `streams`."""
        if length >= _MINI:
            return self.sector(start)
        before, at = divmod(start * _MINI_SECTOR, self._size)
        number = self._root
        for _ in range(min(before, self._sectors)):
            number = self._table[number]
        return self.sector(number)[at : at + _MINI_SECTOR].ljust(_MINI_SECTOR, b"\0")

    def content(self, start: int, length: int) -> bytes:
        """A stream. Call it after `streams`."""
        if length >= _MINI:
            return b"".join(self._chain(start))[:length]
        small = b"".join(self._chain(self._root))
        table = [
            number
            for sector in self._chain(self._mini_table)
            for number in struct.unpack(f"<{self._size // 4}I", sector)
        ]
        found = bytearray()
        while start < _MAX_REGULAR and len(found) < length:
            found += small[start * _MINI_SECTOR :][:_MINI_SECTOR]
            start = table[start]
        return bytes(found[:length])

    def _chain(self, sector: int) -> Iterator[bytes]:
        for _ in range(self._sectors):
            if sector >= _MAX_REGULAR:
                return
            yield self.sector(sector)
            sector = self._table[sector]

    def streams(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Name -> (first sector, length in bytes)."""
        for data in islice(self._chain(self._directory), _MAX_DIRECTORY):
            for at in range(0, len(data), 128):
                name_size, kind = struct.unpack_from("<HB", data, at + 64)
                if kind == 5:
                    self._root = struct.unpack_from("<I", data, at + 116)[0]
                if kind == 2 and 2 <= name_size <= 64:
                    name = data[at : at + name_size - 2].decode("utf-16-le", "replace")
                    yield name, struct.unpack_from("<II", data, at + 116)


def _broken() -> FileInvalid:
    return FileInvalid(
        "The file is damaged or cut off.",
        hint="Open it in the program that made it, save it again and upload that.",
    )
