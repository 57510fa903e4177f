"""The arguments of one conversion: the source, its picture, its sound, the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from filemill.containers import CONTAINERS, TRACKS, USUAL, VIDEO, WORDS, Container, audio_codec
from filemill.engine import Task

ENCODES_VIDEO = {"quality", "video_bitrate", "video_codec", "effort", "fps", "width", "height"}
ENCODES_AUDIO = {"audio_bitrate", "audio_codec", "sample_rate", "channels", "volume"}
H264 = ("mp4", "mov", "mkv", "ts", "flv", "3gp")
"""What is in one of these usually fits the others as it is."""
COVER_TYPES = {"mjpeg": "image/jpeg", "png": "image/png"}


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the source that is wanted, seconds."""

    start: float
    length: float | None
    """None: to the end."""
    total: float | None
    """How long the result will be; None: unknown."""


def opening(task: Task, start: float = 0, length: float | None = None) -> tuple[str, ...]:
    """Opens the source as nothing else than the format it is said to be, from this file alone;
    `length` seconds of it, and never more than are allowed, whatever its head says."""
    allowed = task.ceilings.duration + 1  # the probe counts whole seconds
    demuxer = CONTAINERS[task.source].demuxer
    return (
        *("-protocol_whitelist", "file", "-format_whitelist", demuxer),
        *("-max_pixels", str(task.ceilings.video_pixels), "-threads", str(task.threads)),
        *(("-fflags", "+genpts") if task.source in ("mpg", "ts") else ()),
        *(("-ss", f"{start:.6f}") if start > 0 else ()),
        *("-t", str(allowed if length is None else min(length, allowed))),
        *("-f", demuxer, "-i", task.input),
    )


def video(task: Task, container: Container, window: Window) -> tuple[str, ...]:
    options, codec = task.options, task.facts.video_codec
    if copies_video(task, container, window):
        argv: tuple[str, ...] = ("-map", "0:V:0", "-c:v", "copy")
    else:
        codec = options.get("video_codec", container.video[0])
        argv = (
            *("-map", "0:V:0", "-vf", ",".join(filters(task))),
            *VIDEO[codec].arguments(
                options.get("quality", USUAL),
                options.get("video_bitrate"),
                options.get("effort", "fast"),
            ),
        )
        if task.source == "gif" and task.target in (*H264, "webm") and "fps" not in options:
            # Each picture of a GIF has its own time, in hundredths of a second.
            argv += ("-fps_mode", "vfr", "-enc_time_base", "1:100")
    return (*argv, *tag(codec, task.target))


def tag(codec: str | None, target: str) -> tuple[str, ...]:
    # Apple's players know HEVC by this tag only.
    return ("-tag:v", "hvc1") if codec == "hevc" and target in ("mp4", "mov") else ()


def copies_video(task: Task, container: Container, window: Window) -> bool:
    return (
        task.facts.video_codec in container.keeps_video
        and not ENCODES_VIDEO & task.options.keys()
        # A copy can only start where a whole picture is stored.
        and window.start == 0
        # AVI does not store when its pictures are shown.
        and (task.source != "avi" or task.target == "avi")
        and (not task.facts.rotation or container.rotates)
    )


def filters(task: Task) -> Iterator[str]:
    width, height = task.options.get("width"), task.options.get("height")
    if task.source == "gif":  # what is transparent becomes white
        yield "split[a][b],[a]drawbox=c=white@1:t=fill:replace=1[c],[c][b]overlay=format=auto"
    if "fps" in task.options:
        yield f"fps={task.options['fps']}"
    if width and height:
        yield f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2"
    elif width or height:
        yield f"scale={width // 2 * 2 if width else -2}:{height // 2 * 2 if height else -2}"
    else:
        # 4:2:0 stores a colour for each 2x2 pixels.
        yield r"scale=max(2\,trunc(iw/2)*2):max(2\,trunc(ih/2)*2)"


def audio(task: Task, container: Container, window: Window) -> tuple[str, ...]:
    options, facts = task.options, task.facts
    known = [at for at, codec in enumerate(facts.audio_codecs or ("",)) if codec] or [0]
    taken = known if {task.source, task.target} <= TRACKS else known[:1]
    streams = tuple(word for at in taken for word in ("-map", f"0:a:{at}"))
    codecs = {facts.audio_codecs[at] if facts.audio_codecs else facts.audio_codec for at in taken}
    asked = ENCODES_AUDIO if container.video else ENCODES_AUDIO | {"quality"}
    # FLAC says in its head how long it is: a part of it must be made anew.
    trimmed = window.start > 0 or (window.length is not None and "flac" in codecs)
    if codecs <= container.keeps_audio and not trimmed and not asked & options.keys():
        return (*streams, "-c:a", "copy")
    codec = options.get("audio_codec", container.audio[0])
    coder = audio_codec(codec, task.facts.sample_bits)
    rate = options.get("sample_rate", coder.sample_rate)
    filters = [
        *((f"volume={options['volume']}",) if "volume" in options else ()),
        *((f"aformat={coder.format}",) if coder.format else ()),
    ]
    return (
        *streams,
        *(("-af", ",".join(filters)) if filters else ()),
        *coder.arguments(
            USUAL if container.video else options.get("quality", USUAL),
            options.get("audio_bitrate"),
        ),
        *(("-ar", str(rate)) if rate else ()),
        *(("-ac", str(options["channels"])) if "channels" in options else ()),
    )


def subtitles(task: Task, container: Container) -> tuple[str, ...]:
    if not {task.source, task.target} <= TRACKS:
        return ()
    argv: tuple[str, ...] = ()
    made = 0
    for at, codec in enumerate(task.facts.subtitles or ()):
        kept = codec in container.keeps_subtitles or task.source == task.target == "mkv"
        if kept or codec in WORDS:
            coder = "copy" if kept else container.subtitles
            argv += ("-map", f"0:s:{at}", f"-c:s:{made}", coder)
            made += 1
    return argv


def cover(task: Task, container: Container) -> tuple[str, ...]:
    """The cover picture of an audio file; the moving pictures of a video are not one."""
    if task.facts.video_codec is None and task.facts.cover in COVER_TYPES and container.covers:
        return ("-map", "0:v:0", "-c:v", "copy", "-disposition:v:0", "attached_pic")
    return ("-vn",)
