"""Sheets of xlsx, xls, ods."""

from __future__ import annotations

import csv
import datetime as dt
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from filemill.errors import FileInvalid, protected
from filemill.tabular.delimited import beside, text_table
from filemill.tabular.table import Table

_CHUNK = 1 << 20
_EXACT = 2**53
"""Whole numbers below this are what they seem to be (IEEE 754)."""
ERRORS: Mapping[str, tuple[str, bytes, bytes]] = {
    "xlsx": (r"xl/.*\.xml", rb"""(<(?:\w+:)?c\s[^<]*?\bt=["'])e(?=["'])""", rb"\1str"),
    "ods": (
        r"content\.xml",
        rb"""(<[^<]*?)\soffice:string-value=(?:"[^"<]*"|'[^'<]*')"""
        rb"""(?=[^<]*\scalcext:value-type=["']error["'])""",
        rb"\1",
    ),
}
"""Of each format: the parts with cells, and what in the start tag of a cell with an error is to be
replaced with what, so that what it shows is its value (ECMA-376 part 1, 18.18.11)."""


def word_errors(report: Callable[[float], None], path: str, format: str) -> None:
    """Rewrite a workbook in place so that its errors (#N/A) are texts: calamine reads a cell with
    an error as an empty one."""
    parts, error, worded = ERRORS[format]
    copy = Path(beside(path, "worded"))
    with (
        zipfile.ZipFile(path) as source,
        zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for name in source.namelist():
            with source.open(name) as part, target.open(name, "w", force_zip64=True) as written:
                if re.fullmatch(parts, name):
                    written.writelines(re.sub(error, worded, xml) for xml in _whole_tags(part))
                else:
                    shutil.copyfileobj(part, written)
    copy.replace(path)
    report(0.1)


def _whole_tags(file: IO[bytes]) -> Iterator[bytes]:
    """The file in chunks that no tag is cut by."""
    held = b""
    while chunk := file.read(_CHUNK):
        whole, opened, rest = (held + chunk).rpartition(b"<")
        yield whole
        held = opened + rest
    yield held


def sheet_table(
    path: str, wanted: int | str, header: bool, uncalculated: Sequence[int] = ()
) -> Table:
    """The sheet as a csv file beside it: a sheet is read whole, cells one by one."""
    sheet = sheet_of(path, wanted, uncalculated)
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


def sheet_of(path: str, wanted: int | str = 1, uncalculated: Sequence[int] = ()) -> Any:
    """A sheet by its number, from 1, or its name. `uncalculated`: how many formulas of each sheet
    have no stored result; they would be read as empty cells.

    Raises `FileInvalid` for a sheet that is not there, is locked or has such formulas."""
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound

    try:
        book = CalamineWorkbook.from_path(path)
        if isinstance(wanted, int) or (wanted.isdigit() and wanted not in book.sheet_names):
            number = int(wanted) - 1
        else:
            number = book.sheet_names.index(wanted)
        sheet = book.get_sheet_by_index(number)
    except (WorksheetNotFound, OverflowError, ValueError):
        names = ", ".join(book.sheet_names[:20])
        raise FileInvalid(f"There is no sheet {wanted!r}.", hint=f"Its sheets: {names}.") from None
    except CalamineError as error:
        if "assword" in str(error):
            raise protected() from None
        raise FileInvalid(f"The workbook cannot be read: {str(error)[:200]}.") from None
    if missing := sum(uncalculated[number : number + 1]):
        raise FileInvalid(
            f"The sheet has {missing} {'formula' if missing == 1 else 'formulas'} without a stored "
            "result: the program that wrote it did not calculate.",
            hint="Open it in Excel or LibreOffice and save it.",
        )
    return sheet


def _cell(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
        case dt.datetime():
            return value.isoformat(" ")
        case dt.timedelta():
            # A day is stored as 1: the last digits of a part of it are noise.
            seconds, thousandths = divmod(round(value / dt.timedelta(milliseconds=1)), 1000)
            minutes, seconds = divmod(seconds, 60)
            part = f".{thousandths:03d}" if thousandths else ""
            return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{part}"
        case _:
            return str(value)
