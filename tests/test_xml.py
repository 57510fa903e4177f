"""How deep XML is, counted without asking at each element, whatever stands between the tags."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.parsers import expat

import pytest

from filemill.errors import LimitExceeded
from filemill.limits import Ceilings
from filemill.probes.xml import PIECE, Package, Parser

DEPTH = 200
"""That of each attack; half of it is allowed."""


def nested(depth: int, between: bytes = b"") -> bytes:
    return b"<a>" * depth + between + b"</a>" * depth


SPACE = b" " * 200
"""Between elements, so that there are few of them in one piece."""


def hiding(what: bytes) -> bytes:
    """Nesting that a careless count would not see: `what` is in the way."""
    return b"<r>" + (b"<a>" + what + SPACE) * DEPTH + b"</a>" * DEPTH + b"</r>"


def packed(folder: Path, part: bytes) -> Path:
    package = folder / "package.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("part.xml", part)
    return package


ATTACKS = {
    "plain": nested(DEPTH),
    "comments": hiding(b"<!-- </a></a> -->"),
    "instructions": hiding(b"<?x </a></a> ?>"),
    "an instruction like the declaration": b"<?xml-x "
    + b"</a>" * 2 * DEPTH
    + b"?>"
    + nested(DEPTH),
    "sections": hiding(b"<![CDATA[</a></a>]]>"),
    "text": hiding(b"/>/>"),
    "attributes": hiding(b"").replace(b"<a>", b"<a b='/>'>"),
    "two bytes a character": nested(DEPTH).decode().encode("utf-16"),
    "another encoding": b"<?xml version='1.0' encoding='cp037'?>" + nested(DEPTH),
    "a comment between two pieces": b"<r>%s<!--%s-->%s</r>"
    % (b" " * (PIECE - 4), b"</a>" * 2 * DEPTH, hiding(b"")),
    "broken behind it": nested(DEPTH)[:-4],
    "broken tags that make up for it": b"<r>" + b"<a b='/>'>" * DEPTH + b"<" * DEPTH,
    "characters with the bytes of tags": b"\xff\xfe"
    + hiding("\u2f3c\u3e20".encode()).decode().partition("</a>")[0].encode("utf-16-le"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_depth_is_never_hidden(attack: str, tmp_path: Path) -> None:
    package = packed(tmp_path, ATTACKS[attack])
    with Package(str(package), Ceilings(xml_depth=DEPTH // 2)) as archive:
        if attack == "another encoding":  # expat knows it not at all
            with pytest.raises(expat.ExpatError, match="encoding"):
                Parser().read(archive, "part.xml")
            return
        with pytest.raises(LimitExceeded):
            Parser().read(archive, "part.xml")


@pytest.mark.parametrize("gap", range(PIECE - 8, PIECE + 1))
def test_an_ordinary_part_is_counted(gap: int, tmp_path: Path) -> None:
    """Without a look at each element, wherever its pieces are cut."""
    body = b"<c r='A1'><v>1&gt;</v></c><b/>" + nested(3, b" some words /")
    package = packed(tmp_path, b"<?xml version='1.0'?>\n<r>%s%s</r>" % (b" " * gap, body * 9_000))
    with Package(str(package), Ceilings()) as archive:
        parser = Counted()
        parser.read(archive, "part.xml")
        assert parser.elements == 0


class Counted(Parser):
    """Counts the elements that it was told of."""

    elements = 0

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        super()._start(tag, attributes)
