"""PDFium: PDF pages as pictures, one by one, and the text of a PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from filemill import raster
from filemill.engine import MB, Call, Engine, Limits, Loss, Option, Part, Route, Split, Task, Work
from filemill.engines.pdfium.pages import ARCHIVE, BY_PILLOW, DPI, PICTURES
from filemill.errors import BadOptions
from filemill.segments import ranges

_WORKER = "filemill.engines.pdfium.pages"
PAGE: Mapping[str, float] = {"png": 0.15, "webp": 0.3, "avif": 0.8, "heic": 1.5, "jxl": 1.0}
"""About how long a page takes at 150 dpi, seconds of one core; the others 0.1."""
SLOWER: Mapping[str, float] = {"fast": 0.7, "smaller": 5.0}
"""Than the usual effort."""


def build(task: Task) -> Work:
    return _work(task, selected(task.options.get("pages"), task.facts.pages or 1))


def split(task: Task, grain: float) -> Split | None:
    """Ranges of pages, a zip each; the join strings their entries together."""
    if task.target in ("txt", "tiff"):
        return None
    options = task.options
    pages = selected(options.get("pages"), task.facts.pages or 1)
    square = (options.get("dpi", DPI) / DPI) ** 2
    width, height = options.get("width"), options.get("height")
    if width or height:
        square = min(side or 2**14 for side in (width, height)) ** 2 / 1500**2
    effort = SLOWER.get(options.get("effort", ""), 1.0)
    seconds = PAGE.get(task.target, 0.1) * square * effort
    found = ranges(len(pages), seconds, grain)
    if found is None:
        return None
    digits = len(str(max(pages) + 1))
    names = [f"part-{number:04}.zip" for number in range(len(found))]
    parts = tuple(
        Part(
            name,
            _work(task, pages[few.start : few.stop], archive=name, digits=digits),
            len(few),
            {"entries": len(few)},
        )
        for name, few in zip(names, found, strict=True)
    )
    join = Call(f"{_WORKER}:join", {"parts": names, "output": ARCHIVE})
    return Split(parts, Work((join,), (ARCHIVE,)), "entries")


def _work(
    task: Task, pages: Sequence[int], *, archive: str = ARCHIVE, digits: int | None = None
) -> Work:
    options = task.options
    arguments: dict[str, Any] = {"input": task.input, "output": task.output, "pages": pages}
    if task.target == "txt":
        return Work((Call(f"{_WORKER}:read", arguments),), (task.output,))
    arguments |= {
        "target": task.target,
        "dpi": options.get("dpi", DPI),
        "width": options.get("width"),
        "height": options.get("height"),
        "most": task.ceilings.page_pixels,
        "saving": _saving(task.target, options, task.threads),
        "threads": task.threads,
        "archive": archive,
        "digits": digits,
    }
    return Work((Call(f"{_WORKER}:draw", arguments),), (task.output, archive))


def selected(pages: str | None, count: int) -> list[int]:
    """Indexes of the pages that `"1-3,5,8-"` names, each once. Raises `BadOptions`."""
    if pages is None:
        return list(range(count))
    found: list[int] = []
    for part in pages.split(","):
        first, dash, last = part.partition("-")
        start, end = int(first), int(last or count) if dash else int(first)
        if not 1 <= start <= end <= count:
            raise BadOptions(
                f"The file has no pages {part!r}.",
                hint=f"It has {count} page(s): ask for pages between 1 and {count}.",
                details={"option": "pages", "pages": count},
            )
        found += range(start - 1, end)
    return list(dict.fromkeys(found))


def _saving(target: str, options: Mapping[str, Any], threads: int) -> dict[str, Any]:
    saving: dict[str, Any] = {}
    if target in raster.QUALITY:
        saving["quality" if target in BY_PILLOW else "Q"] = options.get(
            "quality", raster.QUALITY[target]
        )
    match target:
        case "png":
            saving |= raster.PNG[options.get("effort", "balanced")]
        case "jpg":
            saving["optimize_coding"] = True
        case "avif":
            saving |= {"compression": "av1", "effort": 1}
        case "heic":
            saving["enc_params"] = {"preset": "fast", "x265:frame-threads": "1"}
            saving["enc_params"] |= {"x265:pools": str(threads)}
        case "jxl":
            saving |= {"effort": 5, "num_threads": threads}
        case "jp2":
            decibels = [25 + saving.pop("quality") / 4]
            saving |= {"irreversible": True, "quality_mode": "dB", "quality_layers": decibels}
    return saving


_ONE_OR_MORE = "[1-9][0-9]{0,5}(-([1-9][0-9]{0,5})?)?"

ENGINE = Engine(
    name="pdfium",
    title="PDFium",
    routes=(
        *(
            Route(
                "pdf",
                target,
                Loss.FLATTENED
                + (Loss.NONE if target in {"png", "tiff", "bmp"} else Loss.RECOMPRESSED),
                cost=10,
                losses=("text as text", "vector drawing"),
            )
            for target in PICTURES
        ),
        Route("pdf", "txt", Loss.CONTENT, cost=5, losses=("layout", "pictures")),
    ),
    build=build,
    split=split,
    options=(
        Option(
            "pages",
            {"type": "string", "pattern": f"^{_ONE_OR_MORE}(,{_ONE_OR_MORE}){{0,99}}$"},
            "Pages to convert, like 1-3,5 or 8-; all by default.",
        ),
        Option(
            "dpi",
            {"type": "integer", "minimum": 18, "maximum": 1200},
            f"Pixels an inch, {DPI} by default.",
            frozenset(PICTURES),
        ),
        Option("width", raster.WIDTH.schema, "Pages fit this width.", frozenset(PICTURES)),
        Option("height", raster.HEIGHT.schema, "Pages fit this height.", frozenset(PICTURES)),
        raster.quality(frozenset(raster.QUALITY)),
        Option("effort", raster.EFFORT.schema, raster.EFFORT.description, frozenset({"png"})),
    ),
    modules=("pypdfium2", "pyvips", "pillow_heif", "pillow_jxl"),
    # 10,000 pages at 0.1 s each: 1000 s.
    limits=Limits(memory=4096 * MB, cpu=1800, wall=1800),
)
