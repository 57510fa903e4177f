"""Telling which format a file is: by content first, then by name.

Our own table decides the formats that we convert, since most sit in containers that
a list of magic numbers cannot tell apart; puremagic names the hundreds of others.
What comes out:

- a `Format`: definite content wins over the name (a PNG called x.jpg is a png); the
  name only chooses between kinds that look the same (a text's kind, raw or TIFF);
- `UnsupportedRoute`: it is known what the file is (an ELF program, 7z ...), and it is
  none of our formats: can be refused from its first bytes;
- `FileInvalid`: it is empty, locked with a password, or not at all what its name says;
- None: neither content nor name tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import BinaryIO

import puremagic

from filemill.errors import FileInvalid, UnsupportedRoute
from filemill.formats import containers, texts
from filemill.formats.table import FORMATS, find
from filemill.model import Category, Format

HEAD_SIZE = 64 * 1024
"""How much of a file's beginning detection needs, bytes."""
TAIL_SIZE = 64 * 1024 + 22
"""A zip's last record with the longest comment."""
DIRECTORY_SIZE = 1024 * 1024
"""How much of a zip's directory `detect_file` reads."""

Recogniser = Callable[[bytes, str], str | None]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"8BPS", "psd"),
    (b"qoif", "qoi"),
    (b"DDS \x7c\0\0\0", "dds"),
    (b"icns", "icns"),
    (b"fLaC", "flac"),
    (b"#!AMR", "amr"),
    (b"FLV\x01", "flv"),
    (b"\0\0\x01\xba", "mpg"),
    (b"\0\0\x01\xb3", "mpg"),
    (b"PAR1", "parquet"),
    (b"%!PS", "PostScript"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x28\xb5\x2f\xfd", "tzst"),
    (b"#?RADIANCE", "hdr"),
    (b"Obj\x01", "avro"),
    (b"\0asm", "WebAssembly program"),
    (b"!<arch>\n", "ar archive"),
)

_STRONG: tuple[Recogniser, ...] = (
    containers.zip_head,
    containers.ole_head,
    containers.bmff,
    containers.matroska,
    containers.riff,
    containers.iff,
    containers.ogg,
    containers.asf,
    containers.tiff,
    containers.id3,
    containers.tar,
    containers.packed,
)


def _pattern(kind: str, expression: bytes) -> Recogniser:
    compiled = re.compile(expression, re.S)
    return lambda head, _: kind if compiled.match(head) else None


_NETPBM = _pattern("ppm", rb"P[1-6]\s(?:\s*#[^\n]{0,200}\n){0,20}\s*\d{1,9}\s+\d{1,9}\s")

_WEAK: tuple[Recogniser, ...] = (
    # Few or common bytes: looked for only where the file is no text.
    _pattern("pdf", rb".{0,1019}?%PDF-\d"),
    _pattern("bmp", rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
    _pattern("ico", rb"\0\0\x01\0[\x01-\xff]\0.{3}\0"),
    _pattern("pcx", rb"\x0a[\0\x02-\x05][\0\x01][\x01\x02\x04\x08]"),
    _pattern("Windows program", rb"MZ.{58}"),
    containers.quicktime,
    containers.frames,
    containers.transport,
    # No magic at all: a colour map flag, an image type and a depth that are possible.
    _pattern("tga", rb".(?:\x01[\x01\x09].{5}|\0[\x02\x03\x0a\x0b].{5}).{8}[\x08\x0f\x10\x18\x20]"),
)


def detect(head: bytes, name: str = "") -> Format | None:
    """The format of a file that begins with `head` (its first `HEAD_SIZE` bytes) and is called
    `name`. Raises `FileInvalid` and `UnsupportedRoute`, see above."""
    if not head:
        raise FileInvalid("The file is empty.", hint="Upload a file that has content.")
    head = head[:HEAD_SIZE]
    claimed = find(name.rpartition(".")[2]) if "." in name else None
    named = claimed.id if claimed else name.rpartition(".")[2].lower()
    if found := _definite(head, named):
        return _ours(found)
    if (text := texts.as_text(head)) is not None:
        return _text(text, claimed, whole=len(head) < HEAD_SIZE)
    found = next(filter(None, (recognise(head, named) for recognise in _WEAK)), None)
    if found == "tga" and named != "tga":  # too weak to stand alone
        found = None
    if found:
        return _ours(found)
    if found := _foreign(head, named):
        return _ours(found)
    if claimed:
        raise _mislabelled(claimed)
    return None


def detect_file(file: BinaryIO, name: str = "") -> Format | None:
    """Like `detect`, with the whole file at hand: reads its head, and where that is not enough
    its end or its directory too (at most about 1 MB)."""
    head = file.read(HEAD_SIZE)
    size = file.seek(0, os.SEEK_END)
    claimed = find(name.rpartition(".")[2]) if "." in name else None
    named = claimed.id if claimed else ""
    if head.startswith(b"PK\x03\x04") and size > len(head):
        if names := _zip_names(file, size):
            by_head = containers.zip_head(head, "")
            if by_head in (None, "zip"):
                return _ours(containers.zip_kind(names, b"", ""))
    elif head.startswith(containers.OLE_MAGIC) and size > len(head):
        file.seek(min(containers.ole_directory(head), size))
        if found := containers.ole_kind(file.read(8192), named):
            return _ours(found)
    elif size > 26 and not _definite(head, named):
        file.seek(size - 18)
        if file.read(18) == b"TRUEVISION-XFILE.\0":
            return _ours("tga")
    return detect(head, name)


def _zip_names(file: BinaryIO, size: int) -> list[str]:
    file.seek(max(0, size - TAIL_SIZE))
    place = containers.zip_central(file.read(TAIL_SIZE), size)
    if place is None:
        return []
    file.seek(place[0])
    return containers.zip_names(file.read(min(place[1], DIRECTORY_SIZE)))


def _definite(head: bytes, named: str) -> str | None:
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    return (
        found
        or next(filter(None, (recognise(head, named) for recognise in _STRONG)), None)
        or _NETPBM(head, named)
    )


def _text(text: str, claimed: Format | None, *, whole: bool) -> Format:
    if claimed and claimed.text:
        return claimed
    if (kind := texts.kind(text, whole)) and kind in FORMATS:
        return FORMATS[kind]
    if claimed and claimed.category is not Category.SPREADSHEET:
        raise _mislabelled(claimed, "plain text")
    kind = texts.table(text)
    if claimed and not kind:
        raise _mislabelled(claimed, "plain text")
    return FORMATS[kind or "txt"]


def _foreign(head: bytes, named: str) -> str | None:
    """The name that puremagic has for a file, where at least four bytes agree."""
    try:
        matches = puremagic.magic_string(head[: puremagic.main.max_head])
    except (puremagic.PureError, ValueError):
        return None
    sure = [match for match in matches if len(match.byte_match) >= 4]
    sure.sort(key=lambda match: match.extension.lstrip(".").lower() == named, reverse=True)
    if not sure:
        return None
    extension = sure[0].extension.lstrip(".")
    return extension if find(extension) else str(sure[0].name or extension)


def _ours(kind: str) -> Format:
    if found := FORMATS.get(kind) or find(kind):
        return found
    raise UnsupportedRoute(
        f"This file cannot be converted here: it is of the kind {kind!r}.",
        hint="GET /v1/formats lists the formats that can be converted.",
        details={"detected": kind},
    )


def _mislabelled(claimed: Format, found: str = "something else") -> FileInvalid:
    return FileInvalid(
        f"The file is named like {claimed.title} (.{claimed.extension}) but holds {found}.",
        hint="Upload the file itself, whole, or give it its right name.",
    )
