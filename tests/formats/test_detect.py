"""Detection: content first, name second; hostile heads end quickly in an answer or our errors."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from filemill.errors import FileInvalid, FilemillError, UnsupportedRoute
from filemill.formats import FORMATS, HEAD_SIZE, detect, detect_file
from samples import tables


def name_of(head: bytes, name: str = "") -> str | None:
    found = detect(head, name)
    return found and found.id


def zipped(*names: str, mimetype: str = "", first: bytes = b"x") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype)
        for name in names:
            archive.writestr(name, first)
            first = b"x"
    return file.getvalue()


PICTURES = {"jpg": "jpeg", "jp2": "jpeg2000"}


@pytest.mark.parametrize(
    "format_id",
    ["png", "jpg", "gif", "webp", "tiff", "bmp", "ico", "icns", "ppm", "pcx", "dds", "jp2",
     "avif", "pdf", "qoi"],
)  # fmt: skip
def test_pictures_under_a_wrong_name(format_id: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 3, 4)).save(file, PICTURES.get(format_id, format_id))
    for name in ("", "a.docx", "a.txt", f"A.{format_id.upper()}"):
        assert name_of(file.getvalue(), name) == format_id


def test_tga_needs_its_name_or_its_footer() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "tga")
    assert name_of(file.getvalue(), "a.tga") == "tga"
    found = detect_file(io.BytesIO(file.getvalue()), "a.dat")
    assert found is FORMATS["tga"]


@pytest.mark.parametrize("format_id", ["csv", "tsv", "json", "ndjson", "parquet", "xlsx"])
def test_tables(format_id: str, tmp_path: Path) -> None:
    path = tables.make(format_id, tmp_path / "table")
    head = path.read_bytes()[:HEAD_SIZE]
    assert name_of(head, f"a.{format_id}") == format_id
    if format_id not in ("csv", "tsv"):  # a line end in quotes makes them hard to guess
        assert name_of(head) == format_id


HEADS = {
    "docx": zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"),
    "pptx": zipped("[Content_Types].xml", "ppt/presentation.xml"),
    "xlsx": zipped("docProps/app.xml", "xl/workbook.xml", "[Content_Types].xml"),
    "odt": zipped("content.xml", mimetype="application/vnd.oasis.opendocument.text"),
    "odp": zipped("x", mimetype="application/vnd.oasis.opendocument.presentation-template"),
    "epub": zipped("META-INF/container.xml", mimetype="application/epub+zip"),
    "zip": zipped("a.txt", "word/b.txt"),
    "rtf": b"{\\rtf1\\ansi hello}",
    "mp4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
    "m4a": b"\0\0\0\x20ftypM4A \0\0\2\0M4A isomiso2\0\0\0\0",
    "mov": b"\0\0\0\x14ftypqt  \0\0\2\0qt  ",
    "3gp": b"\0\0\0\x14ftyp3gp4\0\0\2\x003gp4",
    "heic": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
    "avif": b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm\x42\x87\x81\4",
    "mkv": b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\1\x42\x82\x88matroska\x42\x87",
    "wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "avi": b"RIFF\x24\0\0\0AVI LIST",
    "aiff": b"FORM\0\0\0\x24AIFFCOMM",
    "opus": b"OggS\0\2" + bytes(22) + b"OpusHead\1",
    "ogv": b"OggS\0\2" + bytes(22) + b"\x80theora\3",
    "ogg": b"OggS\0\2" + bytes(22) + b"\1vorbis\0",
    "flac": b"fLaC\0\0\0\x22",
    "mp3": (b"\xff\xfb\x90\x64" + bytes(413)) * 4,
    "aac": (b"\xff\xf1\x50\x80\x10\x00\xfc" + bytes(121)) * 4,
    "ac3": (b"\x0b\x77\0\0\x08\x40" + bytes(378 - 6 + 6)) * 4,
    "ts": (b"G" + bytes(187)) * 5,
    "flv": b"FLV\1\5\0\0\0\x09",
    "psd": b"8BPS\0\1",
    "jxl": b"\xff\x0a\x10\x20\x00",
    "svg": b"<?xml version='1.0'?>\n<!-- c --><svg xmlns='http://www.w3.org/2000/svg'/>",
    "html": b"<!DOCTYPE html>\n<title>x</title>",
    "fb2": b"<?xml version='1.0'?><FictionBook/>",
    "json": b'{"a": [1, 2]}',
    "ndjson": b'{"a": 1}\n{"a": 2}\n',
    "ipynb": b'{"cells": [], "nbformat": 4}',
    "csv": b"a,b\n1,2\n3,4\n",
    "tsv": b"a\tb\n1\t2\n3\t4\n",
    "txt": "Grüße aus Köln.\n".encode(),
}
HEADS["ac3"] = (b"\x0b\x77\0\0\x08\x40" + bytes(250)) * 4  # 48 kHz, 64 kbit/s: 256 bytes


@pytest.mark.parametrize("format_id", HEADS)
def test_heads(format_id: str) -> None:
    assert name_of(HEADS[format_id]) == format_id


@pytest.mark.parametrize(
    ("text", "name", "format_id"),
    [
        ("# Title", "a.md", "md"),
        ("<html>", "a.md", "md"),
        ("<html><table>", "report.xls", "html"),
        ("a;b\n1;2\n3;4\n", "report.xls", "csv"),
        ("\ufeffa,b\n", "a.csv", "csv"),
        ("hello", "a.unknown", "txt"),
    ],
)
def test_text_by_name(text: str, name: str, format_id: str) -> None:
    for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-16-be"):
        assert name_of(text.encode(encoding), name) == format_id


def test_chinese_without_a_mark() -> None:
    """Half of some of its characters is a NUL, too: the other half."""
    for encoding in ("utf-16-le", "utf-16-be"):
        assert name_of("一,二\n1,一　\n2,三\n".encode(encoding)) == "csv"


def test_not_what_its_name_says() -> None:
    for head, name in ((b"hello", "a.png"), (bytes(range(256)), "a.txt"), (b"\x89PN\0", "a.png")):
        with pytest.raises(FileInvalid, match="named like"):
            detect(head, name)
    with pytest.raises(FileInvalid, match="empty"):
        detect(b"", "a.png")
    assert detect(bytes(range(256)) * 2, "a.unknown") is None


@pytest.mark.parametrize(
    "head",
    [
        b"\x7fELF\2\1\1" + bytes(57),
        b"MZ\x90\0\3\0\0\0" + bytes(90),
        b"Rar!\x1a\x07\x01\0" + bytes(9),
        b"SQLite format 3\0" + bytes(80),
        b"OTTO\0\x12\0\0",
    ],
)
def test_known_but_not_converted(head: bytes) -> None:
    for name in ("", "a.pdf", "a.txt"):
        with pytest.raises(UnsupportedRoute, match="of the kind"):
            detect(head, name)


def test_a_large_first_entry_is_seen_past() -> None:
    file = io.BytesIO(zipped("big.bin", "[Content_Types].xml", "word/x", first=bytes(200_000)))
    assert detect_file(file, "a.bin") is FORMATS["docx"]


@settings(deadline=None)
@given(
    st.sampled_from(
        [*HEADS.values(), b"PK\3\4", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"<!--", b"P3 "]
    ),
    st.integers(0, 40),
    st.binary(max_size=300),
    st.sampled_from(["", "a.pdf", "a.txt", "a.docx", "a.tga", "a", ".", "a.b/c"]),
)
def test_hostile_heads(start: bytes, cut: int, rest: bytes, name: str) -> None:
    head = start[: len(start) - cut] + rest
    for ask in (lambda: detect(head, name), lambda: detect_file(io.BytesIO(head), name)):
        try:
            found = ask()
        except FilemillError:
            continue
        assert found is None or found.id in FORMATS


@pytest.mark.parametrize(
    "part",
    [
        b"PK\3\4" + bytes(26),
        b"<!--",
        b"<!doctype ",
        b"[",
        b'{"a":',
        b"\xff\xfb\x90\x64",
        b'"',
        b" ",
    ],
)
def test_repeated_heads_end(part: bytes) -> None:
    """Work is bounded by the head: a test run's own limit would notice a quadratic one."""
    head = part * (HEAD_SIZE // len(part))
    with contextlib.suppress(FilemillError):
        found = detect(head, "a.bin")
        assert found is None or found.id in FORMATS
