"""Judging a result by what probes read out of it and of its source. Floor 1, pure.

An engine's exit status 0 is not success: LibreOffice returns it for files it
could not load, ffmpeg for an empty mp3. So every result is probed (in the
sandbox, since it was made from a hostile file) and judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from filemill.containers import TRACKS
from filemill.formats.table import FORMATS
from filemill.limits import MOVING
from filemill.model import Category, Facts, Step


@dataclass(frozen=True, slots=True)
class Verdict:
    checks: tuple[str, ...]
    """What was compared and found right, for the job's report."""
    problem: str | None = None
    """What is wrong with the result; None: nothing."""

    def to_json(self) -> Mapping[str, Any]:
        return {"checks": list(self.checks)}


Finding = tuple[bool, str] | None
"""(right, what was compared, in words); None: the check does not apply."""

READS = frozenset(
    {
        *("width", "height", "fit", "dpi", "pages", "sheet", "input_delimiter", "header"),
        *("start", "end", "duration", "mute"),
    }
)
"""The options that checks look at; they see no others."""
_SLIDES = frozenset({"pdf", "pptx", "ppt", "odp"})
"""Formats whose pages are the same in each other; hidden slides are left out."""
_LEAVES = frozenset({"pdf", "tiff"})
"""Formats that may hold many pages, each of which is a picture or becomes one."""
_TABLES = frozenset({"csv", "tsv", "json", "ndjson", "parquet", "xlsx", "xls", "ods"})
_BOOKS = frozenset({"xlsx", "xls", "ods"})
_ELSEWHERE = frozenset({"sheet", "input_delimiter"})
"""Options that make another table of the source than the one that its probe found."""
_PROSE = frozenset({"docx", "doc", "odt", "rtf", "txt", "epub"})
"""Sources whose characters are words, not markup."""
_ESTIMATED = frozenset({"aac", "ac3", "amr", "mp3", "mpg", "ts", "flv"})
"""Formats whose duration is often an estimate from the bit rate."""
KEPT = 0.25
"""The share of a text's characters that a result must still have."""


def verify(step: Step, source: Facts, result: Facts) -> Verdict:
    """Every check that applies to this step, up to the first that fails."""
    step = replace(step, options={name: step.options[name] for name in step.options.keys() & READS})
    passed: list[str] = []
    for check in _CHECKS:
        finding = check(step, source, result)
        if finding is None:
            continue
        right, said = finding
        if not right:
            return Verdict(tuple(passed), said)
        passed.append(said)
    return Verdict(tuple(passed))


def _format(step: Step, _: Facts, result: Facts) -> Finding:
    zipped = result.format == "zip" and FORMATS[step.target].category is not Category.ARCHIVE
    right = result.format == step.target or zipped
    return right, f"format {result.format}" + ("" if right else f" instead of {step.target}")


def _size(_: Step, __: Facts, result: Facts) -> Finding:
    return result.size > 0, f"{result.size} bytes"


def _entries(step: Step, source: Facts, result: Facts) -> Finding:
    """Many pages, frames or sheets make a zip with a file for each."""
    if result.entries is None or _category(result.format) is not Category.ARCHIVE:
        return None
    if _category(source.format) is Category.ARCHIVE:
        said = f", {source.left_out} links or devices left out" if source.left_out else ""
        # Only a walk through the whole of an archive tells links from files.
        right = (
            0 < result.entries <= (source.entries or 0)
            if source.format == "zip"
            else (result.entries == source.entries)
        )
        return right, f"{result.entries} files of {source.entries}{said}"
    many = source.pages or source.frames or source.sheets
    known = many and _category(step.target) in (Category.IMAGE, Category.SPREADSHEET)
    if not known or step.options.keys() & {"pages", "sheet"}:
        return 0 < result.entries <= (many or result.entries), f"{result.entries} files"
    return result.entries == many, f"{result.entries} files of {many}"


def _pages(step: Step, source: Facts, result: Facts) -> Finding:
    if result.pages is None:
        return None
    said = f"{result.pages} pages"
    if source.pages is None or not {source.format, result.format} <= _SLIDES:
        return result.pages > 0, said
    whole = source.format == result.format and "pages" not in step.options
    least = source.pages if whole else 1
    return least <= result.pages <= source.pages, f"{said} of {source.pages}"


def _leaves(step: Step, source: Facts, result: Facts) -> Finding:
    formats = {source.format, result.format}
    if not formats <= _LEAVES or "tiff" not in formats or "pages" in step.options:
        return None
    were, are = (facts.pages or facts.frames or 1 for facts in (source, result))
    return are == were, f"{are} pages of {were}"


def _pixels(step: Step, source: Facts, result: Facts) -> Finding:
    if result.width is None or result.height is None:
        return None
    width, height = step.options.get("width"), step.options.get("height")
    size = (result.width, result.height)
    said = f"{size[0]} x {size[1]} pixels"
    video = _category(result.format) is Category.VIDEO
    slack = 2 if video else 1  # codecs want even sides
    if min(size) < 1:
        return False, said
    if step.target in {"ico", "icns"} or "dpi" in step.options:
        return True, said
    if width or height:
        fit = step.options.get("fit", "contain")
        exact = fit in ("cover", "fill", "pad") or (not (width and height) and fit != "down")
        asked = [(is_, want) for is_, want in zip(size, (width, height), strict=True) if want]
        right = all(is_ <= want + slack for is_, want in asked)
        right = right and (not exact or all(is_ >= want - slack for is_, want in asked))
        return right, f"{said}, asked for {width or 'any'} x {height or 'any'}"
    if source.width and source.height and _pictures(source, result):
        right = abs(size[0] - source.width) <= slack and abs(size[1] - source.height) <= slack
        return right, f"{said}, the source has {source.width} x {source.height}"
    return True, said


def _pictures(source: Facts, result: Facts) -> bool:
    """Whether both are pictures made of pixels, so that their sizes can be compared."""
    return FORMATS[source.format].raster and FORMATS[result.format].raster


def _frames(_: Step, source: Facts, result: Facts) -> Finding:
    if not {source.format, result.format} <= MOVING or (source.frames or 1) < 2:
        return None
    if result.frames is None:
        return None
    # Writers join frames that are alike.
    return 1 < result.frames <= (source.frames or 1), f"{result.frames} frames of {source.frames}"


def _duration(step: Step, source: Facts, result: Facts) -> Finding:
    if not source.duration or result.duration is None:
        return None
    wanted = trimmed(source.duration, step.options)
    share = 0.15 if source.format in _ESTIMATED else 0.02
    right = abs(result.duration - wanted) <= 0.5 + share * wanted and result.duration > 0
    return right, f"{result.duration:.2f} s of {wanted:.2f} s"


def trimmed(duration: float, options: Mapping[str, Any]) -> float:
    """What `start`, `end` and `duration` leave of `duration`, all in seconds."""
    start: float = min(options.get("start", 0.0), duration)
    end: float = min(options.get("end", duration), duration)
    return max(0.0, min(end - start, float(options.get("duration", duration))))


def _streams(step: Step, source: Facts, result: Facts) -> Finding:
    """A video has a picture, a sound file has sound, and a video keeps its sound: all of it,
    where the format can."""
    category = _category(result.format)
    if category is Category.AUDIO:
        return result.audio_codec is not None, f"sound: {result.audio_codec or 'none'}"
    if category is not Category.VIDEO:
        return None
    silenced = step.options.get("mute", False)
    sound = result.audio_codec is not None or source.audio_codec is None or silenced
    said = f"picture: {result.video_codec or 'none'}, sound: {result.audio_codec or 'none'}"
    if source.audio_tracks and {source.format, result.format} <= TRACKS and not silenced:
        tracks = len(result.audio_codecs or (result.audio_codec,))
        sound = sound and tracks >= source.audio_tracks
        said += f", {tracks} sound tracks of {source.audio_tracks}"
    if source.subtitles:
        said += f", {len(result.subtitles or ())} subtitle tracks of {len(source.subtitles)}"
    return result.video_codec is not None and sound, said


def _cells(step: Step, source: Facts, result: Facts) -> Finding:
    if not {source.format, result.format} <= _TABLES or _ELSEWHERE & step.options.keys():
        return None
    # A header row is made up or left out when the client says there is (to be) none.
    slack = 1 if "header" in step.options else 0
    counts = (
        ("columns", source.columns, result.columns, 0),
        ("rows", source.rows, result.rows, slack),
    )
    known = [
        (name, was, is_, slack)
        for name, was, is_, slack in counts
        if was is not None and is_ is not None
    ]
    # Empty rows and columns at the end of a workbook's sheet do not count; an empty one stays so.
    least = 0 if result.format in _BOOKS else 1
    most = 0 if source.format in _BOOKS else 1
    right = all(
        is_ >= (was - slack if least else min(was, 1)) and (is_ <= was + slack or not most)
        for _, was, is_, slack in known
    )
    said = [f"{is_} of {was} {name}" for name, was, is_, _ in known]
    return (right, ", ".join(said)) if said else None


def _characters(step: Step, source: Facts, result: Facts) -> Finding:
    if not source.characters or result.characters is None or "pages" in step.options:
        return None
    share = KEPT if source.format in _PROSE and source.characters >= 200 else 0.0
    right = result.characters > 0 and result.characters >= share * source.characters
    return right, f"{result.characters} characters, the source has {source.characters}"


def _category(format_id: str) -> Category:
    return FORMATS[format_id].category


_CHECKS: tuple[Callable[[Step, Facts, Facts], Finding], ...] = (
    _format,
    _size,
    _entries,
    _pages,
    _leaves,
    _pixels,
    _frames,
    _duration,
    _streams,
    _cells,
    _characters,
)
