"""Text of unknown encoding: finding out which one it is, and making it UTF-8.

Floor 1. Reads files as a stream; memory is constant in their size.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

from filemill.errors import FileInvalid

CHUNK = 1 << 20

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
    """Rewrite a UTF-8 csv file in place with commas, if it uses another separator (RFC 4180)."""
    with path.open(encoding="utf-8", newline="") as file:
        separator = _separator(file.read(CHUNK // 16))
    if separator == ",":
        return
    rewritten = path.with_suffix(".commas")
    with (
        path.open(encoding="utf-8", newline="") as source,
        rewritten.open("w", encoding="utf-8", newline="") as target,
    ):
        csv.writer(target).writerows(csv.reader(source, delimiter=separator))
    rewritten.replace(path)


def _separator(sample: str) -> str:
    """The one that cuts the first lines into most, and equally many, fields."""
    lines = sample.splitlines()[:-1][:20] or sample.splitlines()

    def fields(separator: str) -> int:
        counts = {len(row) for row in csv.reader(lines, delimiter=separator) if row}
        return counts.pop() if len(counts) == 1 else 1

    return max(",;\t|", key=fields)
