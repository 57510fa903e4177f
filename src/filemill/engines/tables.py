"""Tables: csv, tsv, JSON, ndjson, Parquet and Excel into each other, by DuckDB, as streams."""

# ruff: noqa: S608 (SQL is put together here: names and strings through `identifier`, `quoted`)
from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filemill import text
from filemill.engine import MB, Call, Engine, Limits, Loss, Option, Task, Work, routes
from filemill.errors import EngineError, LimitExceeded
from filemill.tabular import EXCEL, TEXT, open_table
from filemill.tabular.delimited import in_utf8
from filemill.tabular.duck import connect, identifier, quoted, reading
from filemill.tabular.sheets import ERRORS
from filemill.tabular.table import KINDS, Column, Table, typed

_READS = ("csv", "tsv", "json", "ndjson", "parquet")
_WRITES = (*_READS, "xlsx")
_EXCEL_ROWS = 1_048_576
_EXCEL_TEXT = 32_767
_JSON = frozenset({"json", "ndjson"})
_IN_JSON = ("BOOLEAN", "BIGINT", "DOUBLE")
"""Types that JSON has; dates are text there."""
_CHUNK = 5_000

_FORM = {
    "csv": "FORMAT csv, HEADER {header}, DELIMITER {delimiter}",
    "tsv": "FORMAT csv, HEADER {header}, DELIMITER '\t'",
    "json": "FORMAT json, ARRAY true",
    "ndjson": "FORMAT json",
    "parquet": "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880",
}


def build(task: Task) -> Work:
    arguments = {
        "input": task.input,
        "output": task.output,
        "source": task.source,
        "target": task.target,
        "options": dict(task.options),
        "threads": task.threads,
        "rows": task.facts.rows,
        "uncalculated": task.facts.uncalculated or (),
    }
    converted = Call("filemill.engines.tables:convert", arguments)
    if not (task.facts.errors and task.source in ERRORS):
        return Work((converted,), (task.output,))
    worded = Call(
        "filemill.tabular.sheets:word_errors", {"path": task.input, "format": task.source}
    )
    return Work((worded, converted), (task.output,))


def detour(task: Task) -> str | None:
    """LibreOffice calculates what was never calculated, and tells the errors of an xls, which
    calamine does not."""
    sheet = task.options.get("sheet", 1)
    missing = task.facts.uncalculated or ()
    if str(sheet).isdigit() and 0 < int(sheet) <= len(missing):
        missing = missing[int(sheet) - 1 : int(sheet)]
    return "xlsx" if any(missing) or (task.source == "xls" and task.facts.errors) else None


def convert(
    report: Callable[[float], None],
    *,
    input: str,
    output: str,
    source: str,
    target: str,
    options: Mapping[str, Any],
    threads: int,
    rows: int | None,
    uncalculated: Sequence[int] = (),
) -> None:
    with reading(source), connect(threads) as connection:
        if source in _JSON and target in _JSON:
            _copy_values(connection, in_utf8(input, marked=False), output, target)
            return
        verbatim = target in TEXT and (source in TEXT or source in EXCEL)
        # From text to text nothing is a name or a type: the first row is a row like others.
        read = {**options, "header": False} if verbatim else options
        table = open_table(connection, input, source, read, uncalculated)
        if target not in TEXT:
            table = typed(connection, table, _IN_JSON if target in _JSON else KINDS)
        query = _query(table, target)
        report(0.1)
        header = options.get("header", True)
        if target == "xlsx":
            titles = [column.title for column in table.columns] if header else None
            _write_xlsx(connection.execute(query), output, titles, report, rows)
        else:
            form = _FORM[target].format(
                header=header and not verbatim, delimiter=quoted(options.get("delimiter", ","))
            )
            connection.execute(f"COPY ({query}) TO {quoted(output)} ({form})")


def _query(table: Table, target: str) -> str:
    columns = (
        f"{_valued(column, target, len(table.columns) == 1)} AS {identifier(column.name)}"
        for column in table.columns
    )
    return f"SELECT {', '.join(columns)} FROM {table.source}"


def _valued(column: Column, target: str, alone: bool) -> str:
    """SQL of a column's value as the target can hold it."""
    value, type = column.value, column.type or "VARCHAR"
    nested = type.endswith("]") or type.startswith(("STRUCT", "MAP", "UNION", "VARIANT"))
    if target == "parquet":
        return value
    if type == "BLOB":
        return f"base64({value})"
    if nested and target not in _JSON:
        return f"CAST(to_json({value}) AS VARCHAR)"
    if target in _JSON and type in ("DOUBLE", "FLOAT"):  # JSON has no NaN
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if target in TEXT and alone:
        # A line with nothing in it is no row to most readers: it becomes "".
        return f"coalesce(CAST({value} AS VARCHAR), '')"
    return value


def _copy_values(connection: Any, input: str, output: str, target: str) -> None:
    """Between JSON and ndjson: each value as it is, on a line of its own."""
    values = connection.execute(
        f"SELECT CAST(json(json) AS VARCHAR) FROM read_json_objects({quoted(input)}, format='auto')"
    )
    start, between, end = ("[\n", ",\n", "\n]\n") if target == "json" else ("", "\n", "\n")
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        file.write(start)
        separator = ""
        for (value,) in _fetched(values):
            file.write(separator + value)
            separator = between
        file.write(end)


def _fetched(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(_CHUNK):
        yield from rows


def _write_xlsx(
    cursor: Any,
    output: str,
    titles: list[str] | None,
    report: Callable[[float], None],
    total: int | None,
) -> None:
    import xlsxwriter

    settings = {"constant_memory": True, "tmpdir": str(Path.cwd()), "nan_inf_to_errors": False}
    book = xlsxwriter.Workbook(output, settings)
    sheet = book.add_worksheet()
    formats: dict[type, Any] = {
        kind: book.add_format({"num_format": pattern})
        for kind, pattern in (
            (dt.datetime, "yyyy-mm-dd hh:mm:ss"),
            (dt.date, "yyyy-mm-dd"),
            (dt.time, "hh:mm:ss"),
        )
    }
    for at, row in enumerate(itertools.chain([tuple(titles)] if titles else [], _fetched(cursor))):
        if at == _EXCEL_ROWS:
            raise LimitExceeded(
                f"An Excel sheet holds {_EXCEL_ROWS:,} rows, this table has more.",
                hint="Convert to csv or parquet instead.",
                details={"limit": "rows", "allowed": _EXCEL_ROWS},
            )
        for column, value in enumerate(row):
            if value is not None:
                _write_cell(sheet, at, column, value, formats)
        if total and at % _CHUNK == 0:
            report(0.1 + 0.8 * at / total)
    book.close()


def _write_cell(sheet: Any, row: int, column: int, value: Any, formats: Mapping[type, Any]) -> None:
    """Text is written as text, whatever it begins with: never as a formula or a link."""
    match value:
        case bool():
            sheet.write_boolean(row, column, value)
            return
        case int() | float() if abs(value) < 10**15:  # a cell holds 15 digits; false for NaN
            sheet.write_number(row, column, value)
            return
        case float() if value == value and abs(value) != float("inf"):
            sheet.write_number(row, column, value)
            return
        case dt.datetime() if value.year >= 1900 and value.tzinfo is None:
            sheet.write_datetime(row, column, value, formats[dt.datetime])
            return
        case dt.date() if value.year >= 1900 and not isinstance(value, dt.datetime):
            sheet.write_datetime(row, column, value, formats[dt.date])
            return
        case dt.time() if value.tzinfo is None:
            sheet.write_datetime(row, column, value, formats[dt.time])
            return
    said = str(value)
    if len(said) > _EXCEL_TEXT:
        raise LimitExceeded(
            f"A cell in row {row + 1} has {len(said):,} characters.",
            hint=f"An Excel cell holds {_EXCEL_TEXT:,}: convert to csv or parquet instead.",
            details={"limit": "characters in a cell", "value": len(said), "allowed": _EXCEL_TEXT},
        )
    if sheet.write_string(row, column, said) < 0:
        raise EngineError(f"Row {row + 1} cannot be written to Excel.")


_DELIMITER = {"type": "string", "enum": [",", ";", "\t", "|"]}

ENGINE = Engine(
    name="tables",
    title="DuckDB",
    routes=(
        *routes(("csv", "tsv"), _WRITES, same=False),
        *routes(("csv",), ("csv",), same=True),
        *routes(("json", "ndjson"), ("json", "ndjson")),
        *routes(
            ("json", "ndjson"),
            ("csv", "tsv", "parquet", "xlsx"),
            loss=Loss.RECOMPRESSED,
            losses=("nested values become JSON text",),
        ),
        *routes(
            ("parquet",), ("csv", "tsv", "json", "ndjson", "xlsx"),
            loss=Loss.RECOMPRESSED, losses=("column types",),
        ),
        *routes(
            ("xlsx", "xls", "ods"),
            _READS,
            loss=Loss.CONTENT,
            losses=("formulas", "formatting", "all sheets but one"),
        ),
    ),
    build=build,
    detour=detour,
    options=(
        Option(
            "header",
            {"type": "boolean"},
            "Whether the first row holds the names of the columns (true). If not, they are called "
            "column1, column2 ..., and no such row is written.",
        ),
        Option("delimiter", _DELIMITER, "What stands between the fields.", frozenset({"csv"})),
        Option(
            "input_delimiter",
            _DELIMITER,
            "What stands between the fields of the uploaded file; found by itself if not given.",
            sources=frozenset({"csv"}),
        ),
        text.option(TEXT),
        Option(
            "sheet",
            {"type": ["string", "integer"]},
            "The sheet to take: its name, or its number from 1 (the first).",
            sources=EXCEL,
        ),
    ),
    modules=("duckdb", "python_calamine", "xlsxwriter"),
    limits=Limits(memory=3072 * MB, cpu=1200, wall=1200),
)  # fmt: skip
