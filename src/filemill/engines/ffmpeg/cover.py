"""Covers that are stored as a tag."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from filemill.containers import CONTAINERS
from filemill.engine import MB, Call, Task
from filemill.engines.ffmpeg.streams import COVER_TYPES

MAX_COVER = 8 * MB


def reading_cover(task: Task) -> Call:
    """Writes the source's cover to `cover.txt`."""
    files = {"file": task.input, "demuxer": CONTAINERS[task.source].demuxer}
    return Call(f"{__name__}:write_cover", files)


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
