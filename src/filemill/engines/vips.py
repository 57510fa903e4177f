"""libvips: the common picture formats, streamed, fast and with little memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from filemill import raster
from filemill.engine import Call, Engine, Limits, Loss, Route, Task, Work
from filemill.errors import LimitExceeded

FORMATS = ("jpg", "png", "webp", "gif", "avif", "tiff")
_LOSSLESS = frozenset({"webp", "avif"})

# Measured: AVIF 1 is 8x faster than 4, +8% size.
_EFFORT: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "jpg": {
        "fast": {"optimize_coding": False},
        "balanced": {"optimize_coding": True},
        "smaller": {"optimize_coding": True, "interlace": True, "trellis_quant": True},
    },
    "png": raster.PNG,
    "webp": {"fast": {"effort": 1}, "balanced": {"effort": 4}, "smaller": {"effort": 6}},
    "gif": {"fast": {"effort": 1}, "balanced": {"effort": 5}, "smaller": {"effort": 10}},
    "avif": {"fast": {"effort": 0}, "balanced": {"effort": 1}, "smaller": {"effort": 5}},
    "tiff": {
        "fast": {"compression": "lzw", "predictor": "horizontal"},
        "balanced": {"compression": "deflate", "predictor": "horizontal"},
        "smaller": {"compression": "zstd", "predictor": "horizontal", "level": 19},
    },
}


def build(task: Task) -> Work:
    shape = raster.shape(task.facts, task.target, task.options, task.ceilings)
    moving = (
        task.source in raster.MOVING
        and task.target in raster.MOVING
        and (task.facts.frames or 1) > 1
    )
    arguments = raster.arguments(task, shape) | {"moving": moving, "saving": _saving(task)}
    return Work((Call("filemill.engines.vips:convert", arguments),), (task.output,))


def _saving(task: Task) -> dict[str, Any]:
    """The saver's own options."""
    options, target = task.options, task.target
    saving = dict(_EFFORT[target][options.get("effort", "balanced")])
    if target in raster.QUALITY:
        saving["Q"] = options.get("quality", raster.QUALITY[target])
    if target in _LOSSLESS and options.get("lossless"):
        saving["lossless"] = True
    if target == "avif":
        saving["compression"] = "av1"
    if options.get("strip"):
        saving["keep"] = "none"
    return saving


def convert(
    report: Callable[[float], None],  # noqa: ARG001  (over before it would be worth telling)
    *,
    source: str,
    target: str,
    input: str,
    output: str,
    size: tuple[int, int],
    canvas: tuple[int, int],
    moving: bool,
    background: str | None,
    strip: bool,
    saving: Mapping[str, Any],
    threads: int,
) -> None:
    pyvips = raster.libvips(threads)
    try:
        image = _load(source, input, size, moving)
        image = _in_colours(image, target, strip)
        image = _shaped(image, (size[0], size[1]), (canvas[0], canvas[1]), background, target)
        if image.hasalpha() and target in raster.OPAQUE:
            image = image.flatten(background=_colour(image, background)[: image.bands - 1])
        save = getattr(image, f"{raster.VIPS.get(target, target)}save")
        save(output, **saving)
    except pyvips.Error as error:
        raise _failure(str(error)) from None


def _load(source: str, path: str, size: tuple[int, int], moving: bool) -> Any:
    """The picture upright, by the loader of its format and no other; pixels come as needed."""
    import pyvips

    load = getattr(pyvips.Image, f"{raster.VIPS.get(source, source)}load")
    asked: dict[str, Any] = {"fail_on": "truncated"}
    if moving:
        return load(path, n=-1, **asked)
    image = load(path, access="sequential", **asked)
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    if source == "jpg":
        sides = (size[1], size[0]) if orientation > 4 else size
        asked["shrink"] = _shrink(image.width / sides[0], image.height / sides[1])
    if orientation > 1:  # turning needs the pixels in any order
        return load(path, memory=True, **asked).autorot()
    return load(path, access="sequential", **asked)


def _shrink(*factors: float) -> int:
    """How much the JPEG decoder may shrink and leave the resampler a factor of two."""
    return next(shrink for shrink in (8, 4, 2, 1) if shrink == 1 or min(factors) >= 2 * shrink)


def _in_colours(image: Any, target: str, strip: bool) -> Any:
    """In a colour space that the target holds."""
    profiled = image.get_typeof("icc-profile-data") != 0
    if image.interpretation == "cmyk" and (strip or target not in {"jpg", "tiff"}):
        return image.icc_transform("srgb", embedded=profiled, input_profile="cmyk")
    if profiled and (strip or target == "gif"):
        return image.icc_transform("srgb", embedded=True, input_profile="srgb")
    if image.format in {"float", "double"} and target != "tiff":
        return image.colourspace("srgb" if image.bands > 2 else "b-w")
    return image


def _shaped(
    image: Any,
    size: tuple[int, int],
    canvas: tuple[int, int],
    background: str | None,
    target: str,
) -> Any:
    import pyvips

    height = image.get_page_height()
    if (image.width, height) != size:
        image = image.thumbnail_image(size[0], height=size[1], size="force", no_rotate=True)
    if size == canvas:
        return image
    colour: list[float] = []
    if canvas[0] > size[0] or canvas[1] > size[1]:
        if background is None and target not in raster.OPAQUE and image.bands > 2:
            image = image if image.hasalpha() else image.addalpha()
            colour = [0.0] * image.bands
        else:
            colour = _colour(image, background)
    frames = [
        image.crop(0, top, *size).gravity(
            "centre", *canvas, extend="background", background=colour or [0.0]
        )
        for top in range(0, image.height, size[1])
    ]
    joined = pyvips.Image.arrayjoin(frames, across=1) if len(frames) > 1 else frames[0]
    joined = joined.copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", canvas[1])
    return joined


def _colour(image: Any, background: str | None) -> list[float]:
    """A colour in the image's own bands, opaque; white if none is given."""
    top = {"rgb16": 65535.0, "grey16": 65535.0}.get(image.interpretation, 255.0)
    colours = [part / 255 * top for part in raster.rgb(background or raster.WHITE)]
    bands = image.bands - image.hasalpha()
    if image.interpretation == "cmyk":
        colours = [255 - part for part in colours] + [0.0]
    elif bands == 1:
        colours = [0.2126 * colours[0] + 0.7152 * colours[1] + 0.0722 * colours[2]]
    return colours[:bands] + [top] * image.hasalpha()


def _failure(text: str) -> Exception:
    """libvips tells what went wrong in words only; what is not a full disk is the file's fault,
    since sizes were checked before."""
    lower = text.lower()
    if "no space left" in lower or "file too large" in lower:
        return LimitExceeded("There was no room for the result.", details={"limit": "disk"})
    if "out of memory" in lower:
        return LimitExceeded("The picture needs too much memory.", details={"limit": "memory"})
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return raster.broken(lines[1] if len(lines) > 1 else "it cannot be decoded")


def _route(source: str, target: str) -> Route:
    loss, losses = Loss.NONE, []
    if target in raster.LOSSY:
        loss += Loss.RECOMPRESSED
    if target == "gif" and source != "gif":
        loss += 2 * Loss.RECOMPRESSED
        losses.append("colours beyond 256")
    if target == "jpg" and source != "jpg":
        losses.append("transparency")
    if source in raster.MOVING and target not in raster.MOVING:
        loss += Loss.FLATTENED
        losses.append("animation")
    if source == "tiff":
        losses.append("pages after the first")
    if "tiff" in {source, target}:
        losses.append("EXIF")
    return Route(source, target, loss, cost=4.0 if target == "avif" else 1.0, losses=tuple(losses))


ENGINE = Engine(
    name="vips",
    title="libvips",
    routes=tuple(
        _route(source, target)
        for source in FORMATS
        for target in FORMATS
        if (source, target) != ("tiff", "tiff")  # would lose pages: Pillow goes page by page
    ),
    build=build,
    options=(
        raster.quality(frozenset(raster.QUALITY)),
        raster.lossless(_LOSSLESS),
        *raster.SHAPING,
        raster.EFFORT,
    ),
    modules=("pyvips",),
    # The most pixels that are allowed, as AVIF at effort 4: 750 s; at the slowest, longer.
    limits=Limits(cpu=1200, wall=1200),
)
