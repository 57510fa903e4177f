"""Text of unknown encoding: finding out which one it is, and making it UTF-8.

Floor 1. Reads files as a stream; memory is constant in their size.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from filemill.errors import FileInvalid

CHUNK = 1 << 20
MAX_FIELD = 16 << 20
"""Characters of one field of a csv file."""
HEAD = 64 << 10
ROWS = 20
"""How many characters of a csv file, and rows among them, tell its separator."""
_SAID = re.compile(r'sep=([^"\r\n])[\r\n]*', re.IGNORECASE)

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
    """Rewrite a UTF-8 csv file in place with commas, if it uses another separator, or begins
    with a line that says which (RFC 4180).

    Raises `FileInvalid`."""
    with path.open(encoding="utf-8", newline="") as source:
        found = separator(source)
        if found == "," and source.tell() == 0:
            return
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
    """What separates the fields of a csv file: what its first line says (`sep=;`, for Excel),
    else what cuts most of its first rows into equally many fields, and into most of them.

    Leaves the file where its first row begins."""
    file.seek(0)
    if said := _SAID.fullmatch(file.readline(8)):
        return said[1]
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)

    def agreement(separator: str) -> tuple[int, int]:
        try:
            found = list(islice(rows(io.StringIO(head, newline=""), separator), ROWS))
        except csv.Error:
            return 0, 0
        if len(head) == HEAD:  # the last may be cut
            found = found[:-1] or found
        times, width = max(
            ((times, width) for width, times in Counter(map(len, filter(None, found))).items()),
            default=(0, 0),
        )
        return (times if width > 1 else 0), width

    return max(",;\t|", key=agreement)
