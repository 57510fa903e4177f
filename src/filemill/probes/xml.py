"""Reading hostile XML as a stream: no entities that could multiply or reach out, bounded depth.

External DTDs and entities are never loaded (expat does so only when told to); billion laughs
need entities inside entities, which are refused (CWE-776, CWE-611).
"""

from __future__ import annotations

import zipfile
from codecs import StreamRecoder
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any
from xml.parsers import expat

from filemill.errors import FileInvalid
from filemill.limits import USUAL, Ceilings, refuse

CHUNK = 256 * 1024
PIECE = 8 * 1024
"""Less, where tags are counted: all elements that begin in one may be inside each other."""
LONGEST_ENTITY = 1_000
"""Characters of an entity's value, where any may be declared."""
ATTACK = "Such files are made to attack the program that opens them."


class Enough(Exception):
    """Raised by a handler that has seen what it wanted."""


class Package(zipfile.ZipFile):
    """A zip of XML parts, and what they may ask for."""

    def __init__(self, path: str, ceilings: Ceilings) -> None:
        super().__init__(path)
        self.ceilings = ceilings


@dataclass(slots=True)
class Parser:
    """Streams XML through functions. Tags are `namespace local`.

    Raises `FileInvalid`, `LimitExceeded` and `expat.ExpatError`."""

    start: Callable[[str, Mapping[str, str]], None] | None = None
    text: Callable[[str], None] | None = None
    end: Callable[[str], None] | None = None
    ceilings: Ceilings = USUAL
    entities: int = 0
    """How many may be declared."""
    instruction: Callable[[str, str], None] | None = None
    """Takes (target, data) of processing instructions."""
    depth: int = 0
    declared: int = 0

    def read(self, archive: Package, part: str, most: int | None = None) -> None:
        self.ceilings = archive.ceilings
        if not self._named and not self.entities:
            with archive.open(part) as file:
                if self._flat(file, most):
                    return
        with archive.open(part) as file:
            self.parse(file, most)

    @property
    def _named(self) -> bool:
        """Whether anybody asks what the elements are; who only counts how deep they are does not,
        and saves a third of the time."""
        return bool(self.start or self.text or self.end or self.instruction)

    def _flat(self, file: IO[bytes], most: int | None) -> bool:
        """Whether it surely is nowhere nested too deep, told by counting: a twentieth of the time
        of `parse`. False: it cannot be told so.

        In XML "<" begins a tag, but in what "<!" or "<?" begins. Where there is nothing of that,
        and as many ">" as "<", all ">" end one: then "</" and "/>" are all that ends an element.
        A parser that finds this untrue within a piece has found an error."""
        inside = unclosed = done = 0
        while piece := file.read(PIECE):
            if piece.endswith(b"<"):
                piece += file.read(1)
            first, done = not done, done + len(piece)
            if first and piece.startswith(b"<?xml "):
                piece = piece.partition(b"?>")[2]
            if any(other in piece for other in (b"<!", b"<?", b"\0")):
                return False
            tags, ends = piece.count(b"<"), piece.count(b"</")
            begun = tags - ends
            unclosed += tags - piece.count(b">")
            if unclosed not in (0, 1) or inside + begun > self.ceilings.xml_depth:
                return False
            inside += begun - ends - piece.count(b"/>")
            if most is not None and done >= most:
                break
        return True

    def parse(
        self, file: IO[bytes] | StreamRecoder, most: int | None = None, encoding: str | None = None
    ) -> None:
        """All of `file`, or its first `most` bytes. `encoding`: whatever the file declares."""
        parser = expat.ParserCreate(encoding, namespace_separator=" " if self._named else None)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity
        if self.instruction:
            parser.ProcessingInstructionHandler = self.instruction
        if self.text:
            parser.CharacterDataHandler = self.text
        done = 0
        while chunk := file.read(CHUNK):
            parser.Parse(chunk, False)
            done += len(chunk)
            if most is not None and done >= most:
                return
        parser.Parse(b"", True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > self.ceilings.xml_depth:
            refuse(
                "xml_depth",
                self.depth,
                self.ceilings.xml_depth,
                "The file's XML is nested more than {allowed} deep.",
                ATTACK,
            )
        if self.start:
            self.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self.depth -= 1
        if self.end:
            self.end(tag)

    def _entity(
        self,
        name: str,
        _parameter: bool,
        value: str | None,
        _base: str | None,
        system: str | None,
        public: str | None,
        *_: Any,
    ) -> None:
        self.declared += 1
        if not self.entities:
            raise FileInvalid(
                "The file declares XML entities, which documents of its kind never do.", hint=ATTACK
            )
        if value is None or system or public:
            raise FileInvalid(
                f"The file's XML entity {name[:40]!r} is in another file.",
                hint="Put its text where it is used.",
            )
        refuse(
            "xml_entities",
            self.declared,
            self.entities,
            "The file declares more than {allowed} XML entities.",
            "Put their text where they are used.",
        )
        if "&" in value or len(value) > LONGEST_ENTITY:
            raise FileInvalid(
                f"The file's XML entity {name[:40]!r} holds others, or is very long.", hint=ATTACK
            )


def local(tag: str) -> str:
    return tag.rpartition(" ")[2]


@dataclass(slots=True)
class Count:
    """Characters inside elements of some names, and how often others occur."""

    words: frozenset[str]
    things: frozenset[str] = frozenset()
    characters: int = 0
    found: int = 0
    inside: int = 0

    def read(self, archive: Package, part: str) -> Count:
        Parser(self.start, self.text, self.end).read(archive, part)
        return self

    def start(self, tag: str, _: Mapping[str, str]) -> None:
        self.inside += local(tag) in self.words
        self.found += local(tag) in self.things

    def end(self, tag: str) -> None:
        self.inside -= local(tag) in self.words

    def text(self, text: str) -> None:
        if self.inside:
            self.characters += len(text)
