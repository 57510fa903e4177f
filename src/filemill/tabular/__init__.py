"""Reading tables of every format as one thing: a DuckDB query over exact text. Floor 1.

Used by the tables engine and the table probe, in their worker processes. Values stay
what they are: a column becomes numbers, booleans or dates only if every value of it
comes back the same from that type, so "007", 20-digit numbers and "1e5" stay text.
A column of a JSON or Excel file that holds any text is text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from filemill.errors import LimitExceeded
from filemill.tabular.delimited import delimited_table, in_utf8
from filemill.tabular.nested import json_table, parquet_table
from filemill.tabular.sheets import sheet_table
from filemill.tabular.table import MAX_COLUMNS, Table

TEXT = frozenset({"csv", "tsv"})
EXCEL = frozenset({"xlsx", "xls", "ods"})


def open_table(
    connection: Any,
    path: str,
    format: str,
    options: Mapping[str, Any],
    uncalculated: Sequence[int] = (),
) -> Table:
    """The table in the file at `path`. Options: header, input_delimiter, encoding, sheet.
    `uncalculated`: formulas of each sheet of a workbook that have no stored result.

    Raises `FileInvalid` and `LimitExceeded`."""
    header = options.get("header", True)
    if format in TEXT:
        table = delimited_table(path, format, options)
    elif format in EXCEL:
        table = sheet_table(path, options.get("sheet", 1), header, uncalculated)
    elif format == "parquet":
        table = parquet_table(connection, path)
    else:
        table = json_table(connection, in_utf8(path, marked=False), header)
    if len(table.columns) > MAX_COLUMNS:
        raise LimitExceeded(
            f"The table has {len(table.columns)} columns.",
            details={"limit": "columns", "value": len(table.columns), "allowed": MAX_COLUMNS},
        )
    return table
