"""Documents, one for each source format: a heading, a sentence, a list and a table.

Written by other libraries than the engines use, or by hand. The three binary formats of
Office 97-2003, which nothing free but LibreOffice writes, are files made by it.
"""

from __future__ import annotations

import json
import lzma
import shutil
import zipfile
from pathlib import Path

HEADING = "A fable of speed"
SENTENCE = "The quick brown fox jumps over the lazy dog."
UMLAUTS = "Grüße"
SLIDES = 3
CELLS = (("animal", "legs", "weight"), ("fox", 4, 8.25), (UMLAUTS, 0, -3.5), (SENTENCE, 4, 12))
SECOND = "Second sheet"
FILES = Path(__file__).parent / "files"

MARKUP: dict[str, str] = {
    "md": f"""---
title: Fables
---

# {HEADING}

{SENTENCE} **Bold** {UMLAUTS}.

- one
- two

| animal | legs |
|--------|------|
| fox    | 4    |
""",
    "html": f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Fables</title></head><body>
<h1>{HEADING}</h1><p>{SENTENCE} <b>Bold</b> {UMLAUTS}.</p><ul><li>one</li><li>two</li></ul>
<table><tr><th>animal</th><th>legs</th></tr><tr><td>fox</td><td>4</td></tr></table>
</body></html>
""",
    "rst": f"""{HEADING}
{"=" * len(HEADING)}

{SENTENCE} **Bold** {UMLAUTS}.

- one
- two

====== ====
animal legs
====== ====
fox    4
====== ====

Another
=======
""",
    "tex": rf"""\documentclass{{article}}
\title{{Fables}}
\begin{{document}}
\section{{{HEADING}}}
{SENTENCE} \textbf{{Bold}} {UMLAUTS}.
\begin{{itemize}}\item one \item two\end{{itemize}}
\begin{{tabular}}{{ll}} animal & legs \\ fox & 4 \\ \end{{tabular}}
\end{{document}}
""",
    "org": f"""* {HEADING}

{SENTENCE} *Bold* {UMLAUTS}.

- one
- two

| animal | legs |
|--------+------|
| fox    | 4    |
""",
    "adoc": f"""== {HEADING}

{SENTENCE} *Bold* {UMLAUTS}.

* one
* two

|===
|animal |legs

|fox
|4
|===
""",
    "textile": f"""h1. {HEADING}

{SENTENCE} *Bold* {UMLAUTS}.

* one
* two

|_. animal |_. legs |
| fox | 4 |
""",
    "mediawiki": f"""= {HEADING} =

{SENTENCE} '''Bold''' {UMLAUTS}.

* one
* two

{{|
! animal !! legs
|-
| fox || 4
|}}
""",
    "typst": f"""= {HEADING}

{SENTENCE} *Bold* {UMLAUTS}.

- one
- two

#table(columns: 2, [animal], [legs], [fox], [4])
""",
    "docbook": f"""<?xml version="1.0" encoding="UTF-8"?>
<article xmlns="http://docbook.org/ns/docbook" version="5.0"><title>Fables</title>
<section><title>{HEADING}</title><para>{SENTENCE} <emphasis role="bold">Bold</emphasis>
{UMLAUTS}.</para><itemizedlist><listitem><para>one</para></listitem></itemizedlist></section>
</article>
""",
    "jats": f"""<?xml version="1.0" encoding="UTF-8"?>
<article><front><article-meta><title-group><article-title>Fables</article-title></title-group>
</article-meta></front><body><sec><title>{HEADING}</title><p>{SENTENCE} <bold>Bold</bold>
{UMLAUTS}.</p></sec></body></article>
""",
    "opml": f"""<?xml version="1.0" encoding="UTF-8"?>
<opml version="2.0"><head><title>Fables</title></head><body>
<outline text="{HEADING}"><outline text="{SENTENCE}"/><outline text="{UMLAUTS}"/></outline>
</body></opml>
""",
    "fb2": f"""<?xml version="1.0" encoding="UTF-8"?>
<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"><description><title-info>
<book-title>Fables</book-title></title-info></description><body><section>
<title><p>{HEADING}</p></title><p>{SENTENCE} <strong>Bold</strong> {UMLAUTS}.</p></section>
</body></FictionBook>
""",
    "txt": f"{HEADING}\n\n{SENTENCE}\n{UMLAUTS}\n",
    "rtf": rf"""{{\rtf1\ansi\ansicpg1252\deff0{{\fonttbl{{\f0 DejaVu Serif;}}}}
{{\pard\fs36\b {HEADING}\par}}
{{\pard {SENTENCE} {{\b Bold}} Gr\u252?\u223?e.\par}}
}}
""",
}


def make(format_id: str, path: Path) -> Path:
    """Write the sample of `format_id` to `path`."""
    if text := MARKUP.get(format_id):
        path.write_text(text, encoding="utf-8")
    elif format_id == "ppt":  # 600 kB, nearly all of them zeros
        path.write_bytes(lzma.decompress((FILES / "fable.ppt.xz").read_bytes()))
    elif format_id in ("doc", "xls"):
        shutil.copyfile(FILES / f"fable.{format_id}", path)
    elif format_id in ("csv", "tsv"):
        separator = "," if format_id == "csv" else "\t"
        lines = (separator.join(map(str, row)) + "\n" for row in CELLS)
        path.write_text("".join(lines), encoding="utf-8")
    else:
        _WRITERS[format_id](path)
    return path


def _docx(path: Path) -> None:
    import docx

    document = docx.Document()
    document.add_heading(HEADING, 1)
    paragraph = document.add_paragraph(f"{SENTENCE} ")
    paragraph.add_run("Bold").bold = True
    paragraph.add_run(f" {UMLAUTS}.")
    for item in ("one", "two"):
        document.add_paragraph(item, style="List Bullet")
    table = document.add_table(2, 2)
    for at, word in enumerate(("animal", "legs", "fox", "4")):
        table.cell(at // 2, at % 2).text = word
    document.save(str(path))


def _xlsx(path: Path) -> None:
    import openpyxl

    workbook = openpyxl.Workbook()
    sheet = workbook.active
    for row in CELLS:
        sheet.append(row)
    workbook.create_sheet("Two").append((SECOND, "=1+2"))
    workbook.save(path)


def _pptx(path: Path) -> None:
    import pptx

    presentation = pptx.Presentation()
    for number in range(SLIDES):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = f"{HEADING} {number + 1}"
        slide.placeholders[1].text = f"{SENTENCE} {UMLAUTS}"
    presentation.save(str(path))


def _odt(path: Path) -> None:
    from odf import opendocument, table, text

    document = opendocument.OpenDocumentText()
    document.text.addElement(text.H(outlinelevel=1, text=HEADING))
    document.text.addElement(text.P(text=f"{SENTENCE} {UMLAUTS}."))
    rows = table.Table(name="Legs")
    for words in (("animal", "legs"), ("fox", "4")):
        row = table.TableRow()
        for word in words:
            cell = table.TableCell()
            cell.addElement(text.P(text=word))
            row.addElement(cell)
        rows.addElement(row)
    document.text.addElement(rows)
    document.save(path)


def _ods(path: Path) -> None:
    from odf import opendocument, table, text

    document = opendocument.OpenDocumentSpreadsheet()
    for name, cells in (("One", CELLS), ("Two", ((SECOND, 3),))):
        sheet = table.Table(name=name)
        for values in cells:
            row = table.TableRow()
            for value in values:
                number = not isinstance(value, str)
                kind = {"valuetype": "float", "value": value} if number else {"valuetype": "string"}
                cell = table.TableCell(**kind)
                cell.addElement(text.P(text=str(value)))
                row.addElement(cell)
            sheet.addElement(row)
        document.spreadsheet.addElement(sheet)
    document.save(path)


def _odp(path: Path) -> None:
    from odf import draw, opendocument, style, text

    document = opendocument.OpenDocumentPresentation()
    layout = style.PageLayout(name="screen")
    layout.addElement(style.PageLayoutProperties(pagewidth="25cm", pageheight="19cm"))
    document.automaticstyles.addElement(layout)
    master = style.MasterPage(name="plain", pagelayoutname=layout)
    document.masterstyles.addElement(master)
    for number in range(SLIDES):
        page = draw.Page(name=f"page{number + 1}", masterpagename=master)
        for at, words in ((1, f"{HEADING} {number + 1}"), (5, f"{SENTENCE} {UMLAUTS}")):
            frame = draw.Frame(width="20cm", height="3cm", x="1cm", y=f"{at}cm")
            box = draw.TextBox()
            box.addElement(text.P(text=words))
            frame.addElement(box)
            page.addElement(frame)
        document.presentation.addElement(page)
    document.save(path)


def _ipynb(path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"# {HEADING}\n", "\n", SENTENCE]},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["2\n"]}],
            "source": [f"print(1 + 1)  # {UMLAUTS}"],
        },
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def _epub(path: Path) -> None:
    page = (
        '<?xml version="1.0" encoding="UTF-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title>Fables</title></head><body><h1>{HEADING}</h1>"
        f"<p>{SENTENCE} {UMLAUTS}.</p></body></html>"
    )
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
        'unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        '<dc:identifier id="id">fable</dc:identifier><dc:title>Fables</dc:title>'
        "<dc:language>en</dc:language></metadata><manifest>"
        '<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="one"/></spine></package>'
    )
    container = (
        '<?xml version="1.0"?><container version="1.0" '
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
        "</rootfiles></container>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("book.opf", package)
        archive.writestr("one.xhtml", page)


_WRITERS = {
    "docx": _docx,
    "xlsx": _xlsx,
    "pptx": _pptx,
    "odt": _odt,
    "ods": _ods,
    "odp": _odp,
    "ipynb": _ipynb,
    "epub": _epub,
}
