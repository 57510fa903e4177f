"""Text: whether it is some, how long it is, and whether its kind's frame is whole."""

from __future__ import annotations

import codecs
from dataclasses import replace
from pathlib import Path
from xml.parsers import expat

from filemill import text
from filemill.errors import FileInvalid
from filemill.limits import Ceilings
from filemill.model import Facts
from filemill.probes.json import shallow
from filemill.probes.xml import Parser
from filemill.probes.yaml import bounded

_XML = frozenset({"docbook", "jats", "opml", "fb2"})
TAIL = 4096


def probe(path: str, format: str, ceilings: Ceilings) -> Facts:
    """`Facts` of a text: its characters (Unicode code points), markup included.

    Raises `FileInvalid` for what is empty, binary or cut off."""
    file = Path(path)
    encoding = text.encoding(file)
    characters = sum(map(len, text.decoded(file, encoding)))
    facts = Facts(format, file.stat().st_size, characters=characters)
    if format in _XML:
        _well_formed(file, format, encoding, ceilings)
    elif format == "md":
        bounded(file, encoding, ceilings)
    elif format == "ipynb":
        _framed(file, "ipynb", b"{", b"}")
        shallow(file, ceilings)
    elif format == "rtf":
        _framed(file, "rtf", b"{\\rtf", b"}")
        facts = replace(facts, characters=None)  # nearly all of them are commands, not words
    return facts


def _well_formed(path: Path, format: str, encoding: str, bounds: Ceilings) -> None:
    parser = Parser(ceilings=bounds, entities=bounds.xml_entities)
    try:
        with path.open("rb") as file:
            if encoding in ("utf-8", "cp1252"):
                parser.parse(file)
            else:  # expat knows hardly any more
                parser.parse(codecs.EncodedFile(file, "utf-8", encoding), encoding="utf-8")
    except (expat.ExpatError, LookupError, ValueError) as error:
        # One that multiplies entities ends here, and one in an encoding that nobody knows.
        raise FileInvalid(
            f"The {format} file is no well-formed XML: {error}.",
            hint="It is cut off, or was not written by an XML program.",
        ) from error


def _framed(path: Path, format: str, first: bytes, last: bytes) -> None:
    with path.open("rb") as file:
        head = file.read(64)
        file.seek(max(0, path.stat().st_size - TAIL))
        tail = file.read()
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(first):
        raise FileInvalid(
            f"The file is no {format}.", hint="Upload it with the name that fits its format."
        )
    if not tail.rstrip(b"\0\x1a \t\r\n").endswith(last):
        raise FileInvalid(f"The {format} file is cut off.", hint="Save it again and upload that.")
