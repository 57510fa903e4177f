"""pandoc: markup and structured documents into each other.

`--sandbox` keeps it from every file but its input and from the network, so `include`,
`\\input` and pictures by address come out empty. It reserves 1 TB of address space for
its heap, so its memory is capped by its own runtime (`-M`) instead of RLIMIT_AS.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filemill import text
from filemill.engine import (
    Call,
    Command,
    Engine,
    Exit,
    Limits,
    Loss,
    Option,
    Task,
    Tool,
    Work,
    engine_failed,
    routes,
)
from filemill.errors import FileInvalid, FilemillError, LimitExceeded

HEAP_MB = 2048

_MARKUP = {
    "md": "gfm",
    "html": "html",
    "rst": "rst",
    "tex": "latex",
    "org": "org",
    "adoc": "asciidoc",
    "textile": "textile",
    "mediawiki": "mediawiki",
    "typst": "typst",
    "docbook": "docbook",
    "jats": "jats",
    "ipynb": "ipynb",
    "epub": "epub",
    "fb2": "fb2",
}
_WORDS = {"docx": "docx", "odt": "odt"}
_READ = {
    **_MARKUP,
    **_WORDS,
    "rtf": "rtf",
    "opml": "opml-yaml_metadata_block",  # its notes are Markdown, and their aliases multiply
    "csv": "csv",
    "tsv": "tsv",
    "pptx": "pptx",
}
_WRITE = {**_MARKUP, **_WORDS, "rtf": "rtf", "opml": "opml", "pptx": "pptx", "txt": "plain"}
_WITHOUT_HEADINGS = frozenset({"csv", "tsv", "rtf"})
"""Sources that pandoc finds no headings in: their outline would be empty."""
_BINARY = frozenset({"docx", "odt", "pptx", "epub"})
_ENCODED = frozenset(_READ) - _BINARY - {"rtf", "ipynb"}
"""Sources that may be in any encoding."""
_KEEPS_IMAGES = _BINARY | {"html", "fb2", "rtf", "ipynb"}

_UNREADABLE = frozenset({44, 63, 64, 91, 92, 93, 94, 95})
"""Exit statuses that blame the file (pandoc's manual, "Exit codes")."""
_NOT_FOUND = 99
_HEAP_EXHAUSTED = 251
_STEM = "document"
"""What pandoc titles a document without a title with is its file's name."""


def find() -> Path | None:
    if (spec := importlib.util.find_spec("pypandoc")) and spec.origin:
        bundled = Path(spec.origin).parent / "files" / "pandoc"
        if bundled.is_file():
            return bundled
    found = shutil.which("pandoc")
    return Path(found) if found else None


def build(task: Task) -> Work:
    source = f"{_STEM}.{task.input.rpartition('.')[2]}"
    flags: list[str] = []
    if task.options.get("toc"):
        flags.append("--toc")
    if task.options.get("number_sections"):
        flags.append("--number-sections")
    if task.target == "html":
        flags += ["--embed-resources", "--mathml"]
    if task.target in ("md", "txt"):
        flags.append("--wrap=none")
    return Work(
        processes=(
            Call(
                f"{__name__}:prepare",
                {
                    "path": task.input,
                    "name": source,
                    "format": task.source,
                    "encoding": task.options.get("encoding"),
                },
            ),
            Command(
                (
                    *("pandoc", "+RTS", f"-M{HEAP_MB}M", "-RTS", "--sandbox", "--standalone"),
                    *("--from", _READ[task.source], "--to", _WRITE[task.target], *flags),
                    *("--output", task.output, source),
                )
            ),
        ),
        outputs=(task.output,),
    )


def prepare(
    report: Callable[[float], None], path: str, name: str, format: str, encoding: str | None
) -> None:
    """Name the input as pandoc shall see it, and make text UTF-8, and separators the usual."""
    source = Path(path).rename(name)
    if format not in _BINARY:
        text.to_utf8(source, encoding)
    if format in ("csv", "tsv"):
        text.to_usual(source, format)
    report(1.0)


def diagnose(title: str, ended: Exit) -> FilemillError:
    if ended.code == _HEAP_EXHAUSTED:
        return LimitExceeded(
            "The document needs too much memory.",
            hint="Split it, or take out what repeats itself.",
            details={"limit": "memory_mb", "allowed": HEAP_MB},
        )
    if ended.code == _NOT_FOUND:
        return FileInvalid(
            "The document is made of several files, of which this is only one.",
            hint="Put what it includes into the document itself.",
        )
    if ended.code in _UNREADABLE:
        lines = [line for line in ended.stderr.splitlines() if not line.startswith("[")]
        return FileInvalid(
            f"{title} cannot read this file: {' '.join(lines)[:300].strip()}",
            hint="Check the file, and whether it is the format that its name says.",
        )
    return engine_failed(title, ended)


def _loss(source: str, target: str) -> tuple[float, tuple[str, ...]]:
    if target == "txt":
        # Of files that LibreOffice reads too, it makes the better text.
        return Loss.CONTENT + (source in ("docx", "odt", "rtf")), ("formatting", "images")
    if target == "opml":
        return Loss.CONTENT, ("everything but the outline",)
    images = () if target in _KEEPS_IMAGES else ("images",)
    if source in _WORDS and target in (*_WORDS, "rtf"):
        return Loss.LAYOUT * 2, ("page layout and styles",)
    match source:
        case "rtf" | "pptx":
            return Loss.LAYOUT * 2.5, ("page layout and styles", *images)
        case "docx" | "odt":
            return Loss.LAYOUT + 1, ("page layout and styles", *images)
        case "html" | "epub":
            return Loss.LAYOUT, ("page layout and styles", *images)
        case _:
            return Loss.LAYOUT + 1.5 * (target in ("rtf", "pptx")), images


_ROUTES = tuple(
    route
    for source in _READ
    for target in _WRITE
    if target != "opml" or source not in _WITHOUT_HEADINGS
    for loss, losses in [_loss(source, target)]
    for route in routes((source,), (target,), loss=loss, cost=4, losses=losses)
)

_FLAG: dict[str, Any] = {"type": "boolean"}
_PAGED = frozenset({"html", "docx", "odt", "epub", "tex", "rtf", "typst"})

ENGINE = Engine(
    name="pandoc",
    title="pandoc",
    routes=_ROUTES,
    build=build,
    options=(
        Option("toc", _FLAG, "Begin with a table of contents.", _PAGED),
        Option("number_sections", _FLAG, "Number the headings.", _PAGED),
        text.option(_ENCODED),
    ),
    tools=(
        Tool(
            "pandoc",
            find,
            hint="It comes with filemill (pypandoc_binary); else: apt install pandoc",
        ),
    ),
    limits=Limits(memory=0, cpu=300, wall=300),
    diagnose=diagnose,
)
