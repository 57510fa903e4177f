"""A zip's central directory, read as a stream and held against the file: how much it unpacks
to, whether entries overlap or say something else than they are.

PKWARE APPNOTE 6.3.10: 4.3.12 (entry), 4.3.14 to 4.3.16 (ends), 4.5.3 (zip64 field).
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import unpack_from
from typing import BinaryIO

from filemill.errors import FileInvalid
from filemill.limits import Ceilings, refuse
from filemill.packing import unpacked as bound

TAIL = 64 * 1024 + 22
HUGE = 0xFFFF_FFFF
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    name: bytes
    locked: bool
    packed: int
    unpacked: int
    offset: int


@dataclass(frozen=True, slots=True)
class Survey:
    files: int
    """Entries that are no folders."""
    locked: bool


def survey(file: BinaryIO, ceilings: Ceilings) -> Survey:
    """Raises `FileInvalid` for a directory that cannot be true, `LimitExceeded` for a bomb."""
    entries: list[tuple[int, int]] = []
    names: set[int] = set()
    files = unpacked = packed = 0
    locked = False
    for number, entry in enumerate(directory(file), 1):
        refuse(
            "entries",
            number,
            ceilings.entries,
            "The file holds more than {allowed} others.",
            "Split it.",
        )
        if (name := hash(entry.name)) in names:
            raise _false("two entries have the same name")
        names.add(name)
        files += not entry.name.endswith(b"/")
        unpacked, packed = unpacked + entry.unpacked, packed + entry.packed
        locked = locked or entry.locked
        entries.append((entry.offset, entry.offset + 30 + len(entry.name) + entry.packed))
        bound(unpacked, packed, ceilings)
    entries.sort()
    if any(end > start for (_, end), (start, _) in pairwise(entries)):
        raise _false("entries overlap")
    if entries and entries[-1][1] > file.seek(0, os.SEEK_END):
        raise _false("an entry lies beyond the end")
    return Survey(files, locked)


def directory(file: BinaryIO) -> Iterator[Entry]:
    """The entries in order, one in memory at a time. Raises `FileInvalid`."""
    at, length, count = _place(file)
    file.seek(at)
    data, rest, found = b"", length, 0
    while data or rest:
        if len(data) < 46 + 3 * 65_535 and rest:
            chunk = file.read(min(rest, 4 * CHUNK))
            if not chunk:
                raise _false("its directory is cut off")
            data, rest = data + chunk, rest - len(chunk)
        if not data.startswith(b"PK\x01\x02") or len(data) < 46:
            if found == count:
                return  # a digital signature (4.3.13) may follow
            raise _false("its directory is broken")
        flags, packed, unpacked = unpack_from("<8xH10xII", data)
        name_size, extra_size, comment_size, offset = unpack_from("<28xHHH8xI", data)
        extra = data[46 + name_size : 46 + name_size + extra_size]
        packed, unpacked, offset = _wide(extra, packed, unpacked, offset)
        yield Entry(data[46 : 46 + name_size], bool(flags & 1), packed, unpacked, offset)
        found += 1
        data = data[46 + name_size + extra_size + comment_size :]
    if found != count:
        raise _false(f"its directory says {count} entries and has {found}")


def weigh(archive: zipfile.ZipFile) -> None:
    """Unpack everything, into nothing, to see that no entry holds more than it says: some
    programs go on unpacking where the entry's own word ends."""
    assert archive.fp is not None
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_DEFLATED:
            continue
        with archive.open(entry) as opened:  # checks the local header, and goes behind it
            del opened
        file = archive.fp
        file.seek(entry.header_offset)
        name_size, extra_size = unpack_from("<26xHH", file.read(30))
        file.seek(entry.header_offset + 30 + name_size + extra_size)
        unpacker, left, size = zlib.decompressobj(-15), entry.compress_size, 0
        while not unpacker.eof and (left or unpacker.unconsumed_tail):
            chunk = unpacker.unconsumed_tail or file.read(min(left, CHUNK))
            if not chunk:
                break
            left -= 0 if unpacker.unconsumed_tail else len(chunk)
            size += len(unpacker.decompress(chunk, 16 * CHUNK))
            if size > entry.file_size:
                raise _false("an entry is larger than it says")


def _place(file: BinaryIO) -> tuple[int, int, int]:
    """(offset, length, entries) of the directory."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - TAIL)
    file.seek(start)
    tail = file.read(TAIL)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        raise _false("its end is missing")
    count, length, offset = unpack_from("<HII", tail, at + 10)
    if HUGE in (length, offset) or count == 0xFFFF:
        end = tail.rfind(b"PK\x06\x06", 0, at)
        if end >= 0 and end + 56 <= at:
            count, length, offset = unpack_from("<QQQ", tail, end + 32)
            at = end
        elif count != 0xFFFF:
            raise _false("its zip64 end is missing")
    # Something may stand before the archive (4.1.9): then all offsets are short by as much.
    if offset + length > start + at:
        raise _false("its directory lies outside of it")
    return start + at - length, length, count


def _wide(extra: bytes, packed: int, unpacked: int, offset: int) -> tuple[int, int, int]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = unpack_from("<HH", extra, at)
        if kind == 1:
            values = iter(unpack_from(f"<{size // 8}Q", extra[at + 4 : at + 4 + size].ljust(size)))
            unpacked = next(values, unpacked) if unpacked == HUGE else unpacked
            packed = next(values, packed) if packed == HUGE else packed
            offset = next(values, offset) if offset == HUGE else offset
        at += 4 + size
    return packed, unpacked, offset


def _false(what: str) -> FileInvalid:
    return FileInvalid(
        f"This is not a readable ZIP archive: {what}.", hint="It is damaged, or made to deceive."
    )
