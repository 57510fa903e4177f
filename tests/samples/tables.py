"""Small tables with everything that goes wrong in tables; one maker for all formats."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

HEADER = ["id", "name", "amount", "count", "long", "day", "note", "flag"]
ROWS: list[list[str | None]] = [
    ["007", "Zoë, the 1st", "12.50", "3", "12345678901234567890", "2024-02-29", "", "true"],
    ["008", 'say "hi"', "-0.25", "-4", "1", "1999-12-31", None, "false"],
    ["0", "two\nlines", "1000000", "0", "2", "2030-01-01", "=1+1", "true"],
    ["10", "日本語 🎉", None, "5", "3", None, "+49 30 1", None],
    ["1e5", "@sum", "3", "6", "4", "2024-03-01", "-x", "true"],
]
"""As text; None: null."""

TYPES = [str, str, float, int, str, dt.date, str, bool]
"""What each column is, once types are found."""


def values() -> list[list[object]]:
    """The rows as typed values."""
    return [
        [
            None if text is None else _value(text, kind)
            for text, kind in zip(row, TYPES, strict=True)
        ]
        for row in ROWS
    ]


def _value(text: str, kind: type) -> object:
    if kind is bool:
        return text == "true"
    if kind is dt.date:
        return dt.date.fromisoformat(text)
    return kind(text)


def make(format_id: str, path: Path) -> Path:
    """Write the table as `format_id`, by a library that the engine does not use for it."""
    match format_id:
        case "csv" | "tsv":
            delimiter = "," if format_id == "csv" else "\t"
            with path.open("w", encoding="utf-8", newline="") as file:
                write = csv.writer(file, delimiter=delimiter, lineterminator="\n")
                write.writerow(HEADER)
                for row in ROWS:
                    # QUOTE_NOTNULL of Python 3.12: "" is text, nothing is null.
                    cells = ["" if cell is None else _quoted(cell) for cell in row]
                    file.write(delimiter.join(cells) + "\n")
        case "json":
            path.write_text(json.dumps(_objects(), ensure_ascii=False, indent=1), "utf-8")
        case "ndjson":
            lines = (json.dumps(row, ensure_ascii=False) for row in _objects())
            path.write_text("\n".join(lines), "utf-8")
        case "parquet":
            import pyarrow
            from pyarrow import parquet

            columns = zip(*values(), strict=True)
            table = pyarrow.table(dict(zip(HEADER, map(list, columns), strict=True)))
            parquet.write_table(table, path)
        case "xlsx":
            import openpyxl

            book = openpyxl.Workbook()
            sheet = book.active
            sheet.append(HEADER)
            for number, row in enumerate(values(), 2):
                for column, value in enumerate(row, 1):
                    cell = sheet.cell(number, column, value)
                    if isinstance(value, str):
                        cell.data_type = "s"  # openpyxl takes "=1+1" for a formula
            book.create_sheet("More").append(["a", "b"])
            book.save(path)
        case _:
            raise ValueError(format_id)
    return path


def _quoted(text: str) -> str:
    plain = text and not set(text) & set(',"\n\t')
    return text if plain else '"' + text.replace('"', '""') + '"'


def _objects() -> list[dict[str, object]]:
    return [
        {
            name: value.isoformat() if isinstance(value, dt.date) else value
            for name, value in zip(HEADER, row, strict=True)
        }
        for row in values()
    ]
