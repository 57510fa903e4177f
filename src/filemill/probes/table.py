"""Counting the rows and columns of tables, as a stream."""

# ruff: noqa: S608 (the only strings in the SQL are our own file names, quoted)
from __future__ import annotations

from pathlib import Path
from typing import Any

from filemill.engine import MB
from filemill.errors import FileInvalid
from filemill.limits import Ceilings
from filemill.model import Facts
from filemill.probes.json import shallow
from filemill.probes.size import size_of
from filemill.tabular import TEXT, open_table
from filemill.tabular.delimited import count, in_utf8, ragged
from filemill.tabular.duck import connect, quoted, reading

SMALL = MB
COUNTED = 1024 * MB
"""Larger text files are not counted."""


def probe(path: str, format: str, ceilings: Ceilings) -> Facts:
    """`Facts` of a csv, tsv, json, ndjson or parquet: rows (the names of the columns are one)
    and columns, where they are a proper table."""
    size = size_of(path)
    if format in ("json", "ndjson"):
        path = in_utf8(path, marked=False)
        shallow(Path(path), ceilings)
    rows = columns = None
    if format in TEXT and size <= SMALL and (found := count(path, format)):
        rows, columns = found
    elif size <= COUNTED or format == "parquet":
        with reading(format), connect() as connection:
            if format in ("json", "ndjson"):
                rows = _values(connection, path)
            else:
                rows, columns = _cells(connection, path, format)
    return Facts(format, size, rows=rows, columns=columns)


def _cells(connection: Any, path: str, format: str) -> tuple[int | None, int | None]:
    table = open_table(connection, path, format, {"header": False})
    try:
        with reading(format):
            (rows,) = connection.execute(f"SELECT count(*) FROM {table.source}").fetchone()
    except FileInvalid as error:
        # Rows of unequal length: not for us, but good enough for an engine that lays it out.
        if "line" in error.details:
            return ragged(path, format)
        raise
    return rows + (format not in TEXT), len(table.columns)


def _values(connection: Any, path: str) -> int | None:
    """The rows of arrays of objects or arrays; any other JSON is valid, but no table."""
    rows: int
    rows, objects, arrays = connection.execute(
        "SELECT count(*), count(*) FILTER (json_type(json) = 'OBJECT'), "
        "count(*) FILTER (json_type(json) = 'ARRAY') "
        f"FROM read_json_objects({quoted(path)}, format='auto')"
    ).fetchone()
    if not rows or rows not in (objects, arrays):
        return None
    return rows + 1 if objects == rows else rows
