"""Sound and film that name other files, or claim to be endless (FFmpeg)."""

from __future__ import annotations

import struct
from pathlib import Path

from hostile.attack import REFUSED, Make, fill, row
from hostile.traps import Traps
from samples import media

M3U8 = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{what}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile {file.png}\nfile '{http}'\n"
_DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    "<AdaptationSet><Representation><BaseURL>{http}</BaseURL><SegmentList><SegmentURL "
    'media="{uri}"/></SegmentList></Representation></AdaptationSet></Period></MPD>'
)
_SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n"


def _avi_playlist(path: Path, traps: Traps) -> None:
    """The subtitle stream of an AVI (GAB2) that is a playlist: FFmpeg probes it by content."""
    text = fill(M3U8, traps, path.stem).replace("{what}", traps.uri()).encode()
    subtitle = (
        b"GAB2\0" + struct.pack("<HIHHI", 2, 2, 0, 0, 4) + struct.pack("<I", len(text)) + text
    )

    def piece(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    main = piece(b"avih", struct.pack("<14I", 40_000, 0, 0, 0, 1, 0, 2, 0, 64, 64, 0, 0, 0, 0))
    picture = piece(b"strh", b"vidsMJPG" + struct.pack("<10I4H", 0, 0, 0, 1, 25, 0, 1, 0, 0, 0,
        0, 0, 64, 64)) + piece(b"strf", struct.pack("<IIIHH4s5I", 40, 64, 64, 1, 24, b"MJPG", 0, 0,
        0, 0, 0))  # fmt: skip
    words = piece(b"strh", b"txts" + bytes(4) + struct.pack("<10I4H", 0, 0, 0, 1, 25, 0, 1, 0, 0, 0,
        0, 0, 0, 0)) + piece(b"strf", b"")  # fmt: skip
    streams = piece(b"LIST", b"strl" + picture) + piece(b"LIST", b"strl" + words)
    header = piece(b"LIST", b"hdrl" + main + streams)
    body = piece(b"LIST", b"movi" + piece(b"01tx", subtitle) + piece(b"00dc", b"\xff\xd8\xff\xd9"))
    path.write_bytes(piece(b"RIFF", b"AVI " + header + body))


def _sample(kind: str, path: Path) -> bytes:
    return media.make(kind, path.with_name(f"{path.name}.{kind}")).read_bytes()


def _elsewhere(path: Path, traps: Traps) -> None:
    """A QuickTime file whose samples are said to be in another file (dref `url `, `alis`)."""
    data = _sample("mov", path)
    where = traps.uri("png").encode() + b"\0"
    inside = b"\0\0\0\x0curl \0\0\0\x01"  # this file itself
    if inside not in data:
        inside = b"\0\0\0\x0calis\0\0\0\x01"
    assert inside in data
    outside = struct.pack(">I", 12 + len(where)) + b"url \0\0\0\0" + where
    _grow(path, data, data.rindex(inside), len(inside), outside)


def _alias(name: str, levels: tuple[int, int]) -> bytes:
    """A Macintosh alias, as QuickTime refers to files by it: the one record that FFmpeg follows
    when it is told to (libavformat/mov.c, mov_read_dref). `levels`: up from the film, down."""

    def text(value: bytes, room: int) -> bytes:
        return bytes([len(value)]) + value.ljust(room, b"\0")

    base = name.rpartition("/")[2].encode()
    record = b"\0\0\0\x01" + bytes(4) + b"\0\0\0\x02" + b"\0\0" + text(b"x", 27) + bytes(12)
    record += text(base, 63) + bytes(16) + struct.pack(">hh", *levels) + bytes(16)
    for kind, value in ((2, name.encode()), (18, name.encode()), (-1, b"")):
        record += struct.pack(">hh", kind, len(value)) + value + b"\0" * (len(value) % 2)
    return struct.pack(">I", 8 + len(record)) + b"alis" + record


def borrowed(up: int, down: int) -> Make:
    """A film whose sound is the bytes of the planted text: they would be in the result."""

    def make(path: Path, traps: Traps) -> None:
        media.run(
            *("-f", "lavfi", "-i", "color=size=64x64:duration=0.2"),
            *("-f", "lavfi", "-i", "anullsrc=sample_rate=8000:channel_layout=mono", "-t", "0.2"),
            *(*media.H264, "-c:a", "pcm_s16le", "-f", "mov", str(path)),
        )
        data = path.read_bytes()
        # Where its samples are: at the beginning of whatever file it is.
        at = data.rindex(b"stco") + 12
        data = data[:at] + bytes(4) + data[at + 4 :]
        inside = b"\0\0\0\x0curl \0\0\0\x01"
        where = _alias(traps.file(), (up, down))
        _grow(path, data, data.rindex(inside), len(inside), where)

    return make


def _reference(path: Path, traps: Traps) -> None:
    """A QuickTime movie that is nothing but a reference to another (rmra)."""
    where = traps.http(path.stem).encode() + b"\0"
    address = b"rdrf" + bytes(4) + b"url " + struct.pack(">I", len(where)) + where
    for kind in (b"", b"rmda", b"rmra", b"moov"):
        address = struct.pack(">I", len(kind + address) + 4) + kind + address
    path.write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + address)


def _cover(path: Path, traps: Traps) -> None:
    """An ID3 tag whose picture is an address (APIC, type `-->`)."""
    where = b"\0-->\0\3\0" + traps.http(path.stem).encode()
    frame = b"APIC" + struct.pack(">IH", len(where), 0) + where
    size = len(frame)
    head = b"ID3\3\0\0" + bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    path.write_bytes(head + frame + _sample("mp3", path))


def _grow(path: Path, data: bytes, at: int, length: int, other: bytes) -> None:
    """Replace `length` bytes at `at` in nested boxes, whose sizes grow with it."""
    edited = bytearray(data)
    place, end = 0, len(data)
    while place < at and place + 8 <= end:
        size = int.from_bytes(edited[place : place + 4], "big")
        if place <= at < place + size:
            edited[place : place + 4] = (size + len(other) - length).to_bytes(4, "big")
            place += 16 if edited[place + 4 : place + 8] == b"dref" else 8
        else:
            place += size
    edited[at : at + length] = other
    path.write_bytes(bytes(edited))


def patched(kind: str, sign: bytes, offset: int, value: bytes) -> Make:
    """A sample with `value` written `offset` bytes after `sign`."""

    def make(path: Path, _: Traps) -> None:
        data = bytearray(_sample(kind, path))
        at = data.index(sign) + offset
        data[at : at + len(value)] = value
        path.write_bytes(bytes(data))

    return make


def _flac(path: Path, _: Traps) -> None:
    """Says that it has 2^36 - 1 samples: 18 days."""
    data = bytearray(_sample("flac", path))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path.write_bytes(bytes(data))


def _raw_avi(width: int, height: int) -> Make:
    def make(path: Path, _: Traps) -> None:
        media.run(
            *("-f", "lavfi", "-i", "color=size=16x16:duration=1", "-c:v", "rawvideo"),
            *("-pix_fmt", "bgr24", "-f", "avi", str(path)),
        )
        data = bytearray(path.read_bytes())
        at = data.index(b"strf") + 12
        data[at : at + 8] = struct.pack("<2i", width, height)
        path.write_bytes(bytes(data))

    return make


def _tracks(path: Path, _: Traps) -> None:
    """A thousand streams in one file."""
    tone = ("-f", "lavfi", "-i", "sine=duration=0.1")
    media.run(*tone, *(["-map", "0:a"] * 300), "-c:a", "pcm_s16le", "-f", "matroska", str(path))


_PLAYLIST = M3U8.replace("{what}", "{uri}")
_REMOTE = M3U8.replace("{what}", "{http}.ts")
_NESTED = M3U8.replace("{what}", "concat:{file}|subfile,,start,0,end,64,,:{file}")

ATTACKS = (
    row("m3u8-as-ts", "ts > mp4", _PLAYLIST, *REFUSED, "engine_error"),
    row("m3u8-as-mp4", "mp4 > webm", _PLAYLIST, *REFUSED, "engine_error"),
    row("m3u8-as-mp3", "mp3 > wav", _REMOTE, *REFUSED, "engine_error"),
    row("m3u8-http", "mpg > mp4", _REMOTE, *REFUSED, "engine_error"),
    row("m3u8-protocols", "flv > mp4", _NESTED, *REFUSED, "engine_error"),
    row("concat-as-mkv", "mkv > mp4", CONCAT, *REFUSED, "engine_error"),
    row("concat-as-avi", "avi > mp4 gif", CONCAT, *REFUSED, "engine_error"),
    row("dash-as-webm", "webm > mp4", _DASH, *REFUSED, "engine_error"),
    row("sdp-as-wav", "wav > mp3", _SDP, *REFUSED, "engine_error"),
    row("avi-playlist-subtitles", "avi > mp4 mkv", _avi_playlist),
    row("mov-sound-elsewhere", "mov > wav mkv", borrowed(-1, -1)),
    row("mov-sound-near", "mov > wav", borrowed(3, 1)),
    row("mov-reference", "mov > mp4", _reference, *REFUSED, "engine_error"),
    row("mp3-cover-address", "mp3 > flac m4a", _cover),
    row("asx-as-wmv", "wmv > mp4", "<asx version='3.0'><entry><ref href='{http}'/></entry></asx>",
        *REFUSED, "engine_error"),
    row("pls-as-mp3", "mp3 > wav", "[playlist]\nFile1={uri}\nFile2={http}\nNumberOfEntries=2\n",
        *REFUSED, "engine_error"),
    row("reference-as-wmv", "wmv > mp4", "[Reference]\r\nRef1={http}?MSWMExt=.asf\r\n",
        *REFUSED, "engine_error"),
    row("avs-as-avi", "avi > mp4", 'AviSource("{file}")\nImport("{file}")\n',
        *REFUSED, "engine_error"),
    row("smil-as-mov", "mov > mp4", '<?xml version="1.0"?><?quicktime type="application/x-quicktime'
        '-media-link"?><embed autoplay="true" src="{http}"/>', *REFUSED, "engine_error"),
    row("m3u8-after-head", "ts > mp4", "\x47" + "\0" * 187 + _PLAYLIST, *REFUSED, "engine_error"),
    row("srt-in-mkv-name", "mkv > mp4", "concatf:{file}|subfile,,start,0,end,9,,:{file}",
        *REFUSED, "engine_error"),
    row("mov-elsewhere", "mov > mp4 webm mkv", _elsewhere),
    row("mp4-years", "mp4 > webm mp3", patched("mp4", b"mvhd", 16, b"\0\0\0\1\xff\xff\xff\xff")),
    row("mp4-samples", "mp4 > mp3", patched("mp4", b"stsz", 12, b"\xff\xff\xff\xff")),
    row("mp4-box-size", "mp4 > mp3", patched("mp4", b"moov", -4, b"\x7f\xff\xff\xff")),
    row("mkv-years", "mkv > mp4", patched("mkv", b"\x44\x89\x88", 3, b"\x7f\xef" + b"\xff" * 6)),
    row("wav-years", "wav > mp3 flac", patched("wav", b"data", 4, b"\xff\xff\xff\xff")),
    row("wav-rate", "wav > mp3 flac", patched("wav", b"fmt ", 12, b"\xff\xff\xff\x7f")),
    row("wav-channels", "wav > mp3", patched("wav", b"fmt ", 10, b"\xff\xff")),
    row("flac-days", "flac > wav mp3", _flac),
    row("avi-65535", "avi > mp4 gif", _raw_avi(65535, 65535)),
    row("avi-2^31", "avi > mp4", _raw_avi(2**31 - 1, -(2**31) + 1)),
    row("mkv-tracks", "mkv > mp4", _tracks),
    row("ogg-noise", "ogg > mp3", b"OggS" + b"\xff" * 100_000),
    row("mp3-noise", "mp3 > wav", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + b"\xff\xfb\x90\0" * 50_000),
    row("flv-circle", "flv > mp4", b"FLV\x01\x05\0\0\0\x09" + bytes(4) + b"\x09\0\0\0" * 50_000),
    row("asf-sizes", "wmv > mp4", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
        + b"\xff" * 8 + b"\xff" * 64),
)  # fmt: skip
