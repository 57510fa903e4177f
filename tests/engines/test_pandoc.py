"""pandoc through the sandbox: every route; results are read by other libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from filemill.conversion import Converter
from filemill.engines.pandoc import ENGINE
from filemill.errors import FileInvalid
from filemill.formats import FORMATS
from filemill.model import Step
from samples import documents as samples
from samples import reading

ROUTES = sorted({(route.source, route.target) for route in ENGINE.routes})


def run(
    converter: Converter, room: Path, path: Path, source: str, target: str, **options: str
) -> str:
    room.mkdir(mode=0o700)
    (room / f"in.{FORMATS[source].extension}").write_bytes(path.read_bytes())
    result = converter.step(Step("pandoc", source, target, options), room)
    assert result.format == target
    return reading.words(result.path, target)


@pytest.mark.parametrize("source", sorted({source for source, _ in ROUTES}))
def test_every_route_from(converter: Converter, tmp_path: Path, source: str) -> None:
    path = samples.make(source, tmp_path / f"sample.{source}")
    targets = [target for from_, target in ROUTES if from_ == source]
    lost = [t for t in targets if "fox" not in run(converter, tmp_path / t, path, source, t)]
    assert not lost


def test_a_csv_that_says_its_separator(converter: Converter, tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text("sep=;\na;b\n1,5;2\n")
    html = run(converter, tmp_path / "html", path, "csv", "html")
    assert "a b 1,5 2" in html
    assert "sep=" not in html


def test_files_are_not_included(converter: Converter, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret fox")
    secret.chmod(0o644)
    for source, text in (
        ("rst", f"seen\n\n.. include:: {secret}\n"),
        ("tex", f"seen \\input{{{secret}}}"),
        ("org", f"seen\n\n#+INCLUDE: {secret}\n"),
        ("md", f"seen ![]({secret})"),
    ):
        path = tmp_path / f"in.{source}"
        path.write_text(text)
        found = run(converter, tmp_path / source, path, source, "txt")
        assert "seen" in found
        assert "secret fox" not in found


@pytest.mark.parametrize(
    ("declaration", "encoding", "words"),
    [
        ("<meta charset=windows-1251>", "cp1251", "быстрая лиса"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">', "cp932", "①狐"),
        ("<meta charset='gb2312'>", "gb18030", "镕基狐"),
        ("<meta charset='iso-8859-2'>", "iso8859-2", "rychlá liška žluť"),
        ("<meta charset=iso-8859-1>", "cp1252", "„Füchse“"),
        ("<meta charset=koi8-r>", "utf-8", "лиса"),
        ("<meta charset=utf-16>", "cp1252", "Füchse"),
        ("<meta charset=raw_unicode_escape>", "cp1252", r"Füchse \\u003cb"),
        ("<meta charset=unheard-of>", "cp1252", "Füchse"),
    ],
)
def test_a_page_says_its_encoding(
    converter: Converter, tmp_path: Path, declaration: str, encoding: str, words: str
) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(f"<html><head>{declaration}</head><body>{words}</body>".encode(encoding))
    assert words in run(converter, tmp_path / "room", path, "html", "txt")


@pytest.mark.parametrize("encoding", ["windows-1251", "koi8-r", "Shift_JIS"])
def test_a_book_says_its_encoding(converter: Converter, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "book.fb2"
    path.write_bytes(
        (
            f'<?xml version="1.0" encoding="{encoding}"?>'
            '<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"><body><section>'
            "<p>Быстрая лиса</p></section></body></FictionBook>"
        ).encode(encoding)
    )
    assert "Быстрая лиса" in run(converter, tmp_path / "room", path, "fb2", "txt")


def test_a_book_in_an_encoding_that_nobody_knows(converter: Converter, tmp_path: Path) -> None:
    path = tmp_path / "book.fb2"
    path.write_bytes(b'<?xml version="1.0" encoding="unheard-of"?><FictionBook>\xcf</FictionBook>')
    with pytest.raises(FileInvalid, match="well-formed"):
        run(converter, tmp_path / "room", path, "fb2", "txt")


def test_the_client_says_the_encoding(converter: Converter, tmp_path: Path) -> None:
    path = tmp_path / "note.md"
    path.write_bytes("Быстрая *лиса*".encode("koi8-r"))
    assert "Быстрая лиса" in run(converter, tmp_path / "a", path, "md", "txt", encoding="koi8-r")
    with pytest.raises(FileInvalid, match="no utf-8 text"):
        run(converter, tmp_path / "b", path, "md", "txt", encoding="utf-8")


def test_a_few_control_characters_are_dropped(converter: Converter, tmp_path: Path) -> None:
    path = tmp_path / "note.md"
    path.write_text("A bell\a, a \x1b[1mfox\x1b[0m. " + "word " * 300)
    for target in ("fb2", "pptx"):  # pandoc writes them as they are, and XML cannot hold them
        found = run(converter, tmp_path / target, path, "md", target)
        assert "A bell, a [1mfox[0m." in found
    path.write_text("A bell\a in a short note.")
    with pytest.raises(FileInvalid, match="not text"):
        run(converter, tmp_path / "short", path, "md", "fb2")


@pytest.mark.parametrize("source", ["docx", "epub", "ipynb", "docbook"])
def test_truncated(converter: Converter, tmp_path: Path, source: str) -> None:
    path = samples.make(source, tmp_path / f"sample.{source}")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FileInvalid):
        run(converter, tmp_path / "room", path, source, "html")
