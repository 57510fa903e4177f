"""PDFium's pictures, opened with Pillow; its text against what was written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pikepdf
import pytest
from PIL import Image

from engines import bare
from filemill.engines.pdfium import ENGINE, PICTURES, pages, selected
from filemill.errors import BadOptions, FileInvalid, LimitExceeded
from samples import pdfs

FORMATS = {"jpg": "JPEG", "heic": "HEIF", "jp2": "JPEG2000"}


def convert(path: Path, target: str, room: Path, **options: object) -> Path:
    return bare.convert(ENGINE, path, "pdf", target, room, **options)


def check(image: Image.Image, target: str, size: tuple[int, int]) -> None:
    assert image.format == FORMATS.get(target, target.upper())
    assert image.size == size
    colours = image.convert("RGB")
    red, green, blue = colours.getpixel((10, 10))
    assert red > 240
    assert max(green, blue) < 20
    assert min(colours.getpixel((size[0] - 5, 5))) > 245


@pytest.mark.parametrize("target", PICTURES)
def test_one_page_is_one_picture(target: str, tmp_path: Path) -> None:
    result = convert(pdfs.make(tmp_path / "a.pdf"), target, tmp_path)
    assert result.name == f"out.{target}"
    with Image.open(result) as image:
        check(image, target, (600, 300))  # 150 dpi


@pytest.mark.parametrize("target", sorted(set(PICTURES) - {"tiff"}))
def test_many_pages_are_a_zip_of_numbered_pictures(target: str, tmp_path: Path) -> None:
    result = convert(pdfs.make(tmp_path / "a.pdf", 11), target, tmp_path, dpi=72)
    assert result.name == "out.zip"
    assert bare.facts(result).entries == 11
    with ZipFile(result) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"page-{page:02}.{target}" for page in range(1, 12)]
        for entry in archive.infolist():
            assert entry.compress_type == ZIP_STORED
            check(Image.open(BytesIO(archive.read(entry))), target, (288, 144))


def test_many_pages_are_one_tiff(tmp_path: Path) -> None:
    result = convert(pdfs.make(tmp_path / "a.pdf", 4), "tiff", tmp_path, dpi=72)
    with Image.open(result) as image:
        assert image.n_frames == 4
        seen = []
        for page in range(4):
            image.seek(page)
            check(image, "tiff", (288, 144))
            assert image.info["dpi"] == (72, 72)
            seen.append(image.tobytes())
    assert len(set(seen)) == 4


@pytest.mark.parametrize(
    ("pages", "names"),
    [
        ("2", None),
        ("1-2,5", ["page-1.png", "page-2.png", "page-5.png"]),
        ("4-", ["page-4.png", "page-5.png"]),
        ("5,1,5", ["page-5.png", "page-1.png"]),
    ],
)
def test_chosen_pages(pages: str, names: list[str] | None, tmp_path: Path) -> None:
    sample = pdfs.make(tmp_path / "a.pdf", 5)
    result = convert(sample, "png", tmp_path, pages=pages)
    if names is None:
        assert result.name == "out.png"
    else:
        with ZipFile(result) as archive:
            assert archive.namelist() == names
    text = convert(sample, "txt", tmp_path, pages=pages).read_text()
    numbers = [page.strip()[-1] for page in text.split("\f")]
    assert numbers == [name[5] for name in names] if names else ["2"]


@pytest.mark.parametrize("pages", ["0", "6", "3-2", "1-9"])
def test_pages_that_are_not_there(pages: str) -> None:
    with pytest.raises(BadOptions):
        selected(pages, 5)


def test_the_text_of_each_page(tmp_path: Path) -> None:
    result = convert(pdfs.make(tmp_path / "a.pdf", 3), "txt", tmp_path)
    pages = [page.strip() for page in result.read_text(encoding="utf-8").split("\f")]
    assert pages == ["This is page 1", "This is page 2", "This is page 3"]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"dpi": 72}, (288, 144)),
        ({"dpi": 300}, (1200, 600)),
        ({"width": 100}, (100, 50)),
        ({"height": 100}, (200, 100)),
        ({"width": 100, "height": 20}, (40, 20)),
    ],
)
def test_sizes(options: dict[str, object], size: tuple[int, int], tmp_path: Path) -> None:
    result = convert(pdfs.make(tmp_path / "a.pdf"), "png", tmp_path, **options)
    with Image.open(result) as image:
        assert image.size == size


def test_quality_changes_the_size(tmp_path: Path) -> None:
    sample = pdfs.make(tmp_path / "a.pdf")
    rough = convert(sample, "jpg", tmp_path, quality=10).stat().st_size
    assert rough * 1.5 < convert(sample, "jpg", tmp_path, quality=95).stat().st_size


def test_filled_form_fields_are_drawn(tmp_path: Path) -> None:
    """Fields without an appearance of their own are drawn by the form filler."""
    with pikepdf.open(pdfs.make(tmp_path / "a.pdf")) as document:
        page = document.pages[0]
        field = document.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot,
                Subtype=pikepdf.Name.Widget,
                FT=pikepdf.Name.Tx,
                T="name",
                V="XXXXXXXXXXXX",
                DA="/F1 20 Tf 0 0 1 rg",
                Rect=[90, 90, 280, 130],
                F=4,
            )
        )
        page.Annots = document.make_indirect(pikepdf.Array([field]))
        document.Root.AcroForm = pikepdf.Dictionary(
            Fields=[field], DR=page.Resources, DA="/F1 20 Tf 0 0 1 rg"
        )
        document.save(tmp_path / "form.pdf")
    result = convert(tmp_path / "form.pdf", "png", tmp_path, dpi=72)
    with Image.open(result) as image:
        box = image.convert("RGB").crop((90, 14, 280, 54))
    assert any(blue > 150 > red for _, (red, _, blue) in box.getcolors(10_000))


def test_progress_comes_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pdfs.make(tmp_path / "a.pdf", 4)
    told: list[float] = []
    pages.read(told.append, input="a.pdf", output="out.txt", pages=range(4))
    assert told == [0.25, 0.5, 0.75, 1.0]
    told.clear()
    pages.draw(
        told.append,
        input="a.pdf",
        output="out.png",
        pages=range(4),
        target="png",
        dpi=72,
        width=None,
        height=None,
        saving={},
        threads=1,
        most=2**27,
    )
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_a_page_of_absurd_size(tmp_path: Path) -> None:
    sample = pdfs.make(tmp_path / "a.pdf", size=(14_400, 14_400))
    with pytest.raises(LimitExceeded) as caught:
        convert(sample, "png", tmp_path)
    assert caught.value.details["limit"] == "page_pixels"
    with Image.open(convert(sample, "png", tmp_path, width=100)) as image:
        assert image.size == (100, 100)


def test_glyphs_without_a_meaning_are_left_out(tmp_path: Path) -> None:
    sample = pdfs.make(tmp_path / "a.pdf")
    sample.write_bytes(sample.read_bytes().replace(b"This is", b"Th\x0e \x0fs"))
    assert convert(sample, "txt", tmp_path).read_text() == "Th s page 1\n"


def test_a_scan_holds_no_text(tmp_path: Path) -> None:
    Image.new("L", (100, 100), 200).save(tmp_path / "a.pdf")
    with pytest.raises(FileInvalid, match="no text"):
        convert(tmp_path / "a.pdf", "txt", tmp_path)


@pytest.mark.parametrize("target", ["png", "txt"])
def test_an_encrypted_file(target: str, tmp_path: Path) -> None:
    with pikepdf.open(pdfs.make(tmp_path / "a.pdf")) as document:
        document.save(tmp_path / "b.pdf", encryption=pikepdf.Encryption(user="u", owner="o"))
    with pytest.raises(FileInvalid, match="password") as caught:
        convert(tmp_path / "b.pdf", target, tmp_path)
    assert caught.value.hint


def test_a_file_that_only_forbids_changes_is_taken(tmp_path: Path) -> None:
    with pikepdf.open(pdfs.make(tmp_path / "a.pdf")) as document:
        document.save(tmp_path / "b.pdf", encryption=pikepdf.Encryption(user="", owner="o"))
    assert "page 1" in convert(tmp_path / "b.pdf", "txt", tmp_path).read_text()


@pytest.mark.parametrize("linearized", [False, True])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.95])
def test_a_file_that_is_cut_off(part: float, linearized: bool, tmp_path: Path) -> None:
    with pikepdf.open(pdfs.make(tmp_path / "a.pdf", 6)) as document:
        document.save(tmp_path / "b.pdf", linearize=linearized)
    whole = (tmp_path / "b.pdf").read_bytes()
    (tmp_path / "c.pdf").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(FileInvalid):
        convert(tmp_path / "c.pdf", "png", tmp_path)
    assert bare.facts(tmp_path / "b.pdf").pages == 6


@pytest.mark.parametrize("content", [b"hello " * 100, b"%PDF-1.7\n%%EOF", b"\x89PNG\r\n\x1a\n" * 9])
def test_what_is_no_pdf(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    with pytest.raises(FileInvalid):
        convert(tmp_path / "a.pdf", "png", tmp_path)


def test_junk_around_a_pdf_is_taken(tmp_path: Path) -> None:
    sample = pdfs.make(tmp_path / "a.pdf")
    sample.write_bytes(sample.read_bytes() + b"\n\n<!-- served by -->" * 50)
    assert "page 1" in convert(sample, "txt", tmp_path).read_text()
