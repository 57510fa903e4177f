"""SVG drawn by librsvg, inside libvips. Its probe has seen that it is bounded and refers to
nothing outside; besides, it is read from memory, so that no name leads anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filemill import raster
from filemill.engine import MB, Call, Engine, Limits, Loss, Route, Task, Work
from filemill.errors import FileInvalid

_SAVERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "png": ("pngsave", {"filter": "up", "compression": 4}),
    "jpg": ("jpegsave", {"optimize_coding": True}),
    "webp": ("webpsave", {}),
    "avif": ("heifsave", {"compression": "av1", "effort": 1}),
    "tiff": ("tiffsave", {"compression": "deflate"}),
}


def build(task: Task) -> Work:
    options = task.options
    asked = {name: options[name] for name in ("width", "height") if name in options}
    shape = raster.shape(task.facts, task.target, asked, task.ceilings)
    saver, saving = _SAVERS[task.target]
    if task.target in raster.QUALITY:
        saving = {**saving, "Q": options.get("quality", raster.QUALITY[task.target])}
    arguments = {
        "input": task.input,
        "output": task.output,
        "size": shape.size,
        "scale": max(
            shape.size[0] / (task.facts.width or 1), shape.size[1] / (task.facts.height or 1)
        ),
        "background": options.get("background"),
        "opaque": task.target in raster.OPAQUE,
        "saver": saver,
        "saving": saving,
        "threads": task.threads,
    }
    return Work((Call(f"{__name__}:draw", arguments),), (task.output,))


def draw(
    report: Callable[[float], None],  # noqa: ARG001  (over before it would be worth telling)
    *,
    input: str,
    output: str,
    size: tuple[int, int],
    scale: float,
    background: str | None,
    opaque: bool,
    saver: str,
    saving: Mapping[str, Any],
    threads: int,
) -> None:
    pyvips = raster.libvips(threads, drawings=True)
    try:
        image = pyvips.Image.svgload_buffer(Path(input).read_bytes(), scale=scale)
        if (image.width, image.height) != tuple(size):
            image = image.thumbnail_image(size[0], height=size[1], size="force")
        if background or opaque:
            image = image.flatten(background=raster.rgb(background or raster.WHITE))
        getattr(image, saver)(output, **saving)
    except pyvips.Error as error:
        raise FileInvalid(
            f"The drawing cannot be drawn: {str(error)[:200].strip()}.",
            hint="Check that a browser shows it.",
        ) from None


ENGINE = Engine(
    name="drawings",
    title="librsvg",
    routes=tuple(
        Route(
            "svg",
            target,
            Loss.FLATTENED + Loss.RECOMPRESSED * (target in raster.LOSSY),
            cost=2,
            losses=("vector drawing",),
        )
        for target in _SAVERS
    ),
    build=build,
    options=(
        raster.WIDTH,
        raster.HEIGHT,
        raster.BACKGROUND,
        raster.quality(frozenset(raster.QUALITY)),
    ),
    modules=("pyvips",),
    # Filters cost time that no header tells of.
    limits=Limits(memory=2048 * MB, cpu=120, wall=120),
)
