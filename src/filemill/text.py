"""Text of unknown encoding: finding out which one it is, and making it UTF-8.

Floor 1. Reads files as a stream; memory is constant in their size.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from filemill.errors import FileInvalid

CHUNK = 1 << 20
MAX_FIELD = 16 << 20
"""Characters of one field of a csv file."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ALLOWED = frozenset("\t\n\r\f\v\x1a\x1b\x08")
_CONTROLS = {chr(code) for code in range(32)} - _ALLOWED


def encoding(path: Path) -> str:
    """The Python codec name of a text file: by its byte order mark, else UTF-8 if it is
    valid, else windows-1252 (what browsers read unlabelled text as; WHATWG Encoding).

    Raises `FileInvalid` for an empty file and for one that holds no text."""
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        raise FileInvalid("The file is empty.", hint="Send a file with content.")
    marked = next((name for bom, name in _BOMS if head.startswith(bom)), None)
    for name in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            if any(_CONTROLS & set(text) for text in decoded(path, name)):
                break
        except UnicodeError:
            continue
        return name
    raise FileInvalid(
        "The file is not text.",
        hint="It looks like binary data or is in an unknown encoding; UTF-8 always works.",
    )


def decoded(path: Path, name: str) -> Iterator[str]:
    """The text in chunks. Raises `UnicodeError`."""
    errors = "replace" if name == "cp1252" else "strict"  # five bytes of it mean nothing
    decoder = codecs.getincrementaldecoder(name)(errors)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def to_utf8(path: Path) -> None:
    """Rewrite a text file in place as UTF-8 without a byte order mark."""
    if (name := encoding(path)) == "utf-8":
        return
    rewritten = path.with_suffix(".utf8")
    with rewritten.open("w", encoding="utf-8", newline="") as file:
        file.writelines(decoded(path, name))
    rewritten.replace(path)


def to_commas(path: Path) -> None:
    """Rewrite a UTF-8 csv file in place with commas, if it uses another separator (RFC 4180).

    Raises `FileInvalid`."""
    with path.open(encoding="utf-8", newline="") as source:
        if (found := separator(source)) == ",":
            return
        source.seek(0)
        rewritten = path.with_suffix(".commas")
        try:
            with rewritten.open("w", encoding="utf-8", newline="") as target:
                csv.writer(target).writerows(rows(source, found))
        except csv.Error as error:
            raise FileInvalid(f"The csv file cannot be read: {error}.") from error
    rewritten.replace(path)


def rows(file: TextIO, separator: str, *, strict: bool = False) -> Iterator[list[str]]:
    """The rows of a csv file. Raises `csv.Error`."""
    csv.field_size_limit(MAX_FIELD)
    return iter(csv.reader(file, delimiter=separator, strict=strict))


def separator(file: TextIO) -> str:
    """What separates the fields of a csv file: what cuts its first lines into most, and
    equally many, fields."""
    lines = file.read(CHUNK // 16).splitlines()
    lines = lines[:-1][:20] or lines

    def fields(separator: str) -> int:
        try:
            counts = {len(row) for row in csv.reader(lines, delimiter=separator) if row}
        except csv.Error:
            return 1
        return counts.pop() if len(counts) == 1 else 1

    return max(",;\t|", key=fields)
