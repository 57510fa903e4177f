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
    name = "".join(c for c in name if not _is_control(c)).strip(" .")
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > LONGEST // 4:
        stem, dot, extension = name, "", ""
    kept = stem.encode()[: LONGEST - len((dot + extension).encode())]
    return (kept.decode(errors="ignore") + dot + extension).strip(" .") or "file"


def _is_control(character: str) -> bool:
    """Control, format (direction), surrogate, unassigned; line and paragraph separators."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def with_extension(name: str, extension: str) -> str:
    """The name of a result: that of its source with another extension."""
    return f"{PurePath(name).stem or 'file'}.{extension}"


def attachment(name: str) -> str:
    """A Content-Disposition (RFC 6266): plain ASCII for old clients, RFC 8187 for the rest."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    header = f'attachment; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return header
