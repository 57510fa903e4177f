"""Pillow: the picture formats that libvips lacks, to and from all, and pictures as PDF pages."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filemill import raster
from filemill.engine import MB, Call, Engine, Limits, Loss, Option, Route, Task, Work
from filemill.errors import FilemillError, LimitExceeded
from filemill.pages import Pages

COMMON = ("jpg", "png", "webp", "gif", "avif", "tiff")
"""Between these libvips is better."""
OWN = ("heic", "jxl", "jp2", "bmp", "ico", "icns", "tga", "ppm", "pcx", "qoi", "dds")
READS = (*COMMON, *OWN, "psd")
WRITES = (*COMMON, *OWN, "pdf")
PAGED = frozenset({"tiff", "pdf"})
"""Targets that hold many pages."""

_NAMES = {"jpg": "JPEG", "heic": "HEIF", "jp2": "JPEG2000"}
"""Pillow's, where they are not ours in capitals."""
_PLUGINS = ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Png", "Ppm", "Tiff", "WebP")
"""The parts of Pillow that are worth loading ahead."""
_PARTS = frozenset({0x8769, 0x8825, 0xA005})
"""EXIF's directories inside its first: of the photograph, the place and what it works with."""
_DESCRIBED = frozenset({"jpg", "png", "webp", "avif", "tiff", "heic", "jxl"})
"""Targets that hold EXIF and a colour profile."""
_SIZED = frozenset({"jpg", "png", "tiff", "bmp"})
"""Targets that say how many pixels an inch has."""
_GREY = frozenset({"jpg", "png", "tiff", "jxl", "jp2", "bmp", "tga", "ppm", "pcx", "pdf"})
_DEEP = frozenset({"png", "tiff", "jxl", "jp2", "ppm"})
"""Targets that hold 16 bits of grey."""
_BILEVEL = frozenset({"png", "tiff", "bmp", "ppm", "pcx", "pdf"})
_PLAIN = frozenset({"JPEG", "PNG", "BMP", "WEBP"})
"""Pillow's names of formats whose pictures hold nothing that would get into what they become."""
_SQUARE = frozenset({"ico", "icns"})
_LOSSLESS = frozenset({"webp", "jxl", "jp2"})
_QUALITY = frozenset({*raster.QUALITY, "pdf"})
_SIZE = "(25[0-6]|2[0-4][0-9]|1[0-9]{2}|[1-9][0-9]?)"
_SIZES = "16,24,32,48,64,128,256"

_EFFORT: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "png": ("compress_level", {"fast": 1, "balanced": 3, "smaller": 9}),
    "webp": ("method", {"fast": 1, "balanced": 4, "smaller": 6}),
    "avif": ("speed", {"fast": 10, "balanced": 8, "smaller": 4}),
    "jxl": ("effort", {"fast": 3, "balanced": 5, "smaller": 8}),
}

# Measured: "fast" takes 0.4x the time of the usual "slow" for 6% more bytes, same noise.
_X265: Mapping[str, str] = {"fast": "ultrafast", "balanced": "fast", "smaller": "slow"}


def build(task: Task) -> Work:
    shape = raster.shape(task.facts, task.target, task.options, task.ceilings)
    side = max(shape.canvas)
    arguments = raster.arguments(task, shape) | {
        "canvas": (side, side) if task.target in _SQUARE else shape.canvas,
        "as_is": shape.size == (task.facts.width, task.facts.height) == shape.canvas,
        "pages": (task.facts.frames or 1) if task.source == "tiff" and task.target in PAGED else 1,
        "saving": _saving(task),
        "dpi": task.options.get("dpi"),
        "most": task.ceilings.pixels,
    }
    return Work((Call("filemill.engines.pillow:convert", arguments),), (task.output,))


def _saving(task: Task) -> dict[str, Any]:
    """Pillow's own options of the target."""
    options, target = task.options, task.target
    quality = options.get("quality", raster.QUALITY.get(target, 90))
    lossless = bool(options.get("lossless"))
    saving: dict[str, Any] = {}
    if target in _EFFORT:
        name, levels = _EFFORT[target]
        saving[name] = levels[options.get("effort", "balanced")]
    match target:
        case "jp2":
            if not lossless:  # decibels of noise distance
                saving |= {"irreversible": True, "quality_mode": "dB"}
                saving["quality_layers"] = [25 + quality / 4]
        case "jxl":
            saving |= {"num_threads": task.threads, "lossless": lossless, "quality": quality}
            # A JPEG's own data in less room, bit for bit, unless something is to change.
            saving["lossless_jpeg"] = task.source == "jpg" and not (options.keys() - {"lossless"})
        case "heic":
            saving["quality"] = quality
            saving["enc_params"] = {
                "x265:pools": str(task.threads),
                "x265:frame-threads": "1",
                "preset": _X265[options.get("effort", "balanced")],
            }
        case "avif":
            saving |= {"quality": quality, "max_threads": task.threads}
        case "webp":
            saving |= {"quality": quality, "lossless": lossless}
        case "jpg":
            saving |= {"quality": quality, "optimize": options.get("effort") != "fast"}
        case "pdf":
            saving["quality"] = quality
        case "tiff":
            saving["compression"] = "tiff_adobe_deflate"
        case "ico":
            saving["sizes"] = [int(size) for size in options.get("sizes", _SIZES).split(",")]
    return saving


def convert(
    report: Callable[[float], None],
    *,
    source: str,
    target: str,
    input: str,
    output: str,
    size: tuple[int, int],
    canvas: tuple[int, int],
    as_is: bool,
    pages: int,
    background: str | None,
    strip: bool,
    saving: Mapping[str, Any],
    dpi: int | None,
    threads: int,
    most: int,
) -> None:
    from PIL import Image

    # Pillow raises at twice this number, and warns before.
    Image.MAX_IMAGE_PIXELS = most // 2
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    _register({source, target}, threads)
    try:
        image: Any = Image.open(input, formats=[_NAMES.get(source, source.upper())])
        if saving.get("lossless_jpeg") and image.getexif().get(0x0112, 1) == 1:
            image.load()  # raises where the file is cut off
            image.save(output, "JXL", **saving)
            return
        with _writer(target, output) as save:
            for number in range(pages):
                image.seek(number) if number else image.load()
                # JPEG XL takes over the bytes of a picture that is still Pillow's JPEG.
                page = _upright(image, alone=pages == 1 and target != "jxl")
                more: dict[str, Any] = dict(saving)
                more.pop("lossless_jpeg", None)
                exif, profile = page.getexif(), page.info.get("icc_profile")
                if profile and (strip or target not in _DESCRIBED):
                    page = _as_srgb(page, profile)
                elif profile and page.mode != "CMYK":
                    more["icc_profile"] = profile
                parts = _PARTS & exif.keys() if target == "tiff" else ()
                if parts and pages == 1:
                    more["compression"] = None  # libtiff, which packs, cannot write them
                elif parts:
                    for part in parts:
                        del exif[part]
                if len(exif) and not strip and target in _DESCRIBED:
                    more["exif"] = exif.tobytes()
                more |= _resolution(page, target, dpi)
                page = _in_mode(page, target, background)
                if not as_is and pages == 1:
                    page = _shaped(page, (size[0], size[1]))
                wanted = page.size if pages > 1 else (canvas[0], canvas[1])
                if page.size != wanted:
                    page = _placed(page, wanted, target, background)
                page.info = {}
                save(page, more)
                report((number + 1) / pages)
    except FilemillError:
        raise
    except Image.DecompressionBombError as error:
        raise LimitExceeded(f"{error}.", details={"limit": "pixels"}) from None
    except OSError as error:
        if error.errno is not None:  # the disk's fault, not the file's
            raise
        raise raster.broken(str(error) or type(error).__name__) from None
    except (ValueError, SyntaxError, EOFError, RuntimeError, TypeError, IndexError) as error:
        raise raster.broken(str(error) or type(error).__name__) from None


def _register(formats: set[str], threads: int) -> None:
    if "heic" in formats:
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = threads
        pillow_heif.register_heif_opener()
    if "jxl" in formats:
        from pillow_jxl import JpegXLImagePlugin

        JpegXLImagePlugin.DECODE_THREADS = threads


def _upright(image: Any, *, alone: bool) -> Any:
    """A copy, or the picture itself where it is upright and `alone`."""
    from PIL import ImageOps

    if image.format == "JXL" and not image.jpeg:
        # Its decoder has turned it; EXIF's word is void (ISO 18181-2, Exif boxes).
        image.getexif().pop(0x0112, None)
        return image
    if alone and image.format in _PLAIN and image.getexif().get(0x0112, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


def _as_srgb(image: Any, profile: bytes) -> Any:
    """With its colours moved to sRGB; as it is where the profile is unusable."""
    from io import BytesIO

    from PIL import ImageCms

    if image.mode not in {"L", "RGB", "RGBA", "CMYK"}:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode=mode,
        )
    except (ImageCms.PyCMSError, OSError):
        return image


def _in_mode(image: Any, target: str, background: str | None) -> Any:
    """In a pixel layout that the target holds, opaque where it must be."""
    if image.mode == "1":
        return image if target in _BILEVEL else image.convert("L" if target in _GREY else "RGB")
    if image.mode.startswith("I"):
        if target in _DEEP:
            return image.convert("I;16")
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if target not in raster.OPAQUE:
            return image
        ground: Any = _new(image.size, background, "RGBA")
        ground.alpha_composite(image)
        image = ground.convert("RGB")
    grey = image.mode in {"L", "LA", "F"} and target in _GREY
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _shaped(image: Any, size: tuple[int, int]) -> Any:
    from PIL import Image

    if image.size == size:
        return image
    if image.mode == "1":
        image = image.convert("L")
    return image.resize(size, Image.Resampling.LANCZOS)


def _placed(image: Any, canvas: tuple[int, int], target: str, background: str | None) -> Any:
    """Cut or padded around the centre."""
    clear = background is None and target not in raster.OPAQUE
    mode = "RGBA" if clear or image.mode == "RGBA" else "RGB"
    ground = _new(canvas, None if clear else background, mode, clear=clear)
    ground.paste(image, ((canvas[0] - image.width) // 2, (canvas[1] - image.height) // 2))
    return ground


def _new(size: tuple[int, int], background: str | None, mode: str, clear: bool = False) -> Any:
    from PIL import Image

    colour = (*raster.rgb(background or raster.WHITE), 255)[: len(mode)]
    return Image.new(mode, size, (0, 0, 0, 0) if clear else colour)


def _resolution(image: Any, target: str, dpi: int | None) -> dict[str, Any]:
    """What the picture tells of its pixels an inch. The size of a PDF page: its picture at `dpi`,
    else at that, else 96."""
    try:
        told = float(image.info["dpi"][0])
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        told = 0.0
    told = told if 36 <= told <= 2400 else 0.0
    if target == "pdf":
        return {"resolution": float(dpi or told or 96)}
    return {"dpi": (told, told)} if told and target in _SIZED else {}


@contextmanager
def _writer(target: str, output: str) -> Iterator[Callable[[Any, Mapping[str, Any]], None]]:
    """What takes (a page, Pillow's options of it) and writes it behind the one before."""
    if target == "tiff":
        from PIL.TiffImagePlugin import AppendingTiffWriter

        with AppendingTiffWriter(output, new=True) as tiff:

            def append(page: Any, saving: Mapping[str, Any]) -> None:
                page.save(tiff, "TIFF", **saving)
                tiff.newFrame()

            yield append
    elif target == "pdf":
        with Path(output).open("wb") as file:
            pdf = Pages(file)
            yield lambda page, saving: pdf.add(page, saving["resolution"], saving["quality"])
            pdf.close()
    else:
        yield lambda page, saving: _save(page, output, target, saving)


def _save(page: Any, output: str, target: str, saving: Mapping[str, Any]) -> None:
    if target == "ico":
        side, sizes = max(page.size), saving["sizes"]
        if side < max(sizes) and side not in sizes:
            # Sizes above the picture's would be left out: it fills the next one.
            side = min(size for size in sizes if size >= side)
            page = _shaped(page, (side, side))
        page.save(output, "ICO", sizes=[(size, size) for size in sizes])
    else:
        page.save(output, _NAMES.get(target, target.upper()), **saving)


def _route(source: str, target: str) -> Route:
    loss, losses = Loss.NONE, []
    if target in raster.LOSSY or target == "pdf":
        loss += Loss.RECOMPRESSED
    if target == "gif":
        loss += 2 * Loss.RECOMPRESSED
        losses.append("colours beyond 256")
    if target in _SQUARE:
        loss += Loss.LAYOUT
        losses.append(f"detail above {256 if target == 'ico' else 1024} pixels a side")
    if target in raster.OPAQUE and source not in raster.OPAQUE:
        losses.append("transparency")
    if target not in _DESCRIBED:
        losses.append("EXIF and colour profile")
    elif source == "tiff":
        losses.append("EXIF")
    if source in raster.MOVING:
        loss += Loss.FLATTENED
        losses.append("animation")
    if source == "tiff" and target not in PAGED:
        losses.append("pages after the first")
    if source == "psd":
        loss += Loss.FLATTENED
        losses.append("layers")
    cost = 6.0 if target in {"avif", "heic"} else 3.0
    return Route(source, target, loss, cost, tuple(losses))


ENGINE = Engine(
    name="pillow",
    title="Pillow",
    routes=tuple(
        _route(source, target)
        for source in READS
        for target in WRITES
        if source not in COMMON or target not in COMMON or source == target == "tiff"
    ),
    build=build,
    options=(
        raster.quality(_QUALITY),
        raster.lossless(_LOSSLESS),
        *raster.SHAPING,
        Option(
            "effort",
            raster.EFFORT.schema,
            raster.EFFORT.description,
            frozenset({*_EFFORT, "jpg", "heic"}),
        ),
        Option(
            "sizes",
            {
                "type": "string",
                "pattern": f"^{_SIZE}(,{_SIZE}){{0,15}}$",
            },
            f"Icon sizes in pixels, comma-separated; {_SIZES} by default.",
            frozenset({"ico"}),
        ),
        Option(
            "dpi",
            {"type": "integer", "minimum": 36, "maximum": 2400},
            "Pixels an inch of the page; the picture's own resolution by default, else 96.",
            frozenset({"pdf"}),
        ),
    ),
    modules=(
        "PIL.ImageCms",
        "PIL.ImageOps",
        *(f"PIL.{name}ImagePlugin" for name in _PLUGINS),
        "pillow_heif",
        "pillow_jxl",
    ),
    # The most pixels that are allowed, as AVIF at effort 4: 750 s; at the slowest, longer.
    limits=Limits(memory=4096 * MB, cpu=1200, wall=1200),
)
