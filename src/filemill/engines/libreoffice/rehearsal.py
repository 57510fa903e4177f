"""Small documents of ours, one for each module of LibreOffice, for a waiting process to convert:
what it loads for them it has when a document comes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from filemill.engine import Command, Work
from filemill.engines.libreoffice.program import HERE

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OPC = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_OOXML = "application/vnd.openxmlformats-officedocument"
_ML = "http://schemas.openxmlformats.org"


def work() -> Work:
    documents = {"docx": _docx(), "xlsx": _xlsx(), "odp": _odp()}
    argv = ("soffice", "--convert-to", "pdf", "--outdir", f"file://{HERE}")
    commands = (
        Command((*argv, f"file://{HERE}/rehearsal.{kind}"), files={f"rehearsal.{kind}": content})
        for kind, content in documents.items()
    )
    return Work(tuple(commands), ("rehearsal.pdf",))


def _docx() -> bytes:
    text = "".join(
        f"<w:p><w:r><w:rPr>{style}</w:rPr><w:t>Words to set.</w:t></w:r></w:p>"
        for style in ("", "<w:b/>", "<w:i/>")
    )
    cell = "<w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p></w:tc>"
    table = f"<w:tbl><w:tblGrid><w:gridCol/></w:tblGrid><w:tr>{cell}</w:tr></w:tbl><w:p/>"
    body = f'<w:document xmlns:w="{_ML}/wordprocessingml/2006/main"><w:body>{text}{table}</w:body>'
    return _package(
        ("word/document.xml", f"{_OOXML}.wordprocessingml.document.main+xml"),
        {"word/document.xml": f"{body}</w:document>"},
    )


def _xlsx() -> bytes:
    main = f'xmlns="{_ML}/spreadsheetml/2006/main"'
    sheet = "xl/worksheets/sheet1.xml"
    return _package(
        ("xl/workbook.xml", f"{_OOXML}.spreadsheetml.sheet.main+xml"),
        {
            "xl/workbook.xml": f'<workbook {main} xmlns:r="{_OFFICE}"><sheets>'
            '<sheet name="a" sheetId="1" r:id="a"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": _relations(("worksheet", "worksheets/sheet1.xml")),
            sheet: f'<worksheet {main}><sheetData><row r="1"><c r="A1"><v>1</v></c>'
            '<c r="B1"><f>A1+1</f></c></row></sheetData></worksheet>',
        },
        (sheet, f"{_OOXML}.spreadsheetml.worksheet+xml"),
    )


def _odp() -> bytes:
    names = ("office", "text", "drawing")
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in names
    )
    body = (
        f'<office:document-content {spaces} office:version="1.2"><office:body><office:presentation>'
        '<drawing:page drawing:name="a"><drawing:frame><drawing:text-box><text:p>Words to set.'
        "</text:p></drawing:text-box></drawing:frame></drawing:page></office:presentation>"
        "</office:body></office:document-content>"
    )
    manifest = (
        '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" m:version="1.2">'
        '<m:file-entry m:full-path="/" '
        'm:media-type="application/vnd.oasis.opendocument.presentation"/>'
        '<m:file-entry m:full-path="content.xml" m:media-type="text/xml"/></m:manifest>'
    )
    return _zip(
        {
            "mimetype": "application/vnd.oasis.opendocument.presentation",
            "META-INF/manifest.xml": _XML + manifest,
            "content.xml": _XML + body,
        }
    )


def _package(main: tuple[str, str], parts: Mapping[str, str], *more: tuple[str, str]) -> bytes:
    """An OPC package (ECMA-376, part 2) of `parts`; (name, type) of the first of them."""
    types = "".join(
        f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in (main, *more)
    )
    rels = "application/vnd.openxmlformats-package.relationships+xml"
    head = {
        "[Content_Types].xml": f'<Types xmlns="{_OPC}/content-types">'
        f'<Default Extension="rels" ContentType="{rels}"/>{types}</Types>',
        "_rels/.rels": _relations(("officeDocument", main[0])),
    }
    return _zip({name: _XML + text for name, text in (head | dict(parts)).items()})


def _relations(*relations: tuple[str, str]) -> str:
    links = "".join(
        f'<Relationship Id="a" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for kind, target in relations
    )
    return f'<Relationships xmlns="{_OPC}/relationships">{links}</Relationships>'


def _zip(parts: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return packed.getvalue()
