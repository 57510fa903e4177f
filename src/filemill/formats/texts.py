"""Telling text from binary, and the kinds of text that betray themselves. Pure and bounded."""

from __future__ import annotations

import codecs
import json
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\r\f\x1b"})
TOLERATED = 200
"""Of so many characters one may be such a control character, in a log for example."""
_PROLOG = re.compile(
    r"\s*(?:<\?(?:[^?]|\?(?!>))*\?>|<!--(?:[^-]|-(?!->))*-->|<!doctype[^\[>]*(?:\[[^\]]*\]\s*)?>)",
    re.I,
)
_ROOT = re.compile(r"\s*<(?:[\w.-]+:)?([\w.-]+)")
_ROOTS = {"svg": "svg", "html": "html", "fictionbook": "fb2", "opml": "opml"}


def as_text(head: bytes) -> str | None:
    """`head` as text to look at (Latin-1 unless a byte order mark, or NULs where UTF-16 has them,
    say more); None: binary."""
    marked = ((bom, encoding) for bom, encoding in _BOMS if head.startswith(bom))
    bom, encoding = next(marked, (b"", unmarked(head) or ""))
    if encoding:
        text = head[len(bom) :].decode(encoding, "ignore")
        return text if _clean(text.encode("utf-8", "replace")) else None
    return head.decode("latin-1") if _clean(head) else None


def unmarked(head: bytes) -> str | None:
    """The UTF-16 that a text without a byte order mark seems to be in: there, one half of each
    ASCII character is a NUL, always the same one. In Chinese, say, it is the other at times."""
    first, second = head[::2].count(0), head[1::2].count(0)
    if max(first, second) * 8 < len(head) or min(first, second) * 2 > max(first, second):
        return None
    return "utf-16-le" if first < second else "utf-16-be"


def _clean(data: bytes) -> bool:
    """No NUL, and next to none of the other control characters that text never has."""
    return (
        b"\0" not in data
        and len(data) - len(data.translate(None, _CONTROLS)) <= len(data) // TOLERATED
    )


def kind(text: str, whole: bool) -> str | None:
    """The format id that the text's own structure names, or None. `whole`: nothing follows it."""
    start = text.lstrip()[:1]
    if start == "<":
        return _markup(text)
    if start in ("{", "["):
        return _json(text, whole)
    return None


def _markup(text: str) -> str | None:
    at = 0
    doctype = ""
    for _ in range(20):
        if not (found := _PROLOG.match(text, at)):
            break
        doctype += found[0].lower() if "<!doctype" in found[0][:200].lower() else ""
        at = found.end()
    root = _ROOT.match(text, at)
    name = root[1].lower() if root else ""
    opening = text[at : at + 2000]
    if name in _ROOTS:
        return _ROOTS[name]
    if "<!doctype html" in doctype:
        return "html"
    if "docbook" in doctype or "docbook.org/ns/docbook" in opening:
        return "docbook"
    if name == "article" and ("jats" in opening.lower() or "nlm//dtd" in doctype):
        return "jats"
    return None


def _json(text: str, whole: bool) -> str | None:
    lines = [line for line in text.splitlines() if line.strip()]
    # A first line that is complete and a second that begins another value: one a line.
    if len(lines) > 1 and lines[1].lstrip()[:1] in ("{", "[") and _parses(lines[0]):
        return "ndjson"
    if not (_parses(text) if whole else re.match(r'\s*(\{\s*"|\[\s*[\[{"\d-])', text)):
        return None
    return "ipynb" if '"nbformat"' in text and '"cells"' in text else "json"


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def table(text: str) -> str | None:
    """csv or tsv when its first lines have the same number of fields, more than one."""
    lines = [line for line in text.splitlines()[:12] if line]
    lines = lines[:-1] if len(lines) > 3 else lines  # the last may be cut
    for delimiter, found in (("\t", "tsv"), (",", "csv"), (";", "csv")):
        counts = {re.sub(r'"(?:[^"]|"")*"', "", line).count(delimiter) for line in lines}
        if len(lines) > 1 and len(counts) == 1 and 0 not in counts:
            return found
    return None
