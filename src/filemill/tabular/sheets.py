"""Sheets of xlsx, xls, ods."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Any

from filemill.errors import FileInvalid
from filemill.tabular.delimited import beside, text_table
from filemill.tabular.table import Table


def sheet_table(path: str, wanted: int | str, header: bool) -> Table:
    """The sheet as a csv file beside it: a sheet is read whole, cells one by one."""
    sheet = sheet_of(path, wanted)
    copy = beside(path, "csv")
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
