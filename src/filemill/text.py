"""Text of unknown encoding: finding out which one it is, and making it UTF-8.

Floor 1. Reads files as a stream; memory is constant in their size.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TextIO

from filemill.engine import Option
from filemill.errors import FileInvalid
from filemill.formats.texts import TOLERATED, unmarked

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
_ENCODINGS = (
    *("utf-8", "utf-16", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("latin-1", "iso8859-2", "iso8859-15", "koi8-r", "shift_jis", "euc-jp", "gb18030", "big5"),
    "euc-kr",
)
_DECLARATION = re.compile(rb"""\b(?:encoding\s*=\s*["']|charset\s*=\s*["']?)([\w-]+)""", re.I)
_DECLARABLE: Mapping[str, str] = {
    name: name
    for name in (
        *(f"cp{page}" for page in (866, 874, *range(1250, 1259))),
        *(f"iso8859-{part}" for part in (*range(2, 9), 10, 13, 14, 15, 16)),
        *("koi8-r", "koi8-u", "mac-cyrillic", "euc_jp", "gb18030"),
    )
} | {
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "cp950",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-9": "cp1254",
}
"""What Python calls an encoding that a file may say it is in -> what that means on the Web
(WHATWG Encoding, 4.2). All contain ASCII: what a probe saw of the markup is what an engine sees."""
_ALLOWED = frozenset("\t\n\r\f\v\x1a\x1b\x08")
CONTROLS = {chr(code) for code in range(32)} - _ALLOWED
"""What text hardly ever holds."""
_DROPPED = dict.fromkeys(map(ord, CONTROLS))
_UNPRINTED = dict.fromkeys(set(range(32)) - {*b"\t\n\f\r"})


def encoding(path: Path) -> str:
    """The Python codec name of a text file: by its byte order mark or the NULs of UTF-16, else
    UTF-8 if it is valid, else what XML or HTML declares at its head, else windows-1252 (what
    browsers read unlabelled text as; WHATWG Encoding).

    Raises `FileInvalid` for an empty file and for one that holds no text."""
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise FileInvalid("The file is empty.", hint="Send a file with content.")
    marked = next((name for bom, name in _BOMS if head.startswith(bom)), None) or unmarked(head)
    for name in (marked,) if marked else ("utf-8", *_declared(head), "cp1252"):
        try:
            if not _is_text(decoded(path, name)):
                break
        except UnicodeError:
            continue
        return name
    raise FileInvalid(
        "The file is not text.",
        hint="It looks like binary data or is in an unknown encoding; UTF-8 always works.",
    )


def _is_text(parts: Iterator[str]) -> bool:
    length = controls = 0
    for part in parts:
        if "\0" in part:
            return False
        length += len(part)
        if CONTROLS & set(part):
            controls += len(part) - len(part.translate(_DROPPED))
    return controls <= length // TOLERATED


def _declared(head: bytes) -> list[str]:
    """The encodings that the head of a text names."""
    found = []
    for declaration in _DECLARATION.finditer(head):
        with suppress(LookupError):
            known = codecs.lookup(declaration[1].decode("latin-1")).name
            found.append(_DECLARABLE[known])
    return found


def decoded(path: Path, name: str) -> Iterator[str]:
    """The text in chunks. Raises `UnicodeError`."""
    errors = "replace" if name == "cp1252" else "strict"  # five bytes of it mean nothing
    decoder = codecs.getincrementaldecoder(name)(errors)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def to_utf8(path: Path, given: str | None = None) -> None:
    """Rewrite a text file in place as UTF-8 without a byte order mark and without the control
    characters that XML cannot hold, but for form feeds. `given`: the encoding that the client
    says it has.

    Raises `FileInvalid`."""
    name = given or encoding(path)
    rewritten = path.with_suffix(".utf8")
    try:
        with rewritten.open("w", encoding="utf-8", newline="") as file:
            file.writelines(part.translate(_UNPRINTED) for part in decoded(path, name))
    except UnicodeError:
        raise unlike(name) from None
    rewritten.replace(path)


def unlike(name: str) -> FileInvalid:
    """The error of a file that is not in the encoding that was given."""
    return FileInvalid(f"The file is no {name} text.", hint="Give its true encoding as an option.")


def option(sources: frozenset[str]) -> Option:
    """The option that names the encoding."""
    return Option(
        "encoding",
        {"type": "string", "enum": list(_ENCODINGS)},
        "Character encoding of the uploaded file; found by itself if it is UTF-8, UTF-16, "
        "what HTML or XML declares, or Western European.",
        sources=sources,
        of_upload=True,
    )


def to_usual(path: Path, format: str) -> None:
    """Rewrite a UTF-8 csv or tsv file in place with commas or tabs, if it uses another separator,
    or begins with a line that says which (RFC 4180).

    Raises `FileInvalid`."""
    usual = "\t" if format == "tsv" else ","
    with path.open(encoding="utf-8", newline="") as source:
        found = separator(source, format)
        if found == usual and source.tell() == 0:
            return
        rewritten = path.with_suffix(".usual")
        try:
            with rewritten.open("w", encoding="utf-8", newline="") as target:
                csv.writer(target, delimiter=usual).writerows(rows(source, found))
        except csv.Error as error:
            raise FileInvalid(f"The {format} file cannot be read: {error}.") from error
    rewritten.replace(path)


def rows(file: TextIO, separator: str, *, strict: bool = False) -> Iterator[list[str]]:
    """The rows of a csv file. Raises `csv.Error`."""
    csv.field_size_limit(MAX_FIELD)
    return iter(csv.reader(file, delimiter=separator, strict=strict))


def separator(file: TextIO, format: str) -> str:
    """What separates the fields of a csv or tsv file: what its first line says (`sep=;`, for
    Excel), else a tab in a tsv, in a csv what cuts most of its first rows into equally many fields,
    and into most of them.

    Leaves the file where its first row begins."""
    file.seek(0)
    if said := _SAID.fullmatch(file.readline(8)):
        return said[1]
    file.seek(0)
    if format == "tsv":
        return "\t"
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
