"""The words in a document, read by libraries that the engines do not use to write it."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree


def words(path: Path, format_id: str) -> str:
    """All text of the file, with single spaces."""
    reader = _READERS.get(format_id, lambda path: [path.read_text(encoding="utf-8")])
    return " ".join(" ".join(reader(path)).split())


def pdf_pages(path: Path) -> list[str]:
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_range() for page in document]


def cells(path: Path, format_id: str) -> list[list[list[str]]]:
    """The cells of each sheet as text; numbers without a needless fraction."""
    match format_id:
        case "csv" | "tsv":
            separator = "," if format_id == "csv" else "\t"
            with path.open(encoding="utf-8", newline="") as file:
                return [list(csv.reader(file, delimiter=separator))]
        case "xlsx":
            import openpyxl

            book = openpyxl.load_workbook(path, data_only=True)
            return [[[_plain(c) for c in row] for row in sheet.values] for sheet in book]
        case "ods":
            return list(_ods(path))
    import fastexcel

    reader = fastexcel.read_excel(path)
    tables = (reader.load_sheet(n, header_row=None).to_arrow() for n in reader.sheet_names)
    return [[[_plain(c) for c in row.values()] for row in t.to_pylist()] for t in tables]


def _plain(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _ods(path: Path) -> Iterator[list[list[str]]]:
    office = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
    table = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
    for sheet in _part(path, "content.xml").iter(f"{table}table"):
        rows = []
        for row in sheet.iter(f"{table}table-row"):
            found = []
            for cell in row.iter(f"{table}table-cell"):
                value = cell.get(f"{office}value")
                found.append(_plain(float(value)) if value else "".join(cell.itertext()))
            while found and not found[-1]:
                found.pop()
            if found:
                rows.append(found)
        yield rows


def _part(path: Path, name: str) -> ElementTree.Element:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return ElementTree.fromstring(archive.read(name))


def _docx(path: Path) -> Iterator[str]:
    import docx

    document = docx.Document(str(path))
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            yield from (cell.text for row in block.rows for cell in row.cells)
        else:
            yield block.text


def _pptx(path: Path) -> Iterator[str]:
    import pptx

    for slide in pptx.Presentation(str(path)).slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                yield shape.text_frame.text
            elif getattr(shape, "has_table", False):
                yield from (cell.text for row in shape.table.rows for cell in row.cells)


def _odf(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "mimetype"
    for element in _part(path, "content.xml").iter():
        if element.tag.rpartition("}")[2] in ("p", "h"):
            yield "".join(_spaced(element))


def _spaced(element: ElementTree.Element) -> Iterator[str]:
    if element.tag.rpartition("}")[2] in ("s", "tab", "line-break"):
        yield " "
    yield element.text or ""
    for child in element:
        yield from _spaced(child)
        yield child.tail or ""


def _xml(path: Path) -> Iterator[str]:
    yield from ElementTree.parse(path).getroot().itertext()


def _opml(path: Path) -> Iterator[str]:
    for element in ElementTree.parse(path).iter("outline"):
        yield from element.attrib.values()


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(data)


def html(text: str) -> str:
    parser = _Html()
    parser.feed(text)
    parser.close()
    return "".join(parser.found)


def _epub(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            if name.endswith((".xhtml", ".html")):
                yield html(archive.read(name).decode())


def _ipynb(path: Path) -> Iterator[str]:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        yield "".join(cell["source"])


def _rtf(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="ascii")
    text = re.sub(r"\\u(-?\d+) ?(\\'..|\?)?", lambda m: chr(int(m[1]) % 65536), text)
    text = re.sub(r"\\'([0-9a-f]{2})", lambda m: bytes.fromhex(m[1]).decode("cp1252"), text)
    yield re.sub(r"\\[a-z]+-?\d* ?|\\\*|[{}]", "", text.replace("\n", ""))


def _ole(path: Path) -> Iterator[str]:
    """Whatever looks like text in either of the two encodings that it can have."""
    data = path.read_bytes()
    assert data.startswith(b"\xd0\xcf\x11\xe0")
    for encoding in ("cp1252", "utf-16-le"):
        yield data.decode(encoding, "ignore").replace("\0", "")


def _sheets(format_id: str) -> Callable[[Path], Iterator[str]]:
    def read(path: Path) -> Iterator[str]:
        for sheet in cells(path, format_id):
            for row in sheet:
                yield from row

    return read


_READERS: dict[str, Callable[[Path], Iterator[str] | list[str]]] = {
    "pdf": pdf_pages,
    "docx": _docx,
    "pptx": _pptx,
    "odt": _odf,
    "odp": _odf,
    "docbook": _xml,
    "jats": _xml,
    "fb2": _xml,
    "opml": _opml,
    "html": lambda path: [html(path.read_text(encoding="utf-8"))],
    "epub": _epub,
    "ipynb": _ipynb,
    "rtf": _rtf,
    "doc": _ole,
    "ppt": _ole,
    **{name: _sheets(name) for name in ("csv", "tsv", "xlsx", "xls", "ods")},
}
