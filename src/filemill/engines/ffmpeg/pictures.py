"""Pictures out of films: one of them, or all as a GIF."""

from __future__ import annotations

from filemill.engine import Task, Work
from filemill.engines.ffmpeg.command import command
from filemill.engines.ffmpeg.streams import Window, filters, opening
from filemill.errors import BadOptions

GIF_FPS, GIF_WIDTH = 15, 480
"""More than this is rarely meant: a GIF grows to many times the size of its video."""


def frame(task: Task) -> Work:
    known = task.facts.duration
    at = task.options.get("at", (known or 0) / 10)
    if known is not None and at > known:
        raise BadOptions(f"at lies after the end of the file, which is {known:.3f} s long.")
    before = min(at, 1.0)  # the last picture stays until the end: it may have begun earlier
    quality = task.options.get("quality", 85)
    coder = {
        "jpg": ("-c:v", "mjpeg", "-q:v", str(round(31 - quality * 0.29)), "-pix_fmt", "yuvj420p"),
        "png": ("-c:v", "png", "-pred", "mixed"),
        "webp": ("-c:v", "libwebp", "-quality", str(quality)),
    }[task.target]
    hold = f"tpad=stop_mode=clone:stop_duration=2,select=gte(t\\,{before})"
    argv = (
        *opening(task, at - before),
        *("-map", "0:V:0", "-vf", ",".join((hold, *filters(task))), "-an"),
        *("-frames:v", "1", "-update", "1", *coder, "-f", "image2", task.output),
    )
    return Work((command(argv, None),), (task.output,))


def animation(task: Task, window: Window) -> Work:
    """Two processes, the palette first: one for both holds every frame in memory."""
    fps = task.options.get("fps", f"min(source_fps\\,{GIF_FPS})")
    sized = {"width", "height"} & task.options.keys()
    scale = list(filters(task))[-1] if sized else f"scale=min({GIF_WIDTH}\\,iw):-1"
    frames = f"fps={fps},{scale}:flags=lanczos"
    source = opening(task, window.start, window.length)
    palette = (
        *(*source, "-map", "0:V:0", "-vf", f"{frames},palettegen=stats_mode=diff"),
        *("-frames:v", "1", "-update", "1", "-f", "image2", "palette.png"),
    )
    paint = "paletteuse=dither=bayer:bayer_scale=4:diff_mode=rectangle"
    picture = (
        *(*source, "-f", "png_pipe", "-i", "palette.png"),
        *("-filter_complex", f"[0:V:0]{frames}[x];[x][1:v]{paint}", "-an", "-f", "gif"),
        task.output,
    )
    return Work((command(palette, window.total), command(picture, window.total)), (task.output,))
