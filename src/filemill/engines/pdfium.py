"""PDFium: PDF pages as pictures, one by one, and the text of a PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filemill import raster
from filemill.engine import (
    MB,
    Call,
    Engine,
    Limits,
    Loss,
    Option,
    Part,
    Route,
    Split,
    Task,
    Work,
)
from filemill.errors import BadOptions, FileInvalid
from filemill.limits import refuse
from filemill.segments import ranges

BY_PILLOW = {"heic": "HEIF", "jxl": "JXL", "jp2": "JPEG2000", "bmp": "BMP"}
"""Target -> Pillow's name of it; libvips writes the others."""
PICTURES = ("png", "jpg", "webp", "tiff", "avif", "gif", *BY_PILLOW)
DPI = 150
Encode = Callable[[Any, str, Mapping[str, Any]], bytes]
"""(bitmap, target, the saver's options) -> the picture's file."""
ARCHIVE = "out.zip"
PAGE: Mapping[str, float] = {"png": 0.15, "webp": 0.3, "avif": 0.8, "heic": 1.5, "jxl": 1.0}
"""About how long a page takes at 150 dpi, seconds of one core; the others 0.1."""
SLOWER: Mapping[str, float] = {"fast": 0.7, "smaller": 5.0}
"""Than the usual effort."""

_SAVER = {"jpg": "jpeg", "avif": "heif"}
_PNG: Mapping[str, Mapping[str, Any]] = {
    "fast": {"filter": "up", "compression": 1},
    "balanced": {"filter": "up", "compression": 4},
    "smaller": {"filter": "all", "compression": 9},
}


def build(task: Task) -> Work:
    return _work(task, selected(task.options.get("pages"), task.facts.pages or 1))


def split(task: Task, grain: float) -> Split | None:
    """Ranges of pages, a zip each; the join strings their entries together."""
    if task.target in ("txt", "tiff"):
        return None
    options = task.options
    pages = selected(options.get("pages"), task.facts.pages or 1)
    square = (options.get("dpi", DPI) / DPI) ** 2
    width, height = options.get("width"), options.get("height")
    if width or height:
        square = min(side or 2**14 for side in (width, height)) ** 2 / 1500**2
    effort = SLOWER.get(options.get("effort", ""), 1.0)
    seconds = PAGE.get(task.target, 0.1) * square * effort
    found = ranges(len(pages), seconds, grain)
    if found is None:
        return None
    digits = len(str(max(pages) + 1))
    names = [f"part-{number:04}.zip" for number in range(len(found))]
    parts = tuple(
        Part(
            name,
            _work(task, pages[few.start : few.stop], archive=name, digits=digits),
            len(few),
            {"entries": len(few)},
        )
        for name, few in zip(names, found, strict=True)
    )
    join = Call(f"{__name__}:join", {"parts": names, "output": ARCHIVE})
    return Split(parts, Work((join,), (ARCHIVE,)), "entries")


def _work(
    task: Task, pages: Sequence[int], *, archive: str = ARCHIVE, digits: int | None = None
) -> Work:
    options = task.options
    arguments: dict[str, Any] = {"input": task.input, "output": task.output, "pages": pages}
    if task.target == "txt":
        return Work((Call("filemill.engines.pdfium:read", arguments),), (task.output,))
    arguments |= {
        "target": task.target,
        "dpi": options.get("dpi", DPI),
        "width": options.get("width"),
        "height": options.get("height"),
        "most": task.ceilings.page_pixels,
        "saving": _saving(task.target, options, task.threads),
        "threads": task.threads,
        "archive": archive,
        "digits": digits,
    }
    return Work((Call("filemill.engines.pdfium:draw", arguments),), (task.output, archive))


def selected(pages: str | None, count: int) -> list[int]:
    """Indexes of the pages that `"1-3,5,8-"` names, each once. Raises `BadOptions`."""
    if pages is None:
        return list(range(count))
    found: list[int] = []
    for part in pages.split(","):
        first, dash, last = part.partition("-")
        start, end = int(first), int(last or count) if dash else int(first)
        if not 1 <= start <= end <= count:
            raise BadOptions(
                f"The file has no pages {part!r}.",
                hint=f"It has {count} page(s): ask for pages between 1 and {count}.",
                details={"option": "pages", "pages": count},
            )
        found += range(start - 1, end)
    return list(dict.fromkeys(found))


def _saving(target: str, options: Mapping[str, Any], threads: int) -> dict[str, Any]:
    saving: dict[str, Any] = {}
    if target in raster.QUALITY:
        saving["quality" if target in BY_PILLOW else "Q"] = options.get(
            "quality", raster.QUALITY[target]
        )
    match target:
        case "png":
            saving |= _PNG[options.get("effort", "balanced")]
        case "jpg":
            saving["optimize_coding"] = True
        case "avif":
            saving |= {"compression": "av1", "effort": 1}
        case "heic":
            saving["enc_params"] = {"preset": "fast", "x265:frame-threads": "1"}
            saving["enc_params"] |= {"x265:pools": str(threads)}
        case "jxl":
            saving |= {"effort": 5, "num_threads": threads}
        case "jp2":
            decibels = [25 + saving.pop("quality") / 4]
            saving |= {"irreversible": True, "quality_mode": "dB", "quality_layers": decibels}
    return saving


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
    import pyvips

    pyvips.concurrency_set(threads)
    pyvips.cache_set_max(0)

    def encoded(bitmap: Any, target: str, saving: Mapping[str, Any]) -> bytes:
        image = pyvips.Image.new_from_memory(
            bitmap.buffer, bitmap.width, bitmap.height, bitmap.n_channels, "uchar"
        )
        image = image.copy(interpretation="srgb", xres=dpi / 25.4, yres=dpi / 25.4)
        saver = f"{_SAVER.get(target, target)}save_buffer"
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
            # U+FFFE stands for a hyphen at a line's end that splits a word.
            text = text.replace("\r\n", "\n").replace("\ufffe", "").replace("\x02", "")
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


_ONE_OR_MORE = "[1-9][0-9]{0,5}(-([1-9][0-9]{0,5})?)?"

ENGINE = Engine(
    name="pdfium",
    title="PDFium",
    routes=(
        *(
            Route(
                "pdf",
                target,
                Loss.FLATTENED
                + (Loss.NONE if target in {"png", "tiff", "bmp"} else Loss.RECOMPRESSED),
                cost=10,
                losses=("text as text", "vector drawing"),
            )
            for target in PICTURES
        ),
        Route("pdf", "txt", Loss.CONTENT, cost=5, losses=("layout", "pictures")),
    ),
    build=build,
    split=split,
    options=(
        Option(
            "pages",
            {"type": "string", "pattern": f"^{_ONE_OR_MORE}(,{_ONE_OR_MORE}){{0,99}}$"},
            "Pages to convert, like 1-3,5 or 8-; all by default.",
        ),
        Option(
            "dpi",
            {"type": "integer", "minimum": 18, "maximum": 1200},
            f"Pixels an inch, {DPI} by default.",
            frozenset(PICTURES),
        ),
        Option("width", raster.WIDTH.schema, "Pages fit this width.", frozenset(PICTURES)),
        Option("height", raster.HEIGHT.schema, "Pages fit this height.", frozenset(PICTURES)),
        raster.quality(frozenset(raster.QUALITY)),
        Option("effort", raster.EFFORT.schema, raster.EFFORT.description, frozenset({"png"})),
    ),
    modules=("pypdfium2", "pyvips", "pillow_heif", "pillow_jxl"),
    # 10,000 pages at 0.1 s each: 1000 s.
    limits=Limits(memory=4096 * MB, cpu=1800, wall=1800),
)
