"""Whether and how engines split their work: pure decisions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from filemill.engine import Part, Split, Task
from filemill.engines import ffmpeg, pdfium
from filemill.model import Facts
from filemill.segments import film, ranges

HOUR = Facts(
    "mp4",
    10**9,
    width=1920,
    height=1080,
    frames=107_892,
    duration=3600.0,
    video_codec="h264",
    audio_codec="aac",
    rate="30000/1001",
    delay=0.02,
)
SHORT = replace(HOUR, frames=150, duration=5.005)


def split(
    facts: Facts = HOUR, target: str = "webm", grain: float = 30, **options: Any
) -> Split | None:
    name = f"in.{facts.format}"
    task = Task(facts.format, target, name, f"out.{target}", options, facts)
    return (pdfium if facts.format == "pdf" else ffmpeg).split(task, grain)


def lines(part: Part) -> list[tuple[str, ...]]:
    return [process.argv for process in part.work.processes]  # type: ignore[union-attr]


def test_a_long_film_is_split_into_segments_and_the_rest() -> None:
    found = split()
    assert found
    again = split()
    assert again
    assert list(map(lines, again.parts)) == list(map(lines, found.parts)), "on every host"
    rest, *segments = found.parts
    assert rest.name == "rest.webm"
    assert len(segments) > 50
    assert len({part.name for part in found.parts}) == len(found.parts)
    argv = segments[1].work.processes[0].argv  # type: ignore[union-attr]
    assert argv.index("-ss") < argv.index("-i"), "a seek in the source, exact"
    assert "0:a" not in argv
    known = sum(part.expects.get("frames", 0) for part in segments)
    assert 0 < HOUR.frames - known <= HOUR.frames / len(segments) + 1  # type: ignore[operator]
    assert found.join.outputs == ("out.webm",)


def test_the_rest_is_all_sound_tracks() -> None:
    found = split(replace(HOUR, audio_codecs=("aac", "aac"), audio_tracks=2))
    assert found
    assert {"0:a:0", "0:a:1"} <= set(lines(found.parts[0])[0])
    assert "1:a" in found.join.processes[0].argv  # type: ignore[union-attr]


def test_subtitles_go_with_the_sound() -> None:
    facts = replace(HOUR, subtitles=("mov_text", "dvd_subtitle"))
    found = split(facts)
    assert found
    assert "0:s:0" in lines(found.parts[0])[0]
    assert "0:s:1" not in lines(found.parts[0])[0]
    assert split(replace(facts, audio_codec=None)) is None


def test_silent_films_have_no_rest() -> None:
    for found in (split(replace(HOUR, audio_codec=None)), split(mute=True)):
        assert found
        assert [part.name for part in found.parts][:2] == ["part-0000.mp4", "part-0001.mp4"]


@pytest.mark.parametrize(
    ("facts", "target", "options"),
    [
        pytest.param(SHORT, "webm", {}, id="short"),
        pytest.param(HOUR, "mkv", {}, id="copied"),
        pytest.param(HOUR, "mp3", {}, id="sound only"),
        pytest.param(HOUR, "gif", {}, id="gif"),
        pytest.param(HOUR, "png", {}, id="one picture"),
        pytest.param(HOUR, "avi", {}, id="a container without times"),
        pytest.param(HOUR, "webm", {"fps": 10}, id="other times"),
        pytest.param(HOUR, "webm", {"start": 10}, id="trimmed"),
        pytest.param(replace(HOUR, rate=None), "webm", {}, id="variable rate"),
        pytest.param(replace(HOUR, duration=None), "webm", {}, id="unknown length"),
        pytest.param(replace(HOUR, video_codec=None), "webm", {}, id="no picture"),
        pytest.param(replace(HOUR, format="ts"), "webm", {}, id="inexact seeks"),
    ],
)
def test_what_is_not_split(facts: Facts, target: str, options: dict[str, Any]) -> None:
    assert split(facts, target, **options) is None


@pytest.mark.parametrize("rate", ["24", "25", "30000/1001", "60000/1001"])
@pytest.mark.parametrize("delay", [0.0, 0.021])
def test_segments_hold_each_picture_once(rate: str, delay: float) -> None:
    step = 1 / Fraction(rate)
    pictures = int(600 / step)
    facts = replace(HOUR, rate=rate, delay=delay, frames=pictures, duration=float(pictures * step))
    segments = film(facts, "vp9", "fast", 1920 * 1080, 20)
    assert segments
    times = [delay + float(number * step) for number in range(pictures)]
    for shift in (-0.0006, 0.0006):  # a container may round to whole milliseconds
        held = [
            sum(
                (segment.begin == 0 or time + shift >= segment.begin)
                and (segment.length is None or time + shift < segment.begin + segment.length)
                for segment in segments
            )
            for time in times
        ]
        assert held == [1] * pictures
    ends = 0
    first = 0
    for segment in segments:
        assert abs(ends - float(first * step) * 1e6) < 1, "no drift"
        ends += segment.micros
        first += segment.pictures or 0


def test_finer_grain_more_parts() -> None:
    many, few = split(grain=30), split(grain=200)
    assert many
    assert few
    assert len(many.parts) > 3 * len(few.parts)


PAGES = Facts("pdf", 10**6, pages=300)


def test_pages_are_split_in_order() -> None:
    found = split(PAGES, "png", 5, pages="1-200,250")
    assert found
    drawn: list[int] = []
    for part in found.parts:
        arguments = part.work.processes[0].arguments  # type: ignore[union-attr]
        assert len(arguments["pages"]) == part.expects["entries"] >= 2
        assert arguments["digits"] == 3
        drawn += arguments["pages"]
    assert drawn == [*range(200), 249]


@pytest.mark.parametrize("target", ["txt", "tiff"])
def test_what_is_one_file_of_pages_is_not_split(target: str) -> None:
    assert split(PAGES, target, 1) is None


def test_few_pages_are_not_split() -> None:
    assert split(replace(PAGES, pages=5), "png") is None


@pytest.mark.parametrize("count", [6, 7, 59, 1000, 100_000])
def test_ranges_cover_all_once(count: int) -> None:
    found = ranges(count, 1, 0.01)
    assert found
    assert [number for few in found for number in few] == list(range(count))
    assert min(map(len, found)) >= 2
