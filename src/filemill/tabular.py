"""Reading tables of every format as one thing: a DuckDB query over exact text. Floor 1.

Used by the tables engine and the table probe, in their worker processes. Values stay
what they are: a column becomes numbers, booleans or dates only if every value of it
comes back the same from that type, so "007", 20-digit numbers and "1e5" stay text.
A column of a JSON or Excel file that holds any text is text.
"""

# ruff: noqa: S608 (SQL is put together here: names and strings through `identifier`, `quoted`)
from __future__ import annotations

import codecs
import csv
import datetime as dt
import itertools
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filemill import text
from filemill.errors import EngineError, FileInvalid, FilemillError, LimitExceeded
from filemill.formats.table import FORMATS

TEXT = frozenset({"csv", "tsv"})
EXCEL = frozenset({"xlsx", "xls", "ods"})
MAX_COLUMNS = 16_384
TESTS = 400
"""How many questions one query asks."""
SAMPLE = 20_000
"""Rows that propose a column's type, before all of them confirm it."""

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
KINDS: Mapping[str, str] = {
    "BOOLEAN": "$ IN ('true', 'false')",
    "BIGINT": "regexp_full_match($, '0|-?[1-9][0-9]{0,17}')",
    # Fifteen digits fit any double; a longer number must be as a double prints itself.
    "DOUBLE": r"regexp_full_match($, '-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-][0-9]+)?') AND "
    "(length(replace($, '.', '')) <= 15 OR TRY_CAST($ AS DOUBLE)::VARCHAR = $)",
    "DATE": f"regexp_full_match($, '{_DATE}') AND TRY_CAST($ AS DATE) IS NOT NULL",
    "TIMESTAMP": f"regexp_full_match($, '{_DATE}([ T]{_TIME})?') "
    "AND TRY_CAST($ AS TIMESTAMP) IS NOT NULL",
}
"""Tests whether the text of a value, `$`, is this type's; the first that fits all is taken."""


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    """As the file has it; may repeat, or be empty."""
    name: str
    """Unique."""
    value: str
    """SQL of its value."""
    type: str | None = None
    """SQL type; None: text whose type is still to be found."""


@dataclass(frozen=True, slots=True)
class Table:
    source: str
    """SQL that goes behind FROM."""
    columns: tuple[Column, ...]


def connect(threads: int = 1, memory: int = 400) -> Any:
    """A DuckDB that sees the current directory, nothing else, and uses `memory` MB."""
    import duckdb

    here = str(Path.cwd())
    connection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": f"{memory}MB",
            "temp_directory": f"{here}/spill{os.getpid()}",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        }
    )
    connection.execute(
        f"SET TimeZone='UTC'; SET allowed_directories=[{quoted(here)}];"
        "SET enable_progress_bar=false; SET enable_external_access=false;"
        "SET lock_configuration=true"
    )
    return connection


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """An SQL name."""
    return '"' + name.replace('"', '""') + '"'


def open_table(connection: Any, path: str, format: str, options: Mapping[str, Any]) -> Table:
    """The table in the file at `path`. Options: header, input_delimiter, encoding, sheet.

    Raises `FileInvalid` and `LimitExceeded`."""
    header = options.get("header", True)
    if format in TEXT:
        table = _csv(path, format, options)
    elif format in EXCEL:
        table = _excel(path, options.get("sheet", 1), header)
    elif format == "parquet":
        table = _parquet(connection, path)
    else:
        table = _json(connection, path, header)
    if len(table.columns) > MAX_COLUMNS:
        raise LimitExceeded(
            f"The table has {len(table.columns)} columns.",
            details={"limit": "columns", "value": len(table.columns), "allowed": MAX_COLUMNS},
        )
    return table


def typed(connection: Any, table: Table, kinds: Iterable[str]) -> Table:
    """The same table, each text column as the first of `kinds` that all its values are."""
    order = tuple(kinds)
    open_ = [column for column in table.columns if column.type is None]
    # A sample proposes, everything disposes: text columns, the most, cost no second look.
    possible = _holding(connection, f"(FROM {table.source} LIMIT {SAMPLE})", open_, order)
    possible = _holding(connection, table.source, open_, order, possible)
    found = {name: kinds[0] for name, kinds in possible.items() if kinds}
    return Table(
        table.source,
        tuple(
            Column(
                column.title,
                column.name,
                f"CAST({column.value} AS {found[column.name]})"
                if column.name in found
                else column.value,
                column.type or found.get(column.name, "VARCHAR"),
            )
            for column in table.columns
        ),
    )


def _holding(
    connection: Any,
    source: str,
    columns: Sequence[Column],
    order: Sequence[str],
    known: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Sequence[str]]:
    """Which kinds hold for all values of each column, of those `known` to be possible."""
    asked = [
        (column, kind)
        for column in columns
        for kind in (order if known is None else known[column.name])
    ]
    held: dict[str, list[str]] = {column.name: [] for column in columns}
    for at in range(0, len(asked), TESTS):
        part = asked[at : at + TESTS]
        tests = (
            f"bool_and({_test(kind, column)}) FILTER ({column.value} IS NOT NULL)"
            for column, kind in part
        )
        row = connection.execute(f"SELECT {', '.join(tests)} FROM {source}").fetchone()
        for (column, kind), holds in zip(part, row, strict=True):
            if holds:
                held[column.name].append(kind)
    return dict(held)


def _test(kind: str, column: Column) -> str:
    return KINDS[kind].replace("$", f"({column.value})")


def unique(titles: Sequence[str]) -> list[str]:
    """Names for columns: no two alike, not even in another case, and none empty."""
    seen: set[str] = set()
    names = []
    for number, title in enumerate(titles, 1):
        base = name = title.strip() or f"column{number}"
        for more in itertools.count(2):
            if name.casefold() not in seen:
                break
            name = f"{base}_{more}"
        seen.add(name.casefold())
        names.append(name)
    return names


# csv, tsv


def _csv(path: str, format: str, options: Mapping[str, Any]) -> Table:
    path = _in_utf8(path, options.get("encoding"))
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        delimiter = options.get("input_delimiter") or (
            "\t" if format == "tsv" else text.separator(file)
        )
        file.seek(0)
        first = _first(text.rows(file, delimiter))
    return text_table(path, delimiter, options.get("header", True), first)


def text_table(
    path: str, delimiter: str, header: bool, first: Sequence[str], locked: Container[int] = ()
) -> Table:
    """A csv file in UTF-8 that begins with the record `first`. `locked`: which columns are text."""
    if not first:
        raise FileInvalid("The table has no rows.")
    titles = list(first) if header else [f"column{n}" for n in range(1, len(first) + 1)]
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(first)))
    source = (
        f"read_csv({quoted(path)}, auto_detect=false, delim={quoted(delimiter)}, quote='\"', "
        f"escape='\"', header={'true' if header else 'false'}, columns={{{columns}}}, nullstr='', "
        "allow_quoted_nulls=false, strict_mode=true)"
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


def _in_utf8(path: str, encoding: str | None) -> str:
    """The file itself when it is UTF-8 with one kind of line end, else a copy that is."""
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
            if returns in (0, lines):
                return path
        except (UnicodeDecodeError, FileInvalid):
            pass
    encoding = encoding or text.encoding(Path(path))
    copy = _beside(path, "utf8")
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
        raise FileInvalid(
            f"The file is no {encoding} text.", hint="Give its true encoding as an option."
        ) from None
    return copy


def _beside(path: str, kind: str) -> str:
    """A name for a copy: of this process alone, the next one may run as another user."""
    return f"{path}.{os.getpid()}.{kind}"


def _chunks(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            # A line end on the seam is not torn apart.
            yield chunk + file.read(1) if chunk.endswith(b"\r") else chunk


# json, ndjson, parquet


def _json(connection: Any, path: str, header: bool) -> Table:
    rows = f"read_json_objects({quoted(path)}, format='auto')"
    shapes = {
        kind
        for (kind,) in connection.execute(
            f"SELECT DISTINCT json_type(json) FROM {rows} LIMIT 3"
        ).fetchall()
    }
    if shapes not in ({"OBJECT"}, {"ARRAY"}):
        raise FileInvalid(
            "The JSON is no table.", hint="Wanted is an array of objects, or an array of arrays."
        )
    skip = 0
    if shapes == {"OBJECT"}:
        titles = _keys(connection, rows)
        paths = ["/" + key.replace("~", "~0").replace("/", "~1") for key in titles]
    else:
        (width,) = connection.execute(f"SELECT max(json_array_length(json)) FROM {rows}").fetchone()
        paths = [f"/{n}" for n in range(min(width, MAX_COLUMNS + 1))]
        titles = [f"column{n + 1}" for n in range(len(paths))]
        if header and paths:
            first = _values(paths)
            row = connection.execute(f"SELECT {first} FROM {rows} LIMIT 1").fetchone()[0]
            titles = [title or "" for title in row]
            skip = 1
    if not paths:
        raise FileInvalid("The JSON is a table without columns.")
    source = f"(SELECT json_extract(json, {_list(paths)}) AS v FROM {rows} OFFSET {skip})"
    is_text = [
        f"bool_or(json_type(v[{n}]) IN ('VARCHAR', 'OBJECT', 'ARRAY'))" for n in _count(paths)
    ]
    texts = connection.execute(f"SELECT {', '.join(is_text)} FROM {source}").fetchone()
    return Table(
        source,
        tuple(
            Column(title, name, f"(v[{n}] ->> '$')", "VARCHAR" if worded else None)
            for n, title, name, worded in zip(
                _count(paths), titles, unique(titles), texts, strict=True
            )
        ),
    )


def _keys(connection: Any, rows: str) -> list[str]:
    """The keys as the first row orders them, then those that only later rows have."""
    first = connection.execute(f"SELECT json_keys(json) FROM {rows} LIMIT 1").fetchone()[0]
    more = connection.execute(
        f"SELECT DISTINCT unnest(json_keys(json)) AS key FROM {rows} ORDER BY key "
        f"LIMIT {MAX_COLUMNS + 1}"
    ).fetchall()
    return list(dict.fromkeys([*first, *(key for (key,) in more)]))


def _count(items: Sequence[Any]) -> range:
    return range(1, len(items) + 1)


def _list(paths: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, paths))}]"


def _values(paths: Sequence[str]) -> str:
    return f"[x ->> '$' for x in json_extract(json, {_list(paths)})]"


def _parquet(connection: Any, path: str) -> Table:
    source = f"read_parquet({quoted(path)})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return Table(
        source,
        tuple(Column(name, name, identifier(name), type) for name, type, *_ in described),
    )


# xlsx, xls, ods


def _excel(path: str, wanted: int | str, header: bool) -> Table:
    """The sheet as a csv file beside it: a sheet is read whole, cells one by one."""
    sheet = sheet_of(path, wanted)
    copy = _beside(path, "csv")
    locked: set[int] = set()
    first: list[str] = []
    with Path(copy).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(sheet.iter_rows()):
            cells = [_cell(value) for value in row]
            writer.writerow(cells)
            if number == 0:
                first = cells
                if header:
                    continue
            locked.update(n for n, value in enumerate(row) if value and isinstance(value, str))
    return text_table(copy, ",", header, first, locked)


def sheet_of(path: str, wanted: int | str = 1) -> Any:
    """A sheet by its number, from 1, or its name."""
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound

    try:
        book = CalamineWorkbook.from_path(path)
        if isinstance(wanted, int) or (wanted.isdigit() and wanted not in book.sheet_names):
            return book.get_sheet_by_index(int(wanted) - 1)
        return book.get_sheet_by_name(wanted)
    except (WorksheetNotFound, OverflowError):
        names = ", ".join(book.sheet_names[:20])
        raise FileInvalid(f"There is no sheet {wanted!r}.", hint=f"Its sheets: {names}.") from None
    except CalamineError as error:
        if "assword" in str(error):
            raise FileInvalid("The workbook is protected with a password.") from None
        raise FileInvalid(f"The workbook cannot be read: {str(error)[:200]}.") from None


def _cell(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case dt.datetime():
            return value.isoformat(" ")
        case dt.timedelta():
            minutes, seconds = divmod(value.total_seconds(), 60)
            return f"{int(minutes // 60):02d}:{int(minutes % 60):02d}:{seconds:02.0f}"
        case _:
            return str(value)


# errors


@contextmanager
def reading(format: str) -> Iterator[None]:
    """Turns DuckDB's errors into ours."""
    import duckdb

    try:
        yield
    except FilemillError:
        raise
    except duckdb.OutOfMemoryException:
        raise LimitExceeded(
            "The table needs more memory than is allowed.", details={"limit": "memory"}
        ) from None
    except duckdb.InternalException:
        raise EngineError("DuckDB failed on this file.") from None
    except duckdb.Error as error:
        raise _invalid(format, str(error)) from None


def _invalid(format: str, said: str) -> FilemillError:
    title = FORMATS[format].title
    if found := re.search(r"CSV Error on Line: (\d+)", said):
        why = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
        what = (
            f"it has {why[2]} fields, the first line has {why[1]}"
            if why
            else "a quoted value does not end"
            if "unterminated quote" in said
            else "it cannot be read"
        )
        return FileInvalid(
            f"Line {found[1]} is broken: {what}.",
            hint="Every row needs the same number of fields; check quotes and the delimiter.",
            details={"line": int(found[1])},
        )
    if "Maximum line size" in said or "maximum_object_size" in said:
        return LimitExceeded("One row is too long.", details={"limit": "row size"})
    if found := re.search(r"Malformed JSON in file \"[^\"]*\", (at byte[^.]*)\.", said):
        return FileInvalid(f"The JSON is broken {found[1]}.")
    return FileInvalid(f"This {title} file cannot be read.", hint="It is damaged or cut off.")
