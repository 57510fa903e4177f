"""SVG, checked as a stream before a renderer parses it: nothing from outside, nothing that
multiplies. Then its size as it will be drawn (SVG 2, 7 and 8.2).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from filemill.errors import FileInvalid
from filemill.limits import Ceilings, refuse
from filemill.model import Facts
from filemill.probes.xml import ATTACK, Parser, local
from filemill.raster import libvips

_URL = re.compile(r"url\s*\(\s*['\"]?\s*([^'\")\s]*)", re.IGNORECASE)
_IMAGE = re.compile(r"data:image/(png|jpe?g|gif|webp)[;,]", re.IGNORECASE)
_FONT = re.compile(r"data:(font/|application/(x-)?font)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|([^\n]))", re.IGNORECASE)
"""CSS Syntax 3, 4.3.7."""
_LONGEST_CHAIN = 200
"""References that lead to elements with references, and so on."""


@dataclass(slots=True)
class _Named:
    """What is inside an element that has an id, up to the next such one."""

    elements: int = 0
    parts: list[_Named] = field(default_factory=list)
    refers: list[str] = field(default_factory=list)
    total: int | None = None


@dataclass(slots=True)
class _Drawing:
    ceilings: Ceilings
    root: _Named = field(default_factory=_Named)
    names: dict[str, _Named] = field(default_factory=dict)
    inside: list[_Named] = field(default_factory=list)
    styling: int = 0
    style: str = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = local(tag)
        if not self.inside:
            if name != "svg":
                raise FileInvalid("This is not an SVG drawing.", hint="It is another kind of XML.")
            self.inside.append(self.root)
        here = self.inside[-1]
        if identity := attributes.get("id"):
            named = self.names[identity] = _Named()
            here.parts.append(named)
            here = named
        self.inside.append(here)
        here.elements += 1
        self.styling += name == "style"
        for attribute, value in attributes.items():
            if local(attribute) == "href" and name != "a":  # a link is not followed
                self._refer(value.strip(), here)
            elif local(attribute) != "href":
                self._css(value, here)

    def end(self, tag: str) -> None:
        here = self.inside.pop()
        if local(tag) == "style":
            self.styling -= 1
            self._css(self.style, here)
            self.style = ""

    def text(self, text: str) -> None:
        if self.styling:
            self.style += text

    def instruction(self, target: str, data: str) -> None:
        if target == "xml-stylesheet":
            raise _outside(data)

    def _css(self, text: str, here: _Named) -> None:
        text = _ESCAPE.sub(_unescaped, text)
        if "@import" in text.lower():
            raise _outside("@import")
        for target in _URL.findall(text):
            if not _FONT.match(target):
                self._refer(target, here)

    def _refer(self, target: str, here: _Named) -> None:
        if target.startswith("#"):
            here.refers.append(target[1:])
        elif target and not _IMAGE.match(target):
            raise _outside(target)

    def count(self, named: _Named, chain: int = 0) -> int:
        """Elements drawn, those that are referred to counted each time. A circle counts once:
        renderers break it."""
        refuse(
            "drawing_elements",
            chain,
            _LONGEST_CHAIN,
            "The drawing's references lead to each other more than {allowed} times.",
            ATTACK,
        )
        if named.total is None:
            named.total = 0
            total = named.elements + sum(self.count(part, chain + 1) for part in named.parts)
            for name in named.refers:
                if target := self.names.get(name):
                    total += self.count(target, chain + 1)
                refuse(
                    "drawing_elements",
                    total,
                    self.ceilings.drawing_elements,
                    "The drawing has more than {allowed} elements, repeats counted.",
                    "Make it simpler.",
                )
            named.total = total
        return named.total


def _unescaped(match: re.Match[str]) -> str:
    number, letter = match.groups()
    return letter or chr(min(int(number, 16), sys.maxunicode))


def _outside(target: str) -> FileInvalid:
    return FileInvalid(
        f"The drawing refers to something outside of it: {target[:80]!r}.",
        hint="Embed pictures in it (PNG, JPEG, GIF or WebP), and drop what is not needed.",
    )


def probe(path: str, format: str, ceilings: Ceilings) -> Facts:
    """Raises `FileInvalid` for what is broken or refers to anything outside, `LimitExceeded`."""
    size = Path(path).stat().st_size
    refuse(
        "drawing_bytes",
        size,
        ceilings.drawing_bytes,
        "The drawing has {value} bytes, at most {allowed} are allowed here.",
        "Make it simpler.",
    )
    drawing = _Drawing(ceilings)
    try:
        with Path(path).open("rb") as file:
            Parser(
                drawing.start,
                drawing.text,
                drawing.end,
                ceilings,
                entities=ceilings.xml_entities,
                instruction=drawing.instruction,
            ).parse(file)
    except expat.ExpatError as error:
        raise FileInvalid(
            f"The SVG is no well-formed XML: {error}.", hint="It is cut off, or damaged."
        ) from error
    refuse(
        "drawing_elements",
        drawing.count(drawing.root),
        ceilings.drawing_elements,
        "The drawing has {value} elements, at most {allowed} are allowed here.",
        "Make it simpler.",
    )
    width, height = _size(Path(path).read_bytes())
    return Facts(format, size, width=width, height=height)


def _size(data: bytes) -> tuple[int, int]:
    pyvips = libvips(drawings=True)  # it was checked above
    try:
        image = pyvips.Image.svgload_buffer(data)
    except pyvips.Error:
        raise FileInvalid(
            "The SVG cannot be drawn.", hint="It is damaged, or says no size and draws nothing."
        ) from None
    return image.width, image.height
