"""What audio and video files are made of: containers and codecs. Floor 1, values only.

A container says which codecs it may hold as they are (so that they are copied, which is
hundreds of times quicker than coding them anew) and which ones are made for it otherwise.
Codec and container names are those of FFmpeg (https://ffmpeg.org/ffmpeg-formats.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PEAK = 100
"""Best `quality`."""
USUAL = 75
"""`quality` when nobody asks for one: what each encoder's own makers recommend."""


def _between(worst: float, best: float, quality: int) -> str:
    return str(round(worst + (best - worst) * quality / PEAK))


@dataclass(frozen=True, slots=True)
class VideoCodec:
    encoder: tuple[str, ...]
    scale: tuple[str, float, float]
    """The encoder's quality setting, its value for quality 0 and for quality 100."""
    effort: Mapping[str, tuple[str, ...]]
    """fast | balanced | smaller -> the encoder's settings."""
    capped: tuple[str, ...] = ()
    """What lets the quality setting rule, when no bitrate is given."""

    def arguments(self, quality: int, bitrate: int | None, effort: str) -> tuple[str, ...]:
        flag, worst, best = self.scale
        rate = (
            ("-b:v", f"{bitrate}k")
            if bitrate
            else (flag, _between(worst, best, quality), *self.capped)
        )
        return ("-c:v", *self.encoder, *rate, *self.effort.get(effort, ()), "-pix_fmt", "yuv420p")


def _presets(*names: str) -> dict[str, tuple[str, ...]]:
    efforts = ("fast", "balanced", "smaller")
    return {effort: ("-preset", name) for effort, name in zip(efforts, names, strict=True)}


VIDEO: Mapping[str, VideoCodec] = {
    "h264": VideoCodec(("libx264",), ("-crf", 50, 14), _presets("veryfast", "medium", "slow")),
    "hevc": VideoCodec(
        ("libx265", "-x265-params", "log-level=error"),
        ("-crf", 50, 20),
        _presets("veryfast", "medium", "slow"),
    ),
    "av1": VideoCodec(("libsvtav1",), ("-crf", 59, 27), _presets("10", "8", "5")),
    # realtime: 9.5 times quicker than libvpx's default at the same VMAF, files a third larger.
    "vp9": VideoCodec(
        ("libvpx-vp9", "-row-mt", "1"),
        ("-crf", 63, 20),
        {
            "fast": ("-deadline", "realtime", "-cpu-used", "6"),
            "balanced": ("-deadline", "good", "-cpu-used", "4"),
            "smaller": ("-deadline", "good", "-cpu-used", "1"),
        },
        ("-b:v", "0"),
    ),
    "mpeg4": VideoCodec(("mpeg4", "-vtag", "xvid"), ("-q:v", 14, 2), {}),
    "mpeg2video": VideoCodec(("mpeg2video",), ("-q:v", 14, 2), {}),
    "wmv2": VideoCodec(("wmv2",), ("-q:v", 14, 2), {}),
    "theora": VideoCodec(("libtheora",), ("-q:v", 1, 10), {}),
}


@dataclass(frozen=True, slots=True)
class AudioCodec:
    encoder: str
    peak: int = 0
    """Bitrate of quality 100, kbit/s; 0: the codec has no such setting (it is lossless)."""
    levels: tuple[float, float] | None = None
    """`-q:a` for quality 0 and 100, for encoders that are better steered so."""
    rates: tuple[int, ...] = ()
    """The only bitrates there are, kbit/s."""
    format: str = ""
    """What the encoder takes, as settings of the filter `aformat`."""
    sample_rate: int | None = None
    """Forced, Hz."""

    def arguments(self, quality: int, bitrate: int | None) -> tuple[str, ...]:
        if bitrate is None and self.levels:
            return ("-c:a", self.encoder, "-q:a", _between(*self.levels, quality))
        if not self.peak:
            return ("-c:a", self.encoder)
        # Ears are less linear than a bitrate: of 256 kbit/s this makes 161 at 75, 84 at 50.
        rate = bitrate or max(16, round(self.peak * (quality / PEAK) ** 1.6))
        if self.rates:
            rate = min(self.rates, key=lambda allowed: abs(allowed - rate))
        return ("-c:a", self.encoder, "-b:a", f"{rate}k")


_STEREO = "channel_layouts=mono|stereo"
_LAYER_2 = (64, 96, 112, 128, 160, 192, 224, 256, 320, 384)

AUDIO: Mapping[str, AudioCodec] = {
    "aac": AudioCodec("aac", 256),
    "mp3": AudioCodec("libmp3lame", 256, levels=(9, 0)),
    "mp2": AudioCodec("mp2", 384, rates=_LAYER_2, format=_STEREO, sample_rate=48000),
    "opus": AudioCodec(  # libopus refuses 5.1 with side speakers: it becomes 5.1 with back ones
        "libopus", 192, format="channel_layouts=7.1|6.1|5.1|5.0|quad|3.0|stereo|mono"
    ),
    "vorbis": AudioCodec("libvorbis", 256, levels=(-1, 7)),
    "ac3": AudioCodec("ac3", 448, rates=(*_LAYER_2, 448, 512, 576, 640)),
    "wmav2": AudioCodec(
        "wmav2", 256, format=f"{_STEREO}:sample_rates=8000|11025|16000|22050|32000|44100|48000"
    ),
    "flac": AudioCodec("flac"),
    "alac": AudioCodec("alac"),
}


def audio_codec(name: str, bits: int | None) -> AudioCodec:
    """The codec `name`; `pcm_le` and `pcm_be` with as many bits a sample as the source has."""
    if name.startswith("pcm_"):
        return AudioCodec(f"pcm_s{24 if (bits or 16) > 16 else 16}{name.removeprefix('pcm_')}")
    if name == "flac":
        return AudioCodec("flac", format=f"sample_fmts={'s32' if (bits or 16) > 16 else 's16'}")
    return AUDIO[name]


@dataclass(frozen=True, slots=True)
class Container:
    demuxer: str
    muxer: str = ""
    """Empty: only read."""
    video: tuple[str, ...] = ()
    """Codecs made for it; the first is the usual one. Empty: an audio file."""
    audio: tuple[str, ...] = ()
    keeps_video: frozenset[str] = frozenset()
    """Codecs that are copied as they are."""
    keeps_audio: frozenset[str] = frozenset()
    keeps_subtitles: frozenset[str] = frozenset()
    subtitles: str = ""
    """Codec that is made of subtitles that are text; empty: it holds none."""
    flags: tuple[str, ...] = ()
    rotates: bool = False
    """Can say that its pictures are to be turned."""
    covers: bool = False
    """Holds a cover picture as a stream."""


def _codecs(*names: str) -> frozenset[str]:
    return frozenset(" ".join(names).split())


_FAST_START = ("-movflags", "+faststart")
_PCM_LE = _codecs("pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le")
_PCM_BE = _codecs("pcm_s8 pcm_s16be pcm_s24be pcm_s32be pcm_f32be pcm_f64be")

CONTAINERS: Mapping[str, Container] = {
    "mp4": Container(
        "mov",
        "mp4",
        ("h264", "hevc", "av1"),
        ("aac", "mp3", "ac3"),
        _codecs("h264 hevc av1 mpeg4"),
        _codecs("aac mp3 ac3 eac3 alac"),
        _codecs("mov_text"),
        "mov_text",
        _FAST_START,
        rotates=True,
    ),
    "mov": Container(
        "mov",
        "mov",
        ("h264", "hevc"),
        ("aac", "mp3", "ac3"),
        _codecs("h264 hevc prores mjpeg mpeg4"),
        _codecs("aac mp3 ac3 alac pcm_s16le pcm_s24le pcm_s16be pcm_s24be"),
        _codecs("mov_text"),
        "mov_text",
        _FAST_START,
        rotates=True,
    ),
    "mkv": Container(
        "matroska",
        "matroska",
        ("h264", "hevc", "av1", "vp9"),
        ("aac", "mp3", "ac3", "opus", "vorbis", "flac"),
        _codecs("h264 hevc av1 vp8 vp9 mpeg4 mpeg1video mpeg2video theora prores ffv1 mjpeg"),
        _codecs("aac mp2 mp3 ac3 eac3 dts truehd flac alac opus vorbis") | _PCM_LE - {"pcm_u8"},
        _codecs("subrip ass webvtt dvb_subtitle dvd_subtitle hdmv_pgs_subtitle"),
        "subrip",
        rotates=True,
    ),
    "webm": Container(
        "matroska",
        "webm",
        ("vp9", "av1"),
        ("opus", "vorbis"),
        _codecs("vp8 vp9 av1"),
        _codecs("opus vorbis"),
        _codecs("webvtt"),
        "webvtt",
        rotates=True,
    ),
    "avi": Container(
        "avi",
        "avi",
        ("mpeg4", "h264"),
        ("mp3", "ac3"),
        _codecs("mpeg4 mjpeg msmpeg4v3"),
        _codecs("mp3 ac3 pcm_s16le"),
    ),
    "mpg": Container(
        "mpeg",
        "vob",
        ("mpeg2video",),
        ("mp2", "ac3"),
        _codecs("mpeg1video mpeg2video"),
        _codecs("mp2 ac3"),
    ),
    "ts": Container(
        "mpegts",
        "mpegts",
        ("h264", "hevc", "mpeg2video"),
        ("aac", "mp2", "ac3"),
        _codecs("h264 hevc mpeg2video"),
        _codecs("aac mp2 mp3 ac3 eac3"),
    ),
    "flv": Container("flv", "flv", ("h264",), ("aac",), _codecs("h264"), _codecs("aac")),
    "wmv": Container(
        "asf",
        "asf",
        ("wmv2",),
        ("wmav2",),
        _codecs("wmv1 wmv2 wmv3 vc1"),
        _codecs("wmav1 wmav2 wmapro"),
    ),
    "3gp": Container(
        "mov",
        "3gp",
        ("h264",),
        ("aac",),
        _codecs("h264 h263 mpeg4"),
        _codecs("aac amr_nb amr_wb"),
        flags=_FAST_START,
    ),
    "ogv": Container(
        "ogg", "ogv", ("theora",), ("vorbis", "opus"), _codecs("theora"), _codecs("vorbis opus")
    ),
    "mp3": Container(
        "mp3",
        "mp3",
        audio=("mp3",),
        keeps_audio=_codecs("mp3"),
        flags=("-id3v2_version", "3"),
        covers=True,
    ),
    "wav": Container("wav", "wav", audio=("pcm_le",), keeps_audio=_PCM_LE, flags=("-rf64", "auto")),
    "flac": Container("flac", "flac", audio=("flac",), keeps_audio=_codecs("flac"), covers=True),
    "ogg": Container("ogg", "ogg", audio=("vorbis",), keeps_audio=_codecs("vorbis")),
    "opus": Container("ogg", "opus", audio=("opus",), keeps_audio=_codecs("opus")),
    "m4a": Container(
        "mov",
        "ipod",
        audio=("aac", "alac"),
        keeps_audio=_codecs("aac alac"),
        flags=_FAST_START,
        covers=True,
    ),
    "aac": Container("aac", "adts", audio=("aac",), keeps_audio=_codecs("aac")),
    "aiff": Container(
        "aiff",
        "aiff",
        audio=("pcm_be",),
        keeps_audio=_PCM_BE,
        flags=("-write_id3v2", "1"),
        covers=True,
    ),
    "wma": Container("asf", "asf", audio=("wmav2",), keeps_audio=_codecs("wmav1 wmav2 wmapro")),
    "ac3": Container("ac3", "ac3", audio=("ac3",), keeps_audio=_codecs("ac3")),
    "amr": Container("amr"),
    "gif": Container("gif"),
}
"""Every audio and video format by its id."""

VIDEOS: tuple[str, ...] = tuple(name for name, row in CONTAINERS.items() if row.video)
TRACKS = frozenset({"mp4", "mov", "mkv", "webm"})
"""Hold any number of tracks of sound and of subtitles."""
WORDS = frozenset({"subrip", "ass", "webvtt", "mov_text", "text"})
"""Codecs of subtitles that are text; others are pictures."""
SOUNDS: tuple[str, ...] = tuple(
    name for name, row in CONTAINERS.items() if not row.video and name != "gif"
)
