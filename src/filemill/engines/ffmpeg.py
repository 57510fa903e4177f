"""Audio and video, by the FFmpeg that the wheel imageio-ffmpeg brings.

Streams are copied when their codecs fit the target and no option asks for other ones:
hundreds of times quicker, and without loss. https://ffmpeg.org/ffmpeg-all.html
"""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from filemill.containers import CONTAINERS, SOUNDS, USUAL, VIDEO, VIDEOS, Container, audio_codec
from filemill.engine import (
    MB,
    Call,
    Command,
    Engine,
    Exit,
    Limits,
    Loss,
    Part,
    Process,
    Route,
    Split,
    Task,
    Tool,
    Work,
    engine_failed,
    routes,
)
from filemill.errors import BadOptions, FileInvalid, FilemillError
from filemill.media import LOSSLESS, OPTIONS, SOUNDS_OUT, STILLS
from filemill.segments import ENCODED, Segment, film

ENCODES_VIDEO = {"quality", "video_bitrate", "video_codec", "effort", "fps", "width", "height"}
ENCODES_AUDIO = {"audio_bitrate", "audio_codec", "sample_rate", "channels", "volume"}
LEADS: Mapping[str, float] = dict.fromkeys(("ts", "mpg"), 10.0) | dict.fromkeys(
    ("mp3", "aac", "ac3", "amr"), float("inf")
)
"""Seeking in these is a guess: to start exactly, this much before the start, seconds, is
decoded and dropped."""
TAGS_IN_STREAM = {"ogg", "opus", "ogv"}
PICTURE_BLOCK = {"ogg", "opus"}
"""Hold their cover as a tag, base64."""
COVER_TYPES = {"mjpeg": "image/jpeg", "png": "image/png"}
TRACKS = {"mkv", "mp4", "mov", "webm"}
"""Hold any number of sound tracks."""
MAX_COVER = 8 * MB
H264 = ("mp4", "mov", "mkv", "ts", "flv", "3gp")
"""What is in one of these usually fits the others as it is."""
GIF_FPS, GIF_WIDTH = 15, 480
"""More than this is rarely meant: a GIF grows to many times the size of its video."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the source that is wanted, seconds."""

    start: float
    length: float | None
    """None: to the end."""
    total: float | None
    """How long the result will be; None: unknown."""


def build(task: Task) -> Work:
    """Raises `FileInvalid` when the file lacks what the target needs, `BadOptions` for a
    part of it that is not there."""
    container = CONTAINERS.get(task.target)
    if (container is None or container.video or task.target == "gif") and task.source != "gif":
        _needs(task.facts.video_codec, "picture", "Choose an audio format as the target.")
    elif task.source != "gif":
        _needs(task.facts.audio_codec, "sound", "Only files with sound become audio files.")
    if task.target in STILLS:
        return _still(task)
    window = _window(task)
    if task.target == "gif":
        return _gif(task, window)
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
    picture = _video(task, container, window) if container.video else _cover(task, container)
    sound = facts.audio_codec is not None and not options.get("mute")
    block = task.target in PICTURE_BLOCK and facts.cover in COVER_TYPES
    lead = min(window.start, LEADS.get(task.source, 0.0))
    argv = (
        *_input(task, window.start - lead),
        *(("-f", "ffmetadata", "-i", "cover.txt") if block else ()),
        *(("-ss", str(lead)) if lead else ()),
        *(("-t", str(window.length)) if window.length is not None else ()),
        *picture,
        *(_audio(task, container, window) if sound else ("-an",)),
        *_subtitles(task),
        *("-map_metadata", "0:s:a:0" if task.source in TAGS_IN_STREAM and sound else "0"),
        *(("-map_metadata", "1") if block else ()),
        *("-threads", str(task.threads), *container.flags),
        *("-f", container.muxer, task.output),
    )
    processes: list[Process] = [_command(argv, window.total)]
    if block:
        call = {"file": task.input, "demuxer": CONTAINERS[task.source].demuxer}
        processes.insert(0, Call(f"{__name__}:write_cover", call))
    return Work(tuple(processes), (task.output,))


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
        or _copies_video(task, container, Window(0, None, None))
    ):
        return None
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
    sound = facts.audio_codec is not None and not task.options.get("mute")
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
        *_tag(codec, task.target),
        *("-map_metadata", "1", "-map_chapters", "1", *container.flags),
        *("-f", container.muxer, task.output),
    )
    files = {"parts.txt": f"ffconcat version 1.0\n{listed}".encode()}
    return Split(
        tuple(parts), Work((_command(argv, facts.duration),), (task.output,), files), "frames"
    )


def _segment(task: Task, container: Container, segment: Segment, name: str) -> Work:
    argv = (
        *_input(task, segment.begin),
        *(("-t", f"{segment.length:.6f}") if segment.length is not None else ()),
        *_video(task, container, Window(0, None, None)),
        *("-map_metadata", "0", "-threads", str(task.threads), "-f", "mp4", name),
    )
    return Work((_command(argv, segment.micros / 1e6),), (name,))


def _rest(task: Task, container: Container, name: str) -> Part:
    """All that is not the picture."""
    argv = (
        *(*_input(task), "-vn", *_audio(task, container, Window(0, None, None))),
        *(*_subtitles(task), "-map_metadata", "0", "-f", container.muxer, name),
    )
    duration = task.facts.duration or 0
    return Part(name, Work((_command(argv, duration),), (name,)), duration / 50)


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


def _input(task: Task, start: float = 0) -> tuple[str, ...]:
    """Opens the source as nothing else than the format it is said to be, from this file alone."""
    demuxer = CONTAINERS[task.source].demuxer
    return (
        *("-protocol_whitelist", "file", "-format_whitelist", demuxer),
        *("-max_pixels", str(task.ceilings.video_pixels), "-threads", str(task.threads)),
        *(("-fflags", "+genpts") if task.source in ("mpg", "ts") else ()),
        *(("-ss", f"{start:.6f}") if start > 0 else ()),
        *("-f", demuxer, "-i", task.input),
    )


def _command(argv: tuple[str, ...], total: float | None) -> Command:
    always = ("-nostdin", "-hide_banner", "-y", "-loglevel", "error", "-max_alloc", str(512 * MB))
    report = ("-nostats", "-progress", "pipe:1", "-stats_period", "0.2")
    return Command(("ffmpeg", *always, *report, *argv), progress=progress(total) if total else None)


def progress(total: float) -> Callable[[str], float | None]:
    """Reads FFmpeg's `-progress` lines; `total` is how long the result will be, seconds.

    The time goes back when a stream that was behind ends: what was reached stays."""
    reached = 0.0

    def read(line: str) -> float | None:
        nonlocal reached
        name, _, value = line.strip().partition("=")
        if name != "out_time_us" or not value.removeprefix("-").isdigit():
            return None
        reached = max(reached, min(int(value) / 1e6 / total, 1.0))
        return reached

    return read


def _video(task: Task, container: Container, window: Window) -> tuple[str, ...]:
    options, codec = task.options, task.facts.video_codec
    if _copies_video(task, container, window):
        argv: tuple[str, ...] = ("-map", "0:V:0", "-c:v", "copy")
    else:
        codec = options.get("video_codec", container.video[0])
        argv = (
            *("-map", "0:V:0", "-vf", ",".join(_filters(task))),
            *VIDEO[codec].arguments(
                options.get("quality", USUAL),
                options.get("video_bitrate"),
                options.get("effort", "fast"),
            ),
        )
        if task.source == "gif" and task.target in (*H264, "webm") and "fps" not in options:
            # Each picture of a GIF has its own time, in hundredths of a second.
            argv += ("-fps_mode", "vfr", "-enc_time_base", "1:100")
    return (*argv, *_tag(codec, task.target))


def _tag(codec: str | None, target: str) -> tuple[str, ...]:
    # Apple's players know HEVC by this tag only.
    return ("-tag:v", "hvc1") if codec == "hevc" and target in ("mp4", "mov") else ()


def _copies_video(task: Task, container: Container, window: Window) -> bool:
    return (
        task.facts.video_codec in container.keeps_video
        and not ENCODES_VIDEO & task.options.keys()
        # A copy can only start where a whole picture is stored.
        and window.start == 0
        # AVI does not store when its pictures are shown.
        and (task.source != "avi" or task.target == "avi")
        and (not task.facts.rotation or container.rotates)
    )


def _filters(task: Task) -> Iterator[str]:
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


def _audio(task: Task, container: Container, window: Window) -> tuple[str, ...]:
    options, codec = task.options, task.facts.audio_codec
    several = task.target == "mkv" and task.source in TRACKS
    streams = ("-map", "0:a" if several else "0:a:0")
    asked = ENCODES_AUDIO if container.video else ENCODES_AUDIO | {"quality"}
    # FLAC says in its head how long it is: a part of it must be made anew.
    trimmed = window.start > 0 or (window.length is not None and codec == "flac")
    if codec in container.keeps_audio and not trimmed and not asked & options.keys():
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


def _subtitles(task: Task) -> tuple[str, ...]:
    if task.source == "mkv" and task.target == "mkv":
        return ("-map", "0:s?", "-c:s", "copy")
    return ()


def _cover(task: Task, container: Container) -> tuple[str, ...]:
    """The cover picture of an audio file; the moving pictures of a video are not one."""
    if task.facts.video_codec is None and task.facts.cover in COVER_TYPES and container.covers:
        return ("-map", "0:v:0", "-c:v", "copy", "-disposition:v:0", "attached_pic")
    return ("-vn",)


def _still(task: Task) -> Work:
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
        *_input(task, at - before),
        *("-map", "0:V:0", "-vf", ",".join((hold, *_filters(task))), "-an"),
        *("-frames:v", "1", "-update", "1", *coder, "-f", "image2", task.output),
    )
    return Work((_command(argv, None),), (task.output,))


def _gif(task: Task, window: Window) -> Work:
    """Two processes, the palette first: one for both holds every frame in memory."""
    fps = task.options.get("fps", f"min(source_fps\\,{GIF_FPS})")
    sized = {"width", "height"} & task.options.keys()
    scale = list(_filters(task))[-1] if sized else f"scale=min({GIF_WIDTH}\\,iw):-1"
    frames = f"fps={fps},{scale}:flags=lanczos"
    length = ("-t", str(window.length)) if window.length is not None else ()
    source = (*length, *_input(task, window.start))
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
    return Work((_command(palette, window.total), _command(picture, window.total)), (task.output,))


def write_cover(_report: Callable[[float], None], file: str, demuxer: str) -> None:
    """Write the cover of `file` to `cover.txt` as FFmpeg metadata: a FLAC picture block
    (RFC 9639, 8.8) in base64, as Vorbis comments hold it."""
    import av

    tag = ""
    with av.open(file, format=demuxer, metadata_errors="replace") as media:
        stream = media.streams.video[0]
        data = next((bytes(packet) for packet in media.demux(stream) if packet.size), b"")
        if 0 < len(data) <= MAX_COVER:
            kind = COVER_TYPES[stream.codec_context.name].encode()
            sizes = (stream.width, stream.height, 24, 0, len(data))
            block = b"".join(
                (
                    b"\0\0\0\3" + len(kind).to_bytes(4, "big") + kind + bytes(4),
                    *(size.to_bytes(4, "big") for size in sizes),
                    data,
                )
            )
            tag = (
                f"METADATA_BLOCK_PICTURE={b64encode(block).decode().replace('=', chr(92) + '=')}\n"
            )
    Path("cover.txt").write_text(f";FFMETADATA1\n{tag}")


INVALID = {
    "moov atom not found": "The file is cut off: its index is missing.",
    "Invalid data found": "The file is broken or not what it is said to be.",
    "End of file": "The file is cut off.",
    "does not contain any stream": "The file holds neither picture nor sound.",
    "matches no streams": "The file lacks the picture or sound that is needed.",
    "could not find codec parameters": "The file's codecs cannot be told.",
    "Decoder not found": "The file uses a codec that is unknown here.",
    "not in whitelist": "The file refers to other files, which is not allowed.",
    "EBML header parsing failed": "The file is broken or not what it is said to be.",
}


def diagnose(engine: str, ended: Exit) -> FilemillError:
    for sign, message in INVALID.items():
        if sign.lower() in ended.stderr.lower():
            return FileInvalid(message, hint="Check that the file plays, then send it again.")
    return engine_failed(engine, ended)


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
            extras = () if target == source else ("subtitles, further tracks",)
            yield Route(
                source,
                target,
                Loss.RECOMPRESSED,
                cost=10 if copies else 100,
                losses=extras if copies else ("recompressed", *extras),
            )
    yield from routes(VIDEOS, SOUNDS_OUT, loss=Loss.CONTENT, cost=10, losses=("video",))
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
    limits=Limits(memory=4096 * MB),
    diagnose=diagnose,
)
