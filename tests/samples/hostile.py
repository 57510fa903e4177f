"""Files that are made to harm: bombs, lies, loops, escapes. Each maker writes one to `path`.

Deterministic, and small on disk. Who converts them decides what must not happen.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path


def png(path: Path, *chunks: tuple[bytes, bytes], size: tuple[int, int] = (1, 1)) -> Path:
    """A black picture with `chunks` (kind, data) before its pixels."""
    head = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((size[0] + 1) * size[1])) if size[0] * size[1] < 1 << 20 else b""
    every = ((b"IHDR", head), *chunks, (b"IDAT", rows), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in every))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_text(kind: bytes, size: int) -> tuple[bytes, bytes]:
    """A zTXt, iTXt or iCCP chunk that unpacks to `size` bytes."""
    start = b"Comment\0" + (b"\1\0en\0\0" if kind == b"iTXt" else b"\0")
    packer = zlib.compressobj(9)
    data = packer.compress(bytes(size))
    return kind, start + data + packer.flush()


def tiff(path: Path, pages: int, *, loop: bool = False) -> Path:
    """Pages of one black pixel; with `loop` the last leads back to the first."""
    entries = ((256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8))
    entries += ((278, 3, 1, 1), (279, 4, 1, 1))
    size = 2 + 12 * len(entries) + 4
    data = bytearray(b"II*\0" + struct.pack("<I", 10) + b"\0\0")
    for page in range(pages):
        last = page + 1 == pages
        after = (10 if loop else 0) if last else 10 + size * (page + 1)
        data += struct.pack("<H", len(entries))
        for tag, kind, count, value in entries:
            data += struct.pack("<HHII", tag, kind, count, value)
        data += struct.pack("<I", after)
    path.write_bytes(data)
    return path


def zip_of(path: Path, entries: Iterable[tuple[str, bytes]]) -> Path:
    """Duplicate names are written as they are given."""
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def zip_bomb(path: Path, size: int) -> Path:
    """One entry of `size` zeros, a thousandth of that packed."""
    info = zipfile.ZipInfo("zeros")
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive, archive.open(info, "w") as entry:
        for at in range(0, size, 1 << 20):
            entry.write(bytes(min(1 << 20, size - at)))
    return path


def zip_overlapping(path: Path, copies: int) -> Path:
    """Many directory entries for the same bytes (the "better zip bomb" of D. Fifield, 2019)."""
    body = zlib.compress(bytes(1 << 16))[2:-4]
    check = zlib.crc32(bytes(1 << 16))
    sizes = struct.pack("<III", check, len(body), 1 << 16)
    local = struct.pack("<4sHHHHH", b"PK\3\4", 20, 0, 8, 0, 33) + sizes
    local += struct.pack("<HH", 4, 0) + b"0000" + body
    directory = b"".join(
        struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, 0, 8, 0, 33)
        + sizes
        + struct.pack("<HHHHHII", 4, 0, 0, 0, 0, 0, 0)
        + b"%04d" % number
        for number in range(copies)
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, copies, copies, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)
    return path


def zip_lying(source: Path, path: Path, *, says: int) -> Path:
    """`source` with each entry's directory and local header telling a size of `says`."""
    data = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        places = [entry.header_offset for entry in archive.infolist()]
        at = archive.start_dir
    for place in places:
        data[place + 22 : place + 26] = struct.pack("<I", says)
        data[at + 24 : at + 28] = struct.pack("<I", says)
        at += 46 + sum(struct.unpack_from("<HHH", data, at + 28))
    path.write_bytes(data)
    return path


def repacked(source: Path, path: Path, parts: Mapping[str, bytes]) -> Path:
    """The zip at `source` with some parts replaced or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            if entry.filename not in parts:
                new.writestr(entry, old.read(entry))
        for name, data in parts.items():
            new.writestr(name, data)
    return path


LAUGHS = (
    b'<?xml version="1.0"?>\n<!DOCTYPE lolz [\n<!ENTITY lol0 "lol">\n'
    + b"".join(
        b'<!ENTITY lol%d "%s">\n' % (number, b"&lol%d;" % (number - 1) * 10)
        for number in range(1, 10)
    )
    + b"]>\n"
)
"""The prolog of a billion laughs; `&lol9;` makes them."""


def outside(uri: str) -> bytes:
    """The prolog of an XML whose `&outside;` is what is found at `uri`."""
    return f'<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY outside SYSTEM "{uri}">]>\n'.encode()


def nested_xml(depth: int, tag: str = "a") -> bytes:
    return f"<{tag}>".encode() * depth + f"</{tag}>".encode() * depth


def tar_of(path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info
