"""Probes: reading the `Facts` of a file, one module a kind of file.

Each is a function `probe(path, format, ceilings) -> Facts` that runs in a sandboxed
worker process, reads headers and structure, never decodes more than it must,
and raises `FileInvalid` for a file it cannot make sense of, `LimitExceeded` for one that
asks for more than the ceilings allow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from filemill.engine import Call
from filemill.formats.table import FORMATS
from filemill.limits import USUAL, Ceilings
from filemill.model import Category, Facts

_BY_CATEGORY: Mapping[Category, str] = {
    Category.DOCUMENT: "text",
    Category.SPREADSHEET: "office",
    Category.PRESENTATION: "office",
    Category.EBOOK: "office",
    Category.IMAGE: "image",
    Category.VECTOR: "drawing",
    Category.VIDEO: "media",
    Category.AUDIO: "media",
    Category.DATA: "table",
    Category.ARCHIVE: "archive",
}
_BY_FORMAT: Mapping[str, str] = {
    "pdf": "pdf",
    **dict.fromkeys(("docx", "odt"), "office"),
    **dict.fromkeys(("doc", "xls", "ppt"), "ole"),
    **dict.fromkeys(("csv", "tsv"), "table"),
    "fb2": "text",
}
"""Formats that another module reads than the rest of their category."""

MODULES = tuple(
    f"filemill.probes.{name}" for name in sorted({*_BY_CATEGORY.values(), *_BY_FORMAT.values()})
)
"""All of them, to be loaded ahead."""


@dataclass(frozen=True, slots=True)
class Probes:
    ceilings: Ceilings = USUAL

    def __call__(self, format_id: str, file_name: str) -> Call:
        """The call that reads the `Facts` of `file_name`, in the private directory."""
        arguments = {"path": file_name, "format": format_id, "ceilings": asdict(self.ceilings)}
        return Call("filemill.probes:read", arguments)


def read(
    _report: Callable[[float], None], *, path: str, format: str, ceilings: Mapping[str, int]
) -> dict[str, Any]:
    """In the worker: by the module for the format."""
    name = _BY_FORMAT.get(format) or _BY_CATEGORY[FORMATS[format].category]
    module = import_module(f"filemill.probes.{name}")
    facts: Facts = module.probe(path, format, Ceilings(**ceilings))
    return facts.to_json()
