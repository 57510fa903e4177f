"""The options of audio and video conversions, and the targets they are for. Floor 1, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from filemill.containers import CONTAINERS, SOUNDS, VIDEOS
from filemill.engine import Option

STILLS = ("jpg", "png", "webp")
"""Pictures that a video can give."""
SOUNDS_OUT = tuple(name for name in SOUNDS if CONTAINERS[name].muxer)
"""Audio files that can be written."""
LOSSLESS = {"wav", "flac", "aiff"}
RATES = (8000, 16000, 22050, 32000, 44100, 48000)


def _number(low: float, high: float, kind: str = "integer") -> dict[str, Any]:
    return {"type": kind, "minimum": low, "maximum": high}


def _options() -> Iterator[Option]:
    videos, sounds, stills = frozenset(VIDEOS), frozenset(SOUNDS_OUT), frozenset(STILLS)
    moving, heard = videos | {"gif"}, videos | sounds
    timed = frozenset(CONTAINERS) - {"gif"}
    lossy = frozenset(name for name in SOUNDS_OUT if name not in LOSSLESS)
    second = _number(0, 360_000, "number")
    side = _number(2, 8192)
    yield Option(
        "quality",
        _number(1, 100),
        "1 (smallest) to 100 (best); 75 when not given. Of the picture in a video, of the sound "
        "in an audio file.",
        videos | lossy | {"jpg", "webp"},
    )
    yield Option("width", side, "Width in pixels; the height follows.", moving | stills)
    yield Option(
        "height",
        side,
        "Height in pixels; the width follows. With both, the picture fits inside them.",
        moving | stills,
    )
    yield Option("fps", _number(1, 120, "number"), "Frames a second.", moving)
    yield Option("start", second, "Begin here, seconds.", moving | sounds, timed)
    yield Option("end", second, "End here, seconds of the source.", moving | sounds, timed)
    length = {"type": "number", "exclusiveMinimum": 0, "maximum": 360_000}
    yield Option("duration", length, "How much to keep, seconds.", moving | sounds, timed)
    yield Option("at", second, "Time of the picture, seconds; a tenth in.", stills)
    yield Option("video_bitrate", _number(50, 100_000), "kbit/s, in place of quality.", videos)
    yield Option(
        "effort",
        {"type": "string", "enum": ["fast", "balanced", "smaller"]},
        "Time spent on a smaller file of the same quality; fast when not given.",
        videos,
    )
    for name in VIDEOS:
        yield _codec("video_codec", CONTAINERS[name].video, name)
    yield Option("mute", {"type": "boolean"}, "Leave the sound out.", videos, timed)
    yield Option("audio_bitrate", _number(8, 640), "kbit/s.", videos | lossy, timed)
    for name in (*VIDEOS, "m4a"):
        yield _codec("audio_codec", CONTAINERS[name].audio, name, timed)
    yield Option("sample_rate", {"enum": list(RATES), "type": "integer"}, "Hz.", heard, timed)
    yield Option("channels", _number(1, 2), "1 (mono) or 2 (stereo).", heard, timed)
    yield Option("volume", _number(0, 10, "number"), "Factor; 1 leaves it.", heard, timed)


def _codec(
    name: str, codecs: tuple[str, ...], target: str, sources: frozenset[str] | None = None
) -> Option:
    schema: Mapping[str, Any] = {"type": "string", "enum": list(codecs)}
    return Option(name, schema, f"{codecs[0]} when not given.", frozenset({target}), sources)


OPTIONS: tuple[Option, ...] = tuple(_options())
