from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from filemill.filename import attachment, clean, with_extension
from filemill.formats import FORMATS

ANY = st.text(st.characters())
EXTENSIONS = st.sampled_from(sorted({format.extension for format in FORMATS.values()}))


def is_harmless(name: str) -> bool:
    return (
        bool(name)
        and name not in (".", "..")
        and not set(name) & set("/\\\0\r\n")
        and not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name)
        and len(name.encode()) <= 255
    )


@given(ANY, EXTENSIONS)
@example("../../etc/passwd", "pdf")
@example("C:\\Users\\x\\a.docx", "pdf")
@example("a\r\nSet-Cookie: x.docx", "pdf")
@example("x" * 300 + ".docx", "pdf")
@example("🎉" * 100 + ".docx", "pdf")
@example("x." + "e" * 300, "pdf")
@example("\u202etxt.exe", "pdf")
@example(".", "pdf")
@example("..", "tar.gz")
@example(".docx", "pdf")
@example("\ud800", "pdf")
@example("a" * 199 + " .b", "pdf")
def test_names_become_harmless(name: str, extension: str) -> None:
    assert is_harmless(clean(name))
    assert clean(clean(name)) == clean(name)
    result = with_extension(clean(name), extension)
    assert is_harmless(result)
    assert result.endswith(f".{extension}")
    assert result != f".{extension}"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.docx", "a.docx"),
        ("Отчёт за год (1).docx", "Отчёт за год (1).docx"),
        ("/tmp/../a b.tar.gz", "a b.tar.gz"),
        ("a\x00b\x1f.md", "ab.md"),
        ("  .hidden. ", "hidden"),
        ("", "file"),
        ("///", "file"),
        ("x" * 300 + ".docx", "x" * 195 + ".docx"),
        ("é" * 150 + ".md", "é" * 98 + ".md"),
    ],
)
def test_what_is_kept_of_a_name(given: str, kept: str) -> None:
    assert clean(given) == kept


def test_huge_name_takes_no_time() -> None:
    assert clean("x" * 1_000_000 + ".docx") == "x" * 195 + ".docx"


@given(ANY)
@example('a"; filename="evil.exe')
@example("a\r\nX: y")
@example("%41.pdf")
@example("naïve.pdf")
def test_header_is_ascii_and_gives_the_name_back(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()
    plain = re.fullmatch(r'attachment; filename="([^"\\]*)"(?:; filename\*=UTF-8\'\'(.*))?', header)
    assert plain, header
    kept = unquote(plain[2]) if plain[2] is not None else plain[1]
    assert kept == "".join("?" if unicodedata.category(c) == "Cs" else c for c in name)


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp"))))
def test_another_reader_finds_the_name(name: str) -> None:
    kind, parameters = parse_options_header(attachment(clean(name)))
    assert (kind, parameters) == ("attachment", {"filename": clean(name)})
