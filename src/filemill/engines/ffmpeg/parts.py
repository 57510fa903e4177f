"""A film in parts: its picture in segments, all else as one, then a join that copies."""

from __future__ import annotations

from dataclasses import replace

from filemill.containers import CONTAINERS, TRACKS, Container
from filemill.engine import Part, Split, Task, Work
from filemill.engines.ffmpeg.command import command
from filemill.engines.ffmpeg.streams import (
    Window,
    audio,
    copies_video,
    opening,
    subtitles,
    tag,
    video,
)
from filemill.segments import ENCODED, Segment, film


def split(task: Task, grain: float) -> Split | None:
    """The picture in segments, encoded anew from the whole source each; all else as one part, so
    that sound has no joints; then a join that copies. Only where each picture's time is sure."""
    container, codec = CONTAINERS.get(task.target), ""
    if task.source in TRACKS and task.target in TRACKS and container is not None:
        codec = task.options.get("video_codec", container.video[0])
    if (
        container is None
        or codec not in ENCODED
        or task.facts.video_codec is None
        or {"fps", "start", "end", "duration"} & task.options.keys()
        or copies_video(task, container, Window(0, None, None))
    ):
        return None
    sound = task.facts.audio_codec is not None and not task.options.get("mute")
    if not sound and subtitles(task, container):
        return None  # the rest would be these alone, which is no film
    facts, effort = task.facts, task.options.get("effort", "fast")
    segments = film(facts, codec, effort, _pixels(task), grain)
    if segments is None:
        return None
    names = [f"part-{number:04}.mp4" for number in range(len(segments))]
    parts = [
        Part(
            name,
            _segment(task, container, segment, name),
            segment.micros / 1e6,
            {"frames": segment.pictures} if segment.pictures else {},
        )
        for name, segment in zip(names, segments, strict=True)
    ]
    tags = names[0]
    if sound:
        tags = f"rest.{task.output.rpartition('.')[2]}"
        # First: it takes longest, and holds no picture to wait for.
        parts.insert(0, _rest(task, container, tags))
    listed = "".join(
        f"file {name}\nduration {segment.micros / 1e6:.6f}\n"
        for name, segment in zip(names, segments, strict=True)
    )
    # Times stay as they are in the parts: FFmpeg would begin each input at 0.
    argv = (
        *("-copyts", "-protocol_whitelist", "file", "-format_whitelist", "concat,mov"),
        *("-itsoffset", f"{facts.delay or 0:.6f}", "-f", "concat", "-i", "parts.txt"),
        *("-copyts", "-protocol_whitelist", "file", "-i", tags),
        *("-map", "0:v:0", *(("-map", "1:a", "-map", "1:s?") if sound else ()), "-c", "copy"),
        *tag(codec, task.target),
        *("-map_metadata", "1", "-map_chapters", "1", *container.flags),
        *("-f", container.muxer, task.output),
    )
    joined = replace(
        command(argv, facts.duration),
        files={"parts.txt": f"ffconcat version 1.0\n{listed}".encode()},
    )
    return Split(tuple(parts), Work((joined,), (task.output,)), "frames")


def _segment(task: Task, container: Container, segment: Segment, name: str) -> Work:
    argv = (
        *opening(task, segment.begin),
        *(("-t", f"{segment.length:.6f}") if segment.length is not None else ()),
        *video(task, container, Window(0, None, None)),
        *("-map_metadata", "0", "-threads", str(task.threads), "-f", "mp4", name),
    )
    return Work((command(argv, segment.micros / 1e6),), (name,))


def _rest(task: Task, container: Container, name: str) -> Part:
    """All that is not the picture."""
    argv = (
        *(*opening(task), "-vn", *audio(task, container, Window(0, None, None))),
        *(*subtitles(task, container), "-map_metadata", "0", "-f", container.muxer, name),
    )
    duration = task.facts.duration or 0
    return Part(name, Work((command(argv, duration),), (name,)), duration / 50)


def _pixels(task: Task) -> int:
    """About how many a picture of the result has."""
    width, height = task.facts.width or 1, task.facts.height or 1
    scale = min(
        (
            task.options[name] / side
            for name, side in (("width", width), ("height", height))
            if name in task.options
        ),
        default=1.0,
    )
    return round(width * height * scale * scale)
