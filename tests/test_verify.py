"""verify: each kind of wrong result is caught, and right ones pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filemill.engines import ENGINES
from filemill.formats import FORMATS
from filemill.model import Facts, Step
from filemill.verify import READS, trimmed, verify


def step(source: str, target: str, **options: Any) -> Step:
    return Step("engine", source, target, options)


PNG = Facts("png", 900, width=400, height=300, frames=1)
JPG = replace(PNG, format="jpg")
GIF = replace(PNG, format="gif", frames=12)
TIFF = replace(PNG, format="tiff", frames=5)
PDF = Facts("pdf", 900, pages=5, characters=4000)
PPTX = Facts("pptx", 900, pages=5)
MP4 = Facts("mp4", 900, width=640, height=360, duration=10.0, video_codec="h264", audio_codec="aac")
TWO = replace(MP4, audio_codecs=("aac", "aac"), audio_tracks=2)
MP3 = Facts("mp3", 900, duration=10.0, audio_codec="mp3")
CSV = Facts("csv", 900, rows=11, columns=3)
PARQUET = replace(CSV, format="parquet")
DOCX = Facts("docx", 900, characters=4000)

RIGHT = [
    (step("png", "jpg"), PNG, JPG),
    (step("png", "jpg", width=200), PNG, replace(JPG, width=200, height=150)),
    (step("png", "jpg", width=200, height=200), PNG, replace(JPG, width=200, height=150)),
    (step("png", "jpg", width=9, height=9, fit="fill"), PNG, replace(JPG, width=9, height=9)),
    (step("png", "jpg", width=800, fit="down"), PNG, JPG),
    (step("gif", "webp"), GIF, replace(GIF, format="webp")),
    (step("gif", "png"), GIF, PNG),
    (step("png", "ico"), PNG, Facts("ico", 9, width=256, height=192)),
    (step("pdf", "png"), PDF, Facts("zip", 900, entries=5)),
    (step("pdf", "png", pages="1-2"), PDF, Facts("zip", 900, entries=2)),
    (step("pptx", "pdf"), PPTX, PDF),
    (step("tiff", "pdf"), TIFF, PDF),
    (step("tiff", "tiff"), TIFF, TIFF),
    (step("pdf", "tiff", pages="2"), PDF, replace(TIFF, frames=1)),
    (step("pptx", "pdf"), PPTX, replace(PDF, pages=4)),
    (step("docx", "pdf"), replace(DOCX, pages=1), PDF),
    (step("pdf", "pdf", pages="2"), PDF, replace(PDF, pages=1, characters=10)),
    (step("mp4", "webm"), MP4, replace(MP4, format="webm", duration=10.1)),
    (step("mp4", "mp4", start=2, duration=3), MP4, replace(MP4, duration=3.04)),
    (step("mp4", "mp4", start=2, end=5), MP4, replace(MP4, duration=3.04)),
    (step("mp4", "mp4"), TWO, TWO),
    (step("mp4", "mp4", mute=True), TWO, replace(MP4, audio_codec=None)),
    (step("mp4", "mp3"), MP4, MP3),
    (step("csv", "parquet"), CSV, PARQUET),
    (step("csv", "parquet", header=False), CSV, replace(PARQUET, rows=12)),
    (step("csv", "parquet"), replace(CSV, rows=None), PARQUET),
    (step("csv", "parquet", input_delimiter="|"), replace(CSV, columns=1), PARQUET),
    (step("ods", "ods"), Facts("ods", 9, rows=0, columns=0), Facts("ods", 9, rows=0, columns=0)),
    (step("docx", "txt"), DOCX, Facts("txt", 900, characters=3900)),
    (step("html", "txt"), Facts("html", 9000, characters=9000), Facts("txt", 5, characters=5)),
]

WRONG = [
    (step("png", "jpg"), PNG, PNG, "format"),
    (step("png", "jpg"), PNG, replace(JPG, size=0), "bytes"),
    (step("png", "jpg"), PNG, replace(JPG, width=40, height=30), "pixels"),
    (step("png", "jpg", width=200), PNG, JPG, "pixels"),
    (step("png", "jpg", width=200, height=200), PNG, replace(JPG, height=250, width=150), "pixels"),
    (step("png", "jpg", width=9, height=9, fit="pad"), PNG, replace(JPG, width=9, height=6), "pix"),
    (step("gif", "webp"), GIF, replace(GIF, format="webp", frames=1), "frames"),
    (step("pdf", "png"), PDF, Facts("zip", 900, entries=4), "files"),
    (step("pdf", "png", pages="1-2"), PDF, Facts("zip", 900, entries=0), "files"),
    (step("docx", "pdf"), DOCX, replace(PDF, pages=0), "pages"),
    (step("pptx", "pdf"), PPTX, replace(PDF, pages=6), "pages"),
    (step("pdf", "pdf"), PDF, replace(PDF, pages=4), "pages"),
    (step("tiff", "pdf"), TIFF, replace(PDF, pages=4), "4 pages of 5"),
    (step("tiff", "tiff"), TIFF, replace(TIFF, frames=4), "4 pages of 5"),
    (step("pdf", "tiff"), PDF, replace(TIFF, frames=1), "1 pages of 5"),
    (step("mp4", "webm"), MP4, replace(MP4, format="webm", duration=5.0), " s"),
    (step("mp4", "mp4", start=2, duration=3), MP4, MP4, " s"),
    (step("mp4", "webm"), MP4, replace(MP4, format="webm", audio_codec=None), "sound"),
    (step("mp4", "mp4"), TWO, MP4, "1 sound tracks of 2"),
    (step("mp4", "webm"), MP4, replace(MP4, format="webm", video_codec=None), "picture"),
    (step("mp4", "mp3"), MP4, replace(MP3, audio_codec=None), "sound"),
    (step("csv", "parquet"), CSV, replace(PARQUET, rows=10), "rows"),
    (step("csv", "parquet"), CSV, replace(PARQUET, columns=2), "columns"),
    (step("csv", "parquet", header=False), CSV, replace(PARQUET, rows=13), "rows"),
    (step("csv", "parquet"), CSV, replace(PARQUET, rows=0), "rows"),
    (step("xlsx", "csv"), replace(CSV, format="xlsx"), replace(CSV, rows=0), "rows"),
    (step("csv", "ods"), CSV, replace(CSV, format="ods", columns=0), "columns"),
    (step("docx", "txt"), DOCX, Facts("txt", 900, characters=0), "characters"),
    (step("docx", "txt"), DOCX, Facts("txt", 900, characters=99), "characters"),
]


@pytest.mark.parametrize(("done", "source", "result"), RIGHT)
def test_right(done: Step, source: Facts, result: Facts) -> None:
    verdict = verify(done, source, result)
    assert verdict.problem is None
    assert len(verdict.checks) >= 2


@pytest.mark.parametrize(("done", "source", "result", "said"), WRONG)
def test_wrong(done: Step, source: Facts, result: Facts, said: str) -> None:
    problem = verify(done, source, result).problem
    assert problem is not None
    assert said in problem


counts = st.none() | st.integers(0, 10**6)
texts = st.none() | st.sampled_from(["h264", "aac", "mp3"])


def facts() -> Any:
    return st.builds(
        Facts,
        st.sampled_from(sorted(FORMATS)),
        st.integers(0, 10**9),
        pages=counts,
        width=counts,
        height=counts,
        frames=counts,
        duration=st.none() | st.floats(0, 1e6),
        video_codec=texts,
        audio_codec=texts,
        rows=counts,
        columns=counts,
        sheets=counts,
        characters=counts,
        entries=counts,
    )


@given(facts(), facts())
def test_any_facts_give_a_verdict(source: Facts, result: Facts) -> None:
    verdict = verify(step(source.format, result.format), source, result)
    assert verdict.checks or verdict.problem
    if result.size == 0:
        assert verdict.problem


@given(facts())
def test_a_good_copy_of_itself_is_right(good: Facts) -> None:
    """Whatever the format: the same file again passes, unless it is broken by itself."""
    good = replace(
        good,
        size=good.size + 1,
        pages=(good.pages or 0) + 1,
        width=(good.width or 0) + 1,
        height=(good.height or 0) + 1,
        frames=(good.frames or 0) + 1,
        duration=(good.duration or 0) + 0.1,
        video_codec="h264",
        audio_codec="aac",
        characters=(good.characters or 0) + 1,
        entries=None,
    )
    assert verify(step(good.format, good.format), good, good).problem is None


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1e5))
def test_trimmed_is_a_part(duration: float, start: float, end: float) -> None:
    part = trimmed(duration, {"start": start, "end": end})
    assert 0 <= part <= duration
    assert part == pytest.approx(max(0.0, min(end, duration) - min(start, duration)))


def test_reads_options_that_engines_have() -> None:
    assert {option.name for engine in ENGINES for option in engine.options} >= READS
