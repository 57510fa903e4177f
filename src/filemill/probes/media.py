"""Audio and video: duration, size and codecs, read by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filemill.containers import CONTAINERS
from filemill.errors import FileInvalid
from filemill.limits import Ceilings, refuse
from filemill.model import Facts
from filemill.probes.size import size_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

GUESSED = {"mp3", "aac", "ac3", "amr"}
"""Have no index: FFmpeg guesses their duration from the bitrate, so all packets are read."""
FROM_ZERO = {"flv", "wmv", "wma"}
"""Count their duration from zero, though they begin later."""
LAST_PAGE = {"ogg", "ogv", "opus"}
"""Tell their duration at their end, not in a head; FFmpeg misdates packets of them after a seek."""
TAIL = 5.0
"""How far before its end a file is looked at, seconds."""
PATIENCE = 20_000
"""Packets to read until each stream gave a frame."""
FAR = 16 * 1024 * 1024
"""Bytes to read until any stream gave a frame."""
LOST = 0.01
"""Share of the announced bytes that may be missing."""
CUT = 0.05
"""Share of the announced duration that may be missing, and at least half a second of it."""
HEAD = 65_536
STREAMED = 0xFFFF_FF00
"""From here on a RIFF size means that it was not known."""
EBML, SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
"""What a file of boxes begins with."""
MOST_BOXES = 100_000
DATED = {"mp4", "mov", "m4a", "3gp", "flac", "flv"}
"""Say of each packet how long it lasts."""
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""GUID of ASF's file properties."""
TICKS = 1_000_000
"""Of a container's own clock, a second."""
LOSSLESS = ("pcm_", "flac", "alac")


def probe(path: str, format: str, ceilings: Ceilings) -> Facts:
    """`Facts` of `path`. Width and height are as shown; cover pictures are not video.

    Raises `FileInvalid` for what is empty, cut off, of another format or not decodable."""
    import av

    size = size_of(path)
    demuxer = CONTAINERS[format].demuxer
    _whole(path, format, size)
    limits = {"protocol_whitelist": "file", "format_whitelist": demuxer}
    try:
        with av.open(path, format=demuxer, options=limits, metadata_errors="replace") as media:
            _check(media, ceilings)
            return _facts(media, format, size)
    except (av.FFmpegError, EOFError) as error:
        raise FileInvalid(
            f"This is no readable {format} file.",
            hint="Check that it plays, and that it is of the format it is said to be.",
        ) from error


def _check(media: InputContainer, ceilings: Ceilings) -> None:
    """What the head says, before any of it is decoded."""
    refuse(
        "streams",
        len(media.streams),
        ceilings.streams,
        "The file has {value} tracks, at most {allowed} are allowed here.",
        "Take out those that are not needed.",
    )
    for stream in media.streams.video:
        refuse(
            "video_pixels",
            (stream.width or 0) * (stream.height or 0),
            ceilings.video_pixels,
            "A frame of the video has {value} pixels, at most {allowed} are allowed here.",
            "Make it smaller first.",
        )
        if stream.codec_context is not None:
            # The frames themselves may say something else.
            stream.codec_context.options = {"max_pixels": str(ceilings.video_pixels)}


def _facts(media: InputContainer, format: str, size: int) -> Facts:
    streams = [*media.streams.video, *media.streams.audio]
    covers = [stream for stream in streams if _is_cover(stream)]
    sounds = media.streams.audio
    several = len(sounds) > 1
    first = _first_frames(media, [stream for stream in streams if stream not in covers])
    video = next((stream for stream in media.streams.video if stream in first), None)
    audio = next((stream for stream in media.streams.audio if stream in first), None)
    if not first:
        raise FileInvalid("The file holds neither picture nor sound that can be decoded.")
    width = height = rotation = None
    if video is not None:
        picture = first[video]
        width, height, rotation = picture.width, picture.height, picture.rotation % 360
        if rotation % 180:
            width, height = height, width
    return Facts(
        format=format,
        size=size,
        width=width,
        height=height,
        rotation=rotation or None,
        frames=(video.frames or None) if video is not None else None,
        duration=_duration(media, format),
        **_timing(media, video),
        video_codec=_codec(video),
        audio_codec=_codec(audio),
        audio_codecs=tuple(_codec(sound) or "" for sound in sounds) if several else None,
        audio_tracks=sum(sound in first for sound in sounds) if several else None,
        subtitles=tuple(_codec(words) or "" for words in media.streams.subtitles) or None,
        sample_bits=_bits(audio),
        cover=_codec(covers[0]) if covers and video is None else None,
    )


def _is_cover(stream: Stream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _first_frames(media: InputContainer, streams: list[Stream]) -> dict[Stream, Any]:
    """The first frame of each stream that has one."""
    import av

    waiting = [stream for stream in streams if stream.codec_context is not None]
    found: dict[Stream, Any] = {}
    for number, packet in enumerate(media.demux(waiting) if waiting else ()):
        stream = packet.stream
        if stream not in found:
            try:
                for frame in packet.decode():
                    found[stream] = frame
                    break
            except av.FFmpegError:
                continue  # damaged packets are common where a recording begins
        if len(found) == len(waiting) or number > PATIENCE:
            break
        if not found and (packet.pos or 0) > FAR:
            break
    return {stream: found[stream] for stream in waiting if stream in found}


def _timing(media: InputContainer, video: Any) -> dict[str, Any]:
    """`rate` and `delay`, if the head knows them."""
    if video is None or None in (video.start_time, media.start_time):
        return {}
    rate, length = video.average_rate, video.duration
    if rate is None or rate != video.base_rate or rate.denominator not in (1, 1001):
        return {}
    if video.frames and length and abs(length * video.time_base * rate - video.frames) > 1:
        return {}
    delay = float(video.start_time * video.time_base) - media.start_time / TICKS
    return {"rate": str(rate), "delay": round(max(delay, 0.0), 6)}


def _duration(media: InputContainer, format: str) -> float | None:
    """From the first to the last moment shown or heard, seconds.

    Raises `FileInvalid` when the file ends long before what its head says."""
    begin = 0 if media.start_time is None else media.start_time
    said = None
    if format not in GUESSED and media.duration is not None:
        said = media.duration / TICKS - (begin / TICKS if format in FROM_ZERO else 0)
    media.seek(begin if said is None else max(begin, begin + int((said - TAIL) * TICKS)))
    ends = _last_moments(media.demux([s for s in media.streams if s.type in KINDS]))
    end = max(ends.values(), default=None)
    if end is None:
        return said
    length = end - begin / TICKS
    if said is None:
        return round(length, 6)
    # Elsewhere how long the last picture stays may be unknown, and the size has been compared.
    if format in DATED and said - length > max(0.5, CUT * said):
        raise FileInvalid(
            f"The file is cut off: {length:.1f} s of {said:.1f} s are there.",
            hint="Send the whole file.",
        )
    if format in LAST_PAGE:
        return round(said, 6)
    played = max((ends[kind] for kind in ("video", "audio") if kind in ends), default=0.0)
    played -= begin / TICKS
    if media.streams.subtitles and played > 0:
        return round(played, 6)  # words may go on behind the end of a film
    return round(max(said, played), 6)


def _whole(path: str, format: str, size: int) -> None:
    """Raises `FileInvalid` when the head announces more bytes than the file has; FFmpeg
    reads what is there and says nothing."""
    with Path(path).open("rb") as file:
        head = file.read(HEAD)
        if format == "mp3" and head[:3] == b"ID3":  # ID3v2.4, 3.1: 7 bits a byte
            skipped = 10 + sum(byte << 7 * (3 - n) for n, byte in enumerate(head[6:10]))
            file.seek(skipped)
            head = file.read(HEAD)
        else:
            skipped = 0
    if format == "ts" and not _synchronous(head):
        raise FileInvalid("This is no readable ts file.", hint="Its packets cannot be found.")
    said = _boxes_end(path) if head[4:8] in BOXES else _announced(head, format)
    if said is not None and said - (size - skipped) > LOST * said:
        raise FileInvalid(
            f"The file is cut off: {size} of {said + skipped} bytes are there.",
            hint="Send the whole file.",
        )


def _synchronous(head: bytes) -> bool:
    """Whether a few packets of a transport stream (ISO 13818-1, 2.4.3; with a time before or
    a checksum behind each) follow each other: FFmpeg looks for them through the whole file."""
    return any(
        head[at::size][:4] == b"\x47" * 4
        for size in (188, 192, 204)
        for at in range(min(len(head), 20 * size))
    )


def _announced(head: bytes, format: str) -> int | None:
    if format in ("wav", "avi") and head[:4] == b"RIFF":
        said = int.from_bytes(head[4:8], "little")
        return said + 8 if said < STREAMED else None
    if format == "aiff" and head[:4] == b"FORM":
        return int.from_bytes(head[4:8], "big") + 8
    if format in ("wmv", "wma") and (at := head.find(ASF_FILE)) >= 0:
        # ASF specification, 3.2: the size of the file; a flag says when it was not known.
        live = head[at + 88 : at + 89] != b"" and head[at + 88] & 1
        return None if live else int.from_bytes(head[at + 40 : at + 48], "little")
    if head.startswith(EBML):
        # RFC 8794, 4 and 6.2: the size of the Segment, the one element after the head.
        at = len(EBML) + sum(_vint(head, len(EBML)))
        if head[at : at + 4] == SEGMENT:
            length, said = _vint(head, at + 4)
            return None if said == (1 << 7 * length) - 1 else at + 4 + length + said
    if format == "mp3":
        # The Xing header of the first frame: flags, the number of frames, the number of bytes.
        at = max(head.find(b"Xing", 0, 400), head.find(b"Info", 0, 400))
        if at >= 0 and len(head) > at + 16 and head[at + 7] & 3 == 3:
            return int.from_bytes(head[at + 12 : at + 16], "big")
    return None


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """How many bytes a number of EBML has, and its value (RFC 8794, 4)."""
    first = data[at] if at < len(data) else 0xFF
    length = 9 - first.bit_length()
    return length, int.from_bytes(data[at : at + length], "big") & (1 << 7 * length) - 1


def _boxes_end(path: str) -> int:
    """Where the last box that holds pictures, sound or their index ends (ISO 14496-12, 4.2)."""
    end = at = 0
    with Path(path).open("rb") as file:
        for _ in range(MOST_BOXES):
            file.seek(at)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:], "big")
            if size < 8:  # 0: to the end of the file
                break
            at += size
            if kind in (b"moov", b"moof", b"mdat"):
                end = at
    return end


KINDS = ("video", "audio", "subtitle", "data")


def _last_moments(packets: Iterable[Any]) -> dict[str, float]:
    """When the last packet of each kind of stream ends."""
    ends: dict[str, float] = {}
    for packet in packets:
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and packet.size:
            moment = float((at + (packet.duration or 0)) * packet.time_base)
            kind = packet.stream.type
            ends[kind] = max(ends.get(kind, moment), moment)
    return ends


def _codec(stream: Stream | None) -> str | None:
    """The codec's name, whichever library decodes it."""
    if stream is None or stream.codec_context is None:
        return None
    return str(stream.codec_context.codec.canonical_name)


def _bits(stream: Any) -> int | None:
    if stream is None or not stream.codec_context.name.startswith(LOSSLESS):
        return None
    return 16 if stream.codec_context.format.bits <= 16 else 24
