"""LibreOffice: word processing, spreadsheets and presentations into each other and to PDF.

Each conversion is one private `soffice.bin` on a profile of its own. A profile that
looks as if this version had been started before saves two thirds of the start
(measured: 0.35 s against 1.14 s, a docx to PDF): `ooSetupLastVersion` stops the
graphics tests, the build id and the time stamps stop the search for extensions.
Filters are always named, so that a file's content never chooses how it is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from filemill import text
from filemill.engine import (
    MB,
    Call,
    Command,
    Engine,
    Exit,
    Limits,
    Loss,
    Option,
    Process,
    Task,
    Tool,
    Work,
    engine_failed,
    routes,
)
from filemill.engines.libreoffice import profile
from filemill.engines.libreoffice.program import ENVIRONMENT, HERE, START, find, installed
from filemill.engines.libreoffice.waiting import standby
from filemill.errors import BadOptions, FileInvalid, FilemillError
from filemill.limits import refuse

_CSV = "Text - txt - csv (StarCalc)"
_READ = {
    "docx": "MS Word 2007 XML",
    "doc": "MS Word 97",
    "odt": "writer8",
    "rtf": "Rich Text Format",
    "txt": "Text (encoded):UTF8,LF,,,",
    "xlsx": "Calc MS Excel 2007 XML",
    "xls": "MS Excel 97",
    "ods": "calc8",
    # separator, quote, UTF-8, first line, columns, en-US, not all as text, only plain numbers,
    # three for writing, the sheet, and no formulas: a cell that begins with = stays text
    "csv": f"{_CSV}:44,34,76,1,,1033,false,false,false,false,false,0,false",
    "tsv": f"{_CSV}:9,34,76,1,,1033,false,false,false,false,false,0,false",
    "pptx": "Impress MS PowerPoint 2007 XML",
    "ppt": "MS PowerPoint 97",
    "odp": "impress8",
}
_WRITE = {
    **_READ,
    # ... quotes where needed, cells as shown, no formulas, spaces kept, the first sheet
    "csv": f"{_CSV}:44,34,76,1,,1033,false,true,false,false,false,0",
    "tsv": f"{_CSV}:9,34,76,1,,1033,false,true,false,false,false,0",
    "html": "HTML (StarCalc)",
}
_PDF = {
    **dict.fromkeys(("docx", "doc", "odt", "rtf", "txt"), "writer_pdf_Export"),
    **dict.fromkeys(("xlsx", "xls", "ods", "csv", "tsv"), "calc_pdf_Export"),
    **dict.fromkeys(("pptx", "ppt", "odp"), "impress_pdf_Export"),
}
_TEXT = frozenset({"txt", "csv", "tsv"})
_SHEET = {"xls": (65_536, 256)}
"""Rows and columns that a sheet of the target holds. LibreOffice cuts off the rest, says so in a
window that nobody sees, and ends with status 0."""
_USUAL_SHEET = (1_048_576, 16_384)
"""Those of any other, and of LibreOffice's own memory."""
_WORDS = ("docx", "odt", "rtf", "doc")
_SHEETS = ("xlsx", "ods", "xls")
_SLIDES = ("pptx", "odp", "ppt")


def pdf_options(options: dict[str, Any]) -> dict[str, dict[str, str]]:
    """LibreOffice's PDF export settings, as the JSON it takes since 7.4."""
    chosen: dict[str, tuple[str, Any]] = {}
    if pages := options.get("pages"):
        chosen["PageRange"] = "string", pages
    if pdfa := options.get("pdfa"):
        chosen["SelectPdfVersion"] = "long", pdfa[0]
    if quality := options.get("quality"):
        chosen["Quality"] = "long", quality
    if options.get("one_page_per_sheet"):
        chosen["SinglePageSheets"] = "boolean", "true"
    return {name: {"type": kind, "value": str(value)} for name, (kind, value) in chosen.items()}


def _fits(task: Task) -> None:
    """Raises `LimitExceeded` for a table that LibreOffice would cut off."""
    facts, (rows, columns) = task.facts, _SHEET.get(task.target, _USUAL_SHEET)
    better = "xlsx or ods" if task.target in _SHEET else "csv or parquet"
    for limit, value, allowed in (
        ("rows", facts.last_row or facts.rows or 0, rows),
        ("columns", facts.last_column or facts.columns or 0, columns),
    ):
        refuse(
            limit,
            value,
            allowed,
            f"The table has {{value}} {limit}, a sheet holds {{allowed}} on the way to "
            f"{task.target}.",
            f"Convert it to {better} instead, or split it.",
        )


def build(task: Task) -> Work:
    _fits(task)
    target = task.output.rpartition(".")[2]
    if task.target == "pdf":
        settings = json.dumps(pdf_options(dict(task.options)), separators=(",", ":"))
        written = f"{_PDF[task.source]}:{settings}"
    else:
        written = _WRITE[task.target]
    # The result has the input's name: one of the same kind must not be in its place.
    source = Path(task.input).stem if task.source == task.target else task.input
    # The paper's size is in the profile.
    locale = "en-US" if task.options.get("paper") == "letter" else ""
    calculate = bool(task.facts.zeros)  # what has no result it calculates anyway
    soffice = Command(
        (
            *START,
            f"--infilter={_READ[task.source]}",
            "--convert-to",
            f"{target}:{written}",
            "--outdir",
            f"file://{HERE}",
            f"file://{HERE}/{source}",
        ),
        env=ENVIRONMENT,
        files=profile.files(*installed(), locale=locale, calculate=calculate),
        standby=not (locale or calculate),
    )
    given = task.options.get("encoding")
    processes: tuple[Process, ...] = (soffice,)
    if task.source in _TEXT:
        arguments = {"path": task.input, "format": task.source, "encoding": given}
        processes = Call(f"{__name__}:prepare", arguments), soffice
    elif source != task.input:
        arguments = {"path": task.input, "name": source}
        processes = Call(f"{__name__}:rename", arguments), soffice
    return Work(processes, (f"{Path(task.input).stem}.{target}",))


def prepare(report: Callable[[float], None], path: str, format: str, encoding: str | None) -> None:
    """Make a text file what its filter is told to expect: UTF-8, and the usual separator."""
    text.to_utf8(Path(path), encoding)
    if format != "txt":
        text.to_usual(Path(path), format)
    report(1.0)


def rename(report: Callable[[float], None], path: str, name: str) -> None:
    Path(path).rename(name)
    report(1.0)


def diagnose(title: str, ended: Exit) -> FilemillError:
    if re.search(r"could not be loaded|read error|Format error", ended.stderr, re.IGNORECASE):
        return FileInvalid(
            f"{title} cannot read this file: it is damaged, or not what its name says.",
            hint="Open it in the program that made it, save it again and send that.",
        )
    if "0xc10" in ended.stderr:  # it could not write: what an empty page range leads to
        return BadOptions(
            f"{title} wrote nothing.", hint="Does `pages` name pages that the file has?"
        )
    return engine_failed(title, ended)


_LAYOUT = ("details of the layout",)
_ROUTES = (
    *routes(_WORDS, _WORDS, loss=Loss.LAYOUT, cost=10, losses=_LAYOUT),
    *routes(_WORDS, ("txt",), loss=Loss.CONTENT, cost=10, losses=("formatting", "images")),
    *routes(("txt",), _WORDS, loss=Loss.RECOMPRESSED, cost=10),
    *routes(_SHEETS, _SHEETS, loss=Loss.LAYOUT, cost=10, losses=_LAYOUT),
    *routes(("xlsx",), ("xlsx",), loss=Loss.LAYOUT, cost=10, losses=_LAYOUT, same=True),
    *routes(
        _SHEETS,
        ("csv", "tsv"),
        loss=Loss.CONTENT,
        cost=10,
        losses=("formatting", "formulas", "sheets after the first"),
    ),
    *routes(
        _SHEETS, ("html",), loss=Loss.FLATTENED, cost=10, losses=("formulas", "charts", "images")
    ),
    *routes(("csv", "tsv"), _SHEETS, loss=Loss.RECOMPRESSED / 2, cost=10),
    *routes(_SLIDES, _SLIDES, loss=Loss.LAYOUT, cost=10, losses=_LAYOUT),
    *routes(_PDF, ("pdf",), loss=Loss.FLATTENED, cost=12, losses=("editable structure",)),
)

# INCLUDEPICTURE and linked objects: their filters follow them whatever the profile says.
_REACHING = frozenset({"rtf", "doc"})
_ROUTES = tuple(
    replace(route, needs_landlock=True) if route.source in _REACHING else route for route in _ROUTES
)

_TO_PDF = frozenset({"pdf"})
_OPTIONS = (
    Option(
        "pages",
        {"type": "string", "pattern": r"^[1-9]\d*(-([1-9]\d*)?)?(,[1-9]\d*(-([1-9]\d*)?)?)*$"},
        "Pages to keep, for example 1-3,5.",
        _TO_PDF,
    ),
    Option(
        "pdfa",
        {"type": "string", "enum": ["1b", "2b", "3b"]},
        "Make an archivable PDF/A of this conformance level (ISO 19005).",
        _TO_PDF,
    ),
    Option(
        "quality",
        {"type": "integer", "minimum": 1, "maximum": 100},
        "JPEG quality of the images inside, 1 to 100; 90 unless told.",
        _TO_PDF,
    ),
    Option(
        "one_page_per_sheet",
        {"type": "boolean"},
        "Fit each sheet on one page of its own.",
        _TO_PDF,
        frozenset((*_SHEETS, "csv", "tsv")),
    ),
    Option(
        "paper",
        {"type": "string", "enum": ["a4", "letter"]},
        "Paper size for files that do not say one; a4 unless told.",
        sources=_TEXT | {"rtf"},
    ),
    text.option(_TEXT),
)

ENGINE = Engine(
    name="libreoffice",
    title="LibreOffice",
    routes=_ROUTES,
    build=build,
    options=_OPTIONS,
    tools=(
        Tool(
            "soffice",
            find,
            hint="apt install libreoffice-writer-nogui libreoffice-calc-nogui"
            " libreoffice-impress-nogui",
            reads=(
                "/usr/lib/libreoffice",
                "/usr/lib64/libreoffice",
                "/opt",
                "/etc/libreoffice",
                "/usr/share/libreoffice",
                "/etc/fonts",
                "/usr/share/fontconfig",
                "/usr/share/fonts",
                "/usr/local/share/fonts",
                "/var/cache/fontconfig",
            ),
        ),
    ),
    limits=Limits(memory=4096 * MB, cpu=600, wall=600, idle=30),
    standby=standby,
    diagnose=diagnose,
)
