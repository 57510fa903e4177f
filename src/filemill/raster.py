"""What every engine that makes pictures agrees on: options, pixel limits, geometry, libvips.

Floor 1, pure; but `libvips` is for workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from filemill.engine import Option, Task
from filemill.errors import FileInvalid, LimitExceeded
from filemill.limits import MOVING as MOVING
from filemill.limits import Ceilings, refuse
from filemill.model import Facts

MAX_SIDE = 16_384
"""Largest width or height that may be asked for."""

LOSSY = frozenset({"jpg", "webp", "avif", "heic", "jxl", "jp2"})
OPAQUE = frozenset({"jpg", "bmp", "ppm", "pcx", "pdf"})
"""Targets without transparency."""
LARGEST: Mapping[str, int] = {"webp": 16_383, "avif": 16_384, "heic": 16_384, "ico": 256}
"""Longest side that a format can hold; 65535 for the others."""
WHITE = "#ffffff"

QUALITY: Mapping[str, int] = {"jpg": 85, "webp": 80, "avif": 60, "heic": 70, "jxl": 90, "jp2": 80}
"""Where no quality is asked for."""

VIPS: Mapping[str, str] = {"jpg": "jpeg", "avif": "heif"}
"""What libvips calls a format in the names of its loaders and savers, where not as we do."""
PNG: Mapping[str, Mapping[str, Any]] = {
    "fast": {"filter": "up", "compression": 1},
    "balanced": {"filter": "up", "compression": 4},
    "smaller": {"filter": "all", "compression": 9},
}
"""An effort -> its options for libvips' PNG. Measured: up/4 is 5x faster than the usual 6/all."""

_SIDE = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
FITS = ("contain", "down", "cover", "fill", "pad")
EFFORTS = ("fast", "balanced", "smaller")


def quality(targets: frozenset[str]) -> Option:
    return Option(
        "quality",
        {"type": "integer", "minimum": 1, "maximum": 100},
        "Quality of lossy coding, 1 (smallest file) to 100 (best picture).",
        targets,
    )


def lossless(targets: frozenset[str]) -> Option:
    return Option("lossless", {"type": "boolean"}, "Keep every pixel as it is.", targets)


WIDTH = Option("width", _SIDE, "Width of the result in pixels; the height follows if not given.")
HEIGHT = Option("height", _SIDE, "Height of the result in pixels; the width follows if not given.")
FIT = Option(
    "fit",
    {"type": "string", "enum": list(FITS)},
    "How the picture meets width and height: contain (inside them, the default), down (inside, "
    "never enlarged), cover (fills them, the overhang is cut off), fill (stretched), "
    "pad (inside, with the background around it).",
)
BACKGROUND = Option(
    "background",
    {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
    "Colour behind transparent parts where the target has none, and around a padded picture: "
    "#rrggbb, white by default.",
)
STRIP = Option(
    "strip",
    {"type": "boolean"},
    "Drop EXIF, XMP and the colour profile (colours are converted to sRGB first).",
)
EFFORT = Option(
    "effort",
    {"type": "string", "enum": list(EFFORTS)},
    "Time spent on making the file small: fast, balanced (the default) or smaller.",
)
SHAPING = (WIDTH, HEIGHT, FIT, BACKGROUND, STRIP)


@dataclass(frozen=True, slots=True)
class Shape:
    """A picture scaled to `size`, then cut or padded around its centre to `canvas`."""

    size: tuple[int, int]
    canvas: tuple[int, int]


def shape(facts: Facts, target: str, options: Mapping[str, Any], ceilings: Ceilings) -> Shape:
    """The geometry of the result. Raises `LimitExceeded` for one with too many pixels."""
    size = facts.width or 1, facts.height or 1
    found = _fitted(size, options.get("width"), options.get("height"), options.get("fit"))
    frames = (facts.frames or 1) if {facts.format, target} <= MOVING else 1
    for wanted in (found.size, found.canvas):
        _check(wanted, frames, ceilings)
    allowed = LARGEST.get(target, 65_535)
    if target != "ico" and max(found.canvas) > allowed:
        raise LimitExceeded(
            f"{target} holds at most {allowed} pixels a side, this would be {max(found.canvas)}.",
            hint="Ask for a smaller width or height, or another format.",
            details={"limit": "side", "value": max(found.canvas), "allowed": allowed},
        )
    return found


def arguments(task: Task, shape: Shape) -> dict[str, Any]:
    """What the worker of each such engine is told."""
    return {
        "source": task.source,
        "target": task.target,
        "input": task.input,
        "output": task.output,
        "size": shape.size,
        "canvas": shape.canvas,
        "background": task.options.get("background"),
        "strip": task.options.get("strip", False),
        "threads": task.threads,
    }


def broken(detail: str) -> FileInvalid:
    return FileInvalid(
        f"The picture is broken: {detail[:200]}.",
        hint="Check that it opens, and send it again.",
    )


def libvips(threads: int | None = None, *, drawings: bool = False) -> Any:
    """pyvips, ready for a hostile file. `drawings`: SVG, too, which was checked before."""
    import pyvips

    pyvips.block_untrusted_set(True)
    if drawings:
        pyvips.operation_block_set("VipsForeignLoadSvg", False)
    pyvips.cache_set_max(0)  # names repeat: in.png is another file each time
    if threads:
        pyvips.concurrency_set(threads)
    return pyvips


def rgb(colour: str) -> tuple[int, int, int]:
    """The three values, 0..255, of `#rrggbb`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _fitted(size: tuple[int, int], width: int | None, height: int | None, fit: str | None) -> Shape:
    if width is None and height is None:
        return Shape(size, size)
    across, down = (width or 0) / size[0], (height or 0) / size[1]
    if width is None or height is None:  # one side given: the other follows
        scale = across or down
        if fit == "down":
            scale = min(scale, 1.0)
        scaled = _scaled(size, scale)
        if fit != "down":
            scaled = (width or scaled[0], height or scaled[1])
        return Shape(scaled, scaled)
    box = (width, height)
    match fit:
        case "fill":
            return Shape(box, box)
        case "cover":
            return Shape(_scaled(size, max(across, down), at_least=box), box)
        case "pad":
            return Shape(_scaled(size, min(across, down)), box)
        case "down":
            scaled = _scaled(size, min(across, down, 1.0))
        case _:
            scaled = _scaled(size, min(across, down))
    return Shape(scaled, scaled)


def _scaled(
    size: tuple[int, int], scale: float, at_least: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    return max(at_least[0], round(size[0] * scale)), max(at_least[1], round(size[1] * scale))


def _check(size: tuple[int, int], frames: int, ceilings: Ceilings) -> None:
    pixels = size[0] * size[1]
    for limit, value, allowed in (
        ("pixels", pixels, ceilings.pixels),
        ("animation_pixels", pixels * frames, ceilings.animation_pixels),
    ):
        refuse(
            limit,
            value,
            allowed,
            f"{size[0]} x {size[1]} pixels in {frames} frame(s) are more than is allowed here.",
            f"At most {allowed} pixels together: ask for a smaller width or height.",
        )
