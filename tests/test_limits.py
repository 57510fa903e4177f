"""Each ceiling, with a file just below and one just above: by its bytes, before any engine."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engines.bare import call
from filemill.conversion import Result
from filemill.errors import FileInvalid, FilemillError, LimitExceeded
from filemill.limits import USUAL, Ceilings, check
from filemill.model import Facts
from filemill.planner import Graph
from filemill.probes import Probes
from filemill.settings import ceilings
from filemill.workshop import Workshop
from samples import documents, hostile, media, pdfs

MB = 1024 * 1024


def examine(path: Path, format: str, **changed: int) -> Facts:
    """What happens to a file before an engine sees it."""
    bounds = replace(USUAL, **changed)
    facts = Facts.from_json(call(Probes(bounds)(format, path.name), path.parent))
    check(facts, bounds)
    return facts


def over(limit: str, value: int | None, allowed: int) -> Callable[[pytest.ExceptionInfo], None]:
    def check(caught: pytest.ExceptionInfo) -> None:
        details = caught.value.details
        assert (details["limit"], details["allowed"]) == (limit, allowed)
        assert value is None or details["value"] == value
        assert str(allowed) in caught.value.message
        assert caught.value.hint

    return check


FACTS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    # limit: facts at a ceiling of 100, facts above it, the value then told
    "pixels": ({"width": 10, "height": 10}, {"width": 101, "height": 1}, 101),
    "frames": ({"frames": 100}, {"frames": 101}, 101),
    "animation_pixels": (
        {"format": "gif", "width": 5, "height": 2, "frames": 10},
        {"format": "gif", "width": 5, "height": 2, "frames": 11},
        110,
    ),
    "video_pixels": (
        {"duration": 1.0, "width": 10, "height": 10, "frames": 10**6},
        {"duration": 1.0, "width": 11, "height": 10},
        110,
    ),
    "duration": ({"duration": 100.0}, {"duration": 101.0}, 101),
    "pages": ({"pages": 100}, {"pages": 101}, 101),
    "sheets": ({"sheets": 100}, {"sheets": 101}, 101),
    "rows": ({"rows": 100}, {"rows": 101}, 101),
    "columns": ({"columns": 100}, {"columns": 101}, 101),
    "entries": ({"entries": 100}, {"entries": 101}, 101),
}


@pytest.mark.parametrize("limit", FACTS)
def test_facts(limit: str) -> None:
    below, above, value = FACTS[limit]
    bounds = replace(USUAL, **{limit: 100})
    check(Facts(**{"format": "x", "size": 1, **below}), bounds)
    with pytest.raises(LimitExceeded) as caught:
        check(Facts(**{"format": "x", "size": 1, **above}), bounds)
    over(limit, value, 100)(caught)


def test_pages_are_no_animation() -> None:
    scan = Facts("tiff", 1, width=2480, height=3508, frames=125)
    check(scan, USUAL)
    with pytest.raises(LimitExceeded):
        check(replace(scan, format="gif"), USUAL)


def test_every_ceiling_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ceilings() == Ceilings()
    for number, field in enumerate(fields(Ceilings), 1):
        monkeypatch.setenv(f"FILEMILL_MAX_{field.name.upper()}", str(number))
    assert list(asdict(ceilings()).values()) == list(range(1, len(fields(Ceilings)) + 1))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_png_packed_chunks(kind: bytes, tmp_path: Path) -> None:
    fits = hostile.png(tmp_path / "fits.png", hostile.packed_text(kind, MB))
    examine(fits, "png", metadata=MB)
    bomb = hostile.png(tmp_path / "bomb.png", hostile.packed_text(kind, MB + 1))
    with pytest.raises(LimitExceeded) as caught:
        examine(bomb, "png", metadata=MB)
    over("metadata", MB + 1, MB)(caught)


def test_png_packed_chunks_count_together(tmp_path: Path) -> None:
    texts = [hostile.packed_text(b"zTXt", MB)] * 17
    with pytest.raises(LimitExceeded) as caught:
        examine(hostile.png(tmp_path / "many.png", *texts), "png")
    over("metadata", None, 16 * MB)(caught)


def test_png_chunks(tmp_path: Path) -> None:
    texts = [(b"tEXt", b"a\0b")] * 50
    path = hostile.png(tmp_path / "many.png", *texts)
    examine(path, "png", entries=52)
    with pytest.raises(LimitExceeded):
        examine(path, "png", entries=51)


def test_picture_by_its_header(tmp_path: Path) -> None:
    path = hostile.png(tmp_path / "wide.png", size=(20_000, 20_000))
    with pytest.raises(LimitExceeded) as caught:
        examine(path, "png")
    over("pixels", 400_000_000, 2**28)(caught)


@pytest.mark.parametrize("format", ["bmp", "tga", "ppm", "tiff"])
def test_picture_by_pillow(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{format}"
    Image.new("RGB", (101, 10)).save(path)
    examine(path, format, pixels=1010)
    with pytest.raises(LimitExceeded) as caught:
        examine(path, format, pixels=1009)
    over("pixels", 1010, 1009)(caught)


def test_tiff_pages(tmp_path: Path) -> None:
    path = hostile.tiff(tmp_path / "x.tiff", 100)
    assert examine(path, "tiff", frames=100).frames == 100
    with pytest.raises(LimitExceeded) as caught:
        examine(path, "tiff", frames=99)
    over("frames", 100, 99)(caught)


def test_tiff_in_a_circle(tmp_path: Path) -> None:
    with pytest.raises(FileInvalid, match="circle"):
        examine(hostile.tiff(tmp_path / "x.tiff", 3, loop=True), "tiff")


def test_zip_entries(tmp_path: Path) -> None:
    path = hostile.zip_of(tmp_path / "x.zip", [(f"{n}", b"x") for n in range(100)])
    assert examine(path, "zip", entries=100).entries == 100
    with pytest.raises(LimitExceeded) as caught:
        examine(path, "zip", entries=99)
    over("entries", 100, 99)(caught)


def test_zip_ratio_and_size(tmp_path: Path) -> None:
    small = hostile.zip_bomb(tmp_path / "small.zip", 64 * MB)
    examine(small, "zip")
    bomb = hostile.zip_bomb(tmp_path / "bomb.zip", 65 * MB)
    examine(bomb, "zip", ratio=2000)
    with pytest.raises(LimitExceeded) as caught:
        examine(bomb, "zip")
    over("ratio", None, 200)(caught)
    examine(small, "zip", unpacked=64 * MB)
    with pytest.raises(LimitExceeded) as caught:
        examine(small, "zip", unpacked=64 * MB - 1)
    over("unpacked", 64 * MB, 64 * MB - 1)(caught)


def test_zip_overlapping(tmp_path: Path) -> None:
    examine(hostile.zip_overlapping(tmp_path / "one.zip", 1), "zip")
    with pytest.raises(FileInvalid, match="overlap"):
        examine(hostile.zip_overlapping(tmp_path / "two.zip", 2), "zip")


def test_zip_same_name_twice(tmp_path: Path) -> None:
    path = hostile.zip_of(tmp_path / "x.zip", [("a", b"1"), ("b", b"2"), ("a", b"3")])
    with pytest.raises(FileInvalid, match="same name"):
        examine(path, "zip")


def test_zip_zip64(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in "ab":
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(b"hello")
    assert examine(path, "zip").entries == 2
    data = path.read_bytes()
    # With bytes before it, as in a program that unpacks itself.
    (tmp_path / "moved.zip").write_bytes(b"#!/bin/sh\n" * 100 + data)
    assert examine(tmp_path / "moved.zip", "zip").entries == 2
    (tmp_path / "cut.zip").write_bytes(data[:-30])
    with pytest.raises(FileInvalid):
        examine(tmp_path / "cut.zip", "zip")


@pytest.mark.parametrize("field", [10, 12, 16])
def test_zip_whose_end_lies(field: int, tmp_path: Path) -> None:
    """About the number of entries, the directory's length, its place."""
    path = hostile.zip_of(tmp_path / "x.zip", [("a", b"1"), ("b", b"2")])
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\5\6") + field + 1] ^= 0x41
    path.write_bytes(data)
    with pytest.raises(FileInvalid):
        examine(path, "zip")


@pytest.fixture(params=["docx", "xlsx", "pptx", "odt", "ods", "odp"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / f"x.{request.param}"
    documents.make(request.param, path)
    return path, request.param


SIDE = {"docx": "word/styles.xml", "xlsx": "xl/styles.xml", "pptx": "ppt/theme/theme1.xml"}


def _side(format: str) -> str:
    return SIDE.get(format, "styles.xml")


def test_office_as_it_is(office: tuple[Path, str]) -> None:
    examine(*office)


def test_office_entry_larger_than_it_says(office: tuple[Path, str], tmp_path: Path) -> None:
    path, format = office
    honest = hostile.repacked(path, tmp_path / f"honest.{format}", {"big": bytes(MB)})
    examine(honest, format)
    lying = hostile.zip_lying(honest, tmp_path / f"lying.{format}", says=10)
    with pytest.raises(FileInvalid, match="larger than it says"):
        examine(lying, format)


def test_office_entities_in_any_part(office: tuple[Path, str], tmp_path: Path) -> None:
    path, format = office
    for prolog in (hostile.LAUGHS, hostile.outside("file:///etc/passwd")):
        bad = tmp_path / f"bad.{format}"
        hostile.repacked(path, bad, {_side(format): prolog + b"<x>&lol9;</x>"})
        with pytest.raises(FileInvalid, match="entities"):
            examine(bad, format)


def test_office_depth_of_any_part(office: tuple[Path, str], tmp_path: Path) -> None:
    path, format = office
    deep = tmp_path / f"deep.{format}"
    hostile.repacked(path, deep, {_side(format): hostile.nested_xml(100)})
    examine(deep, format, xml_depth=100)
    with pytest.raises(LimitExceeded) as caught:
        examine(deep, format, xml_depth=99)
    over("xml_depth", 100, 99)(caught)


def test_office_entries(office: tuple[Path, str]) -> None:
    path, format = office
    entries = len(zipfile.ZipFile(path).namelist())
    examine(path, format, entries=entries)
    with pytest.raises(LimitExceeded):
        examine(path, format, entries=entries - 1)


def test_xml_text(tmp_path: Path) -> None:
    path = tmp_path / "x.dbk"

    def attempt(data: bytes, **changed: int) -> None:
        path.write_bytes(data)
        examine(path, "docbook", **changed)

    body = b"<article><para>&a0;</para></article>"
    few = b"<!DOCTYPE article [%s]>" % b"".join(b'<!ENTITY a%d "x">' % n for n in range(3))
    attempt(few + body, xml_entities=3)
    with pytest.raises(LimitExceeded) as caught:
        attempt(few + body, xml_entities=2)
    over("xml_entities", 3, 2)(caught)
    with pytest.raises(FileInvalid, match="holds others"):
        attempt(hostile.LAUGHS + b"<article>&lol9;</article>")
    with pytest.raises(FileInvalid, match="in another file"):
        attempt(hostile.outside("file:///etc/passwd") + b"<article>&outside;</article>")
    attempt(hostile.nested_xml(50), xml_depth=50)
    with pytest.raises(LimitExceeded):
        attempt(hostile.nested_xml(51), xml_depth=50)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("format", ["json", "ndjson"])
def test_json_depth(format: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{format}"
    path.write_text("[" * 50 + "]" * 50 + "\n", encoding)
    examine(path, format, json_depth=50)
    with pytest.raises(LimitExceeded) as caught:
        examine(path, format, json_depth=49)
    over("json_depth", 50, 49)(caught)


def test_json_brackets_in_strings_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    texts = ["[" * n + '"\\' * (n % 7) + "é{" for n in range(0, 2000, 7)]
    path.write_text(json.dumps([{"a": texts, "[[[[": texts}] * 10))
    assert path.stat().st_size > 2 * MB  # so that pieces end everywhere in it
    examine(path, "json", json_depth=3)
    with pytest.raises(LimitExceeded):
        examine(path, "json", json_depth=2)


@pytest.mark.timeout(60)
def test_json_quotes_in_bulk(tmp_path: Path) -> None:
    """A string that never ends costs no more than one that does: linear, not hours."""
    path = tmp_path / "x.json"
    path.write_bytes(b'["' + b'\\"' * 4_000_000)
    with pytest.raises(FilemillError):
        examine(path, "json")


def test_video_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    media.make("mp4", path)
    facts = examine(path, "mp4")
    assert facts.width
    assert facts.height
    assert facts.duration
    pixels = facts.width * facts.height
    examine(path, "mp4", video_pixels=pixels)
    with pytest.raises(LimitExceeded) as caught:
        examine(path, "mp4", video_pixels=pixels - 1)
    over("video_pixels", pixels, pixels - 1)(caught)
    with pytest.raises(LimitExceeded) as caught:
        examine(path, "mp4", streams=1)
    over("streams", None, 1)(caught)


def test_pdf_in_the_middle_of_a_plan(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    pdfs.make(path, 3)
    with pytest.raises(LimitExceeded) as caught:
        convert(path, "pdf", "ico")
    assert caught.value.details["allowed"] == 1
    assert "pages=1" in (caught.value.hint or "")
    assert convert(path, "pdf", "ico", pages="1").format == "ico"


def test_ceilings_reach_the_converter(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (100, 10)).save(path)
    workshop = replace(Workshop.here(), ceilings=replace(USUAL, pixels=999))
    room = tmp_path / "room"
    room.mkdir()
    with workshop.open(preload=False) as converter, pytest.raises(LimitExceeded) as caught:
        converter.convert(Graph(workshop.inventory.engines).plan("png", "jpg"), path, room)
    over("pixels", 1000, 999)(caught)
    assert os.listdir(room / "0") == ["in.png"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_front_matter(newline: str, tmp_path: Path) -> None:
    """Six values, and four that aliases repeat; the text below has none."""
    path = tmp_path / "x.md"
    lines = ("---", "a: &a [x]", "b: [*a, *a]", "---", "", "c: [*a, *a, *a]", "")
    path.write_bytes(newline.join(lines).encode("utf-8-sig"))
    examine(path, "md", front_matter=10)
    with pytest.raises(LimitExceeded) as caught:
        examine(path, "md", front_matter=9)
    over("front_matter", 10, 9)(caught)


@pytest.mark.parametrize(
    "text", ["---\n\nA rule, *then* words: & [more\n", "a: &a [x]\nb: [*a, *a]\n", "---\n[[["]
)
def test_what_is_no_front_matter(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text(text)
    examine(tmp_path / "x.md", "md", front_matter=3)


def test_front_matter_depth(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text(f"---\na: {'[' * 49}{']' * 49}\n---\n\nHello\n")
    examine(path, "md", json_depth=50)
    with pytest.raises(LimitExceeded) as caught:
        examine(path, "md", json_depth=49)
    over("json_depth", 50, 49)(caught)
