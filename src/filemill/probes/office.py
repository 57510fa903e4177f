"""Office documents that are zip archives of XML: OOXML, OpenDocument and EPUB.

Reads the archive's directory and streams the XML part that holds the content, so that
memory is constant. Sources: ECMA-376, OASIS OpenDocument 1.3, EPUB 3.3.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.parsers import expat

from filemill.errors import FileInvalid, protected
from filemill.limits import MB, Ceilings
from filemill.model import Facts
from filemill.probes import ole
from filemill.probes.central import survey, weigh
from filemill.probes.size import size_of
from filemill.probes.xml import Count, Enough, Package, Parser, local

OTHER_XML = 16 * MB
"""How much of each part beside the main one is looked at for its depth."""

_MAIN = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}
_ODF = "application/vnd.oasis.opendocument."
_MIMETYPES = {"odt": f"{_ODF}text", "ods": f"{_ODF}spreadsheet", "odp": f"{_ODF}presentation"}
_TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"
_ROWS_REPEATED = f"{_TABLE} number-rows-repeated"
_COLUMNS_REPEATED = f"{_TABLE} number-columns-repeated"
_FORMULA = f"{_TABLE} formula"
_VALUE_TYPE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0 value-type"
_SHOWN_TYPE = "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0 value-type"
_IN_SHEET = {
    f"{namespace} {name}": name
    for namespace in (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://purl.oclc.org/ooxml/spreadsheetml/main",
    )
    for name in ("row", "c", "f", "v", "t")
}
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATION_STRICT = "http://purl.oclc.org/ooxml/officeDocument/relationships"


def probe(path: str, format: str, ceilings: Ceilings) -> Facts:
    """`Facts` of a docx, xlsx, pptx, odt, ods, odp or epub.

    Raises `FileInvalid` for what is broken, locked or of another format, `LimitExceeded`
    for what unpacks to too much."""
    size = size_of(path)
    try:
        with Path(path).open("rb") as file:
            if format in _MAIN and file.read(len(ole.MAGIC)) == ole.MAGIC:
                return ole.probe(path, format, ceilings)
            found = survey(file, ceilings)
        if found.locked:
            raise protected()
        with Package(path, ceilings) as archive:
            _check(archive, office=format != "epub")
            facts = _READERS[format](archive, format)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise FileInvalid(
            f"This is no complete {format} file.",
            hint="It is damaged, cut off, or another format than its name says.",
        ) from error
    except (expat.ExpatError, ValueError) as error:
        raise FileInvalid(f"The {format} file holds broken XML: {error}") from error
    return replace(Facts(format, size), **facts)


def _check(archive: Package, *, office: bool) -> None:
    """Every part, not only the one that we read: engines read them all."""
    weigh(archive)
    for name in archive.namelist():
        if not name.endswith((".xml", ".rels")):
            continue
        try:
            if office:
                Parser().read(archive, name, OTHER_XML)
            else:  # declarations stand before the first element
                Parser(_enough).read(archive, name)
        except (Enough, expat.ExpatError):
            pass  # which broken parts matter is the engine's to know


def _enough(*_: object) -> None:
    raise Enough


def _docx(archive: Package, format: str) -> dict[str, Any]:
    count = Count(frozenset({"t"})).read(archive, _main(archive, format))
    return {"characters": count.characters}


def _pptx(archive: Package, format: str) -> dict[str, Any]:
    presentation = _main(archive, format)
    slides = Count(frozenset(), frozenset({"sldId"})).read(archive, presentation).found
    folder = posixpath.dirname(presentation)
    count = Count(frozenset({"t"}))
    for name in archive.namelist():
        if re.fullmatch(rf"{re.escape(folder)}/slides/[^/]+\.xml", name):
            count.read(archive, name)
    return {"pages": slides, "characters": count.characters}


def _xlsx(archive: Package, format: str) -> dict[str, Any]:
    workbook = _main(archive, format)
    sheets: list[str] = []
    stale = False  # whether programs are told to calculate all of it anew

    def element(tag: str, attributes: Mapping[str, str]) -> None:
        nonlocal stale
        match local(tag):
            case "sheet":
                relation = (f"{namespace} id" for namespace in (_RELATION, _RELATION_STRICT))
                ids = (attributes[name] for name in relation if name in attributes)
                sheets.append(next(ids, ""))
            case "calcPr":
                stale = attributes.get("fullCalcOnLoad") in ("1", "true")

    Parser(element).read(archive, workbook)
    if not sheets:
        raise FileInvalid("The workbook has no sheets.")
    parts, names = _relations(archive, workbook), frozenset(archive.namelist())
    paths = [parts.get(relation, relation) for relation in sheets]
    found: dict[str, _Used] = {}
    for part in paths:
        if part in found:  # a hostile file has one many times
            continue
        used = found[part] = _Used()
        if part in names:
            Parser(used.start, used.text, used.end).read(archive, part)
    facts = _size([used.range for used in found.values()]) | {"sheets": len(sheets)}
    # XlsxWriter calculates nothing, and stores 0 as the result of every formula.
    zeros = stale and all(used.formulas == used.zeros for used in found.values())
    missing = [found[part].formulas if zeros else found[part].uncalculated for part in paths]
    if any(missing):
        facts |= {"uncalculated": missing, "zeros": zeros or None}
    return facts | {"errors": sum(used.errors for used in found.values()) or None}


@dataclass(slots=True)
class _Range:
    """The smallest that holds all of a sheet's values; rows and columns count from 1."""

    rows: int = 0
    columns: int = 0
    first_row: int = 1 << 30
    first_column: int = 1 << 30

    def add(self, row: int, column: int) -> None:
        # No min and max: this is run for every cell, and they are calls.
        if row > self.rows:
            self.rows = row
        if row < self.first_row:
            self.first_row = row
        if column > self.columns:
            self.columns = column
        if column < self.first_column:
            self.first_column = column


def _size(sheets: Sequence[_Range]) -> dict[str, Any]:
    """Rows and columns only of a table that begins in A1: readers disagree on what comes before
    others."""
    facts: dict[str, Any] = {
        "sheets": len(sheets),
        "last_row": max((sheet.rows for sheet in sheets), default=0),
        "last_column": max((sheet.columns for sheet in sheets), default=0),
    }
    first = next(iter(sheets), _Range())
    if (first.first_row, first.first_column) == (1, 1):
        facts |= {"rows": first.rows, "columns": first.columns}
    return facts


@dataclass(slots=True)
class _Used:
    """The range of an OOXML sheet's cells that hold values, and how many formulas have no stored
    result: programs that do not calculate write such. Run for every cell: it is short."""

    range: _Range = field(default_factory=_Range)
    row: int = 0
    column: int = 0
    inside: bool = False
    text_result: bool = False
    """The cell's result is text, which may be empty."""
    formula: bool = False
    """The cell has one,"""
    pending: bool = False
    """and no result so far."""
    formulas: int = 0
    uncalculated: int = 0
    zeros: int = 0
    """Formulas whose result is 0."""
    errors: int = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        match _IN_SHEET.get(tag):
            case "c":
                letters = attributes.get("r", "").rstrip("0123456789")
                self.column = _column(letters[:4]) if letters else self.column + 1
                kind = attributes.get("t")
                self.text_result = kind == "str"
                self.errors += kind == "e"
            case "v":
                self.inside = True
                if self.text_result:
                    self.pending = False
            case "t":
                self.inside = True
            case "f":
                self.formula = self.pending = True
                self.formulas += 1
            case "row":
                self.row = int(attributes.get("r", self.row + 1))
                self.column = 0

    def end(self, tag: str) -> None:
        self.inside = False  # values have no elements in them
        if self.formula and _IN_SHEET.get(tag) == "c":
            self.uncalculated += self.pending
            self.formula = self.pending = False

    def text(self, text: str) -> None:
        if self.inside:
            self.zeros += self.formula and text == "0"
            self.pending = False
            self.range.add(self.row, self.column)


@lru_cache(1 << 14)  # as many as a sheet has; a hostile file names more
def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter.upper()) - 64
    return number


def _main(archive: Package, format: str) -> str:
    """The part that the package's relations call the document; it tells the format, too."""
    part = next(
        (
            target
            for kind, target in _relations(archive, "", by_kind=True).items()
            if kind.endswith("/officeDocument")
        ),
        _MAIN[format],
    )
    archive.getinfo("[Content_Types].xml")
    archive.getinfo(part)
    wanted = posixpath.dirname(_MAIN[format])
    if not part.startswith(f"{wanted}/"):
        raise FileInvalid(
            f"The file is no {format}: its content is {part}.",
            hint="Upload it with the name that fits its format.",
        )
    return part


def _relations(archive: Package, part: str, *, by_kind: bool = False) -> dict[str, str]:
    """Id (or type) -> part, of the relations of `part` (ECMA-376 part 2, 9.3)."""
    folder, name = posixpath.split(part)
    found: dict[str, str] = {}

    def relation(tag: str, attributes: Mapping[str, str]) -> None:
        if local(tag) == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
            found[attributes.get("Type" if by_kind else "Id", "")] = target.lstrip("/")

    Parser(relation).read(archive, posixpath.join(folder, "_rels", f"{name}.rels"))
    return found


def _odf(archive: Package, format: str) -> dict[str, Any]:
    kind = _mimetype(archive)
    if kind.removesuffix("-template") != _MIMETYPES[format]:
        raise FileInvalid(
            f"The file is no {format}: it calls itself {kind[:80] or 'nothing'}.",
            hint="Upload it with the name that fits its format.",
        )
    locked = Count(frozenset(), frozenset({"encryption-data"}))
    if "META-INF/manifest.xml" in archive.namelist():
        locked.read(archive, "META-INF/manifest.xml")
    if locked.found:
        raise protected()
    if format == "ods":
        tables = _Tables()
        Parser(tables.start, tables.text, tables.end).read(archive, "content.xml")
        missing = tables.uncalculated if any(tables.uncalculated) else None
        return _size(tables.ranges) | {"uncalculated": missing, "errors": tables.errors or None}
    pages = frozenset({"page"} if format == "odp" else ())
    count = Count(frozenset({"p", "h"}), pages).read(archive, "content.xml")
    facts = {"characters": count.characters}
    return facts | {"pages": count.found} if format == "odp" else facts


@dataclass(slots=True)
class _Tables:
    """The ranges of an OpenDocument spreadsheet's cells that hold values. Rows and cells that are
    alike stand there once, with a number (ODF 1.3 part 3, 19.675 and 19.677)."""

    ranges: list[_Range] = field(default_factory=list)
    uncalculated: list[int] = field(default_factory=list)
    """How many formulas of each table have no stored result."""
    top: int = 0
    row: int = 0
    """Of the rows that are read as one, the first and the last; so of the cells:"""
    left: int = 0
    column: int = 0
    depth: int = 0
    cell: int = 0
    inside: int = 0
    """How deep the last cell is, and the paragraph of it that is being read; 0: none."""
    errors: int = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.depth += 1
        match local(tag):
            case "table":
                self.ranges.append(_Range())
                self.uncalculated.append(0)
                self.row = 0
            case "table-row":
                self.top = self.row + 1
                self.row += int(attributes.get(_ROWS_REPEATED, 1))
                self.column = 0
            case "table-cell" | "covered-table-cell":
                self.cell = self.depth
                self.left = self.column + 1
                self.column += int(attributes.get(_COLUMNS_REPEATED, 1))
                if attributes.get(_VALUE_TYPE, "string") != "string":
                    self._value()
                elif _FORMULA in attributes and _VALUE_TYPE not in attributes and self.ranges:
                    self.uncalculated[-1] += 1
                self.errors += attributes.get(_SHOWN_TYPE) == "error"
            case "p" if self.depth == self.cell + 1:  # those of notes and drawings are deeper
                self.inside = self.depth

    def end(self, _: str) -> None:
        if self.inside == self.depth:
            self.inside = 0
        self.depth -= 1

    def text(self, _: str) -> None:
        if self.inside:
            self._value()

    def _value(self) -> None:
        if self.ranges and self.row and self.column:
            self.ranges[-1].add(self.top, self.left)
            self.ranges[-1].add(self.row, self.column)


def _epub(archive: Package, format: str) -> dict[str, Any]:
    archive.getinfo("META-INF/container.xml")
    if _mimetype(archive) not in ("application/epub+zip", ""):
        raise FileInvalid(f"The file is no {format}.")
    if "META-INF/encryption.xml" in archive.namelist():
        locked = Count(frozenset(), frozenset({"EncryptedKey"}))
        if locked.read(archive, "META-INF/encryption.xml").found:
            raise FileInvalid("The book is protected by DRM.", hint="Upload a free copy of it.")
    packages: list[str] = []
    pages: dict[str, str] = {}

    def rootfile(tag: str, attributes: Mapping[str, str]) -> None:
        if local(tag) == "rootfile":
            packages.append(attributes.get("full-path", ""))

    def item(tag: str, attributes: Mapping[str, str]) -> None:
        if local(tag) == "item" and attributes.get("media-type") == "application/xhtml+xml":
            pages[attributes.get("id", "")] = attributes.get("href", "")

    Parser(rootfile).read(archive, "META-INF/container.xml")
    Parser(item).read(archive, packages[0] if packages else "")
    if not pages:
        raise FileInvalid("The book has no pages.")
    return {"entries": len(archive.namelist())}


def _mimetype(archive: Package) -> str:
    if "mimetype" not in archive.namelist():
        return ""
    with archive.open("mimetype") as file:
        return file.read(200).decode("ascii", "replace").strip()


_READERS: Mapping[str, Callable[[Package, str], dict[str, Any]]] = {
    "docx": _docx,
    "xlsx": _xlsx,
    "pptx": _pptx,
    "odt": _odf,
    "ods": _odf,
    "odp": _odf,
    "epub": _epub,
}
