"""File names as people gave them: made harmless, and put in a header. Floor 1, pure."""

from __future__ import annotations

import unicodedata
from pathlib import PurePath
from urllib.parse import quote

LONGEST = 200
"""Bytes of UTF-8 kept of a name; file systems take 255, and an extension may follow."""


def clean(name: str) -> str:
    """The last part of a path, without control and direction characters, not too long."""
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip(" .")
    while len(name.encode("utf-8", "ignore")) > LONGEST:
        stem, dot, extension = name.rpartition(".")
        name = f"{stem[:-1]}{dot}{extension}" if stem and len(extension) < 16 else name[:-1]
    return name.encode("utf-8", "ignore").decode() or "file"


def with_extension(name: str, extension: str) -> str:
    """The name of a result: that of its source with another extension."""
    return f"{PurePath(name).stem or 'file'}.{extension}"


def attachment(name: str) -> str:
    """A Content-Disposition (RFC 6266): plain ASCII for old clients, RFC 8187 for the rest."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    header = f'attachment; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name, safe='')}"
    return header
