"""In the worker: pages drawn, or read, one in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filemill import raster
from filemill.errors import FileInvalid
from filemill.limits import refuse
from filemill.text import CONTROLS

BY_PILLOW = {"heic": "HEIF", "jxl": "JXL", "jp2": "JPEG2000", "bmp": "BMP"}
"""Target -> Pillow's name of it; libvips writes the others."""
PICTURES = ("png", "jpg", "webp", "tiff", "avif", "gif", *BY_PILLOW)
DPI = 150
Encode = Callable[[Any, str, Mapping[str, Any]], bytes]
"""(bitmap, target, the saver's options) -> the picture's file."""
ARCHIVE = "out.zip"
_DROPPED = dict.fromkeys(map(ord, CONTROLS | {"\ufffe"}))
"""Control characters are glyphs whose meaning the PDF does not tell; U+FFFE stands for a hyphen
at a line's end that splits a word."""


def draw(
    report: Callable[[float], None],
    *,
    input: str,
    output: str,
    pages: Sequence[int],
    target: str,
    dpi: int,
    width: int | None,
    height: int | None,
    most: int,
    saving: Mapping[str, Any],
    threads: int,
    archive: str = ARCHIVE,
    digits: int | None = None,
) -> None:
    """One page: `output`. Many: numbered entries of a zip, or the pages of one TIFF."""
    drawn = _drawn(report, input, pages, dpi, (width, height), most)
    if target == "tiff":
        from PIL.TiffImagePlugin import AppendingTiffWriter

        with AppendingTiffWriter(output, new=True) as file:
            for bitmap in drawn:
                bitmap.to_pil().save(file, "TIFF", compression="tiff_adobe_deflate", dpi=(dpi, dpi))
                file.newFrame()
        return

    encoded = _by_pillow if target in BY_PILLOW else _by_vips(threads, dpi)
    if len(pages) == 1:
        for bitmap in drawn:
            Path(output).write_bytes(encoded(bitmap, target, saving))
        return

    from zipfile import ZIP_STORED, ZipFile, ZipInfo

    digits = digits or len(str(max(pages) + 1))
    with ZipFile(archive, "w", ZIP_STORED) as file:  # pictures are packed already
        for page, bitmap in zip(pages, drawn, strict=True):
            entry = ZipInfo(f"page-{page + 1:0{digits}}.{target}")
            entry.external_attr = 0o644 << 16
            file.writestr(entry, encoded(bitmap, target, saving))


def join(report: Callable[[float], None], *, parts: Sequence[str], output: str) -> None:
    """One zip of the entries of `parts`, in their order; memory is constant."""
    from shutil import copyfileobj
    from zipfile import ZIP_STORED, ZipFile, ZipInfo

    with ZipFile(output, "w", ZIP_STORED) as whole:
        for number, name in enumerate(parts):
            with ZipFile(name) as part:
                for entry in part.infolist():
                    copy = ZipInfo(entry.filename, entry.date_time)
                    copy.external_attr, copy.file_size = entry.external_attr, entry.file_size
                    with part.open(entry) as source, whole.open(copy, "w") as target:
                        copyfileobj(source, target, 1024 * 1024)
            Path(name).unlink()  # the disk holds the pictures once
            report((number + 1) / len(parts))


def _by_vips(threads: int, dpi: int) -> Encode:
    pyvips = raster.libvips(threads)

    def encoded(bitmap: Any, target: str, saving: Mapping[str, Any]) -> bytes:
        image = pyvips.Image.new_from_memory(
            bitmap.buffer, bitmap.width, bitmap.height, bitmap.n_channels, "uchar"
        )
        image = image.copy(interpretation="srgb", xres=dpi / 25.4, yres=dpi / 25.4)
        saver = f"{raster.VIPS.get(target, target)}save_buffer"
        return bytes(getattr(image, saver)(**saving))

    return encoded


def _by_pillow(bitmap: Any, target: str, saving: Mapping[str, Any]) -> bytes:
    from io import BytesIO

    import pillow_heif
    import pillow_jxl  # noqa: F401  (registers itself)

    pillow_heif.register_heif_opener()
    buffer = BytesIO()
    bitmap.to_pil().save(buffer, BY_PILLOW[target], **saving)
    return buffer.getvalue()


def read(report: Callable[[float], None], *, input: str, output: str, pages: Sequence[int]) -> None:
    """The text, a form feed between pages."""
    found = False
    with _opened(input) as document, Path(output).open("w", encoding="utf-8") as file:
        for number, index in enumerate(pages):
            page = _page(document, index)
            text = page.get_textpage().get_text_bounded()
            page.close()
            text = text.replace("\r\n", "\n").translate(_DROPPED)
            found = found or bool(text.strip())
            file.write(("\f" if number else "") + text + "\n")
            report((number + 1) / len(pages))
    if not found:
        raise FileInvalid(
            "The PDF holds no text.", hint="It is probably a scan: its text must be recognised."
        )


def _drawn(
    report: Callable[[float], None],
    path: str,
    pages: Sequence[int],
    dpi: int,
    box: tuple[int | None, int | None],
    most: int,
) -> Iterator[Any]:
    """The pages as bitmaps, one in memory at a time."""
    with _opened(path) as document:
        document.init_forms()
        for number, index in enumerate(pages):
            page = _page(document, index)
            scale = _scale(page.get_width(), page.get_height(), dpi, box, most)
            bitmap = page.render(scale=scale, rev_byteorder=True)
            yield bitmap
            bitmap.close()
            page.close()
            report((number + 1) / len(pages))


def _scale(
    width: float, height: float, dpi: int, box: tuple[int | None, int | None], most: int
) -> float:
    """Pixels a point (1/72 inch), so that the page fits the box. Raises `LimitExceeded`."""
    # PDFium rounds pixels up: a hair less keeps a page within its box.
    sides = [
        (asked - 1e-3) / side for asked, side in zip(box, (width, height), strict=True) if asked
    ]
    scale = min(sides) if sides else dpi / 72
    pixels = int(width * scale) * int(height * scale)
    refuse(
        "page_pixels",
        pixels,
        most,
        "A page would have {value} pixels, at most {allowed} are allowed here.",
        "Ask for fewer dpi, or for a width.",
    )
    if min(width, height) * scale < 1e-3:
        raise FileInvalid("A page of the PDF has no size.")
    return scale


def _opened(path: str) -> Any:
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise FileInvalid(
            f"The PDF cannot be opened: {error}.",
            hint="If it asks for a password, remove that first; else it is damaged.",
        ) from None


def _page(document: Any, index: int) -> Any:
    import pypdfium2

    try:
        return document[index]
    except pypdfium2.PdfiumError:
        raise FileInvalid(f"Page {index + 1} of the PDF is broken.") from None
