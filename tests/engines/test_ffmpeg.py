"""Audio and video through the sandbox; results are read by PyAV, Pillow, mutagen and struct."""

from __future__ import annotations

import base64
import io
import itertools
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import mutagen
import pytest
from mutagen.flac import FLAC, Picture
from PIL import Image, ImageChops, ImageStat

from engines import bare
from filemill.containers import CONTAINERS, SOUNDS, VIDEOS
from filemill.conversion import Converter, Result
from filemill.engine import Command, Exit, Task
from filemill.engines.ffmpeg import ENGINE, build
from filemill.engines.ffmpeg.command import diagnose, progress
from filemill.errors import BadOptions, EngineError, FileInvalid, LimitExceeded
from filemill.formats import FORMATS
from filemill.limits import Ceilings
from filemill.media import STILLS
from filemill.model import Facts
from filemill.planner import Graph
from hostile.attacks.pictures import gif
from samples import media as samples

Run = Callable[..., Result]

FRAME = 1 / samples.FPS
SLACK = {
    **dict.fromkeys(("wma", "wmv"), 0.13),
    **dict.fromkeys(("mp3", "aac", "ac3", "avi", "flv", "ts", "mpg"), 0.08),
    "amr": 0.25,
}
"""Whole frames of the codec, and its delay, that a format cannot say to be padding: seconds."""


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as media:
        return [bytes(packet) for packet in media.demux(**{kind: 0}) if packet.size]


def length(path: Path, kind: str) -> float:
    """Of one stream's packets, seconds."""
    with av.open(str(path)) as media:
        spans = [
            (float(p.pts * p.time_base), float((p.pts + (p.duration or 0)) * p.time_base))
            for p in media.demux(**{kind: 0})
            if p.size
        ]
    return max(end for _, end in spans) - max(0.0, min(start for start, _ in spans))


def frames(path: Path) -> int:
    with av.open(str(path)) as media:
        return sum(1 for _ in media.decode(video=0))


def size(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as media:
        stream = media.streams.video[0]
        return stream.width, stream.height


def samples_of(path: Path) -> int:
    with av.open(str(path)) as media:
        return sum(frame.samples for frame in media.decode(audio=0))


@pytest.mark.parametrize(
    ("source", "target"), [(route.source, route.target) for route in ENGINE.routes]
)
def test_every_route(sample: Callable[[str], Path], run: Run, source: str, target: str) -> None:
    result = run(sample(source), source, target)
    assert result.format == target
    if target in STILLS or target == "gif":
        with Image.open(result.path) as picture:
            picture.load()
            assert picture.format == {"jpg": "JPEG"}.get(target, target.upper())
            assert picture.size == (samples.WIDTH, samples.HEIGHT)
            if target == "gif":
                assert getattr(picture, "n_frames", 1) in (15, 16)
        return
    container = CONTAINERS[target]
    slack = max(0.03, SLACK.get(source, 0.0), SLACK.get(target, 0.0))
    with av.open(str(result.path)) as media:  # told nothing of the format: it has to find out
        assert container.demuxer in media.format.name.split(",")
        video, audio = media.streams.video, media.streams.audio
        assert len(video) == (1 if container.video else 0)
        assert len(audio) == (0 if source == "gif" else 1)
        known = {*container.keeps_video, *container.video}
        assert all(stream.codec_context.codec.canonical_name in known for stream in video)
        assert all((s.width, s.height) == (samples.WIDTH, samples.HEIGHT) for s in video)
    if container.video:
        wanted = 10 if source == "gif" else samples.FPS * samples.SECONDS
        assert abs(frames(result.path) - wanted) <= (1 if source != "gif" else 2)
    if source != "gif":
        heard = length(result.path, "audio")
        assert abs(heard - samples.SECONDS) <= slack
    if container.video and source != "gif":
        assert abs(length(result.path, "video") - samples.SECONDS) <= slack + FRAME


def test_no_detour_is_planned(converter: Converter) -> None:
    graph = Graph(converter.engines.values())
    for route in ENGINE.routes:
        steps = graph.plan(route.source, route.target).steps
        assert [step.engine for step in steps] == ["ffmpeg"], route


def test_every_format_is_covered() -> None:
    sources = {route.source for route in ENGINE.routes}
    assert sources == {*VIDEOS, *SOUNDS, "gif"} == set(samples.FORMATS)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *itertools.permutations(("mp4", "mov", "mkv", "ts", "3gp"), 2),
        *(("webm", "mkv"), ("mpg", "mkv"), ("ogv", "mkv")),
        *((name, name) for name in VIDEOS),
    ],
)
def test_copies(sample: Callable[[str], Path], run: Run, source: str, target: str) -> None:
    result = run(sample(source), source, target)
    for kind in ("video", "audio"):
        before, after = packets(sample(source), kind), packets(result.path, kind)
        if "ts" in (source, target):  # adds start codes and headers: the pictures stay as long
            assert len(before) == len(after)
        else:
            assert before == after


@pytest.mark.parametrize("target", ["m4a", "aac"])
def test_sound_is_copied_out_of_video(sample: Callable[[str], Path], run: Run, target: str) -> None:
    result = run(sample("mp4"), "mp4", target)
    before, after = packets(sample("mp4"), "audio"), packets(result.path, "audio")
    header = 7 if target == "aac" else 0  # ADTS puts one before each packet
    assert [packet[header:] for packet in after] == before


def test_fast_start(sample: Callable[[str], Path], run: Run) -> None:
    data = run(sample("mkv"), "mkv", "mp4").path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("target", ["wav", "flac", "aiff"])
@pytest.mark.parametrize("bits", [16, 24])
def test_lossless_sound_keeps_every_sample(
    run: Run, tmp_path: Path, target: str, bits: int
) -> None:
    source = samples.make("wav", tmp_path / "in.wav", "-c:a", f"pcm_s{bits}le", "-af", "volume=0.3")
    result = run(source, "wav", target)
    assert _pcm(source) == _pcm(result.path)
    assert mutagen.File(result.path).info.bits_per_sample == bits


def _pcm(path: Path) -> bytes:
    resampler = av.AudioResampler(format="s32")
    with av.open(str(path)) as media:
        return b"".join(
            bytes(out.planes[0])[: out.samples * 4]
            for frame in media.decode(audio=0)
            for out in resampler.resample(frame)
        )


@pytest.mark.parametrize("source", ["mp4", "mkv", "ts", "mpg", "avi"])
def test_trim_of_video_is_exact_to_a_frame(
    sample: Callable[[str], Path], run: Run, source: str
) -> None:
    result = run(sample(source), source, "mp4", start=0.33, duration=0.4)
    assert abs(frames(result.path) - 10) <= 1
    assert abs(length(result.path, "video") - 0.4) <= FRAME + 0.001
    assert abs(result.facts.duration - 0.4) <= FRAME  # type: ignore[operator]


def pictures(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as media:
        return [frame.to_image() for frame in media.decode(video=0)]


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean over all pixels, 0..255."""
    apart = ImageChops.difference(one.convert("L"), other.convert("L"))
    return float(ImageStat.Stat(apart).mean[0])


def likest(picture: Image.Image, among: list[Image.Image]) -> int:
    return min(range(len(among)), key=lambda number: difference(picture, among[number]))


@pytest.mark.parametrize("source", ["mp4", "ts", "mpg"])
def test_trim_begins_at_the_right_picture(run: Run, tmp_path: Path, source: str) -> None:
    whole = samples.make(source, tmp_path / f"in.{source}", seconds=13)
    result = run(whole, source, "mp4", start=11.4, end=12, quality=95)
    assert abs(likest(pictures(result.path)[0], pictures(whole)) - 285) <= 1
    assert abs(frames(result.path) - 15) <= 1


@pytest.mark.parametrize("source", ["wav", "mp3", "flac", "aac", "ogg"])
def test_trim_of_sound_is_exact_to_a_sample(
    sample: Callable[[str], Path], run: Run, source: str
) -> None:
    result = run(sample(source), source, "wav", start=0.25, end=0.75)
    assert abs(samples_of(result.path) - 24_000) <= 1


def test_end_alone_copies(sample: Callable[[str], Path], run: Run) -> None:
    result = run(sample("mp4"), "mp4", "mp4", end=0.4)
    before, after = packets(sample("mp4"), "video"), packets(result.path, "video")
    assert after == before[: len(after)]
    assert abs(len(after) - 10) <= 1


def test_resize_keeps_the_shape(sample: Callable[[str], Path], run: Run) -> None:
    assert size(run(sample("mp4"), "mp4", "webm", width=81).path) == (80, 60)
    assert size(run(sample("mp4"), "mp4", "mp4", height=60).path) == (80, 60)
    assert size(run(sample("mp4"), "mp4", "mkv", width=100, height=30).path) == (40, 30)


def test_odd_sizes_become_even(run: Run, tmp_path: Path) -> None:
    odd = samples.make("gif", tmp_path / "odd.gif", "-vf", "scale=61:33")
    assert size(run(odd, "gif", "mp4").path) == (60, 32)


def test_fps(sample: Callable[[str], Path], run: Run) -> None:
    assert frames(run(sample("mp4"), "mp4", "mp4", fps=10).path) == 10


def test_gif_delays(sample: Callable[[str], Path], run: Run) -> None:
    result = run(sample("mp4"), "mp4", "gif", fps=10, width=80)
    with Image.open(result.path) as picture:
        delays = []
        for number in range(picture.n_frames):
            picture.seek(number)
            delays.append(picture.info["duration"])
        assert picture.size == (80, 60)
    assert delays == [100] * 10


def test_gif_timing_becomes_video_timing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.gif"
    shades = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    shades[0].save(path, save_all=True, append_images=shades[1:], duration=[100, 300, 600])
    result = run(path, "gif", "mp4")
    with av.open(str(result.path)) as media:
        stream = media.streams.video[0]
        times = [float(frame.pts * stream.time_base) for frame in media.decode(stream)]
        assert abs(media.duration / 1e6 - 1.0) <= 0.011
    assert times == pytest.approx([0, 0.1, 0.4], abs=0.011)


def test_gif_transparency_becomes_white(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.gif"
    Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(path)
    assert difference(pictures(run(path, "gif", "mp4").path)[0], Image.new("L", (32, 32), 255)) < 5


def test_still_at_a_time(sample: Callable[[str], Path], run: Run) -> None:
    among = pictures(sample("mp4"))
    for at, number in ((0.0, 0), (0.4, 10), (1.0, 24)):  # at the end: the last one
        with Image.open(run(sample("mp4"), "mp4", "png", at=at).path) as picture:
            assert likest(picture, among) == number


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *itertools.product(("mp3", "flac", "m4a"), ("mp3", "flac", "m4a", "ogg", "opus")),
        *(("mp3", "aiff"), ("ogg", "mp3"), ("opus", "m4a"), ("wav", "mp3"), ("wma", "flac")),
    ],
)
def test_tags_are_kept(sample: Callable[[str], Path], run: Run, source: str, target: str) -> None:
    tags = mutagen.File(run(sample(source), source, target).path).tags
    title = tags.get("TIT2") or tags.get("title") or tags.get("\xa9nam")
    assert [str(word) for word in (title.text if hasattr(title, "text") else title)] == ["A tone"]


@pytest.mark.parametrize(
    ("source", "target"),
    [*itertools.product(("mp3", "flac", "m4a"), ("mp3", "flac", "m4a", "aiff", "ogg", "opus"))],
)
def test_cover_is_kept(run: Run, tmp_path: Path, source: str, target: str) -> None:
    path = samples.with_cover(source, tmp_path / f"cover.{source}")
    result = run(path, source, target)
    assert result.facts.cover == "mjpeg"
    assert result.facts.video_codec is None
    with Image.open(io.BytesIO(_cover(result.path))) as picture:
        assert picture.size == (32, 32)
        red, green, blue = picture.convert("RGB").getpixel((16, 16))
    assert red > 200
    assert max(green, blue) < 60


def _cover(path: Path) -> bytes:
    file = mutagen.File(path)
    if isinstance(file, FLAC):
        return file.pictures[0].data
    if "covr" in file.tags:
        return bytes(file.tags["covr"][0])
    if "metadata_block_picture" in file.tags:
        return Picture(base64.b64decode(file.tags["metadata_block_picture"][0])).data
    return next(tag.data for name, tag in file.tags.items() if name.startswith("APIC"))


@pytest.mark.parametrize("target", ["mkv", "mov", "webm", "mpg"])
def test_sound_and_picture_stay_in_step(run: Run, tmp_path: Path, target: str) -> None:
    path = samples.make("mp4", tmp_path / "long.mp4", seconds=3)
    result = run(path, "mp4", target, start=0.7, end=2.7)
    heard, seen = length(result.path, "audio"), length(result.path, "video")
    assert abs(heard - seen) <= 0.05
    assert abs(seen - 2.0) <= 0.05


def test_sound_options(sample: Callable[[str], Path], run: Run) -> None:
    options = {"sample_rate": 22050, "channels": 2, "volume": 0.5}
    path = run(sample("wav"), "wav", "flac", **options).path
    info = mutagen.File(path).info
    assert (info.sample_rate, info.channels) == (22050, 2)
    assert max(_pcm(path)[3::4]) <= max(_pcm(sample("wav"))[3::4])


def test_mute(sample: Callable[[str], Path], run: Run) -> None:
    assert run(sample("mp4"), "mp4", "mp4", mute=True).facts.audio_codec is None


@pytest.mark.parametrize(
    ("target", "codec"),
    [(name, codec) for name in VIDEOS for codec in CONTAINERS[name].video[1:]],
)
def test_other_picture_codecs(
    sample: Callable[[str], Path], run: Run, target: str, codec: str
) -> None:
    result = run(sample("mov"), "mov", target, video_codec=codec, effort="fast")
    assert result.facts.video_codec == codec


@pytest.mark.parametrize(
    ("target", "codec"),
    [(name, codec) for name in (*VIDEOS, "m4a") for codec in CONTAINERS[name].audio[1:]],
)
def test_other_sound_codecs(
    sample: Callable[[str], Path], run: Run, target: str, codec: str
) -> None:
    result = run(sample("mov"), "mov", target, audio_codec=codec)
    assert result.facts.audio_codec == codec


@pytest.mark.parametrize(
    ("source", "target"),
    [("mp4", name) for name in ("mp4", "webm", "avi", "mpg", "ogv", "mp3", "ogg", "m4a", "jpg")],
)
def test_quality_changes_the_size(
    sample: Callable[[str], Path], run: Run, source: str, target: str
) -> None:
    small = run(sample(source), source, target, quality=10).path.stat().st_size
    large = run(sample(source), source, target, quality=95).path.stat().st_size
    assert small < 0.8 * large


@pytest.mark.parametrize("target", ["opus", "aac", "wma", "mp2", "ac3", "mkv"])
def test_surround_becomes_what_the_codec_takes(run: Run, tmp_path: Path, target: str) -> None:
    pan = ("-af", "pan=5.1(side)|FL=c0|FR=c0|FC=c0|LFE=c0|SL=c0|SR=c0")
    path = samples.make("wav", tmp_path / "in.wav", *pan)
    if target in ("mp2", "mkv"):
        picture = samples.make("mkv", tmp_path / "in.mkv", "-c:a", "flac", *pan)
        result = run(picture, "mkv", "mpg" if target == "mp2" else "webm")
    else:
        result = run(path, "wav", target)
    with av.open(str(result.path)) as media:
        assert media.streams.audio[0].channels == (2 if target in ("wma", "mp2") else 6)


def test_rotation_survives(run: Run, tmp_path: Path) -> None:
    flat = samples.make("mp4", tmp_path / "flat.mp4")
    turned = tmp_path / "turned.mp4"
    samples.run("-display_rotation", "90", "-i", str(flat), "-c", "copy", str(turned))
    for target in ("mov", "mkv", "ts", "webm", "avi", "jpg"):
        facts = run(turned, "mp4", target).facts
        assert (facts.width, facts.height) == (samples.HEIGHT, samples.WIDTH), target


def test_subtitles_and_tracks_stay_in_matroska(run: Run, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n")
    plain, path = samples.make("mkv", tmp_path / "plain.mkv"), tmp_path / "in.mkv"
    maps = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1")
    samples.run("-i", str(plain), "-i", str(words), *maps, "-c", "copy", str(path))
    with av.open(str(run(path, "mkv", "mkv").path)) as media:
        assert [stream.type for stream in media.streams] == [
            *("video", "audio", "audio", "subtitle")
        ]


WORDS = "1\n00:00:00,100 --> 00:00:00,400\nHello\n\n2\n00:00:00,500 --> 00:00:0{},000\nBye\n"


def subtitled(source: str, path: Path, *codecs: str, end: int = 1) -> Path:
    """A film of a second with the same words in each codec; they end at `end`, seconds."""
    film, words = samples.make(source, path.with_stem("plain")), path.with_suffix(".srt")
    words.write_text(WORDS.format(end))
    coders = [word for at, codec in enumerate(codecs) for word in (f"-c:s:{at}", codec)]
    maps = ("-map", "0", *(word for _ in codecs for word in ("-map", "1")))
    language = ("-metadata:s:s:0", "language=ger")
    samples.run(
        "-i", str(film), "-i", str(words), *maps, "-c", "copy", *coders, *language, str(path)
    )
    return path


def said(path: Path, at: int) -> list[tuple[float, str]]:
    """When a subtitle track says what."""
    with av.open(str(path)) as media:
        stream = media.streams.subtitles[at]
        return [
            (round(float(packet.pts * packet.time_base), 1), part.ass.decode().rpartition(",")[2])
            for packet in media.demux(stream)
            for part in packet.decode()
        ]


@pytest.mark.parametrize(
    ("source", "codecs", "target", "options", "kept"),
    [
        ("mkv", ("srt", "ass", "webvtt"), "mp4", {}, ["mov_text"] * 3),
        ("mkv", ("srt", "ass"), "mov", {"width": 80}, ["mov_text"] * 2),
        ("mkv", ("srt", "ass"), "webm", {}, ["webvtt"] * 2),
        ("mkv", ("srt", "ass", "webvtt"), "mkv", {"width": 80}, ["subrip", "ass", "webvtt"]),
        ("mp4", ("mov_text",), "mkv", {}, ["subrip"]),
        ("mp4", ("mov_text",), "mov", {}, ["mov_text"]),
        ("mp4", ("mov_text",), "mp4", {"mute": True}, ["mov_text"]),
        ("mov", ("mov_text",), "webm", {}, ["webvtt"]),
        ("webm", ("webvtt",), "mp4", {}, ["mov_text"]),
        ("webm", ("webvtt",), "mkv", {}, ["webvtt"]),
        ("mkv", ("srt",), "avi", {}, []),
    ],
)
def test_subtitles_stay(
    run: Run,
    tmp_path: Path,
    source: str,
    codecs: tuple[str, ...],
    target: str,
    options: dict[str, Any],
    kept: list[str],
) -> None:
    result = run(subtitled(source, tmp_path / f"in.{source}", *codecs), source, target, **options)
    assert list(result.facts.subtitles or ()) == kept
    assert f"{len(kept)} subtitle tracks of {len(codecs)}" in str(result.verdict.checks)
    for at in range(len(kept)):
        assert said(result.path, at) == [(0.1, "Hello"), (0.5, "Bye")]
    with av.open(str(result.path)) as media:
        assert [stream.language for stream in media.streams.subtitles[:1]] == ["ger"] * bool(kept)


@pytest.mark.parametrize("target", ["mp4", "webm", "mkv"])
def test_odd_subtitles_fail_no_film(run: Run, tmp_path: Path, target: str) -> None:
    """One without words, one whose words are no UTF-8, one that goes on behind the film's end, and
    pictures."""
    path = subtitled("mkv", tmp_path / "late.mkv", "srt", end=9)
    assert run(path, "mkv", target).facts.duration == pytest.approx(1, abs=0.1)
    path.write_bytes(path.read_bytes().replace(b"Hello", b"\xfc\xdf\xff\x01\xe2"))
    assert len(run(path, "mkv", target).facts.subtitles or ()) == 1
    none, pictures = tmp_path / "none.mkv", tmp_path / "pictures.mkv"
    (tmp_path / "none.srt").touch()
    (tmp_path / "words.sup").write_bytes(pgs())
    film = ("-i", str(samples.make("mkv", tmp_path / "plain.mkv")))
    words = ("-f", "srt", "-i", str(tmp_path / "none.srt"))
    both = ("-map", "0", "-map", "1", "-c", "copy")
    samples.run(*film, *words, *both, str(none))
    assert len(run(none, "mkv", target).facts.subtitles or ()) == 1
    samples.run(*film, "-i", str(tmp_path / "words.sup"), *both, str(pictures))
    kept = 1 if target == "mkv" else 0
    result = run(pictures, "mkv", target)
    assert f"{kept} subtitle tracks of 1" in str(result.verdict.checks)
    losses = next(r.losses for r in ENGINE.routes if (r.source, r.target) == ("mkv", target))
    assert ("picture subtitles" in losses) == (not kept)


def pgs() -> bytes:
    """Presentation graphics, as on a Blu-ray: a square, shown and taken away."""
    line = b"\1" * 8 + b"\0\0"
    placed = struct.pack(">HBBHH", 0, 0, 0, 10, 10)
    drawn = struct.pack(">HB3sHH", 0, 0xC0, (len(line) * 8 + 4).to_bytes(3), 8, 8) + line * 8
    shown = struct.pack(">HHBHBBBB", samples.WIDTH, samples.HEIGHT, 0x10, 0, 0x80, 0, 0, 1) + placed
    gone = struct.pack(">HHBHBBBB", samples.WIDTH, samples.HEIGHT, 0x10, 1, 0, 0, 0, 0)
    window = struct.pack(">BBHHHH", 1, 0, 10, 10, 8, 8)
    segments = (
        *((9_000, 0x16, shown), (9_000, 0x17, window), (9_000, 0x14, b"\0\0\1\xeb\x80\x80\xff")),
        *((9_000, 0x15, drawn), (9_000, 0x80, b"")),
        *((45_000, 0x16, gone), (45_000, 0x17, window), (45_000, 0x80, b"")),
    )
    return b"".join(
        b"PG" + struct.pack(">IIBH", at, 0, kind, len(data)) + data for at, kind, data in segments
    )


TWO = ("-map", "0:v", "-map", "1:a", "-map", "1:a")


@pytest.mark.parametrize(
    ("source", "codecs", "target", "options", "kept"),
    [
        ("mp4", ("aac", "aac"), "mp4", {"width": 80}, ["aac", "aac"]),
        ("mov", ("aac", "aac"), "mov", {"width": 80}, ["aac", "aac"]),
        ("mp4", ("aac", "aac"), "mov", {}, ["aac", "aac"]),
        ("mkv", ("aac", "libopus"), "mp4", {}, ["aac", "aac"]),
        ("mkv", ("aac", "aac"), "webm", {}, ["opus", "opus"]),
        ("mov", ("aac", "pcm_mulaw"), "mkv", {}, ["aac", "aac"]),
        ("mp4", ("aac", "aac"), "mkv", {"start": 0.5, "volume": 2}, ["aac", "aac"]),
        ("mp4", ("aac", "aac"), "avi", {}, ["mp3"]),
    ],
)
def test_all_sound_tracks_stay_where_there_can_be_several(
    run: Run,
    tmp_path: Path,
    source: str,
    codecs: tuple[str, str],
    target: str,
    options: dict[str, Any],
    kept: list[str],
) -> None:
    coders = [word for at, codec in enumerate(codecs) for word in (f"-c:a:{at}", codec)]
    path = samples.make(source, tmp_path / f"two.{source}", *TWO, *coders)
    result = run(path, source, target, **options)
    with av.open(str(result.path)) as media:
        found = [stream.codec_context.codec.canonical_name for stream in media.streams.audio]
        assert found == kept
        assert all(any(media.decode(stream)) for stream in media.streams.audio[:1])
    assert list(result.facts.audio_codecs or (result.facts.audio_codec,)) == kept
    losses = next(r.losses for r in ENGINE.routes if (r.source, r.target) == (source, target))
    assert ("subtitles, further tracks" in losses) == (len(kept) == 1)


def test_progress_is_monotone_and_gets_to_the_end(run: Run, tmp_path: Path) -> None:
    path = samples.make("mp4", tmp_path / "long.mp4", seconds=100)
    told: list[float] = []
    run(path, "mp4", "webm", report=told.append, start=2, end=98)
    assert told == sorted(told)
    assert len(set(told)) >= 3
    assert 0.9 < told[-1] <= 1


def test_progress_lines() -> None:
    read = progress(4.0)
    lines = ("out_time_us=1000000", "out_time_us=N/A", "fps=3", "out_time_us=-5", "out_time_us=9e9")
    assert [read(line) for line in lines] == [0.25, None, None, 0.25, None]
    assert read("out_time_us=8000000\n") == 1.0


# What is wrong


@pytest.mark.parametrize("source", samples.FORMATS)
def test_nothing_and_noise_are_invalid(run: Run, tmp_path: Path, source: str) -> None:
    for content in (b"", b"\0" * 5000, bytes(range(256)) * 40):
        path = tmp_path / "broken"
        path.write_bytes(content)
        with pytest.raises(FileInvalid):
            run(path, source, "mp4" if source in (*VIDEOS, "gif") else "wav")


CUTS = sorted({*samples.FORMATS} - {"gif"})


@pytest.mark.parametrize("source", CUTS)
def test_a_file_cut_off_is_invalid_or_as_long_as_what_is_there(
    run: Run, tmp_path: Path, source: str
) -> None:
    whole = samples.make(source, tmp_path / f"whole.{source}", seconds=4).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole[: len(whole) // 2])
    target = "mkv" if source in VIDEOS else "wav"
    # Streams that say nowhere how long they are cannot be told from short ones.
    if source in {"ts", "mpg", "aac", "ac3", "amr", "ogg", "opus", "ogv"}:
        assert 1.0 < run(path, source, target).facts.duration < 3.0  # type: ignore[operator]
    else:
        with pytest.raises(FileInvalid):
            run(path, source, target)


def test_a_picture_that_stays_long_is_not_a_cut(run: Run, tmp_path: Path) -> None:
    slides = tmp_path / "slides.gif"
    shades = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green")]
    shades[0].save(slides, save_all=True, append_images=shades[1:], duration=[4000, 4000])
    for target in ("mkv", "webm", "mp4", "mov"):
        result = run(slides, "gif", target)
        assert run(result.path, target, "mkv").facts.frames in (None, 2)


def test_a_live_recording_has_a_duration(run: Run, tmp_path: Path) -> None:
    path = samples.make("webm", tmp_path / "live.webm", "-f", "webm", "-live", "1")
    with av.open(str(path)) as media:
        assert media.duration is None, "the sample has to lack what is tested for"
    assert abs(run(path, "webm", "mkv").facts.duration - 1.0) < 0.05  # type: ignore[operator]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A film beside the upload, that everybody may read."""
    tmp_path.chmod(0o755)
    path = samples.make("mp4", tmp_path / "secret.mp4")
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("target", ["mp4", "mp3", "png"])
@pytest.mark.parametrize("source", ["mp4", "mkv", "ts", "mpg", "avi"])
def test_lists_of_files_are_not_followed(
    run: Run, tmp_path: Path, secret: Path, source: str, target: str
) -> None:
    lists = {
        "ffconcat": f"ffconcat version 1.0\nfile '{secret}'\nfile 'in.mp4'\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "dash": f'<?xml version="1.0"?><MPD><BaseURL>file://{secret}</BaseURL></MPD>',
        "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for text in lists.values():
        path = tmp_path / "list"
        path.write_text(text * 50)
        with pytest.raises(FileInvalid):
            run(path, source, target)


def test_a_png_named_mp4_is_invalid(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    Image.effect_noise((400, 400), 50).save(path)
    for source in ("mp4", "mpg", "ts", "mp3", "aac"):
        with pytest.raises(FileInvalid):
            run(path, source, "mkv" if source in VIDEOS else "wav")


def _task(source: str, target: str, options: dict[str, Any], **facts: Any) -> Task:
    name = FORMATS[target].extension
    return Task(source, target, f"in.{source}", f"out.{name}", options, Facts(source, 1, **facts))


def test_how_long_a_gif_plays_is_bounded(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "slow.gif"
    for frames, days in ((132, 1), (9_999, 75)):
        path.write_bytes(gif(16, 16, frames, delay=65_535))
        with pytest.raises(LimitExceeded) as caught:
            run(path, "gif", "mp4")
        assert caught.value.details["limit"] == "duration"
        assert caught.value.details["value"] // 86_400 == days


def test_a_head_that_tells_less_than_there_is(tmp_path: Path) -> None:
    path = samples.make("mkv", tmp_path / "in.mkv", seconds=3)
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # the Segment's Duration, milliseconds
    path.write_bytes(data[:at] + struct.pack(">d", 100.0) + data[at + 8 :])
    assert bare.facts(path).duration == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(
    ("target", "options", "longest"),
    [("mp4", {}, 2), ("gif", {}, 2), ("gif", {"duration": 1}, 1), ("wav", {}, 2)],
)
def test_no_more_is_read_than_is_allowed(
    tmp_path: Path, target: str, options: dict[str, Any], longest: float
) -> None:
    samples.make("mp4", tmp_path / "in.mp4", seconds=4)
    known = {"video_codec": "h264", "audio_codec": "aac", "duration": 0.5}
    task = replace(_task("mp4", target, options, **known), ceilings=Ceilings(duration=1))
    for process in build(task).processes:
        assert isinstance(process, Command)
        argv = [samples.FFMPEG, *process.argv[1:]]
        subprocess.run(argv, check=True, cwd=tmp_path, capture_output=True, timeout=60)
    with av.open(str(tmp_path / f"out.{target}")) as media:
        assert media.duration is not None
        assert media.duration / 1e6 == pytest.approx(longest, abs=0.1)


def test_what_is_missing_is_said() -> None:
    silent = {"video_codec": "h264", "duration": 4.0}
    with pytest.raises(FileInvalid, match="no sound"):
        build(_task("mp4", "mp3", {}, **silent))
    with pytest.raises(FileInvalid, match="no picture"):
        build(_task("mp4", "webm", {}, audio_codec="aac", duration=4.0))
    for options in ({"start": 4}, {"start": 2, "end": 1}, {"end": 1, "duration": 1}):
        with pytest.raises(BadOptions):
            build(_task("mp4", "mkv", options, **silent))
    with pytest.raises(BadOptions):
        build(_task("mp4", "png", {"at": 5}, **silent))


def test_errors_are_read() -> None:
    assert isinstance(diagnose("FFmpeg", Exit(1, stderr="x: moov atom not found")), FileInvalid)
    assert isinstance(diagnose("FFmpeg", Exit(1, stderr="Unknown encoder")), EngineError)
    assert isinstance(diagnose("FFmpeg", Exit(-9)), EngineError)


def test_webm_has_its_doctype_and_wave_its_sizes(sample: Callable[[str], Path], run: Run) -> None:
    assert b"webm" in run(sample("mp4"), "mp4", "webm").path.read_bytes()[:64]
    wave = run(sample("flac"), "flac", "wav").path.read_bytes()
    assert (wave[:4], wave[8:12]) == (b"RIFF", b"WAVE")
    assert struct.unpack("<I", wave[4:8])[0] == len(wave) - 8
