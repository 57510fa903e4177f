"""Audio and video, by the FFmpeg that the wheel imageio-ffmpeg brings.

Streams are copied when their codecs fit the target and no option asks for other ones:
hundreds of times quicker, and without loss. https://ffmpeg.org/ffmpeg-all.html
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from filemill.containers import CONTAINERS, SOUNDS, TRACKS, VIDEOS, Container
from filemill.engine import MB, Engine, Limits, Loss, Process, Route, Task, Tool, Work, routes
from filemill.engines.ffmpeg.command import command, diagnose
from filemill.engines.ffmpeg.cover import reading_cover
from filemill.engines.ffmpeg.parts import split
from filemill.engines.ffmpeg.pictures import animation, frame
from filemill.engines.ffmpeg.streams import (
    COVER_TYPES,
    H264,
    Window,
    audio,
    cover,
    opening,
    subtitles,
    video,
)
from filemill.errors import BadOptions, FileInvalid
from filemill.media import LOSSLESS, OPTIONS, SOUNDS_OUT, STILLS

LEADS: Mapping[str, float] = dict.fromkeys(("ts", "mpg"), 10.0) | dict.fromkeys(
    ("mp3", "aac", "ac3", "amr"), float("inf")
)
"""Seeking in these is a guess: to start exactly, this much before the start, seconds, is
decoded and dropped."""
TAGS_IN_STREAM = {"ogg", "opus", "ogv"}
PICTURE_BLOCK = {"ogg", "opus"}
"""Hold their cover as a tag, base64."""


def build(task: Task) -> Work:
    """Raises `FileInvalid` when the file lacks what the target needs, `BadOptions` for a
    part of it that is not there."""
    container = CONTAINERS.get(task.target)
    if (container is None or container.video or task.target == "gif") and task.source != "gif":
        _needs(task.facts.video_codec, "picture", "Choose an audio format as the target.")
    elif task.source != "gif":
        _needs(task.facts.audio_codec, "sound", "Only files with sound become audio files.")
    if task.target in STILLS:
        return frame(task)
    window = _window(task)
    if task.target == "gif":
        return animation(task, window)
    assert container is not None, task.target
    return _media(task, container, window)


def _needs(codec: str | None, what: str, hint: str) -> None:
    if codec is None:
        raise FileInvalid(f"This file has no {what}.", hint=hint)


def _window(task: Task) -> Window:
    start, end = task.options.get("start", 0), task.options.get("end")
    length = task.options.get("duration")
    if end is not None and length is not None:
        raise BadOptions("Give end or duration, not both.")
    if end is not None:
        length = end - start
        if length <= 0:
            raise BadOptions("end must lie after start.")
    known = task.facts.duration
    if known is not None and start >= known:
        raise BadOptions(f"start lies after the end of the file, which is {known:.3f} s long.")
    if known is None:
        return Window(start, length, length)
    return Window(start, length, min(known - start, known if length is None else length))


def _media(task: Task, container: Container, window: Window) -> Work:
    options, facts = task.options, task.facts
    picture = video(task, container, window) if container.video else cover(task, container)
    sound = facts.audio_codec is not None and not options.get("mute")
    block = task.target in PICTURE_BLOCK and facts.cover in COVER_TYPES
    lead = min(window.start, LEADS.get(task.source, 0.0))
    argv = (
        *opening(task, window.start - lead),
        *(("-f", "ffmetadata", "-i", "cover.txt") if block else ()),
        *(("-ss", str(lead)) if lead else ()),
        *(("-t", str(window.length)) if window.length is not None else ()),
        *picture,
        *(audio(task, container, window) if sound else ("-an",)),
        *subtitles(task, container),
        *("-map_metadata", "0:s:a:0" if task.source in TAGS_IN_STREAM and sound else "0"),
        *(("-map_metadata", "1") if block else ()),
        *("-threads", str(task.threads), *container.flags),
        *("-f", container.muxer, task.output),
    )
    processes: list[Process] = [command(argv, window.total)]
    if block:
        processes.insert(0, reading_cover(task))
    return Work(tuple(processes), (task.output,))


def find_ffmpeg() -> Path | None:
    spec = find_spec("imageio_ffmpeg")
    if spec and spec.origin:
        for path in sorted(Path(spec.origin).parent.glob("binaries/ffmpeg-*")):
            return path
    found = shutil.which("ffmpeg")
    return Path(found) if found else None


def _routes() -> Iterator[Route]:
    for source in VIDEOS:
        for target in VIDEOS:
            copies = target in (source, "mkv") or (source in H264 and target in H264)
            extras: tuple[str, ...] = ("subtitles, further tracks",)
            if {source, target} <= TRACKS:
                extras = () if target == "mkv" else ("styles of subtitles", "picture subtitles")
            yield Route(
                source,
                target,
                Loss.RECOMPRESSED,
                cost=10 if copies else 100,
                losses=extras if copies else ("recompressed", *extras),
            )
    yield from routes(
        VIDEOS, SOUNDS_OUT, loss=Loss.CONTENT, cost=10, losses=("video", "further tracks")
    )
    for still in STILLS:  # png is the way to every other picture format
        loss = Loss.FLATTENED + (Loss.NONE if still == "png" else Loss.RECOMPRESSED)
        yield from routes(
            VIDEOS, (still,), loss=loss, cost=5, losses=("all but one picture", "sound")
        )
    yield from routes(
        VIDEOS, ("gif",), loss=Loss.FLATTENED, cost=50, losses=("sound", "most colours")
    )
    yield from routes(("gif",), VIDEOS, loss=Loss.RECOMPRESSED, cost=10, losses=("transparency",))
    for source in SOUNDS:
        for target in SOUNDS_OUT:
            kept = target in LOSSLESS or {source, target} <= {"aac", "m4a"} or source == target
            loss, losses = (Loss.NONE, ()) if kept else (Loss.RECOMPRESSED, ("recompressed",))
            yield Route(source, target, loss, cost=5, losses=losses)


ENGINE = Engine(
    name="ffmpeg",
    title="FFmpeg",
    routes=tuple(_routes()),
    build=build,
    split=split,
    options=OPTIONS,
    tools=(Tool("ffmpeg", find_ffmpeg, "Install the Python package imageio-ffmpeg."),),
    modules=("av",),
    # Hours of film are its trade: FILEMILL_JOB_TIMEOUT is what bounds it.
    limits=Limits(memory=4096 * MB, cpu=100 * 3600, wall=24 * 3600),
    diagnose=diagnose,
)
