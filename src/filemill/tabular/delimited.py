"""csv and tsv."""

from __future__ import annotations

import codecs
import csv
import os
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filemill import text
from filemill.errors import FileInvalid
from filemill.tabular.duck import quoted
from filemill.tabular.table import Column, Table, unique


def delimited_table(path: str, format: str, options: Mapping[str, Any]) -> Table:
    path = in_utf8(path, options.get("encoding"))
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        found = text.separator(file, format)
        before = int(file.tell() > 0)
        delimiter = options.get("input_delimiter") or found
        first = _first(text.rows(file, delimiter))
    return text_table(path, delimiter, options.get("header", True), first, before=before)


def count(path: str, format: str) -> tuple[int, int] | None:
    """(rows, columns) of a small file: quicker than DuckDB, which takes 20 ms to start. None: it
    is not so simple, ask DuckDB."""
    with Path(in_utf8(path, None)).open(encoding="utf-8-sig", newline="") as file:
        delimiter = text.separator(file, format)
        with suppress(csv.Error):
            widths = Counter(len(row) for row in text.rows(file, delimiter, strict=True) if row)
            if len(widths) == 1 and 1 not in widths:  # in one column an empty line is a row
                ((columns, rows),) = widths.items()
                return rows, columns
    return None


def ragged(path: str, format: str) -> tuple[int | None, int | None]:
    """(rows, columns of the longest) of a file whose rows are of unequal length."""
    rows = columns = 0
    with Path(in_utf8(path, None)).open(encoding="utf-8-sig", newline="") as file:
        delimiter = text.separator(file, format)
        with suppress(csv.Error):
            for row in text.rows(file, delimiter):
                rows, columns = rows + 1, max(columns, len(row))
            return rows, columns
    return None, None


def text_table(
    path: str,
    delimiter: str,
    header: bool,
    first: Sequence[str],
    locked: Container[int] = (),
    before: int = 0,
) -> Table:
    """A csv file in UTF-8 that begins with the record `first`, `before` it so many lines that are
    none. `locked`: which columns are text."""
    if not first:
        raise FileInvalid("The table has no rows.")
    titles = list(first) if header else [f"column{n}" for n in range(1, len(first) + 1)]
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(first)))
    source = (
        f"read_csv({quoted(path)}, auto_detect=false, delim={quoted(delimiter)}, quote='\"', "
        f"escape='\"', header={'true' if header else 'false'}, columns={{{columns}}}, nullstr='', "
        f"allow_quoted_nulls=false, strict_mode=true, skip={before})"
    )
    return Table(
        source,
        tuple(
            Column(title, name, f"c{n}", "VARCHAR" if n in locked else None)
            for n, (title, name) in enumerate(zip(titles, unique(titles), strict=True))
        ),
    )


def _first(records: Iterator[list[str]]) -> list[str]:
    """The first record that is not an empty line."""
    try:
        return next((record for record in records if record), [])
    except csv.Error as error:
        raise FileInvalid(f"The first line is broken: {error}.", details={"line": 1}) from None


def in_utf8(path: str, encoding: str | None = None, *, marked: bool = True) -> str:
    """The file itself when it is UTF-8 with one kind of line end, else a copy that is. `marked`:
    whether it may begin with a byte order mark."""
    if not encoding:
        decoder = codecs.getincrementaldecoder("utf-8")()
        returns = lines = 0
        try:
            for chunk in _chunks(path):
                decoder.decode(chunk)
                if b"\0" in chunk:
                    raise FileInvalid("The file is not text: it holds NUL characters.")
                returns, lines = returns + chunk.count(b"\r\n"), lines + chunk.count(b"\n")
            decoder.decode(b"", final=True)
            if returns in (0, lines) and (marked or not _marked(path)):
                return path
        except (UnicodeDecodeError, FileInvalid):
            pass
    encoding = encoding or text.encoding(Path(path))
    copy = beside(path, "utf8")
    try:
        with Path(copy).open("w", encoding="utf-8", newline="") as file:
            held = ""
            for part in text.decoded(Path(path), encoding):
                # A line end on the seam is not torn apart; those in quotes become "\n" too.
                part = held + part
                held = "\r" if part.endswith("\r") else ""
                file.write(part[: len(part) - len(held)].replace("\r\n", "\n"))
            file.write(held)
    except UnicodeError:
        raise text.unlike(encoding) from None
    return copy


def _marked(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def beside(path: str, kind: str) -> str:
    """A name for a copy: of this process alone, the next one may run as another user."""
    return f"{path}.{os.getpid()}.{kind}"


def _chunks(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            # A line end on the seam is not torn apart.
            yield chunk + file.read(1) if chunk.endswith(b"\r") else chunk
