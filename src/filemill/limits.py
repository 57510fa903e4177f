"""How much a file may ask for, and the check of what a probe found against it. Floor 1, pure.

Probes get the same ceilings, for what only the bytes of a file tell (how far a zip unpacks,
how deep XML is nested); engines get them with their `Task`, for what the client asks for.
Each ceiling is a setting: `FILEMILL_MAX_<NAME>`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from filemill.errors import LimitExceeded
from filemill.model import Facts

MB = 1024 * 1024
MOVING = frozenset({"gif", "webp"})
"""Picture formats whose further frames are an animation, not pages that are done one by one."""


def _ceiling(default: int, description: str) -> int:
    value: int = field(default=default, metadata={"description": description})
    return value


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most that is allowed of each; the description is the setting's."""

    pixels: int = _ceiling(2**28, "Pixels of a picture.")
    frames: int = _ceiling(10_000, "Frames or pages of a picture file.")
    animation_pixels: int = _ceiling(2**30, "Pixels of all frames of an animation together.")
    video_pixels: int = _ceiling(2**26, "Pixels of one frame of a video.")
    duration: int = _ceiling(24 * 3600, "Length of a video or sound, seconds.")
    streams: int = _ceiling(100, "Tracks of a video or sound file.")
    pages: int = _ceiling(10_000, "Pages of a PDF, slides of a presentation.")
    page_pixels: int = _ceiling(2**27, "Pixels of a PDF page as it is drawn.")
    sheets: int = _ceiling(1_000, "Sheets of a workbook.")
    rows: int = _ceiling(200_000_000, "Rows of a table.")
    columns: int = _ceiling(16_384, "Columns of a table; more than 16384 no engine takes.")
    entries: int = _ceiling(50_000, "Files in an archive, parts of an office document.")
    unpacked: int = _ceiling(4096 * MB, "Bytes an archive or office document unpacks to.")
    ratio: int = _ceiling(200, "Bytes unpacked for each packed one; counts from 64 MB unpacked on.")
    xml_depth: int = _ceiling(1_000, "Elements inside each other in XML.")
    xml_entities: int = _ceiling(
        100, "Entities that an XML text or drawing may declare; office documents may none."
    )
    json_depth: int = _ceiling(500, "Arrays and objects inside each other in JSON and YAML.")
    front_matter: int = _ceiling(
        10_000,
        "Values in the YAML at the head of a Markdown file, those that aliases repeat counted "
        "each time.",
    )
    drawing_elements: int = _ceiling(
        100_000, "Elements of an SVG drawing, those that `use` repeats counted each time."
    )
    drawing_bytes: int = _ceiling(32 * MB, "Bytes of an SVG drawing.")
    metadata: int = _ceiling(
        16 * MB, "Bytes that the packed texts and colour profile of a PNG unpack to."
    )


USUAL = Ceilings()
"""The defaults."""


def refuse(limit: str, value: int, allowed: int, message: str, hint: str) -> None:
    """Raises `LimitExceeded` when `value` is above `allowed`. The message may use `{value}`
    and `{allowed}`."""
    if value > allowed:
        raise LimitExceeded(
            message.format(value=value, allowed=allowed),
            hint=hint,
            details={"limit": limit, "value": value, "allowed": allowed},
        )


def check(facts: Facts, ceilings: Ceilings) -> None:
    """Raises `LimitExceeded` for the first ceiling that a file with these facts passes."""
    pixels = (facts.width or 0) * (facts.height or 0)
    frames = facts.frames or 1
    together = pixels * frames if facts.format in MOVING else 0
    timed = facts.duration is not None or facts.video_codec is not None
    parts = facts.sheets or facts.pages or facts.entries
    for limit, value, message in (
        ("pixels", 0 if timed else pixels, "The picture has {value} pixels"),
        ("frames", 0 if timed else frames, "The picture has {value} frames or pages"),
        (
            "animation_pixels",
            0 if timed else together,
            "All frames of the picture have {value} pixels",
        ),
        ("video_pixels", pixels if timed else 0, "A frame of the video has {value} pixels"),
        ("duration", int(facts.duration or 0), "It plays for {value} seconds"),
        ("pages", facts.pages or 0, "The file has {value} pages"),
        ("sheets", facts.sheets or 0, "The workbook has {value} sheets"),
        ("rows", facts.rows or 0, "The table has {value} rows"),
        ("columns", facts.columns or 0, "The table has {value} columns"),
        ("entries", facts.entries or 0, "The file holds {value} files"),
    ):
        refuse(
            limit,
            value,
            getattr(ceilings, limit),
            message + ", at most {allowed} are allowed here.",
            "Make it smaller, or split it." if parts else "Make it smaller first.",
        )
