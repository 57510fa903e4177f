"""Documents that are small and become large, deep or endless (probes, LibreOffice, pandoc)."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

from hostile.attack import REFUSED, Make, row
from hostile.attacks.documents import docx, odf, xlsx
from hostile.packing import MB, deflated
from hostile.traps import Traps

_LAUGHS = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 12))
_BILLION = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{_LAUGHS}]>'


def _bomb(name: str, size: int, claimed: int = 0) -> Make:
    """A docx whose part `name` unpacks to `size` bytes, or claims to."""

    def make(path: Path, traps: Traps) -> None:
        docx("<w:p/>")(path, traps)
        data = deflated(size)
        with zipfile.ZipFile(path) as archive:
            parts = {entry: archive.read(entry) for entry in archive.namelist()}
        parts.pop(name, None)
        write_raw(path, parts, {name: (data, claimed or size)})

    return make


def _lying(path: Path, traps: Traps) -> None:
    """Says of its content that it is 100 bytes long, which unpacks to 512 MB."""
    docx("<w:p/>")(path, traps)
    with zipfile.ZipFile(path) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    parts.pop("word/document.xml")
    write_raw(path, parts, {"word/document.xml": (deflated(512 * MB), 100)})


def _overlapping(path: Path, _: Traps) -> None:
    """Hundreds of entries that all share the same 10 MB of packed data."""
    data, name = deflated(10 * MB), b"word/document.xml"
    local = struct.pack(
        "<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(data), 10 * MB, len(name), 0
    )
    central = b""
    for number in range(500):
        other = b"word/document.xml" if not number else b"word/%011d.xml" % number
        central += struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02", 20, 20, 0, 8, 0, 0, 0, len(data), 10 * MB, len(other), 0, 0, 0, 0, 0, 0,
        ) + other  # fmt: skip
    whole = local + name + data
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 500, 500, len(central), len(whole), 0)
    path.write_bytes(whole + central + end)


def _crowd(path: Path, traps: Traps) -> None:
    docx("<w:p/>")(path, traps)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for number in range(60_000):
            archive.writestr(f"word/media/{number}.png", b"")


def _nested(path: Path, traps: Traps) -> None:
    """A zip in a zip in a zip, ten deep, each as an embedded document of the next."""
    inner = b" " * MB
    for _ in range(10):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(10):
                archive.writestr(f"{number}.zip", inner)
        inner = packed.getvalue()
    docx("<w:p/>")(path, traps)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("word/embeddings/a.zip", inner)


def write_raw(path: Path, parts: dict[str, bytes], raw: dict[str, tuple[bytes, int]]) -> None:
    """A zip of `parts`, and of `raw`: packed data with the size it claims."""
    whole, central = b"", b""
    for name, content in parts.items():
        raw = {name: (_deflate(content), len(content)), **raw}
    for name, (data, claimed) in raw.items():
        encoded, at = name.encode(), len(whole)
        crc = zlib.crc32(parts[name]) if name in parts else 0
        fields = (8, 0, 0, crc, len(data), claimed, len(encoded), 0)
        whole += struct.pack("<4s2H3H3I2H", b"PK\x03\x04", 20, 0, *fields) + encoded + data
        central += (
            struct.pack("<4s3H3H3I2H3H2I", b"PK\x01\x02", 20, 20, 0, *fields, 0, 0, 0, 0, at)
            + encoded
        )
    count = len(raw)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(central), len(whole), 0)
    path.write_bytes(whole + central + end)


def _deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def _rows(path: Path, traps: Traps) -> None:
    """2^20 rows of cells, all of them alike."""
    cells = "".join(f'<row r="{n}"><c r="A{n}"><v>1</v></c></row>' for n in range(1, 1 << 20))
    xlsx(cells)(path, traps)


def _strings(path: Path, traps: Traps) -> None:
    """A million cells that each show the same shared string of 32,000 characters."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    strings = f'<?xml version="1.0"?><sst xmlns="{main}"><si><t>{"A" * 32_000}</t></si></sst>'
    cells = "".join(
        f'<row r="{n}">' + '<c t="s"><v>0</v></c>' * 100 + "</row>" for n in range(1, 10_000)
    )
    xlsx(cells, strings=strings)(path, traps)


_REPEATED = (
    '<table:table table:name="One"><table:table-row table:number-rows-repeated="1048576">'
    '<table:table-cell table:number-columns-repeated="16384" office:value-type="float" '
    'office:value="1"><text:p>1</text:p></table:table-cell></table:table-row></table:table>'
)
_SPACES = '<text:p>a<text:s text:c="2000000000"/>b</text:p>'
_DEEP = 100_000


def _odf_deep(depth: int) -> str:
    one = "<table:table><table:table-row><table:table-cell>"
    end = "</table:table-cell></table:table-row></table:table>"
    return one * depth + "<text:p>x</text:p>" + end * depth


_CIRCLE = (
    '<table:table table:name="One">'
    + "".join(
        '<table:table-row><table:table-cell table:formula="of:=SUM([.A1:.A1000])+RAND()" '
        'office:value-type="float" office:value="1"/></table:table-row>'
        for _ in range(1000)
    )
    + "</table:table>"
)

ATTACKS = (
    row("docx-bomb", "docx > pdf txt", _bomb("word/document.xml", 1024 * MB), *REFUSED),
    row("docx-bomb-media", "docx > pdf", _bomb("word/media/a.png", 64 * MB, 4000 * MB), *REFUSED),
    row("docx-bomb-lying", "docx > pdf md", _lying, *REFUSED),
    row("docx-bomb-overlapping", "docx > pdf", _overlapping, *REFUSED),
    row("docx-crowd", "docx > pdf", _crowd, *REFUSED),
    row("docx-nested-zips", "docx > pdf", _nested),
    row("docx-laughs", "docx > pdf md", docx("&l11;", doctype=_BILLION[21:]), *REFUSED),
    row("odt-laughs", "odt > pdf md", odf("odt", "&l11;", doctype=_BILLION[21:]), *REFUSED),
    row("odt-spaces", "odt > pdf txt md", odf("odt", _SPACES)),
    row("odt-deep-tables", "odt > pdf", odf("odt", _odf_deep(300))),
    row("odt-deeper-tables", "odt > pdf md", odf("odt", _odf_deep(20_000)), *REFUSED),
    row("ods-repeated", "ods > csv pdf", odf("ods", _REPEATED)),
    row("ods-circle", "ods > csv", odf("ods", _CIRCLE)),
    row("xlsx-rows", "xlsx > csv ods", _rows),
    row("xlsx-shared-strings", "xlsx > csv", _strings),
    row("docbook-laughs", "docbook > html", f"{_BILLION}<book><para>&l11;</para></book>", *REFUSED),
    row("opml-laughs", "opml > md", f'{_BILLION}<opml><body><outline text="&l11;"/></body></opml>',
        *REFUSED),
    row("fb2-laughs", "fb2 > html", f"{_BILLION}<FictionBook><body>&l11;</body></FictionBook>",
        *REFUSED),
    row("docbook-deep", "docbook > html", "<book>" + "<section>" * _DEEP + "</section>" * _DEEP
        + "</book>"),
    row("html-deep", "html > md docx", "<!DOCTYPE html>" + "<div>" * _DEEP + "x"),
    row("html-deep-quotes", "html > docx", "<!DOCTYPE html>" + "<blockquote>" * 20_000 + "x"),
    row("md-brackets", "md > html", "[" * 50_000 + "x" + "](" * 50_000),
    row("md-stars", "md > html", "*a **b " * 20_000),
    row("md-quotes", "md > html docx", "> " * 50_000 + "x\n"),
    row("md-lists", "md > html", "".join(f"{' ' * (2 * n)}- a\n" for n in range(2_000))),
    row("rst-blowup", "rst > html", ":: " * 20_000 + "`" * 20_000 + "\n" + "|a" * 20_000),
    row("tex-macros", "tex > html",
        "".join(rf"\newcommand{{\{chr(97 + n)}}}{{\{chr(98 + n)}\{chr(98 + n)}}}"
                for n in range(24)) + r"\newcommand{\y}{laugh}\begin{document}\a\end{document}"),
    row("tex-loop", "tex > html", r"\def\a{\a\a}\begin{document}\a\end{document}"),
    row("org-deep", "org > html", "".join("*" * n + " x\n" for n in range(1, 2_000))),
    row("rtf-braces", "rtf > pdf txt", r"{\rtf1 " + "{" * 200_000 + "x" + "}" * 200_000 + "}"),
    row("rtf-length", "rtf > pdf", r"{\rtf1{\*\objdata\bin2147483647 x}\li-99999999 x\par}"),
    row("ipynb-deep", "ipynb > html",
        '{"cells": ' + "[" * _DEEP + "]" * _DEEP + ', "nbformat": 4}'),
    row("txt-long-line", "txt > pdf docx", b"A" * (8 * MB)),
    row("csv-wide-pdf", "csv > pdf ods", "1," * 200_000 + "1\n" + "2," * 200_000 + "2\n"),
)  # fmt: skip
