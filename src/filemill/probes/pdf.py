"""Reading how many pages a PDF has, and whether it is whole."""

from __future__ import annotations

import re
from pathlib import Path

from filemill.errors import FileInvalid, protected
from filemill.limits import Ceilings
from filemill.model import Facts
from filemill.probes.size import size_of

_TAIL = 64 * 1024
"""Readers take some junk after the end; so do we."""
_LINEARIZED = re.compile(rb"/Linearized\b.{0,200}?/L\s+(\d{1,12})", re.DOTALL)


def probe(path: str, format: str, _: Ceilings) -> Facts:
    import pypdfium2

    size = size_of(path)
    _check_whole(path, size)
    try:
        with pypdfium2.PdfDocument(path) as document:
            pages = len(document)
    except pypdfium2.PdfiumError as error:
        if error.err_code in {4, 5}:  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
            raise protected() from None
        raise FileInvalid(
            "This is not a readable PDF.", hint="It is damaged, or of another format than it says."
        ) from None
    return Facts(format, size, pages=pages)


def _check_whole(path: str, size: int) -> None:
    """PDFium repairs what is cut off, and drops pages doing so: look at the end
    (ISO 32000-2: 7.5.5 the trailer, F.3.3 the length in a linearized file)."""
    with Path(path).open("rb") as file:
        head = file.read(1024)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    if b"%PDF-" not in head:
        raise FileInvalid("This is not a PDF.", hint="It is of another format than it says.")
    told = _LINEARIZED.search(head)
    if b"%%EOF" not in tail or (told and int(told[1]) > size):
        raise FileInvalid("The PDF is cut off.", hint="Upload it again.")
