"""How deep JSON is nested (RFC 8259), before a parser that recurses reads it."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path

from filemill.limits import Ceilings, refuse

CHUNK = 256 * 1024
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*+"', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"{}[]"))
_STEP = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_MARK = b'"\0'


def shallow(path: Path, ceilings: Ceilings) -> None:
    """Raises `LimitExceeded` where arrays and objects are nested too deep."""
    depth, inside, carry = 0, b"", b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            data = inside + carry + chunk
            carry = b""
            if (len(data) - len(data.rstrip(b"\\"))) % 2:  # half of an escape
                data, carry = data[:-1], b"\\"
            # The mark's quote ends a string that is open here; else it begins one without an end.
            outside = _STRING.sub(b"", data + _MARK)
            inside = b"" if outside.endswith(_MARK) else b'"'
            brackets = outside.translate(None, _OTHERS)
            depths = list(accumulate(map(_STEP.__getitem__, brackets), initial=depth))
            depth = depths[-1]
            refuse(
                "json_depth",
                max(depths),
                ceilings.json_depth,
                "The JSON is nested more than {allowed} deep.",
                "Such files are made to attack the program that opens them.",
            )
