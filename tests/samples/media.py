"""One second of a test picture and a tone in every audio and video format, made by FFmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SECONDS, WIDTH, HEIGHT, FPS = 1.0, 160, 120, 25
PICTURE = ("-f", "lavfi", "-i", f"testsrc=size={WIDTH}x{HEIGHT}:rate={FPS}")
TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
TAGS = ("-metadata", "title=A tone", "-metadata", "artist=filemill")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10")

VIDEO: dict[str, tuple[str, ...]] = {
    "mp4": (*H264, "-c:a", "aac"),
    "mov": (*H264, "-c:a", "aac"),
    "mkv": (*H264, "-c:a", "aac"),
    "webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "mpg": ("-c:v", "mpeg2video", "-c:a", "mp2", "-f", "vob"),
    "ts": (*H264, "-c:a", "aac", "-f", "mpegts"),
    "flv": (*H264, "-c:a", "aac"),
    "wmv": ("-c:v", "wmv2", "-c:a", "wmav2", "-f", "asf"),
    "3gp": (*H264, "-c:a", "aac"),
    "ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
}
AUDIO: dict[str, tuple[str, ...]] = {
    "mp3": ("-c:a", "libmp3lame"),
    "wav": ("-c:a", "pcm_s16le"),
    "flac": ("-c:a", "flac"),
    "ogg": ("-c:a", "libvorbis"),
    "opus": ("-c:a", "libopus"),
    "m4a": ("-c:a", "aac"),
    "aac": ("-c:a", "aac"),
    "aiff": ("-c:a", "pcm_s16be", "-write_id3v2", "1"),
    "wma": ("-c:a", "wmav2", "-f", "asf"),
    "ac3": ("-c:a", "ac3"),
    "amr": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1"),
}
FORMATS = (*VIDEO, *AUDIO, "gif")


def run(*arguments: str) -> None:
    command = (FFMPEG, "-nostdin", "-y", "-loglevel", "error", *arguments)
    subprocess.run(command, check=True, timeout=60)


def make(format_id: str, path: Path, *extra: str, seconds: float = SECONDS) -> Path:
    """Write a sample of the format; `extra` are output arguments that come last."""
    if format_id == "gif":
        inputs, codecs = PICTURE, ("-r", "10")
    elif format_id in VIDEO:
        inputs, codecs = (*PICTURE, *TONE), VIDEO[format_id]
    else:
        inputs, codecs = TONE, AUDIO[format_id]
    run(*inputs, "-t", str(seconds), *codecs, *TAGS, *extra, str(path))
    return path


def with_cover(format_id: str, path: Path) -> Path:
    """An audio file with a red square of 32x32 pixels as its cover."""
    red = ("-f", "lavfi", "-i", "color=red:size=32x32:duration=0.1")
    picture = ("-map", "0:a", "-map", "1:v", "-frames:v", "1", "-c:v", "mjpeg")
    disposition = ("-disposition:v:0", "attached_pic")
    length = ("-t", str(SECONDS))
    run(*TONE, *red, *length, *picture, *AUDIO[format_id], *disposition, *TAGS, str(path))
    return path
